//! The output lines of a build script for cargo.

use std::path::Path;

use tower_gwag_schema::finding::Finding;

/// Makes cargo run the build script again when the file changes.
///
/// Only for existing files: to cargo, a missing file has changed in every build. A failed build script
/// runs again anyway.
pub(super) fn rerun_if_changed(file: &Path) -> String {
    format!("cargo::rerun-if-changed={}", file.display())
}

/// An error or a warning, with its place first so that editors can jump to it.
pub(super) fn tell(finding: &Finding) -> String {
    let severity = finding.severity();
    let directive = match finding.is_error() {
        true => "error",
        false => "warning",
    };
    let rule = finding.rule();
    let mut line = format!("{severity}[{rule}]: ");
    if let Some(service) = finding.service() {
        line += &format!("service `{service}`: ");
    }
    line += finding.message();
    if let Some(remedy) = finding.remedy() {
        line += &format!("; help: {remedy}");
    }
    let places = [finding.line(), finding.column()].into_iter().flatten();
    let place = finding.file().map(|file| {
        places.fold(file.to_owned(), |place, number| format!("{place}:{number}")) + ": "
    });
    // A directive is a single line.
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("cargo::{directive}={}{line}", place.unwrap_or_default())
}
