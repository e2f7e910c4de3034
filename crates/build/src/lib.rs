//! Checks proto files while a crate is built, and bundles them into it: for build scripts of
//! services that use `tower-gwag` to register with a gwag gateway.
//!
//! ```toml
//! [dependencies]
//! tower-gwag = "0.1"
//! [build-dependencies]
//! tower-gwag-build = "0.1"
//! ```
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), tower_gwag_build::CheckError> {
//!     tower_gwag_build::bundle("proto/greeter.proto", ["proto"])
//! }
//! ```
//!
//! ```ignore
//! // main.rs
//! let greeter = Service::proto_bundle(tower_gwag::include_bundle!("greeter"));
//! ```
//!
//! Whatever `tower_gwag::Options::check` would find in the files fails the build, each finding with
//! file, line and column; without an error, warnings become cargo warnings. The build script runs again when one of the
//! files it read changes. Include directories are not watched as a whole: if a new file shadows an import
//! found in a later directory, cargo notices only when the build script runs again for another reason.
//!
//! # The lock file
//!
//! A gateway refuses a different schema under a `vN` that is registered, and comments and white
//! space count. So `gwag.lock`, beside `Cargo.toml`, has a line for each `vN`: namespace, version
//! and hash of the schema. Commit it. The build adds versions that are missing. If the schema of a
//! locked version changes, a debug build warns and a release build fails: register the next
//! version, or use `unstable`, which is never locked. Lines of older versions stay. To change a
//! `vN` that was never released, remove its line.
//!
//! A release build is one whose profile is `release` or inherits it. If the source directory is
//! read-only, or a copy that cargo packaged, a missing line is only a warning.

mod bundle;
mod directives;
mod environment;
pub mod lock;
mod lock_file;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use bundle::Bundle;
pub use prost_types::FileDescriptorSet;
pub use tower_gwag_schema::{CheckError, Finding, Findings, Rule, Version, VersionText};

/// Checks a proto file with all its imports, and bundles it for `tower_gwag::include_bundle!` under
/// the stem of its name.
///
/// Paths are relative to the directory of `Cargo.toml`. The entry file lies under one of the
/// include directories, which are searched for imports in order. The namespace is the stem, too, and
/// the version is `v1`; use [`Bundle`] to change either.
///
/// # Errors
///
/// The files break a rule, a `vN` changed (see the [module](self)), or the bundle cannot be
/// written. The returned error has them all, each with its place, its line and its remedy: return it from
/// `main`, or unwrap it. The build fails even if it is dropped.
///
/// # Examples
///
/// ```no_run
/// fn main() -> Result<(), tower_gwag_build::CheckError> {
///     tower_gwag_build::bundle("proto/greeter.proto", ["proto"])
/// }
/// ```
pub fn bundle<P: AsRef<Path>>(
    entry: impl AsRef<Path>,
    includes: impl IntoIterator<Item = P>,
) -> Result<(), CheckError> {
    Bundle::new(entry, includes).write()
}

/// As [`bundle`], and returns the descriptors for `tonic_prost_build::compile_fds`: schema and Rust code
/// from one build script, without protoc.
///
/// # Errors
///
/// As [`bundle`].
///
/// # Examples
///
/// ```ignore
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let descriptors = tower_gwag_build::compile("proto/greeter.proto", ["proto"])?;
///     tonic_prost_build::compile_fds(descriptors)?;
///     Ok(())
/// }
/// ```
pub fn compile<P: AsRef<Path>>(
    entry: impl AsRef<Path>,
    includes: impl IntoIterator<Item = P>,
) -> Result<FileDescriptorSet, CheckError> {
    Bundle::new(entry, includes).compile()
}
