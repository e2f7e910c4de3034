use std::collections::{BTreeMap, HashMap};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::prost_types::source_code_info::Location;

use super::writer::Note;
use crate::hash;
use crate::proto::{self, Compiled, descriptor_set};
use crate::recorded::hash_vectors;

/// One file with everything: anything missing here is not tested.
const PROTO2: &str = include_str!("tests/proto2.proto");
const PROTO3: &str = include_str!("tests/proto3.proto");
const OPTIONS: &str = include_str!("tests/options.proto");
const HEALTH: &str = include_str!("tests/health.proto");
const REFLECTION: &str = include_str!("tests/reflection.proto");
const CONTROL_PLANE: &str = include_str!("../../../../../proto/control_plane.proto");
const GREETER: &str = include_str!("../../../../../examples/greeter/proto/greeter.proto");

fn compiled(source: &str, imports: &HashMap<String, Vec<u8>>) -> Compiled {
    proto::compile("s", source.as_bytes(), imports)
        .unwrap_or_else(|fault| panic!("{}\n{source}", fault.text))
}

/// The comments of the entry file, by path.
fn comments(set: &[u8]) -> BTreeMap<Vec<i32>, Vec<Note>> {
    let set = FileDescriptorSet::decode(set).expect("a set");
    let entry = set.file.into_iter().find(|it| it.name() == "s.proto");
    let info = entry.and_then(|it| it.source_code_info);
    let places: Vec<Location> = info.map(|it| it.location).unwrap_or_default();
    let mut found: BTreeMap<Vec<i32>, Vec<Note>> = BTreeMap::new();
    for place in &places {
        let note = Note::of(place);
        if note != Note::default() {
            found.entry(place.path.clone()).or_default().push(note);
        }
    }
    found
}

/// A set as code generators write it, with the source info of a gateway's compiler, or that of the one
/// used here, which includes custom options.
fn set_of(compiled: &Compiled, is_canonical: bool) -> Vec<u8> {
    if is_canonical {
        return hash::descriptor_set(compiled).0;
    }
    compiled
        .files()
        .flat_map(|file| {
            let bytes = file.encode_to_vec();
            let mut framed = Vec::new();
            prost::encoding::bytes::encode(1, &bytes, &mut framed);
            framed
        })
        .collect()
}

/// Asserts that printing and compiling again changes nothing, comments included.
fn comes_back(source: &str, imports: &HashMap<String, Vec<u8>>, is_canonical: bool) -> String {
    let original = compiled(source, imports);
    let set = set_of(&original, is_canonical);
    let texts = descriptor_set::texts(&set, "s.proto");
    let texts = texts.unwrap_or_else(|fault| panic!("{fault}\n{source}"));
    let text = &texts.files["s.proto"];
    assert!(
        texts.found.is_empty(),
        "{:#?}\n{source}\n{text}",
        texts.found
    );
    let imported = texts
        .files
        .iter()
        .map(|(name, text)| (name.clone(), text.clone().into_bytes()));
    let again = compiled(text, &imported.collect());
    // As a gateway's compiler assigns them in the printed text, and as in the set.
    let (now, before) = (comments(&set_of(&again, true)), comments(&set));
    for path in now.keys().chain(before.keys()) {
        assert_eq!(
            now.get(path),
            before.get(path),
            "{path:?}\n{source}\n{text}"
        );
    }
    if is_canonical {
        let texts = descriptor_set::texts(&set_of(&again, true), "s.proto").expect("good");
        assert_eq!(&texts.files["s.proto"], text, "{source}");
    }
    text.clone()
}

#[test]
fn known_files_come_back() {
    let none = HashMap::new();
    for source in [PROTO2, PROTO3, HEALTH, REFLECTION, CONTROL_PLANE, GREETER] {
        comes_back(source, &none, true);
        // Compilers disagree on the owner of a group's comment.
        if source != PROTO2 {
            comes_back(source, &none, false);
        }
    }
    comes_back(OPTIONS, &none, false);
    let (declared, used) = OPTIONS.split_once("// All of them.").expect("two parts");
    let declared = HashMap::from([("o.proto".to_owned(), declared.as_bytes().to_vec())]);
    let source = format!("syntax = \"proto2\"; package options; import \"o.proto\"; {used}");
    comes_back(&source, &declared, false);
}

#[test]
fn built_in_files_come_back() {
    for file in DescriptorPool::global().files() {
        let name = file.name();
        let mut set = Vec::new();
        prost::encoding::bytes::encode(1, &file.encode_to_vec(), &mut set);
        let texts = descriptor_set::texts(&set, name).expect(name);
        assert!(texts.found.is_empty(), "{name}: {:#?}", texts.found);
        assert_eq!(texts.files.len(), 1, "{name}");
    }
}

/// A gateway locks a vN to this layout.
#[test]
fn the_layout_stays_what_it_is() {
    let source = "// Top.\n\nsyntax = \"proto3\"; package a.b;\nimport \"google/protobuf/any.proto\"; \
        option java_package = \"j\";\n/* M. */ message M { // m\n // F.\n optional string f_f = 1 \
        [deprecated = true]; map<string, N> by = 2; oneof o { int32 i = 3; } reserved 4, 5 to 6; \
        reserved \"x\"; message N {} } enum E { Z = 0; // z\n// Y.\nY = 1; }\n\
        // S.\nservice S { rpc A(M) returns (stream google.protobuf.Any); rpc B(M) returns (M) \
        { option deprecated = true; } }";
    let expected = r#"// Top.

syntax = "proto3";

package a.b;

import "google/protobuf/any.proto";

option java_package = "j";

/* M. */
message M { // m
  // F.
  optional string f_f = 1 [deprecated = true];
  map<string, .a.b.M.N> by = 2;

  message N {}

  oneof o {
    int32 i = 3;
  }
  reserved 4, 5 to 6;
  reserved "x";
}

enum E {
  Z = 0; // z

  // Y.
  Y = 1;
}

// S.
service S {
  rpc A(.a.b.M) returns (stream .google.protobuf.Any);
  rpc B(.a.b.M) returns (.a.b.M) {
    option deprecated = true;
  }
}
"#;
    assert_eq!(comes_back(source, &HashMap::new(), true), expected);
}

/// The sources of the hash tests have comments in every place.
#[test]
fn the_sources_of_the_hashes_come_back() {
    let mut count = 0;
    for vector in hash_vectors() {
        let imports = vector.imports();
        let source = vector.proto_source;
        if proto::compile("s", source.as_bytes(), &imports).is_ok() {
            comes_back(&source, &imports, false);
            count += 1;
        }
    }
    assert!(count > 70, "{count}");
}

proptest! {
    #[test]
    fn any_file_comes_back(source in arranged()) {
        let none = HashMap::new();
        prop_assume!(proto::compile("s", source.as_bytes(), &none).is_ok());
        comes_back(&source, &none, true);
    }
}

// === files of many declarations, with comments in every place ===

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
