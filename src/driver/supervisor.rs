//! Reports a panic of the registration's task, and restarts the task.

use std::any::Any;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::Level;

use super::life::Life;
use super::task::Worker;
use crate::options::Config;
use crate::status::{Board, Event};

/// After this many panics in a row, restarting is pointless.
const PANICS: u32 = 6;
/// After this time without a panic, counting starts again.
const CALM: Duration = Duration::from_secs(600);
/// The pause before a restart; doubles each time.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs from the first poll for a connection until nothing is registered.
///
/// The worker is made at once, so that dropping the future, polled or not, produces a report.
pub(crate) fn run(
    life: Arc<Life>,
    config: Config,
    bound: Option<SocketAddr>,
) -> impl Future<Output = ()> + Send {
    // Boxed, because a future reserves space for its arguments and for what it makes of them.
    supervise(Box::new(Worker::new(life, config, bound)))
}

async fn supervise(mut worker: Box<Worker>) {
    let mut panics = 0;
    loop {
        let begun = Instant::now();
        let Err(panic) = caught(Box::pin(worker.run())).await else {
            return;
        };
        if worker.is_finished() {
            // The report has been delivered.
            return;
        }
        panics = if begun.elapsed() < CALM {
            panics + 1
        } else {
            1
        };
        let goes_on = panics < PANICS;
        tell(&worker.life.board, &text_of(&*panic), goes_on);
        if goes_on {
            pause(&worker.life, PAUSE * (1 << (panics - 1))).await;
        }
        if !goes_on || caught(Box::pin(worker.recover())).await.is_err() {
            // Dropping an undelivered report delivers it.
            let _ = caught(Box::pin(worker.give_up())).await;
            return;
        }
    }
}

/// Leaving has a deadline, so it does not wait for the pause to end.
async fn pause(life: &Life, pause: Duration) {
    let mut leave_requests = life.leave_requests();
    tokio::select! {
        () = sleep(pause) => {}
        _ = leave_requests.wait_for(Option::is_some) => {}
    }
}

fn tell(board: &Board, panic: &str, goes_on: bool) {
    let then = if goes_on {
        "it continues, and the services stay registered"
    } else {
        "it panicked too often, so the registration ends; the server keeps serving"
    };
    let text = format!("the registration's task panicked ({panic}): {then}; please report this");
    // The logger itself may have panicked.
    let said = || board.say(Level::ERROR, None, &text);
    let _ = catch_unwind(AssertUnwindSafe(said));
    board.emit(&Event::Panicked(text));
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a text".to_owned())
}

async fn caught<F: Future>(mut future: Pin<Box<F>>) -> Result<F::Output, Box<dyn Any + Send>> {
    std::future::poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        },
    )
    .await
}
