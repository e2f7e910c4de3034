//! Bytes that nobody means: each is an answer or a finding, on a thread with a small stack, too.

use prost::Message;
use protox::prost_reflect::prost_types::{
    self, DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};
use tower_gwag_schema::{Finding, GatewayRelease, Rule, Service, check};

use crate::on_small_stack;

/// Runs everything that reads a schema, and returns the rules of what is found.
fn rules(service: Service) -> Vec<Rule> {
    let mut rules = on_small_stack(move || {
        let _ = service.hash();
        let _ = service.calls();
        let _ = service.graphql_schema(GatewayRelease::default());
        let findings = match check(std::slice::from_ref(&service)) {
            Ok(findings) => findings,
            Err(error) => error.findings().clone(),
        };
        assert!(findings.to_string().len() < 1 << 20);
        let rules = findings.iter().map(Finding::rule);
        rules.collect::<Vec<_>>()
    });
    rules.dedup();
    rules
}

fn openapi(document: impl AsRef<[u8]>) -> Vec<Rule> {
    let document = document.as_ref();
    let plain = rules(Service::openapi(document).namespace("x"));
    let repaired = rules(Service::openapi(document).namespace("x").repair());
    // Without a namespace, its title is looked for.
    let _ = rules(Service::openapi(document));
    assert_eq!(plain.is_empty(), repaired.is_empty());
    plain
}

fn proto(text: impl Into<Vec<u8>>) -> Vec<Rule> {
    let text = text.into();
    let _ = rules(Service::proto(text.clone()).namespace("x").split_services());
    let import =
        Service::proto("syntax = \"proto3\"; import \"y.proto\";").import("y.proto", &*text);
    let _ = rules(import.namespace("x"));
    rules(Service::proto(text).namespace("x"))
}

fn graphql(schema: impl Into<Vec<u8>>) -> Vec<Rule> {
    rules(Service::graphql("/graphql").namespace("x").schema(schema))
}

/// A document with this as the value of an extension.
fn json_with(value: &str) -> String {
    format!(
        r#"{{"openapi":"3.0.3","info":{{"title":"t","version":"1"}},"x-more":{value},
        "paths":{{"/p":{{"get":{{"operationId":"p","responses":{{"200":{{"description":"ok"}}}}}}}}}}}}"#
    )
}

fn yaml_with(lines: &str) -> String {
    format!(
        "openapi: 3.0.3\ninfo: {{title: t, version: '1'}}\n{lines}\npaths:\n  /p: {{get: {{operationId: p, \
         responses: {{'200': {{description: ok}}}}}}}}\n"
    )
}

#[test]
fn bombs_of_aliases_are_a_finding() {
    let mut lines = "x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        lines += &format!("x-{level}: &a{level} [{aliases}]\n");
    }
    assert_eq!(openapi(yaml_with(&lines)), [Rule::OpenApiUnverified]);
    // Merged, too.
    let mut lines = "x-0: &a0 {k0: 1}\n".to_owned();
    for level in 1..40 {
        let last = level - 1;
        lines += &format!(
            "x-{level}: &a{level} {{<<: [*a{last}, *a{last}], a: *a{last}, b: *a{last}}}\n"
        );
    }
    assert_eq!(openapi(yaml_with(&lines)), [Rule::OpenApiUnverified]);
    // An alias in its own anchor, and one without an anchor.
    for lines in ["x-a: &a [*a]", "x-a: &a {b: *a}", "x-a: *nothing"] {
        assert_eq!(openapi(yaml_with(lines)), [Rule::OpenApiSyntax], "{lines}");
    }
    assert!(openapi(yaml_with("x-a: &a [1, 2]\nx-b: [*a, *a]")).is_empty());
}

#[test]
fn surrogates_and_nul_are_a_finding_or_text() {
    for escape in [r"\ud800", r"\udc00", r"\ud800\ud800", r"\ud800x", r"\ud8"] {
        for value in [format!("\"{escape}\""), format!("{{\"{escape}\":1}}")] {
            let found = openapi(json_with(&value));
            assert_eq!(found, [Rule::OpenApiSyntax], "{value}");
        }
        let found = openapi(yaml_with(&format!("x-more: \"{escape}\"")));
        assert_eq!(found, [Rule::OpenApiSyntax], "{escape} in YAML");
        let sdl = format!("type Query {{ \"{escape}\" a: Int }}");
        let _ = graphql(sdl);
        let _ = proto(format!(
            "syntax = \"proto3\"; option java_package = \"{escape}\";"
        ));
    }
    // Where a character is escaped in full, it is text.
    for value in [r#""\ud83d\ude00""#, r#""\u0000""#, r#"{"\u0000":1}"#] {
        assert!(openapi(json_with(value)).is_empty(), "{value}");
    }
    assert_eq!(openapi(json_with("\"\0\"")), [Rule::OpenApiSyntax]);
    assert_eq!(openapi(yaml_with("x-more: \0")), [Rule::OpenApiSyntax]);
    assert_eq!(openapi(vec![0_u8; 1000]), [Rule::OpenApiSyntax]);
    assert!(!graphql("type Query { a\0: Int }").is_empty());
    assert!(!graphql(vec![0_u8; 1000]).is_empty());
    let nul = "syntax = \"proto3\"; message M {\0}";
    assert_eq!(proto(nul), [Rule::ProtoCompile]);
    assert!(!proto(vec![0_u8; 1000]).is_empty());
    let _ = proto("syntax = \"proto3\"; import \"\0.proto\"; message M {}");
}

#[test]
fn bytes_that_are_no_text_are_a_finding() {
    let latin = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0xe9);
        bytes
    };
    assert_eq!(openapi(latin(&json_with("1"))), [Rule::OpenApiSyntax]);
    assert_eq!(
        openapi(latin(&yaml_with("x-more: 1"))),
        [Rule::OpenApiSyntax]
    );
    assert_eq!(
        openapi([0xff, 0xfe, b'{', 0, b'}', 0]),
        [Rule::OpenApiSyntax]
    );
    assert!(!graphql(latin("type Query { a: Int } type ")).is_empty());
    assert_eq!(
        proto(latin("syntax = \"proto3\"; //")),
        [Rule::ProtoUnreadable]
    );
    let set = rules(Service::descriptor_set([0xff; 100], "x.proto"));
    assert!(!set.is_empty());
}

#[test]
fn deep_nesting_is_a_finding_or_an_answer() {
    const DEEP: usize = 100_000;
    let nested = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(DEEP), close.repeat(DEEP))
    };
    for value in [
        nested("[", "1", "]"),
        nested("{\"a\":", "1", "}"),
        "[".repeat(DEEP),
        "{\"a\":[".repeat(DEEP),
    ] {
        assert!(!openapi(json_with(&value)).is_empty());
        assert!(!openapi(yaml_with(&format!("x-more: {value}"))).is_empty());
    }
    let block: String = (0..2_000)
        .map(|it| format!("{}a:\n", " ".repeat(it)))
        .collect();
    assert!(!openapi(block).is_empty());
    assert!(!openapi("- ".repeat(DEEP)).is_empty());
    assert!(!openapi("? ".repeat(DEEP)).is_empty());
    for sdl in [
        format!("type Query {{ a: {} }}", nested("[", "Int", "]")),
        format!("type Query {{ a(b: T = {}): Int }}", nested("[", "1", "]")),
        format!(
            "type Query {{ a(b: T = {}): Int }}",
            nested("{a:", "1", "}")
        ),
        format!("type Query {{ a: Int @d(a: {}) }}", nested("[", "1", "]")),
        "type Query {".repeat(DEEP),
        "[".repeat(DEEP),
    ] {
        let _ = graphql(sdl);
    }
    let of_type = nested(r#"{"kind":"LIST","ofType":"#, "null", "}");
    let reply = format!(
        r#"{{"__schema":{{"queryType":{{"name":"Query"}},"types":[{{"kind":"OBJECT","name":"Query",
        "fields":[{{"name":"a","args":[],"type":{of_type}}}]}}]}}}}"#
    );
    assert!(!graphql(reply).is_empty());
}

#[test]
fn deep_protos_are_a_finding() {
    const DEEP: usize = 5_000;
    let nested = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(DEEP), close.repeat(DEEP))
    };
    for text in [
        nested("message M {", "", "}"),
        nested("message M { oneof o {", "", "}}"),
        format!("option (o) = {};", nested("{ a: ", "1", "}")),
        format!("option (o) = {{ a: {} }};", nested("[", "1", "]")),
        format!(
            "message M {{ string a = 1 [(o) = {}]; }}",
            nested("{ a <", "", ">}")
        ),
        "message M {".repeat(DEEP),
        "option (o) = {".repeat(DEEP),
        format!("message M {{ {} a = 1; }}", "a.".repeat(DEEP) + "b"),
        nested("optional group G = 1 {", "", "}"),
    ] {
        assert!(!proto(format!("syntax = \"proto2\"; {text}")).is_empty());
    }
}

/// Messages in messages, as a set: the bytes are small, but whoever decodes them recurses.
#[test]
fn deep_descriptor_sets_are_a_finding() {
    let mut message = DescriptorProto {
        name: Some("M".to_owned()),
        ..DescriptorProto::default()
    };
    for _ in 0..90 {
        message = DescriptorProto {
            name: Some("M".to_owned()),
            nested_type: vec![message],
            ..DescriptorProto::default()
        };
    }
    let file = FileDescriptorProto {
        name: Some("x.proto".to_owned()),
        syntax: Some("proto3".to_owned()),
        message_type: vec![message],
        ..FileDescriptorProto::default()
    };
    let set = FileDescriptorSet { file: vec![file] };
    let _ = rules(Service::descriptor_set(set.encode_to_vec(), "x.proto"));
    // Thousands of them, length in length, are refused when they are decoded.
    let mut bytes: Vec<u8> = Vec::new();
    for _ in 0..5_000 {
        let mut outer = vec![0x1a];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.append(&mut bytes);
        bytes = outer;
    }
    let mut set = vec![0x0a];
    prost::encoding::encode_varint(bytes.len() as u64, &mut set);
    set.append(&mut bytes);
    assert!(!rules(Service::descriptor_set(set, "x.proto")).is_empty());
}

/// Each file shows the next one by `import public`, and the entry uses the type of the last one.
#[test]
fn descriptor_sets_show_types_through_several_public_imports() {
    const LEVELS: usize = 4;
    let file = |name: &str, package: &str, dependency: Vec<String>, is_public: bool| {
        let public = (0..i32::try_from(dependency.len()).unwrap()).collect();
        FileDescriptorProto {
            name: Some(name.to_owned()),
            package: Some(package.to_owned()),
            syntax: Some("proto3".to_owned()),
            public_dependency: if is_public { public } else { Vec::new() },
            dependency,
            ..FileDescriptorProto::default()
        }
    };
    let message = |of: &str| DescriptorProto {
        name: Some("M".to_owned()),
        field: vec![FieldDescriptorProto {
            name: Some("t".to_owned()),
            number: Some(1),
            label: Some(1),
            r#type: Some(11),
            type_name: Some(of.to_owned()),
            json_name: Some("t".to_owned()),
            ..FieldDescriptorProto::default()
        }],
        ..DescriptorProto::default()
    };
    let empty = DescriptorProto {
        name: Some("T".to_owned()),
        ..DescriptorProto::default()
    };
    for is_public in [true, false] {
        let mut files = Vec::new();
        for level in (0..LEVELS).rev() {
            let next = (level + 1 < LEVELS).then(|| format!("i{}.proto", level + 1));
            let next = next.into_iter().collect();
            let mut it = file(
                &format!("i{level}.proto"),
                &format!("q{level}"),
                next,
                is_public,
            );
            it.message_type = vec![empty.clone()];
            files.push(it);
        }
        let mut entry = file("x.proto", "x", vec!["i0.proto".to_owned()], false);
        entry.message_type = vec![message(&format!(".q{}.T", LEVELS - 1))];
        entry.service = vec![prost_types::ServiceDescriptorProto {
            name: Some("S".to_owned()),
            method: vec![prost_types::MethodDescriptorProto {
                name: Some("R".to_owned()),
                input_type: Some(".x.M".to_owned()),
                output_type: Some(".x.M".to_owned()),
                ..prost_types::MethodDescriptorProto::default()
            }],
            ..prost_types::ServiceDescriptorProto::default()
        }];
        files.push(entry);
        let set = FileDescriptorSet { file: files }.encode_to_vec();
        let service = Service::descriptor_set(set, "x.proto");
        let found = rules(service.clone());
        // Without `public`, the compiler would not find the type either.
        assert_eq!(found.is_empty(), is_public, "{found:?}");
        if is_public {
            let schema = service.graphql_schema(GatewayRelease::default());
            let schema = schema.unwrap().to_string();
            assert!(schema.contains("type Q3_T"), "{schema}");
        }
    }
}
