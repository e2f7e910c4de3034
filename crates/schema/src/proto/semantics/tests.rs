use std::collections::HashMap;

use crate::proto::compile;

/// Asserts the faults of each source, with their places.
#[track_caller]
fn refused(source: &str, expected: &str) {
    let source = match source.starts_with("syntax") {
        true => source.to_owned(),
        false => format!("syntax = \"proto3\"; {source}"),
    };
    let imports = HashMap::from([(
        "closed.proto".to_owned(),
        b"syntax = \"proto2\"; enum Closed { C = 1; }".to_vec(),
    )]);
    let fault = compile("demo", source.as_bytes(), &imports).unwrap_err();
    assert!(!fault.unsupported, "{source}");
    let [first, ..] = &fault.details[..] else {
        panic!("{source}");
    };
    assert!(first.text.contains(expected), "{source}: {}", first.text);
    assert!(first.excerpt.is_some(), "{source}");
}

#[track_caller]
fn taken(source: &str) {
    let source = format!("syntax = \"proto3\"; {source}");
    if let Err(fault) = compile("demo", source.as_bytes(), &HashMap::new()) {
        panic!("{source}: {}", fault.text);
    }
}

const PROTO2: &str = "syntax = \"proto2\";";

#[test]
fn ranges_overlap_or_run_backwards() {
    refused("message A { reserved 1 to 5, 3; }", "1 to 5 and 3 overlap");
    refused("message A { reserved 1; reserved 1; }", "1 and 1 overlap");
    refused("message A { reserved 5 to 1; }", "5 to 1");
    refused(
        "enum E { A = 0; reserved -5 to -1, -3; }",
        "-5 to -1 and -3 overlap",
    );
    refused("enum E { A = 0; reserved 3 to 1; }", "3 to 1");
    refused("message A { extensions 100 to 200; }", "proto3");
    for source in [
        "message A { reserved 1 to 5; extensions 3 to 8; }",
        "message A { extensions 3 to 8; extensions 8; }",
    ] {
        refused(&format!("{PROTO2}{source}"), "overlap");
    }
    taken("message A { reserved 1 to 3; reserved 4 to max; }");
}

#[test]
fn reserved_names_are_used_or_reserved_twice() {
    refused(
        "message A { reserved \"a\"; string a = 1; }",
        "`a` is reserved",
    );
    refused(
        "message A { reserved \"a\", \"a\"; }",
        "`a` is reserved twice",
    );
    refused("enum E { reserved \"A\"; A = 0; }", "`A` is reserved");
    refused(
        "enum E { A = 0; reserved \"X\", \"X\"; }",
        "`X` is reserved twice",
    );
    taken("message A { reserved \"a\"; message B { string a = 1; } }");
}

#[test]
fn options_fit_their_fields() {
    refused(
        "message A { repeated string a = 1 [packed = true]; }",
        "`packed`",
    );
    refused("message A { int32 a = 1 [packed = true]; }", "`packed`");
    refused("message A { string a = 1 [lazy = true]; }", "`lazy`");
    refused(
        "message A { int32 a = 1 [jstype = JS_NUMBER]; }",
        "`jstype`",
    );
    refused(
        "message A { string a = 1 [json_name = \"[x]\"]; }",
        "`json_name`",
    );
    refused("message A { option map_entry = false; }", "`map_entry`");
    refused(
        "message A { option message_set_wire_format = true; }",
        "message set",
    );
    taken(
        "message A { repeated bool a = 1 [packed = true]; A b = 2 [lazy = true]; \
         int64 c = 3 [jstype = JS_STRING]; string d = 4 [jstype = JS_NORMAL, lazy = false]; \
         map<string, A> e = 5; string f = 6 [json_name = \"[x\"]; }",
    );
}

#[test]
fn enums_of_proto3_are_open_and_their_values_differ_without_the_prefix() {
    let closed = "import \"closed.proto\"; message A { Closed a = 1; }";
    refused(closed, "`Closed` is an enum of proto2");
    refused("enum Foo { FOO_A = 0; A = 1; }", "`FOO_A` and `A`");
    refused("enum E { A_B = 0; a_b = 1; }", "`A_B` and `a_b`");
    refused("enum E { E_ = 0; _E = 1; }", "`E_` and `_E`");
    refused(
        "enum E { option allow_alias = true; A = 0; B = 1; }",
        "`allow_alias`",
    );
    taken("enum Foo { FOO_A = 0; FOO_B = 1; AB = 2; A_B_ = 3; }");
    taken("enum EnumA { ENUM_A = 0; A = 1; }");
    taken("enum E { option allow_alias = true; E_A = 0; A = 0; }");
}

#[test]
fn semicolons_and_braces_hold_something() {
    refused(
        "message A { oneof o { string a = 1;; } }",
        "an extra semicolon in a oneof",
    );
    refused(
        "message A { oneof o { ; string a = 1; } }",
        "an extra semicolon in a oneof",
    );
    refused("message A {} extend A { }", "without a field");
    refused("syntax = \"proto3\";;", "an extra semicolon");
    let group = "message A { oneof o { group G = 1 { ; optional string a = 2;; } } }";
    let group = format!("{PROTO2} {group}");
    assert!(compile("demo", group.as_bytes(), &HashMap::new()).is_ok());
    taken(
        "package a;; message A {; oneof o { string a = 1 [deprecated = true]; };; }; \
         message B { string oneof = 1; string extend = 2; }",
    );
}

#[test]
fn a_tag_is_extended_once() {
    let source = "message A { extensions 1 to 5; } extend A { optional string x = 1; } \
                  message B { extend A { optional string y = 1; } }";
    refused(
        &format!("{PROTO2}{source}"),
        "the tag 1 is extended more than once",
    );
}

#[test]
fn extensions_have_no_json_name() {
    let source =
        "message A { extensions 1 to 5; } extend A { optional string x = 1 [json_name = \"q\"]; }";
    refused(&format!("{PROTO2}{source}"), "`json_name`");
}
