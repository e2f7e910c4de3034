use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;
use prost_reflect::prost_types::source_code_info::Location;
use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};

use super::*;
use crate::hash;
use crate::proto;

/// The descriptor that a gateway's compiler builds from a source, with services and places separate.
#[derive(Debug, PartialEq)]
struct Described {
    rest: FileDescriptorProto,
    services: Vec<ServiceDescriptorProto>,
    /// All except the place of the file itself, which ends with its last declaration.
    places: Vec<Location>,
}

fn describe(source: &str) -> Described {
    let compiled = proto::compile("s", source.as_bytes(), &HashMap::new())
        .unwrap_or_else(|fault| panic!("{}\n{source}", fault.text));
    let (set, _) = hash::descriptor_set(&compiled);
    let set = FileDescriptorSet::decode(&*set).unwrap();
    let mut rest = (set.file.into_iter())
        .find(|file| file.name() == "s.proto")
        .unwrap();
    let info = rest.source_code_info.take().unwrap_or_default();
    Described {
        services: std::mem::take(&mut rest.service),
        rest,
        places: info
            .location
            .into_iter()
            .filter(|it| !it.path.is_empty())
            .collect(),
    }
}

impl Described {
    /// The expected result when one service is kept.
    fn alone(&self, kept: usize) -> Self {
        let path = [6, i32::try_from(kept).unwrap()];
        let place = |location: &Location| {
            let mut location = location.clone();
            if location.path.starts_with(&path) {
                location.path[1] = 0;
            } else if location.path.first() == Some(&6) {
                return None;
            }
            Some(location)
        };
        Self {
            rest: self.rest.clone(),
            services: vec![self.services[kept].clone()],
            places: self.places.iter().filter_map(place).collect(),
        }
    }
}

/// Asserts that everything that remains keeps its description, whichever service is kept.
fn splits(source: &str) {
    let whole = describe(source);
    let services = Services::of(source);
    let names: Vec<_> = services.names().collect();
    let described: Vec<_> = whole
        .services
        .iter()
        .map(ServiceDescriptorProto::name)
        .collect();
    assert_eq!(names, described, "{source}");
    for kept in 0..names.len() {
        let alone = services.alone(kept);
        assert_eq!(describe(&alone), whole.alone(kept), "{source:?}\n{alone:?}");
        assert_eq!(alone.chars().count(), source.chars().count(), "{alone}");
        let breaks = |text: &str| text.matches('\n').count();
        assert_eq!(breaks(&alone), breaks(source), "{alone}");
    }
}

const HEAD: &str = "syntax = \"proto3\"; message M {}";

#[test]
fn the_others_and_their_comments_are_white_space() {
    let source = "syntax = \"proto3\";\n\n// M.\nmessage M {} // of M\n\n// detached\n\n// A.\n\
        service A { // in A\n\trpc Get(M) returns (M); // get\n} // behind A\n\n// apart\n\n// B.\n\
        service B {\n  // Get.\n  rpc Get(M) returns (M);\n}\n\n// at the end\n";
    splits(source);
    let services = Services::of(source);
    let lines = |text: &str| {
        text.lines()
            .map(|it| it.trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    let blanked = lines(&services.alone(1));
    assert_eq!(blanked[..4], lines(source)[..4]);
    assert!(blanked[4..11].iter().all(String::is_empty), "{blanked:?}");
    assert_eq!(blanked[11..], lines(source)[11..]);
    let blanked = lines(&services.alone(0));
    assert_eq!(blanked[..11], lines(source)[..11]);
    assert!(blanked[11..19].iter().all(String::is_empty), "{blanked:?}");
    assert_eq!(blanked[19..], lines(source)[19..]);
}

#[test]
fn services_are_distinguished_from_what_only_looks_like_them() {
    let source = r#"syntax = "proto2";
        package service; /* service X { } */ // service Y {
        import "google/protobuf/descriptor.proto";
        option java_package = "service Z {}";
        message Opt { optional string a = 1; optional Opt service = 2; repeated Opt more = 3; }
        extend google.protobuf.ServiceOptions { optional Opt opt = 50000; }
        extend google.protobuf.MethodOptions { optional Opt rpc = 50000; }
        message service { optional int32 service = 1; optional .service.service.Inner inner = 2;
            message Inner {} extensions 100 to 200; }
        extend service { optional string of = 100; }
        enum Enum { service_ = 0; }
        service Service { option (.service.opt) = { a: "}" service { a: '{' } more: [{ a: "\"}" }] };
            option deprecated = true;
            rpc service(.service.service) returns (Opt) { option (rpc) = { a: "service X {" }; } }
        service B { ; rpc Get(Opt) returns (stream Opt) {} ; }; service C{}
    "#;
    splits(source);
    assert_eq!(
        Services::of(source).names().collect::<Vec<_>>(),
        ["Service", "B", "C"]
    );
}

#[test]
fn line_ends_tabs_characters_and_semicolons_keep_everything_in_place() {
    for source in [
        "service A {}service B {}service C {}",
        "service A {};;// a\nservice B {}\n;\nservice C {} ; message M {}",
        "// größe\r\n\tservice A { // ä\r\n\t}\t/* ü */ message M {}\r\n// b\r\nservice B {}\r\n",
        "message M {} service A {} // t\n// u\n\nmessage N {}\nservice B {}",
        "import \"google/protobuf/any.proto\"; /* x\n*/ /* y */ service A {} message M {} service B {}",
        "import \"google/protobuf/any.proto\"; /* x */ service A {}\nservice B {} // b\n// c",
        "/* é\n é */ service A {} /* é\n é */ service B {} /* é */",
        "service A {} // a\n// b\n\n// c\nservice B {}\n// d\n\n// e\nservice C {} // f",
    ] {
        splits(&format!("syntax = \"proto3\"; {source}"));
        splits(&format!("syntax = \"proto3\";\n\n{source}"));
        splits(source);
    }
}

#[test]
fn what_has_no_services_to_tell_apart_is_left_to_the_compiler() {
    for source in [
        "",
        HEAD,
        "service",
        "service A",
        "service A {",
        "service A {} } service B {}",
        "service A { \" } service B {}",
        "service A {} service B { /* }",
        "message M { service A {} service B {} }",
    ] {
        assert!(Services::of(source).names().next().is_none(), "{source}");
    }
    // The compiler used here does not support editions, but splitting them works.
    let editions = "edition = \"2023\"; service A {} service B {}";
    let alone = Services::of(editions).alone(1);
    assert_eq!(alone, "edition = \"2023\";              service B {}");
}

/// A file built from pieces, with `#` replaced by numbers.
fn arranged() -> impl Strategy<Value = String> {
    let declarations = &[
        "service S# {}",
        "service S# {};",
        "service S# { rpc Get(R) returns (R); }",
        "service S# { // in\n  rpc Get(R) returns (R) {} // get\n  // last\n}",
        "service S# {\n\t/* größe */ option deprecated = true; /* b\n * c */ rpc\tGet(R) returns (stream R); }",
        "message M# {}",
        "message M# { // m\n repeated string a = 1; // a\n}",
        "enum E# { A# = 0; }",
        "option java_package = \"a\";",
        ";",
    ][..];
    let between = &[
        "",
        " ",
        " ",
        "\n",
        "\n",
        "\n\n",
        "\t",
        "\r\n",
        "// a\n",
        "// b\r\n",
        "//\n",
        "/* c */",
        "/* d\n*/",
        "/* é\n * é */",
        "/**/",
    ][..];
    let piece = prop_oneof![
        2 => select(declarations).prop_map(str::to_owned),
        3 => vec(select(between), 0..4).prop_map(|it| it.concat()),
    ];
    let head = select(
        &[
            "",
            "syntax = \"proto3\";",
            "// s\nsyntax = 'proto2'; // t\n",
        ][..],
    );
    (head, vec(piece, 0..24)).prop_map(|(head, pieces)| {
        let mut text = format!("{head} message R {{}}");
        let mut has_option = false;
        for (piece, number) in pieces.iter().zip(0..) {
            let is_option = piece.starts_with("option");
            if !(is_option && has_option) {
                text.push_str(&piece.replace('#', &format!("{number}")));
            }
            has_option |= is_option;
        }
        text
    })
}

proptest! {
    #[test]
    fn everything_that_stays_is_described_as_before(source in arranged()) {
        splits(&source);
    }

    #[test]
    fn any_text_can_be_split(source in "(service [A-C]|[{};\"'/*é\n ]|//|/\\*){0,40}") {
        let services = Services::of(&source);
        for kept in 0..services.names().count() {
            let alone = services.alone(kept);
            prop_assert_eq!(Services::of(&alone).names().count(), 1);
        }
    }
}
