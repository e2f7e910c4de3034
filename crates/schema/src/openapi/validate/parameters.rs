//! Checks parameters and headers, and whether they match the path templates.

use std::collections::{BTreeSet, HashSet};

use crate::json::{Map, Value};

use super::kinds::Kind;
use super::references::reference_of;
use super::{Item, Stage, Walk, flag, has, references, some, text};
use crate::finding::Rule;
use crate::openapi::Fault;

/// The keys of a path item that are operations.
const METHODS: [&str; 9] = [
    "connect", "delete", "get", "head", "options", "patch", "post", "put", "trace",
];

impl<'a> Walk<'a> {
    pub(super) fn paths(&mut self, item: &Item<'a>, map: &'a Map) {
        for (path, value) in map.iter().filter(|(path, _)| !path.starts_with("x-")) {
            if !path.starts_with('/') {
                let told = format!("the path `{path}` does not begin with `/`");
                let help = "begin it with a slash";
                self.invalid(item, Some(path), Rule::OpenApiShape, told, help);
            }
            self.template(item, path, value);
        }
    }

    /// Compares the parameters named in a path with those that its operations declare.
    fn template(&mut self, item: &Item<'a>, path: &'a str, value: &'a Value) {
        let named = names(path);
        let at = self.trail.key(item.at, path);
        let value = match reference_of(value) {
            Some(reference) if is_empty(value) => self.targets.of(reference).map(|it| it.value),
            _ => Some(value),
        };
        let Some(value) = value else { return };
        let shared = self.path_parameters(value);
        for method in METHODS {
            let Some(operation) = value.get(method).filter(|it| it.is_object()) else {
                continue;
            };
            let own = self.path_parameters(operation);
            let declared: Vec<_> = own.iter().chain(&shared).copied().collect();
            if declared.len() == named.len() {
                continue;
            }
            let unnamed = declared
                .iter()
                .find(|name| !named.contains(**name))
                .copied();
            // Gateways check only the first name.
            let undeclared = named
                .first()
                .filter(|name| !declared.contains(*name))
                .copied();
            let told = match (undeclared, unnamed) {
                (Some(name), _) => {
                    format!("the path has `{{{name}}}`, but no path parameter of that name")
                }
                (None, Some(name)) => {
                    format!(
                        "the path does not have `{{{name}}}`, but a path parameter of that name"
                    )
                }
                (None, None) => continue,
            };
            let help = "declare one parameter with `in: path` for each `{name}` of the path, and \
                        no others";
            let item = Item { at, ..*item };
            self.invalid(&item, Some(method), Rule::OpenApiParameter, told, help);
        }
    }

    fn path_parameters(&mut self, holder: &'a Value) -> Vec<&'a str> {
        let parameters = holder.get("parameters").and_then(Value::as_array);
        let parameters = parameters.into_iter().flatten();
        let parameters = parameters.filter_map(|it| self.targets.resolved(it)?.as_object());
        let in_path = parameters.filter(|it| text(it, "in") == "path");
        in_path.map(|it| text(it, "name")).collect()
    }

    /// Gateways follow the reference of a path item only if it has nothing else.
    pub(super) fn path_item_reference(&mut self, item: &Item<'a>, map: &'a Map) {
        let reference = text(map, "$ref");
        if reference.is_empty() || !is_empty(item.value) {
            return;
        }
        let at = self.trail.key(item.at, "$ref");
        match references::external(reference) {
            Some(told) => {
                let location = self.location(at, None);
                let fault = Fault::new(Rule::OpenApiExternalReference, told, location);
                self.add(Stage::Link, item.group, fault);
            }
            None => self.follow(item, Kind::PathItem, reference, at),
        }
    }

    /// Reports duplicate parameters.
    pub(super) fn twins(&mut self, item: &Item<'a>, map: &'a Map) {
        let parameters = some(map, "parameters").and_then(Value::as_array);
        let mut seen = HashSet::new();
        for (number, value) in parameters.into_iter().flatten().enumerate() {
            let Some(parameter) = self.targets.resolved(value).and_then(Value::as_object) else {
                continue;
            };
            let (place, name) = (text(parameter, "in"), text(parameter, "name"));
            if !seen.insert((place, name)) {
                let told = format!("the {place} parameter `{name}` appears twice");
                let at = self.trail.key(item.at, "parameters");
                let at = self.trail.item(at, number);
                let item = Item { at, ..*item };
                self.invalid(
                    &item,
                    None,
                    Rule::OpenApiParameter,
                    told,
                    "keep one of them",
                );
            }
        }
    }

    pub(super) fn parameter(&mut self, item: &Item<'a>, map: &'a Map) {
        let rule = Rule::OpenApiParameter;
        let (name, place) = (text(map, "name"), text(map, "in"));
        if name.is_empty() {
            self.invalid(
                item,
                None,
                Rule::OpenApiRequired,
                "a parameter has no name",
                "write `name`",
            );
        }
        let (plain, styles): (_, &[_]) = match place {
            "path" => ("simple", &["simple", "label", "matrix"]),
            "header" => ("simple", &["simple"]),
            "query" => (
                "form",
                &["form", "spaceDelimited", "pipeDelimited", "deepObject"],
            ),
            "cookie" => ("form", &["form"]),
            _ => {
                let told = format!("the parameter `{name}` is in `{place}`");
                let help =
                    "write `in: path`, `query`, `header` or `cookie`; a body is a `requestBody`";
                return self.invalid(item, Some("in"), rule, told, help);
            }
        };
        if place == "path" && flag(map, "required") != Some(true) {
            let told = format!("the path parameter `{name}` is not required");
            let help = "write `required: true`: a path always has all its parts";
            self.invalid(item, None, rule, told, help);
        }
        let style = match text(map, "style") {
            "" => plain,
            style => style,
        };
        let is_folded = style == "deepObject" && flag(map, "explode") == Some(false);
        if !styles.contains(&style) || is_folded {
            let told = format!("the {place} parameter `{name}` cannot have the style `{style}`");
            let help = match is_folded {
                true => "remove `explode`".to_owned(),
                false => format!("write one of `{}`", styles.join("`, `")),
            };
            self.invalid(item, Some("style"), rule, told, help);
        }
        self.schema_or_content(item, map);
    }

    pub(super) fn header(&mut self, item: &Item<'a>, map: &'a Map) {
        let rule = Rule::OpenApiParameter;
        for key in ["name", "in"] {
            if !text(map, key).is_empty() {
                let told = format!("a header has `{key}`");
                let help = "remove it: its key is its name";
                self.invalid(item, Some(key), rule, told, help);
            }
        }
        if !matches!(text(map, "style"), "" | "simple") {
            let told = "a header has a style other than `simple`";
            self.invalid(item, Some("style"), rule, told, "remove `style`");
        }
        self.schema_or_content(item, map);
    }

    /// Requires exactly one of schema and content, and exactly one content.
    fn schema_or_content(&mut self, item: &Item<'a>, map: &'a Map) {
        let rule = Rule::OpenApiParameter;
        let content = some(map, "content").and_then(Value::as_object);
        let count = content.map_or(0, Map::len);
        let has_schema = has(item.value, "schema");
        let name = item.kind.name();
        if has_schema && map.contains_key("content") && item.kind == Kind::Parameter {
            // Already reported by the reading phase.
        } else if has_schema == (count > 0) {
            let told = format!("{name} needs exactly one of `schema` and `content`");
            let help = "write `schema: { type: string }`, or the type that it has";
            self.invalid(item, None, rule, told, help);
        } else if count > 1 {
            let told = format!("the `content` of {name} has several media types");
            self.invalid(item, Some("content"), rule, told, "keep one of them");
        }
        if has_schema && item.kind == Kind::Parameter {
            self.told_examples(item, map);
        }
    }

    /// Both at once are refused while the document is read.
    pub(super) fn schema_and_content(&mut self, item: &Item<'a>, map: &'a Map) {
        // Even if it is null.
        if has(item.value, "schema") && map.contains_key("content") {
            let told = "a parameter has both `schema` and `content`".to_owned();
            let help = "keep one of them";
            self.unlinkable(item, item.at, Rule::OpenApiParameter, told, help);
        }
    }
}

/// The names in braces.
fn names(path: &str) -> BTreeSet<&str> {
    let parts = path.split('{').skip(1);
    parts
        .filter_map(|part| Some(part.split_once('}')?.0))
        .collect()
}

/// Whether a path item has nothing except a reference.
fn is_empty(item: &Value) -> bool {
    let has = |key: &&str| item.get(key).is_some_and(super::is_set);
    let others = ["summary", "description", "servers", "parameters"];
    !METHODS.iter().chain(&others).any(has)
}
