//! Routes: which service a gRPC method or an HTTP path belongs to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use prost_reflect::MethodDescriptor;

use super::Registry;
use super::binding::{Binding, Kind, Schema};
use super::slot::{Pool, Slot};
use crate::data_plane::graphql::graph::{Graph, Mounted};
use crate::data_plane::openapi::Operation;
use crate::data_plane::paths::Template;
use crate::data_plane::remote::{Remote, RootField};
use crate::lots::Lots;

/// The routes of all ingresses, as the last rebuild made them.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    grpc: HashMap<String, GrpcRoute>,
    /// Paths without parameters, by method and path.
    fixed: HashMap<(String, String), HttpTarget>,
    templates: Vec<(String, Template, HttpTarget)>,
    /// `/namespace.version.Service/operationId`: operations have gRPC routes, too.
    operations: HashSet<String>,
    mounted: Vec<Mounted>,
    stable: Vec<(String, u64)>,
    /// Made when it is first asked for.
    graph: OnceLock<Option<Arc<Graph>>>,
}

/// A method of a proto service that is called.
#[derive(Clone, Debug)]
pub(crate) struct GrpcRoute {
    /// `namespace/version`, for texts.
    pub(crate) service: String,
    /// `/package.Service/Method`.
    pub(crate) path: String,
    pub(crate) method: MethodDescriptor,
    pub(crate) pool: Arc<Pool>,
}

/// What an HTTP path leads to.
#[derive(Clone, Debug)]
pub(crate) enum HttpTarget {
    Grpc(Arc<GrpcRoute>),
    OpenApi(Arc<Operation>),
    GraphQl(Arc<RootField>),
}

impl Registry {
    /// The routes of all slots; none while one of them cannot be rendered: that blocks the schema
    /// of all. Where several services have one HTTP path, lots are drawn.
    pub(crate) fn build_routes(&mut self, lots: &mut Lots) -> Option<Routes> {
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
            routes.operations.extend(operations(&slot.binding));
            routes.mounted.push(slot.mounted());
            for route in grpc_routes(slot) {
                let method = match route.method.is_server_streaming() {
                    true => "GET",
                    false => "POST",
                };
                let target = HttpTarget::Grpc(Arc::new(route.clone()));
                by_http.push((method.to_owned(), route.path.clone(), target));
                // Two versions with one proto package: the last one has the route.
                routes.grpc.insert(route.path.clone(), route);
            }
            by_http.extend(http_targets(slot));
        }
        lots.shuffle(&mut by_http);
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
    /// What is registered now, in the order in which it came, and what `stable` stands for.
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
fn operations(binding: &Binding) -> Vec<String> {
    let Schema::OpenApi(document) = &binding.schema else {
        return Vec::new();
    };
    // grpc-oas-text: with a union there are no routes by gRPC.
    if has_union(document.as_json()) {
        return Vec::new();
    }
    let (namespace, version) = &binding.key;
    let ids = document.operations().into_iter().filter_map(|it| it.id);
    ids.map(|id| format!("/{namespace}.{version}.Service/{id}"))
        .collect()
}

/// Whether a document has `anyOf` or `oneOf` somewhere.
fn has_union(document: &serde_json::Value) -> bool {
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        match value {
            serde_json::Value::Object(map) => {
                if map.contains_key("anyOf") || map.contains_key("oneOf") {
                    return true;
                }
                open.extend(map.values());
            }
            serde_json::Value::Array(all) => open.extend(all),
            _ => {}
        }
    }
    false
}

/// What OpenAPI and GraphQL services offer by HTTP: method, path and target.
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
    /// The schema of all services and what is behind it; none where none can be made.
    pub(crate) fn graph(&self) -> Option<Arc<Graph>> {
        let made = || Graph::new(&self.mounted, &self.stable).map(Arc::new);
        self.graph.get_or_init(made).clone()
    }

    pub(crate) fn grpc(&self, path: &str) -> Option<&GrpcRoute> {
        self.grpc.get(path)
    }

    /// Whether a gRPC method is an operation of an OpenAPI service.
    pub(crate) fn is_operation(&self, path: &str) -> bool {
        self.operations.contains(path)
    }

    /// What a path leads to, and its parameters: a path without parameters goes before a template.
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
