//! Counts calls through the gateway and records refusals, for developers to watch.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// The number of methods that are counted separately.
const MOST_METHODS: usize = 1_000;
/// The name under which all other methods are counted.
const OTHERS: &str = "others";
/// The number of refusals kept, the newest ones.
const MOST_REFUSALS: usize = 100;
const LONGEST_TEXT: usize = 500;

/// How often a method was called through the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallCount {
    /// Calls that were answered, including failed ones.
    pub calls: u64,
    /// Calls that failed: a gRPC status other than OK, an HTTP status from 400 on, an answer with
    /// GraphQL errors.
    pub errors: u64,
    /// The message of the last failed call, if known.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    calls: BTreeMap<String, CallCount>,
    refusals: VecDeque<String>,
}

/// A request in progress.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    journal: Arc<Journal>,
    kind: Kind,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Control,
    Grpc,
    Http,
    GraphQl,
}

// === impl Journal ===

impl Journal {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn calls(&self) -> BTreeMap<String, CallCount> {
        self.pages().calls.clone()
    }

    pub(super) fn refusals(&self) -> Vec<String> {
        self.pages().refusals.iter().cloned().collect()
    }

    /// Opens an entry, if the request is one to record.
    pub(super) fn open<B>(self: &Arc<Self>, request: &http::Request<B>) -> Option<Entry> {
        let path = request.uri().path();
        let content_type = request.headers().get(http::header::CONTENT_TYPE);
        let is_grpc = content_type.is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"));
        let (kind, name) = match path.strip_prefix("/api/ingress") {
            Some(rest) => (Kind::Http, format!("{} {rest}", request.method())),
            None if path == "/api/graphql" => (Kind::GraphQl, "GraphQL".to_owned()),
            None if path.starts_with("/gateway.controlplane.") => {
                let method = path.rsplit('/').next().unwrap_or_default();
                (Kind::Control, method.to_owned())
            }
            None if is_grpc => (Kind::Grpc, path.to_owned()),
            None => return None,
        };
        Some(Entry {
            journal: Arc::clone(self),
            kind,
            name: cut(&name),
        })
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

// === impl Entry ===

impl Entry {
    /// Handles the head of the answer; watches the body if that shows how the call ends.
    pub(super) fn answered<B>(self, answer: http::Response<B>) -> http::Response<Noted<B>> {
        let status = answer.status();
        let failure = match self.kind {
            Kind::Control | Kind::Grpc => of_grpc(answer.headers()),
            Kind::Http | Kind::GraphQl if status.as_u16() >= 400 => Some(Some(status.to_string())),
            Kind::Http => Some(None),
            Kind::GraphQl => None,
        };
        let open = match failure {
            Some(failure) => {
                self.close(failure);
                None
            }
            None => Some(self),
        };
        answer.map(|body| Noted { body, open })
    }

    fn close(self, failure: Option<String>) {
        let mut pages = self.journal.pages();
        if self.kind == Kind::Control {
            if let Some(why) = failure {
                if pages.refusals.len() >= MOST_REFUSALS {
                    pages.refusals.pop_front();
                }
                pages.refusals.push_back(format!("{}: {why}", self.name));
            }
            return;
        }
        let is_known = pages.calls.contains_key(&self.name) || pages.calls.len() < MOST_METHODS;
        let name = if is_known {
            self.name
        } else {
            OTHERS.to_owned()
        };
        let count = pages.calls.entry(name).or_default();
        count.calls += 1;
        if let Some(why) = failure {
            count.errors += 1;
            count.last_error = Some(cut(&why));
        }
    }
}

/// How a gRPC call ended, from headers or trailers; `None` if they do not say.
fn of_grpc(headers: &HeaderMap) -> Option<Option<String>> {
    let code = headers.get("grpc-status")?.to_str().unwrap_or("?");
    if code == "0" {
        return Some(None);
    }
    let text = headers.get("grpc-message").and_then(|it| it.to_str().ok());
    let text = text
        .unwrap_or_default()
        .replace("%20", " ")
        .replace("%22", "\"");
    let name = code.parse().map_or_else(
        |_| code.to_owned(),
        |it| format!("{:?}", tonic::Code::from_i32(it)),
    );
    Some(Some(cut(&format!("{name}: {text}"))))
}

pin_project! {
    /// A body whose end shows how the call ended.
    pub(super) struct Noted<B> {
        #[pin]
        body: B,
        open: Option<Entry>,
    }
}

impl<B> Noted<B> {
    /// A body that is not watched.
    pub(super) fn unwatched(body: B) -> Self {
        Self { body, open: None }
    }
}

impl<B: Body<Data = Bytes>> Body for Noted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        let failure = match &frame {
            Some(Ok(frame)) => match (frame.trailers_ref(), frame.data_ref()) {
                (Some(trailers), _) => of_grpc(trailers),
                (None, Some(data)) if data.starts_with(b"{") => {
                    let is_graphql = this
                        .open
                        .as_ref()
                        .is_some_and(|it| it.kind == Kind::GraphQl);
                    let has_errors = is_graphql && find(data, b"\"errors\":[");
                    has_errors.then(|| Some("errors in the answer".to_owned()))
                }
                _ => None,
            },
            Some(Err(_)) => Some(Some("the answer broke off".to_owned())),
            None => Some(None),
        };
        if let Some(failure) = failure
            && let Some(entry) = this.open.take()
        {
            entry.close(failure);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // The reader must poll until the entry is closed.
        self.open.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn find(data: &[u8], what: &[u8]) -> bool {
    data.windows(what.len()).any(|it| it == what)
}
