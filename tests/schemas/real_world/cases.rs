//! The documents and trees, and where each is expected to end: so a change of what is refused or
//! repaired is noticed.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tower_gwag::Rule::{self, *};
use tower_gwag::{ProtoFiles, Service};

use super::generated;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OpenApi,
    Proto,
}

pub(crate) struct Case {
    pub(crate) kind: Kind,
    /// Also its namespace.
    pub(crate) name: &'static str,
    pub(crate) service: Service,
    /// What an OpenAPI document is read from.
    pub(crate) document: Vec<u8>,
    /// The rules by which it does not pass at once.
    pub(crate) refused: &'static [Rule],
    /// Those by which it does not pass after the repair either.
    pub(crate) left: &'static [Rule],
    /// The findings that remain without a repair.
    pub(crate) warned: &'static [Rule],
}

impl Case {
    /// As it is registered: repaired only where that helps.
    pub(crate) fn passing(&self) -> Option<Service> {
        match (self.refused, self.left) {
            ([], _) => Some(self.service.clone()),
            (_, []) => Some(self.service.clone().repair()),
            _ => None,
        }
    }

    fn warned(mut self, rules: &'static [Rule]) -> Self {
        self.warned = rules;
        self
    }
}

pub(crate) fn all() -> Vec<Case> {
    documents().into_iter().chain(trees()).collect()
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/real_world")
}

// === OpenAPI ===

fn documents() -> Vec<Case> {
    let unnamed = &[OpenApiOperationIdName, OpenApiComponentName];
    vec![
        file("payments.json", &[OpenApiEnumValue], &[]),
        file("code_hosting.yaml", unnamed, &[]).warned(&[OpenApiEnumValue]),
        made(
            "cluster",
            &generated::cluster(),
            &[OpenApiOperationIdMissing, OpenApiComponentName],
            &[],
        ),
        file(
            "mail.yaml",
            &[OpenApiOperationIdName, OpenApiParameterName, OpenApiExample],
            &[OpenApiParameterName],
        ),
        file(
            "weather.yaml",
            &[OpenApiParameterName, OpenApiExample],
            &[OpenApiParameterName],
        )
        .warned(&[OpenApiEnumValue]),
        file("chat.yaml", unnamed, &[]),
        file("video.yaml", &[OpenApiParameterName], &[]).warned(&[OpenApiEnumValue]),
        file(
            "issues.json",
            &[OpenApiParameterName],
            &[OpenApiParameterName],
        )
        .warned(&[OpenApiEnumValue]),
        file(
            "back_office.json",
            &[OpenApiOperationIdDuplicate, OpenApiOperationIdCollision],
            &[],
        ),
        made_by_utoipa(),
        file("users.json", &[], &[]),
        file("uploads.json", &[], &[]),
        made("logistics", &generated::logistics(), &[], &[]),
        file("ledger.yaml", &[OpenApiComponentName], &[]),
        windows("calendar.yaml"),
        file(
            "status.yaml",
            &[OpenApiShape, OpenApiOperationIdCollision],
            &[],
        ),
        file("hooks.yaml", &[], &[]).warned(&[OpenApiNoOperations]),
        file("events.yaml", &[], &[]).warned(&[OpenApiNoOperations]),
        file("legacy.json", &[OpenApiRequired], &[OpenApiRequired]),
        file(
            "places.json",
            &[OpenApiExternalReference],
            &[OpenApiExternalReference],
        ),
    ]
}

fn openapi(
    name: &'static str,
    document: Vec<u8>,
    refused: &'static [Rule],
    left: &'static [Rule],
) -> Case {
    let service = Service::openapi(document.clone());
    let service = service.namespace(name);
    Case {
        kind: Kind::OpenApi,
        name,
        service,
        document,
        refused,
        left,
        warned: &[],
    }
}

fn file(file: &'static str, refused: &'static [Rule], left: &'static [Rule]) -> Case {
    let path = data().join("openapi").join(file);
    let document = std::fs::read(path).expect("a document");
    let (name, _) = file.split_once('.').expect("an ending");
    openapi(name, document, refused, left)
}

fn made(
    name: &'static str,
    document: &Value,
    refused: &'static [Rule],
    left: &'static [Rule],
) -> Case {
    openapi(name, document.to_string().into_bytes(), refused, left)
}

/// With utoipa's own type, as users have it.
fn made_by_utoipa() -> Case {
    let document = generated::booking();
    let json = document.to_json().expect("JSON").into_bytes();
    let service = Service::openapi(document).namespace("booking");
    Case {
        service,
        ..openapi("booking", json, &[], &[])
    }
}

/// As an editor of another system saves it: a byte-order mark, and line ends of two characters.
fn windows(name: &'static str) -> Case {
    let case = file(name, &[], &[]);
    let text = String::from_utf8(case.document).expect("UTF-8");
    let document = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    openapi(case.name, document.into_bytes(), &[], &[])
}

// === proto ===

fn trees() -> Vec<Case> {
    vec![
        tree("greeter", "helloworld.proto", &[]),
        tree("shop", "acme/shop/v1/shop_service.proto", &[]),
        tree("wallet", "acme/wallet/v1/wallet.proto", &[]),
        tree("catalog", "catalog.proto", &[]),
        tree("telemetry", "telemetry.proto", &[ProtoFreeJson]),
        tree("legacy_search", "search.proto", &[]),
        tree("facade", "api.proto", &[]),
        tree("backend", "backend.proto", &[ProtoTwoServices]),
        tree("live", "live.proto", &[CallsFatalStream]).warned(&[ProtoStreaming]),
        tree("billing", "billing.proto", &[ProtoTypeName]),
        tree("notes", "notes.proto", &[]),
        notes_with_windows_line_ends(),
        tree("labels", "labels.proto", &[]),
        tree("labels_nested", "labels.proto", &[ProtoFreeJson]),
        tree("versions", "versions.proto", &[ProtoMethodName]),
        tree("unvendored", "api.proto", &[ProtoImportMissing]),
        tree("broken", "broken.proto", &[ProtoCompile]),
        tree("modern", "modern.proto", &[]),
        proto("monorepo", generated::monorepo(), "acme/api.proto", &[]),
    ]
}

fn proto(
    name: &'static str,
    files: impl Into<ProtoFiles>,
    entry: &str,
    refused: &'static [Rule],
) -> Case {
    let service = Service::proto_dir(files, entry).namespace(name);
    // There is no repair of protos.
    Case {
        kind: Kind::Proto,
        name,
        service,
        document: Vec::new(),
        refused,
        left: refused,
        warned: &[],
    }
}

fn tree(name: &'static str, entry: &str, refused: &'static [Rule]) -> Case {
    proto(name, data().join("proto").join(name), entry, refused)
}

fn notes_with_windows_line_ends() -> Case {
    let path = data().join("proto/notes/notes.proto");
    let text = std::fs::read_to_string(path).expect("a proto");
    let files = [("notes.proto", text.replace('\n', "\r\n"))];
    proto("notes_of_windows", files, "notes.proto", &[])
}
