//! Makes services from paths, or a gwag.toml.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tower_gwag::{Finding, GatewayRelease, ProtoFiles, Rule, Service};

use crate::cli::{How, Release};
use crate::exit_codes::{FILE, Fault, USAGE};
use crate::output::{count, plain};

/// The largest file: gateways accept less, so a larger one cannot be a schema.
const LONGEST: u64 = 64 * 1024 * 1024;
/// The file that lists services.
pub(crate) const LIST: &str = "gwag.toml";

/// A file, as the service to register.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) service: Service,
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    /// The namespace, if known.
    pub(crate) name: Option<String>,
    pub(crate) version: String,
    includes: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Proto,
    OpenApi,
    GraphQl,
}

/// All sources of a command line.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) all: Vec<Source>,
    pub(crate) release: GatewayRelease,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proto => "proto",
            Self::OpenApi => "openapi",
            Self::GraphQl => "graphql",
        })
    }
}

/// The content of a `gwag.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct List {
    /// The gateway release to judge by: "1.1" or "1.4".
    gateway_release: Option<String>,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    service: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    proto: Option<PathBuf>,
    openapi: Option<PathBuf>,
    /// The schema of a GraphQL endpoint, as SDL or introspection.
    graphql: Option<PathBuf>,
    /// The URL, or the path on the service, of a GraphQL endpoint.
    endpoint: Option<String>,
    #[serde(default)]
    include: Vec<PathBuf>,
    namespace: Option<String>,
    version: Option<String>,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    split: bool,
    #[serde(default)]
    repair: bool,
    #[serde(default)]
    max_concurrency: u32,
    #[serde(default)]
    max_concurrency_per_instance: u32,
}

// === impl Sources ===

impl Sources {
    /// Reads every path.
    pub(crate) fn read(paths: &[PathBuf], how: &How) -> Result<Self, Fault> {
        let mut all = Vec::new();
        let mut release = how.release.map(GatewayRelease::from);
        for path in paths {
            let path = &list_in(path)?;
            match extension(path).as_str() {
                "toml" => {
                    let (sources, of_list) = listed(path, how)?;
                    all.extend(sources);
                    release = release.or(of_list);
                }
                _ => all.push(Source::of(path, how, None)?),
            }
        }
        let named = how.namespace.is_some() || how.version.is_some();
        if named && all.len() > 1 {
            let message = format!(
                "--namespace and --version are for a single service, and there are {}",
                all.len()
            );
            let help = format!("set them in a {LIST}, which lists services");
            return Err(Fault::new(USAGE, message).help(help));
        }
        Ok(Self {
            all,
            release: release.unwrap_or_default(),
        })
    }

    pub(crate) fn services(&self) -> Vec<Service> {
        self.all.iter().map(|it| it.service.clone()).collect()
    }
}

/// The path, or the gwag.toml in it if it is a directory.
fn list_in(path: &Path) -> Result<PathBuf, Fault> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let list = path.join(LIST);
    if list.is_file() {
        return Ok(list);
    }
    let shown = plain(&path.display().to_string());
    let mut inside: Vec<String> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .take(1_000)
        .filter_map(|it| it.ok()?.file_name().into_string().ok())
        .filter(|it| {
            matches!(
                extension(Path::new(it)).as_str(),
                "proto" | "yaml" | "yml" | "json" | "graphql"
            )
        })
        .collect();
    inside.sort();
    inside.truncate(3);
    let help = match inside.as_slice() {
        [] => format!("name files, or write a {LIST} that lists services"),
        some => {
            let join = |it: &String| plain(&path.join(it).display().to_string());
            let files: Vec<_> = some.iter().map(join).collect();
            format!("name files, such as {}; or write a {LIST}", files.join(" "))
        }
    };
    let message = format!("`{shown}` is a directory without a {LIST}");
    Err(Fault::new(FILE, message).help(help))
}

fn listed(path: &Path, how: &How) -> Result<(Vec<Source>, Option<GatewayRelease>), Fault> {
    let shown = plain(&path.display().to_string());
    let text = text_of(path)?;
    let wrong = |why: String| {
        let help = "each service is a [[service]] with proto, openapi or graphql = \"FILE\", and if \
                    need be include, namespace, version, allow, split, repair, endpoint";
        Fault::new(FILE, format!("`{shown}`: {why}")).help(help)
    };
    let list: List =
        toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
    if list.service.is_empty() {
        return Err(wrong("it lists no service".to_owned()));
    }
    let release = match list.gateway_release.as_deref() {
        None => None,
        Some("1.1") => Some(Release::V1_1.into()),
        Some("1.4") => Some(Release::V1_4.into()),
        Some(other) => {
            let why = format!("gateway-release = {other:?} is not known: write \"1.1\" or \"1.4\"");
            return Err(wrong(why));
        }
    };
    let base = path.parent().unwrap_or(Path::new(""));
    let mut all = Vec::new();
    for (number, entry) in list.service.iter().enumerate() {
        let files = [&entry.proto, &entry.openapi, &entry.graphql];
        let files: Vec<_> = files.into_iter().flatten().collect();
        let [file] = files[..] else {
            let number = number + 1;
            let why = match files.len() {
                0 => format!("service no. {number} has none of proto, openapi and graphql"),
                _ => format!(
                    "service no. {number} has several of proto, openapi and graphql, and needs one"
                ),
            };
            return Err(wrong(why));
        };
        let mut allow = how.allow.clone();
        for id in list.allow.iter().chain(&entry.allow) {
            let rule: Rule = id.parse().map_err(|_| {
                wrong(format!(
                    "there is no rule {id:?}: findings show theirs in brackets"
                ))
            })?;
            allow.push(rule);
        }
        let how = How {
            includes: entry.include.iter().map(|it| base.join(it)).collect(),
            namespace: entry.namespace.clone(),
            version: entry.version.clone(),
            allow,
            split: entry.split || how.split,
            repair: entry.repair || how.repair,
            release: None,
        };
        let kind = match entry {
            Entry { proto: Some(_), .. } => Kind::Proto,
            Entry {
                openapi: Some(_), ..
            } => Kind::OpenApi,
            _ => Kind::GraphQl,
        };
        let endpoint = entry.endpoint.clone();
        let mut source = Source::with(&base.join(file), &how, kind, endpoint)?;
        source.service = source
            .service
            .max_concurrency(entry.max_concurrency)
            .max_concurrency_per_instance(entry.max_concurrency_per_instance);
        all.push(source);
    }
    Ok((all, release))
}

// === impl Source ===

impl Source {
    /// A file whose name or content shows its kind.
    pub(crate) fn of(path: &Path, how: &How, kind: Option<Kind>) -> Result<Self, Fault> {
        let kind = match kind {
            Some(kind) => kind,
            None => kind_of(path)?,
        };
        Self::with(path, how, kind, None)
    }

    fn with(path: &Path, how: &How, kind: Kind, endpoint: Option<String>) -> Result<Self, Fault> {
        let mut includes = Vec::new();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut name = how.namespace.clone();
        let mut service = match kind {
            Kind::Proto => {
                let text = String::from_utf8_lossy(&bytes_of(path)?).into_owned();
                includes = match how.includes.as_slice() {
                    [] => vec![root_of(path, &text)],
                    given => given.to_vec(),
                };
                name = name.or_else(|| (!how.split).then(|| as_name(&stem)));
                let entry = entry_in(path, &mut includes)?;
                Service::proto_dir(ProtoFiles::from_directories(includes.clone()), entry)
            }
            Kind::OpenApi => Service::openapi(bytes_of(path)?),
            Kind::GraphQl => {
                let schema = bytes_of(path)?;
                name = Some(name.unwrap_or_else(|| as_name(&stem)));
                let endpoint = endpoint.unwrap_or_else(|| "/graphql".to_owned());
                let service = Service::graphql(endpoint).schema(schema);
                service.namespace(name.clone().unwrap_or_default())
            }
        };
        if let Some(namespace) = &how.namespace {
            service = service.namespace(namespace.clone());
        }
        if let Some(version) = &how.version {
            service = service.version(version.clone());
        }
        for rule in &how.allow {
            service = service.allow(*rule);
        }
        if how.split {
            service = service.split_services();
        }
        if how.repair {
            service = service.repair();
        }
        Ok(Self {
            service,
            kind,
            path: path.to_owned(),
            name,
            version: how.version.clone().unwrap_or_else(|| "v1".to_owned()),
            includes,
        })
    }

    /// Rewords a finding for the command line: files have their names on disk.
    pub(crate) fn told(&self, finding: Finding) -> Finding {
        finding.for_command_line(|file| Some(self.on_disk(file)))
    }

    pub(crate) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// The name on disk of the file that a finding or a change names.
    pub(crate) fn on_disk(&self, file: &str) -> String {
        match self.kind {
            Kind::Proto => {
                let mut places = self.includes.iter().map(|it| it.join(file));
                let found = places.find(|it| it.is_file());
                found.map_or_else(|| file.to_owned(), |it| tidy(&it))
            }
            Kind::OpenApi | Kind::GraphQl => tidy(&self.path),
        }
    }
}

fn tidy(path: &Path) -> String {
    let shown = path.display().to_string();
    shown.strip_prefix("./").unwrap_or(&shown).to_owned()
}

pub(crate) fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}

fn kind_of(path: &Path) -> Result<Kind, Fault> {
    let head =
        || -> Result<String, Fault> { Ok(String::from_utf8_lossy(&bytes_of(path)?).into_owned()) };
    Ok(match extension(path).as_str() {
        "proto" => Kind::Proto,
        "graphql" | "graphqls" | "gql" | "sdl" => Kind::GraphQl,
        "json" if head()?.contains("\"__schema\"") => Kind::GraphQl,
        "json" | "yaml" | "yml" => Kind::OpenApi,
        _ => {
            let text = head()?;
            let has = |what: &str| text.lines().any(|line| line.trim_start().starts_with(what));
            if has("syntax") || has("edition") || has("package ") {
                Kind::Proto
            } else if has("openapi") || has("\"openapi\"") || text.contains("\"openapi\"") {
                Kind::OpenApi
            } else if has("type Query") || has("schema {") || text.contains("\"__schema\"") {
                Kind::GraphQl
            } else {
                let shown = plain(&path.display().to_string());
                let message =
                    format!("`{shown}` is not a proto file, OpenAPI document or GraphQL schema");
                let help = format!(
                    "rename it to .proto, .json, .yaml, .yml or .graphql, or list it in a {LIST}"
                );
                return Err(Fault::new(FILE, message).help(help));
            }
        }
    })
}

/// The nearest directory above the file that contains all its imports.
fn root_of(path: &Path, text: &str) -> PathBuf {
    let parent = path.parent().unwrap_or(Path::new(""));
    let statements = text.split([';', '\n']);
    let imports: Vec<&str> = statements.filter_map(imported).collect();
    let wanted: Vec<&&str> = imports
        .iter()
        .filter(|it| !it.starts_with("google/protobuf/"))
        .collect();
    let has_all = |root: &&Path| wanted.iter().all(|it| root.join(it).is_file());
    let has_some = |root: &&Path| wanted.iter().any(|it| root.join(it).is_file());
    let found = match wanted.as_slice() {
        [] => None,
        _ => parent
            .ancestors()
            .find(has_all)
            .or_else(|| parent.ancestors().find(has_some)),
    };
    let root = found.unwrap_or(parent);
    match root.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => root.to_owned(),
    }
}

fn imported(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("import")?.trim_start();
    let rest = rest
        .strip_prefix("public")
        .or_else(|| rest.strip_prefix("weak"))
        .unwrap_or(rest);
    let rest = rest.trim_start();
    let quote = rest.chars().next().filter(|it| matches!(it, '"' | '\''))?;
    rest[1..].split(quote).next()
}

/// The entry file as an `import` statement would write it; its own directory is searched, too, if
/// no other one contains it.
fn entry_in(path: &Path, includes: &mut Vec<PathBuf>) -> Result<String, Fault> {
    let absolute = |it: &Path| std::path::absolute(it).unwrap_or_else(|_| it.to_owned());
    let file = absolute(path);
    let below = |it: &PathBuf| {
        let root = absolute(it);
        file.strip_prefix(&root).ok().map(Path::to_owned)
    };
    if let Some(entry) = includes.iter().find_map(below) {
        return Ok(entry.to_string_lossy().replace('\\', "/"));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Fault::new(
            FILE,
            format!("`{}` is not a file", path.display()),
        ));
    };
    includes.push(match parent.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => parent.to_owned(),
    });
    Ok(name.to_string_lossy().into_owned())
}

/// A valid namespace, made from a file's name.
fn as_name(text: &str) -> String {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name: String = text
        .chars()
        .map(|c| if is_fine(c) { c } else { '_' })
        .collect();
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

/// Reads a regular file, or says why not.
pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>, Fault> {
    let shown = plain(&path.display().to_string());
    let meta = std::fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let message = format!("there is no file `{shown}`");
            let here = std::env::current_dir().unwrap_or_default();
            let help = format!(
                "paths are relative to {}",
                plain(&here.display().to_string())
            );
            Fault::new(FILE, message).help(help)
        }
        _ => Fault::new(FILE, format!("`{shown}` cannot be read: {error}"))
            .help("check the path, and the permissions of its directories"),
    })?;
    if !meta.is_file() {
        let what = if meta.is_dir() {
            "a directory"
        } else {
            "not a regular file"
        };
        return Err(Fault::new(FILE, format!("`{shown}` is {what}")).help("name a file"));
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|it| it.take(LONGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        Fault::new(FILE, format!("`{shown}` cannot be read: {error}")).help("check its permissions")
    })?;
    if bytes.len() as u64 > LONGEST {
        let message = format!("`{shown}` has more than {LONGEST} bytes, too many for a schema");
        return Err(Fault::new(FILE, message).help("gateways accept 4 MiB at most"));
    }
    Ok(bytes)
}

pub(crate) fn text_of(path: &Path) -> Result<String, Fault> {
    String::from_utf8(bytes_of(path)?).map_err(|_| {
        let shown = plain(&path.display().to_string());
        Fault::new(FILE, format!("`{shown}` is not UTF-8 text"))
    })
}

/// Writes a file completely, or leaves it unchanged.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Fault> {
    // Follows a link to its target.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = target.with_file_name(name);
    let done = std::fs::write(&new, text)
        .and_then(|()| match std::fs::metadata(&target) {
            Ok(meta) => std::fs::set_permissions(&new, meta.permissions()),
            Err(_) => Ok(()),
        })
        .and_then(|()| std::fs::rename(&new, &target));
    done.map_err(|error| {
        // A leftover file is harmless.
        let _ = std::fs::remove_file(&new);
        let shown = plain(&path.display().to_string());
        let help = match error.kind() {
            ErrorKind::NotFound => "create its directory first",
            _ => "check the permissions of the directory, and the free space on the disk",
        };
        Fault::new(FILE, format!("`{shown}` cannot be written: {error}")).help(help)
    })
}

impl Sources {
    pub(crate) fn counted(&self) -> String {
        count(self.all.len(), "service")
    }
}
