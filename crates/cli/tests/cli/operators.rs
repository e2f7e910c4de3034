//! The operators' commands, and `check` and `diff` against a gateway.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::support::{Gateway, PATIENCE, call, data, folder, proto, register, tool};

fn greeter() -> String {
    std::fs::read_to_string(data("good/proto/greeter.proto")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_changes() {
    let gateway = Gateway::any().await;
    let (client, g) = (gateway.client(), gateway.target.as_str());
    let folder = folder("");
    let first = register(
        &client,
        "10.0.0.1:1",
        vec![proto("greeter", "v1", &greeter())],
    )
    .await;
    let second = greeter().replace("greeter.v1", "greeter.v2");
    let second = register(&client, "10.0.0.1:2", vec![proto("greeter", "v2", &second)]).await;
    gateway
        .until("both", |all| all.contains(&"greeter/v2".to_owned()))
        .await;
    wait_for_services(&folder, g, 2).await;

    let table = call(&folder, &["services", "-g", g]).await.ends_with(0);
    let line = table
        .out
        .lines()
        .find(|it| it.starts_with("greeter") && it.contains("v2"))
        .unwrap();
    assert!(line.contains("stable") && line.contains(" 1 "), "{line}");
    assert!(!table.out.contains('\u{1b}'), "colour only on terminals");
    let json = call(&folder, &["registrations", "-g", g, "--json"])
        .await
        .ends_with(0)
        .json();
    let ids: Vec<&str> = json["registrations"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["id"].as_str())
        .collect();
    assert!(
        ids.contains(&first.as_str()) && ids.contains(&second.as_str()),
        "{ids:?}"
    );
    let peers = call(&folder, &["peers", "-g", g, "--json"])
        .await
        .ends_with(0)
        .json();
    let own = peers["peers"][0]["node_id"].as_str().unwrap();
    call(&folder, &["forget", own, "-g", g]).await.ends_with(4);

    call(&folder, &["deprecate", "greeter", "v1", "use v2", "-g", g])
        .await
        .ends_with(0);
    call(&folder, &["services", "-g", g])
        .await
        .ends_with(0)
        .says("use v2");
    call(&folder, &["undeprecate", "greeter", "v1", "-g", g])
        .await
        .ends_with(0)
        .says("it was: use v2");
    call(&folder, &["deprecate", "greeter", "v9", "gone", "-g", g])
        .await
        .ends_with(4)
        .says("greeter");
    call(&folder, &["retract", "greeter", "v1", "-g", g])
        .await
        .ends_with(0)
        .says("v2 → v1");
    call(&folder, &["retract", "greeter", "v2", "-g", g])
        .await
        .ends_with(4);
    call(&folder, &["sign", "a.channel", "-g", g])
        .await
        .ends_with(4)
        .says("not signed");

    for id in [first, second] {
        client.deregister(id).await.unwrap();
    }
}

async fn wait_for_services(folder: &std::path::Path, g: &str, wanted: usize) {
    let wait = async {
        loop {
            let json = call(folder, &["services", "-g", g, "--json"])
                .await
                .ends_with(0)
                .json();
            let all = json["services"].as_array().unwrap();
            if all.iter().filter(|it| it["namespace"] == "greeter").count() == wanted {
                return;
            }
        }
    };
    timeout(PATIENCE, wait).await.expect("listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_watched() {
    let gateway = Gateway::embedded().await;
    let client = gateway.client();
    let mut watch = tool(&folder(""));
    watch
        .args(["watch", "-g", &gateway.target, "--every", "50ms"])
        .stdout(Stdio::piped());
    let mut child = watch.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async |wanted: &str| {
        let find = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.starts_with(wanted) {
                    return line;
                }
            }
            panic!("{wanted}: it ended");
        };
        timeout(PATIENCE, find)
            .await
            .unwrap_or_else(|_| panic!("{wanted}"))
    };
    next("watching").await;
    let id = register(
        &client,
        "10.0.0.1:1",
        vec![proto("greeter", "v1", &greeter())],
    )
    .await;
    next("+ service greeter/v1: 1 replica").await;
    let again = register(
        &client,
        "10.0.0.2:1",
        vec![proto("greeter", "v1", &greeter())],
    )
    .await;
    next("~ service greeter/v1: 2 replicas").await;
    client.deregister(id).await.unwrap();
    client.deregister(again).await.unwrap();
    next("- service greeter/v1").await;
    gateway.embedded.as_ref().unwrap().kill().await;
    next("! gateway").await;
    gateway.embedded.as_ref().unwrap().revive().await.unwrap();
    next("+ gateway: is back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_held_against_a_gateway() {
    let gateway = Gateway::any().await;
    let (client, g) = (gateway.client(), gateway.target.as_str());
    let folder = folder("good");
    let changed = greeter().replace("string name = 1", "int32 name = 1");
    let id = register(
        &client,
        "10.0.0.1:1",
        vec![proto("greeter", "v1", &greeter())],
    )
    .await;
    wait_for_services(&folder, g, 1).await;
    let file = ["proto/greeter.proto", "-g", g, "--http", &gateway.http];
    call(&folder, &[&["check"][..], &file].concat())
        .await
        .ends_with(0)
        .says("with this schema: 1 replica");
    call(&folder, &["check", "pets.yaml", "-g", g])
        .await
        .ends_with(0)
        .says("Pets/v1: not registered");
    std::fs::write(folder.join("proto/greeter.proto"), &changed).unwrap();
    let done = call(&folder, &[&["check"][..], &file].concat())
        .await
        .ends_with(1);
    done.says("has another schema as `greeter/v1`")
        .says("What differs:")
        .says("the type was `string`");
    let done = call(&folder, &[&["diff"][..], &file].concat())
        .await
        .ends_with(1);
    assert!(
        done.out.contains("breaking (gRPC): greeter.v1.Hello.name"),
        "{done:?}"
    );
    // Without the HTTP port the hash alone is known.
    let done = call(&folder, &["check", "proto/greeter.proto", "-g", g])
        .await
        .ends_with(1);
    done.says("give --http");
    client.deregister(id).await.unwrap();

    let pets = std::fs::read_to_string(data("good/pets.yaml")).unwrap();
    let mut binding = proto("Pets", "v1", "");
    binding.openapi_spec = pets.clone().into_bytes();
    let id = register(&client, "10.0.0.1:1", vec![binding]).await;
    let wait = async {
        while !call(&folder, &["services", "-g", g])
            .await
            .out
            .contains("Pets")
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("listed");
    std::fs::write(folder.join("pets.yaml"), pets.replace("/slow", "/slower")).unwrap();
    let done = call(
        &folder,
        &["diff", "pets.yaml", "-g", g, "--http", &gateway.http],
    )
    .await
    .ends_with(1);
    assert!(done.out.contains("GET /slow"), "{done:?}");
    client.deregister(id).await.unwrap();
}
