//! The findings of a check, and how they are shown.

pub mod excerpt;
mod findings;
mod rule;

use std::fmt;

pub use excerpt::Excerpt;
pub(crate) use findings::MOST_FINDINGS;
pub use findings::{CheckError, Findings};
pub use rule::{Rule, UnknownRule};

use crate::redact::redacted;

/// The severity of a [`Finding`], which has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// A warning: the service is registered all the same.
    Warning,
    /// A gateway would refuse the service or could not serve it: nothing is registered.
    Error,
}

/// One finding of `Options::check`: the rule, the place if there is one, and the
/// remedy.
///
/// `Display` prints several lines, with the source line at fault:
///
/// ```text
/// error[proto-two-services]: service `shop`: `Stock` is one service too many: a gateway serves
/// only one `service` per entry file
///   --> shop.proto:9:9
///    |
///  9 | service Stock {
///    |         ^^^^^
///    = help: register each as a separate service with `.split_services()`, or move each to its own
///    entry file
///    = note: a false alarm? `Options::allow(Rule::ProtoTwoServices)`
/// ```
///
/// # Examples
///
/// For an editor, or a report of your own:
///
/// ```
/// use tower_gwag_schema::{Service, Severity, check};
///
/// let broken = Service::proto("syntax = \"proto3\";\nmessage M { Missing it = 1; }").namespace("shop");
/// for finding in check(&[broken]).unwrap_err().into_findings() {
///     assert!(finding.is_error() && finding.severity() == Severity::Error);
///     println!("{}", finding.in_a_line());
///     // Or piece by piece:
///     println!("{} of {:?}", finding.rule(), finding.service());
///     println!("{:?}:{:?}:{:?}", finding.file(), finding.line(), finding.column());
///     println!("{:?} of an OpenAPI document", finding.pointer());
///     println!("{}; {}", finding.message(), finding.remedy().unwrap_or("no remedy is known"));
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    severity: Severity,
    rule: Rule,
    service: Option<Box<str>>,
    file: Option<Box<str>>,
    /// The line at fault, if it is known.
    excerpt: Option<Box<Excerpt>>,
    /// The JSON pointer into an OpenAPI document.
    pointer: Option<Box<str>>,
    message: String,
    remedy: Option<Box<str>>,
    /// The method that allows the rule.
    allowed_by: &'static str,
    /// If not 0, it stands for so many findings, of which only the rule is known.
    stands_for: u32,
}

/// The option that allows a rule on a command line.
const COMMAND_LINE: &str = "--allow";

/// The command-line options that correspond to methods.
const OPTIONS: [(&str, &str); 6] = [
    ("`.split_services()`", "`--split`"),
    ("let `Service::repair` do it", "let `--fix` do it"),
    ("`Service::repair`", "`--repair`"),
    ("call `.namespace(\"…\")`", "give `--namespace NAME`"),
    ("pass it to `Service::schema`", "pass it as a .graphql file"),
    ("write `.version(\"", "write `--version "),
];

/// Replaces the methods in a text with command-line options.
fn with_options(text: &str) -> String {
    let mut told = text.to_owned();
    for (rust, option) in OPTIONS {
        if told.contains(rust) {
            told = told.replace(rust, option);
            if rust.ends_with('"') {
                told = told.replace("\")`", "`");
            }
        }
    }
    told
}

// === impl Finding ===

impl Finding {
    #[doc(hidden)]
    pub fn error(rule: Rule, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            rule,
            service: None,
            file: None,
            excerpt: None,
            pointer: None,
            message: redacted(&message.into()),
            remedy: None,
            allowed_by: "Options",
            stands_for: 0,
        }
    }

    /// Stands for many findings of one rule, so that those beyond the cap need no text.
    #[cfg(feature = "preflight")]
    pub(crate) fn more(rule: Rule, severity: Severity, count: usize) -> Self {
        let message = format!("{count} more of this rule are not shown");
        Self {
            severity,
            stands_for: u32::try_from(count).unwrap_or(u32::MAX),
            ..Self::error(rule, message)
        }
    }

    pub(crate) fn stands_for(&self) -> usize {
        self.stands_for as usize
    }

    #[doc(hidden)]
    pub fn warning(rule: Rule, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(rule, message)
        }
    }

    #[doc(hidden)]
    pub fn help(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(redacted(&remedy.into()).into());
        self
    }

    /// Adds the file at fault, and the line if it is known.
    #[doc(hidden)]
    pub fn at(mut self, file: impl Into<Box<str>>, excerpt: Option<Excerpt>) -> Self {
        self.file = Some(file.into());
        self.excerpt = excerpt.map(Box::new);
        self
    }

    #[cfg(feature = "preflight")]
    pub(crate) fn with_pointer(mut self, pointer: &str) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// Shows the JSON pointer instead of the line.
    pub(super) fn point(&mut self) {
        if let (Some(file), Some(pointer)) = (&self.file, &self.pointer)
            && self.excerpt.take().is_some()
        {
            self.file = Some(format!("{file}#{pointer}").into());
        }
    }

    /// Whether both have the same message for the same line, even if for different services.
    #[doc(hidden)]
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let is_same_rule = self.rule == other.rule && self.severity == other.severity;
        is_same_rule && self.message == other.message && self.is_where(other)
    }

    fn is_where(&self, other: &Self) -> bool {
        self.file == other.file && self.excerpt == other.excerpt
    }

    #[doc(hidden)]
    pub fn name(&mut self, service: &str) {
        self.service = Some(service.into());
    }

    /// Rewrites it for a build script: file names on disk, and the methods to call there.
    #[doc(hidden)]
    pub fn for_build_script(mut self, on_disk: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(file) = self.file.as_deref().and_then(on_disk) {
            self.file = Some(file.into());
        }
        self.allowed_by = "Bundle";
        self
    }

    /// Rewrites it for a command line: file names on disk, and command-line options.
    #[doc(hidden)]
    #[must_use]
    pub fn for_command_line(mut self, on_disk: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(file) = self.file.as_deref().and_then(on_disk) {
            self.file = Some(file.into());
        }
        self.message = with_options(&self.message);
        self.remedy = self.remedy.as_deref().map(|it| with_options(it).into());
        self.allowed_by = COMMAND_LINE;
        self
    }

    /// Like [`Display`](fmt::Display) on one line, without the source line.
    #[must_use]
    pub fn in_a_line(&self) -> String {
        let service = self.service.as_deref();
        let service = service.map_or_else(String::new, |it| match it.starts_with("no. ") {
            true => format!("service {it}: "),
            false => format!("service `{it}`: "),
        });
        let place = match (self.file(), self.line(), self.column()) {
            (Some(file), Some(line), Some(column)) => format!(" ({file}:{line}:{column})"),
            (Some(file), ..) => format!(" ({file})"),
            (None, ..) => String::new(),
        };
        let remedy = self.remedy();
        let remedy = remedy.map_or_else(String::new, |it| format!("; {it}"));
        let (severity, rule, message) = (self.severity, self.rule, &self.message);
        format!("{severity}[{rule}]: {service}{message}{place}{remedy}")
    }

    /// The severity.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Whether it keeps the services from being registered.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The broken rule.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The namespace of the service at fault, or its position (`no. 1`) if it has none; `None` if an
    /// option is at fault.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// The file at fault: a path of the proto tree, or `openapi` for the document, followed by `#` and
    /// the [`pointer`](Self::pointer) if there is no line.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line at fault, from 1, if known. A document that was not given as text has no lines.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.excerpt.as_ref().map(|it| it.line)
    }

    /// The column at fault, in characters from 1, if known.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.excerpt.as_ref().map(|it| it.column)
    }

    /// The JSON pointer of the value at fault in an OpenAPI document, such as `/paths/~1pets/get`, if
    /// known.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        self.pointer.as_deref()
    }

    /// The message: what is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How to fix it, if the message does not already say so.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: ", self.severity, self.rule)?;
        match self.service.as_deref() {
            Some(position) if position.starts_with("no. ") => write!(f, "service {position}: ")?,
            Some(namespace) => write!(f, "service `{namespace}`: ")?,
            None => {}
        }
        f.write_str(&self.message)?;
        let margin = self.line().map_or(1, |line| line.to_string().len());
        match (&self.file, &self.excerpt) {
            (Some(file), Some(excerpt)) => {
                let (line, column) = (excerpt.line, excerpt.column);
                write!(f, "\n {:margin$}--> {file}:{line}:{column}", "")?;
                // In a generated document, one line may be the whole document.
                if let Some(pointer) = self.pointer.as_ref().filter(|_| excerpt.is_cut()) {
                    write!(f, " (#{pointer})")?;
                }
                excerpt.show(f, margin)?;
            }
            (Some(file), None) => write!(f, "\n {:margin$}--> {file}", "")?,
            (None, _) => {}
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\n {:margin$} = help: {remedy}", "")?;
        }
        if self.rule.is_allowable() && (self.is_error() || self.rule.is_about_calls()) {
            let (owner, rule) = (self.allowed_by, self.rule);
            let how = match owner {
                COMMAND_LINE => format!("--allow {rule}"),
                owner => format!("{owner}::allow(Rule::{rule:?})"),
            };
            let why = match self.is_error() {
                true => "a false alarm?",
                false => "intended?",
            };
            write!(f, "\n {:margin$} = note: {why} `{how}`", "")?;
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "preflight"))]
mod tests {
    use super::*;
    use crate::finding::excerpt::Lines;

    #[test]
    fn findings_show_the_line_at_fault() {
        let text = "syntax = \"proto3\";\nservice größe Stock {\r\n";
        let at = text.find("Stock").unwrap();
        let mut finding = Finding::error(Rule::ProtoTwoServices, "`Stock` is the second")
            .help("split it")
            .at("shop.proto", Some(Lines::of(text).at_bytes(at, at + 5)));
        finding.name("shop");
        assert_eq!(
            finding.to_string(),
            "error[proto-two-services]: service `shop`: `Stock` is the second\n  \
             --> shop.proto:2:15\n   |\n 2 | service größe Stock {\n   |               ^^^^^\n   \
             = help: split it\n   = note: a false alarm? `Options::allow(Rule::ProtoTwoServices)`"
        );
        assert_eq!((finding.line(), finding.column()), (Some(2), Some(15)));
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}HERE{}", "x".repeat(1000), "y".repeat(1000));
        let excerpt = Lines::of(&text).at_bytes(1000, 1004);
        let finding = Finding::warning(Rule::OpenApiSyntax, "m").at("openapi", Some(excerpt));
        let shown = finding.to_string();
        let lines: Vec<_> = shown.lines().collect();
        let caret = lines[4].find('^').unwrap();
        assert_eq!(&lines[3][caret..caret + 4], "HERE", "{shown}");
        assert!(lines[3].len() < 120);
    }
}
