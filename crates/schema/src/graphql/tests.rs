//! Every vector recorded from a gateway.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::openapi as document;
use crate::proto as compiler;

#[derive(Debug, serde::Deserialize)]
struct Vector {
    id: String,
    kind: String,
    bindings: Vec<Binding>,
    service: Option<String>,
    register: String,
    blocks_others: bool,
    sdl: Option<String>,
    error: Option<String>,
    #[serde(default)]
    alternatives: Vec<serde_json::Value>,
    sdl_1_1_0: Option<String>,
    error_1_1_0: Option<String>,
    #[serde(default)]
    alternatives_1_1_0: Vec<serde_json::Value>,
    #[serde(default)]
    deprecate: Vec<Deprecation>,
    #[serde(default)]
    deregister: Vec<usize>,
}

#[derive(Debug, serde::Deserialize)]
struct Binding {
    namespace: String,
    version: String,
    proto_source: Option<String>,
    #[serde(default)]
    proto_imports: HashMap<String, String>,
    openapi_spec: Option<String>,
    graphql_sdl: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
struct Deprecation {
    namespace: String,
    version: String,
    reason: String,
}

enum Owned {
    Proto(Compiled),
    OpenApi(Value),
    GraphQl(Introspection),
    /// Registered, but never listed.
    Invalid,
}

fn read(binding: &Binding) -> Result<Owned, String> {
    if let Some(source) = &binding.proto_source {
        let imports = binding.proto_imports.iter();
        let imports = imports
            .map(|(name, text)| (name.clone(), text.clone().into_bytes()))
            .collect();
        let namespace = match binding.namespace.as_str() {
            "" => compiler::UNNAMED,
            name => name,
        };
        let compiled = compiler::compile(namespace, source.as_bytes(), &imports);
        return compiled.map(Owned::Proto).map_err(|it| it.text);
    }
    if let Some(text) = &binding.openapi_spec {
        let document = document::parse(text.as_bytes()).map_err(|it| it.text)?;
        return Ok(match document.faults().invalid.is_empty() {
            true => Owned::OpenApi(document.as_json().clone()),
            false => Owned::Invalid,
        });
    }
    let text = binding.graphql_sdl.as_deref().unwrap_or_default();
    let read = Introspection::from_sdl(text).map_err(|it| it.to_string())?;
    Ok(Owned::GraphQl(read))
}

/// The model's result: a text and whether it blocks others, or all failures.
fn render(vector: &Vector, release: GatewayRelease) -> Result<(String, bool), Vec<String>> {
    let mut owned = Vec::new();
    for binding in &vector.bindings {
        owned.push(read(binding).map_err(|it| vec![format!("refused: {it}")])?);
    }
    let mut sources = Sources::of(release);
    for (number, (binding, it)) in vector.bindings.iter().zip(&owned).enumerate() {
        let version = Version::parse(&binding.version).unwrap();
        let namespace = match binding.namespace.as_str() {
            "" => "entry",
            name => name,
        };
        if let Some(number) = version.number() {
            let highest = sources.stable.get(namespace).copied().unwrap_or_default();
            sources.stable(namespace, highest.max(number));
        }
        if vector.deregister.contains(&number) {
            continue;
        }
        let source = match it {
            Owned::Proto(it) => Source::Proto(it),
            Owned::OpenApi(it) => Source::OpenApi(it),
            Owned::GraphQl(it) => Source::GraphQl(it),
            Owned::Invalid => continue,
        };
        sources.add(namespace, version, source);
    }
    for it in &vector.deprecate {
        let version = Version::parse(&it.version).unwrap();
        sources.deprecate(&it.namespace, version, &it.reason);
    }
    let selected = vector.service.as_deref().unwrap_or_default();
    let selection = Selection::parse(selected).map_err(|it| vec![it])?;
    let schema = sources.schema(&selection);
    schema
        .map(|it| (it.to_string(), !it.blocks().is_empty()))
        .map_err(|it| it.into_iter().map(|it| it.text).collect())
}

fn equals(
    outcome: &Result<(String, bool), Vec<String>>,
    sdl: Option<&str>,
    error: Option<&str>,
    alternatives: &[serde_json::Value],
) -> bool {
    match outcome {
        Ok((text, _)) => {
            Some(text.as_str()) == sdl || alternatives.iter().any(|it| it.as_str() == Some(text))
        }
        Err(texts) => {
            let is = |text: &String, wanted: &str| text == wanted.trim_end_matches('\n');
            let told = alternatives.iter().filter_map(|it| it["error"].as_str());
            let wanted: Vec<&str> = error.into_iter().chain(told).collect();
            texts
                .iter()
                .any(|text| wanted.iter().any(|it| is(text, it)))
        }
    }
}

/// Vectors with the gateway's built-in sources, which the model does not cover.
const OF_THE_GATEWAY: [&str; 3] = ["w-whole-empty", "w-whole-proto", "w-admin-asked"];

#[test]
fn every_vector_is_equal() {
    let text = include_str!("../../tests/data/sdl-vectors.json");
    let vectors: Vec<Vector> = serde_json::from_str(text).unwrap();
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for vector in &vectors {
        if OF_THE_GATEWAY.contains(&vector.id.as_str()) {
            continue;
        }
        let newest = render(vector, GatewayRelease::V1_4);
        let is_refused = vector.register == "refused";
        let refused = |it: &Result<(String, bool), Vec<String>>| matches!(it, Err(texts) if texts.iter().all(|it| it.starts_with("refused: ")));
        let sdl = vector.sdl.as_deref();
        let mut is_equal = match is_refused {
            true => refused(&newest),
            false => equals(&newest, sdl, vector.error.as_deref(), &vector.alternatives),
        };
        if let Ok((_, blocks)) = &newest {
            is_equal &= *blocks == vector.blocks_others;
        }
        if !is_refused {
            let oldest = render(vector, GatewayRelease::V1_1);
            let differs = vector.sdl_1_1_0.is_some() || vector.error_1_1_0.is_some();
            let equal_too = match differs {
                true => equals(
                    &oldest,
                    vector.sdl_1_1_0.as_deref(),
                    vector.error_1_1_0.as_deref(),
                    &vector.alternatives_1_1_0,
                ),
                false => equals(&oldest, sdl, vector.error.as_deref(), &vector.alternatives),
            };
            if !equal_too && is_equal {
                wrong.push(format!("{} on 1.1.0: {oldest:#?}", vector.id));
            }
            is_equal &= equal_too;
        }
        let count = counts.entry(&vector.kind).or_default();
        count.0 += usize::from(is_equal);
        count.1 += 1;
        if !is_equal {
            wrong.push(format!("{}: {newest:?}", vector.id));
        }
    }
    println!("equal, of: {counts:?}");
    assert!(wrong.is_empty(), "{counts:?}\n{}", wrong.join("\n"));
    assert!(vectors.len() >= 450);
}
