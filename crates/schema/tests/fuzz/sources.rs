//! Sources to begin with, and what may become of them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::string::string_regex;

pub(crate) const PROTO: &str = r#"// A shop.
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

pub(crate) const MONEY: &str =
    "syntax = \"proto3\"; package common; message Money { int64 cents = 1; }";

pub(crate) const PROTO2: &str = r#"syntax = "proto2";
message A {
  required bytes a = 1 [default = "\001\xfe\n"];
  optional group G = 2 { optional float f = 1 [default = -inf]; }
  extensions 100 to max;
  extend A { optional int32 more = 100; }
}
"#;

pub(crate) const PETS: &str = r##"openapi: 3.0.3
info: &info {title: Pets, version: "1"}
x-copy: *info
paths:
  /pets/{id}:
    parameters: [{$ref: "#/components/parameters/Id"}]
    get:
      operationId: getPet
      responses:
        "200":
          description: ok
          content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}
    <<: {put: {operationId: putPet, requestBody: {content: {a/b: {schema: {enum: [a, b-c]}}}}, responses: {204: {description: ok}}}}
components:
  parameters: {Id: {in: path, name: id, required: true, schema: {type: string}}}
  schemas:
    Pet:
      properties: {name: {type: string}, parent: {$ref: "#/components/schemas/Pet"}}
      oneOf: [{additionalProperties: true}, {items: {not: {}}}]
"##;

pub(crate) const PETS_JSON: &str = r##"{"openapi":"3.1.0","info":{"title":"P","version":"1"},"paths":{"/a~b":
  {"get":{"operationId":"v1","parameters":[{"in":"query","name":"a[]","schema":{}}],"responses":{"200":{"description":"ok","content":
  {"x":{"schema":{"$ref":"#/components/schemas/A-B"}}}}}}}},"components":{"schemas":{"A-B":{}}}}"##;

/// A piece is put in, taken out, doubled, or replaced, some times.
pub(crate) fn mutated(of: &'static [&'static str]) -> impl Strategy<Value = String> {
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
