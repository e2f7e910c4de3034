//! `Service::descriptor_set`: registered as proto text, like any other.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{
    GREETER_PROTO, gateway, greet, greeter_service, registered, tonic_greeter, until_state,
};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use tower_gwag::{ErrorKind, Finding, Options, Rule, Service, State};

#[derive(Debug)]
struct Memory(BTreeMap<String, String>);

impl FileResolver for Memory {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let text = self
            .0
            .get(name)
            .ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}

/// A set as a build script writes it; the first file is the entry.
fn set_of(files: &[(&str, &str)], with_imports: bool) -> Vec<u8> {
    let texts = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let mut resolver = ChainFileResolver::new();
    resolver.add(Memory(texts.collect()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler
        .include_imports(with_imports)
        .include_source_info(true);
    compiler.open_file(Path::new(files[0].0)).expect("compiles");
    compiler.encode_file_descriptor_set()
}

fn of(service: Service) -> Options {
    Options::new("gateway:1").service(service)
}

#[track_caller]
fn fault(service: Service) -> (Rule, String) {
    let error = of(service).check().expect_err("refused");
    let findings = error.findings().expect("findings");
    let errors: Vec<_> = findings.errors().collect();
    assert_eq!(errors.len(), 1, "{error}");
    (errors[0].rule(), error.to_string())
}

const SHOP: &str = "syntax = \"proto3\"; package shop.v1; import \"common/m.proto\";\n\
    import \"google/protobuf/empty.proto\";\n\
    // Pets.\nservice Pets { rpc Get(M) returns (M); }\n\
    // Stock.\nservice Stock { rpc Put(M) returns (google.protobuf.Empty); }\n";
const COMMON: &str = "syntax = \"proto3\"; package shop.v1; message M { string id = 1; }";

fn shop() -> Vec<u8> {
    set_of(
        &[("shop/v1/my-shop.proto", SHOP), ("common/m.proto", COMMON)],
        true,
    )
}

#[tokio::test]
async fn a_set_is_registered_listed_routed_and_called() {
    let gateway = gateway().await;
    let set = set_of(&[("greeter.proto", GREETER_PROTO)], true);
    let service = Service::descriptor_set(set, "greeter.proto");
    let hash = service.hash().expect("good");
    assert!(hash.is_exact(), "{hash}");
    let server = tonic_greeter(Options::new(gateway.target()).service(service)).await;
    registered(&server.registration).await;
    until_state(&server.registration, State::Listed).await;
    let listed = gateway.services();
    let listed = listed
        .iter()
        .find(|it| it.namespace == "greeter")
        .expect("listed");
    assert_eq!(hash.hex(), Some(&*listed.hash));
    assert!(greet(gateway.address()).await.contains("Ada"));
    until_state(&server.registration, State::Routed).await;
    server.stop().await;
    // Its text is laid out in another way than the file.
    assert_ne!(greeter_service().hash().expect("good").hex(), hash.hex());
}

#[test]
fn the_text_is_the_same_each_time_and_has_the_comments() {
    let hash = |text: &str| {
        let set = set_of(&[("greeter.proto", text)], true);
        let service = Service::descriptor_set(set, "./greeter.proto").namespace("greeter");
        service.hash().expect("good")
    };
    let first = hash(GREETER_PROTO);
    assert_eq!(hash(GREETER_PROTO), first);
    // Places do not matter, comments do.
    assert_eq!(hash(&GREETER_PROTO.replace(";\n", ";\n\n\n")), first);
    assert_ne!(
        hash(&GREETER_PROTO.replace("Greets one", "Hails one")),
        first
    );
}

#[test]
fn sets_are_split_and_checked_as_files_are() {
    let service = Service::descriptor_set(shop(), "shop/v1/my-shop.proto");
    let error = of(service.clone()).check().unwrap_err();
    let found: Vec<_> = error.findings().expect("findings").errors().collect();
    assert_eq!(found.len(), 1, "{error}");
    assert_eq!(found[0].rule(), Rule::ProtoTwoServices);
    assert_eq!(found[0].service(), Some("my_shop"));
    assert_eq!(found[0].file(), Some("shop/v1/my-shop.proto"));
    assert!(error.to_string().contains("service Stock {"), "{error}");

    let split = service.split_services();
    let names: Vec<_> = split
        .hashes()
        .expect("good")
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(names, ["pets", "stock"]);
    assert!(of(split).check().expect("good").is_empty());
}

#[test]
fn what_is_wrong_with_a_set_is_reported() {
    for bytes in [
        &b"\xff\xff\xff"[..],
        b"\x0a\x05ab",
        b"\x0a\x02\x08\x01",
        b"no set, but text",
    ] {
        let (rule, text) = fault(Service::descriptor_set(bytes, "a.proto"));
        assert_eq!(rule, Rule::DescriptorSet, "{text}");
        assert!(text.contains("FileDescriptorSet"), "{text}");
    }
    let (rule, text) = fault(Service::descriptor_set([], "a.proto"));
    assert_eq!(rule, Rule::ProtoEntryMissing);
    assert!(text.contains("which is empty"), "{text}");

    let (rule, text) = fault(Service::descriptor_set(shop(), "my-shop.proto"));
    assert_eq!(rule, Rule::ProtoEntryMissing);
    for name in [
        "`my-shop.proto` is not in",
        "`shop/v1/my-shop.proto`",
        "`common/m.proto`",
    ] {
        assert!(text.contains(name), "{name}: {text}");
    }

    let files = [("shop.proto", SHOP), ("common/m.proto", COMMON)];
    let (rule, text) = fault(Service::descriptor_set(set_of(&files, false), "shop.proto"));
    assert_eq!(rule, Rule::ProtoImportMissing);
    assert!(text.contains("(shop.proto → common/m.proto)"), "{text}");
    assert!(text.contains("--include_imports"), "{text}");

    let editions = b"\x0a\x13\x0a\x07e.proto\x62\x08editions";
    let (rule, text) = fault(Service::descriptor_set(editions, "e.proto"));
    assert_eq!(rule, Rule::DescriptorSet);
    for part in ["`e.proto`", "editions", "`Service::proto_dir`"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // Built-in files need not be there.
    let empty = "syntax = \"proto3\"; import \"google/protobuf/empty.proto\"; message M { google.protobuf.Empty e = 1; }";
    let set = set_of(&[("e.proto", empty)], false);
    of(Service::descriptor_set(set, "e.proto"))
        .check()
        .expect("good");

    let import = Service::descriptor_set(shop(), "a.proto").import("b.proto", "");
    let error = of(import).check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(
        error.to_string().contains("no effect on a descriptor set"),
        "{error}"
    );
}

#[test]
fn options_that_nothing_explains_are_left_out_with_a_warning() {
    let options = "syntax = \"proto2\"; package o; import \"google/protobuf/descriptor.proto\";\n\
        extend google.protobuf.MethodOptions { optional string path = 50000; }";
    let shop = "syntax = \"proto3\"; package shop.v1; import \"o.proto\"; message M {}\n\
        service Shop { rpc Get(M) returns (M) { option (o.path) = \"/é\"; } }";
    let set = set_of(&[("shop.proto", shop), ("o.proto", options)], true);
    let whole = Service::descriptor_set(set.clone(), "shop.proto");
    assert!(of(whole).check().expect("good").is_empty());

    // The same without the import: the option is a number that nobody knows.
    use prost::Message as _;
    #[derive(Clone, PartialEq, prost::Message)]
    struct RawSet {
        #[prost(bytes = "vec", repeated, tag = "1")]
        file: Vec<Vec<u8>>,
    }
    let mut files = RawSet::decode(&*set).expect("a set").file;
    let import = b"\x1a\x07o.proto";
    files.retain(|file| !file.starts_with(b"\x0a\x07o.proto"));
    for file in &mut files {
        if let Some(at) = file.windows(import.len()).position(|it| it == import) {
            file.drain(at..at + import.len());
        }
    }
    let set = RawSet { file: files }.encode_to_vec();
    let found = of(Service::descriptor_set(set, "shop.proto"))
        .check()
        .expect("good");
    let rules: Vec<_> = found.iter().map(Finding::rule).collect();
    assert_eq!(rules, [Rule::DescriptorSetLoss], "{found}");
    assert!(
        found
            .to_string()
            .contains("number 50000 of google.protobuf.MethodOptions"),
        "{found}"
    );
}
