//! Bundles, and how a build script writes one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use prost_types::FileDescriptorSet;
use tower_gwag_schema::service::bundle::{BundledFile, Contents};
use tower_gwag_schema::service::{Checks, Purpose, Resolved, not_allowable, resolve, sizes};
use tower_gwag_schema::{CheckError, Finding, Findings, ProtoFiles, Rule, Service, VersionText};

use crate::environment::Environment;
use crate::{directives, lock, lock_file};

/// A proto file that a build script checks and bundles with all its imports.
///
/// # Examples
///
/// ```no_run
/// use tower_gwag_build::Bundle;
///
/// fn main() -> Result<(), tower_gwag_build::CheckError> {
///     for version in ["v1", "v2"] {
///         Bundle::new(format!("proto/shop/{version}/shop.proto"), ["proto"])
///             .version(version)
///             .name(format!("shop_{version}"))
///             .write()?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a bundle does nothing until it is written"]
pub struct Bundle {
    entry: PathBuf,
    includes: Vec<PathBuf>,
    name: Option<String>,
    namespace: Option<String>,
    version: Option<VersionText>,
    allowed: Vec<Rule>,
    splits: bool,
}

/// The output lines for cargo, and the result.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) directives: Vec<String>,
    pub(super) result: Result<(), CheckError>,
}

/// The entry file behind each bundle that this build script wrote.
static WRITTEN: Mutex<BTreeMap<PathBuf, PathBuf>> = Mutex::new(BTreeMap::new());

// === impl Bundle ===

impl Bundle {
    /// An entry file under one of the include directories, which are searched for imports in order. Paths
    /// are relative to the directory of `Cargo.toml`.
    pub fn new<P: AsRef<Path>>(
        entry: impl AsRef<Path>,
        includes: impl IntoIterator<Item = P>,
    ) -> Self {
        let includes = includes.into_iter();
        Self {
            entry: entry.as_ref().to_owned(),
            includes: includes.map(|it| it.as_ref().to_owned()).collect(),
            name: None,
            namespace: None,
            version: None,
            allowed: Vec::new(),
            splits: false,
        }
    }

    /// The name of the bundle, for `include_bundle!`. Default: the stem of the entry file's name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// As [`Service::namespace`], with the same default.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// As [`Service::version`]. Default: `v1`.
    pub fn version(mut self, version: impl Into<VersionText>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Allows a rule, as [`Service::allow`]; the program need not allow it again.
    pub fn allow(mut self, rule: Rule) -> Self {
        self.allowed.push(rule);
        self
    }

    /// As [`Service::split_services`]: registers each service of the entry file as a separate
    /// service, with its own line in `gwag.lock`. Default: off.
    pub fn split_services(mut self) -> Self {
        self.splits = true;
        self
    }

    /// Checks and writes the bundle, and reports the findings and the files read to cargo.
    ///
    /// # Errors
    ///
    /// As [`bundle`](crate::bundle).
    pub fn write(&self) -> Result<(), CheckError> {
        let outcome = match Environment::of_cargo() {
            Ok(environment) => self.run(&environment),
            Err(finding) => Outcome::of(&[], vec![finding]),
        };
        #[allow(clippy::print_stdout, reason = "cargo reads the output")]
        for line in outcome.directives {
            println!("{line}");
        }
        outcome.result
    }

    /// As [`write`](Self::write), and returns the descriptors of the entry file and all its imports, from
    /// which `tonic_prost_build::compile_fds` generates the Rust code, without protoc.
    ///
    /// # Errors
    ///
    /// As [`bundle`](crate::bundle).
    pub fn compile(&self) -> Result<FileDescriptorSet, CheckError> {
        self.write()?;
        let fault = |why: &dyn std::fmt::Display| {
            let message = format!("`{}` cannot be compiled: {why}", self.shown_entry());
            let mut found = Findings::default();
            found.add(Finding::error(Rule::ProtoCompile, message));
            found
        };
        let compiled = Environment::of_cargo().map(|environment| {
            let in_crate = |path: &PathBuf| environment.manifest_dir.join(path);
            let includes: Vec<PathBuf> = self.includes.iter().map(in_crate).collect();
            protox::compile([in_crate(&self.entry)], includes)
        });
        let found = match compiled {
            Ok(Ok(descriptors)) => return Ok(descriptors),
            // Only if the files changed since the check a moment ago.
            Ok(Err(error)) => fault(&error),
            Err(finding) => fault(&finding),
        };
        match found.into_result() {
            Err(error) => Err(error),
            // invariant: one of the findings is an error.
            Ok(_) => Ok(FileDescriptorSet::default()),
        }
    }

    pub(super) fn run(&self, environment: &Environment) -> Outcome {
        let manifest_dir = environment.manifest_dir.clone();
        let files = ProtoFiles::from_directories_in(manifest_dir, self.includes.clone());
        let on_disk = |path: &str| Some(files.locate(path)?.display().to_string());
        let entry = match self.entry_in(&files, environment) {
            Ok(entry) => entry,
            Err(finding) => return Outcome::of(&[], vec![finding]),
        };
        let (services, found) = self.check(files.clone(), &entry);
        let mut found: Vec<Finding> = found
            .into_iter()
            .map(|finding| finding.for_build_script(on_disk))
            .collect();
        for service in services.iter() {
            let mut locked = lock_file::keep(service, &self.shown_entry(), environment);
            locked.iter_mut().for_each(|it| it.name(&service.namespace));
            found.extend(locked);
        }
        if !services.is_empty() && !found.iter().any(Finding::is_error) {
            let contents = self.contents(&services, &files, &entry);
            found.extend(
                contents
                    .and_then(|it| self.write_to(environment, &it))
                    .err(),
            );
        }
        let imports = services
            .iter()
            .flat_map(|it| it.binding.proto_imports.keys());
        let mut read: Vec<PathBuf> = imports
            .chain([&entry])
            .filter_map(|path| files.locate(path))
            .collect();
        if environment.manifest_dir.join(lock::FILE).is_file() {
            read.push(lock::FILE.into());
        }
        read.sort();
        read.dedup();
        Outcome::of(&read, found)
    }

    /// The path of the entry file, as an `import` statement would write it.
    fn entry_in(&self, files: &ProtoFiles, environment: &Environment) -> Result<String, Finding> {
        let fault = |message: String| Finding::error(Rule::ProtoEntryMissing, message);
        let shown = self.shown_entry();
        let absolute = environment.manifest_dir.join(&self.entry);
        let mut below = self.includes.iter().filter_map(|include| {
            let root = environment.manifest_dir.join(include);
            absolute.strip_prefix(root).ok()
        });
        let Some(path) = below.next() else {
            let parent = self.entry.parent().unwrap_or(Path::new(""));
            let message = format!("the entry file `{shown}` is not below an include directory");
            let help = format!("add `{}`, or a directory above it", parent.display());
            return Err(fault(message).help(help));
        };
        let Some(path) = path.to_str() else {
            let message = format!("the path of the entry file `{shown}` is not UTF-8");
            return Err(fault(message).help("rename it"));
        };
        let path = path.replace('\\', "/");
        match files.locate(&path) {
            Some(first) if environment.manifest_dir.join(&first) != absolute => {
                let first = first.display();
                let message = format!("the entry file `{shown}` is hidden by `{first}`");
                let help = "an earlier include directory has a file of the same path: change their \
                            order, or rename one of the files";
                Err(fault(message).help(help))
            }
            _ => Ok(path),
        }
    }

    /// All findings, and the services if none of them is an error.
    fn check(&self, files: ProtoFiles, entry: &str) -> (Vec<Resolved>, Findings) {
        let mut service = Service::proto_dir(files, entry);
        if let Some(namespace) = &self.namespace {
            service = service.namespace(namespace.clone());
        }
        if let Some(version) = &self.version {
            service = service.version(version.clone());
        }
        for rule in &self.allowed {
            service = service.allow(*rule);
        }
        if self.splits {
            service = service.split_services();
        }
        let mut found = Findings::default();
        let services = resolve(&[service], Checks::all(), Purpose::Register, &mut found);
        found.extend(sizes(&services));
        found.extend(not_allowable(&self.allowed));
        let is_faulty = found.errors().next().is_some();
        (if is_faulty { Vec::new() } else { services }, found)
    }

    fn contents(
        &self,
        services: &[Resolved],
        files: &ProtoFiles,
        entry: &str,
    ) -> Result<Contents, Finding> {
        // As on disk: each part of a split file lacks the other services.
        let source = files.read(entry).ok().flatten().ok_or_else(|| {
            let message = format!("the entry file `{}` no longer exists", self.shown_entry());
            Finding::error(Rule::ProtoEntryMissing, message).help("build again")
        })?;
        let imports = services.iter().flat_map(|it| &it.binding.proto_imports);
        let sources: BTreeMap<&str, &Vec<u8>> = imports
            .map(|(path, source)| (&**path, source))
            .chain([(entry, &source)])
            .collect();
        let file = |(path, source): (&str, &Vec<u8>)| BundledFile {
            path: path.to_owned(),
            source: source.clone(),
        };
        let (namespace, version) = match services {
            [service] => (Some(service.namespace.clone()), service.version.to_string()),
            // The namespaces of the parts are derived from it.
            several => {
                let version = several.first().map(|it| it.version.to_string());
                (self.namespace.clone(), version.unwrap_or_default())
            }
        };
        let mut contents = Contents {
            namespace: namespace.unwrap_or_default(),
            version,
            entry: entry.to_owned(),
            files: sources.into_iter().map(file).collect(),
            allowed: self.allowed.iter().map(ToString::to_string).collect(),
            splits: self.splits,
            ..Contents::default()
        };
        contents.seal(services);
        Ok(contents)
    }

    fn write_to(&self, environment: &Environment, contents: &Contents) -> Result<(), Finding> {
        let fault = |message: String| Finding::error(Rule::BuildScript, message);
        let name = self.name.clone().unwrap_or_else(|| {
            let stem = self.entry.file_stem().unwrap_or_default();
            stem.to_string_lossy().into_owned()
        });
        let path = environment.out_dir.join(format!("{name}.gwag"));
        // A panic in another thread cannot leave the map half-written.
        let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = environment.manifest_dir.join(&self.entry);
        let other = written.insert(path.clone(), mine.clone());
        if let Some(other) = other.filter(|other| *other != mine) {
            let other = other
                .strip_prefix(&environment.manifest_dir)
                .unwrap_or(&other);
            let message = format!(
                "two bundles are called `{name}`: one of `{}`, one of `{}`",
                other.display(),
                self.shown_entry()
            );
            return Err(fault(message).help("rename one: `Bundle::new(…).name(\"…\")`"));
        }
        std::fs::write(&path, contents.write()).map_err(|cause| {
            let message = format!("`{}` cannot be written: {cause}", path.display());
            fault(message).help("check the name of the bundle, and the free space on the disk")
        })
    }

    fn shown_entry(&self) -> String {
        self.entry.display().to_string()
    }
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn of(read: &[PathBuf], found: Vec<Finding>) -> Self {
        let mut findings = Findings::default();
        findings.extend(found);
        let told = match findings.errors().count() {
            0 => findings.warnings().map(directives::warn).collect(),
            // The returned error has the warnings, too.
            errors => vec![directives::fail(errors)],
        };
        let read = read.iter().map(|file| directives::rerun_if_changed(file));
        Self {
            directives: read.chain(told).collect(),
            result: findings.into_result().map(|_| ()),
        }
    }
}
