//! Repairs an OpenAPI document without changing the HTTP API.

mod operations;
mod parameters;
mod schemas;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::HashMap;

use crate::finding::{Finding, Rule};
use crate::json::{Map, Value};
use crate::openapi::METHODS;

/// Repairs what it can; returns the changes as findings.
pub(crate) fn repair(version: &str, root: &mut Value) -> Vec<Finding> {
    let mut done = quote_versions(root);
    done.extend(drop_empty_license(root));
    done.extend(describe_responses(root));
    done.extend(schemas::rename_components(root));
    done.extend(schemas::loosen_enums(root));
    done.extend(operations::part_twins(root));
    // Before the operations, whose ids are derived from paths.
    done.extend(parameters::rename(root));
    // After the twins, which may use the path's parameters, and after the renaming.
    done.extend(operations::hand_down_parameters(root));
    done.extend(operations::name_operations(version, root));
    let findings = done.into_iter();
    findings
        .map(|text| Finding::warning(Rule::OpenApiRepaired, text))
        .collect()
}

/// The finding about dates and times that are read as written.
pub(crate) fn times() -> Finding {
    let text = "dates and times without quotes became text";
    Finding::warning(Rule::OpenApiRepaired, text)
}

/// Finds names that are not taken.
#[derive(Default)]
struct FreeNames {
    /// The number after which the next one of a name is looked for, if many are taken.
    last: HashMap<String, u64>,
}

/// How many numbers are tried from the first on.
const MOST_TRIED: u64 = 16;

impl FreeNames {
    /// The first of `name`, `name_2`, `name_3` … that is free. Where many names are taken, it goes on behind
    /// the last one that it found, so that thousands of equal names take no time.
    fn find(&mut self, name: &str, is_free: impl Fn(&str) -> bool) -> String {
        let mut free = name.to_owned();
        let mut number = 1_u64;
        while !is_free(&free) {
            if number == MOST_TRIED {
                number = self.last.get(name).copied().unwrap_or(number);
            }
            number += 1;
            free = format!("{name}_{number}");
        }
        if number > MOST_TRIED {
            self.last.insert(name.to_owned(), number);
        }
        free
    }
}

/// Turns versions that YAML reads as numbers, because they are not quoted, into strings.
fn quote_versions(root: &mut Value) -> Vec<String> {
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

/// Removes a license without a name, because gateways require the name: utoipa writes one for every crate
/// that has no `license` in its Cargo.toml.
fn drop_empty_license(root: &mut Value) -> Option<String> {
    let info = root.get_mut("info")?.as_object_mut()?;
    let license = info.get("license")?.as_object()?;
    let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
    // Otherwise its other content would be lost.
    if !license.values().all(is_empty) {
        return None;
    }
    info.remove("license");
    Some("the license, which has no name, was left out".to_owned())
}

/// Adds an empty description to responses without one, because gateways require it.
fn describe_responses(root: &mut Value) -> Vec<String> {
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
