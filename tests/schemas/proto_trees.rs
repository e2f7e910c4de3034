//! Trees of proto files: directories, `include_dir!`, lists. Only what the entry imports, directly
//! or not, is sent. The report of a fault has its import chain, and then nothing is sent at all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::control::Recorder;
use crate::support::{gateway, listed, registered};
use crate::tree::Tree;
use tower_gwag::{ErrorKind, GwagRegistrationLayer, Options, ProtoFiles, Service};

type Files = BTreeMap<String, String>;

/// A tree in which file `n` imports `2n + 1` and `2n + 2`, and also the file before it, so that
/// most files are reached in more than one way; with as many files that nobody imports, broken.
fn binary_tree(count: usize) -> Files {
    let path = |n: usize| match n {
        0 => "shop.proto".to_owned(),
        n => format!("shop/level{}/part{n}.proto", n.ilog2()),
    };
    let mut files = Files::new();
    for n in 0..count {
        let children = [2 * n + 1, 2 * n + 2].into_iter().filter(|it| *it < count);
        let imports: String = children
            .map(|child| format!("import \"{}\";\n", path(child)))
            .collect();
        let text = format!(
            "syntax = \"proto3\";\npackage shop.v1;\n{imports}// Part {n}.\nmessage Part{n} {{ string name = 1; }}\n"
        );
        files.insert(path(n), text);
        files.insert(format!("broken/{n}.proto"), "message {".to_owned());
    }
    if let Some(entry) = files.get_mut("shop.proto") {
        entry.push_str("service Shop { rpc Get(Part0) returns (Part0); }\n");
    }
    files
}

/// What a gateway was sent for a tree: the paths of the imports.
async fn sent(files: impl Into<ProtoFiles>) -> (BTreeSet<String>, String) {
    let gateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let service = Service::proto_dir(files, "shop.proto");
    let options = Options::new(recorder.address).service(service);
    let registration = GwagRegistrationLayer::new(options).registration();
    registration.start(nowhere()).expect("started");
    registered(&registration).await;
    listed(&gateway, 1).await;
    let services = gateway.services();
    let shop = services.iter().find(|it| it.namespace == "shop");
    let hash = shop.expect("listed").hash.clone();
    registration.leave().await;
    let binding = recorder.register().services.remove(0);
    (binding.proto_imports.into_keys().collect(), hash)
}

fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 50051))
}

#[tokio::test]
async fn trees_of_1_40_and_400_files_are_sent_without_what_nobody_imports() {
    for count in [1, 40, 400] {
        let files = binary_tree(count);
        let tree = Tree::of(&files);
        let (from_disk, hash) = sent(tree.path()).await;
        let used = |path: &&String| !path.starts_with("broken/") && *path != "shop.proto";
        let expected: BTreeSet<String> = files.keys().filter(used).cloned().collect();
        assert_eq!(expected.len(), count - 1);
        assert_eq!(from_disk, expected);
        let memory = ProtoFiles::from_files(files);
        let own = Service::proto_dir(memory.clone(), "shop.proto").hash();
        assert_eq!(own.expect("good").hex(), Some(&*hash), "{count} files");
        assert_eq!(sent(memory).await, (expected, hash), "{count} files");
    }
}

/// Nobody's stack is as deep as a chain of imports may be long.
#[test]
fn a_chain_of_400_imports_is_followed_and_reported() {
    let mut files: Files = (0..400)
        .map(|n| {
            (
                format!("f{n}.proto"),
                format!("import \"f{}.proto\";", n + 1),
            )
        })
        .collect();
    let message = refused(files.clone(), "f0.proto", ErrorKind::MissingProtoImport);
    assert!(message.contains("f0.proto → f1.proto → "), "{message}");
    assert!(message.contains(" → f399.proto → f400.proto"), "{message}");
    files.insert("f400.proto".to_owned(), "import \"f7.proto\";".to_owned());
    let message = refused(files, "f0.proto", ErrorKind::InvalidProto);
    assert!(message.contains("`f7.proto` imports itself"), "{message}");
}

/// Refused by `check()` and when started, with the same words; nobody was called.
#[track_caller]
fn refused(files: impl Into<ProtoFiles>, entry: &str, kind: ErrorKind) -> String {
    let trap = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    trap.set_nonblocking(true).expect("set");
    let service = Service::proto_dir(files, entry).namespace("tree");
    let options = Options::new(trap.local_addr().expect("an address")).service(service);
    let error = options.check().expect_err("refused");
    assert_eq!(error.kind(), kind, "{error}");
    let registration = GwagRegistrationLayer::new(options).registration();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _runtime = runtime.enter();
    let started = registration.start(nowhere()).expect_err("refused");
    assert_eq!(started.to_string(), error.to_string());
    assert!(trap.accept().is_err(), "somebody called");
    error.to_string()
}

/// The same fault whether the tree is on disk or in memory.
#[track_caller]
fn refused_both(files: &[(&str, &str)], kind: ErrorKind, telling: &[&str]) {
    let tree = Tree::of(files.iter().copied());
    let entry = files[0].0;
    for message in [
        refused(tree.path(), entry, kind),
        refused(files.to_vec(), entry, kind),
    ] {
        for part in telling {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
}

#[test]
fn cycles_are_reported_with_their_chain() {
    let kind = ErrorKind::InvalidProto;
    refused_both(
        &[("a.proto", "import \"a.proto\";")],
        kind,
        &["`a.proto` imports itself (a.proto → a.proto)"],
    );
    refused_both(
        &[
            ("a.proto", "import \"x.proto\"; import \"b.proto\";"),
            ("x.proto", ""),
            ("b.proto", "import \"c.proto\";"),
            ("c.proto", "import \"x.proto\"; import \"b.proto\";"),
        ],
        kind,
        &["(a.proto → b.proto → c.proto → b.proto)", "a third file"],
    );
    refused_both(
        &[
            ("a.proto", "import \"b.proto\";"),
            ("b.proto", "import public \"a.proto\";"),
        ],
        kind,
        &["(a.proto → b.proto → a.proto)"],
    );
}

#[test]
fn a_diamond_is_not_a_cycle() {
    let files = [
        ("a.proto", "import \"b.proto\"; import \"c.proto\";"),
        ("b.proto", "import \"d.proto\";"),
        ("c.proto", "import \"d.proto\";"),
        ("d.proto", ""),
    ];
    let service = Service::proto_dir(files, "a.proto");
    Options::new("g:1").service(service).check().expect("good");
}

#[test]
fn missing_imports_are_reported_with_their_chain_and_a_remedy() {
    let kind = ErrorKind::MissingProtoImport;
    let chain = ("b.proto", "import \"google/api/annotations.proto\";");
    refused_both(
        &[("a.proto", "import \"b.proto\";"), chain],
        kind,
        &["a.proto → b.proto → google/api/annotations.proto", "add it"],
    );
    refused_both(
        &[("a.proto", "import \"google/protobuf/timestmp.proto\";")],
        kind,
        &["gateways do not have it built in", "check its name"],
    );
    for outside in ["../a.proto", "/etc/a.proto", "x/../../a.proto"] {
        let text = format!("import \"{outside}\";");
        refused_both(&[("a.proto", &text)], kind, &[outside, "without `..`"]);
    }
}

#[test]
fn windows_style_paths_are_taken_where_files_are_named_and_reported_in_imports() {
    let files = [
        ("shop\\v1\\shop.proto", "import \"shop/v1/item.proto\";"),
        (".\\shop\\v1\\item.proto", ""),
    ];
    for entry in [
        "shop\\v1\\shop.proto",
        "./shop/v1/shop.proto",
        "shop/v1/shop.proto",
    ] {
        let service = Service::proto_dir(files, entry);
        Options::new("g:1").service(service).check().expect(entry);
    }
    let tree = Tree::of([("v1/shop.proto", "")]);
    let service = Service::proto_dir(tree.path(), "v1\\shop.proto");
    Options::new("g:1").service(service).check().expect("good");
    for written in ["common\\a.proto", "common\\\\a.proto"] {
        refused_both(
            &[
                ("shop.proto", &format!("import \"{written}\";")),
                ("common/a.proto", ""),
            ],
            ErrorKind::MissingProtoImport,
            &["write `common/a.proto`"],
        );
    }
}

#[cfg(unix)]
#[test]
fn symbolic_links_are_followed_and_dangling_or_endless_ones_reported() {
    use std::os::unix::fs::symlink;
    let elsewhere = Tree::of([("money.proto", "import \"common/unit.proto\";")]);
    let imports = "import \"common/money.proto\"; import \"link/unit.proto\";";
    let tree = Tree::of([("shop.proto", imports), ("common/unit.proto", "")]);
    let at = |path: &str| tree.path().join(path);
    symlink(
        elsewhere.path().join("money.proto"),
        at("common/money.proto"),
    )
    .expect("a link");
    symlink(at("common"), at("link")).expect("a link");
    symlink(tree.path(), at("endless")).expect("a link");
    let service = Service::proto_dir(tree.path(), "shop.proto");
    Options::new("g:1").service(service).check().expect("good");

    std::fs::remove_file(at("common/money.proto")).expect("removed");
    symlink("nowhere.proto", at("common/money.proto")).expect("a link");
    let message = refused(tree.path(), "shop.proto", ErrorKind::MissingProtoImport);
    assert!(
        message.contains("shop.proto → common/money.proto"),
        "{message}"
    );
    std::fs::remove_file(at("common/money.proto")).expect("removed");
    symlink("money.proto", at("common/money.proto")).expect("a link");
    let message = refused(tree.path(), "shop.proto", ErrorKind::UnreadableProto);
    assert!(
        message.contains("shop.proto → common/money.proto"),
        "{message}"
    );
}

#[test]
fn directories_and_binary_files_are_reported() {
    let tree = Tree::of([("a.proto", "import \"dir.proto\";"), ("dir.proto/x", "")]);
    let message = refused(tree.path(), "a.proto", ErrorKind::UnreadableProto);
    assert!(message.contains("a.proto → dir.proto"), "{message}");
    let tree = Tree::of([
        ("a.proto", &b"import \"b.proto\";"[..]),
        ("b.proto", b"\xff\xfe"),
    ]);
    let message = refused(tree.path(), "a.proto", ErrorKind::UnreadableProto);
    assert!(
        message.contains("a.proto → b.proto is not UTF-8"),
        "{message}"
    );
    // A file where a directory should be: there is no such import.
    let tree = Tree::of([("a.proto", "import \"b.proto/c.proto\";"), ("b.proto", "")]);
    refused(tree.path(), "a.proto", ErrorKind::MissingProtoImport);
}

/// No import can name them, so leaving them out changes nothing; the directory may have any name.
#[cfg(unix)]
#[test]
fn names_that_are_no_text_are_left_alone() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let odd = PathBuf::from(OsStr::from_bytes(b"odd\xff"));
    let tree = Tree::of([
        (odd.join("a.proto"), "import \"b.proto\";"),
        (odd.join("b.proto"), ""),
    ]);
    tree.add(odd.join(OsStr::from_bytes(b"\xfe.proto")), "message {");
    let service = Service::proto_dir(tree.path().join(&odd), "a.proto");
    Options::new("g:1").service(service).check().expect("good");
    let listed = [
        (odd.join("x.proto"), "message {"),
        (PathBuf::from("a.proto"), ""),
    ];
    let service = Service::proto_dir(ProtoFiles::from_files(listed), "a.proto");
    Options::new("g:1").service(service).check().expect("good");
}

#[test]
fn several_directories_are_searched_in_order() {
    let own = Tree::of([
        ("a.proto", "import \"b.proto\"; import \"c.proto\";"),
        ("b.proto", ""),
    ]);
    let vendored = Tree::of([("b.proto", "import \"missing.proto\";"), ("c.proto", "")]);
    let files = ProtoFiles::from_directories([own.path(), vendored.path()]);
    let service = Service::proto_dir(files.clone(), "a.proto");
    Options::new("g:1").service(service).check().expect("good");
    let message = refused(files, "d.proto", ErrorKind::MissingProtoEntry);
    for tree in [own, vendored] {
        assert!(
            message.contains(&*tree.path().to_string_lossy()),
            "{message}"
        );
    }
}

/// Built in unless the tree has its own; other well-known trees are sent like any import.
#[tokio::test]
async fn well_known_files_are_the_gateways_unless_they_are_given() {
    let shop = "syntax = \"proto3\"; package shop.v1; import \"google/protobuf/empty.proto\"; \
        import \"google/api/field.proto\"; message M { google.protobuf.Empty e = 1; google.api.F f = 2; } \
        service Shop { rpc Get(M) returns (M); }";
    let field = "syntax = \"proto3\"; package google.api; message F {}";
    let mut files = vec![("shop.proto", shop), ("google/api/field.proto", field)];
    let (imports, hash) = sent(files.clone()).await;
    assert_eq!(
        imports,
        BTreeSet::from(["google/api/field.proto".to_owned()])
    );
    let empty = "syntax = \"proto3\"; package google.protobuf; message Empty {}";
    files.push(("google/protobuf/empty.proto", empty));
    let (imports, overridden) = sent(files).await;
    assert_eq!(imports.len(), 2, "{imports:?}");
    assert_ne!(hash, overridden);
}

/// Most often the program runs elsewhere than it was built, or the root is another one.
#[test]
fn a_missing_directory_and_a_misplaced_entry_say_what_to_do() {
    let text = |service: Service| {
        let error = Options::new("gateway:1").service(service).check();
        error.unwrap_err().to_string()
    };
    let missing = text(Service::proto_dir("no/such/protos", "a.proto"));
    let here = std::env::current_dir().unwrap().display().to_string();
    for part in ["no directory `no/such/protos`", &here, "include_dir!"] {
        assert!(missing.contains(part), "{part} is not in {missing}");
    }
    let missing = text(Service::proto_dir("/no/such/protos", "a.proto"));
    assert!(
        missing.contains("no directory `/no/such/protos`:"),
        "{missing}"
    );
    let root = "tests/data/proto";
    for misplaced in [
        "money.proto",
        "proto/common/money.proto",
        "shop/money.proto",
    ] {
        let said = text(Service::proto_dir(root, misplaced));
        assert!(said.contains("there is `common/money.proto`"), "{said}");
    }
    let said = text(Service::proto_dir(root, "nowhere.proto"));
    assert!(said.contains("relative to the root"), "{said}");
    let files = [("api/v1/a.proto", "syntax = \"proto3\";")];
    let said = text(Service::proto_dir(ProtoFiles::from_files(files), "a.proto"));
    assert!(said.contains("there is `api/v1/a.proto`"), "{said}");
}
