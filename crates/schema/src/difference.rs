//! What differs between two sets of descriptors.

use std::collections::BTreeMap;

use prost::Message;
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

/// How many differences are named.
const MOST_NAMED: usize = 5;

/// In words; `None` where one of them cannot be read, or nothing differs.
#[must_use]
pub fn between(theirs: &[u8], ours: &[u8]) -> Option<String> {
    let theirs = FileDescriptorSet::decode(theirs).ok()?;
    let ours = FileDescriptorSet::decode(ours).ok()?;
    if theirs == ours {
        return None;
    }
    let (theirs, ours) = (parts_of(&theirs), parts_of(&ours));
    let mut found = Vec::new();
    for (name, text) in &ours {
        match theirs.get(name) {
            None => found.push(format!("{name} is only in ours")),
            Some(other) if other != text => found.push(format!("{name} differs")),
            Some(_) => {}
        }
    }
    let only_theirs = theirs.keys().filter(|name| !ours.contains_key(*name));
    found.extend(only_theirs.map(|name| format!("{name} is only in theirs")));
    if found.is_empty() {
        return Some(
            "only comments, white space or the order of declarations differ, which count"
                .to_owned(),
        );
    }
    let more = found.len().saturating_sub(MOST_NAMED);
    found.truncate(MOST_NAMED);
    let mut text = found.join(", ");
    if more > 0 {
        text.push_str(&format!(", and {more} more"));
    }
    Some(text)
}

/// Every declaration by its full name, as comparable bytes without its members.
fn parts_of(set: &FileDescriptorSet) -> BTreeMap<String, Vec<u8>> {
    let mut parts = BTreeMap::new();
    for file in &set.file {
        if !file.name().starts_with("google/protobuf/") {
            file_parts(file, &mut parts);
        }
    }
    parts
}

fn file_parts(file: &FileDescriptorProto, parts: &mut BTreeMap<String, Vec<u8>>) {
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

fn message_parts(scope: &str, message: &DescriptorProto, parts: &mut BTreeMap<String, Vec<u8>>) {
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

fn enum_parts(scope: &str, of: &EnumDescriptorProto, parts: &mut BTreeMap<String, Vec<u8>>) {
    let name = format!("enum {scope}{}", of.name());
    parts.insert(name, of.encode_to_vec());
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{hash, proto};

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
}
