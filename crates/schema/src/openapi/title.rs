//! Finds the title of an OpenAPI document, from which a gateway derives the namespace.

/// `info.title` of a JSON document, or of a YAML document in block style; `None` if it is missing
/// or too complex to read without a YAML parser.
pub(crate) fn title(document: &[u8]) -> Option<String> {
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(document) {
        return json["info"]["title"].as_str().map(str::to_owned);
    }
    yaml_title(std::str::from_utf8(document).ok()?)
}

fn yaml_title(text: &str) -> Option<String> {
    let mut lines = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim_start().starts_with('#') && !line.is_empty())
        .skip_while(|line| !is_key(line, "info"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .peekable();
    // Only keys of `info` itself count, not those of `contact` or `license` below it.
    let indent = lines.peek().map(|line| indent_of(line))?;
    lines
        .filter(|line| indent_of(line) == indent)
        .find_map(|line| line.trim_start().strip_prefix("title:").map(scalar))
        .flatten()
}

fn is_key(line: &str, key: &str) -> bool {
    line.strip_prefix(key)
        .and_then(|rest| rest.trim_start().strip_prefix(':'))
        .is_some_and(|rest| rest.is_empty() || rest.trim_start().starts_with('#'))
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// A plain or quoted scalar on one line; `None` for anything else (blocks, anchors, escapes).
fn scalar(text: &str) -> Option<String> {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (inner, rest) = quoted.split_once(quote)?;
            let plain = !inner.contains('\\')
                && (rest.trim().is_empty() || rest.trim_start().starts_with('#'));
            return plain.then(|| inner.to_owned());
        }
    }
    let plain = text.split(" #").next().unwrap_or(text).trim();
    let is_plain = !plain.is_empty() && !plain.starts_with(['|', '>', '&', '*', '!', '{', '[']);
    is_plain.then(|| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_json_and_plain_yaml_are_found() {
        for (document, expected) in [
            (r#"{"info":{"title":"Pets"}}"#, Some("Pets")),
            (r#"{"info":{}}"#, None),
            (
                "openapi: 3.0.3\ninfo:\n  version: '1'\n  title: Pet Store # x\npaths: {}\n",
                Some("Pet Store"),
            ),
            (
                "# c\ninfo:\n  contact:\n    title: no\n  title: \"A: b\"\n",
                Some("A: b"),
            ),
            (
                "info:\n  contact:\n    title: no\npaths: {}\ntitle: no\n",
                None,
            ),
            ("info:\n  title: >\n    folded\n", None),
            ("info: {title: x}\n", None),
            ("\u{1}", None),
        ] {
            assert_eq!(
                title(document.as_bytes()).as_deref(),
                expected,
                "{document}"
            );
        }
    }
}
