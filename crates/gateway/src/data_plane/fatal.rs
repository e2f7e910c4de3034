//! Calls that would have ended a real gateway.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tonic::Status;

use crate::node::Node;

/// So many calls are remembered, the newest ones.
const MOST: usize = 1000;

/// The way by which a call comes into a gateway.
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

/// A call of which a real gateway's process would have ended, for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FatalCall {
    /// How it came in.
    pub ingress: Ingress,
    /// `/package.Service/Method`, or what was asked for by GraphQL.
    pub method: String,
    /// What a real gateway dies of.
    pub reason: String,
}

impl fmt::Display for FatalCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a real gateway would have died here: {} by {}: {}",
            self.method, self.ingress, self.reason
        )
    }
}

/// The calls of a node that a real gateway would not have survived.
#[derive(Debug, Default)]
pub(crate) struct FatalCalls {
    calls: Mutex<VecDeque<FatalCall>>,
    /// Set where such a call ends the embedded gateway too.
    strict: OnceLock<Weak<Node>>,
}

impl FatalCalls {
    /// From now on such a call ends this node.
    pub(crate) fn be_strict(&self, node: &Arc<Node>) {
        // Set once, where the node starts.
        let _ = self.strict.set(Arc::downgrade(node));
    }

    pub(crate) fn all(&self) -> Vec<FatalCall> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().cloned().collect()
    }

    /// Notes a call, and says what its caller gets.
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
