//! String literals: JSON, GraphQL, proto and Go have these escapes in common.

/// Appends the inside of a string literal; `rest` writes the characters that are written differently in
/// each language.
pub fn escape(text: &str, out: &mut String, mut rest: impl FnMut(char, &mut String)) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => rest(c, out),
        }
    }
}
