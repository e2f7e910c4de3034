//! Turns a `Service` into one binding of a Register request, or into findings.

use std::collections::HashMap;
use std::fmt;

use super::collect::collect;
use super::evidence::Evidence;
use super::schema::{Entry, OpenApiDocument, Origin, Schema};
use super::{Service, Version};
use crate::finding::{Finding, Findings, Rule};
use crate::gateway::GatewayRelease;
use crate::gateway::MAX_REQUEST_BYTES;
use crate::name::{self, NameFault};
use crate::openapi::title;
use crate::redact::redacted_url;
use crate::version::VersionFault;

#[cfg(feature = "preflight")]
use crate::openapi;

/// Which checks to run on a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Only what every gateway refuses, whatever the schema.
    StructureOnly,
    /// The schema, too, as this release of the gateway judges it.
    All(GatewayRelease),
}

/// The kind of a service's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceKind {
    Proto,
    OpenApi,
    GraphQl,
}

/// A service without errors of its own.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub namespace: String,
    pub version: Version,
    pub kind: ServiceKind,
    /// As sent, except for a GraphQL path, which still needs the advertised address.
    pub binding: Binding,
    pub evidence: Evidence,
}

/// The purpose of resolving a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To find errors.
    Check,
    /// To register it: also collects its evidence, the hash included.
    Register,
    /// To build its GraphQL schema.
    Schema,
}

// === impl Checks ===

impl Checks {
    /// Everything, as the newest release judges it.
    #[must_use]
    pub fn all() -> Self {
        Self::All(GatewayRelease::default())
    }

    fn is_all(self) -> bool {
        matches!(self, Self::All(_))
    }

    #[cfg(feature = "preflight")]
    fn release(self) -> GatewayRelease {
        match self {
            Self::All(release) => release,
            Self::StructureOnly => GatewayRelease::default(),
        }
    }
}

// === impl Resolved ===

impl Resolved {
    /// "namespace/version", as the gateway writes it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.version)
    }
}

impl fmt::Display for ServiceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proto => "proto",
            Self::OpenApi => "OpenAPI",
            Self::GraphQl => "GraphQL",
        })
    }
}

// === impl Service ===

impl Service {
    /// The bindings, if the namespace, the version and the files allow any, and all findings: one
    /// binding, or several if the service is split. `position` counts from 1 and names a service that
    /// has no namespace.
    #[doc(hidden)]
    #[must_use]
    pub fn resolve(
        &self,
        position: usize,
        checks: Checks,
        purpose: Purpose,
    ) -> (Vec<Resolved>, Findings) {
        #[cfg(feature = "preflight")]
        if let Some(outcome) = self.resolve_descriptors(position, checks, purpose) {
            return outcome;
        }
        let whole = || {
            let (resolved, found) = self.resolve_one(position, checks, purpose);
            (resolved.into_iter().collect(), found)
        };
        let Some(parts) = self.parts() else {
            return whole();
        };
        let mut found = Findings::default();
        if let Err(mut finding) = parts.fit_into_a_request() {
            finding.name(
                self.namespace
                    .as_deref()
                    .unwrap_or(&format!("no. {position}")),
            );
            found.extend([finding]);
            return (Vec::new(), found);
        }
        let mut resolved = Vec::new();
        for part in parts.services(self) {
            let (binding, of_part) = part.resolve_one(position, checks, purpose);
            // Findings that all parts share are reported once.
            for finding in of_part {
                if !found.iter().any(|it| it.says_the_same_as(&finding)) {
                    found.extend([finding]);
                }
            }
            resolved.extend(binding);
        }
        (resolved, found)
    }

    /// One binding, however many services the entry file has.
    fn resolve_one(
        &self,
        position: usize,
        checks: Checks,
        purpose: Purpose,
    ) -> (Option<Resolved>, Findings) {
        let mut found = Findings::default();
        let kind = self.schema.kind();
        let document = self.read();
        let namespace = found.keep(self.any_namespace(checks, &document)).flatten();
        let name = match &namespace {
            Some(namespace) => namespace.clone(),
            None => format!("no. {position}"),
        };
        if let Some(namespace) = &namespace {
            found.extend(check_namespace(namespace, checks));
        }
        let version = found.keep(self.resolve_version());
        if let (Some(namespace), Some(version)) = (&namespace, &version)
            && checks.is_all()
        {
            found.extend(check_built_in(namespace, &version.to_string()));
        }
        let mut binding = Binding {
            namespace: namespace.clone().unwrap_or_default(),
            version: version.map(|it| it.to_string()).unwrap_or_default(),
            max_concurrency: self.max_concurrency,
            max_concurrency_per_instance: self.max_concurrency_per_instance,
            ..Binding::default()
        };
        let filled = self.fill(&mut binding);
        let is_complete = filled.is_ok();
        found.extend(filled.err().into_iter().flatten());
        let document = match self.is_repaired {
            true => repair(&mut binding, document, &mut found),
            false => document,
        };
        let evidence = match is_complete && binding.size() <= MAX_REQUEST_BYTES {
            true => self.inspect(&binding, document, checks, purpose, &mut found),
            false => Evidence::default(),
        };
        if let Schema::OpenApi(OpenApiDocument(_, Origin::Value)) = &self.schema {
            found.point();
        }
        found.allow(&self.allowed);
        found.cap();
        found.name(&name);
        let resolved = match (namespace, version) {
            (Some(namespace), Some(version)) if is_complete => Some(Resolved {
                namespace,
                version,
                kind,
                binding,
                evidence,
            }),
            _ => None,
        };
        (resolved, found)
    }

    /// Reads an OpenAPI document that can be sent, once for everything that looks at it.
    #[cfg(feature = "preflight")]
    fn read(&self) -> Reading {
        let Schema::OpenApi(OpenApiDocument(document, _)) = &self.schema else {
            return None;
        };
        if is_no_text(document) || !can_be_sent(document, self.is_repaired) {
            return None;
        }
        Some(match self.is_repaired {
            true => openapi::read_as_written(document),
            false => openapi::read(document),
        })
    }

    #[cfg(not(feature = "preflight"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn read(&self) -> Reading {
        None
    }

    #[cfg(feature = "preflight")]
    fn inspect(
        &self,
        binding: &Binding,
        document: Reading,
        checks: Checks,
        purpose: Purpose,
        found: &mut Findings,
    ) -> Evidence {
        let entry = match &self.schema {
            Schema::Proto(super::schema::ProtoSource {
                entry: Entry::Tree { path, .. },
                ..
            }) => super::proto_files::normal(path),
            // Not named after one of several namespaces.
            Schema::Proto(_) if self.is_part => super::collect::ENTRY_TEXT.to_owned(),
            _ => format!("{}.proto", binding.namespace),
        };
        let given = match &self.schema {
            Schema::OpenApi(OpenApiDocument(document, _)) => document,
            _ => &binding.openapi_spec,
        };
        let introspection = match &self.schema {
            Schema::GraphQl(_, text) => text.as_deref(),
            _ => None,
        };
        let subject = super::evidence::Subject {
            binding,
            kind: self.schema.kind(),
            entry: &entry,
            given,
            allowed: &self.allowed,
            introspection,
        };
        if purpose != Purpose::Schema
            && let Some(checked) = self.known_of(binding)
        {
            return Evidence::of_bundle(checked);
        }
        let (schema, evidence) =
            super::evidence::inspect(&subject, document, purpose, checks.release());
        if checks.is_all() {
            found.extend(schema);
        }
        evidence
    }

    /// The build script's results for exactly this service.
    #[cfg(feature = "preflight")]
    fn known_of(&self, binding: &Binding) -> Option<&super::bundle::Checked> {
        let known = self.known.as_ref()?;
        let version = Version::parse(&known.version).ok()?.to_string();
        let is_same = version == binding.version && known.splits == (self.is_split || self.is_part);
        let mut services = known.services.iter();
        services.find(|it| is_same && it.namespace == binding.namespace)
    }

    #[cfg(not(feature = "preflight"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn inspect(
        &self,
        _: &Binding,
        _: Reading,
        _: Checks,
        _: Purpose,
        _: &mut Findings,
    ) -> Evidence {
        Evidence::default()
    }

    /// Fills in the schema and its imports.
    fn fill(&self, binding: &mut Binding) -> Result<(), Vec<Finding>> {
        match &self.schema {
            Schema::Proto(proto) => {
                let (source, imports) = collect(proto, &binding.namespace)?;
                binding.proto_source = source;
                binding.proto_imports = imports;
            }
            // invariant: `resolve` has converted it to text.
            #[cfg(feature = "preflight")]
            Schema::Descriptors(_) => {}
            Schema::OpenApi(OpenApiDocument(document, _)) => {
                if is_no_text(document) {
                    let message = "the OpenAPI document is empty or not text";
                    let finding = Finding::error(Rule::OpenApiSyntax, message);
                    return Err(vec![finding.help("give JSON or YAML")]);
                }
                if !can_be_sent(document, self.is_repaired) {
                    let message = format!(
                        "the document is {} bytes long, and a gateway accepts at most \
                         {MAX_REQUEST_BYTES}",
                        document.len()
                    );
                    let finding = Finding::error(Rule::RequestSize, message);
                    return Err(vec![finding.help("split it into several services")]);
                }
                binding.openapi_spec.clone_from(document);
            }
            Schema::GraphQl(endpoint, _) => {
                check_graphql_endpoint(endpoint).map_err(|finding| vec![finding])?;
                binding.graphql_endpoint.clone_from(endpoint);
            }
            Schema::NoBundle(finding) => return Err(vec![finding.clone()]),
            Schema::NoGraphQl(kind) => {
                let message =
                    format!("`schema` has no effect on {kind}, which already has its schema");
                let finding = Finding::error(Rule::GraphQlSchema, message);
                return Err(vec![finding.help("remove the call")]);
            }
            Schema::ImportOn(kind) => {
                let what = match kind {
                    ServiceKind::Proto => "a descriptor set, which contains its imports".to_owned(),
                    kind => kind.to_string(),
                };
                let message = format!("`import` has no effect on {what}");
                let finding = Finding::error(Rule::ImportWithoutProto, message);
                return Err(vec![finding.help("remove the call")]);
            }
        }
        Ok(())
    }

    fn resolve_version(&self) -> Result<Version, Finding> {
        let text = &self.version.0;
        Version::parse(text).map_err(|fault| {
            let why = match fault {
                VersionFault::StableAlias => {
                    "`stable` is an alias that the gateway computes; register a vN instead"
                }
                VersionFault::Syntax => {
                    "write `unstable` or `vN` with N from 1, lower case, no leading zero"
                }
            };
            let message = format!("the version `{text}` cannot be registered: {why}");
            let finding = Finding::error(Rule::VersionSyntax, message);
            match suggested_version(text) {
                Some(version) => finding.help(format!("write `.version(\"{version}\")`")),
                None => finding,
            }
        })
    }

    /// The namespace as given, or as derived from the schema; `None` if another finding explains why
    /// the schema has none.
    fn any_namespace(&self, checks: Checks, read: &Reading) -> Result<Option<String>, Finding> {
        if let Some(namespace) = self.namespace.as_ref().filter(|it| !it.is_empty()) {
            return Ok(Some(namespace.clone()));
        }
        let told = match (&self.namespace, &self.schema) {
            (None, Schema::Proto(proto)) => match &proto.entry {
                Entry::Tree { path, .. } if path.is_empty() => return Ok(None),
                Entry::Tree { path, .. } => Some(name::suggest(stem(path))),
                Entry::Text(_) => None,
            },
            (None, Schema::OpenApi(OpenApiDocument(document, _))) => {
                let is_told = is_no_text(document) || !can_be_sent(document, self.is_repaired);
                if is_told || (checks.is_all() && is_unreadable(read)) {
                    return Ok(None);
                }
                title_of(document, read).map(|title| name::fold_title(&title))
            }
            (None, Schema::ImportOn(_) | Schema::NoGraphQl(_) | Schema::NoBundle(_)) => {
                return Ok(None);
            }
            _ => None,
        };
        let kind = self.schema.kind();
        told.map(Some).ok_or_else(|| {
            let why = match kind {
                ServiceKind::OpenApi => "its document has no `info.title`",
                ServiceKind::Proto | ServiceKind::GraphQl => "its schema implies none",
            };
            Finding::error(
                Rule::NamespaceMissing,
                format!("a {kind} service has no namespace, and {why}: call `.namespace(\"…\")`"),
            )
        })
    }
}

/// An OpenAPI document as it was read, or why it cannot be read; `None` for other schemas, and for
/// documents that cannot be sent.
#[cfg(feature = "preflight")]
type Reading = Option<super::evidence::Reading>;

/// No document is read.
#[cfg(not(feature = "preflight"))]
type Reading = Option<std::convert::Infallible>;

/// Repairs the document of a binding, and returns it as gateways will read it; the check reports one that
/// cannot be read in full.
#[cfg(feature = "preflight")]
fn repair(binding: &mut Binding, read: Reading, found: &mut Findings) -> Reading {
    let document = match read {
        Some(Ok(document)) => document,
        other => return other,
    };
    let text = &binding.openapi_spec;
    let (document, repaired) = repaired(document, text, &binding.version);
    if let (Ok(document), false) = (&document, repaired.is_empty()) {
        // First, so that both texts are never in memory together.
        binding.openapi_spec = Vec::new();
        binding.openapi_spec = document.as_json().to_bytes();
    }
    found.extend(repaired);
    Some(document)
}

#[cfg(not(feature = "preflight"))]
fn repair(_: &mut Binding, read: Reading, _: &mut Findings) -> Reading {
    read
}

/// A document, read as it is written, as gateways will read it once it is repaired, and the
/// changes; without any, they get the text as it is.
#[cfg(feature = "preflight")]
pub(super) fn repaired(
    mut document: openapi::Document,
    text: &[u8],
    version: &str,
) -> (super::evidence::Reading, Vec<Finding>) {
    use crate::repair;

    if !document.lost().is_empty() {
        return (openapi::read(text), Vec::new());
    }
    let as_gateways = document.has_times().then(|| openapi::read(text));
    // Unquoted dates stay if quoting them changes no fault.
    let faults = |it: &openapi::Document| it.faults();
    let has_harmful_times = match &as_gateways {
        Some(Ok(other)) => faults(other) != faults(&document),
        _ => false,
    };
    let mut repaired = repair::repair(version, document.root_mut());
    if has_harmful_times {
        repaired.push(repair::times());
    }
    match as_gateways {
        Some(as_gateways) if repaired.is_empty() => (as_gateways, repaired),
        _ => (Ok(document), repaired),
    }
}

/// The version that `1.0`, `V2` or `v01` probably stands for.
fn suggested_version(text: &str) -> Option<String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("unstable") {
        return Some("unstable".to_owned());
    }
    let number = text.trim_start_matches(['v', 'V']).trim_start_matches('0');
    let end = number
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(number.len());
    let (number, rest) = number.split_at(end);
    let version = format!("v{number}");
    let is_whole = rest.is_empty() || rest.starts_with(['.', '-', '+']);
    (is_whole && Version::parse(&version).is_ok()).then_some(version)
}

/// The name of a file without its extension.
pub(super) fn stem(path: &str) -> &str {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.strip_suffix(".proto").unwrap_or(file)
}

/// Whether a document is small enough to send, decided before it is read: as it is, or, if a repair
/// rewrites it, without its white space.
fn can_be_sent(document: &[u8], may_shrink: bool) -> bool {
    let is_short = document.len() <= MAX_REQUEST_BYTES;
    let count = || {
        document
            .iter()
            .filter(|it| !it.is_ascii_whitespace())
            .count()
    };
    is_short || (may_shrink && count() <= MAX_REQUEST_BYTES)
}

fn is_no_text(document: &[u8]) -> bool {
    std::str::from_utf8(document).map_or(true, |text| text.trim().is_empty())
}

/// Whether the schema check reports that the document cannot be read.
#[cfg(feature = "preflight")]
fn is_unreadable(read: &Reading) -> bool {
    matches!(read, Some(Err(_)))
}

#[cfg(not(feature = "preflight"))]
fn is_unreadable(_: &Reading) -> bool {
    false
}

#[cfg(feature = "preflight")]
fn title_of(document: &[u8], read: &Reading) -> Option<String> {
    match read {
        Some(Ok(read)) => Some(read.as_json().pointer("/info/title")?.as_str()?.to_owned()),
        _ => title::title(document),
    }
}

#[cfg(not(feature = "preflight"))]
fn title_of(document: &[u8], _: &Reading) -> Option<String> {
    title::title(document)
}

fn check_namespace(namespace: &str, checks: Checks) -> Option<Finding> {
    let fault = name::check_namespace(namespace).err()?;
    let (rule, why) = match fault {
        NameFault::Reserved(c) => (
            Rule::NamespaceReserved,
            format!("contains `{c}`, which no gateway accepts"),
        ),
        NameFault::NotAName if checks == Checks::StructureOnly => return None,
        NameFault::NotAName => (
            Rule::NamespaceName,
            "does not match [_A-Za-z][_0-9A-Za-z]*, so the gateway cannot make a schema of it, and \
             a clustered gateway would stop serving the changes of every service"
                .to_owned(),
        ),
        NameFault::TooLong(bytes) => (
            Rule::NamespaceLength,
            format!(
                "is {bytes} bytes long; the maximum is {}",
                name::MAX_NAMESPACE_BYTES
            ),
        ),
    };
    let help = format!("`{}` would do", name::suggest(namespace));
    Some(Finding::error(rule, format!("the namespace {why}")).help(help))
}

fn check_built_in(namespace: &str, version: &str) -> Option<Finding> {
    let is_taken = version == "v1" && name::is_built_in(namespace);
    is_taken.then(|| {
        let message = format!(
            "gateways have a `{namespace}/{version}` of their own, and route no calls to another"
        );
        let finding = Finding::warning(Rule::NamespaceBuiltIn, message);
        finding.help("give it another namespace")
    })
}

fn check_graphql_endpoint(endpoint: &str) -> Result<(), Finding> {
    let is_path = endpoint.starts_with('/') && !endpoint.starts_with("//");
    let is_url = endpoint.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if is_url || (is_path && endpoint.parse::<http::Uri>().is_ok()) {
        return Ok(());
    }
    Err(Finding::error(
        Rule::GraphQlEndpoint,
        format!(
            "the GraphQL endpoint `{}` is neither an http(s) URL nor a path on \
             this server such as `/graphql`",
            redacted_url(endpoint)
        ),
    ))
}

/// A service as a gateway receives it: the content of one `ServiceBinding` of the control plane,
/// independent of any wire format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The name under which the gateway offers the service.
    pub namespace: String,
    /// `unstable` or `vN`.
    pub version: String,
    /// The entry file, which the gateway compiles as `<namespace>.proto`.
    pub proto_source: Vec<u8>,
    /// The files that the entry file imports, keyed by the paths in the `import` statements.
    pub proto_imports: HashMap<String, Vec<u8>>,
    /// The OpenAPI document.
    pub openapi_spec: Vec<u8>,
    /// A URL, or a path on the registered server.
    pub graphql_endpoint: String,
    /// The most concurrent calls over all replicas; 0: the gateway's default.
    pub max_concurrency: u32,
    /// The most concurrent calls on one replica; 0: the gateway's default.
    pub max_concurrency_per_instance: u32,
}

// === impl Binding ===

impl Binding {
    /// About the most bytes that it takes on the wire; length prefixes are estimated.
    #[must_use]
    pub fn size(&self) -> usize {
        let imports = self.proto_imports.iter();
        let imports = imports.map(|(path, text)| path.len() + text.len() + 16);
        let texts = [&self.namespace, &self.version, &self.graphql_endpoint];
        let texts = texts.map(String::len).iter().sum::<usize>();
        64 + texts + self.proto_source.len() + self.openapi_spec.len() + imports.sum::<usize>()
    }
}
