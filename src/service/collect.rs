//! The files of a proto binding: the entry file and, transitively, what it imports.

use std::collections::HashMap;

use super::schema::{Entry, ProtoSource};
use crate::error::{Error, ErrorKind};
use crate::rules::imports;

/// Files by the path of the `import` statement.
pub(super) type Imports = HashMap<String, Vec<u8>>;

/// Files under `google/protobuf/` that every gateway has; language features come and go.
const BUILT_IN: [&str; 12] = [
    "any",
    "api",
    "compiler/plugin",
    "descriptor",
    "duration",
    "empty",
    "field_mask",
    "source_context",
    "struct",
    "timestamp",
    "type",
    "wrappers",
];

/// Reads the entry file and, transitively, what it imports.
pub(super) fn collect(
    proto: &ProtoSource,
    namespace: &str,
    label: &str,
) -> Result<(Vec<u8>, Imports), Error> {
    let collector = Collector { proto, label };
    let (entry_path, entry) = collector.entry()?;
    let own_name = format!("{namespace}.proto");
    let mut sent = HashMap::new();
    // Files that were met; those of the current chain wait for the end of their own imports.
    let mut met: HashMap<String, State> = HashMap::new();
    let mut chain = vec![Waiting::for_imports(
        entry_path.clone(),
        collector.imports_of(&entry, &entry_path)?,
    )];
    while let Some(waiting) = chain.last_mut() {
        let Some(path) = waiting.imports.next() else {
            met.insert(std::mem::take(&mut waiting.path), State::Done);
            chain.pop();
            continue;
        };
        if met.get(&path) == Some(&State::Done) {
            continue;
        }
        let trail = trail(&chain, &path);
        if met.get(&path) == Some(&State::Waiting) || path == entry_path {
            return Err(Error::new(
                ErrorKind::InvalidProto,
                format!(
                    "{label}: `{path}` imports itself ({trail}), which no compiler takes: move what \
                     both need into a file of its own"
                ),
            ));
        }
        if path == own_name {
            return Err(Error::new(
                ErrorKind::InvalidProto,
                format!(
                    "{label}: the gateway compiles the entry file as `{own_name}`, and `{path}` is \
                     also imported ({trail}): choose another namespace or rename that file"
                ),
            ));
        }
        match collector.read(&path, &trail)? {
            Some(source) => {
                let imports = collector.imports_of(&source, &trail)?;
                sent.insert(path.clone(), source);
                met.insert(path.clone(), State::Waiting);
                chain.push(Waiting::for_imports(path, imports));
            }
            None if is_built_in(&path) => {
                met.insert(path, State::Done);
            }
            None => return Err(collector.missing(&path, &trail)),
        }
    }
    Ok((entry, sent))
}

#[derive(PartialEq, Eq)]
enum State {
    Waiting,
    Done,
}

/// A file whose imports are being followed.
struct Waiting {
    path: String,
    imports: std::vec::IntoIter<String>,
}

impl Waiting {
    fn for_imports(path: String, imports: Vec<String>) -> Self {
        Self {
            path,
            imports: imports.into_iter(),
        }
    }
}

/// The chain of files that led to an import, for errors.
fn trail(chain: &[Waiting], path: &str) -> String {
    let files = chain.iter().map(|waiting| waiting.path.as_str());
    files.chain([path]).collect::<Vec<_>>().join(" → ")
}

fn is_built_in(path: &str) -> bool {
    let stem = path
        .strip_prefix("google/protobuf/")
        .and_then(|file| file.strip_suffix(".proto"));
    stem.is_some_and(|stem| BUILT_IN.contains(&stem) || stem.ends_with("_features"))
}

struct Collector<'a> {
    proto: &'a ProtoSource,
    label: &'a str,
}

// === impl Collector ===

impl Collector<'_> {
    fn entry(&self) -> Result<(String, Vec<u8>), Error> {
        let label = self.label;
        let missing = |why: String| Error::new(ErrorKind::MissingProtoEntry, why);
        match &self.proto.entry {
            Entry::Text(source) if source.iter().all(u8::is_ascii_whitespace) => Err(missing(
                format!("{label}: the proto source is empty; give the text of the entry file"),
            )),
            Entry::Text(source) => Ok(("the entry file".to_owned(), source.clone())),
            Entry::Tree { files, path } => {
                let path = super::proto_files::normal(path);
                let source = self.read(&path, &path)?.ok_or_else(|| {
                    missing(format!(
                        "{label}: the entry file `{path}` is not in {files}; its path is relative \
                         to the root of the tree"
                    ))
                })?;
                Ok((path, source))
            }
        }
    }

    fn read(&self, path: &str, trail: &str) -> Result<Option<Vec<u8>>, Error> {
        if let Some(source) = self.proto.imports.get(path) {
            return Ok(Some(source.clone()));
        }
        let Entry::Tree { files, .. } = &self.proto.entry else {
            return Ok(None);
        };
        files.read(path).map_err(|cause| {
            let message = format!(
                "{}: `{path}` in {files} cannot be read ({trail}); check that it is a file and \
                 its permissions",
                self.label
            );
            Error::new(ErrorKind::UnreadableProto, message).caused_by(cause)
        })
    }

    fn imports_of(&self, source: &[u8], trail: &str) -> Result<Vec<String>, Error> {
        let text = std::str::from_utf8(source).map_err(|cause| {
            let message = format!(
                "{}: {trail} is not UTF-8 text; save it as UTF-8",
                self.label
            );
            Error::new(ErrorKind::UnreadableProto, message).caused_by(cause)
        })?;
        Ok(imports::imports(text))
    }

    fn missing(&self, path: &str, trail: &str) -> Error {
        let label = self.label;
        let (place, mut remedy) = match &self.proto.entry {
            Entry::Text(_) => (
                "was not given".to_owned(),
                format!("add `.import(\"{path}\", …)`"),
            ),
            Entry::Tree { files, .. } => (
                format!("is not in {files}"),
                "add it under exactly this path".to_owned(),
            ),
        };
        if path.contains('\\') {
            remedy = format!("`import` wants `/`: write `{}`", path.replace('\\', "/"));
        } else if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            remedy = "`import` wants a path from the root of the tree, without `..`".to_owned();
        } else if path.starts_with("google/protobuf/") {
            remedy = format!("it is not built into gateways either: check its name, or {remedy}");
        }
        Error::new(
            ErrorKind::MissingProtoImport,
            format!("{label}: `{path}` is imported ({trail}) but {place}; {remedy}"),
        )
    }
}
