//! Checks a proto source before it is sent.

use prost_reflect::Kind;

use crate::calls;
use crate::finding::Finding;
use crate::finding::Rule;
use crate::gateway::GatewayRelease;
use crate::location::Location;
use crate::proto::locate::Excerpts;
use crate::proto::{CompileFault, Compiled, path_of};
use crate::renderable::{self, Effect, Judged, Unrenderable};

/// Further findings about one source are dropped.
const MOST_FINDINGS: usize = 100;

/// All findings about a compiler result, and whether a gateway's schema shows an operation of it. `entry`
/// is the user's name for the entry file, which is compiled under the name of the namespace.
pub(crate) fn check(
    namespace: &str,
    version: &str,
    entry: &str,
    outcome: &Result<Compiled, CompileFault>,
    release: GatewayRelease,
) -> (Vec<Finding>, bool) {
    let shown = |file: &str| match file.strip_suffix(".proto") == Some(namespace) {
        true => entry.to_owned(),
        false => file.to_owned(),
    };
    match outcome {
        Ok(compiled) => {
            let judged = renderable::judge_proto(namespace, version, compiled, release);
            let found = of_compiled(version, compiled, &judged, &shown);
            (found, judged.has_operations)
        }
        Err(fault) => (of_fault(fault, &shown), false),
    }
}

fn of_fault(fault: &CompileFault, shown: &dyn Fn(&str) -> String) -> Vec<Finding> {
    let finding = |fault: &crate::proto::fault::ProtoFault| {
        let text = &fault.text;
        let finding = match fault.is_certain {
            true => Finding::error(Rule::ProtoCompile, text),
            false => {
                let message = format!(
                    "not checked, because the compiler used here reports: {text}; a gateway's \
                     compiler may accept it"
                );
                Finding::warning(Rule::ProtoUnverified, message)
            }
        };
        let finding = match &fault.help {
            Some(help) => finding.help(help),
            None => finding,
        };
        match &fault.file {
            Some(file) => finding.at(shown(file), fault.excerpt.clone()),
            None => finding,
        }
    };
    fault.details.iter().map(finding).collect()
}

fn of_compiled(
    version: &str,
    compiled: &Compiled,
    judged: &Judged,
    shown: &dyn Fn(&str) -> String,
) -> Vec<Finding> {
    let mut excerpts = Excerpts::new(compiled);
    let mut located = |finding: Finding, location: &Location| match location {
        Location::Proto(file, path) => finding.at(shown(file), excerpts.of(file, path)),
        _ => finding,
    };
    let mut found: Vec<Finding> = judged
        .found
        .iter()
        .take(MOST_FINDINGS)
        .map(|it| located(explain(it, version, compiled), &it.location))
        .collect();
    let streaming = compiled.streaming_methods().take(MOST_FINDINGS);
    for (method, location) in streaming {
        let message = format!(
            "`{}` takes a stream of requests, and gateways do not route such methods",
            path_of(&method)
        );
        let help = "callers can only call it directly; for calls through the gateway, add a unary \
                    or server-streaming method";
        let finding = Finding::warning(Rule::ProtoStreaming, message).help(help);
        found.push(located(finding, &location));
    }
    let of_calls = calls::findings(&calls::of_proto(compiled, &judged.schema));
    for (finding, location) in of_calls.into_iter().take(MOST_FINDINGS) {
        found.push(located(finding, &location));
    }
    found
}

fn explain(found: &Unrenderable, version: &str, compiled: &Compiled) -> Finding {
    let name = &found.name;
    let (message, help) = match found.rule {
        Rule::ProtoTwoServices if found.effect == Effect::Loses => (
            format!(
                "`{name}` shares its file with another service, and gateways take the last one for \
                 the whole version: callers find the operations of the others only under \
                 `{version}` and `stable`"
            ),
            "register each as a separate service with `.split_services()`".to_owned(),
        ),
        Rule::SchemaText => return renderable::broken_text(found),
        Rule::ProtoTwoServices => (
            format!(
                "`{name}` is one service too many: a gateway serves only one `service` per entry \
                 file"
            ),
            "register each as a separate service with `.split_services()`, or move each to its own \
             entry file"
                .to_owned(),
        ),
        Rule::ProtoMethodName => (
            format!(
                "the method `{name}` becomes, in lowerCamel, the name of another method, of the \
                 version `{version}` or of its alias `stable`"
            ),
            "rename it".to_owned(),
        ),
        Rule::ProtoFreeJson if name.starts_with("google.protobuf.") => (
            format!("`{name}` becomes free JSON, which gateways cannot render"),
            "describe the values with messages, or send them as a string or `Any`".to_owned(),
        ),
        Rule::ProtoFreeJson => (
            format!("the map `{name}` becomes free JSON, which gateways cannot render"),
            format!(
                "write {}; a map is harmless to other services only in the request of a unary \
                 method",
                instead_of_map(compiled, name)
                    .as_deref()
                    .unwrap_or("a repeated message with a key and a value")
            ),
        ),
        Rule::ProtoTypeName => (
            format!(
                "two types are called `{name}` in the schema that gateways make: dots become \
                 underscores, and messages of requests get the suffix `_Input`"
            ),
            "rename one, or give the file a package".to_owned(),
        ),
        _ => (found.to_string(), "rename it".to_owned()),
    };
    match found.effect {
        Effect::Loses => Finding::warning(found.rule, message),
        Effect::Blocks | Effect::BreaksText => Finding::error(found.rule, message),
    }
    .help(help)
}

/// The source lines to write instead of a map, given its full name.
fn instead_of_map(compiled: &Compiled, name: &str) -> Option<String> {
    let (owner, field) = name.rsplit_once('.')?;
    let field = compiled.message(owner)?.get_field_by_name(field)?;
    let Kind::Message(entry) = field.kind() else {
        return None;
    };
    if !entry.is_map_entry() {
        return None;
    }
    let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
    Some(format!(
        "`repeated {0} {1} = {2};` with `message {0} {{ {3:?} key = 1; {4:?} value = 2; }}`",
        entry.name().replace("Entry", "Item"),
        field.name(),
        field.number(),
        key.kind(),
        value.kind()
    ))
}

#[cfg(test)]
mod tests {
    use crate::{Service, check};

    #[test]
    fn the_help_about_a_map_has_the_lines_as_they_should_be() {
        let source = "syntax = \"proto3\"; package p; service S { rpc Get(Q) returns (R); }
            message Q { string id = 1; } message R { map<string, int64> labels = 3; }";
        let error = check(&[Service::proto(source).namespace("s")]).unwrap_err();
        let wanted = "write `repeated LabelsItem labels = 3;` with `message LabelsItem { string key = 1; \
                      int64 value = 2; }`";
        assert!(error.to_string().contains(wanted), "{error}");
    }
}
