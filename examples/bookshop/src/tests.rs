//! What async-graphql answers, through the gateway's proxy.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use tower_gwag_gateway::EmbeddedGateway;

use super::*;

struct Running {
    gateway: EmbeddedGateway,
    introspection: Introspection,
    registration: Registration,
    server: JoinHandle<()>,
}

async fn within<F: Future>(future: F) -> F::Output {
    let done = tokio::time::timeout(Duration::from_secs(20), future).await;
    done.expect("it does not take so long")
}

impl Running {
    async fn start() -> Self {
        let gateway = EmbeddedGateway::builder().start().await.expect("a gateway");
        let introspection = Introspection::default();
        let service = app::service();
        let options = Options::new(gateway.target()).service(service);
        let layer = GwagRegistrationLayer::new(options);
        let registration = layer.registration();
        let handle = registration.clone();
        let app = app::router(introspection.clone()).layer(layer);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let listener = registration.listener(listener).expect("checked");
        let server = tokio::spawn(async move {
            axum::serve(listener, app)
                .with_graceful_shutdown(handle.shutdown(std::future::pending::<()>()))
                .await
                .expect("served");
        });
        let routed =
            gateway.wait_until(|now| now.service("shop", "v1").is_some_and(|it| it.routed));
        within(routed).await;
        Self {
            gateway,
            introspection,
            registration,
            server,
        }
    }

    async fn stop(self) {
        within(self.registration.leave()).await;
        self.server.abort();
    }
}

fn json_of(answer: Result<String, BoxError>) -> Value {
    serde_json::from_str(&answer.expect("answered")).expect("JSON")
}

#[tokio::test]
async fn queries_with_variables_are_answered_in_their_order() {
    let running = Running::start().await;
    let text = within(calls::books(&running.gateway.http_url())).await;
    let text = text.expect("answered");
    let books = json!([
        { "title": "Emma", "author": { "name": "Jane Austen",
            "books": [{ "title": "Emma" }, { "title": "Persuasion" }] }, "cost": 9.9 },
        { "title": "Ulysses", "author": { "name": "James Joyce",
            "books": [{ "title": "Ulysses" }] }, "cost": 14.5 },
    ]);
    let answer = json_of(Ok(text.clone()));
    assert_eq!(answer, json!({ "data": { "shop": { "books": books } } }));
    let place = |field: &str| text.find(field).expect("it is there");
    assert!(
        place("title") < place("author") && place("author") < place("cost"),
        "{text}"
    );
    running.stop().await;
}

#[tokio::test]
async fn mutations_take_input_objects() {
    let running = Running::start().await;
    let answer = json_of(within(calls::order(&running.gateway.http_url())).await);
    let order = json!({ "title": "Hamlet", "copies": 3, "total": 18.6, "note": "as a {gift}" });
    assert_eq!(answer["data"]["shop"]["order"], order);
    running.stop().await;
}

#[tokio::test]
async fn errors_are_reported_where_they_are() {
    let running = Running::start().await;
    let url = running.gateway.http_url();
    let answer = json_of(within(calls::missing(&url)).await);
    let error = &answer["errors"][0];
    assert_eq!(error["path"], json!(["shop", "book"]), "{answer}");
    assert_eq!(
        error["locations"],
        json!([{ "line": 4, "column": 5 }]),
        "{answer}"
    );
    // The service's own code is lost in the text.
    assert_eq!(error["extensions"]["code"], "INTERNAL");
    let message = error["message"].as_str().expect("a text");
    assert!(message.contains("NOT_FOUND"), "{answer}");
    // The field may not be null, so that what is around it is.
    assert_eq!(answer["data"], Value::Null, "{answer}");
    let answer = json_of(within(calls::wrong(&url)).await);
    let message = answer["errors"][0]["message"].as_str().expect("a text");
    assert!(message.contains("isbn"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn the_hash_is_that_of_the_introspection_reply() {
    let running = Running::start().await;
    let view = running.gateway.view();
    let listed = &view.service("shop", "v1").expect("listed").hash;
    assert_eq!(*listed, running.introspection.hash().expect("introspected"));
    running.stop().await;
}
