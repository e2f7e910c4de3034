//! What cargo tells a build script.

use std::path::PathBuf;

use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;

/// What cargo tells a build script. A change of it is another build to cargo, so that none of the
/// variables need be watched.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    /// Where bundles go.
    pub(super) out_dir: PathBuf,
    /// Where the crate's `Cargo.toml` is.
    pub(super) manifest_dir: PathBuf,
    pub(super) is_release: bool,
}

// === impl Environment ===

impl Environment {
    pub(super) fn of_cargo() -> Result<Self, Finding> {
        let variable = |name: &str| {
            std::env::var_os(name).ok_or_else(|| {
                let message = format!("`{name}` is not set, as cargo does it for build scripts");
                let finding = Finding::error(Rule::BuildScript, message);
                finding.help("call `tower_gwag_build::bundle` in build.rs")
            })
        };
        Ok(Self {
            out_dir: variable("OUT_DIR")?.into(),
            manifest_dir: variable("CARGO_MANIFEST_DIR")?.into(),
            // What is asked is whether the build is made for others, and not how fast it is: an
            // optimized dev profile is still one of development.
            is_release: variable("PROFILE")? == "release",
        })
    }
}
