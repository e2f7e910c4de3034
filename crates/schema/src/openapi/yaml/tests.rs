use crate::json::json;

use super::*;

fn parse(text: &str) -> Result<Value, Fault> {
    read(text).map(|read| read.root)
}

fn read(text: &str) -> Result<Read, Fault> {
    super::parse(text, Times::AsGateways)
}

#[test]
fn documents_become_json() {
    let text =
        "a: 1\nb: [x, 'true', true, ~, 1.5]\nc: &here {d: \"e\"}\nf: *here\n\"200\": y\n404: z\n";
    assert_eq!(
        parse(text).unwrap(),
        json!({
            "a": 1, "b": ["x", "true", true, null, 1.5], "c": {"d": "e"}, "f": {"d": "e"},
            "200": "y", "404": "z",
        })
    );
    assert_eq!(parse("hello").unwrap(), json!("hello"));
    assert!(parse("{not json").is_err());
}

#[test]
fn depth_is_limited() {
    let deep = "[".repeat(100_000);
    assert!(parse(&deep).is_err());
    let indented: String = (0..2000)
        .map(|n| format!("{}a:\n", " ".repeat(n)))
        .collect();
    assert!(parse(&indented).is_err());
}

#[test]
fn aliases_cannot_eat_the_memory() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..9 {
        let alias = format!("*a{}, ", n - 1).repeat(10);
        text.push_str(&format!("a{n}: &a{n} [{alias}]\n"));
    }
    let fault = parse(&text).unwrap_err();
    assert_eq!(
        (fault.text.as_str(), fault.is_limit),
        ("the document is too large", true)
    );
    // Each nested anchor would store a copy of everything that follows.
    let nested: String = (0..100).map(|n| format!("&a{n} [")).collect();
    let text = format!("{nested}{}{}", "1,".repeat(50_000), "]".repeat(100));
    assert_eq!(parse(&text).unwrap_err().text, "the document is too large");
    let chain: String = (1..2000)
        .map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1))
        .collect();
    let fault = parse(&format!("a0: &a0 x\n{chain}")).unwrap_err();
    assert_eq!(fault.text, "the document is nested too deeply");
    // Few nodes, but long ones; and keys are as long as values.
    let long = "x".repeat(1 << 20);
    for anchored in [format!("&a {long}"), format!("&a {{\"{long}\": 1}}")] {
        for (copies, is_read) in [(50, true), (100, false)] {
            let text = format!("a: {anchored}\nb:\n{}", "- *a\n".repeat(copies));
            let told = parse(&text)
                .map(|_| ())
                .map_err(|it| (it.text, it.is_limit));
            let refused = Err(("the document has too many values".to_owned(), true));
            assert_eq!(told, if is_read { Ok(()) } else { refused });
        }
    }
}

#[test]
fn large_documents_without_aliases_are_read() {
    let text = "- x\n".repeat(300_000);
    assert_eq!(parse(&text).unwrap().as_array().unwrap().len(), 300_000);
}

#[test]
fn merge_keys_are_followed() {
    let text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc:\n  <<: [*a, {z: 4}]\n";
    let expected = json!({
        "a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2, "z": 4},
    });
    assert_eq!(parse(text).unwrap(), expected);
}

#[test]
fn plain_scalars_are_those_of_the_core_schema() {
    for (text, value) in [
        ("no", json!("no")),
        ("on", json!("on")),
        ("2024-01-31", json!("2024-01-31T00:00:00Z")),
        ("'2024-01-31'", json!("2024-01-31")),
        ("1.0.0", json!("1.0.0")),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("0b11", json!(3)),
        ("1_000", json!(1000)),
        ("a_1", json!("a_1")),
        ("0xyz", json!("0xyz")),
        ("18446744073709551615", json!(u64::MAX)),
        ("1e3", json!(1000.0)),
        ("-.5", json!(-0.5)),
        ("'1'", json!("1")),
        ("!!str 1", json!("1")),
    ] {
        assert_eq!(parse(text).unwrap(), value, "{text}");
    }
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_text() {
    let text = "\u{feff}---\r\na: b\r\nc: |\r\n  d\r\n  e\r\n...\r\n---\r\nf: g\r\n";
    assert_eq!(parse(text).unwrap(), json!({"a": "b", "c": "d\ne\n"}));
}

#[test]
fn repeated_keys_are_reported() {
    let found = read("a: 1\nb: {c: 1, d: 2, c: 3}\na: 2\n").unwrap();
    let repeated = found.repeated.iter().map(|it| (it.key.as_str(), it.at));
    assert_eq!(
        repeated.collect::<Vec<_>>(),
        [("c", (2, 17)), ("a", (3, 1))]
    );
    let merged = "a: &a {x: 1}\nb: {<<: *a, x: 2}\n";
    assert_eq!(read(merged).unwrap().repeated, []);
}

#[test]
fn what_gateways_do_not_read_is_refused() {
    for text in [
        "a: .nan",
        "a: -.Inf",
        "~: a",
        "? \n: a",
        "null: a",
        "a: {<<: 1}",
        "%YAML 1.2\n---\na: b",
        "a: {b: Who?}",
        "a: [http://b?c=d]",
        "a: \"\\/\"",
        "a: \u{1}",
    ] {
        let fault = read(text).unwrap_err();
        assert!(!fault.is_limit, "{text}: {}", fault.text);
    }
    for text in [
        "%YAML 1.1\n---\na: b",
        "a: \"%YAML 1.2\"",
        "\"null\": a",
        "a:\n  - .\n",
    ] {
        assert!(read(text).is_ok(), "{text}");
    }
}

#[test]
fn times_may_stay_as_they_are_written() {
    let read = super::parse("a: 2024-01-31\n", Times::AsWritten).unwrap();
    assert_eq!(
        (read.root, read.has_times),
        (json!({"a": "2024-01-31"}), true)
    );
    assert!(
        !super::parse("a: \"2024-01-31\"\n", Times::AsWritten)
            .unwrap()
            .has_times
    );
}
