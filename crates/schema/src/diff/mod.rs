//! What a schema change breaks, for GraphQL, gRPC and HTTP callers.

mod graphql;
mod grpc;
mod http;
#[doc(hidden)]
pub mod served;

use std::collections::BTreeMap;
use std::fmt;

use crate::finding::CheckError;
use crate::finding::Findings;
use crate::gateway::GatewayRelease;
use crate::location::Location;
use crate::openapi::locate::excerpts;
use crate::proto::locate;
use crate::service::evidence::Parsed;
use crate::service::{Checks, Purpose, Resolved, Service, resolve};

/// The severity of a [`Change`] for callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// No caller notices.
    Safe,
    /// Some callers may notice: in generated code, in JSON, or through values they do not know.
    Dangerous,
    /// Calls that worked fail, or change their meaning.
    Breaking,
}

/// The protocol whose callers a change affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// The gateway's GraphQL schema.
    GraphQl,
    /// gRPC: the wire format and generated code.
    Grpc,
    /// HTTP and JSON.
    Http,
}

/// One difference between two sets of schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    level: Level,
    protocol: Protocol,
    subject: String,
    message: String,
    /// In the new schemas, or in the old ones for removals.
    file: Option<String>,
    line: Option<usize>,
}

/// Compares the old and new services, each set as registered together, and returns all changes, the
/// most severe first.
///
/// For GraphQL callers, everything that a gateway's schema shows counts, including type names:
/// registering `v2` of an OpenAPI or GraphQL service renames the types of its `v1`.
///
/// # Errors
///
/// The old or new services cannot be registered, with the findings of [`check`](crate::check).
///
/// # Examples
///
/// ```
/// use tower_gwag_schema::diff::{Level, diff};
/// use tower_gwag_schema::{GatewayRelease, Service};
///
/// let pets = |field: &str| {
///     let source = format!(
///         "syntax = \"proto3\"; package pets.v1; message Id {{ string id = 1; }}
///          message Pet {{ {field} }} service Pets {{ rpc Get(Id) returns (Pet); }}"
///     );
///     Service::proto(source).namespace("pets")
/// };
/// let old = [pets("string name = 1;")];
/// let new = [pets("int32 name = 1;")];
/// let changes = diff(&old, &new, GatewayRelease::default())?;
/// assert_eq!(changes[0].level(), Level::Breaking);
/// # Ok::<(), tower_gwag_schema::CheckError>(())
/// ```
pub fn diff(
    old: &[Service],
    new: &[Service],
    release: GatewayRelease,
) -> Result<Vec<Change>, CheckError> {
    let read = |services: &[Service]| {
        let mut found = Findings::default();
        let resolved = resolve(services, Checks::All(release), Purpose::Schema, &mut found);
        found.into_result().map(|_| resolved)
    };
    let (old, new) = (read(old)?, read(new)?);
    let mut changes = Changes {
        old: Texts::of(&old),
        new: Texts::of(&new),
        all: Vec::new(),
    };
    let schema = |services: &[Resolved]| crate::service::schema_of(services, release);
    graphql::compare(&schema(&old), &schema(&new), &mut changes);
    for was in &old {
        let is = new.iter().find(|it| it.name() == was.name());
        let Some(is) = is else {
            let message = format!("the service `{}` is no longer registered", was.name());
            let protocol = match was.evidence.parsed() {
                Some(Parsed::OpenApi(_)) => Protocol::Http,
                Some(Parsed::Proto(_)) => Protocol::Grpc,
                _ => continue,
            };
            changes.add(Level::Breaking, protocol, was.name(), message, None);
            continue;
        };
        match (was.evidence.parsed(), is.evidence.parsed()) {
            (Some(Parsed::Proto(old)), Some(Parsed::Proto(new))) => {
                grpc::compare(old, new, &mut changes);
            }
            (Some(Parsed::OpenApi(old)), Some(Parsed::OpenApi(new))) => {
                http::compare(&was.name(), old.as_json(), new.as_json(), &mut changes);
            }
            _ => {}
        }
    }
    changes.locate();
    let mut all: Vec<Change> = changes.all.into_iter().map(|it| it.change).collect();
    all.sort_by(|a, b| {
        let key = |it: &Change| (std::cmp::Reverse(it.level), it.protocol);
        key(a).cmp(&key(b)).then_with(|| a.subject.cmp(&b.subject))
    });
    all.dedup();
    Ok(all)
}

/// The set of schemas that a location is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Old,
    New,
}

/// A location not yet resolved to a line.
pub(super) type Where = Option<(Side, Location)>;

pub(super) struct Changes<'a> {
    old: Texts<'a>,
    new: Texts<'a>,
    all: Vec<Raw>,
}

struct Raw {
    change: Change,
    location: Where,
    /// The service, if the location is in a document and the service is known.
    service: Option<String>,
}

impl Changes<'_> {
    pub(super) fn add(
        &mut self,
        level: Level,
        protocol: Protocol,
        subject: impl Into<String>,
        message: impl Into<String>,
        location: Where,
    ) {
        let change = Change {
            level,
            protocol,
            subject: subject.into(),
            message: message.into(),
            file: None,
            line: None,
        };
        self.all.push(Raw {
            change,
            location,
            service: None,
        });
    }

    /// As `add`, for a location in a document.
    pub(super) fn add_of(&mut self, service: &str, change: Change, location: Where) {
        self.all.push(Raw {
            change,
            location,
            service: Some(service.to_owned()),
        });
    }

    fn locate(&mut self) {
        for raw in &mut self.all {
            if let Some((side, location)) = &raw.location {
                let texts = match side {
                    Side::Old => &self.old,
                    Side::New => &self.new,
                };
                if let Some((file, line)) = texts.locate(location, raw.service.as_deref()) {
                    (raw.change.file, raw.change.line) = (Some(file), line);
                }
            }
        }
    }
}

/// The texts of services, to look up lines.
struct Texts<'a> {
    services: BTreeMap<String, &'a Resolved>,
}

impl<'a> Texts<'a> {
    fn of(services: &'a [Resolved]) -> Self {
        let services = services.iter().map(|it| (it.name(), it));
        Self {
            services: services.collect(),
        }
    }

    /// The file, and the line if it is known.
    fn locate(
        &self,
        location: &Location,
        service: Option<&str>,
    ) -> Option<(String, Option<usize>)> {
        let candidates = self
            .services
            .iter()
            .filter(|(name, _)| service.is_none_or(|it| it == name.as_str()))
            .map(|(_, it)| *it);
        for it in candidates {
            let found = match (location, it.evidence.parsed()) {
                (Location::Proto(file, path), Some(Parsed::Proto(compiled))) => {
                    locate::line_of(compiled, file, path).map(|line| (file.to_string(), Some(line)))
                }
                (Location::OpenApi(pointer), Some(Parsed::OpenApi(document))) => {
                    let pointer = pointer.to_string();
                    document.as_json().pointer(&pointer).map(|_| {
                        let text = String::from_utf8_lossy(&it.binding.openapi_spec);
                        let excerpt = excerpts(&text, std::slice::from_ref(location)).pop();
                        let line = excerpt.flatten().map(|it| it.line);
                        (format!("openapi#{pointer}"), line)
                    })
                }
                (Location::Text(line, _), Some(Parsed::GraphQl(_))) => {
                    Some(("graphql".to_owned(), Some(*line).filter(|line| *line > 0)))
                }
                _ => None,
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

// === impl Change ===

impl Change {
    /// The severity.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The protocol whose callers the change affects.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The changed item: `Query.pets.getPet`, `pets.v1.Pet.name` or `GET /pets`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// A description of the change.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file of the change, with a JSON pointer for an OpenAPI document: a new file, or the old one
    /// for removals.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line in that file, from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safe => "safe",
            Self::Dangerous => "dangerous",
            Self::Breaking => "breaking",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GraphQl => "GraphQL",
            Self::Grpc => "gRPC",
            Self::Http => "HTTP",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            level,
            protocol,
            subject,
            message,
            ..
        } = self;
        write!(f, "{level} ({protocol}): {subject}: {message}")?;
        match (self.file(), self.line()) {
            (Some(file), Some(line)) => write!(f, "\n --> {file}:{line}"),
            (Some(file), None) => write!(f, "\n --> {file}"),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
