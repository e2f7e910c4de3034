//! The hash of any source: the same twice, another one for another source.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tower_gwag::Service;

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
