//! Bad input: a clear error with the next step, and an exit code.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{call, data, folder};

#[tokio::test]
async fn files_that_are_none() {
    let folder = folder("good");
    std::fs::write(folder.join("junk.yaml"), [0_u8, 159, 146, 150]).unwrap();
    std::fs::write(folder.join("junk"), "hello\n").unwrap();
    std::fs::write(folder.join("bad.toml"), "[[service]]\nprotto = \"x\"\n").unwrap();
    std::fs::write(folder.join("empty.toml"), "").unwrap();
    std::fs::write(
        folder.join("two.toml"),
        "[[service]]\nproto = \"a\"\nopenapi = \"b\"\n",
    )
    .unwrap();
    std::fs::create_dir(folder.join("empty")).unwrap();
    for command in ["check", "schema", "hash", "lock", "explain"] {
        for (path, code, text) in [
            ("missing.proto", 3, "there is no file `missing.proto`"),
            ("empty", 3, "is a directory without a gwag.toml"),
            ("proto", 3, "such as proto/greeter.proto"),
            (
                "junk",
                3,
                "not a proto file, OpenAPI document or GraphQL schema",
            ),
            ("bad.toml", 3, "unknown field `protto`"),
            ("empty.toml", 3, "it lists no service"),
            ("two.toml", 3, "has several of proto, openapi and graphql"),
            ("/dev/null/x.proto", 3, "cannot be read"),
            ("/dev/zero", 3, "not a regular file"),
        ] {
            let done = call(&folder, &[command, path]).await;
            done.ends_with(code).says(text);
        }
        let done = call(&folder, &[command, "junk.yaml"]).await;
        assert!(matches!(done.code, 1 | 3), "{done:?}");
        call(&folder, &[command]).await.ends_with(2).says("Usage:");
    }
    call(&folder, &["diff", "pets.yaml"])
        .await
        .ends_with(2)
        .says("nothing to compare with");
    call(&folder, &["diff", "pets.yaml", "missing.yaml"])
        .await
        .ends_with(3)
        .says("missing.yaml");
    call(&folder, &["explain", "no-such-thing"])
        .await
        .ends_with(3)
        .says("neither a file nor a rule");
    call(&folder, &["explain", "two-services"])
        .await
        .ends_with(3)
        .says("proto-two-services");
    call(
        &folder,
        &[
            "check",
            "pets.yaml",
            "proto/greeter.proto",
            "--namespace",
            "a",
        ],
    )
    .await
    .ends_with(2)
    .says("gwag.toml");
    call(&folder, &["no-such-command"]).await.ends_with(2);
    call(&folder, &[]).await.ends_with(2);
    // An output that nobody reads is no crash.
    let all: Vec<&str> = tower_gwag::Rule::ALL.iter().map(|it| it.id()).collect();
    let line = format!(
        "{} explain {} | true",
        env!("CARGO_BIN_EXE_tower-gwag"),
        all.join(" ")
    );
    let shell = tokio::process::Command::new("sh")
        .args(["-c", &line])
        .output()
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stderr), "");
}

#[tokio::test]
async fn what_cannot_be_written() {
    let folder = folder("bad");
    call(&folder, &["lock", "../missing/x.yaml"])
        .await
        .ends_with(3);
    let lock = [
        "lock",
        "openapi.yaml",
        "--repair",
        "--file",
        "no/such/dir/gwag.lock",
    ];
    call(&folder, &lock)
        .await
        .ends_with(3)
        .says("cannot be written");
}

/// Answers each connection with these bytes, or with nothing.
pub(crate) async fn nonsense(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if !answer.is_empty() {
                let mut head = [0; 256];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer).await;
            }
            open.push(stream);
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_are_none() {
    let folder = folder("good");
    // One that accepts and never answers: an end all the same.
    let silent = nonsense(b"").await;
    let says_nothing =
        tokio::spawn(async move { call(&data("good"), &["services", "--gateway", &silent]).await });
    let closed = format!("127.0.0.1:{}", crate::support::free_port());
    let http =
        nonsense(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi")
            .await;
    let junk = nonsense(b"\x15\x03\x01\x00\x02\x02\x28").await;
    for (address, code, text) in [
        (closed.as_str(), 4, "cannot be reached"),
        (http.as_str(), 4, "does not speak gRPC"),
        (junk.as_str(), 4, "TLS"),
        ("no port", 2, "write host:port"),
        ("", 2, "host:port"),
        ("ftp://a:1", 2, "unknown scheme"),
    ] {
        let commands = [
            &["services"][..],
            &["registrations", "--json"],
            &["peers"],
            &["forget", "n"],
            &["deprecate", "a", "v1", "b"],
            &["undeprecate", "a", "v1"],
            &["retract", "a", "v1"],
            &["sign", "a"],
            &["watch"],
            &["check", "pets.yaml"],
            &["diff", "pets.yaml"],
        ];
        let calls = commands.map(|command| {
            let (folder, address) = (folder.clone(), address.to_owned());
            let command: Vec<String> = command.iter().map(|it| (*it).to_owned()).collect();
            tokio::spawn(async move {
                let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
                arguments.extend(["--gateway", &address]);
                call(&folder, &arguments).await
            })
        });
        for done in calls {
            done.await.unwrap().ends_with(code).says(text);
        }
    }
    for address in [&closed, &http] {
        let done = call(&folder, &["doctor", "--gateway", address, "--json"])
            .await
            .ends_with(4);
        assert_eq!(done.json()["findings"][0]["id"], "gateway-away");
    }
    let done = call(
        &folder,
        &["services", "-g", &closed, "--token-file", "missing"],
    )
    .await;
    done.ends_with(3).says("missing");
    let done = call(
        &folder,
        &["services", "-g", &closed, "--tls-ca", "pets.yaml"],
    )
    .await;
    done.ends_with(3).says("no PEM block");
    call(&folder, &["services"])
        .await
        .ends_with(2)
        .says("--gateway");
    let done = says_nothing.await.unwrap().ends_with(4);
    done.says("did not answer");
}
