//! The manual's page of rules: complete, and its examples are what it says they are.

use std::path::Path;

use tower_gwag_schema::{Rule, Service, Severity, check};

use crate::golden::is_golden;

/// A fenced example: its language, the words behind it, and its text.
struct Example {
    language: String,
    words: Vec<String>,
    text: String,
}

fn examples(explanation: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut parts = explanation.split("```");
    parts.next();
    while let (Some(fenced), Some(_)) = (parts.next(), parts.next()) {
        let (info, text) = fenced.split_once('\n').unwrap();
        let mut words = info.split(' ').map(str::to_owned);
        examples.push(Example {
            language: words.next().unwrap(),
            words: words.collect(),
            text: text.to_owned(),
        });
    }
    examples
}

fn service(example: &Example) -> Service {
    let text = example.text.as_str();
    let service = match example.language.as_str() {
        "proto" => Service::proto(text),
        "yaml" => Service::openapi(text.as_bytes()),
        "graphql" => Service::graphql("/graphql").schema(text),
        other => panic!("no such language: {other}"),
    };
    if example.words.iter().any(|it| it == "unnamed") {
        service
    } else {
        service.namespace("example")
    }
}

fn found(example: &Example) -> Vec<(Rule, Severity, String)> {
    let findings = match check(&[service(example)]) {
        Ok(findings) => findings,
        Err(error) => error.findings().clone(),
    };
    let each = findings.iter();
    each.map(|it| (it.rule(), it.severity(), it.to_string()))
        .collect()
}

#[test]
fn every_rule_is_explained_in_the_order_of_the_code() {
    let page = include_str!("../../src/finding/rules.md");
    let explained: Vec<_> = page
        .lines()
        .filter_map(|it| it.strip_prefix("## "))
        .collect();
    let mut in_code: Vec<_> = Rule::ALL.iter().map(|it| it.id()).collect();
    for rule in Rule::ALL {
        let text = rule.explanation();
        assert!(text.len() > 20, "rules.md says nothing of {rule}: {text:?}");
    }
    let mut explained_sorted = explained.clone();
    explained_sorted.sort_unstable();
    in_code.sort_unstable();
    assert_eq!(explained_sorted, in_code);
}

#[test]
fn examples_are_found_or_pass_in_silence() {
    let mut counted = (0, 0);
    let mut wrong = Vec::new();
    for rule in Rule::ALL {
        for example in examples(rule.explanation()) {
            let found = found(&example);
            let text = &example.text;
            match example.words[0].as_str() {
                "bad" => {
                    counted.0 += 1;
                    let warns = rule.explanation().starts_with("Warning");
                    let errors = found.iter().filter(|it| it.1 == Severity::Error).count();
                    let said = found.iter().any(|it| it.0 == *rule);
                    if !said || warns != (errors == 0) {
                        wrong.push(format!("{rule}, bad:\n{text}\n{found:#?}"));
                    }
                }
                "good" => {
                    counted.1 += 1;
                    if !found.is_empty() {
                        wrong.push(format!("{rule}, good:\n{text}\n{found:#?}"));
                    }
                }
                other => panic!("{rule}: an example is bad or good, not {other}"),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(counted.0 >= 28 && counted.1 >= 22, "{counted:?}");
}

/// Every message that an example of the page causes, in one file, to be read in one go. With
/// `UPDATE_GOLDEN=1` the test writes it.
#[test]
fn messages_are_those_of_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/messages.txt");
    let mut messages = String::new();
    for rule in Rule::ALL {
        for example in examples(rule.explanation()) {
            for (_, _, message) in found(&example) {
                messages.push_str(&format!("== {rule}\n{message}\n\n"));
            }
        }
    }
    is_golden(Path::new(path), &messages);
}
