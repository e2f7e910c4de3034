//! What does the layer cost a call?
//!
//! `cargo bench --bench layer`: side by side, without a layer, with one that does nothing, with
//! tower-http's `InFlightRequestsLayer`, and with ours: instructions (callgrind) and allocations
//! (memcheck), which are skipped where valgrind is not installed, and time as a ratio, because times
//! depend on the machine. The allocator is the one that users have: one that counts would itself be
//! counted. What is counted is the server, on one thread, over memory instead of a socket, together
//! with a client that sends bytes and looks for the end of the answer; the last case has a socket, the
//! wrapped listener and the layer.
//!
//! Ends with an error where a bound is exceeded.

#[path = "layer/cases.rs"]
mod cases;
#[path = "layer/http2.rs"]
mod http2;

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use cases::{CASES, Case, Run, Variant};

type BoxError = Box<dyn Error + Send + Sync>;

/// Calls in one measurement of instructions, and measurements, of which the one in the middle counts:
/// hash maps and tokio's `select!` are seeded by chance.
const COUNTED: usize = 500;
const SAMPLES: usize = 9;
/// Before they are counted: connections, buffers and caches are made.
const WARM: usize = 100;
/// Calls in one measurement of time, and measurements, of which the fastest counts.
const TIMED: usize = 2_000;
const ROUNDS: usize = 15;

fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    if let (Some("run"), Some(case), Some(variant), Some(calls)) = (
        arguments.next().as_deref(),
        arguments.next(),
        arguments.next(),
        arguments.next(),
    ) {
        let case = CASES
            .iter()
            .find(|it| it.name == case)
            .ok_or("no such case")?;
        let variants = case.variants.iter();
        let mut variants = variants.filter(|it| it.name() == variant);
        let variant = variants.next().ok_or("no such variant")?;
        let mut run = (case.prepare)(*variant);
        run(WARM);
        counted_calls(&mut run, calls.parse()?);
        return Ok(());
    }
    let counts = Command::new("valgrind").arg("--version").output().is_ok();
    if !counts {
        println!("valgrind is not installed: instructions and allocations are not counted");
    }
    let mut exceeded = Vec::new();
    let only = std::env::args().nth(1).filter(|it| !it.starts_with('-'));
    for case in CASES {
        if only.as_ref().is_some_and(|only| !case.name.contains(only)) {
            continue;
        }
        println!("\n{}", case.name);
        let rows: Vec<Row> = case
            .variants
            .iter()
            .map(|variant| Row::measure(case, *variant, counts))
            .collect::<Result<_, _>>()?;
        for row in &rows {
            println!("  {}", row.show(&rows[0]));
        }
        for bound in bounds(case, &rows, counts) {
            println!("  {bound}");
            if !bound.is_met() {
                exceeded.push(format!("{}: {bound}", case.name));
            }
        }
    }
    println!();
    match exceeded.is_empty() {
        true => Ok(()),
        false => Err(exceeded.join("\n").into()),
    }
}

/// One line of the table.
struct Row {
    variant: Variant,
    /// Per call.
    instructions: Option<f64>,
    allocations: Option<f64>,
    time: Duration,
}

// === impl Row ===

impl Row {
    fn measure(case: &Case, variant: Variant, counts: bool) -> Result<Self, BoxError> {
        let mut run = (case.prepare)(variant);
        // Warm: connections, buffers and caches are made.
        run(TIMED / 4);
        let mut time = Duration::MAX;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            run(TIMED);
            time = time.min(start.elapsed());
        }
        let (instructions, allocations) = match counts {
            true => (
                Some(instructions(case.name, variant)?),
                Some(allocations(case.name, variant)?),
            ),
            false => (None, None),
        };
        Ok(Self {
            variant,
            instructions,
            allocations,
            time: time / u32::try_from(TIMED)?,
        })
    }

    fn show(&self, first: &Self) -> String {
        let counted = match (self.instructions, first.instructions, self.allocations) {
            (Some(ours), Some(first), Some(allocations)) => format!(
                "{ours:>9.0} instructions ({:>+6.0}), {allocations:>6.2} allocations",
                ours - first
            ),
            _ => "not counted".to_owned(),
        };
        format!(
            "{:<20} {counted}, time x {:.3} ({:?})",
            self.variant.name(),
            self.time.as_secs_f64() / first.time.as_secs_f64(),
            self.time,
        )
    }
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn per_call(count: u64) -> f64 {
    count as f64 / COUNTED as f64
}

/// Only what runs in here is counted.
#[inline(never)]
fn counted_calls(run: &mut Run, calls: usize) {
    run(calls);
    // Something to return to: a jump to `run` would not be in here.
    std::hint::black_box(());
}

/// What valgrind says of so many calls.
fn valgrind(
    case: &str,
    variant: Variant,
    calls: usize,
    options: &[&str],
) -> Result<String, BoxError> {
    let output = Command::new("valgrind")
        .args(options)
        .arg(std::env::current_exe()?)
        .args(["run", case, variant.name(), &calls.to_string()])
        .output()?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The number after these words.
fn number(text: &str, before: &str) -> Result<u64, BoxError> {
    let rest = text.split(before).nth(1).unwrap_or_default();
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(|it| it.is_ascii_digit() || *it == ',')
        .filter(char::is_ascii_digit)
        .collect();
    let number = digits.parse().ok().filter(|count| *count > 0);
    number.ok_or_else(|| text.into())
}

fn instructions(case: &str, variant: Variant) -> Result<f64, BoxError> {
    let options = [
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        "--collect-atstart=no",
        "--toggle-collect=*counted_calls*",
    ];
    let mut counts = (0..SAMPLES)
        .map(|_| number(&valgrind(case, variant, COUNTED, &options)?, "Collected :"))
        .collect::<Result<Vec<_>, _>>()?;
    counts.sort_unstable();
    Ok(per_call(counts[SAMPLES / 2]))
}

fn allocations(case: &str, variant: Variant) -> Result<f64, BoxError> {
    let options = ["--tool=memcheck", "--leak-check=no"];
    let after = |calls| number(&valgrind(case, variant, calls, &options)?, "heap usage:");
    // A connection may have more or less on its heap at the end.
    Ok(per_call(after(COUNTED)?.saturating_sub(after(0)?)))
}

/// What ours may have, and has.
struct Bound {
    what: &'static str,
    /// `None` where it could not be counted.
    is: Option<f64>,
    most: f64,
}

// === impl Bound ===

impl Bound {
    fn is_met(&self) -> bool {
        self.is.is_none_or(|is| is <= self.most)
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, most) = (self.what, self.most);
        match self.is {
            Some(is) if self.is_met() => write!(f, "{what}: {is:.3}, at most {most:.3}: met"),
            Some(is) => write!(f, "{what}: {is:.3}, at most {most:.3}: EXCEEDED"),
            None => write!(f, "{what}: not counted, at most {most:.3}"),
        }
    }
}

fn bounds(case: &Case, rows: &[Row], counts: bool) -> Vec<Bound> {
    let row = |variant| rows.iter().find(|row| row.variant == variant);
    let instructions = |variant| row(variant).and_then(|row| row.instructions);
    let Some(ours) = row(Variant::Ours) else {
        return Vec::new();
    };
    let mut bounds = Vec::new();
    let limit = &case.limit;
    if let Some(most) = limit.instructions_over_none {
        let none = instructions(Variant::None);
        let is = ours.instructions.zip(none).map(|(ours, none)| ours - none);
        bounds.push(Bound {
            what: "instructions more than without a layer",
            is: is.filter(|_| counts),
            most,
        });
    }
    if let Some(most) = limit.times_identity {
        let identity = instructions(Variant::Identity);
        let is = ours.instructions.zip(identity).map(|(ours, it)| ours / it);
        bounds.push(Bound {
            what: "times the instructions of an identity layer",
            is: is.filter(|_| counts),
            most,
        });
    }
    let other = row(limit.allocations_of).and_then(|row| row.allocations);
    if let (true, Some(most)) = (limit.allocations, other) {
        bounds.push(Bound {
            what: "allocations",
            is: ours.allocations,
            // A timer or the clock of the date header makes one now and then.
            most: most + 0.05,
        });
    }
    bounds
}
