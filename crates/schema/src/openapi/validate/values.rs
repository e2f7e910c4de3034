//! Plain values: whether they fit a shape, and what findings call it.

use crate::json::Value;

use super::kinds::Shape;

/// Whether a value fits a shape that is not an object of some kind.
pub(super) fn fits(shape: Shape, value: &Value) -> bool {
    match (shape, value) {
        (_, Value::Null) | (Shape::Any, _) => true,
        (Shape::Text, Value::String(_)) | (Shape::Flag | Shape::Bound, Value::Bool(_)) => true,
        (Shape::Number | Shape::Bound, Value::Number(_)) | (Shape::AnyList, Value::Array(_)) => {
            true
        }
        (Shape::AnyMap, Value::Object(_)) | (Shape::Types, Value::String(_)) => true,
        (Shape::Count, Value::Number(number)) => {
            number.is_u64() || number.as_f64().is_some_and(is_count)
        }
        (Shape::Texts | Shape::Types, Value::Array(items)) => items.iter().all(is_text),
        (Shape::TextMap, Value::Object(entries)) => entries.values().all(is_text),
        (Shape::TextsMap, Value::Object(entries)) => {
            entries.values().all(|it| fits(Shape::Texts, it))
        }
        (Shape::Requirements, Value::Array(items)) => {
            items.iter().all(|it| fits(Shape::TextsMap, it))
        }
        _ => false,
    }
}

fn is_text(value: &Value) -> bool {
    value.is_string() || value.is_null()
}

/// Numbers from 10²¹ on are printed with an exponent and no longer count as integers.
fn is_count(number: f64) -> bool {
    number.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(&number)
}

/// The name of a shape in findings.
pub(super) const fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::Any => "anything",
        Shape::Text => "a text",
        Shape::Texts => "a list of texts",
        Shape::TextMap => "an object of texts",
        Shape::TextsMap => "an object of lists of texts",
        Shape::Requirements => "a list of objects such as `api_key: []`",
        Shape::Types => "a text or a list of texts",
        Shape::Flag => "true or false",
        Shape::Number => "a number",
        Shape::Count => "a whole number that is not negative",
        Shape::Bound => "a number, true or false",
        Shape::AnyList | Shape::Many(_) => "a list",
        Shape::AnyMap | Shape::Named(_) | Shape::One(_) => "an object",
        Shape::FlagOr(_) => "an object, true or false",
    }
}

/// The remedy for a value that does not fit.
pub(super) const fn help(shape: Shape, value: &Value) -> &'static str {
    match (shape, value) {
        (Shape::Text, Value::Number(_) | Value::Bool(_)) => {
            "put it in quotes: YAML takes it for something else"
        }
        (Shape::Flag | Shape::Number | Shape::Count | Shape::Bound, Value::String(_)) => {
            "take the quotes away"
        }
        (Shape::Texts | Shape::AnyList, Value::String(_)) => "put it in brackets",
        _ => "correct it, or leave it out",
    }
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    #[test]
    fn values_have_their_types() {
        for (shape, good, bad) in [
            (
                Shape::Text,
                json!(["a", "", null]),
                json!([1, true, [], {}]),
            ),
            (Shape::Flag, json!([true, null]), json!(["true", 0])),
            (Shape::Number, json!([1, -1.5]), json!(["1", true])),
            (
                Shape::Count,
                json!([0, 1, 2.0, 1e3]),
                json!([-1, 1.5, "1", 1e20]),
            ),
            (Shape::Bound, json!([1, true]), json!(["1", []])),
            (Shape::Types, json!(["a", ["a", null], []]), json!([1, [1]])),
            (
                Shape::Texts,
                json!([["a"], [], [null]]),
                json!(["a", [1], {}]),
            ),
            (
                Shape::TextMap,
                json!([{}, {"a": "b"}, {"a": null}]),
                json!([{"a": 1}, "a", []]),
            ),
            (
                Shape::Requirements,
                json!([[], [{}], [{"a": []}], [{"a": null}]]),
                json!([{}, [{"a": "b"}]]),
            ),
            (Shape::AnyMap, json!([{"a": 1}]), json!([[], 1])),
        ] {
            for value in good.as_array().unwrap() {
                assert!(fits(shape, value), "{shape:?} {value}");
            }
            for value in bad.as_array().unwrap() {
                assert!(!fits(shape, value), "{shape:?} {value}");
            }
        }
    }
}
