//! Checks the schema of a GraphQL endpoint before the endpoint is registered.

use crate::calls;
use crate::finding::Finding;
use crate::finding::Rule;
use crate::finding::excerpt::Lines;
use crate::gateway::GatewayRelease;
use crate::graphql::Introspection;
use crate::location::Location;
use crate::renderable::{self, Effect, Unrenderable};

/// The file name of the schema in findings.
const FILE: &str = "graphql";

/// Further findings about one schema are dropped.
const MOST_FINDINGS: usize = 100;

/// All findings about a schema, and the schema itself if it is readable.
pub(crate) fn check(
    namespace: &str,
    version: &str,
    text: Option<&[u8]>,
    release: GatewayRelease,
) -> (Vec<Finding>, Option<Introspection>) {
    let Some(bytes) = text else {
        let message = "the schema of the GraphQL endpoint was not checked, because only the running \
                       endpoint has it";
        let finding = Finding::warning(Rule::GraphQlUnchecked, message);
        let help = "pass it to `Service::schema`, as SDL or as the reply to an introspection query";
        return (vec![finding.help(help)], None);
    };
    let text = String::from_utf8_lossy(bytes);
    let lines = Lines::of(&text);
    let introspection = match read(&text) {
        Ok(introspection) => introspection,
        Err((message, at)) => {
            let excerpt = at.map(|(line, column)| lines.at_mark(line, column, 1));
            let finding = Finding::error(Rule::GraphQlSchema, message)
                .help("pass SDL, or the JSON reply to an introspection query")
                .at(FILE, excerpt);
            return (vec![finding], None);
        }
    };
    let judged = renderable::judge_graphql(namespace, version, &introspection, release);
    let excerpt = |location: &Location| match location {
        Location::Text(line @ 1.., column) => Some(lines.at_mark(*line, *column, 1)),
        _ => None,
    };
    let found = judged.found.iter().take(MOST_FINDINGS);
    let found = found.map(|it| explain(it, version).at(FILE, excerpt(&it.location)));
    let mut found: Vec<_> = found.collect();
    let operations = calls::of_graphql((namespace, version), &introspection, &judged.schema);
    let of_calls = calls::findings(&operations).into_iter();
    found.extend(of_calls.map(|(finding, location)| finding.at(FILE, excerpt(&location))));
    (found, Some(introspection))
}

/// A schema, or the reason and place of the syntax error.
type Read = Result<Introspection, (String, Option<(usize, usize)>)>;

fn read(text: &str) -> Read {
    if text.trim_start().starts_with('{') {
        let reply = serde_json::from_str(text).map_err(|error| {
            let at = (error.line(), error.column().max(1));
            (format!("the schema is not JSON: {error}"), Some(at))
        })?;
        let read = Introspection::from_json(&reply);
        return read.ok_or_else(|| {
            let message = "the JSON is not the reply to an introspection query: it has no \
                           `__schema` with `types`";
            (message.to_owned(), None)
        });
    }
    let read = Introspection::from_sdl(text).map_err(|error| {
        let message = format!("the schema is not SDL: {}", error.message);
        (message, Some((error.line, error.column)))
    })?;
    match read.has_query() {
        true => Ok(read),
        false => Err(("the schema has no query type".to_owned(), None)),
    }
}

fn explain(found: &Unrenderable, version: &str) -> Finding {
    let name = &found.name;
    let (message, help) = match found.rule {
        Rule::SchemaText => return renderable::broken_text(found),
        Rule::GraphQlFieldName => (
            format!(
                "a root field is called `{name}`, which gateways use for the version `{version}`, its \
                 alias `stable` or a subscription of these"
            ),
            "rename it, or register it under another version",
        ),
        _ => (
            format!("two types are called `{name}` in the schema that gateways make"),
            "rename the type, or the fields of the root types that lead to it",
        ),
    };
    match found.effect {
        Effect::Loses => Finding::warning(found.rule, message),
        Effect::Blocks | Effect::BreaksText => Finding::error(found.rule, message),
    }
    .help(help)
}
