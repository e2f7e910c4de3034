//! The example of each command's `--help` is run as it is written.

use std::process::Stdio;
use std::time::Duration;

use tokio::time::timeout;
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::support::{PATIENCE, call, data, finish, folder, proto, register, signal, tool};

const ADMIN: &str = "00ff00ff";

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_an_example_that_works() {
    let folder = folder("");
    for (from, to) in [
        ("good/proto/greeter.proto", "proto/shop.proto"),
        ("good/pets.yaml", "openapi.yaml"),
        ("good/pets.yaml", "old/openapi.yaml"),
    ] {
        let to = folder.join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(data(from), to).unwrap();
    }
    std::fs::write(folder.join("admin-token"), ADMIN).unwrap();
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = builder
        .admin_token(ADMIN)
        .subscribe_secret("secret")
        .start()
        .await
        .unwrap();
    let client = tower_gwag::control::Client::new(&*gateway.target()).unwrap();
    let source = std::fs::read_to_string(data("good/proto/greeter.proto")).unwrap();
    let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = open.local_addr().unwrap().to_string();
    register(&client, &addr, vec![proto("shop", "v1", &source)]).await;
    register(
        &client,
        &addr,
        vec![proto(
            "shop",
            "v2",
            &source.replace("greeter.v1", "greeter.v2"),
        )],
    )
    .await;
    gateway
        .wait_until(|now| now.service("shop", "v2").is_some())
        .await;

    let all = call(&folder, &["--help"]).await.ends_with(0);
    let commands: Vec<&str> = all
        .out
        .lines()
        .skip_while(|it| !it.starts_with("Commands:"))
        .skip(1)
        .take_while(|it| !it.is_empty())
        .filter_map(|it| {
            it.strip_prefix("  ")?
                .split(' ')
                .next()
                .filter(|it| !it.is_empty())
        })
        .filter(|it| *it != "help")
        .collect();
    assert!(commands.len() >= 19, "{commands:?}");
    for command in commands {
        let help = call(&folder, &[command, "--help"]).await.ends_with(0);
        let example = help.out.lines().skip_while(|it| *it != "Example:").nth(1);
        let example = example
            .unwrap_or_else(|| panic!("{command} has no example"))
            .trim();
        let line = example
            .strip_prefix("tower-gwag ")
            .unwrap_or_else(|| panic!("{example}"));
        let line = line.replace("http://gateway:8080", &gateway.http_url());
        let line = line
            .replace("gateway:50090", &gateway.target())
            .replace("NODE_ID", "a-node");
        let mut arguments = words(&line);
        match command {
            // Goes on until it is stopped.
            "dev" => {
                arguments.extend(
                    [
                        "--listen",
                        "127.0.0.1:0",
                        "--http-listen",
                        "127.0.0.1:0",
                        "--for",
                        "0s",
                    ]
                    .map(str::to_owned),
                );
            }
            "run" => {
                run(&folder, &line, &gateway).await;
                continue;
            }
            _ => {}
        }
        let mut tool = tool(&folder);
        tool.args(&arguments);
        let done = finish(tool).await;
        // There is no dead node to forget, and the service of the test says nothing at its address.
        let wanted = match command {
            "forget" => 4,
            _ => 0,
        };
        assert_eq!(done.code, wanted, "{example}: {done:#?}");
    }
}

/// With another program, which is there everywhere, and a port that is free.
async fn run(folder: &std::path::Path, line: &str, gateway: &EmbeddedGateway) {
    let port = crate::support::free_port();
    let (options, program) = line.split_once(" -- ").unwrap();
    assert!(program.ends_with("server.py"));
    let mut tool = tool(folder);
    tool.args(words(&options.replace("8080", &port.to_string())))
        .arg("--grace=0s");
    tool.arg("--")
        .args(crate::program::line())
        .env("PROGRAM_PORT", port.to_string());
    let mut child = tool
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let listed = gateway.wait_until(|now| now.service("Pets", "v1").is_some());
    timeout(PATIENCE, listed).await.expect("registered");
    signal(&child, "TERM");
    let status = timeout(PATIENCE, child.wait())
        .await
        .expect("in time")
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let gone = gateway.wait_until(|now| now.service("Pets", "v1").is_none());
    timeout(Duration::from_secs(10), gone).await.expect("gone");
}

/// As a shell parts them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}
