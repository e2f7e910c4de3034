//! Routes: the service behind a gRPC method or an HTTP path.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use prost_reflect::MethodDescriptor;
use tower_gwag_schema::graphql::grpc_methods;

use super::Registry;
use super::binding::{Kind, Schema};
use super::slot::{Pool, Slot};
use crate::data_plane::graphql::graph::{Graph, Mounted};
use crate::data_plane::graphql_services::{Remote, RootField};
use crate::data_plane::openapi_services::Operation;
use crate::data_plane::paths::Template;
use crate::random::Random;

/// The routes of all ingresses, from the last rebuild.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    grpc: HashMap<String, GrpcRoute>,
    /// Paths without parameters, by method and path.
    fixed: HashMap<(String, String), HttpTarget>,
    templates: Vec<(String, Template, HttpTarget)>,
    /// Operations of OpenAPI documents, by `/namespace.version.Service/operationId`.
    operations: HashMap<String, OperationRoute>,
    mounted: Vec<Mounted>,
    stable: Vec<(String, u64)>,
    /// Built on first use.
    graph: OnceLock<Option<Arc<Graph>>>,
}

/// A method of a proto service.
#[derive(Clone, Debug)]
pub(crate) struct GrpcRoute {
    /// `namespace/version`, for messages.
    pub(crate) service: String,
    /// `/package.Service/Method`.
    pub(crate) path: String,
    pub(crate) method: MethodDescriptor,
    pub(crate) pool: Arc<Pool>,
}

/// An operation of an OpenAPI document, called over gRPC.
#[derive(Clone, Debug)]
pub(crate) struct OperationRoute {
    pub(crate) path: String,
    pub(crate) method: MethodDescriptor,
    /// Whether its answers are the field `value` of a message.
    pub(crate) is_wrapped: bool,
    pub(crate) operation: Arc<Operation>,
}

/// The target of an HTTP path.
#[derive(Clone, Debug)]
pub(crate) enum HttpTarget {
    Grpc(Arc<GrpcRoute>),
    OpenApi(Arc<Operation>),
    GraphQl(Arc<RootField>),
}

impl Registry {
    /// The routes of all slots; `None` while one of them cannot be rendered, which blocks the
    /// schema of all. If several services share an HTTP path, one is drawn at random.
    pub(crate) fn build_routes(&mut self, random: &mut Random) -> Option<Routes> {
        if self
            .slots
            .values()
            .any(|slot| slot.binding.unrenderable.is_some())
        {
            return None;
        }
        let stable = self.lasting().stable.clone().into_iter().collect();
        let mut slots: Vec<&mut Slot> = self.slots.values_mut().collect();
        slots.sort_by_key(|slot| slot.filled);
        let mut routes = Routes {
            stable,
            ..Routes::default()
        };
        let mut by_http = Vec::new();
        for slot in slots {
            slot.routed = true;
            routes.operations.extend(operation_routes(slot));
            routes.mounted.push(slot.mounted());
            for route in grpc_routes(slot) {
                let method = match route.method.is_server_streaming() {
                    true => "GET",
                    false => "POST",
                };
                let target = HttpTarget::Grpc(Arc::new(route.clone()));
                by_http.push((method.to_owned(), route.path.clone(), target));
                // Two versions with one proto package: the last one gets the route.
                routes.grpc.insert(route.path.clone(), route);
            }
            by_http.extend(http_targets(slot));
        }
        random.shuffle(&mut by_http);
        for (method, path, target) in by_http {
            let template = Template::parse(&path);
            if template.has_parameters() {
                routes.templates.push((method, template, target));
            } else {
                routes.fixed.entry((method, path)).or_insert(target);
            }
        }
        Some(routes)
    }
}

impl Registry {
    /// What is registered now, in order of arrival, and the target of `stable`.
    pub(crate) fn mounted(&self) -> (Vec<Mounted>, Vec<(String, u64)>) {
        let mut slots: Vec<&Slot> = self.slots.values().collect();
        slots.sort_by_key(|slot| slot.filled);
        let stable = self.lasting().stable.clone().into_iter().collect();
        (slots.into_iter().map(Slot::mounted).collect(), stable)
    }
}

impl Slot {
    fn mounted(&self) -> Mounted {
        Mounted {
            binding: Arc::clone(&self.binding),
            pool: Arc::clone(&self.pool),
            deprecation: self.deprecation.clone(),
        }
    }
}

fn grpc_routes(slot: &Slot) -> Vec<GrpcRoute> {
    let methods = slot.binding.methods().into_iter();
    methods
        .map(|(path, method)| GrpcRoute {
            service: slot.binding.name(),
            path,
            method,
            pool: Arc::clone(&slot.pool),
        })
        .collect()
}

/// The gRPC routes of an OpenAPI service.
fn operation_routes(slot: &Slot) -> Vec<(String, OperationRoute)> {
    let Schema::OpenApi(document) = &slot.binding.schema else {
        return Vec::new();
    };
    let (namespace, version) = &slot.binding.key;
    let root = document.as_json();
    let pointers = document.operations().into_iter();
    let pointers: HashMap<(String, String), String> = pointers
        .map(|it| ((it.method, it.path), it.pointer))
        .collect();
    let methods = grpc_methods(namespace, version, root).into_iter();
    methods
        .filter_map(|it| {
            let key = (it.http_method.to_owned(), it.path.clone());
            let declared = root.pointer(pointers.get(&key)?)?;
            let name = slot.binding.name();
            let operation =
                Operation::new(&name, &slot.pool, root, it.http_method, &it.path, declared)?;
            let path = format!("/{namespace}.{version}.Service/{}", it.method.name());
            let route = OperationRoute {
                path: path.clone(),
                method: it.method,
                is_wrapped: it.is_wrapped,
                operation: Arc::new(operation),
            };
            Some((path, route))
        })
        .collect()
}

/// What OpenAPI and GraphQL services offer over HTTP: method, path and target.
fn http_targets(slot: &Slot) -> Vec<(String, String, HttpTarget)> {
    let (namespace, version) = &slot.binding.key;
    let service = slot.binding.name();
    if namespace.starts_with('_') || slot.binding.kind == Kind::Internal {
        return Vec::new();
    }
    match &slot.binding.schema {
        Schema::OpenApi(document) => {
            let root = document.as_json();
            let operations = document.operations().into_iter();
            operations
                .filter_map(|it| {
                    let declared = root.pointer(&it.pointer)?;
                    let operation =
                        Operation::new(&service, &slot.pool, root, &it.method, &it.path, declared)?;
                    Some((it.method, it.path, HttpTarget::OpenApi(Arc::new(operation))))
                })
                .collect()
        }
        Schema::GraphQl { data, .. } => {
            let remote = Remote::new(&service, &slot.pool);
            let fields = RootField::all(&remote, data.as_deref().unwrap_or_default());
            fields
                .into_iter()
                .map(|(method, field)| {
                    let path = format!("/{namespace}.{version}.Service/{}", field.name());
                    (
                        method.to_owned(),
                        path,
                        HttpTarget::GraphQl(Arc::new(field)),
                    )
                })
                .collect()
        }
        Schema::Proto(_) | Schema::Internal => Vec::new(),
    }
}

impl Routes {
    /// The schema of all services and the services behind it; `None` if it cannot be rendered.
    pub(crate) fn graph(&self) -> Option<Arc<Graph>> {
        let made = || Graph::new(&self.mounted, &self.stable).map(Arc::new);
        self.graph.get_or_init(made).clone()
    }

    pub(crate) fn grpc(&self, path: &str) -> Option<&GrpcRoute> {
        self.grpc.get(path)
    }

    /// The OpenAPI operation behind a gRPC method.
    pub(crate) fn operation(&self, path: &str) -> Option<&OperationRoute> {
        self.operations.get(path)
    }

    /// The target of a path, and its parameters: a path without parameters wins over a template.
    pub(crate) fn http(
        &self,
        method: &str,
        path: &[u8],
    ) -> Option<(&HttpTarget, BTreeMap<String, Vec<u8>>)> {
        if let Ok(text) = std::str::from_utf8(path)
            && let Some(target) = self.fixed.get(&(method.to_owned(), text.to_owned()))
        {
            return Some((target, BTreeMap::new()));
        }
        let mut templates = self.templates.iter().filter(|(known, ..)| known == method);
        templates.find_map(|(_, template, target)| Some((target, template.matches(path)?)))
    }
}
