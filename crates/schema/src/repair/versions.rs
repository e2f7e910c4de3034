//! Turns versions that YAML reads as numbers, because they are not quoted, into strings.

use crate::json::Value;

pub(super) fn quote(root: &mut Value) -> Vec<String> {
    let mut done = Vec::new();
    for (pointer, name) in [("/openapi", "openapi"), ("/info/version", "info.version")] {
        if let Some(value @ Value::Number(_)) = root.pointer_mut(pointer) {
            let text = value.to_string();
            done.push(format!("the number {text} of `{name}` became text"));
            *value = text.into();
        }
    }
    done
}
