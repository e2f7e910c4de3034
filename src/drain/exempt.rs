//! Which requests are not waited for, by their paths.

use http::Uri;
use http::uri::PathAndQuery;

/// Beginnings of paths.
#[derive(Debug)]
pub(crate) struct Prefixes {
    all: Box<[Box<str>]>,
    /// The last byte of what all of them begin with, and its place: most other paths have another
    /// byte there.
    mark: Option<(usize, u8)>,
    /// They are of gRPC services, to which nothing but POST goes.
    is_of_grpc: bool,
}

// === impl Prefixes ===

impl Prefixes {
    pub(crate) fn new(all: &[String]) -> Self {
        let mut prefixes = all.iter();
        let first = prefixes.next().map_or("", String::as_str);
        let common = prefixes.fold(first, |common, prefix| {
            let same = common.chars().zip(prefix.chars());
            let same = same.take_while(|(one, other)| one == other);
            &common[..same.map(|(it, _)| it.len_utf8()).sum()]
        });
        let last = common.len().checked_sub(1);
        Self {
            mark: last.map(|last| (last, common.as_bytes()[last])),
            is_of_grpc: all.iter().all(|it| it.starts_with("/grpc.")),
            all: all.iter().map(|it| it.as_str().into()).collect(),
        }
    }

    #[inline]
    pub(crate) fn holds(&self, uri: &Uri, is_post: bool) -> bool {
        if self.is_of_grpc && !is_post {
            return false;
        }
        // The query may be in it: cutting it off takes longer than the look.
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        match self.mark {
            Some((place, byte)) if path.as_bytes().get(place) != Some(&byte) => false,
            _ => self.has_prefix_of(uri.path()),
        }
    }

    fn has_prefix_of(&self, path: &str) -> bool {
        self.all.iter().any(|prefix| path.starts_with(&**prefix))
    }
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::Prefixes;

    #[test]
    fn a_path_is_exempt_by_any_prefix() {
        let prefixes = |all: &[&str]| {
            let all: Vec<_> = all.iter().map(|&it| it.to_owned()).collect();
            Prefixes::new(&all)
        };
        let holds = |prefixes: &Prefixes, path: &str| {
            let uri = Uri::builder().path_and_query(path).build();
            prefixes.holds(&uri.expect("a path"), true)
        };
        let grpc = prefixes(&["/grpc.health.v1.Health/Watch", "/grpc.reflection."]);
        assert_eq!(grpc.mark, Some((5, b'.')));
        assert!(holds(&grpc, "/grpc.reflection.v1.ServerReflection/Info"));
        let info = Uri::from_static("/grpc.reflection.v1.ServerReflection/Info");
        assert!(!grpc.holds(&info, false), "a GET is no call");
        for path in [
            "/",
            "/greeter.Greeter/Hello",
            "/grpc.health.v1.Health/Check",
        ] {
            assert!(!holds(&grpc, path), "{path}");
        }
        let mixed = prefixes(&["/grpc.reflection.", "/grün", "/gräte"]);
        assert_eq!(mixed.mark, Some((2, b'r')));
        assert!(holds(&mixed, "/grpc.reflection.x?y"));
        for path in ["/gr", "/", "/?gr", "/g?r"] {
            assert!(!holds(&mixed, path), "{path}");
        }
        assert!(!holds(&prefixes(&[]), "/"));
        assert!(holds(&prefixes(&["/a", ""]), "/b"));
        assert!(holds(&prefixes(&["/events"]), "/events/7"));
        let events = Uri::from_static("/events/7");
        assert!(prefixes(&["/events"]).holds(&events, false));
        assert!(prefixes(&["/events", "/grpc.x"]).holds(&events, false));
    }
}
