//! What the examples print, behind the embedded gateway and behind the real one that `GWAG_GATEWAY` and
//! `GWAG_GATEWAY_HTTP` name: the same but for ports, ids and times. A standalone gateway has no HTTP
//! ingress, and says so.

#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

const NO_INGRESS: &str = "no ingress: the gateway is standalone";

const GREETER: &str = r#"
gateway    ADDRESS, services at http://ADDRESS
listening  ADDRESS
RESULT registered ms=N
greeting   gateway
answer     Hello, gateway! from process N
status     Routed (after T)
stream     3 greetings
greeting   GraphQL
GraphQL    {"greeter":{"hello":{"greeting":"Hello, GraphQL!"}}}
greeting   HTTP
HTTP       {"greeting":"Hello, HTTP!","replica":"process N"}
RESULT called answer="Hello, gateway!"

serving; Ctrl-C ends it
status     Leaving (after T)
status     Left (after T)

left at the signal: deregistered (in T, held)
calls: 0 in flight when leaving began, 0 came later, 0 cut; drained in T
RESULT left ms=N exit=0
"#;

const PETSTORE: &str = r#"
gateway    ADDRESS, services at http://ADDRESS
RESULT registered ms=N
status     Routed (after T)
GraphQL    {"Petstore":{"getPet":{"id":1,"name":"Rex"}}}
HTTP       {"id":1,"name":"Rex"}
RESULT called answer="{\"id\":1,\"name\":\"Rex\"}"

serving; Ctrl-C ends it
status     Leaving (after T)
status     Left (after T)

left at the signal: deregistered (in T)
calls: 0 in flight when leaving began, 0 came later, 0 cut; drained in T
RESULT left ms=N exit=0
"#;

const MIXED: &str = r#"
gateway    ADDRESS, services at http://ADDRESS
listening  ADDRESS
RESULT registered ms=N
RESULT listed namespace=greeter hash=H as_expected=true
RESULT listed namespace=Petstore hash=H as_expected=true
RESULT listed namespace=shop hash=H as_expected=true
RESULT called kind=grpc answer="Hello, gateway!"
RESULT called kind=graphql answer="{\"shop\":{\"books\":[\"Emma\",\"Ulysses\"]}}"
RESULT called kind=graphql answer="{\"Petstore\":{\"getPet\":{\"id\":1,\"name\":\"Rex\"}}}"
RESULT called kind=http answer="{\"id\":1,\"name\":\"Rex\"}"
status     Routed (after T)

serving; Ctrl-C ends it
status     Leaving (after T)
status     Left (after T)

left at the signal: deregistered (in T, held)
calls: 0 in flight when leaving began, 0 came later, 0 cut; drained in T
RESULT left ms=N exit=0
"#;

/// Runs an example until it has called itself, ends it, and gives what it printed.
fn run(example: &str, is_embedded: bool) -> String {
    let mut path = std::env::current_exe().expect("this test");
    path.pop();
    path.pop();
    path.extend(["examples", example]);
    let mut command = Command::new(&path);
    if is_embedded {
        command
            .env_remove("GWAG_GATEWAY")
            .env_remove("GWAG_GATEWAY_HTTP");
    }
    let mut process = command
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo test` builds it"));
    let id = process.id().to_string();
    let signal = |name: &str| Command::new("kill").args([name, &id]).status();
    let output = process.stdout.take().expect("piped");
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        // The test may have ended.
        lines.for_each(|line| drop(sender.send(line)));
    });
    let mut printed = String::new();
    let begun = std::time::Instant::now();
    loop {
        match lines.recv_timeout(DEADLINE.saturating_sub(begun.elapsed())) {
            Ok(line) => {
                printed += &format!("{}\n", plain(&line));
                if line.starts_with("serving") || line.contains("failed") {
                    signal("-INT").expect("kill");
                }
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                signal("-KILL").expect("kill");
                panic!("{example} does not end:\n{printed}");
            }
        }
    }
    assert!(crate::support::end_of(&mut process).success(), "{printed}");
    printed
}

/// A line without ports, ids and times.
fn plain(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let core = word.trim_end_matches([')', ',', ';', '"', '}']);
        let rest = &word[core.len()..];
        let is_number =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
        let mut units = ["ns", "µs", "ms", "s"].iter();
        let is_of_process = words.last().is_some_and(|it| it.ends_with("process"));
        let core = if units.any(|unit| core.strip_suffix(unit).is_some_and(is_number)) {
            "T".to_owned()
        } else if let Some((before, _)) = core.split_once("127.0.0.1:") {
            format!("{before}ADDRESS")
        } else if core.starts_with("ms=") {
            "ms=N".to_owned()
        } else if core.starts_with("hash=") {
            "hash=H".to_owned()
        } else if is_of_process && is_number(core) {
            "N".to_owned()
        } else {
            core.to_owned()
        };
        words.push(core + rest);
    }
    words.join(" ")
}

/// What a standalone gateway changes: nothing arrives by HTTP.
fn without_ingress(expected: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in expected.lines().filter(|line| *line != "greeting   HTTP") {
        let is_answer = line.starts_with("HTTP ") || line.contains("kind=http");
        lines.push(match line.split_once("answer=") {
            _ if line.starts_with("HTTP ") => format!("HTTP       {NO_INGRESS}"),
            Some((before, _)) if is_answer || line.contains("called answer=\"{") => {
                format!("{before}answer={NO_INGRESS:?}")
            }
            _ => line.to_owned(),
        });
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_examples_print_the_same_behind_any_gateway() {
    let http = std::env::var("GWAG_GATEWAY_HTTP").unwrap_or_default();
    let is_real = std::env::var_os("GWAG_GATEWAY").is_some() && !http.is_empty();
    if !is_real {
        println!("the real gateway is skipped: GWAG_GATEWAY and GWAG_GATEWAY_HTTP are not set");
    }
    for (example, expected) in [
        ("greeter", GREETER),
        ("petstore", PETSTORE),
        ("mixed", MIXED),
    ] {
        let expected = expected.trim_start();
        assert_eq!(run(example, true), expected, "{example}, embedded");
        if !is_real {
            continue;
        }
        let printed = run(example, false);
        match printed.contains(NO_INGRESS) {
            false => assert_eq!(printed, expected, "{example}, {http}"),
            true => assert_eq!(printed, without_ingress(expected), "{example}, {http}"),
        }
    }
}
