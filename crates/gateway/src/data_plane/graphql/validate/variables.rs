//! Variables: they are declared once, used, and of types that fit where they are used.

use std::collections::{HashMap, HashSet};

use super::super::document::{Argument, Directive, LiteralValue, Operation, Selection};
use super::super::types::{self, Named, Wrapped};
use super::super::values::type_of;
use super::Rules;

impl<'a> Rules<'a> {
    pub(super) fn variables(&mut self, operation: &'a Operation, of: Option<Named<'a>>) {
        self.usages.clear();
        for directive in &operation.directives {
            self.uses_of_arguments(&directive.arguments, &[]);
        }
        let mut seen = HashSet::new();
        self.uses(of, &operation.selections, &mut seen);
        let usages = std::mem::take(&mut self.usages);
        let mut declared = HashMap::new();
        for variable in &operation.variables {
            declared.entry(variable.name.as_str()).or_insert(variable);
        }
        for (name, at, _) in &usages {
            if !declared.contains_key(name.as_str()) {
                let text = match &operation.name {
                    Some(own) => format!(
                        "Variable \"${name}\" is not defined by operation \"{}\".",
                        own.text
                    ),
                    None => format!("Variable \"${name}\" is not defined."),
                };
                self.wrong(text, &[*at, operation.at]);
            }
        }
        let used: HashSet<&str> = usages.iter().map(|(name, ..)| name.as_str()).collect();
        for variable in &operation.variables {
            if !used.contains(variable.name.as_str()) {
                let text = match &operation.name {
                    Some(own) => {
                        format!(
                            "Variable \"${}\" is never used in operation \"{}\".",
                            variable.name, own.text
                        )
                    }
                    None => format!("Variable \"${}\" is never used.", variable.name),
                };
                self.wrong(text, &[variable.at]);
            }
        }
        for (name, at, expected) in &usages {
            let variable = declared.get(name.as_str());
            let (Some(variable), Some(expected)) = (variable, *expected) else {
                continue;
            };
            let Some(of) = type_of(self.schema, &variable.of) else {
                continue;
            };
            let effective = Wrapped {
                non_null: of.non_null || variable.default.is_some(),
                ..of
            };
            if !fits(effective, expected) {
                let text = format!(
                    "Variable \"${name}\" of type \"{}\" used in position expecting type \"{}\".",
                    of.show(),
                    expected.show()
                );
                self.wrong(text, &[variable.at, *at]);
            }
        }
    }

    fn uses(
        &mut self,
        of: Option<Named<'a>>,
        selections: &'a [Selection],
        seen: &mut HashSet<&'a str>,
    ) {
        for it in selections {
            match it {
                Selection::Field(field) => {
                    let found = of.and_then(|it| types::field(self.schema, it, &field.name));
                    let known = found
                        .as_ref()
                        .map(|it| it.arguments.clone())
                        .unwrap_or_default();
                    self.uses_of_arguments(&field.arguments, &known);
                    self.uses_of_directives(&field.directives);
                    self.uses(found.map(|it| it.of.named), field.inner(), seen);
                }
                Selection::Inline {
                    on,
                    directives,
                    selections,
                    ..
                } => {
                    self.uses_of_directives(directives);
                    let inner = match on {
                        None => of,
                        Some(on) => types::named(self.schema, &on.text),
                    };
                    self.uses(inner, selections, seen);
                }
                Selection::Spread {
                    name, directives, ..
                } => {
                    self.uses_of_directives(directives);
                    if let Some(fragment) = self.document.fragment(&name.text)
                        && seen.insert(&name.text)
                    {
                        let on = types::named(self.schema, &fragment.on.text);
                        self.uses(on, &fragment.selections, seen);
                    }
                }
            }
        }
    }

    fn uses_of_directives(&mut self, directives: &'a [Directive]) {
        let condition = types::named(self.schema, "Boolean").map(|named| Wrapped {
            named,
            is_list: false,
            items_non_null: false,
            non_null: true,
        });
        let known: Vec<(&str, Wrapped<'a>)> = condition.map(|it| ("if", it)).into_iter().collect();
        for directive in directives {
            self.uses_of_arguments(&directive.arguments, &known);
        }
    }

    fn uses_of_arguments(&mut self, arguments: &'a [Argument], known: &[(&'a str, Wrapped<'a>)]) {
        for argument in arguments {
            let of = known
                .iter()
                .find(|(name, _)| *name == argument.name.text)
                .map(|(_, of)| *of);
            self.uses_of_value(&argument.value.value, argument.value.at, of);
        }
    }

    fn uses_of_value(&mut self, value: &'a LiteralValue, at: usize, of: Option<Wrapped<'a>>) {
        match value {
            LiteralValue::Variable(name) => self.usages.push((name.clone(), at, of)),
            LiteralValue::List(all) => {
                for it in all {
                    self.uses_of_value(&it.value, it.at, of.map(Wrapped::item));
                }
            }
            LiteralValue::Object(all) => {
                for it in all {
                    let fields = match of.map(|it| it.named) {
                        Some(Named::Known(of)) => of.input_fields(),
                        _ => None,
                    };
                    let field = fields.and_then(|fields| fields.get(&it.name.text));
                    let of = field.map(|field| Wrapped::of(self.schema, field.of));
                    self.uses_of_value(&it.value.value, it.value.at, of);
                }
            }
            _ => {}
        }
    }
}

/// Whether a variable of one type can be used where another is expected.
fn fits(of: Wrapped<'_>, expected: Wrapped<'_>) -> bool {
    of.named.name() == expected.named.name()
        && of.is_list == expected.is_list
        && (of.non_null || !expected.non_null)
        && (of.items_non_null || !expected.items_non_null)
}
