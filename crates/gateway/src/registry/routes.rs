//! Routes: which service a gRPC method or an HTTP path belongs to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prost_reflect::MessageDescriptor;

use super::Registry;
use super::binding::Binding;
use super::slot::{Pool, Slot};

/// The routes of both ingresses, as the last rebuild made them.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    grpc: HashMap<String, GrpcRoute>,
    http: Vec<HttpRoute>,
    /// The newest version of each GraphQL namespace.
    graphql: HashMap<String, Arc<Pool>>,
    /// `/namespace.version.Service/operationId`: operations have gRPC routes, too.
    operations: HashSet<String>,
    /// What the whole schema is made of.
    served: Vec<Arc<Binding>>,
}

#[derive(Debug)]
pub(crate) struct GrpcRoute {
    /// `namespace/version`, for texts.
    pub(crate) service: String,
    pub(crate) input: MessageDescriptor,
    pub(crate) pool: Arc<Pool>,
}

#[derive(Debug)]
pub(crate) struct HttpRoute {
    pub(crate) service: String,
    pub(crate) pool: Arc<Pool>,
    method: String,
    segments: Vec<Segment>,
}

/// One part of a path template.
#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// Anything between what stands before and after the `{parameter}`.
    Parameter {
        before: String,
        after: String,
    },
}

impl Registry {
    /// The routes of all slots; none while one of them cannot be rendered: that blocks the schema
    /// of all.
    pub(crate) fn build_routes(&mut self) -> Option<Routes> {
        if self
            .slots
            .values()
            .any(|slot| slot.binding.unrenderable.is_some())
        {
            return None;
        }
        let mut slots: Vec<&mut Slot> = self.slots.values_mut().collect();
        slots.sort_by_key(|slot| slot.filled);
        let mut routes = Routes::default();
        for slot in slots {
            slot.routed = true;
            routes.served.push(Arc::clone(&slot.binding));
            let service = slot.binding.name();
            for method in slot.binding.methods() {
                // Two versions with one proto package: the last one has the route.
                routes.grpc.insert(
                    method.path,
                    GrpcRoute {
                        service: service.clone(),
                        input: method.input,
                        pool: Arc::clone(&slot.pool),
                    },
                );
            }
            if slot.binding.endpoint().is_some() {
                let namespace = slot.binding.key.0.clone();
                routes.graphql.insert(namespace, Arc::clone(&slot.pool));
            }
            for operation in slot.binding.operations() {
                if let Some(id) = &operation.id {
                    let (namespace, version) = &slot.binding.key;
                    let method = format!("/{namespace}.{version}.Service/{id}");
                    routes.operations.insert(method);
                }
                routes.http.push(HttpRoute {
                    service: service.clone(),
                    pool: Arc::clone(&slot.pool),
                    method: operation.method,
                    segments: operation.path.split('/').map(Segment::parse).collect(),
                });
            }
        }
        Some(routes)
    }
}

impl Routes {
    pub(crate) fn grpc(&self, path: &str) -> Option<&GrpcRoute> {
        self.grpc.get(path)
    }

    /// The route of an HTTP path: the one with the most literal beginning, then the oldest.
    pub(crate) fn http(&self, method: &str, path: &str) -> Option<&HttpRoute> {
        let parts: Vec<&str> = path.split('/').collect();
        let mut best: Option<(Vec<bool>, &HttpRoute)> = None;
        for route in &self.http {
            if route.method != method || !route.matches(&parts) {
                continue;
            }
            let literal: Vec<bool> = route
                .segments
                .iter()
                .map(|segment| matches!(segment, Segment::Literal(_)))
                .collect();
            if best.as_ref().is_none_or(|(found, _)| literal > *found) {
                best = Some((literal, route));
            }
        }
        best.map(|(_, route)| route)
    }

    pub(crate) fn graphql(&self, namespace: &str) -> Option<&Arc<Pool>> {
        self.graphql.get(namespace)
    }

    /// Whether a gRPC method is an operation of an OpenAPI service.
    pub(crate) fn is_operation(&self, path: &str) -> bool {
        self.operations.contains(path)
    }

    /// What the whole schema shows, which is as old as the routes.
    pub(crate) fn served(&self) -> &[Arc<Binding>] {
        &self.served
    }

    /// Whether the path is there under another method.
    pub(crate) fn has_http_path(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        self.http.iter().any(|route| route.matches(&parts))
    }
}

impl HttpRoute {
    fn matches(&self, parts: &[&str]) -> bool {
        self.segments.len() == parts.len()
            && self
                .segments
                .iter()
                .zip(parts)
                .all(|(segment, part)| segment.matches(part))
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match (text.find('{'), text.rfind('}')) {
            (Some(start), Some(end)) if start < end => Self::Parameter {
                before: text[..start].to_owned(),
                after: text[end + 1..].to_owned(),
            },
            _ => Self::Literal(text.to_owned()),
        }
    }

    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Literal(text) => text == part,
            Self::Parameter { before, after } => part
                .strip_prefix(before.as_str())
                .and_then(|rest| rest.strip_suffix(after.as_str()))
                .is_some_and(|value| !value.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::binding::Caps;

    fn routes(templates: &[&str]) -> Routes {
        let mut routes = Routes::default();
        for template in templates {
            routes.http.push(HttpRoute {
                service: (*template).to_owned(),
                pool: Arc::new(Pool::new(Caps::default())),
                method: "GET".to_owned(),
                segments: template.split('/').map(Segment::parse).collect(),
            });
        }
        routes
    }

    #[test]
    fn the_most_literal_template_wins() {
        let routes = routes(&[
            "/pets/{id}",
            "/pets/mine",
            "/{kind}/mine",
            "/pets/{id}.json",
        ]);
        for (path, template) in [
            ("/pets/7", Some("/pets/{id}")),
            ("/pets/mine", Some("/pets/mine")),
            ("/cats/mine", Some("/{kind}/mine")),
            ("/pets/", None),
            ("/pets/7/toys", None),
        ] {
            let found = routes.http("GET", path).map(|route| route.service.as_str());
            assert_eq!(found, template, "{path}");
        }
        assert!(routes.http("POST", "/pets/7").is_none());
        assert!(routes.has_http_path("/pets/7"));
    }
}
