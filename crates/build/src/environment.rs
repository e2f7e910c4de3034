//! Cargo's environment variables for build scripts.

use std::path::PathBuf;

use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;

/// Cargo's environment variables for build scripts. To cargo, a change of them is a different build, so
/// none of them needs a rerun directive.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    /// The directory for bundles.
    pub(super) out_dir: PathBuf,
    /// The directory of the crate's `Cargo.toml`.
    pub(super) manifest_dir: PathBuf,
    pub(super) is_release: bool,
}

// === impl Environment ===

impl Environment {
    pub(super) fn of_cargo() -> Result<Self, Finding> {
        let variable = |name: &str| {
            std::env::var_os(name).ok_or_else(|| {
                let message =
                    format!("`{name}` is not set, although cargo sets it for build scripts");
                let finding = Finding::error(Rule::BuildScript, message);
                finding.help("call `tower_gwag_build::bundle` in build.rs")
            })
        };
        Ok(Self {
            out_dir: variable("OUT_DIR")?.into(),
            manifest_dir: variable("CARGO_MANIFEST_DIR")?.into(),
            // The question is whether the build is meant for release, not how fast it is: an optimized dev
            // profile is still a development profile.
            is_release: variable("PROFILE")? == "release",
        })
    }
}
