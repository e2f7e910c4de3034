//! Gives paths that share their operations with another path by `$ref` their own copy, because operations
//! are identified by their ids.

use std::collections::BTreeSet;

use crate::json::Value;

use crate::openapi::references::path_item;

pub(super) fn part(root: &mut Value) -> Vec<String> {
    let mut held = BTreeSet::new();
    let mut twins = Vec::new();
    let Some(Value::Object(paths)) = root.get("paths") else {
        return Vec::new();
    };
    // Paths with operations of their own keep them.
    let (own, shared): (Vec<_>, Vec<_>) = paths
        .iter()
        .map(|(path, item)| (path, item, path_item(root, path, item)))
        .partition(|(_, item, (target, _))| std::ptr::eq(*item, *target));
    held.extend(own.into_iter().map(|(_, _, (_, pointer))| pointer));
    for (path, _, (target, pointer)) in shared {
        if !held.insert(pointer) {
            twins.push((path.clone(), target.clone()));
        }
    }
    let Some(Value::Object(paths)) = root.get_mut("paths") else {
        return Vec::new();
    };
    let parted = twins.into_iter().map(|(path, item)| {
        let told = format!("the path `{path}` got its own copy of the operations that it shared");
        paths.insert(path, item);
        told
    });
    parted.collect()
}
