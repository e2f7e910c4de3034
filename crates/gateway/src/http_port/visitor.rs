//! Who may use the HTTP port: any client that reaches it, except pages of other sites in a browser.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Uri};

// What browsers say about a request by themselves; a page cannot change it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Whether a request comes from a page of another site. A real gateway does not check; this one
/// runs on developers' machines, whose browsers reach it. `is_page`: it only shows a page, to which
/// other sites may link.
pub(super) fn is_foreign(headers: &HeaderMap, is_local: bool, is_page: bool) -> bool {
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
    // An image or a form of another site, which browsers send without an origin.
    let is_cross_site = text(SEC_FETCH_SITE).is_some_and(|it| it == "cross-site");
    let is_link = is_page && text(SEC_FETCH_MODE) == Some("navigate");
    let by_an_element = origin.is_none() && is_cross_site && !is_link;
    from_elsewhere || by_a_foreign_name || by_an_element
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
            let found = is_foreign(&headers, is_local, false);
            assert_eq!(found, foreign, "{host} {origin:?}");
        }
    }

    #[test]
    fn elements_of_other_sites_are_foreign_and_links_to_pages_are_not() {
        for (site, mode, origin, is_page, foreign) in [
            ("cross-site", "no-cors", None, false, true),
            ("cross-site", "no-cors", None, true, true),
            ("cross-site", "navigate", None, false, true),
            ("cross-site", "navigate", None, true, false),
            ("same-origin", "cors", None, false, false),
            ("same-site", "no-cors", None, false, false),
            ("none", "navigate", None, false, false),
            // Localhost and 127.0.0.1 are two sites; the origin shows that both are the
            // developer's.
            (
                "cross-site",
                "cors",
                Some("http://localhost:3000"),
                false,
                false,
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:8080".parse().unwrap());
            headers.insert(SEC_FETCH_SITE, site.parse().unwrap());
            headers.insert(SEC_FETCH_MODE, mode.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            let found = is_foreign(&headers, true, is_page);
            assert_eq!(found, foreign, "{site} {mode} {origin:?} {is_page}");
        }
    }
}
