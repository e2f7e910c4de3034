//! One server with one layer, of which `benches/layer.rs` counts what a call costs.
//!
//! It is built with `--cfg one_server`, a `server` and a `layer`; without them it has all servers, and
//! our layer.

#![cfg_attr(one_server, allow(dead_code, reason = "the other servers"))]

mod http2;
mod servers;

use std::error::Error;
use std::time::{Duration, Instant};

use servers::SERVERS;

/// Makes calls, as many as it is given.
type Run = Box<dyn FnMut(usize)>;

/// Before they are counted: connections, buffers and caches are made.
const WARM: usize = 100;
/// Calls in one measurement of time, and measurements, of which the fastest counts.
const TIMED: u32 = 2_000;
const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [what, call, rest @ ..] = arguments.as_slice() else {
        println!("skipped: `cargo bench --bench layer` runs it");
        return Ok(());
    };
    #[cfg(more_code)]
    more_code(call);
    let prepare = SERVERS.first().ok_or("no such server")?;
    let mut run = prepare(call);
    run(WARM);
    match *what {
        "count" => counted_calls(&mut run, rest.first().ok_or("how many?")?.parse()?),
        _ => println!("{}", fastest(&mut run).as_nanos()),
    }
    Ok(())
}

/// Only what runs in here is counted.
#[inline(never)]
fn counted_calls(run: &mut Run, calls: usize) {
    run(calls);
    // Something to return to: a jump to `run` would not be in here.
    std::hint::black_box(());
}

fn fastest(run: &mut Run) -> Duration {
    let mut time = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        run(TIMED as usize);
        time = time.min(start.elapsed());
    }
    time / TIMED
}

/// What other programs have besides: an axum server beside tonic's, and a tonic client.
#[cfg(more_code)]
fn more_code(call: &str) {
    if call == "more" {
        servers::more_code();
    }
}
