//! Converts descriptor sets: prints the files that an entry file needs as proto text.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, FileDescriptor};

use crate::finding::Finding;
use crate::finding::Rule;
use crate::gateway::MAX_REQUEST_BYTES;
use crate::proto;
use crate::proto::imports;
use crate::proto::link::Imports;
use crate::proto::print;

/// How many names a finding lists.
const MOST_NAMES: usize = 20;

/// The text of each file to send, by name, and the findings.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) found: Vec<Finding>,
}

/// A FileDescriptorSet with its files left encoded: typed ones would lose custom options.
#[derive(Clone, PartialEq, Message)]
struct RawSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

/// A file of a descriptor set.
struct File {
    bytes: Vec<u8>,
    imports: Imports,
}

/// How many imports may be visited to resolve `import public`.
const MOST_STEPS: usize = 1_000_000;

/// The text of the entry file and all its imports, direct or not; otherwise an error.
pub(crate) fn texts(set: &[u8], entry: &str) -> Result<Texts, Finding> {
    let files = files(set)?;
    if !files.contains_key(entry) {
        return Err(without_entry(&files, entry));
    }
    let mut pool = DescriptorPool::new();
    let has_public = files.values().any(|it| !it.imports.public.is_empty());
    let mut steps = 0;
    for (name, mut bytes) in needed(&files, entry)? {
        if has_public {
            flatten(&files, &name, &mut bytes, &mut steps);
        }
        add(&mut pool, &bytes).map_err(|why| {
            let message = format!("`{name}` of the descriptor set cannot be used: {why}");
            let help = "register the proto files instead: `Service::proto_dir`";
            let finding = Finding::error(Rule::DescriptorSet, message).help(help);
            finding.at(name.as_str(), None)
        })?;
    }
    let mut texts = Texts::default();
    let mut sent: Vec<FileDescriptor> = pool.files().collect();
    sent.retain(|file| !imports::is_built_in(file.name()) || file.name() == entry);
    for file in &sent {
        let imports = files.get(file.name()).filter(|_| has_public);
        let printed = print::print(file, imports.map(|it| &it.imports));
        texts.files.insert(file.name().to_owned(), printed.text);
        texts.found.extend(lost(file.name(), printed.lost));
    }
    texts.found.extend(differences(&sent, entry, &texts.files));
    Ok(texts)
}

fn add(pool: &mut DescriptorPool, bytes: &[u8]) -> Result<(), String> {
    let file = FileDescriptorProto::decode(bytes).map_err(|cause| cause.to_string())?;
    // The pool does not check the syntax itself.
    if !matches!(file.syntax.as_deref(), None | Some("proto2" | "proto3")) {
        return Err(format!(
            "its syntax is `{}`, and only proto2 and proto3 are supported here",
            file.syntax()
        ));
    }
    let added = pool.decode_file_descriptor_proto(bytes);
    added.map_err(|cause| cause.to_string())
}

/// Replaces `import public` by imports of everything it exposes: the pool resolves only one level of it,
/// in a time that doubles with each (docs/upstream-issues.md).
fn flatten(files: &BTreeMap<String, File>, name: &str, bytes: &mut Vec<u8>, steps: &mut usize) {
    let Some(file) = files.get(name) else { return };
    let Some(mut flat) = without_field(bytes, PUBLIC_DEPENDENCY) else {
        return;
    };
    let mut met: HashSet<&str> = file.imports.all.iter().map(String::as_str).collect();
    let mut open: Vec<&str> = file.imports.all.iter().map(String::as_str).collect();
    while let Some(import) = open.pop() {
        let Some(File { imports, .. }) = files.get(import) else {
            continue;
        };
        for index in &imports.public {
            *steps += 1;
            let index = usize::try_from(*index).ok();
            let shown = index.and_then(|it| imports.all.get(it));
            if let Some(shown) = shown.filter(|it| *steps <= MOST_STEPS && met.insert(it)) {
                // Repeated fields may be anywhere in a message.
                prost::encoding::string::encode(DEPENDENCY, shown, &mut flat);
                open.push(shown);
            }
        }
    }
    *bytes = flat;
}

/// Field numbers of FileDescriptorProto.
const DEPENDENCY: u32 = 3;
const PUBLIC_DEPENDENCY: u32 = 10;

/// A message without one of its fields; `None` if it is malformed.
fn without_field(message: &[u8], field: u32) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len());
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let (number, wire_type) = prost::encoding::decode_key(&mut rest).ok()?;
        let context = prost::encoding::DecodeContext::default();
        prost::encoding::skip_field(wire_type, number, &mut rest, context).ok()?;
        if number != field {
            out.extend_from_slice(&start[..start.len() - rest.len()]);
        }
    }
    Some(out)
}

/// The files of a set by name.
fn files(set: &[u8]) -> Result<BTreeMap<String, File>, Finding> {
    let unreadable = |why: String| {
        let message = format!("the bytes are not a descriptor set: {why}");
        let help = "pass an encoded `google.protobuf.FileDescriptorSet`, such as a build script \
                    writes for reflection, with all imports";
        Finding::error(Rule::DescriptorSet, message).help(help)
    };
    let set = RawSet::decode(set).map_err(|cause| unreadable(cause.to_string()))?;
    let mut files = BTreeMap::new();
    for bytes in set.file {
        let file = FileDescriptorProto::decode(&*bytes).map_err(|it| unreadable(it.to_string()))?;
        let name = file.name().to_owned();
        let imports = Imports {
            all: file.dependency,
            public: file.public_dependency,
        };
        // Of several files with one name, the first counts, as for protoc.
        files.entry(name).or_insert(File { bytes, imports });
    }
    Ok(files)
}

fn without_entry(files: &BTreeMap<String, File>, entry: &str) -> Finding {
    let names: Vec<_> = files
        .keys()
        .take(MOST_NAMES)
        .map(|it| format!("`{it}`"))
        .collect();
    let more = files.len() - names.len();
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    let message = match names.is_empty() {
        true => format!("the entry file `{entry}` is not in the descriptor set, which is empty"),
        false => format!(
            "the entry file `{entry}` is not in the descriptor set, which has {}{more}",
            names.join(", ")
        ),
    };
    Finding::error(Rule::ProtoEntryMissing, message).help("use its name in the set")
}

/// The files that the entry file needs, itself included, each after its imports.
fn needed(files: &BTreeMap<String, File>, entry: &str) -> Result<Vec<(String, Vec<u8>)>, Finding> {
    let mut needed = Vec::new();
    // Files seen so far, and whether they are done.
    let mut met: HashMap<String, bool> = HashMap::new();
    let mut chain: Vec<(String, Vec<u8>, std::vec::IntoIter<String>)> = Vec::new();
    let mut next = Some(entry.to_owned());
    loop {
        if let Some(name) = next.take() {
            let trail = || {
                let names = chain.iter().map(|it| it.0.as_str()).chain([&*name]);
                names.collect::<Vec<_>>().join(" → ")
            };
            match met.get(&name) {
                Some(true) => {}
                Some(false) => {
                    let message = format!("`{name}` imports itself ({})", trail());
                    return Err(Finding::error(Rule::ProtoImportLoop, message));
                }
                None => {
                    let (bytes, imports) = read(files, &name).ok_or_else(|| {
                        let message = format!(
                            "`{name}` is imported ({}) but is not in the descriptor set",
                            trail()
                        );
                        let help = "write the set with all imports (`--include_imports`)";
                        Finding::error(Rule::ProtoImportMissing, message).help(help)
                    })?;
                    met.insert(name.clone(), false);
                    chain.push((name, bytes, imports.all.into_iter()));
                }
            }
        }
        let Some((_, _, imports)) = chain.last_mut() else {
            return Ok(needed);
        };
        next = imports.next();
        if next.is_none()
            && let Some((name, bytes, _)) = chain.pop()
        {
            met.insert(name.clone(), true);
            needed.push((name, bytes));
        }
    }
}

/// A file from the set, or a built-in one.
fn read(files: &BTreeMap<String, File>, name: &str) -> Option<(Vec<u8>, Imports)> {
    if let Some(file) = files.get(name) {
        return Some((file.bytes.clone(), file.imports.clone()));
    }
    // The global pool may contain files of the enclosing program, too.
    let global = imports::is_built_in(name).then(DescriptorPool::global)?;
    let file = global.get_file_by_name(name)?;
    let descriptor = file.file_descriptor_proto();
    let imports = Imports {
        all: descriptor.dependency.clone(),
        public: descriptor.public_dependency.clone(),
    };
    Some((file.encode_to_vec(), imports))
}

fn lost(name: &str, mut options: Vec<String>) -> Option<Finding> {
    options.sort();
    options.dedup();
    let count = options.len();
    options.truncate(MOST_NAMES);
    let message = format!(
        "these options are left out, because the descriptor set does not declare them: {}",
        options.join(", ")
    );
    let help = "gateways do not use them; to keep them, add the files that declare them to the set";
    let finding = Finding::warning(Rule::DescriptorSetLoss, message).help(help);
    (count > 0).then(|| finding.at(name, None))
}

/// Differences between the files and their compiled texts. A text that does not compile is reported
/// elsewhere.
fn differences(
    files: &[FileDescriptor],
    entry: &str,
    texts: &BTreeMap<String, String>,
) -> Vec<Finding> {
    // A larger text cannot be sent, which is reported elsewhere.
    if texts.values().map(String::len).sum::<usize>() > MAX_REQUEST_BYTES {
        return Vec::new();
    }
    let stem = entry.strip_suffix(".proto").unwrap_or(entry);
    let sources = texts
        .iter()
        .map(|(name, text)| (name.clone(), text.clone().into_bytes()));
    let sources: HashMap<String, Vec<u8>> = sources.collect();
    let source = sources.get(entry).cloned().unwrap_or_default();
    let Ok(compiled) = proto::compile(stem, &source, &sources) else {
        return Vec::new();
    };
    let compiled: HashMap<String, FileDescriptor> = compiled
        .files()
        .map(|file| (file.name().to_owned(), file))
        .collect();
    let differs = |file: &FileDescriptor| {
        let again = compiled
            .get(file.name())
            .or_else(|| compiled.get(&format!("{stem}.proto")))?;
        let what = print::difference(file, again)?;
        let message = format!("proto text cannot express the whole descriptor: {what}");
        let help = "register the proto files instead: `Service::proto_dir`";
        let finding = Finding::error(Rule::DescriptorSetLoss, message).help(help);
        Some(finding.at(file.name(), None))
    };
    files.iter().filter_map(differs).collect()
}
