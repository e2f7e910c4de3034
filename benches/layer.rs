//! What does the layer cost a call?
//!
//! `cargo bench --bench layer`: side by side, without a layer, with one that does nothing, with
//! tower-http's `InFlightRequestsLayer`, and with ours: instructions (callgrind) and allocations
//! (memcheck), which are skipped where valgrind is not installed, and time as a ratio, because times
//! depend on the machine.
//!
//! Each server with each layer is a program of its own (`layer/program.rs`), as a user's is: where
//! several are one program, the compiler inlines less of each, and a layer that does nothing has cost
//! 500 instructions. What it inlines still depends on how it cuts a program into codegen units: in seven
//! ways of cutting, our layer has cost a tonic call from -99 to 879 instructions, and most of that was in
//! functions of tonic and prost. So instructions have their bounds with one codegen unit; the default,
//! also with more code in the program, is shown. The bounds over no layer leave out the allocator's
//! instructions, which differ by 300 from run to run: allocations have a bound of their own.
//!
//! What is counted is the server, on one thread, over memory instead of a socket, together with a
//! client that sends bytes and looks for the end of the answer; the last case has a socket, the wrapped
//! listener and the layer. The allocator is the one that users have: one that counts would itself be
//! counted.
//!
//! Ends with an error where a bound is exceeded. `-- WORD` runs only the cases whose names have it.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

type BoxError = Box<dyn Error + Send + Sync>;

/// Calls in one measurement of instructions, and measurements, of which the one in the middle counts:
/// hash maps and tokio's `select!` are seeded by chance.
const COUNTED: usize = 500;
const SAMPLES: usize = 9;

struct Case {
    name: &'static str,
    /// A server of `layer/servers.rs`, and how it is called.
    server: &'static str,
    call: &'static str,
    layers: &'static [&'static str],
    limit: Limit,
}

/// The bounds of ours.
#[derive(Clone, Copy, Default)]
struct Limit {
    instructions_over_none: Option<f64>,
    times_identity: Option<f64>,
    /// No more than with this layer.
    allocations_of: Option<&'static str>,
}

const NONE: &str = "none";
const IDENTITY: &str = "identity";
const IN_FLIGHT: &str = "in-flight-requests";
const OURS: &str = "ours";
const ALL: &[&str] = &[NONE, IDENTITY, IN_FLIGHT, OURS];

const READY: Limit = Limit {
    instructions_over_none: Some(350.0),
    times_identity: None,
    allocations_of: Some(NONE),
};
const TONIC: Limit = Limit {
    instructions_over_none: Some(500.0),
    times_identity: None,
    allocations_of: Some(NONE),
};
const AXUM: Limit = Limit {
    instructions_over_none: None,
    times_identity: Some(1.04),
    allocations_of: Some(IN_FLIGHT),
};
/// Only shown.
const SHOWN: Limit = Limit {
    instructions_over_none: None,
    times_identity: None,
    allocations_of: None,
};

const CASES: &[Case] = &[
    Case {
        name: "a ready service, GET over HTTP/1",
        server: "ready",
        call: "get",
        layers: ALL,
        limit: READY,
    },
    Case {
        name: "a ready service, gRPC",
        server: "ready",
        call: "grpc",
        layers: ALL,
        limit: READY,
    },
    Case {
        name: "tonic, unary",
        server: "tonic",
        call: "unary",
        layers: ALL,
        limit: TONIC,
    },
    Case {
        name: "tonic, a stream of ten",
        server: "tonic",
        call: "stream",
        layers: ALL,
        limit: TONIC,
    },
    Case {
        name: "axum's router, without a server",
        server: "router",
        call: "get",
        layers: ALL,
        limit: SHOWN,
    },
    Case {
        name: "axum, HTTP/1",
        server: "http1",
        call: "get",
        layers: ALL,
        limit: AXUM,
    },
    Case {
        name: "axum, HTTP/2",
        server: "http2",
        call: "get",
        layers: ALL,
        limit: AXUM,
    },
    Case {
        name: "axum::serve over a socket, HTTP/1; ours with the wrapped listener",
        server: "socket",
        call: "get",
        layers: &[NONE, OURS],
        limit: SHOWN,
    },
];

/// A way of building the programs.
struct Build {
    name: &'static str,
    /// Arguments of rustc.
    arguments: &'static [&'static str],
    /// Users have it by default: every layer, and its time and allocations.
    is_default: bool,
    /// The bounds of instructions are for it.
    is_bound: bool,
}

const BUILDS: &[Build] = &[
    Build {
        name: "release",
        arguments: &[],
        is_default: true,
        is_bound: false,
    },
    Build {
        name: "one codegen unit",
        arguments: &["-Ccodegen-units=1"],
        is_default: false,
        is_bound: true,
    },
    Build {
        name: "with more code",
        arguments: &["--cfg=more_code"],
        is_default: false,
        is_bound: false,
    },
];

fn main() -> Result<(), BoxError> {
    let counts = Command::new("valgrind").arg("--version").output().is_ok();
    if !counts {
        println!("valgrind is not installed: instructions and allocations are not counted");
    }
    let mut exceeded = Vec::new();
    let only = std::env::args().nth(1).filter(|it| !it.starts_with('-'));
    let is_chosen = |case: &&Case| only.as_ref().is_none_or(|it| case.name.contains(it));
    for case in CASES.iter().filter(is_chosen) {
        for build in BUILDS {
            let layers = match build.is_default {
                true => case.layers,
                false if counts => case.limit.compared(),
                false => &[],
            };
            if layers.is_empty() {
                continue;
            }
            println!("\n{}; {}", case.name, build.name);
            let rows: Vec<Row> = layers
                .iter()
                .map(|layer| Row::measure(case, build, layer, counts))
                .collect::<Result<_, _>>()?;
            for row in &rows {
                println!("  {}", row.show(&rows[0]));
            }
            for bound in bounds(&case.limit, &rows) {
                println!("  {bound}");
                if !bound.is_met() && (build.is_bound || !bound.is_of_instructions) {
                    exceeded.push(format!("{}; {}: {bound}", case.name, build.name));
                }
            }
        }
    }
    println!();
    match exceeded.is_empty() {
        true => Ok(()),
        false => Err(exceeded.join("\n").into()),
    }
}

// === impl Limit ===

impl Limit {
    /// The layers whose instructions are compared.
    fn compared(&self) -> &'static [&'static str] {
        match (self.instructions_over_none, self.times_identity) {
            (Some(_), _) => &[NONE, OURS],
            (None, Some(_)) => &[IDENTITY, OURS],
            (None, None) => &[],
        }
    }
}

/// Builds a server with a layer, as `cargo build --release` does.
fn program(case: &Case, build: &Build, layer: &str) -> Result<PathBuf, BoxError> {
    let mut cargo = Command::new(env!("CARGO"));
    // What Cargo tells this program makes build scripts, such as ring's, run again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    let output = cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "rustc",
            "--quiet",
            "--profile=bench",
            "--bench=layer_program",
        ])
        .args(["--message-format=json", "--", "--cfg=one_server"])
        .arg(format!("--cfg=server=\"{}\"", case.server))
        .arg(format!("--cfg=layer=\"{layer}\""))
        .args(build.arguments)
        .stderr(Stdio::inherit())
        .output()?;
    let messages = String::from_utf8(output.stdout)?;
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(message.get("executable")?.as_str()?.into())
    });
    let executable = executables.next_back();
    executable.ok_or_else(|| format!("not built: {}\n{messages}", output.status).into())
}

/// One line of the table. What was not measured is `None`.
struct Row {
    layer: &'static str,
    instructions: Option<Instructions>,
    allocations: Option<f64>,
    time: Option<Duration>,
}

/// Of a call.
#[derive(Clone, Copy)]
struct Instructions {
    all: f64,
    /// Outside of the allocator.
    outside: f64,
}

// === impl Row ===

impl Row {
    fn measure(
        case: &Case,
        build: &Build,
        layer: &'static str,
        counts: bool,
    ) -> Result<Self, BoxError> {
        let program = program(case, build, layer)?;
        let (mut allocated, mut time) = (None, None);
        if build.is_default {
            time = Some(timed(&program, case.call)?);
            allocated = counts
                .then(|| allocations(&program, case.call))
                .transpose()?;
        }
        let counted = counts.then(|| instructions(&program, case.call));
        Ok(Self {
            layer,
            instructions: counted.transpose()?,
            allocations: allocated,
            time,
        })
    }

    fn show(&self, first: &Self) -> String {
        let mut all = Vec::new();
        if let (Some(own), Some(first)) = (self.instructions, first.instructions) {
            all.push(format!(
                "{:>9.0} instructions ({:>+6.0}; outside of the allocator {:>+6.0})",
                own.all,
                own.all - first.all,
                own.outside - first.outside
            ));
        }
        if let Some(count) = self.allocations {
            all.push(format!("{count:>6.2} allocations"));
        }
        if let (Some(own), Some(first)) = (self.time, first.time) {
            let times = own.as_secs_f64() / first.as_secs_f64();
            all.push(format!("time x {times:.3} ({own:?})"));
        }
        format!("{:<20} {}", self.layer, all.join(", "))
    }
}

fn timed(program: &Path, call: &str) -> Result<Duration, BoxError> {
    let output = Command::new(program).args(["time", call]).output()?;
    let nanoseconds = String::from_utf8(output.stdout)?.trim().parse();
    let nanoseconds = nanoseconds.map_err(|_| String::from_utf8_lossy(&output.stderr))?;
    Ok(Duration::from_nanos(nanoseconds))
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn per_call(count: u64) -> f64 {
    count as f64 / COUNTED as f64
}

/// What valgrind says of so many calls.
fn valgrind(
    program: &Path,
    call: &str,
    calls: usize,
    options: &[&str],
) -> Result<String, BoxError> {
    let output = Command::new("valgrind")
        .args(options)
        .arg(program)
        .args(["count", call, &calls.to_string()])
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

fn instructions(program: &Path, call: &str) -> Result<Instructions, BoxError> {
    let file = std::env::temp_dir().join(format!("layer-{}", std::process::id()));
    let out = format!("--callgrind-out-file={}", file.display());
    let options = [
        "--tool=callgrind",
        &out,
        "--collect-atstart=no",
        "--toggle-collect=*counted_calls*",
    ];
    let (mut all, mut outside) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let count = number(&valgrind(program, call, COUNTED, &options)?, "Collected :")?;
        let profile = std::fs::read_to_string(&file)?;
        std::fs::remove_file(&file)?;
        all.push(count);
        outside.push(count.saturating_sub(of_the_allocator(&profile)));
    }
    let middle = |mut counts: Vec<u64>| {
        counts.sort_unstable();
        per_call(counts[SAMPLES / 2])
    };
    Ok(Instructions {
        all: middle(all),
        outside: middle(outside),
    })
}

/// The instructions in functions of malloc's, of a profile of callgrind.
fn of_the_allocator(profile: &str) -> u64 {
    let mut names = HashMap::new();
    let (mut is_counted, mut is_of_call, mut sum) = (false, false, 0);
    for line in profile.lines() {
        if let Some(function) = line.strip_prefix("fn=") {
            is_counted = is_of_malloc(&mut names, function);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            // A name is given once, and may be given here.
            is_of_malloc(&mut names, function);
        } else if line.starts_with("calls=") {
            // The next line is what was called, which has lines of its own.
            is_of_call = true;
        } else if line.starts_with(['+', '-', '*'])
            || line.starts_with(|it: char| it.is_ascii_digit())
        {
            if is_counted && !is_of_call {
                let cost = line.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok());
                sum += cost.unwrap_or(0);
            }
            is_of_call = false;
        }
    }
    sum
}

/// Of `(7) name`, or of `(7)` where the name was given before.
fn is_of_malloc<'a>(names: &mut HashMap<&'a str, bool>, function: &'a str) -> bool {
    const BEGINNINGS: [&str; 7] = [
        "malloc",
        "calloc",
        "realloc",
        "memalign",
        "_int_",
        "unlink_chunk",
        "systrim",
    ];
    if let Some((id, name)) = function.split_once(' ') {
        let is_part = name == "free" || BEGINNINGS.iter().any(|it| name.starts_with(it));
        names.insert(id, is_part);
        return is_part;
    }
    names.get(function).copied().unwrap_or(false)
}

fn allocations(program: &Path, call: &str) -> Result<f64, BoxError> {
    let options = ["--tool=memcheck", "--leak-check=no"];
    let after = |calls| number(&valgrind(program, call, calls, &options)?, "heap usage:");
    // A connection may have more or less on its heap at the end.
    Ok(per_call(after(COUNTED)?.saturating_sub(after(0)?)))
}

/// What ours may have, and has.
struct Bound {
    what: &'static str,
    /// `None` where it could not be counted.
    is: Option<f64>,
    most: f64,
    is_of_instructions: bool,
}

// === impl Bound ===

impl Bound {
    fn is_met(&self) -> bool {
        self.is.is_none_or(|is| is <= self.most)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, most) = (self.what, self.most);
        match self.is {
            Some(is) if self.is_met() => write!(f, "{what}: {is:.3}, at most {most:.3}: met"),
            Some(is) => write!(f, "{what}: {is:.3}, at most {most:.3}: EXCEEDED"),
            None => write!(f, "{what}: not counted, at most {most:.3}"),
        }
    }
}

fn bounds(limit: &Limit, rows: &[Row]) -> Vec<Bound> {
    let row = |layer| rows.iter().find(|row| row.layer == layer);
    let instructions = |layer| row(layer).and_then(|row| row.instructions);
    let ours = instructions(OURS);
    let mut bounds = Vec::new();
    if let Some(most) = limit.instructions_over_none {
        let is = ours.zip(instructions(NONE));
        bounds.push(Bound {
            what: "instructions outside of the allocator more than without a layer",
            is: is.map(|(ours, none)| ours.outside - none.outside),
            most,
            is_of_instructions: true,
        });
    }
    if let Some(most) = limit.times_identity {
        let is = ours.zip(instructions(IDENTITY));
        bounds.push(Bound {
            what: "times the instructions of an identity layer",
            is: is.map(|(ours, identity)| ours.all / identity.all),
            most,
            is_of_instructions: true,
        });
    }
    let other = limit.allocations_of.and_then(row);
    if let Some(most) = other.and_then(|row| row.allocations) {
        bounds.push(Bound {
            what: "allocations",
            is: row(OURS).and_then(|row| row.allocations),
            // A timer or the clock of the date header makes one now and then.
            most: most + 0.05,
            is_of_instructions: false,
        });
    }
    bounds
}
