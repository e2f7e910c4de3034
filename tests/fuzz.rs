//! Any names, versions, protos and OpenAPI documents: `Options::check` and `Service::hash` end
//! soon, in bounded memory, without a panic. `PROPTEST_CASES` says how often.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::string::string_regex;
use tower_gwag::{Options, Service};

/// No check takes so long, not where the machine is busy with other things either.
const LONGEST: Duration = Duration::from_secs(60);

/// More memory than any check takes at its height, in bytes.
const LARGEST: u64 = 400 << 20;

fn ends(service: Service) {
    let begun = Instant::now();
    let used = allocation_counter::measure(|| {
        let _ = service.hash();
        let options = Options::new("gateway:1").service(service);
        let shown = match options.check() {
            Ok(findings) => findings.to_string(),
            Err(error) => error.to_string(),
        };
        drop(shown);
    });
    assert!(begun.elapsed() < LONGEST, "{:?}", begun.elapsed());
    assert!(used.bytes_max < LARGEST, "{} bytes", used.bytes_max);
}

const PROTO: &str = r#"// A shop.
syntax = "proto3";
package shop.v1;
import "google/protobuf/timestamp.proto";
import "common/money.proto";
option java_package = "x";
/* An order. */
message Order {
  reserved 9, 10 to 12; reserved "old";
  string id = 1; // its id
  repeated Item items = 2 [packed = false, json_name = "all"];
  map<string, int32> tags = 3;
  oneof choice { common.Money paid = 4; bool free = 5; }
  google.protobuf.Timestamp at = 6;
  enum State { UNKNOWN = 0; OPEN = 1 [deprecated = true]; }
  State state = 7;
  message Item { optional string name = 1; double price = 2; }
}
service Shop {
  option deprecated = true;
  rpc Buy(Order) returns (Order) {}
  rpc Watch(Order) returns (stream Order);
  rpc Talk(stream Order) returns (stream Order) { option idempotency_level = IDEMPOTENT; }
}
"#;

const MONEY: &str = "syntax = \"proto3\"; package common; message Money { int64 cents = 1; }";

const PROTO2: &str = r#"syntax = "proto2";
message A {
  required bytes a = 1 [default = "\001\xfe\n"];
  optional group G = 2 { optional float f = 1 [default = -inf]; }
  extensions 100 to max;
  extend A { optional int32 more = 100; }
}
"#;

const PETS: &str = r##"openapi: 3.0.3
info: &info {title: Pets, version: "1"}
x-copy: *info
paths:
  /pets/{id}:
    parameters: [{$ref: "#/components/parameters/Id"}]
    get:
      operationId: getPet
      responses:
        "200":
          content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}
    <<: {put: {operationId: putPet, requestBody: {content: {a/b: {schema: {enum: [a, b-c]}}}}}}
components:
  parameters: {Id: {in: path, name: id, schema: {type: string}}}
  schemas:
    Pet:
      properties: {name: {type: string}, parent: {$ref: "#/components/schemas/Pet"}}
      oneOf: [{additionalProperties: true}, {items: {not: {}}}]
"##;

const PETS_JSON: &str = r##"{"openapi":"3.1.0","info":{"title":"P","version":"1"},"paths":{"/a~b":
  {"get":{"operationId":"v1","parameters":[{"in":"query","name":"a[]"}],"responses":{"200":{"content":
  {"x":{"schema":{"$ref":"#/components/schemas/A-B"}}}}}}}},"components":{"schemas":{"A-B":{}}}}"##;

/// A piece is put in, taken out, doubled, or replaced, some times.
fn mutated(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(
            &[
                "{",
                "}",
                "[",
                "]",
                "\"",
                "'",
                "/*",
                "*/",
                "//",
                "\\",
                ";",
                ":",
                ",",
                "=",
                "-",
                "\t",
                "\r",
                "\u{feff}",
                "\u{0}",
                "\u{2028}",
                "é",
                "&a",
                "*a",
                "<<: ",
                "? ",
                "|",
                ">",
                "!!str ",
                "0x",
                "1e999",
                "99999999999999999999",
                "$ref",
                "#/",
                "..",
                "import \"",
                "option (a).b = ",
                "extend ",
                "stream ",
                "message M {",
                "\n---\n",
                "%TAG ! x\n",
                "syntax = \"proto2\";",
                "edition = \"2023\";",
            ][..]
        )
        .prop_map(str::to_owned),
        string_regex("\\PC{0,4}").unwrap(),
    ];
    let change = (any::<Index>(), 0_usize..40, 0..4_u8, piece);
    (select(of), vec(change, 1..6)).prop_map(|(text, changes)| {
        let mut text = text.to_owned();
        for (at, length, kind, piece) in changes {
            let boundary = |mut at: usize| {
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let from = boundary(at.index(text.len() + 1));
            let to = boundary((from + length).min(text.len()));
            match kind {
                0 => text.insert_str(from, &piece),
                1 => text.replace_range(from..to, ""),
                2 => {
                    let again = text[from..to].to_owned();
                    text.insert_str(from, &again);
                }
                _ => text.replace_range(from..to, &piece),
            }
        }
        text
    })
}

fn token_soup() -> impl Strategy<Value = String> {
    let tokens = &[
        "syntax",
        "=",
        "\"proto3\"",
        "\"proto2\"",
        ";",
        "package",
        "a.b",
        "import",
        "public",
        "\"google/protobuf/any.proto\"",
        "message",
        "A",
        "B",
        "{",
        "}",
        "string",
        "int32",
        "1",
        "2",
        "-1",
        "enum",
        "service",
        "rpc",
        "(",
        ")",
        "returns",
        "stream",
        "option",
        "map",
        "<",
        ">",
        ",",
        "oneof",
        "reserved",
        "to",
        "max",
        "extensions",
        "extend",
        "group",
        "G",
        "repeated",
        "optional",
        "required",
        "[",
        "]",
        "default",
        "deprecated",
        "true",
        ".",
        "..",
        "google.protobuf.Any",
        "// c\n",
        "/* d */",
        "\n",
        "'x'",
        "inf",
        "nan",
        "1.5e3",
        "0x7f",
        "json_name",
        "allow_alias",
        "edition",
        "\"2023\"",
        "é",
        "\"\\377\"",
    ][..];
    vec(select(tokens), 0..80).prop_map(|tokens| tokens.join(" "))
}

/// Nested as deep as one likes.
fn deep() -> impl Strategy<Value = String> {
    let opens = &[
        "message A { ",
        "message A { oneof o { group G = 1 { ",
        "option (a) = { b: { ",
        "/* ",
        "[",
        "{\"a\":",
        "- ",
        "? ",
        "{a: ",
        "option a = [",
        "&a [",
        "enum E { ",
        "extend A { group G = 1 { ",
        "!a ",
        "'\\'",
    ][..];
    let prefixes = &[
        "",
        "syntax = \"proto3\"; ",
        "syntax = \"proto2\"; ",
        "openapi: 3.0.0\nx: ",
    ][..];
    (
        select(prefixes),
        select(opens),
        1_usize..3_000,
        any::<bool>(),
    )
        .prop_map(|(prefix, open, depth, closed)| {
            let close = match open {
                _ if !closed => "",
                _ if open.ends_with("[") => "]",
                _ => "}",
            };
            format!("{prefix}{}{}", open.repeat(depth), close.repeat(depth))
        })
}

fn any_proto() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => mutated(&[PROTO, PROTO2]),
        4 => token_soup(),
        1 => string_regex("(?s).{0,100}").unwrap(),
        1 => deep(),
    ]
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let keys = &[
        "openapi",
        "info",
        "title",
        "version",
        "paths",
        "/a",
        "get",
        "post",
        "operationId",
        "parameters",
        "in",
        "name",
        "$ref",
        "components",
        "schemas",
        "A",
        "B-C",
        "content",
        "schema",
        "requestBody",
        "responses",
        "200",
        "enum",
        "items",
        "allOf",
        "properties",
        "additionalProperties",
        "default",
        "<<",
    ][..];
    let texts = &[
        "3.0.0",
        "query",
        "path",
        "a-b",
        "v1",
        "stable",
        "#/components/schemas/A",
        "#",
        "#/paths/~1a",
        "x.json",
        "#/components/schemas/A/properties/B-C",
        "",
    ][..];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        select(texts).prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((select(keys), inner), 0..8).prop_map(|entries| {
                Value::Object(
                    entries
                        .into_iter()
                        .map(|(k, v)| (k.to_owned(), v))
                        .collect(),
                )
            }),
        ]
    })
}

/// Anchors that repeat one another.
fn alias_bomb() -> impl Strategy<Value = String> {
    (1_usize..40, 1_usize..12, any::<bool>()).prop_map(|(levels, width, merged)| {
        let mut text = String::from("a0: &a0 {k0: x}\n");
        for n in 1..levels {
            let aliases = format!("*a{}, ", n - 1).repeat(width);
            text.push_str(&match merged {
                true => format!("a{n}: &a{n} {{<<: [{aliases}], k{n}: y, l: *a{}}}\n", n - 1),
                false => format!("a{n}: &a{n} [{aliases}]\n"),
            });
        }
        text
    })
}

fn any_document() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => mutated(&[PETS, PETS_JSON]),
        4 => json().prop_map(|value| value.to_string()),
        2 => (json(), json()).prop_map(|(paths, components)| serde_json::json!({
            "openapi": "3.0.0", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": paths}},
            "components": {"schemas": {"A": components}},
        }).to_string()),
        1 => string_regex("(?s).{0,100}").unwrap(),
        1 => deep(),
        1 => alias_bomb(),
    ]
}

proptest! {
    #[test]
    fn names_and_versions(namespace in "(?s).{0,40}|[a-z_-]{200,300}", version in "(?s).{0,8}|v[0-9]{0,25}",
        endpoint in "(?s).{0,20}|https?://.{0,10}", title in "(?s).{0,30}") {
        ends(Service::proto("syntax = \"proto3\"; message M {}").namespace(&*namespace).version(&*version));
        ends(Service::graphql(endpoint).namespace(namespace));
        let document = serde_json::json!({
            "openapi": "3.0.0", "info": {"title": title, "version": version}, "paths": {},
        });
        ends(Service::openapi(document));
    }

    #[test]
    fn protos(source in any_proto(), namespace in select(&["s", "common/money", "my-svc", ""][..])) {
        ends(Service::proto(source).namespace(namespace).import("common/money.proto", MONEY));
    }

    #[test]
    fn proto_files(entry in any_proto(), imported in mutated(&[MONEY, PROTO2])) {
        let files = [("shop.proto", entry.as_str()), ("common/money.proto", &imported)];
        ends(Service::proto_dir(files, "shop.proto"));
    }

    #[test]
    fn openapi_documents(document in any_document()) {
        ends(Service::openapi(document.as_str()));
        ends(Service::openapi(document).namespace("s"));
    }

    #[test]
    fn bytes_that_are_no_text(bytes in vec(any::<u8>(), 0..200)) {
        ends(Service::proto(bytes.as_slice()).namespace("s"));
        ends(Service::openapi(bytes));
    }
}

/// Unoptimized code is ten times as slow.
const MANY: usize = if cfg!(debug_assertions) {
    3_000
} else {
    20_000
};

/// Large ones: what takes more than linear time takes for ever here.
#[test]
fn large_sources_end_too() {
    let many = |piece: fn(usize) -> String, count: usize| (0..count).map(piece).collect::<String>();
    let proto =
        |body: String| Service::proto(format!("syntax = \"proto3\"; {body}")).namespace("s");
    ends(proto(many(
        |n| format!("message M{n} {{ M{} m = 1; }}\n", n + 1),
        MANY / 4,
    )));
    ends(proto(many(
        |n| format!("message M{n} {{ Missing m = 1; }} "),
        MANY / 10,
    )));
    ends(proto(many(
        |n| format!("message M {{ string a{n} = 1; }} "),
        MANY / 10,
    )));
    let chain = many(|n| format!("message M{n} {{ M{} m = 1; }}\n", n + 1), MANY);
    let chain = format!("{chain} message M{MANY} {{}} service S {{ rpc R(M0) returns (M0); }}");
    ends(proto(chain));
    let schemas = many(
        |n| {
            format!(
                "\"A{n}\":{{\"properties\":{{\"a\":{{\"$ref\":\"#/components/schemas/A{}\"}}}}}},",
                n + 1
            )
        },
        MANY,
    );
    ends(Service::openapi(format!(
        "{{\"openapi\":\"3.0.0\",\"info\":{{\"title\":\"t\",\"version\":\"1\"}},\"paths\":{{\"/\":{{\"get\":{{\
         \"operationId\":\"a\",\"responses\":{{\"200\":{{\"content\":{{\"x\":{{\"schema\":{{\"$ref\":\
         \"#/components/schemas/A0\"}}}}}}}}}}}}}}}},\"components\":{{\"schemas\":{{{schemas}\"A{MANY}\":{{}}}}}}}}"
    )));
    let bad = many(
        |n| format!("  /p{n}:\n    get: {{operationId: a-b}}\n"),
        MANY / 4,
    );
    ends(Service::openapi(format!(
        "openapi: 3.0.0\ninfo: {{title: t, version: '1'}}\npaths:\n{bad}"
    )));
}

/// A proto3 source with each declaration on a line of its own.
fn declarations() -> impl Strategy<Value = Vec<String>> {
    let types = select(
        &[
            "string",
            "int32",
            "bytes",
            "bool",
            "double",
            "M0",
            "repeated string",
        ][..],
    );
    let fields = vec(types, 0..5).prop_map(|types| {
        let field = |(at, it): (usize, &str)| format!("{it} f{at} = {} ;", at + 1);
        types
            .into_iter()
            .enumerate()
            .map(field)
            .collect::<Vec<_>>()
            .join(" ")
    });
    let comment = select(&["", "// told\n", "/* told */ "][..]);
    vec((fields, comment), 1..5).prop_map(|messages| {
        let message = |(at, (fields, comment)): (usize, (String, &str))| {
            format!("{comment}message M{at} {{ {fields} }}")
        };
        let mut lines: Vec<_> = messages.into_iter().enumerate().map(message).collect();
        lines.insert(0, "package p . v1 ;".to_owned());
        lines.push("service S { rpc A ( M0 ) returns ( stream M0 ) ; }".to_owned());
        lines
    })
}

proptest! {
    #[test]
    fn one_byte_that_moves_is_another_hash(lines in declarations(), line in any::<Index>(), at in any::<Index>()) {
        let hash = |lines: &[String]| {
            let source = format!("syntax = \"proto3\";\n{}\n", lines.join("\n"));
            Service::proto(source).namespace("s").hash().unwrap()
        };
        let before = hash(&lines);
        prop_assert!(before.is_exact());
        prop_assert_eq!(&hash(&lines), &before);
        let mut moved = lines.clone();
        let line = line.get_mut(&mut moved);
        // A comment in front is not inside the declaration.
        let begin = line.find(['m', 'p', 's'].as_slice()).filter(|_| !line.starts_with('/'));
        let begin = begin.or_else(|| line.find("message")).unwrap_or(0);
        let blanks: Vec<_> = line.match_indices(' ').map(|(at, _)| at).filter(|at| *at > begin).collect();
        line.insert(*at.get(&blanks), ' ');
        let after = hash(&moved);
        prop_assert!(after.is_exact());
        prop_assert_ne!(after, before, "{:?}", moved);
    }
}
