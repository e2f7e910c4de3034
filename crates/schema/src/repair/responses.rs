//! Adds an empty description to responses without one, because gateways require it.

use crate::json::{Map, Value};

use crate::openapi::METHODS;

pub(super) fn describe(root: &mut Value) -> Vec<String> {
    let mut count = 0;
    if let Some(Value::Object(responses)) = root.pointer_mut("/components/responses") {
        count += described(responses);
    }
    for key in ["paths", "webhooks"] {
        let items = root.get_mut(key).and_then(Value::as_object_mut);
        for (_, item) in items.into_iter().flatten() {
            for method in METHODS {
                let operation = item.get_mut(method);
                let responses = operation.and_then(|it| it.get_mut("responses"));
                if let Some(Value::Object(responses)) = responses {
                    count += described(responses);
                }
            }
        }
    }
    let told = (count > 0).then(|| match count {
        1 => "a response without a description got an empty one".to_owned(),
        count => format!("{count} responses without a description got an empty one"),
    });
    told.into_iter().collect()
}

/// Returns how many had none.
fn described(responses: &mut Map) -> usize {
    let entries = responses
        .iter_mut()
        .filter(|(key, _)| !key.starts_with("x-"));
    let responses = entries.filter_map(|(_, response)| response.as_object_mut());
    let lacking = responses.filter(|it| {
        let is_missing = |key: &str| it.get(key).is_none_or(Value::is_null);
        is_missing("description") && is_missing("$ref")
    });
    let lacking = lacking.map(|it| it.insert("description".to_owned(), "".into()));
    lacking.count()
}
