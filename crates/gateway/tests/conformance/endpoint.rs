//! The GraphQL endpoints that the cases name.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::post;
use tokio::net::TcpListener;

/// A schema that introspects; not the one of the recording, so its hash differs.
const SCHEMA: &str = r#"{"data":{"__schema":{"queryType":{"name":"Query"},"types":[{"kind":"OBJECT","name":"Query","fields":[]}]}}}"#;

/// Serves them on a free port until the runtime ends.
pub(crate) async fn serve() -> SocketAddr {
    let app = Router::new()
        .route("/gql", post(async || SCHEMA))
        .route(
            "/500",
            post(async || (StatusCode::INTERNAL_SERVER_ERROR, "boom")),
        )
        .route("/html", post(async || Html("<html>no</html>")))
        .route("/err", post(async || r#"{"errors":[{"message":"no"}]}"#))
        .route("/null", post(async || r#"{"data":null}"#))
        .route("/x", post(async || "{}"))
        .route("/slow", post(std::future::pending::<()>));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}
