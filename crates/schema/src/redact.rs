//! Redacts URLs for errors and logs: without user info and without the query, either of which may be a
//! secret.

use std::ops::Range;

/// The parts of a URL, or of an address without a scheme, that may be secret.
fn secrets(url: &str) -> impl Iterator<Item = Range<usize>> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let rest = &url[start..];
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    // If it is not percent-encoded as it should be, a password may contain any character.
    let user = match authority.rfind('@') {
        None if !is_host_and_port(authority) => rest.rfind('@'),
        at => at,
    };
    let after = start + user.unwrap_or(0);
    let query = url[after..].find('?').map(|at| after + at + 1);
    let query = query.map(|from| from..url.len());
    let user = user.map(|at| start..start + at);
    [user, query]
        .into_iter()
        .flatten()
        .filter(|it| !it.is_empty())
}

fn is_host_and_port(authority: &str) -> bool {
    match authority.rsplit_once(':') {
        Some((_, port)) => authority.ends_with(']') || port.bytes().all(|it| it.is_ascii_digit()),
        None => true,
    }
}

/// A URL, or an address without a scheme, with its secrets removed.
#[must_use]
pub fn redacted_url(url: &str) -> String {
    let mut redacted = String::with_capacity(url.len());
    let mut from = 0;
    for secret in secrets(url) {
        redacted.push_str(&url[from..secret.start]);
        redacted.push_str("***");
        from = secret.end;
    }
    redacted.push_str(&url[from..]);
    redacted
}

/// Redacts all URLs in a text that have a scheme.
#[must_use]
pub fn redacted(text: &str) -> String {
    with_urls(text, redacted_url)
}

/// As [`redacted`], but keeps the number of characters, so that columns still match.
#[must_use]
pub fn redacted_in_place(text: &str) -> String {
    with_urls(text, |url| {
        let mut redacted = url.to_owned();
        // From the end, because replacing changes the number of bytes.
        let all: Vec<_> = secrets(url).collect();
        for secret in all.into_iter().rev() {
            let stars = "*".repeat(url[secret.clone()].chars().count());
            redacted.replace_range(secret, &stars);
        }
        redacted
    })
}

fn with_urls(text: &str, change: impl Fn(&str) -> String) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
        let start = rest[..at].trim_end_matches(is_of_scheme).len();
        let quote = rest[..start].chars().next_back();
        let quoted = quote.filter(|it| "`\"'".contains(*it));
        let quoted = quoted.and_then(|it| rest[at..].find(it));
        let plain = || rest[at..].find(|c: char| c.is_whitespace() || "`\"'<>),;".contains(c));
        let end = quoted.or_else(plain).map_or(rest.len(), |it| at + it);
        changed.push_str(&rest[..start]);
        changed.push_str(&change(&rest[start..end]));
        rest = &rest[end..];
    }
    changed.push_str(rest);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_calls_and_queries_are_not_shown() {
        for (text, shown) in [
            ("gateway:50090", "gateway:50090"),
            ("u:p@gateway:50090", "***@gateway:50090"),
            ("http://u:p@gateway:1/x", "http://***@gateway:1/x"),
            ("http://u:p/q?r@s@gateway:1", "http://***@gateway:1"),
            ("https://a/@scope/v2?key=s#f", "https://a/@scope/v2?***"),
            ("http://[::1]:80/@x", "http://[::1]:80/@x"),
            ("http://a:80/x?to=me@b", "http://a:80/x?***"),
            ("/graphql?token=s", "/graphql?***"),
            ("http://***@a?***", "http://***@a?***"),
            ("http://é:é@ä/?é", "http://***@ä/?***"),
            ("", ""),
        ] {
            assert_eq!(redacted_url(text), shown);
        }
    }

    #[test]
    fn urls_in_a_text_are_redacted_to_their_ends() {
        for (text, shown) in [
            ("no URL: a@b ? c", "no URL: a@b ? c"),
            (
                "introspect http://u:p@a/q?t=1: refused, and https://u@b.",
                "introspect http://***@a/q?*** refused, and https://***@b.",
            ),
            ("`http://u:my pass@a` does", "`http://***@a` does"),
            (
                "Post \"http://u:p@a/q?t\": EOF",
                "Post \"http://***@a/q?***\": EOF",
            ),
            ("an open `http://u:p@a quote", "an open `http://***@a quote"),
        ] {
            assert_eq!(redacted(text), shown);
            assert_eq!(redacted(&redacted(text)), shown);
            assert_eq!(
                redacted_in_place(text).chars().count(),
                text.chars().count()
            );
        }
        assert_eq!(
            redacted_in_place("a http://ü:p@b/?q \u{1f600}"),
            "a http://***@b/?* \u{1f600}"
        );
    }
}
