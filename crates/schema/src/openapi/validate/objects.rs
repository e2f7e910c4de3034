//! Checks the required fields of the smaller objects, security schemes and OAuth flows among them.

use super::kinds::Kind;
use super::{Item, Walk, formats, some, text};
use crate::finding::Rule;
use crate::json::{Map, Value};

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
            let help = "write the version of OpenAPI in quotes: `openapi: \"3.1.0\"`";
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
            if !formats::is_absolute_url(dialect) {
                let told = "`jsonSchemaDialect` is not an absolute URL";
                let help = "write it with its scheme, or remove it";
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
            let help = "write `name`, such as `MIT`, or remove `license`; utoipa writes an empty \
                        one for a crate without `license` in its Cargo.toml: give it one, or let \
                        `Service::repair` drop it";
            self.invalid(item, None, Rule::OpenApiRequired, told, help);
        }
        if !text(map, "url").is_empty() && !text(map, "identifier").is_empty() {
            let told = "a license has both `url` and `identifier`";
            self.invalid(item, None, Rule::OpenApiShape, told, "keep one of them");
        }
    }

    pub(super) fn server(&mut self, item: &Item<'a>, map: &'a Map) {
        let url = text(map, "url");
        if url.is_empty() {
            let told = "a server has no URL";
            let help = "write `url`; `/` is the server itself";
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
                    "the component `{name}` has a name that OpenAPI does not allow: use letters, \
                     digits, `.`, `_` and `-`"
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
                self.invalid(item, None, Rule::OpenApiExample, told, "keep one of them");
            }
            (false, false) => {
                let told = "an example has no value";
                let help = "write a `value` other than null, or `externalValue`";
                self.invalid(item, None, Rule::OpenApiExample, told, help);
            }
            _ => {}
        }
    }

    pub(super) fn link(&mut self, item: &Item<'a>, map: &'a Map) {
        let has = |key: &str| !text(map, key).is_empty();
        if has("operationId") == has("operationRef") {
            let told = "a link needs exactly one of `operationId` and `operationRef`";
            let help = "name the operation by one of them";
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

// === security ===

impl<'a> Walk<'a> {
    pub(super) fn security_scheme(&mut self, item: &Item<'a>, map: &'a Map) {
        let kind = text(map, "type");
        let scheme = text(map, "scheme");
        match kind {
            "apiKey" => {
                if !matches!(text(map, "in"), "query" | "header" | "cookie") {
                    let told = "an API key is not in `query`, `header` or `cookie`";
                    let help = "write where it is, such as `in: header`";
                    self.invalid(item, Some("in"), Rule::OpenApiShape, told, help);
                }
                if text(map, "name").is_empty() {
                    let told = "an API key has no name";
                    self.invalid(item, None, Rule::OpenApiRequired, told, "write `name`");
                }
            }
            "http" if matches!(scheme, "basic" | "bearer" | "digest" | "negotiate") => {}
            "http" => {
                let told = format!("`{scheme}` is not a `scheme` that gateways know");
                let help = "write `basic`, `bearer`, `digest` or `negotiate`, in lower case";
                self.invalid(item, Some("scheme"), Rule::OpenApiShape, told, help);
            }
            "oauth2" if some(map, "flows").is_some() => {}
            "oauth2" => {
                let told = "an OAuth scheme has no flows";
                self.invalid(item, None, Rule::OpenApiRequired, told, "write `flows`");
            }
            "openIdConnect" => {
                if text(map, "openIdConnectUrl").is_empty() {
                    let told = "an OpenID scheme has no URL";
                    let help = "write `openIdConnectUrl`";
                    self.invalid(item, None, Rule::OpenApiRequired, told, help);
                }
            }
            "mutualTLS" if self.is_new => {}
            "mutualTLS" => {
                let told = "`mutualTLS` exists from OpenAPI 3.1 on";
                let help = "remove it, or write `openapi: \"3.1.0\"`";
                self.invalid(item, Some("type"), Rule::OpenApiShape, told, help);
            }
            kind => {
                let told = format!("`{kind}` is not a type of a security scheme");
                let help = "write `apiKey`, `http`, `oauth2`, `openIdConnect` or `mutualTLS`";
                self.invalid(item, Some("type"), Rule::OpenApiShape, told, help);
                return;
            }
        }
        let belongs = |field: &str| match field {
            "in" | "name" => kind == "apiKey",
            "flows" => kind == "oauth2",
            _ => kind == "http" && scheme == "bearer",
        };
        for field in ["in", "name", "bearerFormat", "flows"] {
            let is_there = match field {
                "flows" => some(map, field).is_some(),
                field => !text(map, field).is_empty(),
            };
            if is_there && !belongs(field) {
                let told = format!("a security scheme of type `{kind}` has no `{field}`");
                self.invalid(item, Some(field), Rule::OpenApiShape, told, "remove it");
            }
        }
    }

    pub(super) fn flow(&mut self, item: &Item<'a>, map: &'a Map) {
        let pointer = self.trail.pointer(item.at);
        let flow = pointer.last();
        let asks = matches!(&*flow, "implicit" | "authorizationCode");
        let gets = flow != "implicit";
        for (field, belongs) in [("authorizationUrl", asks), ("tokenUrl", gets)] {
            let url = text(map, field);
            match (belongs, url.is_empty()) {
                (true, true) => {
                    let told = format!("the flow `{flow}` has no `{field}`");
                    self.invalid(item, None, Rule::OpenApiRequired, told, "write it");
                }
                (false, false) => {
                    let told = format!("the flow `{flow}` has a `{field}`");
                    self.invalid(item, Some(field), Rule::OpenApiShape, told, "remove it");
                }
                _ => self.url(item, field, url),
            }
        }
        self.url(item, "refreshUrl", text(map, "refreshUrl"));
        if !map.contains_key("scopes") {
            let told = format!("the flow `{flow}` has no scopes");
            let help = "write `scopes`, or `scopes: {}` if there are none";
            self.invalid(item, None, Rule::OpenApiRequired, told, help);
        }
    }

    pub(super) fn url(&mut self, item: &Item<'a>, field: &str, url: &str) {
        if let Some(fault) = formats::url_fault(url) {
            let told = format!("`{field}` is not a URL: it {fault}");
            self.invalid(item, Some(field), Rule::OpenApiShape, told, "correct it");
        }
    }
}
