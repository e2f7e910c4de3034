//! Calls that would end a real gateway.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tonic::Status;

use crate::node::Node;

/// The number of calls kept, the newest ones.
const MOST: usize = 1000;

/// The ingress through which a call enters a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ingress {
    /// gRPC, on the control plane's port.
    Grpc,
    /// `/api/ingress` of the HTTP port.
    Http,
    /// `/api/graphql` of the HTTP port.
    GraphQl,
}

impl fmt::Display for Ingress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "gRPC",
            Self::Http => "HTTP",
            Self::GraphQl => "GraphQL",
        })
    }
}

/// A call that would end a real gateway's process, for all services.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FatalCall {
    /// The ingress.
    pub ingress: Ingress,
    /// `/package.Service/Method`, or the field that was called over GraphQL.
    pub method: String,
    /// The cause.
    pub reason: String,
}

impl fmt::Display for FatalCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a real gateway would have died here: {} over {}: {}",
            self.method, self.ingress, self.reason
        )
    }
}

/// The calls of a node that would have ended a real gateway.
#[derive(Debug, Default)]
pub(crate) struct FatalCalls {
    calls: Mutex<VecDeque<FatalCall>>,
    /// Set if such a call ends the embedded gateway, too.
    strict: OnceLock<Weak<Node>>,
}

impl FatalCalls {
    /// Makes such calls end this node.
    pub(crate) fn be_strict(&self, node: &Arc<Node>) {
        // Set once, when the node starts.
        let _ = self.strict.set(Arc::downgrade(node));
    }

    pub(crate) fn all(&self) -> Vec<FatalCall> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().cloned().collect()
    }

    /// Records a call, and returns the error for its caller.
    pub(super) fn note(&self, ingress: Ingress, method: &str, reason: &str) -> Status {
        let call = FatalCall {
            ingress,
            method: method.to_owned(),
            reason: reason.to_owned(),
        };
        tracing::error!("{call}");
        let status = Status::unavailable(call.to_string());
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= MOST {
            calls.pop_front();
        }
        calls.push_back(call);
        drop(calls);
        if let Some(node) = self.strict.get().and_then(Weak::upgrade) {
            // Not one of the node's own tasks: the kill waits for those.
            tokio::spawn(async move { node.kill(false).await });
        }
        status
    }
}
