//! The repository itself: generated code, crates, and what the layer costs.

#[path = "../support/golden.rs"]
mod golden;
#[path = "../support/mod.rs"]
mod support;

mod allocations;
mod codegen;
mod counter;
mod examples;
mod kubernetes;
mod layout;
mod manual;
mod messages;
mod registers;
mod rooms;
mod texts;
mod two_clusters;

use std::path::{Path, PathBuf};

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The source files of the layer in order, without tests and generated code.
fn sources() -> Vec<PathBuf> {
    sources_in(&root().join("src"))
}

/// The same of any folder.
fn sources_in(folder: &Path) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" && name != "generated.rs" {
                sources.push(path);
            }
        }
    }
    sources.sort();
    sources
}
