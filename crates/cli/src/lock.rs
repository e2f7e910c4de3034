//! `lock`: a version vN keeps its schema.

use std::process::ExitCode;

use tower_gwag_build::lock as locks;

use crate::cli::Lock;
use crate::exit_codes::{FAULTY, FILE, FINE, Fault};
use crate::output::{line, say};
use crate::schema::hashes_of;
use crate::sources::{Sources, text_of, write};

pub(crate) fn run(args: &Lock) -> Result<ExitCode, Fault> {
    let sources = Sources::read(&args.schemas.paths, &args.schemas.how)?;
    let shown = args.file.display().to_string();
    let old = match args.file.exists() {
        true => text_of(&args.file)?,
        false => String::new(),
    };
    let read = |text: &str| {
        locks::Lock::parse(text).map_err(|found| {
            let found: Vec<String> = found
                .iter()
                .map(|it| {
                    it.clone()
                        .for_command_line(|_| Some(shown.clone()))
                        .to_string()
                })
                .collect();
            Fault::new(
                FILE,
                format!("`{shown}` cannot be read\n\n{}\n", found.join("\n\n")),
            )
        })
    };
    let mut text = old.clone();
    let (mut changed, mut missing) = (Vec::new(), Vec::new());
    for source in &sources.all {
        let hashes = hashes_of(&sources, source)?;
        for (namespace, hash) in hashes {
            let number = source
                .version
                .strip_prefix('v')
                .and_then(|it| it.parse::<u64>().ok());
            let name = format!("{namespace}/{}", source.version);
            let (Some(number), Some(hex)) = (number, hash.hex()) else {
                say(&format!(
                    "{name}: not locked: {}",
                    hash.doubt().unwrap_or("`unstable` may change at any time")
                ));
                continue;
            };
            let lock = read(&text)?;
            match lock.find(&namespace, number) {
                Some(locked) if locked.hash() == hex => {}
                Some(locked) => {
                    let next = lock.newest(&namespace).unwrap_or(number).saturating_add(1);
                    let was = &locked.hash()[..8];
                    changed.push(format!(
                        "the schema of `{name}` ({}) has changed from {was}… to {}…: bump it to \
                         v{next}, or use unstable; if {} was never released, remove its line",
                        source.shown(),
                        &hex[..8],
                        source.version
                    ));
                }
                None => {
                    text = lock.with(&namespace, number, hex);
                    missing.push(format!("{namespace} {} {hex}", source.version));
                }
            }
        }
    }
    if !changed.is_empty() {
        let message = changed.join("\n");
        return Err(Fault::new(FAULTY, message)
            .help("gateways accept no other schema for a vN that is registered"));
    }
    if args.check && !missing.is_empty() {
        let message = format!("`{shown}` has no line for\n  {}", missing.join("\n  "));
        return Err(Fault::new(FAULTY, message)
            .help("run `tower-gwag lock` without --check, and commit the file"));
    }
    if !missing.is_empty() {
        write(&args.file, &text)?;
        for it in &missing {
            line(format_args!("{shown}: + {it}"));
        }
    }
    let all = sources.counted();
    say(&format!("{shown}: {all}, {} new", missing.len()));
    Ok(ExitCode::from(FINE))
}
