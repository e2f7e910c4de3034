//! Validates documents: the gateway's rules, in its order and with its texts.

mod extent;
mod overlap;
mod variables;

use std::collections::{BTreeSet, HashMap};

use tower_gwag_schema::graphql::Schema;

use super::document::{
    Argument, Directive, Document, Field, LiteralValue, Name, Operation, OperationKind, Selection,
    print_value,
};
use super::types::{self, FieldOf, Named, Wrapped};
use super::values::{misfits, type_of};

pub(super) use extent::{Unfit, fits};

/// The most errors that are reported.
const MAX_ERRORS: usize = 100;

/// An error, and its positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) text: String,
    pub(super) places: Vec<usize>,
}

/// Validates a document that [`fits`].
pub(super) fn validate(schema: &Schema, document: &Document) -> Vec<Invalid> {
    let mut rules = Rules {
        schema,
        document,
        out: Vec::new(),
        usages: Vec::new(),
        work: 0,
    };
    rules.document();
    if rules.is_exhausted() {
        rules.wrong(overlap::TOO_MUCH, &[]);
    }
    rules.out.truncate(MAX_ERRORS);
    rules.out
}

/// A use of a variable: its name, position, and expected type.
type Usage<'a> = (String, usize, Option<Wrapped<'a>>);

struct Rules<'a> {
    schema: &'a Schema,
    document: &'a Document,
    out: Vec<Invalid>,
    usages: Vec<Usage<'a>>,
    /// What the comparison of fields has cost so far.
    work: usize,
}

fn root<'s>(schema: &'s Schema, kind: OperationKind) -> Option<Named<'s>> {
    match kind {
        OperationKind::Query => Some(Named::Known(schema.query())),
        OperationKind::Mutation => schema.mutation().map(Named::Known),
        OperationKind::Subscription => schema.subscription().map(Named::Known),
    }
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().take(5).map(|it| format!("\"{it}\"")).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, other] => format!("{one} or {other}"),
        [many @ .., last] => format!("{}, or {last}", many.join(", ")),
    }
}

/// ` Did you mean …?`, if there are similar names.
fn suggested(name: &str, known: &[&str]) -> String {
    let mut near: Vec<(usize, &str)> = known
        .iter()
        .filter_map(|it| {
            let distance = distance(name, it);
            let limit = (name.len() / 2).max(it.len() / 2).max(1);
            (distance <= limit).then_some((distance, *it))
        })
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    let near: Vec<&str> = near.into_iter().map(|(_, name)| name).collect();
    match near.is_empty() {
        true => String::new(),
        false => format!(" Did you mean {}?", quoted(&near)),
    }
}

fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // Names whose lengths differ by this much are never similar.
    if a.len().abs_diff(b.len()) > a.len().max(b.len()) / 2 + 1 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (k, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[k + 1];
            row[k + 1] = cost.min(row[k] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl<'a> Rules<'a> {
    fn wrong(&mut self, text: impl Into<String>, places: &[usize]) {
        if self.out.len() <= MAX_ERRORS {
            self.out.push(Invalid {
                text: text.into(),
                places: places.to_vec(),
            });
        }
    }

    fn document(&mut self) {
        let document = self.document;
        let (mut operations, mut fragments) =
            (document.operations.iter(), document.fragments.iter());
        let mut names: HashMap<&str, usize> = HashMap::new();
        let mut fragment_names: HashMap<&str, usize> = HashMap::new();
        for is_operation in &document.order {
            if *is_operation {
                let Some(operation) = operations.next() else {
                    continue;
                };
                if operation.name.is_none() && document.operations.len() > 1 {
                    let text = "This anonymous operation must be the only defined operation.";
                    self.wrong(text, &[operation.at]);
                }
                // Operations without a name share the empty one (new-graphql-doc-52).
                let name = operation.name.as_ref();
                let (name, at) = name.map_or(("", operation.at), |it| (&*it.text, it.at));
                self.once(&mut names, name, at, "There can only be one operation");
                self.operation(operation);
            } else {
                let Some(fragment) = fragments.next() else {
                    continue;
                };
                let on = types::named(self.schema, &fragment.on.text);
                if let Some(of) = on.filter(|it| !it.is_composite()) {
                    let text = format!(
                        "Fragment \"{}\" cannot condition on non composite type \"{}\".",
                        fragment.name.text,
                        of.name()
                    );
                    self.wrong(text, &[fragment.on.at]);
                }
                let Name { text, at } = &fragment.name;
                let rule = "There can only be one fragment";
                self.once(&mut fragment_names, text, *at, rule);
                self.known_type(&fragment.on.text, fragment.on.at);
                self.directives(&fragment.directives, "FRAGMENT_DEFINITION");
                self.selections(on, &fragment.selections);
            }
        }
        let mut used = BTreeSet::new();
        for operation in &document.operations {
            self.spread(&operation.selections, &mut used);
        }
        for fragment in &document.fragments {
            if !used.contains(fragment.name.text.as_str()) {
                self.wrong(
                    format!("Fragment \"{}\" is never used.", fragment.name.text),
                    &[fragment.at],
                );
            }
        }
    }

    /// The fragments that an operation reaches.
    fn spread(&self, selections: &'a [Selection], used: &mut BTreeSet<&'a str>) {
        for it in selections {
            match it {
                Selection::Field(field) => self.spread(field.inner(), used),
                Selection::Inline { selections, .. } => self.spread(selections, used),
                Selection::Spread { name, .. } => {
                    if used.insert(&name.text)
                        && let Some(fragment) = self.document.fragment(&name.text)
                    {
                        self.spread(&fragment.selections, used);
                    }
                }
            }
        }
    }

    fn known_type(&mut self, name: &str, at: usize) {
        if types::named(self.schema, name).is_none() {
            let all: Vec<&str> = self.schema.types().map(|it| it.name.as_str()).collect();
            self.wrong(
                format!("Unknown type \"{name}\".{}", suggested(name, &all)),
                &[at],
            );
        }
    }

    fn operation(&mut self, operation: &'a Operation) {
        let mut names: HashMap<&str, usize> = HashMap::new();
        for variable in &operation.variables {
            let of = type_of(self.schema, &variable.of);
            if let (Some(of), Some(default)) = (of, &variable.default) {
                let (name, shown) = (&variable.name, print_value(&default.value));
                if of.non_null {
                    let text = format!(
                        "Variable \"${name}\" of type \"{}\" is required and will not use the default value. \
                         Perhaps you meant to use type \"{}\".",
                        of.show(),
                        of.nullable().show()
                    );
                    self.wrong(text, &[default.at]);
                } else {
                    let wrong = misfits(self.schema, of, Some(default));
                    if !wrong.is_empty() {
                        let text = format!(
                            "Variable \"${name}\" has invalid default value: {shown}.\n{}",
                            wrong.join("\n")
                        );
                        self.wrong(text, &[default.at]);
                    }
                }
            }
            match names.get(&*variable.name) {
                Some(first) => {
                    let text = format!(
                        "There can only be one variable named \"{}\".",
                        variable.name
                    );
                    let places = [*first, variable.at + 1];
                    self.wrong(text, &places);
                }
                None => drop(names.insert(&variable.name, variable.at + 1)),
            }
            let named = variable.of.named();
            if let Some(of) = of.filter(|it| !it.named.is_input()) {
                let text = format!(
                    "Variable \"${}\" cannot be non-input type \"{}\".",
                    variable.name,
                    of.show()
                );
                self.wrong(text, &[named.at]);
            }
            self.known_type(&named.text, named.at);
        }
        let place = match operation.kind {
            OperationKind::Query => "QUERY",
            OperationKind::Mutation => "MUTATION",
            OperationKind::Subscription => "SUBSCRIPTION",
        };
        self.directives(&operation.directives, place);
        let of = root(self.schema, operation.kind);
        self.selections(of, &operation.selections);
        self.variables(operation, of);
    }

    fn directives(&mut self, directives: &'a [Directive], place: &str) {
        for directive in directives {
            let name = &directive.name;
            let known = matches!(name.as_str(), "skip" | "include");
            if !known && name != "deprecated" {
                self.wrong(format!("Unknown directive \"{name}\"."), &[directive.at]);
                continue;
            }
            if !known || !matches!(place, "FIELD" | "FRAGMENT_SPREAD" | "INLINE_FRAGMENT") {
                let text = format!("Directive \"{name}\" may not be used on {place}.");
                self.wrong(text, &[directive.at]);
            }
            let condition = types::named(self.schema, "Boolean").map(|named| Wrapped {
                named,
                is_list: false,
                items_non_null: false,
                non_null: true,
            });
            self.unique(&directive.arguments);
            for argument in &directive.arguments {
                match condition.filter(|_| argument.name.text == "if") {
                    Some(of) => self.argument(argument, of),
                    None => {
                        let text = format!(
                            "Unknown argument \"{}\" on directive \"@{name}\".",
                            argument.name.text
                        );
                        self.wrong(text, &[argument.name.at]);
                    }
                }
            }
            if known && !directive.arguments.iter().any(|it| it.name.text == "if") {
                let text = format!(
                    "Directive \"@{name}\" argument \"if\" of type \"Boolean!\" is required but not provided."
                );
                self.wrong(text, &[directive.at]);
            }
        }
    }

    fn unique(&mut self, arguments: &'a [Argument]) {
        let mut seen = HashMap::new();
        for argument in arguments {
            let Name { text, at } = &argument.name;
            self.once(&mut seen, text, *at, "There can be only one argument");
        }
    }

    /// Reports a name that was seen before.
    fn once(&mut self, seen: &mut HashMap<&'a str, usize>, name: &'a str, at: usize, rule: &str) {
        match seen.get(name) {
            Some(first) => {
                let places = [*first, at];
                self.wrong(format!("{rule} named \"{name}\"."), &places);
            }
            None => drop(seen.insert(name, at)),
        }
    }

    fn argument(&mut self, argument: &'a Argument, of: Wrapped<'a>) {
        let wrong = misfits(self.schema, of, Some(&argument.value));
        if !wrong.is_empty() {
            let text = format!(
                "Argument \"{}\" has invalid value {}.\n{}",
                argument.name.text,
                print_value(&argument.value.value),
                wrong.join("\n")
            );
            self.wrong(text, &[argument.value.at]);
        }
        self.input_fields(&argument.value.value);
    }

    fn input_fields(&mut self, value: &'a LiteralValue) {
        match value {
            LiteralValue::List(all) => all.iter().for_each(|it| self.input_fields(&it.value)),
            LiteralValue::Object(all) => {
                let mut seen = HashMap::new();
                for it in all {
                    let Name { text, at } = &it.name;
                    self.once(&mut seen, text, *at, "There can be only one input field");
                    self.input_fields(&it.value.value);
                }
            }
            _ => {}
        }
    }

    fn selections(&mut self, of: Option<Named<'a>>, selections: &'a [Selection]) {
        if let Some(of) = of {
            self.overlapping(of, selections);
        }
        for it in selections {
            match it {
                Selection::Field(field) => self.field(of, field),
                Selection::Spread {
                    at,
                    name,
                    directives,
                } => {
                    match self.document.fragment(&name.text) {
                        None => {
                            self.wrong(format!("Unknown fragment \"{}\".", name.text), &[name.at]);
                        }
                        Some(fragment) => {
                            let on = types::named(self.schema, &fragment.on.text);
                            self.possible(of, on, Some(&name.text), *at);
                        }
                    }
                    self.directives(directives, "FRAGMENT_SPREAD");
                }
                Selection::Inline {
                    at,
                    on,
                    directives,
                    selections,
                } => {
                    let inner = match on {
                        None => of,
                        Some(on) => types::named(self.schema, &on.text),
                    };
                    if let (Some(on), Some(inner)) = (on, inner.filter(|it| !it.is_composite())) {
                        let text = format!(
                            "Fragment cannot condition on non composite type \"{}\".",
                            inner.name()
                        );
                        self.wrong(text, &[on.at]);
                    }
                    self.possible(of, inner, None, *at);
                    if let Some(on) = on {
                        self.known_type(&on.text, on.at);
                    }
                    self.directives(directives, "INLINE_FRAGMENT");
                    self.selections(inner, selections);
                }
            }
        }
    }

    fn possible(
        &mut self,
        of: Option<Named<'a>>,
        on: Option<Named<'a>>,
        name: Option<&str>,
        at: usize,
    ) {
        let (Some(of), Some(on)) = (of, on) else {
            return;
        };
        if !of.is_composite() || !on.is_composite() || of.overlaps(self.schema, on) {
            return;
        }
        let name = name.map(|it| format!(" \"{it}\"")).unwrap_or_default();
        let text = format!(
            "Fragment{name} cannot be spread here as objects of type \"{}\" can never be of type \"{}\".",
            of.name(),
            on.name()
        );
        self.wrong(text, &[at]);
    }

    fn field(&mut self, parent: Option<Named<'a>>, field: &'a Field) {
        let found = parent.and_then(|it| types::field(self.schema, it, &field.name));
        if let (Some(parent), None) = (parent, &found) {
            let hint = self.hint(parent, &field.name);
            let text = format!(
                "Cannot query field \"{}\" on type \"{}\".{hint}",
                field.name,
                parent.name()
            );
            self.wrong(text, &[field.at]);
        }
        if let Some(found) = &found {
            self.leaf(field, found);
        }
        self.unique(&field.arguments);
        for argument in &field.arguments {
            let Some(found) = &found else { continue };
            let name = &argument.name.text;
            match found.arguments.iter().find(|(known, _)| known == name) {
                Some((_, of)) => self.argument(argument, *of),
                None => {
                    let all: Vec<&str> = found.arguments.iter().map(|(name, _)| *name).collect();
                    let parent = parent.map(Named::name).unwrap_or_default();
                    let text = format!(
                        "Unknown argument \"{name}\" on field \"{}\" of type \"{parent}\".{}",
                        field.name,
                        suggested(name, &all)
                    );
                    self.wrong(text, &[argument.name.at]);
                }
            }
        }
        self.directives(&field.directives, "FIELD");
        let inner = found.as_ref().map(|it| it.of.named);
        self.selections(inner.filter(|it| it.is_composite()), field.inner());
        for (name, of) in found.iter().flat_map(|it| &it.arguments) {
            if of.non_null && !field.arguments.iter().any(|it| it.name.text == *name) {
                let text = format!(
                    "Field \"{}\" argument \"{name}\" of type \"{}\" is required but not provided.",
                    field.name,
                    of.show()
                );
                self.wrong(text, &[field.at]);
            }
        }
    }

    fn leaf(&mut self, field: &Field, found: &FieldOf<'a>) {
        let (name, shown) = (&field.name, found.of.show());
        match (&field.selections, found.of.named.is_composite()) {
            (Some((at, _)), false) => {
                let text =
                    format!("Field \"{name}\" of type \"{shown}\" must not have a sub selection.");
                self.wrong(text, &[*at]);
            }
            (None, true) => {
                let text =
                    format!("Field \"{name}\" of type \"{shown}\" must have a sub selection.");
                self.wrong(text, &[field.at]);
            }
            _ => {}
        }
    }

    /// Suggestions for an unknown field: members of a union that have it, or similar fields.
    fn hint(&self, parent: Named<'a>, name: &str) -> String {
        use tower_gwag_schema::graphql::{Type, TypeKind};
        if let Named::Known(Type {
            kind: TypeKind::Union(members),
            ..
        }) = parent
        {
            let members = members.iter().map(|id| self.schema.get(*id));
            let having = members.filter(|it| it.fields().is_some_and(|it| it.contains_key(name)));
            let having: Vec<&str> = having.map(|it| it.name.as_str()).collect();
            return match having.is_empty() {
                true => String::new(),
                false => format!(
                    " Did you mean to use an inline fragment on {}?",
                    quoted(&having)
                ),
            };
        }
        suggested(name, &types::field_names(parent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_near_are_suggested() {
        assert_eq!(
            suggested("nope", &["nopkg", "probe", "oas"]),
            " Did you mean \"nopkg\"?"
        );
        assert_eq!(suggested("v2", &["v1", "stable"]), " Did you mean \"v1\"?");
        assert_eq!(suggested("nope", &["time", "long"]), "");
        assert_eq!(quoted(&["a", "b", "c"]), "\"a\", \"b\", or \"c\"");
    }
}
