//! Prints a schema as `GET /api/schema/graphql` does.

use std::fmt::{self, Write};

use super::descriptions::{Annotation, quoted};
use super::model::{InputValue, Schema, Type, TypeKind};
use crate::sorted::Sorted;

/// Types that every GraphQL server has; an object with such a name is left out, too.
const BUILT_IN: [&str; 5] = ["Int", "Float", "String", "Boolean", "ID"];

/// Where any directive may appear.
const PLACES: &str = "FIELD_DEFINITION | OBJECT | INPUT_OBJECT | INPUT_FIELD_DEFINITION | ENUM | \
                      SCALAR | UNION | INTERFACE | ARGUMENT_DEFINITION";

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("schema {\n")?;
        let roots = [
            ("query", Some(self.query)),
            ("mutation", self.mutation),
            ("subscription", self.subscription),
        ];
        for (keyword, root) in roots {
            if let Some(root) = root {
                writeln!(f, "  {keyword}: {}", self.get(root).name)?;
            }
        }
        f.write_str("}\n")?;
        if !self.directives.is_empty() {
            f.write_char('\n')?;
        }
        for (name, arguments) in &self.directives {
            write!(f, "directive @{name}")?;
            if !arguments.is_empty() {
                let arguments: Vec<String> = arguments
                    .iter()
                    .map(|(name, type_name)| format!("{name}: {type_name}"))
                    .collect();
                write!(f, "({})", arguments.join(", "))?;
            }
            writeln!(f, " on {PLACES}")?;
        }
        for (name, id) in &self.by_name {
            if !BUILT_IN.contains(&name.as_str()) && !name.starts_with("__") {
                f.write_char('\n')?;
                self.print(f, self.get(*id))?;
            }
        }
        Ok(())
    }
}

impl Schema {
    fn print(&self, f: &mut fmt::Formatter<'_>, it: &Type) -> fmt::Result {
        print_description(f, it.description.as_deref(), 0)?;
        let name = &it.name;
        match &it.kind {
            TypeKind::Scalar => {
                write!(f, "scalar {name}")?;
                print_annotations(f, &it.annotations)?;
                f.write_char('\n')
            }
            TypeKind::Union(members) => {
                write!(f, "union {name}")?;
                print_annotations(f, &it.annotations)?;
                let members: Vec<&str> = members.iter().map(|id| &*self.get(*id).name).collect();
                writeln!(f, " = {}", members.join(" | "))
            }
            TypeKind::Enum(values) => {
                write!(f, "enum {name}")?;
                print_annotations(f, &it.annotations)?;
                f.write_str(" {\n")?;
                for (value, about) in values {
                    print_description(f, about.description.as_deref(), 2)?;
                    write!(f, "  {value}")?;
                    print_deprecation(f, about.deprecated.as_deref())?;
                    f.write_char('\n')?;
                }
                f.write_str("}\n")
            }
            TypeKind::Input(fields) => {
                write!(f, "input {name}")?;
                print_annotations(f, &it.annotations)?;
                f.write_str(" {\n")?;
                for (field, about) in fields {
                    print_description(f, about.description.as_deref(), 2)?;
                    write!(f, "  {field}: {}", self.show(about.of))?;
                    print_annotations(f, &about.annotations)?;
                    f.write_char('\n')?;
                }
                f.write_str("}\n")
            }
            TypeKind::Object(fields) => {
                write!(f, "type {name}")?;
                print_annotations(f, &it.annotations)?;
                f.write_str(" {\n")?;
                for (field, about) in fields {
                    print_description(f, about.description.as_deref(), 2)?;
                    write!(f, "  {field}")?;
                    self.print_arguments(f, &about.arguments)?;
                    write!(f, ": {}", self.show(about.of))?;
                    print_deprecation(f, about.deprecated.as_deref())?;
                    print_annotations(f, &about.annotations)?;
                    f.write_char('\n')?;
                }
                f.write_str("}\n")
            }
        }
    }

    fn print_arguments(
        &self,
        f: &mut fmt::Formatter<'_>,
        arguments: &Sorted<InputValue>,
    ) -> fmt::Result {
        if arguments.is_empty() {
            return Ok(());
        }
        if arguments.values().all(|it| it.description.is_none()) {
            for (number, (name, about)) in arguments.iter().enumerate() {
                let before = if number == 0 { "(" } else { ", " };
                write!(f, "{before}{name}: {}", self.show(about.of))?;
            }
            return f.write_char(')');
        }
        f.write_str("(\n")?;
        for (name, about) in arguments {
            print_description(f, about.description.as_deref(), 4)?;
            writeln!(f, "    {name}: {}", self.show(about.of))?;
        }
        f.write_str("  )")
    }
}

fn print_description(
    f: &mut fmt::Formatter<'_>,
    description: Option<&str>,
    indentation: usize,
) -> fmt::Result {
    let Some(text) = description else {
        return Ok(());
    };
    let text = text.replace("\"\"\"", "\\\"\\\"\\\"");
    if !text.contains('\n') {
        return writeln!(f, "{:indentation$}\"\"\"{text}\"\"\"", "");
    }
    writeln!(f, "{:indentation$}\"\"\"", "")?;
    for line in text.split('\n') {
        writeln!(f, "{:indentation$}{line}", "")?;
    }
    writeln!(f, "{:indentation$}\"\"\"", "")
}

fn print_deprecation(f: &mut fmt::Formatter<'_>, reason: Option<&str>) -> fmt::Result {
    match reason {
        Some(reason) => write!(f, " @deprecated(reason: {})", quoted(reason)),
        None => Ok(()),
    }
}

fn print_annotations(f: &mut fmt::Formatter<'_>, annotations: &[Annotation]) -> fmt::Result {
    for annotation in annotations {
        write!(f, " @{}", annotation.name)?;
        for (number, (name, value)) in annotation.arguments.iter().enumerate() {
            let before = if number == 0 { "(" } else { ", " };
            write!(f, "{before}{name}: {}", value.text)?;
        }
        if !annotation.arguments.is_empty() {
            f.write_char(')')?;
        }
    }
    Ok(())
}
