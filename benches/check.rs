//! How long the check of a large proto tree takes: 200 files, each with messages, comments and
//! imports of earlier ones. `cargo bench --bench check`

use std::fmt::Write;
use std::time::{Duration, Instant};

use tower_gwag::{GatewayRelease, Options, Rule, Service};

const FILES: usize = 200;
const MESSAGES: usize = 20;
const ROUNDS: usize = 11;

/// What the check may take, and with the text of the GraphQL schema.
const LONGEST: Duration = Duration::from_millis(150);
const LONGEST_WITH_SCHEMA: Duration = Duration::from_millis(250);

fn file(number: usize) -> String {
    let mut text = format!("// File {number}.\nsyntax = \"proto3\";\npackage tree.f{number};\n");
    // As in real trees: a few common files, and what was there before.
    let imported: Vec<usize> = [number / 2, number / 3, number.wrapping_sub(1)]
        .into_iter()
        .filter(|it| *it < number)
        .collect();
    for (at, import) in imported.iter().enumerate() {
        if !imported[..at].contains(import) {
            let _ = writeln!(text, "import \"tree/f{import}.proto\";");
        }
    }
    for message in 0..MESSAGES {
        let _ = writeln!(
            text,
            "\n// Message {message} of file {number}.\nmessage M{message} {{"
        );
        let _ = writeln!(
            text,
            "  string id = 1; // what it is known by\n  repeated int64 values = 2;"
        );
        if message > 0 {
            let _ = writeln!(text, "  M{} inner = 3;", message - 1);
        }
        if let Some(import) = imported.first() {
            let _ = writeln!(
                text,
                "  // from another file\n  tree.f{import}.M{message} other = 4;"
            );
        }
        text.push_str("}\n");
    }
    text
}

fn main() {
    let mut files: Vec<(String, String)> = (0..FILES - 1)
        .map(|number| (format!("tree/f{number}.proto"), file(number)))
        .collect();
    let mut entry = file(FILES - 1);
    for number in 0..FILES - 1 {
        let import = format!("import \"tree/f{number}.proto\";\n");
        if !entry.contains(&import) {
            let at = entry.find("\n\n").unwrap_or_default() + 1;
            entry.insert_str(at, &import);
        }
    }
    entry.push_str("service Tree { rpc Get(M0) returns (M19); }\n");
    files.push(("shop.proto".to_owned(), entry));
    let lines: usize = files.iter().map(|(_, text)| text.lines().count()).sum();

    // Its messages have a repeated field, which GraphQL callers cannot send.
    let service = Service::proto_dir(files, "shop.proto").allow(Rule::CallsGraphQlFields);
    let options = Options::new("gateway:1").service(service.clone());
    let size = format!("{FILES} files, {lines} lines");
    let check = || {
        let findings = options.check().expect("the tree is good");
        assert!(findings.is_empty(), "{findings}");
    };
    let with_schema = || {
        let schema = service.graphql_schema(GatewayRelease::default());
        assert!(!schema.expect("the tree is good").to_string().is_empty());
    };
    let checked = measured(&format!("check of {size}"), check);
    let rendered = measured(&format!("check and schema of {size}"), with_schema);
    assert!(checked < LONGEST, "more than {LONGEST:?}");
    assert!(
        rendered < LONGEST_WITH_SCHEMA,
        "more than {LONGEST_WITH_SCHEMA:?}"
    );
}

/// The time in the middle of some rounds.
fn measured(what: &str, run: impl Fn()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            run();
            begun.elapsed()
        })
        .collect();
    times.sort();
    let (least, median) = (times[0], times[ROUNDS / 2]);
    println!("{what}: {least:.1?} at best, {median:.1?} in the middle");
    median
}
