//! Generates proto files of many declarations, with comments in every place.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Blanks and comments.
fn gap() -> impl Strategy<Value = String> {
    let pieces = &[
        " ",
        " ",
        "\n",
        "\n\n",
        "\t",
        "\r\n",
        "// a\n",
        "//b\n",
        "//\n",
        "// c \r\n",
        "/* d */",
        "/*\n * e\n */",
        "/* f\n   g\n */",
        "/**/",
        "/*** h ***/",
        "/* é\n*i */",
    ][..];
    vec(select(pieces), 0..5).prop_map(|it| it.concat())
}

/// Declarations from templates: `#` becomes a number, `@` a gap, `$` a body of members.
fn declarations(
    templates: &'static [&'static str],
    member: impl Strategy<Value = String> + Clone + 'static,
) -> impl Strategy<Value = String> {
    let one = (select(templates), vec(gap(), 8), vec(member, 0..6));
    vec(one, 0..6).prop_map(|all| {
        let mut out = String::new();
        for (template, gaps, members) in all {
            let mut gaps = gaps.iter().cycle();
            for c in template.chars() {
                match c {
                    '@' => out.push_str(gaps.next().map_or("", String::as_str)),
                    '$' => out.push_str(&members.concat()),
                    c => out.push(c),
                }
            }
        }
        out
    })
}

const MEMBERS: &[&str] = &[
    "@optional string f# = #;@",
    "@optional@ R@ f# = # [deprecated = true];@",
    "@repeated int32 f# = # [packed = true, json_name = \"j#\"];@",
    "@map<string, R> f# = #;@",
    "@optional group G# = # {@ optional int32 x = 1;@ }@",
    "@oneof o# {@ string f# = #;@ }@",
    "@message M# {@ optional string a = 1;@ }@",
    "@enum E# {@ option allow_alias = false;@ A# = 0;@ reserved 5, 7;@ }@",
    "@reserved 10000#, 20000#;@",
    "@reserved \"r#\", \"s#\";@",
    "@extensions 30000# to 30000#;@",
    "@option deprecated = false;@",
    "@extend R {@ optional int32 x# = 100#;@ }@",
    "@;@",
];

const DECLARATIONS: &[&str] = &[
    "@message M# {@$@}@",
    "@message M# {@$@}@",
    "@enum E# {@ A# = 0;@ B# = 1 [deprecated = true];@ }@",
    "@extend R {@ optional int32 x# = 100#;@ repeated group G# = 200# {@ }@ }@",
    "@service S# {@ rpc A(R)@ returns (R);@ rpc B(stream R) returns (stream R) {@ option deprecated = true;@ }@ }@",
    "@import \"google/protobuf/any.proto\";@",
    "@option java_package = \"p\";@",
];

/// A file that usually compiles; the numbers differ from statement to statement.
pub(super) fn arranged() -> impl Strategy<Value = String> {
    let members = declarations(MEMBERS, Just(String::new())).boxed();
    let all = declarations(DECLARATIONS, members);
    (gap(), gap(), all, gap()).prop_map(|(first, second, all, last)| {
        let mut text =
            format!("{first}syntax = \"proto2\";{second}message R {{ extensions 100 to max; }}");
        for (number, piece) in (10..).zip(all.split_inclusive(';')) {
            text.push_str(&piece.replace('#', &i32::to_string(&number)));
        }
        text + &last
    })
}
