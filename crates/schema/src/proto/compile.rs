//! Compiles proto sources from memory as a gateway does (contract § 2).

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::str::Utf8Error;

use miette::Diagnostic;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{
    DescriptorPool, EnumDescriptor, ExtensionDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor, Syntax,
};
use protox::Compiler;
use protox::file::{File, FileResolver};

use crate::location::Location;
use crate::proto::fault::{self, ProtoFault};
use crate::proto::link::{self, Imports, Linked, LinkedFile};
use crate::proto::preprocess::{self, Changes};
use crate::proto::semantics;

/// The name that a gateway gives to a proto binding without a namespace.
pub const UNNAMED: &str = "entry";

/// An entry file and all its imports, compiled.
#[derive(Clone, Debug)]
pub struct Compiled {
    pool: DescriptorPool,
    entry: String,
    /// The text of every file that is not built in, by name.
    sources: HashMap<String, String>,
    /// The original imports of files whose imports differ in the pool.
    imports: HashMap<String, Imports>,
    editions: HashSet<String>,
    renamed: HashSet<String>,
}

/// Why a proto source cannot be compiled: `file:line:column: reason` if the place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileFault {
    pub text: String,
    /// A real gateway may still compile it.
    pub unsupported: bool,
    /// At least one: every fault that the compiler reported.
    pub(crate) details: Vec<ProtoFault>,
}

/// Compiles `source` as the file `<namespace>.proto`.
///
/// Imports are found by the exact text of the `import` statement; `google/protobuf/*` is built in
/// and can be overridden. An import under the entry's own name replaces the source, as in a real
/// gateway.
///
/// # Errors
///
/// Every fault that the compiler reports.
pub fn compile(
    namespace: &str,
    source: &[u8],
    imports: &HashMap<String, Vec<u8>>,
) -> Result<Compiled, CompileFault> {
    let entry = format!("{namespace}.proto");
    let mut texts = HashMap::new();
    let mut no_texts = HashMap::new();
    let own = (!imports.contains_key(&entry)).then_some((entry.as_str(), source));
    let imported = imports.iter().map(|(name, text)| (name.as_str(), &**text));
    for (name, bytes) in imported.chain(own) {
        match text_of(bytes) {
            Ok(text) => {
                texts.insert(name, text);
            }
            Err(error) => {
                no_texts.insert(name.to_owned(), error);
            }
        }
    }
    let sources = Sources {
        entry: &entry,
        texts,
        no_texts,
    };
    let fault = |error: &protox::Error| CompileFault::new(error, &sources.texts);
    let (pool, linked) = sources.compile().map_err(|error| fault(&error))?;
    let used: BTreeSet<String> = pool.files().map(|file| file.name().to_owned()).collect();
    let changed = linked.files.iter();
    let imports = changed
        .filter_map(|(name, file)| Some((name.clone(), file.own.clone()?)))
        .collect();
    let Sources { texts, .. } = sources;
    let sources = texts
        .into_iter()
        .filter(|(name, _)| used.contains(*name))
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    let with = |has: fn(&Changes) -> bool| {
        let found = linked.files.iter().filter(|(_, file)| has(&file.changes));
        found.map(|(name, _)| name.clone()).collect()
    };
    let compiled = Compiled {
        pool,
        entry,
        sources,
        imports,
        editions: with(|it| it.edition),
        renamed: with(|it| it.renamed),
    };
    match semantics::faults(&compiled) {
        faults if faults.is_empty() => Ok(compiled),
        faults => Err(CompileFault::found(faults)),
    }
}

/// A byte-order mark is not part of the text: a gateway's compiler does not count it as a column.
fn text_of(bytes: &[u8]) -> Result<&str, Utf8Error> {
    let text = std::str::from_utf8(bytes)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Files above this size, apart from imports, are first compiled without places: otherwise the compiler's
/// run time grows with the number of faults times the size.
const LARGEST_AT_ONCE: usize = 64 << 10;

/// With more faults than this in such files, no fault gets a place.
const MOST_PLACES: usize = 500;

/// The files to compile, by name.
struct Sources<'a> {
    entry: &'a str,
    texts: HashMap<&'a str, &'a str>,
    /// Files that are not text.
    no_texts: HashMap<String, Utf8Error>,
}

impl Sources<'_> {
    fn compile(&self) -> Result<(DescriptorPool, Linked), protox::Error> {
        let mut linked = self.link()?;
        let size_of = |(name, file): (&String, &LinkedFile)| {
            let imports = file.handed.dependency.iter().map(|it| it.len() + 10);
            let text = self.texts.get(name.as_str()).map_or(0, |it| it.len());
            text.saturating_sub(imports.sum())
        };
        if linked
            .files
            .iter()
            .map(size_of)
            .any(|it| it > LARGEST_AT_ONCE)
        {
            // Descriptors without places.
            let infos = linked
                .files
                .values_mut()
                .map(|it| it.handed.source_code_info.take());
            let infos: Vec<_> = infos.collect();
            let bare = linked.files.iter();
            let bare = bare.map(|(name, it)| (name.clone(), Handed::Parsed(it.handed.clone())));
            if let Err(error) = self.run(&linked, bare.collect())
                && error.related().map_or(0, Iterator::count) > MOST_PLACES
            {
                return Err(error);
            }
            for (file, info) in linked.files.values_mut().zip(infos) {
                file.handed.source_code_info = info;
            }
        }
        // Descriptors: faults have no place, but texts need not be parsed again.
        let parsed = linked.files.iter_mut();
        let parsed = parsed.map(|(name, it)| {
            let handed = std::mem::take(&mut it.handed);
            (name.clone(), Handed::Parsed(handed))
        });
        let parsed = parsed.collect();
        if let Ok(pool) = self.run(&linked, parsed) {
            return Ok((pool, linked));
        }
        // Texts, for the places of faults.
        let linked = self.link()?;
        let with_texts = linked.files.iter().map(|(name, file)| {
            let text = self.texts.get(name.as_str()).copied().unwrap_or_default();
            let handed = match file.changes == Changes::default() {
                true => Handed::Text(link::with_imports(text, file)),
                false => Handed::Parsed(file.handed.clone()),
            };
            (name.clone(), handed)
        });
        let pool = self.run(&linked, with_texts.collect())?;
        Ok((pool, linked))
    }

    fn link(&self) -> Result<Linked, protox::Error> {
        link::link(self.entry, &self.texts)
    }

    fn run(
        &self,
        linked: &Linked,
        mut files: HashMap<String, Handed>,
    ) -> Result<DescriptorPool, protox::Error> {
        // Those that only a built-in file imports.
        for (name, text) in &self.texts {
            if !linked.files.contains_key(*name) {
                files.insert((*name).to_owned(), Handed::Text((*text).to_owned()));
            }
        }
        for (name, error) in &self.no_texts {
            files.insert(name.clone(), Handed::NoText(*error));
        }
        let mut compiler = Compiler::with_file_resolver(Memory(RefCell::new(files)));
        compiler.include_imports(true).include_source_info(true);
        let order = linked.order.iter().map(String::as_str);
        // The compiler reports a file that could not be read.
        let entry = (!linked.files.contains_key(self.entry)).then_some(self.entry);
        for name in order.chain(entry) {
            compiler.open_file(Path::new(name))?;
        }
        Ok(compiler.descriptor_pool())
    }
}

// === impl CompileFault ===

impl CompileFault {
    fn new(error: &protox::Error, texts: &HashMap<&str, &str>) -> Self {
        let details = fault::faults(error, texts);
        Self {
            text: match error.file() {
                // The Debug form of this error is `file:line:column: reason`.
                Some(_) => format!("{error:?}"),
                None => error.to_string(),
            },
            unsupported: details.iter().all(|fault| !fault.is_certain),
            details,
        }
    }

    fn found(details: Vec<ProtoFault>) -> Self {
        let first = details.first().map(ToString::to_string);
        Self {
            text: first.unwrap_or_default(),
            unsupported: false,
            details,
        }
    }
}

/// The path of a method on the wire: `/package.Service/Method`.
#[must_use]
pub fn path_of(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

// === impl Compiled ===

impl Compiled {
    /// The entry file.
    #[must_use]
    pub fn entry(&self) -> Option<FileDescriptor> {
        self.pool.get_file_by_name(&self.entry)
    }

    /// The methods that a gateway routes: unary and server-streaming ones.
    pub fn routed_methods(&self) -> impl Iterator<Item = MethodDescriptor> {
        let services: Vec<_> = self
            .entry()
            .iter()
            .flat_map(FileDescriptor::services)
            .collect();
        services
            .into_iter()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .filter(|method| !method.is_client_streaming())
    }

    /// The methods that a gateway does not route, and their locations.
    pub fn streaming_methods(&self) -> impl Iterator<Item = (MethodDescriptor, Location)> {
        let entry = self.entry();
        let services: Vec<_> = entry.iter().flat_map(FileDescriptor::services).collect();
        let methods = services
            .into_iter()
            .flat_map(|service| service.methods().collect::<Vec<_>>());
        let name = self.entry.clone();
        methods
            .filter(MethodDescriptor::is_client_streaming)
            .map(move |method| {
                let path = method.path().iter().copied().chain([1]).collect();
                (method, Location::Proto(name.as_str().into(), path))
            })
    }

    pub(super) fn file(&self, name: &str) -> Option<FileDescriptor> {
        self.pool.get_file_by_name(name)
    }

    /// Whether it is a proto2 enum, which has only its named values.
    pub(crate) fn is_closed_enum(&self, name: &str) -> bool {
        let found = self.pool.get_enum_by_name(name.trim_start_matches('.'));
        found.is_some_and(|it| {
            let file = it.parent_file();
            file.syntax() == Syntax::Proto2 && !self.is_edition(file.name())
        })
    }

    /// Whether the compiler received other field names than the file has.
    pub(crate) fn is_renamed(&self, file: &str) -> bool {
        self.renamed.contains(file)
    }

    /// Whether a file uses an edition; the compiler received it as proto2.
    pub(crate) fn is_edition(&self, file: &str) -> bool {
        self.editions.contains(file)
    }

    /// Every message, nested ones and map entries included.
    pub(crate) fn messages(&self) -> impl Iterator<Item = MessageDescriptor> + '_ {
        self.pool.all_messages()
    }

    pub(crate) fn enums(&self) -> impl Iterator<Item = EnumDescriptor> + '_ {
        self.pool.all_enums()
    }

    pub(crate) fn message(&self, name: &str) -> Option<MessageDescriptor> {
        self.pool.get_message_by_name(name)
    }

    pub(crate) fn enumeration(&self, name: &str) -> Option<EnumDescriptor> {
        self.pool.get_enum_by_name(name)
    }

    pub(crate) fn extensions(&self) -> impl Iterator<Item = ExtensionDescriptor> + '_ {
        self.pool.all_extensions()
    }

    /// Every file of the set, the entry included, in no particular order.
    pub fn files(&self) -> impl Iterator<Item = FileDescriptor> + '_ {
        self.pool.files()
    }

    /// The descriptor of a file as its text says it: some files go to the compiler with other imports and
    /// names.
    #[must_use]
    pub fn descriptor_of(&self, file: &FileDescriptor) -> FileDescriptorProto {
        let mut descriptor = file.file_descriptor_proto().clone();
        if let Some(imports) = self.imports.get(file.name()) {
            descriptor.dependency.clone_from(&imports.all);
            descriptor.public_dependency.clone_from(&imports.public);
        }
        if self.is_renamed(file.name()) {
            preprocess::restore_names(&mut descriptor);
        }
        descriptor
    }

    /// The text of a file, unless it is a built-in one.
    pub fn source_of(&self, file: &str) -> Option<&str> {
        self.sources.get(file).map(String::as_str)
    }
}

/// Files in memory, by exact name, then the built-in ones. The compiler opens each once and keeps it, so
/// that it gets them whole.
struct Memory(RefCell<HashMap<String, Handed>>);

/// A file as the compiler receives it.
enum Handed {
    Parsed(Box<FileDescriptorProto>),
    Text(String),
    NoText(Utf8Error),
}

impl FileResolver for Memory {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        // The entry's name is not a path: `a/../b` must not be normalized.
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.borrow_mut().remove(name) {
            None => preprocess::built_in(name),
            Some(Handed::Parsed(descriptor)) => Ok(File::from_file_descriptor_proto(*descriptor)),
            Some(Handed::Text(text)) => File::from_source(name, &text),
            Some(Handed::NoText(error)) => {
                let end = error.valid_up_to();
                let text = format!("{name}: not UTF-8 after byte {end}");
                Err(protox::Error::new(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(of: &[(&str, &str)]) -> HashMap<String, Vec<u8>> {
        of.iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn faults_tell_file_line_and_column() {
        let fault =
            compile("bad", b"syntax = \"proto3\";\nmessage {", &HashMap::new()).unwrap_err();
        assert!(fault.text.starts_with("bad.proto:2:9: "), "{}", fault.text);
        assert!(!fault.unsupported);
        let editions = b"// x\nedition = \"2024\"; message M {}";
        assert!(
            compile("e", editions, &HashMap::new())
                .unwrap_err()
                .unsupported
        );
        let fault = compile("bad", &[0xff, 0xfe], &HashMap::new()).unwrap_err();
        assert!(fault.text.contains("UTF-8"), "{}", fault.text);
    }

    #[test]
    fn imports_match_by_exact_key_and_unused_ones_are_not_read() {
        let source = b"syntax = \"proto3\"; import \"common/a.proto\"; message M { A a = 1; }";
        let good = "syntax = \"proto3\"; message A {}";
        let compiled = compile(
            "m",
            source,
            &imports(&[("common/a.proto", good), ("junk.proto", "not a proto")]),
        )
        .unwrap();
        assert_eq!(compiled.files().count(), 2);
        assert!(compiled.source_of("common/a.proto").is_some());
        assert!(compiled.source_of("junk.proto").is_none());
        for key in ["./common/a.proto", "a.proto"] {
            assert!(compile("m", source, &imports(&[(key, good)])).is_err());
        }
    }

    #[test]
    fn depth_is_limited() {
        let compiled = |inside: String| {
            let text = format!(
                "syntax = \"proto3\"; import \"google/protobuf/descriptor.proto\"; {inside}"
            );
            compile("m", text.as_bytes(), &HashMap::new())
        };
        let messages = |depth| compiled("message A {".repeat(depth) + &"}".repeat(depth));
        let options = |open: &str, close: &str, depth| {
            let (open, close) = (open.repeat(depth), close.repeat(depth));
            compiled(format!(
                "message M {{ M b = 1; }} extend google.protobuf.FileOptions {{ M a = 50000; }} \
                 option (a) = {{ {open}{close} }};"
            ))
        };
        assert!(messages(31).is_ok());
        assert!(options("b {", "}", 60).is_ok());
        let deep = [
            messages(50_000),
            options("b: {", "}", 100),
            options("b {", "}", 50_000),
            options("b <", ">", 50_000),
        ];
        for told in deep {
            let fault = told.err().unwrap();
            assert!(fault.unsupported, "{fault:?}");
        }
    }

    #[test]
    fn an_import_under_the_name_of_the_entry_replaces_it() {
        let text = "syntax = \"proto3\"; message Real {}";
        let compiled = compile("m", b"garbage", &imports(&[("m.proto", text)])).unwrap();
        assert_eq!(compiled.entry().unwrap().messages().count(), 1);
    }
}
