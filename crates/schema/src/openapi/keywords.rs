//! Keywords of schemas that every reader of a document needs.

use crate::json::Value;

/// The names in `type`, which OpenAPI 3.1 allows to be several; `null` is one of them.
pub(crate) fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let of = schema.get("type");
    let several = of.and_then(Value::as_array).into_iter().flatten();
    of.and_then(Value::as_str)
        .into_iter()
        .chain(several.filter_map(Value::as_str))
}

/// The names of the properties that must be there.
pub(crate) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}
