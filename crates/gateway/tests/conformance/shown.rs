//! What a test shows even when it passes.

use std::io::Write;

/// Not by `println!`, which is shown only for tests that fail.
pub(crate) fn show(text: impl std::fmt::Display) {
    // A closed output is no fault of what is tested.
    let _ = writeln!(std::io::stderr(), "{text}");
}
