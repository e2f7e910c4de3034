//! GraphQL documents, and how they are printed for services. There is no literal `null`.

use std::collections::HashMap;
use std::fmt::Write;

/// A document: operations and fragments.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) operations: Vec<Operation>,
    pub(super) fragments: Vec<Fragment>,
    /// The kind of any other definition, such as `ObjectDefinition`.
    pub(super) other: Option<&'static str>,
    /// Whether each definition, in order, is an operation.
    pub(super) order: Vec<bool>,
    /// The first fragment of each name.
    names: HashMap<String, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperationKind {
    Query,
    Mutation,
    Subscription,
}

#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) kind: OperationKind,
    pub(super) at: usize,
    pub(super) name: Option<Name>,
    pub(super) variables: Vec<Variable>,
    pub(super) directives: Vec<Directive>,
    pub(super) selections: Vec<Selection>,
}

#[derive(Clone, Debug)]
pub(super) struct Fragment {
    pub(super) at: usize,
    pub(super) name: Name,
    pub(super) on: Name,
    pub(super) directives: Vec<Directive>,
    pub(super) selections: Vec<Selection>,
}

/// A name and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) at: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Variable {
    /// The position of the `$`.
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) of: TypeText,
    pub(super) default: Option<Literal>,
}

/// A type as a document writes it.
#[derive(Clone, Debug)]
pub(super) enum TypeText {
    Named(Name),
    List(Box<TypeText>),
    NonNull(Box<TypeText>),
}

#[derive(Clone, Debug)]
pub(super) struct Directive {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
}

#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) name: Name,
    pub(super) value: Literal,
}

#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub(super) at: usize,
    pub(super) value: LiteralValue,
}

#[derive(Clone, Debug)]
pub(super) enum LiteralValue {
    Variable(String),
    Int(String),
    Float(String),
    String(String),
    Bool(bool),
    Enum(String),
    List(Vec<Literal>),
    Object(Vec<Argument>),
}

#[derive(Clone, Debug)]
pub(super) enum Selection {
    Field(Field),
    Spread {
        at: usize,
        name: Name,
        directives: Vec<Directive>,
    },
    Inline {
        at: usize,
        on: Option<Name>,
        directives: Vec<Directive>,
        selections: Vec<Selection>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) at: usize,
    pub(super) alias: Option<String>,
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) directives: Vec<Directive>,
    /// The position of the braces, and the fields in them.
    pub(super) selections: Option<(usize, Vec<Selection>)>,
}

impl Field {
    /// The key of the value in the answer.
    pub(super) fn key(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    pub(super) fn inner(&self) -> &[Selection] {
        self.selections
            .as_ref()
            .map_or(&[], |(_, selections)| selections)
    }
}

impl Document {
    pub(super) fn add_fragment(&mut self, fragment: Fragment) {
        let name = fragment.name.text.clone();
        self.names.entry(name).or_insert(self.fragments.len());
        self.fragments.push(fragment);
    }

    /// The index of the fragment with this name.
    pub(super) fn number_of(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    pub(super) fn fragment(&self, name: &str) -> Option<&Fragment> {
        self.fragments.get(self.number_of(name)?)
    }
}

impl TypeText {
    pub(super) fn named(&self) -> &Name {
        match self {
            Self::Named(name) => name,
            Self::List(inner) | Self::NonNull(inner) => inner.named(),
        }
    }
}

/// Line and column, from 1.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let (mut line, mut start, mut n) = (1, 0, 0);
    while n < before.len() {
        if before[n] == b'\r' && before.get(n + 1) == Some(&b'\n') {
            n += 1;
        }
        if matches!(before[n], b'\n' | b'\r') {
            line += 1;
            start = n + 1;
        }
        n += 1;
    }
    (line, at - start + 1)
}

// === printing ===

/// A value as a document writes it.
pub(super) fn print_value(value: &LiteralValue) -> String {
    match value {
        LiteralValue::Variable(name) => format!("${name}"),
        LiteralValue::Int(it) | LiteralValue::Float(it) | LiteralValue::Enum(it) => it.clone(),
        LiteralValue::Bool(it) => it.to_string(),
        LiteralValue::String(it) => {
            let mut out = String::new();
            super::super::json::quote_with(it, false, &mut out);
            out
        }
        LiteralValue::List(all) => {
            let all: Vec<String> = all.iter().map(|it| print_value(&it.value)).collect();
            format!("[{}]", all.join(", "))
        }
        LiteralValue::Object(all) => format!("{{{}}}", print_arguments(all)),
    }
}

fn print_arguments(arguments: &[Argument]) -> String {
    let all = arguments
        .iter()
        .map(|it| format!("{}: {}", it.name.text, print_value(&it.value.value)));
    all.collect::<Vec<_>>().join(", ")
}

pub(super) fn print_type(of: &TypeText) -> String {
    match of {
        TypeText::Named(name) => name.text.clone(),
        TypeText::List(inner) => format!("[{}]", print_type(inner)),
        TypeText::NonNull(inner) => format!("{}!", print_type(inner)),
    }
}

/// The request for one root field: all variables of the operation with the gateway's names of
/// types, and types of fragments with the names that `rename` returns.
pub(super) fn print_request(
    operation: &Operation,
    field: &Field,
    name: &str,
    rename: &dyn Fn(&str) -> String,
) -> String {
    let variables = operation.variables.iter().map(|it| {
        let default = it
            .default
            .as_ref()
            .map(|it| format!(" = {}", print_value(&it.value)));
        format!(
            "${}: {}{}",
            it.name,
            print_type(&it.of),
            default.unwrap_or_default()
        )
    });
    let variables: Vec<String> = variables.collect();
    let word = match operation.kind {
        OperationKind::Query => "query",
        OperationKind::Mutation => "mutation",
        OperationKind::Subscription => "subscription",
    };
    let mut out = match (operation.kind, variables.is_empty()) {
        (OperationKind::Query, true) => String::new(),
        (_, true) => format!("{word} "),
        (_, false) => format!("{word} ({}) ", variables.join(", ")),
    };
    out.push_str("{\n");
    let renamed = Field {
        name: name.to_owned(),
        ..field.clone()
    };
    print_selection(&Selection::Field(renamed), 1, rename, &mut out);
    out.push_str("}\n");
    out
}

fn print_selection(
    it: &Selection,
    depth: usize,
    rename: &dyn Fn(&str) -> String,
    out: &mut String,
) {
    out.push_str(&"  ".repeat(depth));
    let (directives, inner) = match it {
        Selection::Field(field) => {
            if let Some(alias) = &field.alias {
                out.push_str(alias);
                out.push_str(": ");
            }
            out.push_str(&field.name);
            if !field.arguments.is_empty() {
                let _ = write!(out, "({})", print_arguments(&field.arguments));
            }
            (&field.directives, field.inner())
        }
        Selection::Spread {
            name, directives, ..
        } => {
            out.push_str("...");
            out.push_str(&name.text);
            (directives, &[][..])
        }
        Selection::Inline {
            on,
            directives,
            selections,
            ..
        } => {
            out.push_str("...");
            if let Some(on) = on {
                out.push_str(" on ");
                out.push_str(&rename(&on.text));
            }
            (directives, &selections[..])
        }
    };
    for directive in directives {
        let _ = write!(out, " @{}", directive.name);
        if !directive.arguments.is_empty() {
            let _ = write!(out, "({})", print_arguments(&directive.arguments));
        }
    }
    if !inner.is_empty() {
        out.push_str(" {\n");
        for it in inner {
            print_selection(it, depth + 1, rename, out);
        }
        out.push_str(&"  ".repeat(depth));
        out.push('}');
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    #[test]
    fn requests_are_printed_for_services() {
        let source = "query Q($n: Int = 3) { x: a(b: {c: [1, E, \"\\n\"]}) { ... on ns_T @skip(if: $n) { d } ...F } }";
        let document = parse(source).unwrap();
        let Selection::Field(field) = &document.operations[0].selections[0] else {
            panic!("a field")
        };
        let text = print_request(&document.operations[0], field, "a", &|it| {
            it.replace("ns_", "")
        });
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            text,
            "query ($n: Int = 3) { x: a(b: {c: [1, E, \"\\n\"]}) { ... on T @skip(if: $n) { d } ...F } }"
        );
    }
}
