//! `diff`: what a change of schemas means to callers.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use tower_gwag_schema::diff::{Change, Level, diff};
use tower_gwag_schema::graphql_schema;

use crate::access::on_a_runtime;
use crate::check::faulty;
use crate::cli::{Diff, FailOn, How};
use crate::exit_codes::{FAULTY, FINE, Fault, GATEWAY, USAGE};
use crate::output::{self, Style, count, paint, say};
use crate::registered::Registered;
use crate::schema::hashes_of;
use crate::sources::{Kind, Source, Sources};

pub(crate) fn run(args: &Diff) -> Result<ExitCode, Fault> {
    let (old, new) = match (args.paths.as_slice(), &args.gateway.gateway) {
        ([new], Some(gateway)) => return with_gateway(args, new, gateway),
        ([old, new], None) => (old, new),
        ([_], None) => {
            let help = "tower-gwag diff OLD NEW, or tower-gwag diff NEW --gateway ADDR --http URL";
            return Err(Fault::new(USAGE, "there is nothing to compare with").help(help));
        }
        _ => {
            let help = "with --gateway, give only the new schemas";
            return Err(Fault::new(
                USAGE,
                "the old schemas are given twice: as a path, and by --gateway",
            )
            .help(help));
        }
    };
    let (old, new) = (one(old, &args.how)?, one(new, &args.how)?);
    let (mut olds, news) = (old.services(), new.services());
    // One file against another is one service, whatever the files' names.
    if let ([was], [is], None) = (old.all.as_slice(), new.all.as_slice(), &args.how.namespace)
        && let (Some(was_called), Some(is_called)) = (names(was).first(), names(is).first())
        && was_called != is_called
    {
        olds = olds
            .into_iter()
            .map(|it| it.namespace(is_called.clone()))
            .collect();
    }
    let release = new.release;
    let changes = diff(&olds, &news, release).map_err(|error| {
        let is_old = graphql_schema(&news, release).is_ok();
        faulty(if is_old { &old } else { &new }, error)
    })?;
    Ok(tell(args, &changes, &new, &old))
}

fn with_gateway(args: &Diff, new: &Path, gateway: &str) -> Result<ExitCode, Fault> {
    let sources = one(new, &args.how)?;
    let changes = on_a_runtime(async {
        let registered = Registered::ask(gateway, &args.gateway).await?;
        let mut all = Vec::new();
        for source in &sources.all {
            let hashes = hashes_of(&sources, source)?;
            for (namespace, hash) in hashes {
                let name = format!("{namespace}/{}", source.version);
                let Some(there) = registered.find(&namespace, &source.version) else {
                    say(&format!(
                        "{name}: not registered with {gateway}: all of it is new"
                    ));
                    continue;
                };
                if hash.hex() == Some(there.hash_hex.as_str()) {
                    say(&format!(
                        "{name}: registered with {gateway}, with this very schema"
                    ));
                    continue;
                }
                let (changes, note) = registered
                    .changes(source, &namespace, sources.release)
                    .await
                    .map_err(|why| Fault::new(GATEWAY, format!("{name}: {why}")))?;
                if let Some(note) = note {
                    say(&format!("{name}: {note}"));
                }
                all.extend(changes);
            }
        }
        Ok(all)
    })??;
    Ok(tell(args, &changes, &sources, &sources))
}

fn names(source: &Source) -> Vec<String> {
    let hashes = source.service.hashes().unwrap_or_default();
    hashes.into_iter().map(|(name, _)| name).collect()
}

fn one(path: &Path, how: &How) -> Result<Sources, Fault> {
    Sources::read(&[path.to_owned()], how)
}

fn tell(args: &Diff, changes: &[Change], new: &Sources, old: &Sources) -> ExitCode {
    let on_disk = |file: &str| {
        let name = file.split('#').next().unwrap_or(file);
        let kind = match name {
            "openapi" => Kind::OpenApi,
            "graphql" => Kind::GraphQl,
            _ => Kind::Proto,
        };
        let of_kind = |sources: &Sources| {
            let all = sources.all.iter().filter(|it| it.kind == kind);
            let files = all.map(|it| it.on_disk(name));
            files
                .filter(|it| Path::new(it).is_file())
                .collect::<Vec<_>>()
        };
        match (kind, of_kind(new).as_slice(), of_kind(old).as_slice()) {
            (Kind::Proto, [file, ..], _) | (Kind::Proto, [], [file, ..]) => Some(file.clone()),
            // The file, if there is only one: the change does not name the document.
            (_, [file], _) => Some(file.clone()),
            _ => None,
        }
    };
    let place = |it: &Change| {
        it.file()
            .map(|file| on_disk(file).unwrap_or_else(|| file.to_owned()))
    };
    if args.json {
        let all: Vec<Value> = changes
            .iter()
            .map(|it| {
                json!({
                    "level": it.level().to_string(), "protocol": it.protocol().to_string(),
                    "subject": it.subject(), "message": it.message(),
                    "file": place(it), "line": it.line(),
                })
            })
            .collect();
        output::json(&json!({ "changes": all }));
    } else {
        let mut text = String::new();
        for it in changes {
            let level = it.level();
            let style = match level {
                Level::Breaking => Style::Bad,
                Level::Dangerous => Style::Notice,
                _ => Style::Faint,
            };
            let level = paint(style, &level.to_string());
            text.push_str(&format!(
                "{level} ({}): {}: {}\n",
                it.protocol(),
                it.subject(),
                it.message()
            ));
            if let Some(file) = place(it) {
                let line = it.line().map_or_else(String::new, |it| format!(":{it}"));
                text.push_str(&format!("  --> {file}{line}\n"));
            }
        }
        let of = |level: Level| changes.iter().filter(|it| it.level() == level).count();
        let (breaking, dangerous, safe) =
            (of(Level::Breaking), of(Level::Dangerous), of(Level::Safe));
        let end = match changes.len() {
            0 => "no change that callers notice".to_owned(),
            _ => format!(
                "{breaking} breaking, {dangerous} dangerous, {}",
                count(safe, "safe change")
            ),
        };
        output::print(&format!("{text}{end}\n"));
    }
    let least = match args.fail_on {
        FailOn::Breaking => Some(Level::Breaking),
        FailOn::Dangerous => Some(Level::Dangerous),
        FailOn::Safe => Some(Level::Safe),
        FailOn::Never => None,
    };
    let fails = least.is_some_and(|least| changes.iter().any(|it| it.level() >= least));
    ExitCode::from(if fails { FAULTY } else { FINE })
}
