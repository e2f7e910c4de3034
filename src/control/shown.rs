//! What a peer said, made fit for logs and errors.

use std::fmt::Write as _;

use tower_gwag_schema::masked::masked;

/// In characters, after which a text is cut.
const LONGEST: usize = 300;

/// What a peer said, made fit for a terminal or a log: everything is escaped that could change the
/// one or forge a line of the other, URLs are without their secrets, and a long text is cut after 300
/// characters.
#[must_use]
pub fn shown(text: &str) -> String {
    // Of a long text only so much can be shown.
    let head: String = text.chars().take(2 * LONGEST).collect();
    let masked = masked(&head);
    let mut shown = String::with_capacity(text.len().min(LONGEST));
    for (count, c) in masked.chars().enumerate() {
        if count == LONGEST {
            // Formatting into a string does not fail.
            let _ = write!(shown, "… ({} bytes in all)", text.len());
            break;
        }
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            // It knows which characters cannot be seen, or change the direction of others.
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// Makes a text so where it is not plain, as names and hashes are.
pub(super) fn make_plain(text: &mut String) {
    if text.len() > LONGEST || text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        *text = shown(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_cut() {
        assert_eq!(shown("kv put: \"a\" é"), "kv put: \"a\" é");
        assert_eq!(
            shown("a\nERROR b\u{1b}[2J\u{202e}"),
            "a\\nERROR b\\u{1b}[2J\\u{202e}"
        );
        let long = shown(&"é".repeat(10_000));
        assert!(long.chars().count() < 340, "{long}");
        assert!(long.ends_with("… (20000 bytes in all)"), "{long}");
    }
}
