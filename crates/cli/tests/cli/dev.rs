//! `dev`.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_gwag::control::Client;

use crate::support::{PATIENCE, data, folder, free_port, proto, register, signal, tool};

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_reported_line_by_line() {
    let (control, http) = (free_port(), free_port());
    let (control, http) = (format!("127.0.0.1:{control}"), format!("127.0.0.1:{http}"));
    let mut dev = tool(&folder(""));
    dev.args(["dev", "--listen", &control, "--http-listen", &http])
        .stdout(Stdio::piped());
    let mut child = dev.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async |wanted: &str| {
        let find = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains(wanted) {
                    return line;
                }
            }
            panic!("{wanted}: it ended");
        };
        timeout(PATIENCE, find)
            .await
            .unwrap_or_else(|_| panic!("{wanted}"))
    };
    next(&format!("page http://{http}/")).await;
    let client = Client::new(&*control).unwrap();
    let mut pets = proto("Pets", "v1", "");
    pets.openapi_spec = std::fs::read(data("good/pets.yaml")).unwrap();
    let id = register(&client, "127.0.0.1:1", vec![pets]).await;
    next("+ registered Pets/v1 at 127.0.0.1:1 (a test)").await;
    next("~ Pets/v1: 1 replica").await;
    let mut stream = TcpStream::connect(&http).await.unwrap();
    let request = format!(
        "GET /api/ingress/pets?unheard=1 HTTP/1.1\r\nhost: {http}\r\nx-tenant: a\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    // What a real gateway loses on the way, each once.
    next("* changed GET /pets: the service does not receive `unheard`").await;
    next("* changed GET /pets: the service does not receive the header `x-tenant`").await;
    // Nobody serves at port 1.
    next("> GET /pets: 1 call, 1 failed").await;
    let bad = proto("a.b", "v1", "syntax = \"proto3\";");
    let refused = client.register(tower_gwag::control::proto::RegisterRequest {
        addr: "127.0.0.1:1".to_owned(),
        services: vec![bad],
        ..Default::default()
    });
    assert!(refused.await.is_err());
    next("! refused Register: Unknown: controlplane: namespace \"a.b\"").await;
    client.deregister(id).await.unwrap();
    next("- gone Pets/v1").await;
    signal(&child, "TERM");
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    let free = tokio::net::TcpListener::bind(&*control).await;
    assert!(free.is_ok(), "{free:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_shows_all_nodes() {
    let mut dev = tool(&folder(""));
    let ports = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
    dev.args(["dev", "--nodes", "3", "--table", "--for", "300ms"])
        .args(ports);
    let begun = std::time::Instant::now();
    let done = crate::support::finish(dev).await.ends_with(0);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(
        done.out
            .contains("node 3: control plane and gRPC 127.0.0.1:"),
        "{}",
        done.out
    );
    assert!(
        done.out.contains("No service is registered."),
        "{}",
        done.out
    );
}
