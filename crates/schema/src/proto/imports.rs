//! Finds the `import` statements of a proto file without compiling it, so that a directory may contain
//! unrelated or broken files and no compiler is needed.

use crate::proto::lex;

/// Files under `google/protobuf/` that every gateway has; files of language features vary.
const BUILT_IN: [&str; 12] = [
    "any",
    "api",
    "compiler/plugin",
    "descriptor",
    "duration",
    "empty",
    "field_mask",
    "source_context",
    "struct",
    "timestamp",
    "type",
    "wrappers",
];

/// Whether gateways already have a file, so that it need not be sent.
pub(crate) fn is_built_in(path: &str) -> bool {
    let stem = path
        .strip_prefix("google/protobuf/")
        .and_then(|file| file.strip_suffix(".proto"));
    stem.is_some_and(|stem| BUILT_IN.contains(&stem) || stem.ends_with("_features"))
}

/// Paths of the `import` statements of `source`, in order, repeated as written.
pub(crate) fn imports(source: &str) -> Vec<String> {
    let mut tokens = lex::tokens(source);
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut starts_statement = true;
    while let Some(token) = tokens.next() {
        let at_top = starts_statement && depth == 0;
        starts_statement = matches!(token, "}" | ";");
        match token {
            "import" if at_top => {
                found.extend(path_of_import(&mut tokens));
                starts_statement = true;
            }
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    found
}

/// Reads up to the `;`; `public`, `weak` and `option` may precede the path, and the path may
/// be written as several adjacent strings.
fn path_of_import<'a>(tokens: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut path = None::<String>;
    for token in tokens {
        match (token, lex::content_of(token)) {
            (_, Some(part)) => path.get_or_insert_default().push_str(&part),
            ("public" | "weak" | "option", None) if path.is_none() => {}
            (";", None) => return path,
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_are_distinguished_from_comments_strings_and_fields() {
        let source = r#"
            // import "no/comment.proto";
            syntax = "proto3"; /* import "no/block.proto"; */
            import "a.proto"; import public 'b/c.proto';
            import weak "d" ".proto"; import/**/"e.proto";
            import option "f.proto";
            option (x) = { text: "import \"no/string.proto\";" };
            message import { string import = 1; }
            message M { import x = 1; }
            import "g.proto"
        "#;
        assert_eq!(
            imports(source),
            ["a.proto", "b/c.proto", "d.proto", "e.proto", "f.proto"]
        );
    }

    proptest! {
        #[test]
        fn any_text_ends(source in ".{0,200}") {
            imports(&source);
        }
    }
}
