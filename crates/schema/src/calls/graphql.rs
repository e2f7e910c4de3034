//! What happens to calls of the operations of a GraphQL service.

use super::feature::Feature;
use super::{Operation, Subject};
use crate::graphql::{Introspection, OperationKind, Schema, Target};

pub(crate) fn operations(
    (namespace, version): (&str, &str),
    introspection: &Introspection,
    schema: &Schema,
) -> Vec<Operation> {
    let addresses = super::graphql_addresses(schema);
    let found = introspection.operations().into_iter();
    let operations = found.map(|it| {
        let word = match it.kind {
            OperationKind::Query => "query",
            OperationKind::Mutation => "mutation",
            OperationKind::Subscription => "subscription",
        };
        let subject = |name: &String| Subject {
            name: name.clone(),
            location: it.location.clone(),
        };
        let location = it.location.clone();
        let name = format!("{word} {}", it.path.join(" "));
        let key = (
            it.kind,
            Target::GraphQl {
                path: it.path.clone(),
            },
        );
        let is_in_group = it.path.len() > 1;
        let field = it.path.last().cloned().unwrap_or_default();
        let path = format!("/api/ingress/{namespace}.{version}.Service/{field}?arg=…");
        let http = match it.kind {
            _ if is_in_group => None,
            OperationKind::Query => Some(format!("GET {path}")),
            OperationKind::Mutation => Some(format!("POST {}", path.trim_end_matches("?arg=…"))),
            OperationKind::Subscription => None,
        };
        let mut operation = Operation {
            name,
            location,
            grpc: None,
            http,
            graphql: addresses.get(&key).map(|it| it.0.clone()),
            seen: Vec::new(),
        };
        operation.see_itself(Feature::RemoteOverGrpc);
        if it.kind == OperationKind::Subscription {
            operation.see_itself(Feature::RemoteSubscription);
        } else if it.has_nested && operation.http.is_some() {
            operation.see_itself(Feature::NestedByHttp);
        }
        if it.kind == OperationKind::Mutation && it.has_arguments && operation.http.is_some() {
            operation.see_itself(Feature::MutationByHttp);
        }
        if it.is_opaque {
            operation.see_itself(Feature::Opaque);
        }
        operation.see(
            Feature::NestedArguments,
            it.nested_arguments.iter().map(subject).collect(),
        );
        operation.see(
            Feature::TypedVariables,
            it.typed_arguments.iter().map(subject).collect(),
        );
        operation.see(
            Feature::Interface,
            it.interfaces.iter().map(subject).collect(),
        );
        operation
    });
    operations.collect()
}
