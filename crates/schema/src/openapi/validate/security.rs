//! Security schemes and OAuth flows.

use crate::json::Map;

use super::{Item, Walk, some, text, urls};
use crate::finding::Rule;

impl<'a> Walk<'a> {
    pub(super) fn security_scheme(&mut self, item: &Item<'a>, map: &'a Map) {
        let kind = text(map, "type");
        let scheme = text(map, "scheme");
        match kind {
            "apiKey" => {
                if !matches!(text(map, "in"), "query" | "header" | "cookie") {
                    let told = "an API key is not in `query`, `header` or `cookie`";
                    let help = "say where it is: `in: header`";
                    self.invalid(item, Some("in"), Rule::OpenApiShape, told, help);
                }
                if text(map, "name").is_empty() {
                    let told = "an API key has no name";
                    self.invalid(item, None, Rule::OpenApiRequired, told, "write `name`");
                }
            }
            "http" if matches!(scheme, "basic" | "bearer" | "digest" | "negotiate") => {}
            "http" => {
                let told = format!("`{scheme}` is no `scheme` that gateways know");
                let help = "write `basic`, `bearer`, `digest` or `negotiate`, in small letters";
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
                let told = "`mutualTLS` is there from OpenAPI 3.1 on";
                let help = "leave it out, or say `openapi: \"3.1.0\"`";
                self.invalid(item, Some("type"), Rule::OpenApiShape, told, help);
            }
            kind => {
                let told = format!("`{kind}` is no type of a security scheme");
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
                self.invalid(item, Some(field), Rule::OpenApiShape, told, "take it out");
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
                    self.invalid(item, Some(field), Rule::OpenApiShape, told, "take it out");
                }
                _ => self.url(item, field, url),
            }
        }
        self.url(item, "refreshUrl", text(map, "refreshUrl"));
        if !map.contains_key("scopes") {
            let told = format!("the flow `{flow}` has no scopes");
            let help = "write `scopes`; `scopes: {}` where there are none";
            self.invalid(item, None, Rule::OpenApiRequired, told, help);
        }
    }

    pub(super) fn url(&mut self, item: &Item<'a>, field: &str, url: &str) {
        if let Some(fault) = urls::fault(url) {
            let told = format!("`{field}` is no URL: it {fault}");
            self.invalid(item, Some(field), Rule::OpenApiShape, told, "correct it");
        }
    }
}
