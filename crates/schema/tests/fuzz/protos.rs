//! Protos, more or less.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;

use crate::sources::{PROTO, PROTO2, mutated};

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
pub(crate) fn deep() -> impl Strategy<Value = String> {
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

pub(crate) fn any_proto() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => mutated(&[PROTO, PROTO2]),
        4 => token_soup(),
        1 => string_regex("(?s).{0,100}").unwrap(),
        1 => deep(),
    ]
}
