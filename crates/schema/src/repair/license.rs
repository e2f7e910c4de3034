//! Removes a license without a name, because gateways require the name: utoipa writes one for every crate
//! that has no `license` in its Cargo.toml.

use crate::json::Value;

pub(super) fn drop_empty(root: &mut Value) -> Option<String> {
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
