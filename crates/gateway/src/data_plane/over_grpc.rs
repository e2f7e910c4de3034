//! OpenAPI operations called over gRPC: the fields of the request are the parameters and the body,
//! the answer is read as JSON and converted to a message.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use prost_reflect::DynamicMessage;
use tonic::{Code, Status};

use super::Fault;
use super::fatal_calls::Ingress;
use super::json::{self, Value};
use super::message::{self, Deadly, Misfit};
use super::openapi_services::{self, Arguments, BodyKind, Content, FormPart};
use crate::node::life::Life;
use crate::registry::routes::OperationRoute;

/// Calls an operation. None of the caller's metadata is forwarded, not even tracing headers.
pub(super) async fn call(
    life: &Arc<Life>,
    route: &OperationRoute,
    request: &DynamicMessage,
) -> Result<DynamicMessage, Status> {
    let arguments = arguments(route, request).map_err(|field| died(life, route, &field))?;
    let answer = openapi_services::call(life, &route.operation, arguments, &HeaderMap::new()).await;
    let answer = answer.map_err(|fault| status_of(&fault))?;
    let output = route.method.output();
    let empty = || DynamicMessage::new(output.clone());
    if answer.is_empty() {
        return Ok(empty());
    }
    let value = json::whole(&answer).and_then(Value::with_doubles);
    let value =
        value.map_err(|why| Status::internal(format!("openapi: decode response: {why}")))?;
    let values = match value {
        Value::Null => return Ok(empty()),
        value if route.is_wrapped => BTreeMap::from([("value".to_owned(), value)]),
        Value::Object(values) => values,
        other => {
            let (found, wanted) = (other.type_name(), output.full_name());
            let text = format!("ingress: cannot project {found} into {wanted}");
            return Err(Status::internal(text));
        }
    };
    message::from_values(&output, &values).map_err(|misfit| match misfit {
        Misfit::Text(text) => Status::internal(text),
        Misfit::Deadly(Deadly(field)) => died(life, route, &field),
    })
}

/// A map, in the request or the answer, ends a real gateway.
fn died(life: &Life, route: &OperationRoute, field: &str) -> Status {
    let reason = format!("over gRPC it cannot carry a map, which {field} is");
    life.fatal.note(Ingress::Grpc, &route.path, &reason)
}

/// The values of the fields, by their lowerCamel names: parameters with other names are never sent.
fn arguments(route: &OperationRoute, request: &DynamicMessage) -> Result<Arguments, String> {
    let values = message::to_value(request).map_err(|Deadly(field)| field)?;
    let Value::Object(mut values) = values else {
        return Ok(Arguments::default());
    };
    let operation = &route.operation;
    let mut arguments = Arguments {
        body: match operation.body {
            BodyKind::Json => values.remove("body").map(Content::Json),
            BodyKind::None | BodyKind::Multipart => None,
        },
        ..Arguments::default()
    };
    for name in operation.path_names() {
        if let Some(value) = values.remove(name) {
            let value = value.plain().into_bytes();
            arguments.path.insert(name.to_owned(), value);
        }
    }
    for name in operation.query_names() {
        if let Some(value) = values.remove(name) {
            arguments.query.insert(name.to_owned(), value);
        }
    }
    if operation.body == BodyKind::Multipart {
        let parts = values.into_iter().map(|(name, value)| FormPart {
            name,
            file: None,
            data: Bytes::from(value.plain()),
        });
        arguments.body = Some(Content::Multipart(parts.collect()));
    }
    Ok(arguments)
}

fn status_of(fault: &Fault) -> Status {
    let code = match fault.code {
        Some("INVALID_ARGUMENT") => Code::InvalidArgument,
        Some("UNAUTHENTICATED") => Code::Unauthenticated,
        Some("PERMISSION_DENIED") => Code::PermissionDenied,
        Some("NOT_FOUND") => Code::NotFound,
        Some("RESOURCE_EXHAUSTED") => Code::ResourceExhausted,
        _ => Code::Internal,
    };
    Status::new(code, fault.text.clone())
}
