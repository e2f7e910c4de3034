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
    let mut sources = all_sources_in(folder);
    sources.retain(|path| {
        let inside = path.strip_prefix(folder).expect("inside");
        let is_generated = inside.ends_with("generated.rs");
        !is_generated && !inside.ends_with("tests.rs") && !inside.iter().any(|it| it == "tests")
    });
    sources
}

/// The source files of a folder in order, whatever they are.
fn all_sources_in(folder: &Path) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                sources.push(path);
            }
        }
    }
    sources.sort();
    sources
}
