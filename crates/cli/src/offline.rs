//! `schema`, `diff`, `hash`, `lock` and `explain`: commands without a network.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use tower_gwag::{CheckError, Finding, Rule, SchemaHash};
use tower_gwag_build::lock as locks;
use tower_gwag_schema::diff::{Change, Level, diff};
use tower_gwag_schema::{check_for, graphql_schema};

use crate::access::on_a_runtime;
use crate::against::Registered;
use crate::check::{Found, check};
use crate::cli::{Diff, Explain, FailOn, How, Lock, SchemaArgs};
use crate::output::{self, FAULTY, FILE, FINE, Fault, Style, USAGE, count, line, paint, say};
use crate::sources::{Kind, Source, Sources, extension, text_of, write};

pub(crate) fn schema(args: &SchemaArgs) -> Result<ExitCode, Fault> {
    let sources = Sources::read(&args.paths, &args.how)?;
    match graphql_schema(&sources.services(), sources.release) {
        Ok(schema) => {
            output::print(&schema.to_string());
            Ok(ExitCode::from(FINE))
        }
        Err(error) => Err(faulty(&sources, error)),
    }
}

/// The findings of a check, as the error of a command.
fn faulty(sources: &Sources, error: CheckError) -> Fault {
    // Checks again source by source, because only that shows whose file is at fault.
    let found = check(sources);
    let of_sources = found.iter().filter(|it| it.finding.is_error());
    let mut shown: Vec<String> = of_sources.map(Found::shown).collect();
    if shown.is_empty() {
        let others = error.into_findings().into_iter();
        let others = others.map(|it| it.for_command_line(|_| None));
        shown.extend(others.filter(Finding::is_error).map(|it| it.to_string()));
    }
    let message = format!("a gateway cannot serve this\n\n{}\n", shown.join("\n\n"));
    Fault::new(FAULTY, message).help("`tower-gwag check` tells more")
}

pub(crate) fn hash(args: &SchemaArgs) -> Result<ExitCode, Fault> {
    let sources = Sources::read(&args.paths, &args.how)?;
    for source in &sources.all {
        let hashes = hashes_of(&sources, source)?;
        for (namespace, hash) in hashes {
            let hex = hash.hex().unwrap_or("-");
            line(format_args!("{hex}  {namespace}/{}", source.version));
            if let Some(doubt) = hash.doubt() {
                say(&format!(
                    "{namespace}/{}: a gateway may compute another hash: {doubt}",
                    source.version
                ));
            }
        }
    }
    Ok(ExitCode::from(FINE))
}

pub(crate) fn lock(args: &Lock) -> Result<ExitCode, Fault> {
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
                        "the schema of `{name}` ({}) has changed from {was}… to {}…: cut v{next}, or use unstable; if {} was never released, remove its line",
                        source.shown(), &hex[..8], source.version
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
            .help("gateways take no other schema under a vN that is registered"));
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

pub(crate) fn compare(args: &Diff) -> Result<ExitCode, Fault> {
    let (old, new) = match (args.paths.as_slice(), &args.gateway.gateway) {
        ([new], Some(gateway)) => return with_gateway(args, new, gateway),
        ([old, new], None) => (old, new),
        ([_], None) => {
            let help = "tower-gwag diff OLD NEW, or tower-gwag diff NEW --gateway ADDR --http URL";
            return Err(Fault::new(USAGE, "there is nothing to compare with").help(help));
        }
        _ => {
            let help = "with --gateway give the new schemas only";
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

/// The hashes of a source; a schema is required.
fn hashes_of(sources: &Sources, source: &Source) -> Result<Vec<(String, SchemaHash)>, Fault> {
    let hashes = source.service.hashes();
    let hashes = hashes.map_err(|error| faulty(sources, error))?;
    if hashes.is_empty() {
        check_for(std::slice::from_ref(&source.service), sources.release)
            .map_err(|error| faulty(sources, error))?;
    }
    Ok(hashes)
}

fn names(source: &Source) -> Vec<String> {
    let hashes = source.service.hashes().unwrap_or_default();
    hashes.into_iter().map(|(name, _)| name).collect()
}

fn one(path: &Path, how: &How) -> Result<Sources, Fault> {
    Sources::read(&[path.to_owned()], how)
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
                    .map_err(|why| Fault::new(output::GATEWAY, format!("{name}: {why}")))?;
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
            0 => "nothing that callers notice".to_owned(),
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

pub(crate) fn explain(args: &Explain) -> Result<ExitCode, Fault> {
    let rules: Vec<Option<Rule>> = args
        .what
        .iter()
        .map(|it| it.to_str().and_then(|id| id.parse().ok()))
        .collect();
    if rules.iter().all(Option::is_some) {
        for rule in rules.into_iter().flatten() {
            explain_rule(rule);
        }
        return Ok(ExitCode::from(FINE));
    }
    for (what, rule) in args.what.iter().zip(&rules) {
        let is_a_name = extension(what).is_empty() && !what.exists();
        if let (None, true, Some(text)) = (rule, is_a_name, what.to_str()) {
            return Err(no_rule(text));
        }
    }
    let sources = Sources::read(&args.what, &args.how)?;
    explain_calls(&sources)
}

fn no_rule(text: &str) -> Fault {
    let mut near: Vec<&str> = Rule::ALL
        .iter()
        .map(|it| it.id())
        .filter(|id| {
            let words = text.split('-').filter(|it| it.len() > 3);
            words.clone().count() > 0 && words.clone().any(|word| id.contains(word))
        })
        .collect();
    near.truncate(5);
    let message = format!("`{}` is no file and no rule", output::plain(text));
    let help = match near.as_slice() {
        [] => "findings name their rule in brackets, such as proto-two-services".to_owned(),
        some => format!("is it one of {}?", some.join(", ")),
    };
    Fault::new(FILE, message).help(help)
}

fn explain_rule(rule: Rule) {
    let mut text = format!("{}\n\n", paint(Style::Bold, rule.id()));
    let section = rule.explanation();
    let (head, rest) = section.split_once('\n').unwrap_or((section, ""));
    let body = if head.trim_start_matches('#').trim() == rule.id() {
        rest
    } else {
        section
    };
    let mut fence: Option<bool> = None;
    for part in body.trim().lines() {
        if let Some(kind) = part.strip_prefix("```") {
            match fence {
                Some(_) => fence = None,
                None => {
                    let is_bad = kind.contains("bad");
                    fence = Some(is_bad);
                    let (style, title) = if is_bad {
                        (Style::Bad, "bad")
                    } else {
                        (Style::Good, "good")
                    };
                    let gap = if text.ends_with("\n\n") { "" } else { "\n" };
                    text.push_str(&format!("{gap}{}:\n", paint(style, title)));
                }
            }
            continue;
        }
        match fence {
            Some(_) => text.push_str(&format!("    {part}\n")),
            None => text.push_str(&format!("{part}\n")),
        }
    }
    let end = match rule.is_allowable() {
        true => format!(
            "\nA false alarm? `--allow {rule}` lets it pass, or `allow = [\"{rule}\"]` in a gwag.toml.\n\n"
        ),
        false => "\nEvery gateway enforces it: it cannot be allowed.\n\n".to_owned(),
    };
    text.push_str(&end);
    output::print(&text);
}

/// What happens to calls, by operation and ingress.
fn explain_calls(sources: &Sources) -> Result<ExitCode, Fault> {
    for source in &sources.all {
        let calls = source.service.calls();
        let calls = calls.map_err(|error| faulty(sources, error))?;
        line(calls);
    }
    Ok(ExitCode::from(FINE))
}
