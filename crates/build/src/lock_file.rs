//! Keeps each version to its schema: compares schemas with `gwag.lock`, and adds missing lines.

use std::io;
use std::path::Path;

use super::environment::Environment;
use super::lock::{Entry, FILE, Lock};
use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::name;
use tower_gwag_schema::service::{Resolved, evidence};

/// Files that only exist beside `Cargo.toml` in copies that cargo made of a package. Lines added there
/// would never be committed, and `cargo publish` forbids the change.
const MARKS_OF_COPIES: [&str; 3] = ["Cargo.toml.orig", ".cargo-ok", ".cargo-checksum.json"];

/// Findings where a service contradicts the lock file. `entry` is the user's name for its entry file.
///
/// The hash is this crate's own. It is locked even if a gateway's hash may differ: it is only compared
/// with itself, and a changed source has another hash.
pub(super) fn keep(service: &Resolved, entry: &str, environment: &Environment) -> Vec<Finding> {
    let Some(version) = service.version.number() else {
        return Vec::new();
    };
    let namespace = &service.namespace;
    let hash = evidence::hash_of(service).and_then(|hash| hash.hex());
    // A line with any other name could not be parsed again.
    let Some(hash) = hash.filter(|_| name::check_namespace(namespace).is_ok()) else {
        let message = format!(
            "`{namespace}/v{version}` is not locked: its hash cannot be computed here, or its \
             namespace is not a valid name"
        );
        return vec![Finding::warning(Rule::VersionLocked, message)];
    };
    let path = environment.manifest_dir.join(FILE);
    let is_no_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
    let bytes = tower_gwag_schema::service::read_file(&path);
    let text = match bytes.and_then(|it| String::from_utf8(it).map_err(is_no_text)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            let finding = Finding::error(Rule::LockFile, format!("it cannot be read: {error}"));
            let finding = finding.help("check its permissions, and that it is a text file");
            return vec![finding.at(FILE, None)];
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
            vec![add(environment, &path, &added, &line).at(FILE, None)]
        }
    }
}

/// In a debug build, too, the line stays as it is, so that experiments need not be reverted in the file.
fn changed(lock: &Lock, locked: &Entry, hash: &str, entry: &str, is_release: bool) -> Finding {
    let (namespace, version) = (&locked.namespace, locked.version);
    let newest = lock.newest(namespace).unwrap_or(version);
    let next = newest.saturating_add(1);
    let short = |hash: &str| hash.get(..8).unwrap_or_default().to_owned();
    let (was, is) = (short(&locked.hash), short(hash));
    let message = format!(
        "the schema of `{namespace}/v{version}` ({entry}) has changed from {was}… to {is}…, and \
         gateways accept no other schema for a vN that is registered"
    );
    let help = format!(
        "bump it to v{next} (`Bundle::new(…).version(\"v{next}\")`) or use `unstable`; if \
         v{version} was never released, remove this line, and the next build locks the new schema"
    );
    let finding = match is_release {
        true => Finding::error(Rule::VersionLocked, message),
        false => {
            let message = format!("{message}; a release build fails");
            Finding::warning(Rule::VersionLocked, message)
        }
    };
    finding.help(help).at(FILE, Some(lock.excerpt(locked)))
}

/// Writes the file. Two concurrent builds may lose each other's lines: to cargo, a file written during
/// a build has changed since, so the next build checks again and adds the lost line.
fn add(environment: &Environment, path: &Path, text: &str, line: &str) -> Finding {
    let is_copy = MARKS_OF_COPIES
        .iter()
        .any(|mark| environment.manifest_dir.join(mark).exists());
    let written = match is_copy {
        true => Err(io::Error::other("this directory is a copy of a package")),
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

/// Replaces the file atomically: readers see the old or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mine = path.with_extension(format!("lock.{}", std::process::id()));
    let done = std::fs::write(&mine, text).and_then(|()| std::fs::rename(&mine, path));
    if done.is_err() {
        // A leftover temporary file is harmless.
        let _ = std::fs::remove_file(&mine);
    }
    done
}
