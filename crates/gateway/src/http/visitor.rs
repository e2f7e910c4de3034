//! Who may use the HTTP port: any client that reaches it, except pages of other sites in a browser.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

/// Whether a request comes from a page of another site. A real gateway does not check; this one
/// runs on developers' machines, whose browsers reach it.
pub(super) fn is_foreign(headers: &HeaderMap, is_local: bool) -> bool {
    let text = |name| headers.get(name).map(|it| it.to_str().unwrap_or("?"));
    let origin = text(ORIGIN).filter(|it| *it != "null");
    // Its own pages, and pages that a developer serves beside it.
    let from_elsewhere = match (text(ORIGIN), origin) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(_), Some(origin)) => {
            let host = host_of(origin.split_once("://").map_or(origin, |(_, rest)| rest));
            !is_loopback(&host) && Some(host) != text(HOST).map(host_of)
        }
    };
    // A foreign name that resolves to this address: DNS rebinding.
    let by_a_foreign_name = is_local
        && text(HOST).is_some_and(|host| !is_loopback(&host_of(host)) && !is_address(host));
    from_elsewhere || by_a_foreign_name
}

/// The host of `host:port`, in lower case.
fn host_of(authority: &str) -> String {
    let uri: Option<Uri> = format!("http://{authority}/").parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or("?");
    host.trim_matches(['[', ']']).to_ascii_lowercase()
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|it| it.is_loopback())
}

fn is_address(authority: &str) -> bool {
    host_of(authority).parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_foreign() {
        for (host, origin, is_local, foreign) in [
            ("127.0.0.1:8080", None, true, false),
            ("localhost:8080", Some("http://localhost:3000"), true, false),
            ("127.0.0.1:8080", Some("http://127.0.0.1:8080"), true, false),
            ("127.0.0.1:8080", Some("http://evil.example"), true, true),
            ("127.0.0.1:8080", Some("null"), true, true),
            ("evil.example:8080", None, true, true),
            ("gateway:8080", None, false, false),
            ("gateway:8080", Some("http://gateway:8080"), false, false),
            ("gateway:8080", Some("http://evil.example"), false, true),
            ("[::1]:8080", Some("http://[::1]:8080"), true, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(is_foreign(&headers, is_local), foreign, "{host} {origin:?}");
        }
    }
}
