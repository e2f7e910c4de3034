//! Checks proto files while a crate is built, and bundles them into it: for build scripts of
//! services that register with a gwag gateway through `tower-gwag`.
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
//! What `tower_gwag::Options::check` would find in the files fails the build, each finding with file, line and column; warnings are warnings of cargo. The build script runs again
//! when one of the files that were read changes. An include directory is not watched as a whole: a
//! new file in it that stands before an imported one of a later directory is seen by the next build
//! that has another reason.
//!
//! # The lock file
//!
//! A gateway takes no other schema under a `vN` that is registered, and comments and white space
//! count. So `gwag.lock`, beside `Cargo.toml`, has a line for each `vN`: namespace, version and
//! hash of the schema. Commit it. A version that is not there is added. When the schema of one that
//! is there changes, a debug build warns, and a release build fails: cut the next version, or use
//! `unstable`, which is never locked. Lines of older versions stay. To change a `vN` that was never
//! released, remove its line.
//!
//! A release build is one whose profile is `release` or inherits it. Where the source cannot be
//! written, or is a copy that cargo packaged, a missing line is a warning.

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

/// Checks a proto file with all that it imports, and bundles it for `tower_gwag::include_bundle!`
/// under the stem of its name.
///
/// Paths are relative to the directory of `Cargo.toml`. The entry file lies under one of the
/// include directories, in which imports are searched in order. The namespace is the stem, too, and
/// the version `v1`; [`Bundle`] says anything else.
///
/// # Errors
///
/// The files break a rule, a `vN` changed (see the [module](self)), or the bundle cannot be
/// written. Cargo is told every fault with its place; the error shows all of them again.
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
