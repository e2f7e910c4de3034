//! Callers without pause, through a gateway, and what became of their calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::BoxError;
use crate::greeter::HelloRequest;
use crate::greeter::greeter_client::GreeterClient;

const CALLERS: usize = 10;
/// What the service takes for one call.
const WORK: Duration = Duration::from_millis(5);

/// Calls that run until told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    callers: JoinSet<Vec<Call>>,
}

pub(crate) struct Call {
    pub(crate) began: Instant,
    /// Why it was lost.
    pub(crate) failure: Option<String>,
}

// === impl Load ===

impl Load {
    pub(crate) fn start(gateway: &str) -> Result<Self, BoxError> {
        let channel = Endpoint::from_shared(format!("http://{gateway}"))?.connect_lazy();
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let mut client = GreeterClient::new(channel.clone());
            let stop = Arc::clone(&stop);
            callers.spawn(async move {
                let mut calls = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let request = HelloRequest {
                        name: String::new(),
                        delay_ms: WORK.subsec_millis().cast_signed(),
                    };
                    let failure = client.hello(request).await.err().map(|it| it.to_string());
                    if failure.is_some() {
                        // No route fails fast: that must not drown the rest.
                        tokio::time::sleep(WORK).await;
                    }
                    calls.push(Call { began, failure });
                }
                calls
            });
        }
        Ok(Self { stop, callers })
    }

    pub(crate) async fn finish(mut self) -> Vec<Call> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        while let Some(calls) = self.callers.join_next().await {
            all.extend(calls.unwrap_or_default());
        }
        all
    }
}
