//! Orders proto files by their imports, in a form that the compiler can handle.
//!
//! protox follows imports recursively, and prost-reflect resolves one level of `import public`, in a
//! time that doubles with each (docs/upstream-issues.md). So every file is passed after its imports,
//! and whatever it uses through `import public` is added to its own imports.

use std::collections::{HashMap, HashSet};

use crate::proto::lex::{self, Source};
use crate::proto::preprocess::{self, Changes, Parsed};
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    UninterpretedOption,
};

/// The most bytes for the full names of all declarations: the compiler stores each, and a long package
/// lengthens all of them.
const MOST_NAMES: usize = 16 << 20;

/// The most bytes to compare for resolving names: the compiler tries each scope.
const MOST_LOOKUPS: usize = 512 << 20;

/// How many imports may be visited to resolve `import public`.
const MOST_STEPS: usize = 20_000_000;

/// How many files may be imported: the compiler takes 8 KB for each, however small it is.
const MOST_FILES: usize = 15_000;

/// The compiler calls itself for each level in the value of an option.
const MOST_DEPTH: usize = 100;

/// How many files of a cycle are listed.
const MOST_TOLD: usize = 20;

/// The files to send, each after its imports.
#[derive(Debug, Default)]
pub(super) struct Linked {
    pub(super) order: Vec<String>,
    pub(super) files: HashMap<String, LinkedFile>,
}

#[derive(Debug)]
pub(super) struct LinkedFile {
    /// As the compiler receives it.
    pub(super) handed: Box<FileDescriptorProto>,
    /// Its original imports and which are public, if the compiler receives it with others.
    pub(super) own: Option<Imports>,
    pub(super) changes: Changes,
}

/// `dependency` and `public_dependency` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Imports {
    pub(crate) all: Vec<String>,
    pub(crate) public: Vec<i32>,
}

/// Parses the entry file and all its imports, direct or not.
pub(super) fn link(entry: &str, texts: &HashMap<&str, &str>) -> Result<Linked, protox::Error> {
    let mut linked = Linked::default();
    let mut waiting: Vec<(Parsed, usize)> = Vec::new();
    let mut is_waiting = HashSet::new();
    let mut next = Some(entry.to_owned());
    loop {
        if let Some(name) = next.take() {
            if is_waiting.contains(&name) {
                return Err(cycle(&waiting, &name));
            }
            if !linked.files.contains_key(&name)
                && let Some(text) = texts.get(name.as_str())
            {
                if linked.files.len() + waiting.len() >= MOST_FILES {
                    return Err(limit("too many files are imported"));
                }
                let file = preprocess::parse(&name, text)?;
                if depth(text) > MOST_DEPTH {
                    return Err(limit("braces are nested too deeply"));
                }
                is_waiting.insert(name);
                waiting.push((file, 0));
            }
            // The compiler reports missing files, and has the built-in ones itself.
        }
        let Some((file, at)) = waiting.last_mut() else {
            break;
        };
        if let Some(import) = file.descriptor.dependency.get(*at) {
            next = Some(import.clone());
            *at += 1;
        } else if let Some((parsed, _)) = waiting.pop() {
            let handed = Box::new(parsed.descriptor);
            let name = handed.name().to_owned();
            is_waiting.remove(&name);
            linked.order.push(name.clone());
            let file = LinkedFile {
                handed,
                own: None,
                changes: parsed.changes,
            };
            linked.files.insert(name, file);
        }
    }
    let builtin = |name: &str| {
        let file = preprocess::built_in(name).ok()?;
        Some(file.into())
    };
    linked.weigh()?;
    linked.flatten(builtin)?;
    Ok(linked)
}

/// The text of a file with the imports that the compiler receives, every place unchanged.
pub(super) fn with_imports(text: &str, file: &LinkedFile) -> String {
    let mut text = text.to_owned();
    let Some(own) = &file.own else {
        return text;
    };
    let source = Source::read(&text);
    let publics = source.tokens.windows(3).filter_map(|it| {
        let is_it = it[0].text == "import" && it[1].text == "public";
        (is_it && it[2].text.starts_with(['"', '\''])).then_some((it[1].start, it[1].end()))
    });
    let publics: Vec<_> = publics.collect();
    for (start, end) in publics {
        text.replace_range(start..end, &" ".repeat(end - start));
    }
    for import in &file.handed.dependency[own.all.len()..] {
        text.push_str(&format!("\nimport \"{import}\";"));
    }
    text
}

fn cycle(waiting: &[(Parsed, usize)], name: &str) -> protox::Error {
    let names = waiting.iter().map(|(file, _)| file.descriptor.name());
    let names: Vec<_> = names.skip_while(|it| *it != name).collect();
    let more = if names.len() > MOST_TOLD {
        " … ->"
    } else {
        ""
    };
    let told = names.iter().take(MOST_TOLD);
    let told = told.fold(String::new(), |told, it| told + it + " -> ");
    let text = format!("import cycle detected: {told}{}{name}", more.trim_start());
    protox::Error::new(text)
}

fn depth(text: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for token in lex::tokens(text) {
        match token {
            "{" | "<" => depth += 1,
            "}" | ">" => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

fn limit(what: &str) -> protox::Error {
    protox::Error::new(format!("{what}: more than this compiler's own limit"))
}

// === impl Linked ===

impl Linked {
    /// Stops sources that only a limit keeps from using up time and memory.
    fn weigh(&self) -> Result<(), protox::Error> {
        let (mut names, mut lookups) = (0_usize, 0_usize);
        for file in self.files.values() {
            let package = file.handed.package();
            // Each part of the package is stored with everything before it.
            let parts = package.split('.').count();
            names = names.saturating_add(package.len().saturating_mul(parts) / 2);
            each_scope(&file.handed, &mut |scope| {
                let names_in_it = scope.names.iter().map(|it| scope.name.len() + it.len() + 1);
                names = names.saturating_add(names_in_it.sum());
                let depth = scope.name.split('.').count() + 1;
                for it in &scope.references {
                    let tried = depth.saturating_mul(scope.name.len() + it.len());
                    lookups = lookups.saturating_add(tried);
                }
            });
        }
        match () {
            () if names > MOST_NAMES => {
                Err(limit("the full names of all declarations are too large"))
            }
            () if lookups > MOST_LOOKUPS => Err(limit("the scopes of all names are too large")),
            () => Ok(()),
        }
    }

    /// Replaces `import public` by imports of the files in use.
    fn flatten(
        &mut self,
        builtin: impl Fn(&str) -> Option<FileDescriptorProto>,
    ) -> Result<(), protox::Error> {
        let is_public = |file: &LinkedFile| !file.handed.public_dependency.is_empty();
        if !self.files.values().any(is_public) {
            return Ok(());
        }
        let mut shown: HashMap<String, FileDescriptorProto> = HashMap::new();
        for file in self.files.values() {
            for import in &file.handed.dependency {
                if !self.files.contains_key(import)
                    && !shown.contains_key(import)
                    && let Some(file) = builtin(import)
                {
                    shown.insert(import.clone(), file);
                }
            }
        }
        let mut symbols: HashMap<String, &str> = HashMap::new();
        let all = self.files.values().map(|it| &*it.handed);
        for file in all.chain(shown.values()) {
            each_scope(file, &mut |scope| {
                for name in &scope.names {
                    symbols.insert(join(&scope.name, name), file.name());
                }
            });
        }
        let mut steps = 0;
        let mut more: HashMap<String, Vec<String>> = HashMap::new();
        for file in self.files.values() {
            let own: HashSet<&str> = file.handed.dependency.iter().map(String::as_str).collect();
            let mut wanted = HashSet::new();
            each_scope(&file.handed, &mut |scope| {
                for reference in &scope.references {
                    let found = candidates(&scope.name, reference, &symbols);
                    wanted
                        .extend(found.filter(|it| *it != file.handed.name() && !own.contains(it)));
                }
            });
            if wanted.is_empty() {
                continue;
            }
            let mut added: Vec<String> = Vec::new();
            let mut met: HashSet<&str> = own.clone();
            let mut open: Vec<&str> = own.into_iter().collect();
            while let Some(name) = open.pop()
                && !wanted.is_empty()
            {
                let Some(LinkedFile { handed, .. }) = self.files.get(name) else {
                    continue;
                };
                for index in &handed.public_dependency {
                    steps += 1;
                    let index = usize::try_from(*index).ok();
                    if let Some(import) = index.and_then(|it| handed.dependency.get(it))
                        && met.insert(import)
                    {
                        if wanted.remove(import.as_str()) {
                            added.push(import.clone());
                        }
                        open.push(import);
                    }
                }
                if steps > MOST_STEPS {
                    return Err(limit("too many ways of `import public`"));
                }
            }
            added.sort();
            more.insert(file.handed.name().to_owned(), added);
        }
        for (name, file) in &mut self.files {
            let added = more.remove(name).unwrap_or_default();
            if added.is_empty() && !is_public(file) {
                continue;
            }
            file.own = Some(Imports {
                all: file.handed.dependency.clone(),
                public: std::mem::take(&mut file.handed.public_dependency),
            });
            file.handed.dependency.extend(added);
        }
        Ok(())
    }
}

/// The files of all declarations that a reference may mean.
fn candidates<'a>(
    scope: &str,
    reference: &str,
    symbols: &HashMap<String, &'a str>,
) -> impl Iterator<Item = &'a str> {
    let mut found = Vec::new();
    if let Some(name) = reference.strip_prefix('.') {
        found.extend(symbols.get(name).copied());
    } else {
        let ends = scope.rmatch_indices('.').map(|(at, _)| at);
        for end in std::iter::once(scope.len()).chain(ends).chain([0]) {
            found.extend(symbols.get(&join(&scope[..end], reference)).copied());
        }
    }
    found.into_iter()
}

fn join(scope: &str, name: &str) -> String {
    match scope {
        "" => name.to_owned(),
        scope => format!("{scope}.{name}"),
    }
}

/// A package or message: its declarations, and the names it refers to.
#[derive(Default)]
struct Scope<'a> {
    name: String,
    names: Vec<&'a str>,
    references: Vec<&'a str>,
}

impl<'a> Scope<'a> {
    fn fields(&mut self, fields: &'a [FieldDescriptorProto], options: &mut Options<'a>) {
        for field in fields {
            self.names.push(field.name());
            let named = [&field.type_name, &field.extendee];
            self.references
                .extend(named.into_iter().flatten().map(String::as_str));
            options.of(field.options.as_ref().map(|it| &it.uninterpreted_option));
        }
    }

    fn enums(&mut self, enums: &'a [EnumDescriptorProto], options: &mut Options<'a>) {
        for it in enums {
            self.names.push(it.name());
            options.of(it.options.as_ref().map(|it| &it.uninterpreted_option));
            for value in &it.value {
                self.names.push(value.name());
                options.of(value.options.as_ref().map(|it| &it.uninterpreted_option));
            }
        }
    }
}

/// The extensions named by options.
#[derive(Default)]
struct Options<'a>(Vec<&'a str>);

impl<'a> Options<'a> {
    fn of(&mut self, options: Option<&'a Vec<UninterpretedOption>>) {
        for option in options.into_iter().flatten() {
            let names = option.name.iter().filter(|it| it.is_extension);
            self.0.extend(names.map(|it| it.name_part.as_str()));
            if let Some(text) = &option.aggregate_value {
                self.0.extend(in_brackets(text));
            }
        }
    }
}

/// The extensions, and the messages in an `Any`, named in the text of a message.
fn in_brackets(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split('[').skip(1);
    parts.filter_map(|part| {
        let name = part.split(']').next()?.trim();
        Some(name.rsplit('/').next().unwrap_or(name))
    })
}

/// Calls `visit` with the package and every message.
fn each_scope<'a>(file: &'a FileDescriptorProto, visit: &mut impl FnMut(&Scope<'a>)) {
    let mut scope = Scope {
        name: file.package().to_owned(),
        ..Scope::default()
    };
    let mut options = Options::default();
    options.of(file.options.as_ref().map(|it| &it.uninterpreted_option));
    scope.fields(&file.extension, &mut options);
    scope.enums(&file.enum_type, &mut options);
    for service in &file.service {
        scope.names.push(service.name());
        options.of(service.options.as_ref().map(|it| &it.uninterpreted_option));
        for method in &service.method {
            scope.names.push(method.name());
            scope
                .references
                .extend([method.input_type(), method.output_type()]);
            options.of(method.options.as_ref().map(|it| &it.uninterpreted_option));
        }
    }
    scope
        .names
        .extend(file.message_type.iter().map(DescriptorProto::name));
    scope.references.append(&mut options.0);
    visit(&scope);
    let messages = file.message_type.iter();
    let mut open: Vec<_> = messages.map(|it| (it, scope.name.clone())).collect();
    while let Some((message, outer)) = open.pop() {
        let mut scope = Scope {
            name: join(&outer, message.name()),
            ..Scope::default()
        };
        options.of(message.options.as_ref().map(|it| &it.uninterpreted_option));
        for range in &message.extension_range {
            options.of(range.options.as_ref().map(|it| &it.uninterpreted_option));
        }
        for oneof in &message.oneof_decl {
            scope.names.push(oneof.name());
            options.of(oneof.options.as_ref().map(|it| &it.uninterpreted_option));
        }
        scope.fields(&message.field, &mut options);
        scope.fields(&message.extension, &mut options);
        scope.enums(&message.enum_type, &mut options);
        scope
            .names
            .extend(message.nested_type.iter().map(DescriptorProto::name));
        scope.references.append(&mut options.0);
        visit(&scope);
        open.extend(
            message
                .nested_type
                .iter()
                .map(|it| (it, scope.name.clone())),
        );
    }
}
