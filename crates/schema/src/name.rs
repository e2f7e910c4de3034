//! Namespaces: which names a gateway accepts for a service (contract § 2).

/// Why a namespace is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// One of `. * > / $`: refused by every gateway.
    Reserved(char),
    /// Not `[_A-Za-z][_0-9A-Za-z]*`: refused standalone; blocks every other service when clustered.
    NotAName,
    /// Longer than [`MAX_NAMESPACE_BYTES`].
    TooLong(usize),
}

/// Longest namespace, in bytes, that this crate sends. A clustered gateway loses its store at about
/// 4,090 bytes; this stays far below.
pub const MAX_NAMESPACE_BYTES: usize = 255;

/// The first character that every gateway refuses in a namespace.
#[must_use]
pub fn reserved_character(namespace: &str) -> Option<char> {
    namespace.chars().find(|c| ".*>/$".contains(*c))
}

/// Whether `text` is a GraphQL name: `[_A-Za-z][_0-9A-Za-z]*`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// Checks a namespace; the caller handles empty ones.
///
/// # Errors
///
/// Why gateways do not accept it.
pub fn check_namespace(namespace: &str) -> Result<(), NameFault> {
    if let Some(c) = reserved_character(namespace) {
        return Err(NameFault::Reserved(c));
    }
    if !is_name(namespace) {
        return Err(NameFault::NotAName);
    }
    if namespace.len() > MAX_NAMESPACE_BYTES {
        return Err(NameFault::TooLong(namespace.len()));
    }
    Ok(())
}

/// Whether the gateways that were measured have their own `v1` of this name. A gateway embedded in a
/// program may not.
#[must_use]
pub fn is_built_in(namespace: &str) -> bool {
    matches!(namespace, "admin" | "admin_events" | "ps")
}

/// The namespace that a gateway derives from an OpenAPI `info.title`.
#[must_use]
pub fn fold_title(title: &str) -> String {
    let mut name: String = title
        .chars()
        .filter_map(|c| match c {
            ' ' | '-' => Some('_'),
            '_' => Some('_'),
            c if c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    if name.is_empty() {
        name.push_str("openapi");
    }
    name
}

/// The nearest valid namespace, for error remedies and for names derived from file names.
#[must_use]
pub fn suggest(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(MAX_NAMESPACE_BYTES - 1)
        .collect();
    if !name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic()) {
        name.insert(0, '_');
    }
    name
}

/// Converts a name to snake case: `PetStore` becomes `pet_store`, `HTTPServer2Go` `http_server2_go`.
#[must_use]
pub fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let ends_word = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let begins_word = before.is_some_and(|before| {
            let next_is_small = chars.get(at + 1).is_some_and(char::is_ascii_lowercase);
            ends_word(before) || (before.is_ascii_uppercase() && next_is_small)
        });
        if c.is_ascii_uppercase() && begins_word {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_fold_as_the_gateway_folds_them() {
        for (title, namespace) in [
            ("Pet Store API!", "Pet_Store_API"),
            ("123 go", "_123_go"),
            ("größe API", "gre_API"),
            ("!!!", "openapi"),
            ("a-b_c", "a_b_c"),
        ] {
            assert_eq!(fold_title(title), namespace);
        }
    }

    #[test]
    fn namespaces_that_a_gateway_cannot_take_are_found() {
        for good in ["a", "_a", "A9_", "Query", "v1"] {
            assert_eq!(check_namespace(good), Ok(()), "{good}");
        }
        for (bad, fault) in [
            ("a.b", NameFault::Reserved('.')),
            ("a-$", NameFault::Reserved('$')),
            ("my-svc", NameFault::NotAName),
            ("1a", NameFault::NotAName),
            ("a b", NameFault::NotAName),
            ("größe", NameFault::NotAName),
            ("a\nb", NameFault::NotAName),
        ] {
            assert_eq!(check_namespace(bad), Err(fault), "{bad}");
        }
        assert_eq!(
            check_namespace(&"n".repeat(256)),
            Err(NameFault::TooLong(256))
        );
    }

    #[test]
    fn names_of_services_in_snake_case() {
        for (name, snake) in [
            ("PetStore", "pet_store"),
            ("Pets", "pets"),
            ("pets", "pets"),
            ("HTTPServer2Go", "http_server2_go"),
            ("StoreV2", "store_v2"),
            ("Pet_Store", "pet_store"),
            ("GRPC", "grpc"),
            ("aB", "a_b"),
            ("_Hidden", "_hidden"),
            ("A", "a"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }

    #[test]
    fn suggestions_are_names() {
        for text in ["my-svc", "1a", "", "größe", "a.b/c", &"-".repeat(1000)] {
            assert_eq!(check_namespace(&suggest(text)), Ok(()), "{text}");
        }
    }
}
