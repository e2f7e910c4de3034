//! Collects the files of a proto binding: the entry file and its imports, direct or not.

use std::collections::HashMap;

use super::schema::{Entry, ProtoSource};
use crate::finding::MOST_FINDINGS;
use crate::finding::Rule;
use crate::finding::excerpt::Lines;
use crate::finding::{Excerpt, Finding};
use crate::gateway::MAX_REQUEST_BYTES;
use crate::proto::imports;

/// Files, keyed by the path in the `import` statement.
pub(super) type Imports = HashMap<String, Vec<u8>>;

/// The name for an entry file that was given as text.
pub(super) const ENTRY_TEXT: &str = "the entry file";

/// Reads the entry file and everything it imports, directly or not; otherwise returns every error found.
pub(super) fn collect(
    proto: &ProtoSource,
    namespace: &str,
) -> Result<(Vec<u8>, Imports), Vec<Finding>> {
    let collector = Collector { proto };
    let (entry_path, entry) = collector.entry().map_err(|finding| vec![finding])?;
    let imports = Collector::imports_of(&entry, &|| entry_path.clone());
    let own_name = format!("{namespace}.proto");
    let mut found = Vec::new();
    let mut sent = HashMap::new();
    let mut bytes = entry.len();
    // Files seen so far; those in the current chain wait until their own imports are done.
    let mut met: HashMap<String, State> = HashMap::new();
    let mut chain = vec![Waiting::for_imports(
        entry_path.clone(),
        imports.map_err(|finding| vec![finding])?,
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
        let importer = waiting.path.clone();
        let trail = || trail(&chain, &path);
        let is_met = met.get(&path) == Some(&State::Waiting);
        let outcome = if is_met || path == entry_path {
            Err(imports_itself(&path, &trail()))
        } else if path == own_name {
            Err(is_called_like_the_entry(&path, &trail()))
        } else {
            collector.follow(&path, &trail)
        };
        match outcome {
            Ok(Some((source, imports))) => {
                bytes += path.len() + source.len();
                if bytes > MAX_REQUEST_BYTES {
                    return Err(vec![too_large(&path)]);
                }
                sent.insert(path.clone(), source);
                met.insert(path.clone(), State::Waiting);
                chain.push(Waiting::for_imports(path, imports));
            }
            Ok(None) => {
                met.insert(path, State::Done);
            }
            Err(finding) => {
                // Further errors are only counted and need no place.
                found.push(match found.len() < MOST_FINDINGS {
                    false => finding,
                    true => {
                        let source = match importer == entry_path {
                            true => Some(&entry),
                            false => sent.get(&importer),
                        };
                        finding.at(&*importer, import_in(source, &path))
                    }
                });
                if !is_met {
                    met.insert(path, State::Done);
                }
            }
        }
    }
    match found.is_empty() {
        true => Ok((entry, sent)),
        false => Err(found),
    }
}

fn too_large(path: &str) -> Finding {
    let message = format!(
        "with `{path}` the imported files exceed the {MAX_REQUEST_BYTES} bytes that a gateway \
         accepts"
    );
    Finding::error(Rule::RequestSize, message).help("send fewer or smaller schemas")
}

fn imports_itself(path: &str, trail: &str) -> Finding {
    let message = format!("`{path}` imports itself ({trail}), which no compiler accepts");
    let finding = Finding::error(Rule::ProtoImportLoop, message);
    finding.help("move what both need to a third file")
}

fn is_called_like_the_entry(path: &str, trail: &str) -> Finding {
    let message = format!(
        "the gateway compiles the entry file as `{path}`, and a file of that name is also imported \
         ({trail})"
    );
    let finding = Finding::error(Rule::ProtoImportLoop, message);
    finding.help("choose another namespace or rename that file")
}

/// The line where a file imports another.
fn import_in(source: Option<&Vec<u8>>, import: &str) -> Option<Excerpt> {
    let text = std::str::from_utf8(source?).ok()?;
    let start = text.find(&format!("\"{import}\""))?;
    Some(Lines::of(text).at_bytes(start, start + import.len() + 2))
}

/// The text of the entry file, if it is readable.
pub(super) fn entry_text(proto: &ProtoSource) -> Option<String> {
    let (_, entry) = Collector { proto }.entry().ok()?;
    String::from_utf8(entry).ok()
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

/// The chain of files that led to an import, for errors; a long chain is shortened to both ends.
fn trail(chain: &[Waiting], path: &str) -> String {
    let files = chain.iter().map(|waiting| waiting.path.as_str());
    let (first, last) = match chain.len() > 2 * END_OF_TRAIL {
        true => (END_OF_TRAIL, END_OF_TRAIL),
        false => (chain.len(), 0),
    };
    let gap = (last > 0).then_some("…");
    let ends = files.clone().take(first).chain(gap);
    let ends = ends.chain(files.skip(chain.len() - last));
    ends.chain([path]).collect::<Vec<_>>().join(" → ")
}

/// How many files are shown at each end of a trail.
const END_OF_TRAIL: usize = 5;

struct Collector<'a> {
    proto: &'a ProtoSource,
}

/// A file that was found, and its imports; `None` for a file that is built into gateways.
type Followed = Option<(Vec<u8>, Vec<String>)>;

// === impl Collector ===

impl Collector<'_> {
    fn entry(&self) -> Result<(String, Vec<u8>), Finding> {
        let missing = |why: String| Finding::error(Rule::ProtoEntryMissing, why);
        match &self.proto.entry {
            Entry::Text(source) if source.iter().all(u8::is_ascii_whitespace) => Err(missing(
                "the proto source is empty; pass the text of the entry file".to_owned(),
            )),
            Entry::Text(source) => Ok((ENTRY_TEXT.to_owned(), source.clone())),
            Entry::Tree { files, path } if path.is_empty() => Err(missing(format!(
                "`proto_dir` needs the path of the entry file within {files}"
            ))),
            Entry::Tree { files, path } => {
                let path = super::proto_files::normal(path);
                let source = self.read(&path, &|| path.clone())?.ok_or_else(|| {
                    missing(format!("the entry file `{path}` is not in {files}"))
                        .help(files.remedy_for_missing(&path))
                })?;
                Ok((path, source))
            }
        }
    }

    fn follow(&self, path: &str, trail: &dyn Fn() -> String) -> Result<Followed, Finding> {
        match self.read(path, trail)? {
            Some(source) => {
                let imports = Self::imports_of(&source, trail)?;
                Ok(Some((source, imports)))
            }
            None if imports::is_built_in(path) => Ok(None),
            None => Err(self.missing(path, &trail())),
        }
    }

    fn read(&self, path: &str, trail: &dyn Fn() -> String) -> Result<Option<Vec<u8>>, Finding> {
        if let Some(source) = self.proto.imports.get(path) {
            return Ok(Some(source.clone()));
        }
        let Entry::Tree { files, .. } = &self.proto.entry else {
            return Ok(None);
        };
        files.read(path).map_err(|cause| {
            let trail = trail();
            let message = format!("`{path}` in {files} cannot be read ({trail}): {cause}");
            let finding = Finding::error(Rule::ProtoUnreadable, message);
            finding.help("check that it is a regular file, and its permissions")
        })
    }

    fn imports_of(source: &[u8], trail: &dyn Fn() -> String) -> Result<Vec<String>, Finding> {
        let text = std::str::from_utf8(source).map_err(|cause| {
            let trail = trail();
            let message = format!("{trail} is not UTF-8 text: {cause}");
            Finding::error(Rule::ProtoUnreadable, message).help("save it as UTF-8")
        })?;
        Ok(imports::imports(text))
    }

    fn missing(&self, path: &str, trail: &str) -> Finding {
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
            remedy = format!(
                "`import` needs `/` as the separator: write `{}`",
                path.replace('\\', "/")
            );
        } else if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            remedy =
                "`import` needs a path relative to the root of the tree, without `..`".to_owned();
        } else if path.starts_with("google/protobuf/") {
            remedy =
                format!("gateways do not have it built in either: check its name, or {remedy}");
        }
        let message = format!("`{path}` is imported ({trail}) but {place}");
        Finding::error(Rule::ProtoImportMissing, message).help(remedy)
    }
}
