//! What a check takes for inputs that are large, deep or wide, and for such of twice the size: time, and
//! the most memory at once. Fails above 1 s, or 150 MB. `cargo bench -p tower-gwag-schema --bench inputs`

// A bench tells what it found.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

#[path = "../tests/inputs/grow.rs"]
#[allow(clippy::wildcard_imports)]
mod grow;

use std::time::{Duration, Instant};

use tower_gwag_schema::{GatewayRelease, Service, check};

const LONGEST: Duration = Duration::from_secs(1);
const MOST: u64 = 150_000_000;
const ROUNDS: usize = 3;

/// What is measured of a service.
enum What {
    Check,
    /// The check of a repaired document.
    Repair,
    /// Its GraphQL schema, as text.
    Schema,
}

fn main() {
    println!(
        "{:<22} {:>9} {:>10} {:>9}   twice as much",
        "input", "n", "time", "memory"
    );
    // One kind, for profilers.
    let wanted = std::env::args().skip(1).find(|it| !it.starts_with('-'));
    let mut is_slow = false;
    for (what, kind, n) in [
        (What::Check, "public-dag", 60),
        (What::Check, "public-chain", 500),
        (What::Check, "import-chain", 1000),
        (What::Check, "reserved", 16_000),
        (What::Check, "missing-imports", 10_000),
        (What::Check, "wide-imports", 10_000),
        (What::Check, "deep-package", 50_000),
        (What::Check, "options", 4_000),
        (What::Check, "message-chain", 2_000),
        (What::Schema, "message-chain", 2_000),
        (What::Check, "faults", 10_000),
        (What::Check, "path-parameters", 10_000),
        (What::Check, "repeated-ids", 50_000),
        (What::Check, "integers", 2_500_000),
        (What::Check, "paths", 10_000),
        (What::Repair, "paths", 10_000),
        (What::Repair, "bad-names", 3_000),
    ] {
        if wanted.as_ref().is_some_and(|it| it != kind) {
            continue;
        }
        let (one, two) = (measured(&what, kind, n), measured(&what, kind, 2 * n));
        let name = match what {
            What::Check => kind.to_owned(),
            What::Repair => format!("{kind}, repaired"),
            What::Schema => format!("{kind}, schema"),
        };
        let shown = |(time, bytes): (Duration, u64)| {
            format!("{time:>10.1?} {:>6.1} MB", bytes as f64 / 1e6)
        };
        let too_much = |it: (Duration, u64)| it.0 > LONGEST || it.1 > MOST;
        let mark = if too_much(one) || too_much(two) {
            "  too much"
        } else {
            ""
        };
        is_slow |= !mark.is_empty();
        println!("{name:<22} {n:>9} {}   {}{mark}", shown(one), shown(two));
    }
    assert!(
        !is_slow,
        "something takes more than {LONGEST:?} or {MOST} bytes"
    );
}

/// The least time of a few rounds, and the most memory at once.
fn measured(what: &What, kind: &str, n: usize) -> (Duration, u64) {
    let service = match what {
        What::Repair => grow::service(kind, n).repair(),
        What::Check | What::Schema => grow::service(kind, n),
    };
    let (mut least, mut most) = (Duration::MAX, 0);
    for _ in 0..ROUNDS {
        let service = service.clone();
        let begun = Instant::now();
        let used = allocation_counter::measure(|| run(what, service));
        least = least.min(begun.elapsed());
        most = most.max(used.bytes_max);
    }
    (least, most)
}

fn run(what: &What, service: Service) {
    match what {
        // What is found is no matter here.
        What::Check | What::Repair => drop(check(&[service])),
        What::Schema => {
            let schema = service.graphql_schema(GatewayRelease::default());
            assert!(schema.is_ok_and(|it| !it.to_string().is_empty()));
        }
    }
}
