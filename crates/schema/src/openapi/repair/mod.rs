//! Repairs an OpenAPI document without changing the HTTP API.

mod components;
mod enums;
mod license;
mod operations;
mod parameters;
mod responses;
mod shared;
mod twins;
mod versions;
mod walk;

use serde_json::Value;

use crate::finding::Finding;
use crate::finding::Rule;

/// Repairs what it can; returns the changes as findings.
pub(crate) fn repair(version: &str, root: &mut Value) -> Vec<Finding> {
    let mut done = versions::quote(root);
    done.extend(license::drop_empty(root));
    done.extend(responses::describe(root));
    done.extend(components::rename(root));
    done.extend(enums::loosen(root));
    done.extend(twins::part(root));
    // Before the operations, whose ids are derived from paths.
    done.extend(parameters::rename(root));
    // After the twins, which may use the path's parameters, and after the renaming.
    done.extend(shared::hand_down(root));
    done.extend(operations::name(version, root));
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

/// The first of `name`, `name_2`, `name_3` … that is free.
fn free_name(name: &str, is_free: impl Fn(&str) -> bool) -> String {
    let mut free = name.to_owned();
    let mut number = 1_u64;
    while !is_free(&free) {
        number += 1;
        free = format!("{name}_{number}");
    }
    free
}

#[cfg(test)]
mod tests;
