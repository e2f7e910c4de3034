//! What does the layer cost a call?
//!
//! `cargo bench --bench layer`: side by side, without a layer, with one that does nothing, with
//! tower-http's `InFlightRequestsLayer`, and with ours: instructions (callgrind; skipped where
//! valgrind is not installed), allocations, and time as a ratio, because times depend on the
//! machine. The instructions of client and server are counted together, on one thread, over memory
//! instead of a socket; the last case has a socket, the wrapped listener and the layer.
//!
//! Ends with an error where a bound is exceeded.

#[path = "layer/cases.rs"]
mod cases;

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use cases::{CASES, Case, Variant};

type BoxError = Box<dyn Error + Send + Sync>;

/// Calls in one measurement of instructions; what comes before the calls is counted in two
/// measurements, of which one has twice the calls, and cancels out.
const COUNTED: usize = 500;
const SAMPLES: usize = 3;
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
        (case.prepare)(*variant)(calls.parse()?);
        return Ok(());
    }
    let counts = Command::new("valgrind").arg("--version").output().is_ok();
    if !counts {
        println!("valgrind is not installed: instructions are not counted");
    }
    let mut exceeded = Vec::new();
    for case in CASES {
        println!("\n{}", case.name);
        let rows: Vec<Row> = case
            .variants
            .iter()
            .map(|variant| Row::measure(case, *variant, counts))
            .collect::<Result<_, _>>()?;
        for row in &rows {
            println!("  {}", row.show(&rows[0]));
        }
        exceeded.extend(bounds(case, &rows));
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
    allocations: f64,
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
        let fewest = (0..5).map(|_| allocation_counter::measure(|| run(COUNTED)).count_total);
        let allocations = fewest.min().unwrap_or_default();
        let instructions = match counts {
            true => Some(instructions(case.name, variant)?),
            false => None,
        };
        Ok(Self {
            variant,
            instructions,
            allocations: per_call(allocations),
            time: time / u32::try_from(TIMED)?,
        })
    }

    fn show(&self, first: &Self) -> String {
        let counted = match (self.instructions, first.instructions) {
            (Some(ours), Some(first)) => {
                format!("{ours:>9.0} instructions ({:>+6.0})", ours - first)
            }
            _ => "instructions not counted".to_owned(),
        };
        format!(
            "{:<20} {counted}, {:>6.2} allocations, time x {:.3} ({:?})",
            self.variant.name(),
            self.allocations,
            self.time.as_secs_f64() / first.time.as_secs_f64(),
            self.time,
        )
    }
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn per_call(count: u64) -> f64 {
    count as f64 / COUNTED as f64
}

fn instructions(case: &str, variant: Variant) -> Result<f64, BoxError> {
    let count = |calls: usize| -> Result<u64, BoxError> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe()?)
            .args(["run", case, variant.name(), &calls.to_string()])
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let collected = text
            .lines()
            .find_map(|line| line.split("Collected : ").nth(1));
        let collected = collected.and_then(|count| count.trim().parse().ok());
        collected.ok_or_else(|| format!("{case}, {}: {text}", variant.name()).into())
    };
    // Hash maps are seeded by chance: the least of each counts.
    let least = |calls: usize| -> Result<u64, BoxError> {
        let counts = (0..SAMPLES).map(|_| count(calls));
        let counts = counts.collect::<Result<Vec<u64>, _>>()?;
        Ok(counts.into_iter().min().unwrap_or_default())
    };
    let once = least(COUNTED)?;
    Ok(per_call(least(2 * COUNTED)?.saturating_sub(once)))
}

/// What is more than it may be.
fn bounds(case: &Case, rows: &[Row]) -> Vec<String> {
    let row = |variant| rows.iter().find(|row| row.variant == variant);
    let Some(ours) = row(Variant::Ours) else {
        return Vec::new();
    };
    let mut exceeded = Vec::new();
    let mut check = |what: &str, is: f64, most: f64| {
        if is > most {
            let variant = ours.variant.name();
            exceeded.push(format!(
                "{}, {variant}: {is:.2} {what}, at most {most:.2}",
                case.name
            ));
        }
    };
    let limit = &case.limit;
    if let (Some(more), Some(none)) = (limit.instructions_over_none, row(Variant::None))
        && let (Some(ours), Some(none)) = (ours.instructions, none.instructions)
    {
        check("instructions more than without a layer", ours - none, more);
    }
    if let (Some(times), Some(identity)) = (limit.times_identity, row(Variant::Identity))
        && let (Some(ours), Some(identity)) = (ours.instructions, identity.instructions)
    {
        check(
            "times the instructions of an identity layer",
            ours / identity,
            times,
        );
    }
    if let (true, Some(other)) = (limit.allocations, row(limit.allocations_of)) {
        // A timer or the clock of the date header makes one now and then.
        check("allocations", ours.allocations, other.allocations + 0.05);
    }
    exceeded
}
