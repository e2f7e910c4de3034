//! Checks whether gateways can compile a pattern: they have neither lookarounds nor backreferences.

/// The fault of a pattern; reports only what is certain.
pub(super) fn fault(pattern: &str) -> Option<String> {
    Pattern {
        rest: pattern,
        groups: 0,
        operand: Operand::None,
    }
    .fault()
}

/// The largest count of a repetition.
const MOST_REPEATS: u32 = 1000;

/// The item that a repetition would repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    None,
    One,
    /// Already repeated; a `?` may follow.
    Repeated,
    /// Not even a `?` may follow.
    Lazy,
}

struct Pattern<'a> {
    rest: &'a str,
    /// The number of open groups.
    groups: usize,
    operand: Operand,
}

impl<'a> Pattern<'a> {
    fn fault(mut self) -> Option<String> {
        while let Some(c) = self.next() {
            let result = match c {
                '\\' => self.escape(false).map(|()| self.operand = Operand::One),
                '[' => self.class(),
                '(' => self.open(),
                ')' if self.groups == 0 => Err("`)` closes no group".to_owned()),
                ')' => {
                    self.groups -= 1;
                    self.operand = Operand::One;
                    Ok(())
                }
                '|' => {
                    self.operand = Operand::None;
                    Ok(())
                }
                '*' | '+' | '?' => self.repeat(c == '?'),
                '{' => self.braces(),
                _ => {
                    self.operand = Operand::One;
                    Ok(())
                }
            };
            if let Err(fault) = result {
                return Some(fault);
            }
        }
        (self.groups > 0).then(|| "a group is not closed".to_owned())
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn repeat(&mut self, is_question_mark: bool) -> Result<(), String> {
        self.operand = match self.operand {
            Operand::None => return Err("a repetition has nothing to repeat".to_owned()),
            Operand::One => Operand::Repeated,
            Operand::Repeated if is_question_mark => Operand::Lazy,
            Operand::Repeated | Operand::Lazy => {
                return Err("a repetition repeats a repetition".to_owned());
            }
        };
        Ok(())
    }

    /// `{2}`, `{2,}` and `{2,3}`; other braces are literal characters.
    fn braces(&mut self) -> Result<(), String> {
        let counts = self.rest.split_once('}').and_then(|(inner, rest)| {
            let (least, most) = match inner.split_once(',') {
                None => (inner, Some(inner)),
                Some((least, "")) => (least, None),
                Some((least, most)) => (least, Some(most)),
            };
            let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
            let counts = is_number(least) && most.is_none_or(is_number);
            counts.then_some((least, most, rest))
        });
        let Some((least, most, rest)) = counts else {
            self.operand = Operand::One;
            return Ok(());
        };
        let count = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
        let least = count(least);
        let most = most.map_or(least, count);
        if most > MOST_REPEATS || least > most {
            return Err(format!(
                "it repeats {least} to {most} times: the maximum is {MOST_REPEATS}"
            ));
        }
        self.rest = rest;
        self.repeat(false)
    }

    /// Parses what follows an opening parenthesis.
    fn open(&mut self) -> Result<(), String> {
        let Some(rest) = self.rest.strip_prefix('?') else {
            self.groups += 1;
            self.operand = Operand::None;
            return Ok(());
        };
        if rest.starts_with(['=', '!']) || rest.starts_with("<=") || rest.starts_with("<!") {
            return Err("gateways do not support lookaheads and lookbehinds".to_owned());
        }
        let named = rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<'));
        if let Some(rest) = named {
            let end = rest.find('>').ok_or("the name of a group is not closed")?;
            let name = &rest[..end];
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_name) {
                return Err(format!("`{name}` is not a name of a group"));
            }
            self.rest = &rest[end + 1..];
            self.groups += 1;
            self.operand = Operand::None;
            return Ok(());
        }
        let is_flag = |c: char| "imsU-".contains(c);
        let end = rest.find(|c| !is_flag(c)).unwrap_or(rest.len());
        let (flags, rest) = rest.split_at(end);
        let are_flags = flags.matches('-').count() <= 1 && !flags.ends_with('-');
        match rest.chars().next() {
            Some(':') if are_flags => {
                self.groups += 1;
                self.operand = Operand::None;
            }
            Some(')') if are_flags && !flags.is_empty() => {}
            _ => return Err("a group begins with `(?` and an unknown character".to_owned()),
        }
        self.rest = &rest[1..];
        Ok(())
    }

    /// Parses what follows a backslash.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let c = self.next().ok_or("it ends with a backslash")?;
        let is_octal = |rest: &str| rest.starts_with(|c: char| ('0'..='7').contains(&c));
        let is_good = match c {
            'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' | '0' => true,
            'A' | 'z' | 'b' | 'B' => !in_class,
            'Q' if !in_class => {
                // Everything up to `\E` is literal.
                let end = self.rest.find("\\E").map(|at| at + 2);
                self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
                true
            }
            '1'..='7' => is_octal(self.rest),
            'x' => self.hexadecimal(),
            'u' => {
                let digits = self.rest.get(..4).filter(|it| {
                    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'A'..=b'F');
                    it.bytes().all(is_digit)
                });
                self.rest = &self.rest[digits.map_or(0, str::len)..];
                digits.is_some()
            }
            'p' | 'P' => self.property(),
            c => c.is_ascii() && !c.is_ascii_alphanumeric(),
        };
        match is_good {
            true => Ok(()),
            false if c.is_ascii_digit() || c == 'k' => {
                Err("gateways do not support backreferences".to_owned())
            }
            false => Err(format!("gateways do not support `\\{c}`")),
        }
    }

    fn hexadecimal(&mut self) -> bool {
        let (digits, length) = match self.rest.strip_prefix('{') {
            Some(rest) => {
                let Some(end) = rest.find('}') else {
                    return false;
                };
                (&rest[..end], end + 2)
            }
            None => match self.rest.get(..2) {
                Some(digits) => (digits, 2),
                None => return false,
            },
        };
        let is_good = u32::from_str_radix(digits, 16).is_ok_and(|it| it <= 0x10_FFFF);
        self.rest = &self.rest[length.min(self.rest.len())..];
        is_good && !digits.starts_with('+')
    }

    /// The name of a property; only the gateway knows which names exist.
    fn property(&mut self) -> bool {
        match self.next() {
            Some('{') => match self.rest.find('}') {
                Some(end) => {
                    self.rest = &self.rest[end + 1..];
                    true
                }
                None => false,
            },
            Some(c) => c.is_ascii_alphabetic(),
            None => false,
        }
    }

    /// Parses a class, after its opening bracket.
    fn class(&mut self) -> Result<(), String> {
        let open = || "`[` is not closed".to_owned();
        self.rest = self.rest.strip_prefix('^').unwrap_or(self.rest);
        let mut is_first = true;
        loop {
            if let Some(rest) = self.rest.strip_prefix("[:")
                && let Some(end) = rest.find(":]")
                && rest[..end]
                    .chars()
                    .all(|c| c.is_ascii_alphabetic() || c == '^')
            {
                self.rest = &rest[end + 2..];
                is_first = false;
                continue;
            }
            let low = match self.next().ok_or_else(open)? {
                ']' if !is_first => break,
                '\\' => {
                    let is_set = self
                        .rest
                        .starts_with(['d', 'D', 's', 'S', 'w', 'W', 'p', 'P']);
                    self.escape(true)?;
                    if is_set {
                        is_first = false;
                        continue;
                    }
                    None
                }
                c => Some(c),
            };
            is_first = false;
            let Some(rest) = self.rest.strip_prefix('-') else {
                continue;
            };
            if rest.starts_with(']') || rest.is_empty() {
                continue;
            }
            self.rest = rest;
            let high = match self.next().ok_or_else(open)? {
                '\\' => {
                    if self
                        .rest
                        .starts_with(['d', 'D', 's', 'S', 'w', 'W', 'p', 'P'])
                    {
                        return Err("a range ends with a class".to_owned());
                    }
                    self.escape(true)?;
                    None
                }
                c => Some(c),
            };
            if let (Some(low), Some(high)) = (low, high)
                && low > high
            {
                return Err(format!("the range `{low}-{high}` is empty"));
            }
        }
        self.operand = Operand::One;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_does_not_compile_is_refused() {
        for good in GOOD {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in BAD {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }

    const GOOD: &[&str] = &[
        "a",
        "[]a]",
        "[^]a]",
        "a*?",
        "a{1000}",
        "a{,2}",
        "a{",
        "a{x}",
        "^*",
        "(?<n>a)",
        "(?P<n>a)",
        "(?P<n>a)(?P<n>b)",
        "(?i)a",
        "(?-i:a)",
        r#"\01"#,
        r#"\11"#,
        r#"\0"#,
        r#"\x41"#,
        r#"\x{41}"#,
        r#"\u00E9"#,
        r#"\z"#,
        r#"\A"#,
        r#"\p{L}"#,
        r#"\pL"#,
        r#"\p{Letter}"#,
        r#"\P{Lu}"#,
        r#"\p{^L}"#,
        r#"\Q*\E"#,
        r#"\/"#,
        r#"\-"#,
        r#"\_"#,
        r#"\""#,
        r#"\ "#,
        r#"[\d-z]"#,
        "[[:alpha:]]",
        "[[a]",
        "[a-]",
        "[-a]",
        "[a-b-c]",
        r#"[\]]"#,
        r#"[\p{L}]"#,
        "(?P<1>a)",
        "()",
        "(|a)",
        "a||b",
        "a{0}",
        "(?:a)",
        "(?i:a)",
        r#"[\u00E9]"#,
        r#"\uD83D"#,
        r#"\v\f\a"#,
        r#"\<"#,
        r#"\>"#,
        "a(?i)*",
        r#"\b*"#,
        "$*",
        "a+?",
        "a{2}?",
        "(?s).*",
        r#"[\w.-]+"#,
        r#"[\w-.]+"#,
        r#"\d{1,3}?"#,
        "(?m)^$",
        "(?U)a",
        r#"\08"#,
        r#"^(?:[01]\d|2[0-3])$"#,
    ];

    const BAD: &[&str] = &[
        "(",
        "a)",
        "[",
        "[]",
        "a**",
        "a*??",
        "a++",
        "a{2}{3}",
        "a{1001}",
        "a{2,1}",
        "*a",
        "(*)",
        "|*",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?>a)",
        "(?#a)",
        "(?iq)a",
        "(?i-:a)",
        r#"\1"#,
        r#"(a)\1"#,
        r#"\xZ"#,
        r#"\u00e9"#,
        r#"\u{41}"#,
        r#"\cA"#,
        r#"\h"#,
        r#"\e"#,
        r#"\Z"#,
        r#"\G"#,
        r#"\K"#,
        r#"\k<n>"#,
        r#"\p"#,
        r#"\é"#,
        r#"[\b]"#,
        r#"[a-\d]"#,
        "[z-a]",
        r#"[\q]"#,
        r#"a\"#,
        "(?",
        "(?P",
        "(?P<",
        "(?<a-b>x)",
        "(?:a",
        r#"\C"#,
        r#"\R"#,
        r#"\X"#,
        r#"\N"#,
        r#"\y"#,
        "(?i)*",
        "a?+",
        "a{2}+",
        "(?x)a",
        "[^]",
        r#"[a-\w]"#,
        r#"\8"#,
        r#"[\1]"#,
        r#"[\x{110000}]"#,
        r#"\x{110000}"#,
    ];
}
