//! Keeps versions to their schemas: compares with `gwag.lock`, and adds what is not there.

use std::io;
use std::path::Path;

use super::environment::Environment;
use super::lock::{Entry, FILE, Lock};
use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::{Finding, Place};
use tower_gwag_schema::name;
use tower_gwag_schema::service::{Resolved, evidence};

/// Files that are beside `Cargo.toml` only in copies which cargo made of a package. Nobody commits
/// what is added there, and `cargo publish` forbids it.
const MARKS_OF_COPIES: [&str; 3] = ["Cargo.toml.orig", ".cargo-ok", ".cargo-checksum.json"];

/// What of a service goes against the lock file. `entry` is its entry file as the user calls it.
///
/// The hash is this crate's own. Where it is unsure whether a gateway's is the same it is locked all
/// the same: it is compared only with itself, and a source that changed has another one.
pub(super) fn keep(service: &Resolved, entry: &str, environment: &Environment) -> Vec<Finding> {
    let Some(version) = service.version.number() else {
        return Vec::new();
    };
    let namespace = &service.namespace;
    let hash = evidence::hash_of(service).and_then(|hash| hash.hex());
    // Another name could not be read back.
    let Some(hash) = hash.filter(|_| name::check_namespace(namespace).is_ok()) else {
        let message = format!(
            "`{namespace}/v{version}` is not locked: its hash cannot be computed here, or its \
             namespace is no name"
        );
        return vec![Finding::warning(Rule::VersionLocked, message)];
    };
    let path = environment.manifest_dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            let finding = Finding::error(Rule::LockFile, format!("it cannot be read: {error}"));
            let finding = finding.help("check its permissions, and that it is a text file");
            return vec![finding.at(Some(whole_file()))];
        }
    };
    let lock = match Lock::parse(&text) {
        Ok(lock) => lock,
        Err(found) => return found.into_iter().collect(),
    };
    match lock.find(namespace, version) {
        Some(locked) if locked.hash == hash => Vec::new(),
        Some(locked) => vec![changed(&lock, locked, hash, entry, environment.is_release)],
        None => {
            let added = lock.with(namespace, version, hash);
            let line = format!("{namespace} v{version} {hash}");
            vec![add(environment, &path, &added, &line).at(Some(whole_file()))]
        }
    }
}

fn whole_file() -> Place {
    Place {
        file: FILE.to_owned(),
        at: None,
    }
}

/// The line stays as it is in a debug build, too: who tries something out need not restore it.
fn changed(lock: &Lock, locked: &Entry, hash: &str, entry: &str, is_release: bool) -> Finding {
    let (namespace, version) = (&locked.namespace, locked.version);
    let newest = lock.newest(namespace).unwrap_or(version);
    let next = newest.saturating_add(1);
    let short = |hash: &str| hash.get(..8).unwrap_or_default().to_owned();
    let (was, is) = (short(&locked.hash), short(hash));
    let message = format!(
        "the schema of `{namespace}/v{version}` ({entry}) has changed from {was}… to {is}…, and \
         gateways take no other one under a vN that is registered"
    );
    let help = format!(
        "cut v{next} (`Bundle::new(…).version(\"v{next}\")`) or use `unstable`; if v{version} was \
         never released, remove this line, and the next build locks the new schema"
    );
    let finding = match is_release {
        true => Finding::error(Rule::VersionLocked, message),
        false => {
            let message = format!("{message}; a release build fails");
            Finding::warning(Rule::VersionLocked, message)
        }
    };
    finding.help(help).at(Some(lock.place_of(locked)))
}

/// Writes the file. Two builds at once may lose a line of each other: to cargo a file that was
/// written during a build has changed since, so that the next build looks again, and adds it.
fn add(environment: &Environment, path: &Path, text: &str, line: &str) -> Finding {
    let is_copy = MARKS_OF_COPIES
        .iter()
        .any(|mark| environment.manifest_dir.join(mark).exists());
    let written = match is_copy {
        true => Err(io::Error::other("this is a copy of a package")),
        false => replace(path, text),
    };
    match written {
        Ok(()) => {
            let message = format!("the line `{line}` is new");
            let finding = Finding::warning(Rule::VersionLocked, message);
            finding.help("commit the file; a release build fails when that schema changes")
        }
        Err(error) => {
            let message = format!("the line `{line}` is missing, and cannot be added: {error}");
            let finding = Finding::warning(Rule::VersionLocked, message);
            finding.help("commit it with the crate's source, so that the version keeps its schema")
        }
    }
}

/// Whoever reads the file has the old or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mine = path.with_extension(format!("lock.{}", std::process::id()));
    let done = std::fs::write(&mine, text).and_then(|()| std::fs::rename(&mine, path));
    if done.is_err() {
        // What is left of it hurts nobody.
        let _ = std::fs::remove_file(&mine);
    }
    done
}
