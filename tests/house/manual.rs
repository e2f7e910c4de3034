//! The documentation: links lead somewhere, and pages that promise completeness are complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All Markdown files at the top and in `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for directory in ["", "docs", "docs/manual"] {
        let entries = fs::read_dir(root().join(directory)).expect("a directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        pages.extend(paths.filter(|it| it.extension().is_some_and(|it| it == "md")));
    }
    pages
}

/// Text without code, in which brackets mean something else.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    for (number, part) in text.split("```").enumerate() {
        if number % 2 == 0 {
            let outside = part.split('`').step_by(2);
            prose.extend(outside);
        }
    }
    prose
}

/// The targets of `[text](target)` and `[name]: target`, and the names in `[text][name]`.
fn links(prose: &str) -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>) {
    let (mut targets, mut defined, mut used) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in prose.lines() {
        let definition = line.strip_prefix('[').and_then(|it| it.split_once("]: "));
        if let Some((name, target)) = definition {
            defined.insert(name.to_owned());
            targets.insert(target.trim().to_owned());
            continue;
        }
        for after in line.split("](").skip(1) {
            targets.insert(after.split(')').next().unwrap_or_default().to_owned());
        }
        for after in line.split("][").skip(1) {
            used.insert(after.split(']').next().unwrap_or_default().to_owned());
        }
    }
    (targets, defined, used)
}

/// The anchor that repository browsers give a heading.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchors = headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter_map(|it| match it {
            ' ' => Some('-'),
            it if it.is_alphanumeric() || it == '-' || it == '_' => Some(it),
            _ => None,
        });
        kept.collect()
    });
    anchors.collect()
}

#[test]
fn links_of_the_documentation_lead_somewhere() {
    let (mut broken, mut followed) = (Vec::new(), 0);
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let (targets, defined, used) = links(&prose(&text));
        let name = page.strip_prefix(root()).expect("inside").display();
        for missing in used.difference(&defined) {
            broken.push(format!("{name}: [{missing}] is not defined"));
        }
        for target in targets.iter().filter(|it| !it.starts_with("http")) {
            followed += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => page.clone(),
                file => page.parent().expect("a directory").join(file),
            };
            let Ok(linked) = fs::read_to_string(&file) else {
                if !file.is_dir() {
                    broken.push(format!("{name}: {target}"));
                }
                continue;
            };
            if !anchor.is_empty() && !anchors(&linked).contains(anchor) {
                broken.push(format!("{name}: {target} has no such heading"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(followed > 8, "{followed}");
}

/// All of the layer's code.
fn code(directory: &Path) -> String {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut paths: Vec<_> = entries.map(|it| it.expect("an entry").path()).collect();
    paths.sort();
    let texts = paths.iter().map(|path| match path.is_dir() {
        true => code(path),
        false => fs::read_to_string(path).expect("text"),
    });
    texts.collect()
}

/// The variants of a public enum, read from its source.
fn variants(source: &str, name: &str) -> Vec<String> {
    let start = format!("pub enum {name} {{");
    let body = source.split(&start).nth(1).expect("the enum");
    let body = body.split("\n}").next().expect("its end");
    let lines = body.lines().map(str::trim);
    let names = lines.filter_map(|line| {
        let name = line.strip_suffix(',')?;
        name.chars()
            .all(char::is_alphanumeric)
            .then(|| name.to_owned())
    });
    names.collect()
}

#[test]
fn troubleshooting_has_every_state_error_and_outcome() {
    let page = read("docs/manual/troubleshooting.md");
    let code = code(&root().join("src"));
    for (name, least) in [("ErrorKind", 30), ("State", 12), ("LeaveOutcome", 5)] {
        let variants = variants(&code, name);
        assert!(variants.len() >= least, "{name}: {variants:?}");
        for variant in variants {
            assert!(page.contains(&format!("`{variant}`")), "{name}::{variant}");
        }
    }
}

/// Each claim of a status has its test, for each kind of gateway.
#[test]
fn the_tests_that_the_page_on_statuses_names_exist() {
    let page = read("docs/status.md");
    let tests = page.split("## Tests").nth(1).expect("the section");
    let code = code(&root().join("tests/life"));
    let mut named = BTreeSet::new();
    for name in tests.split('`').skip(1).step_by(2) {
        if name.ends_with(".rs") || name.ends_with(".txt") {
            assert!(root().join("tests/life").join(name).is_file(), "{name}");
        } else if name.contains('_') && name.chars().all(|it| it.is_lowercase() || it == '_') {
            let is_there = code.contains(&format!("fn {name}()"));
            assert!(is_there || name == "gateway_http", "{name} is no test");
            named.insert(name);
        }
    }
    assert!(named.len() > 20, "{named:?}");
    let rows = tests.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<Vec<&str>> = rows
        .map(|row| row.trim_matches('|').split('|').collect())
        .collect();
    for state in variants(&self::code(&root().join("src")), "State") {
        let is_of = |row: &&Vec<&str>| row[0].contains(&format!("`{state}`"));
        let row = rows.iter().find(is_of);
        let row = row.unwrap_or_else(|| panic!("{state} has no row"));
        for cell in &row[1..] {
            let has_test = named.iter().any(|name| cell.contains(name));
            assert!(has_test || cell.contains("the same"), "{state}: {cell}");
        }
        assert!(!row[1].contains("the same"), "{state}");
        assert_eq!(row.len(), 4, "{state}");
    }
}

#[test]
fn every_page_is_in_the_manual() {
    let manual = read("src/manual.rs");
    for page in pages() {
        let path = page.strip_prefix(root()).expect("inside");
        let Ok(in_docs) = path.strip_prefix("docs") else {
            continue;
        };
        let name = in_docs.display().to_string();
        // About this repository's dependencies, not for users.
        let listed = name == "upstream-issues.md" || manual.contains(&format!("\"{name}\""));
        assert!(listed, "{name}");
    }
}

/// Code as a reader sees it: without the lines that rustdoc hides, and indented from its own margin.
fn visible(code: &str) -> String {
    let lines: Vec<_> = code
        .lines()
        .filter(|it| !it.trim().starts_with("# "))
        .collect();
    let is_text = |line: &&&str| !line.trim().is_empty();
    let margin = |line: &&str| line.len() - line.trim_start().len();
    let margin = lines.iter().filter(is_text).map(margin).min().unwrap_or(0);
    let lines = lines.iter().map(|it| it.get(margin..).unwrap_or_default());
    lines.map(|it| format!("{it}\n")).collect()
}

/// rustdoc compiles the examples of the pages, except for those that are marked `ignore`. They need
/// a build script or a test harness, so a real one has the same code.
#[test]
fn examples_that_rustdoc_ignores_are_compiled_elsewhere() {
    let front_page = read("src/lib.rs");
    let front_page = front_page.lines().filter_map(|it| it.strip_prefix("//!"));
    let front_page = front_page.map(|it| it.strip_prefix(' ').unwrap_or(it));
    let front_page: String = front_page.map(|it| format!("{it}\n")).collect();
    let mut compiled = vec![visible(&front_page)];
    for file in [
        "examples/bundled/build.rs",
        "examples/bundled/src/bin/hello.rs",
        "tests/house/registers.rs",
    ] {
        compiled.push(visible(&read(file)));
    }
    for file in ["greeter.proto", "greeter/person.proto"] {
        compiled.push(read(&format!("examples/bundled/proto/{file}")));
    }

    let (mut elsewhere, mut missing) = (0, Vec::new());
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for fence in ["```rust,ignore\n", "```proto\n"] {
            let name = page.strip_prefix(root()).expect("inside").display();
            // Pages about gateways have protos to show faults with.
            if fence.contains("proto") && !name.to_string().ends_with("start.md") {
                continue;
            }
            for example in text.split(fence).skip(1) {
                let example = visible(example.split("```").next().expect("the code"));
                elsewhere += 1;
                if !compiled.iter().any(|it| it.contains(&example)) {
                    missing.push(format!("{name}:\n{example}"));
                }
            }
        }
    }
    assert!(
        missing.is_empty(),
        "nowhere in code:\n{}",
        missing.join("\n")
    );
    assert!(elsewhere >= 8, "{elsewhere}");
}

/// The page of the command line has the example of each command's `--help`, which is run by a test
/// of its own.
#[test]
fn the_command_lines_page_has_the_example_of_each_command() {
    let page = read("docs/manual/command-line.md");
    let source = read("crates/cli/src/cli.rs");
    let examples: Vec<_> = source
        .split("Example:")
        .skip(1)
        .map(|it| it.trim_start_matches("\\n").trim_start())
        .map(|it| it.split(['\n']).next().expect("a line"))
        .map(|it| {
            it.trim_end_matches(")]")
                .trim_end_matches('"')
                .replace("\\\"", "\"")
        })
        .collect();
    assert!(examples.len() >= 19, "{examples:?}");
    for example in examples {
        assert!(page.contains(&format!("{example}\n")), "{example}");
    }
}
