//! Finds the `import` statements of a proto file without compiling it, so that a directory may contain
//! unrelated or broken files and no compiler is needed.

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
    let mut tokens = Tokens { rest: source };
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut starts_statement = true;
    while let Some(token) = tokens.next() {
        let at_top = starts_statement && depth == 0;
        starts_statement = false;
        match token {
            Token::Word("import") if at_top => {
                if let Some(path) = path_of_import(&mut tokens) {
                    found.push(path);
                }
                starts_statement = true;
            }
            Token::Symbol('{') => depth += 1,
            Token::Symbol('}') => {
                depth = depth.saturating_sub(1);
                starts_statement = true;
            }
            Token::Symbol(';') => starts_statement = true,
            Token::Word(_) | Token::Text(_) | Token::Symbol(_) => {}
        }
    }
    found
}

/// Reads up to the `;`; `public`, `weak` and `option` may precede the path, and the path may
/// be written as several adjacent strings.
fn path_of_import(tokens: &mut Tokens<'_>) -> Option<String> {
    let mut path = None::<String>;
    for token in tokens {
        match token {
            Token::Text(part) => path.get_or_insert_default().push_str(&part),
            Token::Word("public" | "weak" | "option") if path.is_none() => {}
            Token::Symbol(';') => return path,
            Token::Word(_) | Token::Symbol(_) => return None,
        }
    }
    None
}

enum Token<'a> {
    Word(&'a str),
    Text(String),
    Symbol(char),
}

struct Tokens<'a> {
    rest: &'a str,
}

// === impl Tokens ===

impl<'a> Tokens<'a> {
    fn skip_blanks(&mut self) {
        loop {
            self.rest = self
                .rest
                .trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            if let Some(comment) = self.rest.strip_prefix("//") {
                self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
            } else {
                return;
            }
        }
    }

    fn text(&mut self, quote: char) -> String {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            if c == quote || c == '\n' {
                end = at + c.len_utf8();
                break;
            }
            if c == '\\' {
                // A quote or `\` stands for itself. Any other escape is kept: in a path it is a
                // directory's `\` that should be `/`, which the error can then report.
                let escaped = chars.next().map(|(_, escaped)| escaped);
                if !matches!(escaped, Some('"' | '\'' | '\\')) {
                    text.push('\\');
                }
                text.extend(escaped);
            } else {
                text.push(c);
            }
        }
        self.rest = &self.rest[end..];
        text
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let first = self.rest.chars().next()?;
        if first == '"' || first == '\'' {
            return Some(Token::Text(self.text(first)));
        }
        let is_word = |c: char| c == '_' || c.is_alphanumeric();
        let end = if is_word(first) {
            self.rest
                .find(|c: char| !is_word(c))
                .unwrap_or(self.rest.len())
        } else {
            first.len_utf8()
        };
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(if is_word(first) {
            Token::Word(token)
        } else {
            Token::Symbol(first)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_are_told_from_comments_strings_and_fields() {
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
