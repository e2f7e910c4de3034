//! Checks the required fields of the smaller objects.

use crate::json::{Map, Value};

use super::kinds::Kind;
use super::{Item, Walk, some, text, urls};
use crate::finding::Rule;

/// The message about responses that a repair describes.
pub(crate) const NO_DESCRIPTION: &str = "a response has no description";

impl<'a> Walk<'a> {
    pub(super) fn root(&mut self, item: &Item<'a>, map: &'a Map) {
        let needs_paths = self.is_old;
        let mut missing = |key: &'static str, told: &str, help: &str| {
            // The location is the missing field itself.
            self.invalid(item, Some(key), Rule::OpenApiRequired, told, help);
        };
        if is_empty(map, "openapi")
            && let Some(swagger) = map.get("swagger")
        {
            let version = swagger
                .as_str()
                .map_or_else(|| swagger.to_string(), str::to_owned);
            let told = format!("this is Swagger {version}, and gateways read OpenAPI 3.x");
            let help = "convert it to OpenAPI 3, for example with `swagger2openapi`";
            missing("openapi", &told, help);
        } else if is_empty(map, "openapi") {
            let told = "the value of openapi must be a non-empty string";
            let help = "it says which OpenAPI 3.x it is, in quotes: `openapi: \"3.1.0\"`";
            missing("openapi", told, help);
        }
        if some(map, "info").is_none() {
            missing("info", "invalid info: must be an object", "write it");
        }
        if some(map, "paths").is_none() && needs_paths {
            missing(
                "paths",
                "invalid paths: must be an object",
                "write it; `paths: {}` if empty",
            );
        }
        let dialect = text(map, "jsonSchemaDialect");
        if !dialect.is_empty() {
            self.url(item, "jsonSchemaDialect", dialect);
            if !urls::is_absolute(dialect) {
                let told = "`jsonSchemaDialect` is no absolute URL";
                let help = "write it with its scheme, or leave it out";
                self.invalid(
                    item,
                    Some("jsonSchemaDialect"),
                    Rule::OpenApiShape,
                    told,
                    help,
                );
            }
        }
    }

    pub(super) fn info(&mut self, item: &Item<'a>, map: &'a Map) {
        for name in ["title", "version"] {
            if is_empty(map, name) {
                let told = format!("invalid info: the value of {name} must be a non-empty string");
                self.invalid(item, Some(name), Rule::OpenApiRequired, told, "write it");
            }
        }
    }

    pub(super) fn license(&mut self, item: &Item<'a>, map: &'a Map) {
        if text(map, "name").is_empty() {
            let told = "a license has no name";
            let help = "write `name`, such as `MIT`, or leave `license` out; utoipa writes an empty \
                        one for a crate without `license` in its Cargo.toml: give it one, or let \
                        `Service::repair` drop it";
            self.invalid(item, None, Rule::OpenApiRequired, told, help);
        }
        if !text(map, "url").is_empty() && !text(map, "identifier").is_empty() {
            let told = "a license has both `url` and `identifier`";
            self.invalid(item, None, Rule::OpenApiShape, told, "leave one of them");
        }
    }

    pub(super) fn server(&mut self, item: &Item<'a>, map: &'a Map) {
        let url = text(map, "url");
        if url.is_empty() {
            let told = "a server has no URL";
            let help = "write `url`; `/` is this very server";
            return self.invalid(item, None, Rule::OpenApiRequired, told, help);
        }
        let (open, closed) = (url.matches('{').count(), url.matches('}').count());
        let variables = some(map, "variables").and_then(Value::as_object);
        let count = variables.map_or(0, Map::len);
        let mut names = variables.into_iter().flat_map(Map::keys);
        if open != closed
            || open != count
            || names.any(|name| !url.contains(&format!("{{{name}}}")))
        {
            let told = "a server's URL and its `variables` name different variables";
            let help = "declare each `{variable}` of the URL once, and no others";
            self.invalid(item, Some("url"), Rule::OpenApiShape, told, help);
        }
    }

    pub(super) fn server_variable(&mut self, item: &Item<'a>, map: &'a Map) {
        if text(map, "default").is_empty() {
            let told = "a variable of a server has no default";
            self.invalid(item, None, Rule::OpenApiRequired, told, "write `default`");
        }
    }

    pub(super) fn external_docs(&mut self, item: &Item<'a>, map: &'a Map) {
        match text(map, "url") {
            "" => {
                let told = "`externalDocs` has no URL";
                self.invalid(item, None, Rule::OpenApiRequired, told, "write `url`");
            }
            url => self.url(item, "url", url),
        }
    }

    pub(super) fn components(&mut self, item: &Item<'a>, map: &'a Map) {
        for (section, entries) in map {
            if Kind::Components.field(section).is_none() {
                continue;
            }
            let names = entries.as_object().into_iter().flat_map(Map::keys);
            for name in names.filter(|name| !is_identifier(name)) {
                let at = self.trail.key(item.at, section);
                let told = format!(
                    "the component `{name}` is called as no component may be: letters, digits, `.`, \
                     `_` and `-`"
                );
                let help = format!("`{}` would do", crate::name::suggest(name));
                let item = Item { at, ..*item };
                self.invalid(&item, Some(name), Rule::OpenApiComponentName, told, help);
            }
        }
    }

    pub(super) fn operation(&mut self, item: &Item<'a>, map: &'a Map) {
        self.twins(item, map);
        if some(map, "responses").is_none() {
            let told = "an operation has no responses";
            let help = "write `responses`, such as `\"200\": { description: ok }`";
            self.invalid(item, None, Rule::OpenApiRequired, told, help);
        }
    }

    pub(super) fn responses(&mut self, item: &Item<'a>, map: &'a Map) {
        if map.keys().all(|key| key.starts_with("x-")) {
            let told = "`responses` is empty";
            let help = "write one of them, such as `\"200\": { description: ok }`";
            self.invalid(item, None, Rule::OpenApiRequired, told, help);
        }
    }

    pub(super) fn response(&mut self, item: &Item<'a>, map: &'a Map) {
        if some(map, "description").is_none() {
            let help = "write `description`; it may be empty";
            self.invalid(item, None, Rule::OpenApiRequired, NO_DESCRIPTION, help);
        }
    }

    pub(super) fn request_body(&mut self, item: &Item<'a>, map: &'a Map) {
        if !map.contains_key("content") {
            let told = "a request body has no content";
            let help = "write `content`, with a media type such as `application/json`";
            self.invalid(item, None, Rule::OpenApiRequired, told, help);
        }
    }

    pub(super) fn example(&mut self, item: &Item<'a>, map: &'a Map) {
        let has_link = !text(map, "externalValue").is_empty();
        match (some(map, "value").is_some(), has_link) {
            (true, true) => {
                let told = "an example has both `value` and `externalValue`";
                self.invalid(item, None, Rule::OpenApiExample, told, "leave one of them");
            }
            (false, false) => {
                let told = "an example has no value";
                let help = "write `value`, which is not null, or `externalValue`";
                self.invalid(item, None, Rule::OpenApiExample, told, help);
            }
            _ => {}
        }
    }

    pub(super) fn link(&mut self, item: &Item<'a>, map: &'a Map) {
        let has = |key: &str| !text(map, key).is_empty();
        if has("operationId") == has("operationRef") {
            let told = "a link has not exactly one of `operationId` and `operationRef`";
            let help = "say by one of them which operation is meant";
            self.invalid(item, None, Rule::OpenApiShape, told, help);
        }
    }
}

/// Whether a string is missing; a wrong type is already reported by the reading phase.
fn is_empty(map: &Map, key: &str) -> bool {
    some(map, key).is_none_or(|it| it.as_str().is_some_and(str::is_empty))
}

/// Whether the name is valid for a component.
pub(crate) fn is_identifier(name: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.bytes().all(is_part)
}
