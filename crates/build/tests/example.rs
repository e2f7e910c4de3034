//! The example crate `bundled`, as a user has it: its build script checks and bundles its proto
//! files. Built from nothing by cargo, run, and built again with what must not pass.
//!
//! A copy of it shares the directory of what is compiled with this crate, which saves half of the
//! time. What a build script says of single faults is tested in `crates/build`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Far above what the example takes, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(20);

/// A copy of the example, always in the same place, so that what was built is found again.
struct Copied(PathBuf);

// === impl Copied ===

impl Copied {
    fn new() -> Self {
        let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let copied = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join("bundled"));
        // There is none in a first run.
        let _ = std::fs::remove_dir_all(&copied.0);
        copy(&repository.join("examples/bundled"), &copied.0);
        let manifest = copied.read("Cargo.toml");
        let path = format!("path = \"{}", repository.display());
        copied.write("Cargo.toml", &manifest.replace("path = \"../..", &path));
        // The very versions that are downloaded and, many of them, compiled already.
        std::fs::copy(repository.join("Cargo.lock"), copied.0.join("Cargo.lock")).expect("copied");
        copied
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.join(path)).expect(path)
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.0.join(path), text).expect(path);
    }

    /// A command of cargo, without network and colours.
    fn cargo(&self, arguments: &[&str]) -> Command {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let mut command = Command::new(env!("CARGO"));
        command
            .args(arguments)
            .args(["--offline", "--color=never"])
            .current_dir(&self.0)
            .env(
                "CARGO_TARGET_DIR",
                target.expect("a directory of what is compiled"),
            );
        command
    }

    /// Whether it can be built, and what cargo said.
    fn build(&self) -> (bool, String) {
        let output = self.cargo(&["build"]).output().expect("cargo");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    }

    #[track_caller]
    fn built(&self) -> String {
        let (is_built, said) = self.build();
        assert!(is_built, "{said}");
        said
    }

    #[track_caller]
    fn refused(&self) -> String {
        let (is_built, said) = self.build();
        assert!(!is_built, "{said}");
        said
    }

    /// Runs the compiled build script as cargo does it for a release build, which need not be
    /// compiled for that.
    fn release_build_script(&self) -> Output {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("a directory");
        let is_ours =
            |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("bundled-");
        let directories = std::fs::read_dir(target.join("debug/build")).expect("read");
        let script = directories
            .filter_map(Result::ok)
            .filter(is_ours)
            .map(|it| {
                it.path().join(format!(
                    "build-script-build{}",
                    std::env::consts::EXE_SUFFIX
                ))
            })
            .find(|path| path.exists());
        Command::new(script.expect("a build script"))
            .current_dir(&self.0)
            .env("CARGO_MANIFEST_DIR", &self.0)
            .env("OUT_DIR", &self.0)
            .env("PROFILE", "release")
            .output()
            .expect("run")
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("read") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            // Of somebody who ran the example.
            true if entry.file_name() == "target" => {}
            true => copy(&entry.path(), &to),
            false => {
                std::fs::copy(entry.path(), to).expect("copied");
            }
        }
    }
}

/// Cargo shows what a build script prints, and repeats it when the script fails.
#[track_caller]
fn assert_says_once(said: &str, part: &str) {
    assert_eq!(said.matches(part).count(), 1, "{part}: {said}");
}

const PERSON: &str = "proto/greeter/person.proto";
const GREETER: &str = "proto/greeter.proto";

/// Another program of the example: the same service at a Unix socket. Its features are those of a program
/// with tonic and without axum, which no test of the crate itself can have.
const AT_A_UNIX_SOCKET: &str = r#"
use tonic::transport::{Endpoint, Server, Uri};
use tower_gwag::{GwagRegistrationLayer, Options, Service};
use tower_gwag_gateway::EmbeddedGateway;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let gateway = EmbeddedGateway::builder().start().await?;
    let path = std::env::temp_dir().join(format!("bundled-{}.sock", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path)?;
    let options = Options::new(gateway.target())
        .service(Service::proto_bundle(tower_gwag::include_bundle!("greeter")))
        .advertise(format!("unix://{}", path.display()));
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let incoming = registration.incoming(listener)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(
        Server::builder()
            .layer(layer)
            .add_routes(tonic::service::Routes::default())
            .serve_with_incoming_shutdown(incoming, registration.shutdown(stopped)),
    );
    registration.registered().await?;
    let socket = format!("unix://{}", path.display());
    let mut client = tonic::client::Grpc::new(Endpoint::from_shared(socket)?.connect().await?);
    client.ready().await?;
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let unknown = Uri::from_static("/bundled.v1.Greeter/Hello").into_parts().path_and_query.unwrap();
    let answer = client.unary(tonic::Request::new(()), unknown, codec).await;
    println!("RESULT answered code={:?} of {}", answer.unwrap_err().code(), gateway.services().len());
    drop(stop);
    served.await??;
    let report = registration.finish().await;
    std::fs::remove_file(path)?;
    println!("RESULT left clean={}", report.is_clean());
    Ok(())
}
"#;

#[tokio::test]
async fn the_example_is_built_from_nothing_called_through_a_gateway_and_kept_from_faults() {
    let example = Copied::new();
    let clean = example.cargo(&["clean", "--package=bundled"]).output();
    assert!(clean.expect("cargo").status.success());
    let lock = example.read("gwag.lock");

    let said = example.built();
    assert!(said.contains("Compiling bundled"), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let mut run = tokio::process::Command::from(example.cargo(&["run"]));
    let run = tokio::time::timeout(DEADLINE, run.kill_on_drop(true).output());
    let run = run.await.expect("the example ends");
    let run = run.expect("cargo");
    let shown = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{run:?}");
    assert!(
        shown.contains("RESULT called kind=grpc answer=\"Hello, gateway!\""),
        "{shown}"
    );
    let listed = shown
        .lines()
        .find_map(|line| line.strip_prefix("listed greeter "));
    let line = format!("greeter v1 {}", listed.expect("listed"));
    assert!(
        lock.lines().any(|it| it == line),
        "`{line}` is not in {lock}"
    );
    // Nothing is built, or written, again.
    let said = example.built();
    assert!(!said.contains("Compiling"), "{said}");
    assert_eq!(example.read("gwag.lock"), lock);

    // A file that is only imported is watched, too. Comments are of the schema.
    let person = example.read(PERSON);
    example.write(
        PERSON,
        &person.replace("As friends say it.", "As strangers say it."),
    );
    let said = example.built();
    let warning = "warning: bundled@0.0.0: gwag.lock:4:1: warning[version-locked]: ";
    assert!(said.contains(warning), "{said}");
    let release = example.release_build_script();
    assert!(!release.status.success(), "{release:?}");
    let told = String::from_utf8_lossy(&release.stderr);
    let error = "error[version-locked]: service `greeter`: the schema of `greeter/v1` \
                 (proto/greeter.proto) has changed";
    assert!(told.contains(error), "{told}");
    assert!(told.contains("--> gwag.lock:4:1"), "{told}");
    assert!(
        told.contains("bump it to v2 (`Bundle::new(…).version(\"v2\")`) or use `unstable`"),
        "{told}"
    );
    assert_eq!(example.read("gwag.lock"), lock);

    // A build that failed is tried again when what was missing is there.
    std::fs::remove_file(example.0.join(PERSON)).expect("removed");
    let said = example.refused();
    assert_says_once(&said, "error[proto-import-missing]: ");
    assert_says_once(&said, "--> proto/greeter.proto:5:8");
    example.write(PERSON, &person);
    assert!(!example.built().contains("warning"));

    let greeter = example.read(GREETER);
    example.write(
        GREETER,
        &format!(
            "{greeter}\nservice Second {{ rpc Hi(HelloRequest) returns (HelloReply); }}\n\
             service Third {{ rpc Hi(HelloRequest) returns (HelloReply); }}\n"
        ),
    );
    let said = example.refused();
    for place in ["proto/greeter.proto:21:9", "proto/greeter.proto:22:9"] {
        assert_says_once(&said, &format!("--> {place}"));
    }
    assert_says_once(&said, "`Third` is one service too many");

    example.write(GREETER, &greeter);
    example.write("src/bin/unix.rs", AT_A_UNIX_SOCKET);
    assert!(!example.built().contains("warning"));
    let mut run = tokio::process::Command::from(example.cargo(&["run", "--bin=unix"]));
    let run = tokio::time::timeout(DEADLINE, run.kill_on_drop(true).output());
    let run = run.await.expect("it ends").expect("cargo");
    let shown = String::from_utf8_lossy(&run.stdout);
    assert!(
        shown.contains("RESULT answered code=Unimplemented"),
        "{run:?}"
    );
    assert!(shown.contains("RESULT left clean=true"), "{run:?}");

    // A document of a type that is none, such as that of a version of utoipa that is not switched on.
    let main = "struct OpenApi; fn main() { let _ = tower_gwag::Service::openapi(OpenApi); }";
    example.write("src/bin/unix.rs", main);
    let said = example.refused();
    for part in [
        "`OpenApi` is not accepted as an OpenAPI document",
        "enable the feature `utoipa` (its version 6) or `utoipa5` (its version 5)",
        "`serde_json::to_value(&document)?`",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}
