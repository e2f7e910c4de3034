//! Which strings gateways accept as URLs.

/// The fault of a URL; reports only what is certain.
pub(super) fn fault(url: &str) -> Option<&'static str> {
    if url.chars().any(|c| c.is_ascii_control()) {
        return Some("has control characters");
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    if !has_whole_escapes(fragment) {
        return Some("has a `%` that is no escape");
    }
    if rest.starts_with(':') {
        return Some("has no scheme before the colon");
    }
    let scheme = scheme(rest);
    let rest = scheme.map_or(rest, |scheme| &rest[scheme.len() + 1..]);
    let (rest, _) = rest.split_once('?').unwrap_or((rest, ""));
    if !rest.starts_with('/') {
        if scheme.is_some() {
            return None;
        }
        let first = rest.split('/').next().unwrap_or_default();
        if first.contains(':') {
            return Some("has a colon in its first part");
        }
    }
    let authority = rest.strip_prefix("//").filter(|it| !it.starts_with('/'));
    let path = match authority {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            if let Some(fault) = host_fault(host) {
                return Some(fault);
            }
            &rest[end..]
        }
        None => rest,
    };
    (!has_whole_escapes(path)).then_some("has a `%` that is no escape")
}

/// Whether it starts with a scheme, as an absolute URL does.
pub(super) fn is_absolute(url: &str) -> bool {
    scheme(url).is_some()
}

fn scheme(url: &str) -> Option<&str> {
    let end = url.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))?;
    let is_scheme =
        url[end..].starts_with(':') && url.starts_with(|c: char| c.is_ascii_alphabetic());
    is_scheme.then(|| &url[..end])
}

fn host_fault(host: &str) -> Option<&'static str> {
    let port = match host.rfind(']') {
        Some(end) => &host[end + 1..],
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let is_port = |port: &str| port.bytes().all(|it| it.is_ascii_digit());
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Some("has a port that is no number");
    }
    let is_odd = |c: char| {
        c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_.~!$&'()*+,;=:[]<>\"%".contains(c)
    };
    host.contains(is_odd)
        .then_some("has a character in its host that hosts do not have")
}

fn has_whole_escapes(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_no_url_is_refused() {
        for good in [
            "https://a.example/b?c=%zz#d",
            "a",
            "",
            "/a:b",
            "./a",
            "mailto:a b",
            "http://a.example:80/ä b",
            "http://[::1]:80/",
            "//a",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "::",
            ":a",
            "1a:b",
            "http://a b/",
            "http://a:b/",
            "/%zz",
            "a#%z",
            "a\n",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
        assert!(is_absolute("https://a") && !is_absolute("a/b") && !is_absolute("//a"));
    }
}
