//! How the schema that a gateway serves differs from ours.

use std::collections::BTreeMap;

use crate::json::Value;
use prost::Message;
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

use crate::openapi::{self, Document};

/// How many differences are listed.
const MOST_NAMED: usize = 5;

/// Describes the differences; `None` if a schema cannot be read, or no difference is known.
///
/// A gateway returns the entry file without its imports (contract § 6.5): if the entry files are equal,
/// an import differs.
#[must_use]
pub fn between(theirs: &[u8], ours: &[u8]) -> Option<String> {
    let theirs = FileDescriptorSet::decode(theirs).ok()?;
    let mut ours = FileDescriptorSet::decode(ours).ok()?;
    let is_shown = |name: &str| theirs.file.iter().any(|it| it.name() == name);
    let is_own = |it: &FileDescriptorProto| !it.name().starts_with("google/protobuf/");
    let hidden = ours
        .file
        .iter()
        .filter(|it| is_own(it) && !is_shown(it.name()));
    let has_hidden = hidden.count() > 0;
    ours.file.retain(|it| is_shown(it.name()));
    if ours.file.is_empty() {
        return None;
    }
    if theirs == ours {
        let alike = "the entry files are equal, so an import differs";
        return has_hidden.then(|| alike.to_owned());
    }
    told(&parts_of(&theirs), &parts_of(&ours)).or_else(|| {
        Some(
            "only comments, white space or the order of declarations differ in the entry file; \
             they count"
                .to_owned(),
        )
    })
}

/// As above, for OpenAPI documents.
#[must_use]
pub fn between_documents(theirs: &[u8], ours: &[u8]) -> Option<String> {
    let theirs = openapi::read(theirs).ok()?;
    let ours = openapi::read(ours).ok()?;
    told(&parts_of_document(&theirs), &parts_of_document(&ours))
}

type Parts = BTreeMap<String, Vec<u8>>;

fn told(theirs: &Parts, ours: &Parts) -> Option<String> {
    let mut found = Vec::new();
    for (name, text) in ours {
        match theirs.get(name) {
            None => found.push(format!("{name} is only in ours")),
            Some(other) if other != text => found.push(format!("{name} differs")),
            Some(_) => {}
        }
    }
    let only_theirs = theirs.keys().filter(|name| !ours.contains_key(*name));
    found.extend(only_theirs.map(|name| format!("{name} is only in theirs")));
    if found.is_empty() {
        return None;
    }
    let more = found.len().saturating_sub(MOST_NAMED);
    found.truncate(MOST_NAMED);
    let mut text = found.join(", ");
    if more > 0 {
        text.push_str(&format!(", and {more} more"));
    }
    Some(text)
}

fn parts_of_document(document: &Document) -> Parts {
    let root = document.as_json();
    let mut parts = Parts::new();
    for operation in document.operations() {
        let found = root.pointer(&operation.pointer).map(Value::to_string);
        let name = match operation.id {
            Some(id) => format!("operation {id}"),
            None => format!("operation {} {}", operation.method, operation.path),
        };
        parts.insert(name, found.unwrap_or_default().into_bytes());
    }
    let schemas = root
        .pointer("/components/schemas")
        .and_then(Value::as_object);
    for (name, schema) in schemas.into_iter().flatten() {
        parts.insert(format!("schema {name}"), schema.to_string().into_bytes());
    }
    parts
}

/// Every declaration, by full name, encoded without its members for comparison.
fn parts_of(set: &FileDescriptorSet) -> Parts {
    let mut parts = Parts::new();
    for file in &set.file {
        if !file.name().starts_with("google/protobuf/") {
            file_parts(file, &mut parts);
        }
    }
    parts
}

fn file_parts(file: &FileDescriptorProto, parts: &mut Parts) {
    let package = match file.package() {
        "" => String::new(),
        package => format!("{package}."),
    };
    for message in &file.message_type {
        message_parts(&package, message, parts);
    }
    for of in &file.enum_type {
        enum_parts(&package, of, parts);
    }
    for service in &file.service {
        let name = format!("service {package}{}", service.name());
        for method in &service.method {
            let part = format!("method {package}{}.{}", service.name(), method.name());
            parts.insert(part, method.encode_to_vec());
        }
        let mut bare = service.clone();
        bare.method.clear();
        parts.insert(name, bare.encode_to_vec());
    }
}

fn message_parts(scope: &str, message: &DescriptorProto, parts: &mut Parts) {
    let name = format!("{scope}{}", message.name());
    for field in &message.field {
        let part = format!("field {name}.{}", field.name());
        parts.insert(part, field.encode_to_vec());
    }
    let inner = format!("{name}.");
    for nested in &message.nested_type {
        message_parts(&inner, nested, parts);
    }
    for of in &message.enum_type {
        enum_parts(&inner, of, parts);
    }
    let mut bare = message.clone();
    bare.field.clear();
    bare.nested_type.clear();
    bare.enum_type.clear();
    parts.insert(format!("message {name}"), bare.encode_to_vec());
}

fn enum_parts(scope: &str, of: &EnumDescriptorProto, parts: &mut Parts) {
    let name = format!("enum {scope}{}", of.name());
    parts.insert(name, of.encode_to_vec());
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::hash;
    use crate::proto;

    fn set(body: &str) -> Vec<u8> {
        let source = format!("syntax = \"proto3\"; package p; {body}");
        let compiled = proto::compile("s", source.as_bytes(), &HashMap::new()).unwrap();
        hash::descriptor_set(&compiled).0
    }

    #[test]
    fn tells_fields_types_and_methods_from_white_space() {
        let ours = "message A { string a = 1; int32 b = 2; } message B {}
            service S { rpc Go(A) returns (B); }";
        let told = |theirs: &str| between(&set(theirs), &set(ours));
        assert_eq!(told(ours), None);
        for (theirs, telling) in [
            (ours.replace("  ", " "), "white space"),
            (ours.replace("int32 b", "int64 b"), "field p.A.b differs"),
            (
                ours.replace(" int32 b = 2;", ""),
                "field p.A.b is only in ours",
            ),
            (
                ours.replace("message B {}", "message B {} message C {}"),
                "message p.C is only in theirs",
            ),
            (
                ours.replace("returns (B)", "returns (stream B)"),
                "method p.S.Go differs",
            ),
        ] {
            let told = told(&theirs).unwrap();
            assert!(told.contains(telling), "{told}");
        }
        assert_eq!(between(b"\xff", &set(ours)), None);
    }

    /// As a gateway returns them: only the entry file.
    #[test]
    fn where_the_entry_files_are_alike_an_import_differs() {
        let entry = "syntax = \"proto3\"; package p; import \"c.proto\"; message A { C c = 1; }";
        let compiled = |import: &str| {
            let import = format!("syntax = \"proto3\"; package p; {import}");
            let imports = HashMap::from([("c.proto".to_owned(), import.into_bytes())]);
            let compiled = proto::compile("s", entry.as_bytes(), &imports).unwrap();
            FileDescriptorSet::decode(&*hash::descriptor_set(&compiled).0).unwrap()
        };
        let ours = compiled("message C {}").encode_to_vec();
        let mut theirs = compiled("message C { string a = 1; }");
        theirs.file.retain(|it| it.name() == "s.proto");
        let told = between(&theirs.encode_to_vec(), &ours).unwrap();
        assert!(told.contains("an import differs"), "{told}");
    }

    #[test]
    fn tells_operations_and_schemas() {
        let document = |id: &str, schema: &str| {
            format!(
                r#"{{"openapi":"3.0.3","info":{{"title":"t","version":"1"}},"paths":{{"/a":{{"get":
                {{"operationId":"{id}","responses":{{}}}}}}}},"components":{{"schemas":{{"S":
                {{"type":"{schema}"}}}}}}}}"#
            )
        };
        let ours = document("list", "string");
        let told = |theirs: String| between_documents(theirs.as_bytes(), ours.as_bytes());
        assert_eq!(told(ours.clone()), None);
        assert_eq!(
            told(document("find", "integer")).unwrap(),
            "operation list is only in ours, schema S differs, operation find is only in theirs"
        );
    }
}
