//! The served schema, and the services behind its fields.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;
use tower_gwag_schema::GatewayRelease;
use tower_gwag_schema::graphql::{Introspection, Origin, Schema, Selection, Source, Sources, Type};
use tower_gwag_schema::version::Version;

use super::super::graphql_services::Remote;
use super::super::openapi_services::Operation;
use crate::registry::binding::{Binding, Schema as Registered};
use crate::registry::routes::GrpcRoute;
use crate::registry::slot::Pool;

/// A mounted service, from which the graph is built.
#[derive(Clone, Debug)]
pub(crate) struct Mounted {
    pub(crate) binding: Arc<Binding>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) deprecation: Option<String>,
}

/// The schema of all services.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(super) schema: Schema,
    services: HashMap<(String, String), Service>,
}

/// The schema of a selection of mounted services, or why it cannot be built.
pub(crate) fn schema_of(
    mounted: &[Mounted],
    stable: &[(String, u64)],
    selection: &Selection,
) -> Result<Schema, String> {
    let introspections: Vec<Option<Introspection>> = mounted
        .iter()
        .map(|it| match &it.binding.schema {
            Registered::GraphQl {
                data: Some(data), ..
            } => Introspection::from_json(&serde_json::from_str::<Json>(data).ok()?),
            _ => None,
        })
        .collect();
    let mut sources = Sources::of(GatewayRelease::V1_4);
    for (it, introspection) in mounted.iter().zip(&introspections) {
        let (namespace, version) = &it.binding.key;
        let Ok(version) = Version::parse(version) else {
            continue;
        };
        let source = match (&it.binding.schema, introspection) {
            (Registered::Proto(compiled), _) => Source::Proto(compiled),
            (Registered::OpenApi(document), _) => Source::OpenApi(document.as_json()),
            (Registered::GraphQl { .. }, Some(introspection)) => Source::GraphQl(introspection),
            _ => continue,
        };
        sources.add(namespace, version, source);
        if let Some(reason) = &it.deprecation {
            sources.deprecate(namespace, version, reason);
        }
    }
    for (namespace, number) in stable {
        sources.stable(namespace.clone(), *number);
    }
    sources.schema(selection).map_err(|failures| {
        let first = failures.first().map(ToString::to_string);
        first.unwrap_or_default()
    })
}

/// The target of a service's calls.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) binding: Arc<Binding>,
    pub(super) grpc: HashMap<String, Arc<GrpcRoute>>,
    pub(super) http: HashMap<(String, String), Arc<Operation>>,
    pub(super) remote: Option<Remote>,
    /// Type names of a GraphQL service, and the gateway's names for them.
    names: HashMap<String, String>,
    upstream_names: HashMap<String, String>,
}

impl Graph {
    /// The graph of the mounted services; `None` if a gateway could not build one.
    pub(crate) fn new(mounted: &[Mounted], stable: &[(String, u64)]) -> Option<Self> {
        let schema = match schema_of(mounted, stable, &Selection::ALL) {
            Ok(schema) => schema,
            Err(why) => {
                tracing::warn!(why, "the embedded gateway cannot make a GraphQL schema");
                return None;
            }
        };
        let mut services: HashMap<_, _> = mounted
            .iter()
            .map(|it| (it.binding.key.clone(), Service::new(it)))
            .collect();
        for it in schema.types() {
            if let Origin::GraphQl {
                namespace,
                version,
                name,
            } = &it.origin
                && let Some(service) = services.get_mut(&(namespace.clone(), version.to_string()))
            {
                service.names.insert(name.clone(), it.name.clone());
                service.upstream_names.insert(it.name.clone(), name.clone());
            }
        }
        Some(Self { schema, services })
    }

    /// The schema's text for callers.
    pub(crate) fn sdl(&self) -> String {
        self.schema.to_string()
    }

    pub(super) fn service(&self, namespace: &str, version: Version) -> Option<&Service> {
        self.services
            .get(&(namespace.to_owned(), version.to_string()))
    }

    /// The member type of a union value: by its discriminator, else the first with all its required
    /// fields (graphql-oas-answer-oneof, graphql-oas-answer-anyof).
    pub(super) fn member(
        &self,
        union: &Type,
        members: &[&'_ Type],
        has: &dyn Fn(&str) -> bool,
        text: &dyn Fn(&str) -> Option<String>,
    ) -> Option<usize> {
        use tower_gwag_schema::graphql::Location;
        let Origin::OpenApi {
            namespace, version, ..
        } = &union.origin
        else {
            return None;
        };
        let service = self.service(namespace, *version)?;
        let Registered::OpenApi(document) = &service.binding.schema else {
            return None;
        };
        let declared = |of: &Type| match &of.location {
            Location::OpenApi(pointer) => {
                let declared = document.as_json().pointer(&pointer.to_string());
                declared.map(tower_gwag_schema::json::Value::to_serde)
            }
            _ => None,
        };
        let own = declared(union).unwrap_or_default();
        if let Some(property) = own
            .pointer("/discriminator/propertyName")
            .and_then(Json::as_str)
        {
            let said = text(property)?;
            let mapped = own
                .pointer("/discriminator/mapping")
                .and_then(|it| it.get(&said));
            let target = mapped.and_then(Json::as_str).unwrap_or(&said);
            let target = target.rsplit('/').next().unwrap_or_default();
            return members.iter().position(|it| {
                it.name == target
                    || matches!(&it.origin, Origin::OpenApi { name, .. } if name == target)
            });
        }
        members.iter().position(|it| {
            let declared = declared(it).unwrap_or_default();
            let required = declared["required"].as_array().cloned().unwrap_or_default();
            required.iter().filter_map(Json::as_str).all(has)
        })
    }
}

impl Service {
    fn new(mounted: &Mounted) -> Self {
        let (binding, pool) = (&mounted.binding, &mounted.pool);
        let name = binding.name();
        let grpc = binding.methods().into_iter().map(|(path, method)| {
            let (service, pool) = (name.clone(), Arc::clone(pool));
            (
                path.clone(),
                Arc::new(GrpcRoute {
                    service,
                    path,
                    method,
                    pool,
                }),
            )
        });
        let mut http = HashMap::new();
        let mut remote = None;
        match &binding.schema {
            Registered::OpenApi(document) => {
                let root = document.as_json();
                for it in document.operations() {
                    let declared = root.pointer(&it.pointer);
                    let operation = declared.and_then(|declared| {
                        Operation::new(&name, pool, root, &it.method, &it.path, declared)
                    });
                    if let Some(operation) = operation {
                        http.insert((it.method, it.path), Arc::new(operation));
                    }
                }
            }
            Registered::GraphQl { .. } => remote = Some(Remote::new(&name, pool)),
            Registered::Proto(_) | Registered::Internal => {}
        }
        Self {
            binding: Arc::clone(binding),
            grpc: grpc.collect(),
            http,
            remote,
            names: HashMap::new(),
            upstream_names: HashMap::new(),
        }
    }

    /// The service's own name for a type.
    pub(super) fn upstream_name(&self, name: &str) -> String {
        self.upstream_names
            .get(name)
            .map_or(name, |it| it)
            .to_owned()
    }

    /// A JSON text with the gateway's names in `__typename`; everything else stays as written.
    pub(super) fn with_own_names(&self, text: &str) -> String {
        const KEY: &str = "\"__typename\"";
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(KEY) {
            let (before, after) = rest.split_at(at + KEY.len());
            out.push_str(before);
            rest = after;
            let value = after.trim_start();
            let Some(value) = value.strip_prefix(':').map(str::trim_start) else {
                continue;
            };
            let Some(quoted) = value.strip_prefix('"') else {
                continue;
            };
            let Some(end) = quoted.find('"') else {
                continue;
            };
            if let Some(own) = self.names.get(&quoted[..end]) {
                out.push_str(&after[..after.len() - value.len()]);
                out.push('"');
                out.push_str(own);
                rest = &quoted[end..];
            }
        }
        out.push_str(rest);
        out
    }
}
