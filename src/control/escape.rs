//! Makes a peer's text safe for logs and errors.

use std::fmt::Write as _;

use tower_gwag_schema::redact::redacted;

/// The length in characters at which a text is cut.
const LONGEST: usize = 300;

/// Makes a peer's text safe for a terminal or a log: escapes everything that could alter the
/// terminal or forge a log line, removes secrets from URLs, and cuts a long text after 300
/// characters.
///
/// # Examples
///
/// ```
/// use tower_gwag::control::escaped;
///
/// assert_eq!(escaped("line 1\nline 2"), "line 1\\nline 2");
/// ```
#[must_use]
pub fn escaped(text: &str) -> String {
    // No more of a long text can be shown.
    let head: String = text.chars().take(2 * LONGEST).collect();
    let masked = redacted(&head);
    let mut escaped = String::with_capacity(text.len().min(LONGEST));
    for (count, c) in masked.chars().enumerate() {
        if count == LONGEST {
            // Writing to a `String` does not fail.
            let _ = write!(escaped, "… ({} bytes in all)", text.len());
            break;
        }
        match c {
            '"' | '\'' | '\\' => escaped.push(c),
            // `escape_debug` covers invisible characters and those that change the text direction.
            _ => escaped.extend(c.escape_debug()),
        }
    }
    escaped
}

/// The same for texts that should be plain, such as names and hashes; in place.
pub(super) fn make_plain(text: &mut String) {
    if text.len() > LONGEST || text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        *text = escaped(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_cut() {
        assert_eq!(escaped("kv put: \"a\" é"), "kv put: \"a\" é");
        assert_eq!(
            escaped("a\nERROR b\u{1b}[2J\u{202e}"),
            "a\\nERROR b\\u{1b}[2J\\u{202e}"
        );
        let long = escaped(&"é".repeat(10_000));
        assert!(long.chars().count() < 340, "{long}");
        assert!(long.ends_with("… (20000 bytes in all)"), "{long}");
    }
}
