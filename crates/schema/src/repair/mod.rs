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

use std::collections::HashMap;

use crate::finding::Finding;
use crate::finding::Rule;
use crate::json::Value;

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

#[cfg(test)]
mod tests;
