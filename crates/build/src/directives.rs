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

/// A warning, with its place first so that editors can jump to it.
pub(super) fn warn(finding: &Finding) -> String {
    format!("cargo::warning={}", line(finding))
}

/// Fails the build, even if the build script drops the error that it got. Cargo repeats the whole output of
/// a build script that fails, so the errors themselves are only in that error, which `main` prints with
/// their source lines.
pub(super) fn fail(errors: usize) -> String {
    let errors = match errors {
        1 => "1 error".to_owned(),
        errors => format!("{errors} errors"),
    };
    format!(
        "cargo::error={errors} in what is to be bundled: the error of the build script has the details"
    )
}

/// A finding in a single line, as a directive must be.
pub(super) fn line(finding: &Finding) -> String {
    let (severity, rule) = (finding.severity(), finding.rule());
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
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{}{line}", place.unwrap_or_default())
}
