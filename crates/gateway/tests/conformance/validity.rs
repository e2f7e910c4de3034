//! OpenAPI documents that gateways accepted, could not read, or did not mount: the check and the
//! embedded gateway say the same.

use std::collections::HashSet;

use serde::Deserialize;
use tower_gwag::{Options, Service};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::cases::state;
use crate::wire::Wire;
use crate::wire::proto::{RegisterRequest, ServiceBinding};
use crate::{settle, start};

#[derive(Deserialize)]
struct Document {
    id: String,
    document: String,
    gateway: Judgement,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum Judgement {
    #[serde(rename = "accepts")]
    Accepts,
    #[serde(rename = "cannot read")]
    CannotRead,
    #[serde(rename = "does not mount")]
    DoesNotMount,
}

fn documents() -> Vec<Document> {
    serde_json::from_str(include_str!("../data/openapi-validity.json")).unwrap()
}

/// What a gateway answers, and then lists.
async fn register(wire: &mut Wire, namespace: &str, document: &Document) -> Result<(), String> {
    let binding = ServiceBinding {
        namespace: namespace.to_owned(),
        openapi_spec: document.document.clone().into_bytes(),
        ..Default::default()
    };
    let request = RegisterRequest {
        addr: "http://127.0.0.1:1".to_owned(),
        services: vec![binding],
        ..Default::default()
    };
    let answer = wire.0.register(request).await;
    answer.map(drop).map_err(|it| it.message().to_owned())
}

#[test]
fn the_check_refuses_what_gateways_refuse_and_tells_the_place_and_the_remedy() {
    let (documents, mut wrong) = (documents(), Vec::new());
    assert!(documents.len() >= 150);
    for Document {
        id,
        document,
        gateway,
    } in documents
    {
        let options = Options::new("gateway:1").service(Service::openapi(document).namespace("s"));
        match (options.check(), gateway) {
            (Ok(_), Judgement::Accepts) => {}
            (Err(error), Judgement::CannotRead | Judgement::DoesNotMount) => {
                let found = error.findings().unwrap();
                let is_told =
                    |it: &tower_gwag::Finding| it.remedy().is_some() && it.rule().is_allowable();
                if !found.errors().all(is_told) {
                    wrong.push(format!("{id}: {error}"));
                }
            }
            (Ok(_), gateway) => wrong.push(format!("{id}: accepted, a gateway {gateway:?}")),
            (Err(error), Judgement::Accepts) => wrong.push(format!("{id}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn standalone_says_why() {
    let (gateway, mut wire) = start(EmbeddedGateway::builder()).await;
    let mut wrong = Vec::new();
    for (number, document) in documents().iter().enumerate() {
        let answer = register(&mut wire, &format!("s{number}"), document).await;
        let expected = format!("openapi: validate s{number}/v1: ");
        let is_right = match (document.gateway, &answer) {
            (Judgement::Accepts, Ok(())) => true,
            (Judgement::CannotRead, Err(text)) => text.contains("parse openapi spec"),
            (Judgement::DoesNotMount, Err(text)) => text.starts_with(&expected),
            _ => false,
        };
        if !is_right {
            wrong.push(format!(
                "{}: {:?}: {answer:?}",
                document.id, document.gateway
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn clustered_takes_what_it_can_read_and_does_not_list_what_it_cannot_mount() {
    let (gateway, mut wire) = start(EmbeddedGateway::builder().profile(Profile::Clustered)).await;
    let mut wrong = Vec::new();
    let mut mounted = HashSet::new();
    for (number, document) in documents().iter().enumerate() {
        let namespace = format!("s{number}");
        let answer = register(&mut wire, &namespace, document).await;
        if answer.is_err() != (document.gateway == Judgement::CannotRead) {
            wrong.push(format!(
                "{}: {:?}: {answer:?}",
                document.id, document.gateway
            ));
        }
        if document.gateway == Judgement::Accepts {
            mounted.insert(namespace);
        }
    }
    settle(&gateway).await;
    let listed = state(&mut wire).await.services.into_iter();
    let listed: HashSet<_> = listed.map(|it| it.namespace).collect();
    let mut differing: Vec<_> = listed.symmetric_difference(&mounted).collect();
    differing.retain(|it| it.starts_with('s'));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(differing.is_empty(), "{differing:?}");
    gateway.shutdown().await;
}
