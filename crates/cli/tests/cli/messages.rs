//! Every error that the command line has for bad input, in one golden file, to be read in one go.
//!
//! `UPDATE_GOLDEN=1` writes it anew.

use std::path::Path;

use tokio::net::{TcpListener, TcpSocket};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::bad_input::nonsense;
use crate::golden::is_golden;
use crate::support::{data, finish, folder, tool};

/// A run of the binary, and what it came to.
struct Scene<'a> {
    folder: &'a Path,
    text: String,
    /// What differs from run to run, and the name that is shown in its place.
    names: Vec<(String, String)>,
}

impl<'a> Scene<'a> {
    fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            text: String::new(),
            names: vec![(folder.display().to_string(), "FOLDER".to_owned())],
        }
    }

    fn title(&mut self, title: &str) {
        self.text.push_str(&format!("# {title}\n\n"));
    }

    async fn run(&mut self, line: &[&str]) {
        let mut command = tool(self.folder);
        command.args(line);
        let done = finish(command).await;
        let mut said = format!("$ tower-gwag {}\n{}{}", line.join(" "), done.out, done.err);
        for (found, name) in &self.names {
            said = said.replace(found.as_str(), name);
        }
        let said = without_ids(&said);
        self.text.push_str(&format!(
            "{}\n[exit code {}]\n\n",
            said.trim_end(),
            done.code
        ));
        assert_ne!(done.code, 0, "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// An address that is taken, and where nobody listens.
fn reserved() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(any).expect("bound");
    let address = socket.local_addr().expect("an address").to_string();
    (socket, address)
}

/// Process ids.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("(pid ") {
        let end = rest[at..].find(')').map_or(rest.len(), |it| at + it);
        out.push_str(&rest[..at]);
        out.push_str("(pid N");
        rest = &rest[end..];
    }
    out + rest
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_as_it_was_read() {
    let folder = folder("good");
    let write = |name: &str, text: &[u8]| std::fs::write(folder.join(name), text).expect("written");
    write("junk.yaml", &[0_u8, 159, 146, 150]);
    write("junk", b"hello\n");
    write("torn.json", b"{\"openapi\": \"3.0.3\", ");
    write("torn.proto", b"syntax = \"proto3\"; package a; message {");
    write("torn.graphql", b"type Query {");
    write("torn.toml", b"[[service]\n");
    write("bad.toml", b"[[service]]\nprotto = \"x\"\n");
    write("empty.toml", b"");
    write("none.toml", b"[[service]]\nnamespace = \"a\"\n");
    write("two.toml", b"[[service]]\nproto = \"a\"\nopenapi = \"b\"\n");
    write("away.toml", b"[[service]]\nproto = \"missing.proto\"\n");
    write(
        "release.toml",
        b"gateway-release = \"7\"\n[[service]]\nopenapi = \"pets.yaml\"\n",
    );
    write("conflict.lock", b"<<<<<<< ours\n");
    write(
        "other.lock",
        format!("greeter v2 {}\n", "0".repeat(64)).as_bytes(),
    );
    write("empty", b"");
    write("script", b"#!/no/such/interpreter\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.join("script"), executable).expect("executable");
    std::fs::create_dir(folder.join("empty-dir")).expect("a directory");
    // Side by side: most of the time they wait for gateways that do not answer.
    let (of_files, of_gateways, of_programs) =
        tokio::join!(files(&folder), gateways(&folder), programs(&folder));
    let text = of_files + &of_gateways + &of_programs;
    is_golden(&data("golden").join("messages.txt"), &text);
}

async fn files(folder: &Path) -> String {
    let mut scene = Scene::new(folder);
    scene.title("Files");
    for path in [
        "missing.proto",
        "empty-dir",
        "proto",
        "junk",
        "junk.yaml",
        "torn.json",
        "torn.proto",
        "torn.graphql",
        "torn.toml",
        "bad.toml",
        "empty.toml",
        "none.toml",
        "two.toml",
        "away.toml",
        "release.toml",
        "/dev/null/x.proto",
        "/dev/zero",
    ] {
        scene.run(&["check", path]).await;
    }
    scene.title("Commands without a network");
    for line in [
        &["check"][..],
        &[
            "check",
            "pets.yaml",
            "proto/greeter.proto",
            "--namespace",
            "a",
        ],
        &["check", "pets.yaml", "--allow", "no-such-rule"],
        &["check", "pets.yaml", "--release", "7"],
        &["check", "pets.yaml", "--version", "1.0"],
        &["check", "pets.yaml", "--namespace", "a.b"],
        &["check", "pets.yaml", "--format", "xml"],
        &["check", "pets.yaml", "--dry-run"],
        &["check", "pets.yaml", "--http", "http://a"],
        &["schema", "torn.proto"],
        &["hash", "torn.json"],
        &["explain", "no-such-thing"],
        &["explain", "two-services"],
        &["diff", "pets.yaml"],
        &["diff", "pets.yaml", "missing.yaml"],
        &["diff", "pets.yaml", "pets.yaml", "--gateway", "a:1"],
        &["diff", "pets.yaml", "torn.json"],
        &["lock", "proto/greeter.proto", "--check"],
        &["lock", "proto/greeter.proto", "--file", "conflict.lock"],
        &[
            "lock",
            "proto/greeter.proto",
            "--version",
            "v2",
            "--file",
            "other.lock",
        ],
        &["lock", "proto/greeter.proto", "--file", "no/such/gwag.lock"],
        &["completions", "cobol"],
        &["no-such-command"],
        &["chek"],
        &["dev", "--nodes", "0"],
        &["dev", "--profile", "standalone", "--nodes", "3"],
        &["dev", "--listen", "nowhere"],
        &["dev", "--listen", "192.0.2.1:1"],
    ] {
        scene.run(line).await;
    }
    scene.text
}

async fn gateways(folder: &Path) -> String {
    let mut scene = Scene::new(folder);
    scene.title("Gateways");
    // Nobody listens there, and nobody else gets it.
    let (_closed, closed) = reserved();
    let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi";
    let (web, tls) = (
        nonsense(page).await,
        nonsense(b"\x15\x03\x01\x00\x02\x02\x28").await,
    );
    let silent = nonsense(b"").await;
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = builder.admin_token("00ff").start().await.expect("started");
    let target = gateway.target();
    for (found, name) in [
        (closed.as_str(), "CLOSED"),
        (&web, "WEB"),
        (&tls, "TLS"),
        (&silent, "SILENT"),
        (&target, "GATEWAY"),
        (&gateway.http_url(), "http://PAGES"),
    ] {
        scene.names.push((found.to_owned(), name.to_owned()));
    }
    let mut doctors = Scene {
        names: scene.names.clone(),
        ..Scene::new(folder)
    };
    let of_doctors = async {
        for line in [
            &["doctor"][..],
            &["doctor", "-g", &closed],
            &["doctor", "-g", &silent],
        ] {
            doctors.run(line).await;
        }
        let pages = [&web, &closed].map(|it| format!("http://{it}"));
        for page in ["ftp://pages", &pages[0], &pages[1]] {
            let (with, at) = (["doctor", "-g", &target], ["--observe", "0s"]);
            doctors
                .run(&[&with[..], &["--http", page], &at].concat())
                .await;
        }
        doctors.text
    };
    let of_others = async {
        scene.run(&["services"]).await;
        for address in [
            &*closed,
            &web,
            &tls,
            &silent,
            "no port",
            "",
            "ftp://a:1",
            "a:0",
        ] {
            scene.run(&["services", "-g", address]).await;
        }
        let https = format!("https://{target}");
        for access in [
            &["--gateway", &https][..],
            &["-g", &closed, "--token-file", "missing"],
            &["-g", &closed, "--token-file", "empty"],
            &["-g", &closed, "--tls-ca", "missing"],
            &["-g", &closed, "--tls-ca", "pets.yaml"],
            &["-g", &closed, "--tls-cert", "pets.yaml"],
        ] {
            scene.run(&[&["services"], access].concat()).await;
        }
        for line in [
            &["registrations", "-g", &closed][..],
            &["peers", "-g", &web],
            &["watch", "-g", &tls],
            &["watch", "-g", &closed, "--every", "often"],
            &["check", "pets.yaml", "-g", &closed],
            &["diff", "pets.yaml", "-g", &web],
            &["forget", "nobody", "-g", &target],
            &["deprecate", "nobody", "v1", "why", "-g", &target],
            &["undeprecate", "nobody", "v1", "-g", &target],
            &["retract", "nobody", "v1", "-g", &target],
            &["retract", "nobody", "v0", "-g", &target],
            &["sign", "a", "-g", &target],
        ] {
            scene.run(line).await;
        }
        scene.text
    };
    let (of_others, of_doctors) = tokio::join!(of_others, of_doctors);
    of_others + &of_doctors
}

async fn programs(folder: &Path) -> String {
    let mut scene = Scene::new(folder);
    scene.title("Programs");
    // Nobody listens there, and nobody else gets it.
    let (_free, free) = reserved();
    let free = free.rsplit(':').next().expect("a port").to_owned();
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = builder.admin_token("00ff").start().await.expect("started");
    let target = gateway.target();
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let taken_at = taken.local_addr().expect("an address");
    let taken_port = taken_at.port().to_string();
    for (found, name) in [
        (target.as_str(), "GATEWAY"),
        (&gateway.http_url(), "http://PAGES"),
        (&taken_at.to_string(), "TAKEN"),
        (&format!("port {taken_port}"), "port PORT"),
        (&format!("--port {taken_port}"), "--port PORT"),
        (&format!("port {free}"), "port PORT"),
    ] {
        scene.names.push((found.to_owned(), name.to_owned()));
    }
    let pets = ["run", "-g", &target, "--openapi", "pets.yaml"];
    scene.run(&["run"]).await;
    let program = ["--port", &free, "--", "true"];
    for (at, source) in [
        (&*target, &[][..]),
        (&target, &["--openapi", "missing"]),
        (&target, &["--config", "empty-dir"]),
        (&target, &["--proto", "torn.proto"]),
        (&target, &["--graphql", "/graphql"]),
        ("no port", &["--openapi", "pets.yaml"]),
    ] {
        scene
            .run(&[&["run", "-g", at], source, &program].concat())
            .await;
    }
    for more in [
        &["--", "true"][..],
        &["--port", "0", "--", "true"],
        &["--port", &free],
        &["--port", &free, "--ttl", "1500ms", "--", "true"],
        &["--port", &free, "--ttl", "soon", "--", "true"],
        &[
            "--port",
            &free,
            "--ttl",
            "4s",
            "--heartbeat-interval",
            "3s",
            "--",
            "true",
        ],
        &[
            "--port",
            &free,
            "--grace",
            "9s",
            "--leave-timeout",
            "5s",
            "--",
            "true",
        ],
        &["--port", &free, "--metadata", "x", "--", "true"],
        &["--port", &free, "--metadata", "ä=x", "--", "true"],
        &["--port", &free, "--advertise", "0.0.0.0:1", "--", "true"],
        &["--advertise", "unix:///run/x", "--", "true"],
        &[
            "--port",
            &free,
            "--advertise",
            "a:1",
            "--advertise-host",
            "a",
            "--",
            "true",
        ],
        &["--port", &free, "--advertise-scheme", "ftp", "--", "true"],
        &["--port", &free, "--exclusive-instance", "a#b", "--", "true"],
        &["--port", &free, "--token-file", "missing", "--", "true"],
        &["--port", &free, "--", "no-such-program"],
        &["--port", &free, "--", "./pets.yaml"],
        &["--port", &free, "--", "./script"],
        &["--port", &free, "--", "/"],
        &["--port", &free, "--", "true"],
        &["--port", &free, "--", "sh", "-c", "exit 7"],
        &["--port", &free, "--", "sh", "-c", "kill -9 $$"],
        &["--port", &free, "--", "sh", "-c", "sleep 60 & exit 0"],
        &[
            "--port",
            &free,
            "--start-timeout",
            "300ms",
            "--",
            "sleep",
            "60",
        ],
        &["--port", &taken_port, "--", "true"],
    ] {
        scene.run(&[&pets[..], more].concat()).await;
    }
    assert_eq!(
        gateway.registrations().len(),
        0,
        "nothing is left registered"
    );
    scene.text
}
