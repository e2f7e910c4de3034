//! What all have in common: the binary, folders, gateways.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tower_gwag::control::Client;
use tower_gwag::control::proto::{RegisterRequest, ServiceBinding};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

/// For whatever is waited for: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a call of the binary came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let all = format!("{}{}", self.out, self.err);
        assert!(all.contains(text), "{text:?} is not said: {self:#?}");
        self
    }
}

pub(crate) fn tool(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tower-gwag"));
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GWAG_")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1");
    command
}

/// Calls the binary, and waits for its end.
pub(crate) async fn call(directory: &Path, arguments: &[&str]) -> Done {
    let mut command = tool(directory);
    command.args(arguments);
    finish(command).await
}

pub(crate) async fn finish(mut command: Command) -> Done {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("in time")
        .expect("output");
    use std::os::unix::process::ExitStatusExt;
    let status = output.status;
    Done {
        code: status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn signal(child: &Child, name: &str) {
    let id = i32::try_from(child.id().expect("it runs")).expect("an id");
    send(id, name);
}

pub(crate) fn send(id: i32, name: &str) {
    let signal = match name {
        "TERM" => rustix::process::Signal::TERM,
        "KILL" => rustix::process::Signal::KILL,
        "HUP" => rustix::process::Signal::HUP,
        other => panic!("{other}"),
    };
    let id = rustix::process::Pid::from_raw(id).expect("an id");
    // It may have ended.
    let _ = rustix::process::kill_process(id, signal);
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A folder of its own, with the files of one of `tests/data`.
pub(crate) fn folder(of: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}-{number}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    if !of.is_empty() {
        copy(&data(of), &folder);
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => {
                std::fs::copy(&path, target).expect("copied");
            }
        }
    }
}

/// A gateway of the test's own, or the one that the environment names.
pub(crate) struct Gateway {
    pub(crate) target: String,
    pub(crate) http: String,
    pub(crate) embedded: Option<EmbeddedGateway>,
}

impl Gateway {
    pub(crate) async fn embedded() -> Self {
        let gateway = EmbeddedGateway::builder()
            .profile(Profile::Clustered)
            .start()
            .await
            .expect("a gateway");
        Self {
            target: gateway.target(),
            http: gateway.http_url(),
            embedded: Some(gateway),
        }
    }

    pub(crate) async fn any() -> Self {
        match (
            std::env::var("GWAG_GATEWAY"),
            std::env::var("GWAG_GATEWAY_HTTP"),
        ) {
            (Ok(target), Ok(http)) => Self {
                target,
                http,
                embedded: None,
            },
            _ => Self::embedded().await,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&*self.target).expect("an address")
    }

    /// Waits until the lists are as is wanted.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl FnMut(&[String]) -> bool) {
        let client = self.client();
        let wait = async {
            loop {
                let registrations = client.registrations().await.expect("a list");
                let names: Vec<String> = registrations
                    .into_iter()
                    .flat_map(|it| it.namespaces)
                    .collect();
                if is_so(&names) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("{what}: not in time"));
    }
}

pub(crate) fn proto(namespace: &str, version: &str, source: &str) -> ServiceBinding {
    ServiceBinding {
        namespace: namespace.to_owned(),
        version: version.to_owned(),
        proto_source: source.as_bytes().to_vec(),
        ..ServiceBinding::default()
    }
}

/// Registers whatever it is; the id.
pub(crate) async fn register(client: &Client, addr: &str, services: Vec<ServiceBinding>) -> String {
    let request = RegisterRequest {
        addr: addr.to_owned(),
        services,
        ttl_seconds: 30,
        instance_id: "a test".to_owned(),
    };
    client
        .register(request)
        .await
        .expect("registered")
        .registration_id
}
