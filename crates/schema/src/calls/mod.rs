//! What becomes of the calls of a service behind a gateway: what is carried, changed or lost, what
//! fails, and what ends the gateway itself. Measured on releases 1.1 and 1.4, which agree.
//!
//! Everything is derived from one list of features ([`feature`]): the table that
//! [`Service::calls`](crate::Service::calls) returns and the findings of the rules `calls-…`.

mod feature;
mod findings;
mod openapi;
mod proto;
mod reach;
pub(crate) mod shared;
mod upstream;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

pub(crate) use findings::findings;
pub(crate) use openapi::operations as of_openapi;
pub(crate) use proto::operations as of_proto;
pub(crate) use upstream::operations as of_graphql;

use crate::finding::{CheckError, Rule};
use crate::graphql::{FieldSource, OperationKind, Schema, Target, Type};
use crate::release::GatewayRelease;
use crate::render::Site;
use crate::service::evidence::Parsed;
use crate::service::{Checks, Purpose, Resolved, Service};
use feature::Feature;

/// The way by which a call comes into a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Ingress {
    /// gRPC, on the control plane's port.
    Grpc,
    /// `/api/ingress` of the HTTP port.
    Http,
    /// `/api/graphql` of the HTTP port.
    GraphQl,
}

/// What becomes of a call, or of a part of it; what is worse is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fate {
    /// It arrives as it was sent.
    Carried,
    /// It arrives, but not as it was sent.
    Changed,
    /// It does not arrive, and nobody is told.
    Lost,
    /// The call fails.
    Fails,
    /// The gateway's process ends, for everybody.
    EndsGateway,
}

/// What becomes of the calls of a service: a table of its operations, by each ingress.
///
/// `Display` prints it for people to read.
#[derive(Clone, Debug)]
pub struct Calls {
    operations: Vec<CallsOf>,
}

/// What becomes of the calls of one operation.
#[derive(Clone, Debug)]
pub struct CallsOf {
    service: String,
    name: String,
    ways: Vec<Way>,
}

/// What becomes of the calls of one operation by one ingress.
#[derive(Clone, Debug)]
pub struct Way {
    ingress: Ingress,
    address: Option<String>,
    notes: Vec<Note>,
}

/// One thing that becomes of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    fate: Fate,
    rule: Option<Rule>,
    text: String,
}

// === what is seen in the sources ===

/// An operation, where callers find it and what is peculiar about it.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// `/shop.v1.Shop/Watch`, `GET /pets/{id}` or `query books`.
    name: String,
    site: Site,
    grpc: Option<String>,
    http: Option<String>,
    graphql: Option<String>,
    seen: Vec<Seen>,
}

/// A feature of an operation that does not survive a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    feature: Feature,
    /// What has it: fields, parameters, media types; the operation itself where that is all.
    subjects: Vec<Subject>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    name: String,
    site: Site,
}

impl Operation {
    fn see(&mut self, feature: Feature, subjects: Vec<Subject>) {
        if !subjects.is_empty() {
            self.seen.push(Seen { feature, subjects });
        }
    }

    /// The operation as a whole has it.
    fn see_itself(&mut self, feature: Feature) {
        let (name, site) = (self.name.clone(), self.site.clone());
        self.see(feature, vec![Subject { name, site }]);
    }
}

/// Where the operations of a schema are: what a caller asks for, by what is behind it.
fn graphql_addresses(
    schema: &Schema,
) -> HashMap<(OperationKind, Target), (String, &crate::graphql::Field)> {
    let roots = [
        ("query", Some(schema.query())),
        ("mutation", schema.mutation()),
        ("subscription", schema.subscription()),
    ];
    let mut found = HashMap::new();
    for (word, root) in roots {
        let Some(root) = root else { continue };
        // Containers of namespaces and groups; those of versions and `stable` repeat what is there.
        let mut open: Vec<(&Type, Vec<&str>)> = vec![(root, Vec::new())];
        while let Some((of, path)) = open.pop() {
            for (name, field) in of.fields().into_iter().flatten() {
                let mut path = path.clone();
                path.push(name);
                match &field.source {
                    FieldSource::Container if path.len() < MAX_GROUPS => {
                        open.push((schema.get(field.of.id), path));
                    }
                    FieldSource::Operation(operation) => {
                        let key = (operation.kind, operation.target.clone());
                        let shown =
                            format!("{word} {{ {}", path.join(" { ")) + &" }".repeat(path.len());
                        let shorter = |known: &(String, _)| known.0.len() <= shown.len();
                        if !found.get(&key).is_some_and(shorter) {
                            found.insert(key, (shown, field));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    found
}

/// Groups within groups are followed this far.
const MAX_GROUPS: usize = 32;

// === impl Service ===

impl Service {
    /// What becomes of the calls of this service behind a gateway: for each operation and each
    /// ingress what is carried, changed or lost, and what fails. Directories of proto files are read.
    ///
    /// The rules `calls-…` of [`check`](crate::check) refuse or warn of the worst of it; the table has
    /// all of it, allowed or not.
    ///
    /// # Errors
    ///
    /// The service cannot be registered for other reasons, as [`check`](crate::check) says it; or it is
    /// a GraphQL endpoint without [`schema`](Self::schema).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag_schema::Service;
    /// use tower_gwag_schema::calls::{Fate, Ingress};
    ///
    /// let pets = Service::proto(
    ///     "syntax = \"proto3\"; package pets.v1;
    ///      service Pets { rpc GetPet(Id) returns (Pet); }
    ///      message Id { string pet_id = 1; } message Pet { string name = 1; }",
    /// );
    /// let calls = pets.namespace("pets").calls()?;
    /// println!("{calls}");
    /// let get_pet = calls.operations().next().expect("one");
    /// assert_eq!(get_pet.by(Ingress::Grpc).fate(), Fate::Carried);
    /// // GraphQL callers cannot give `pet_id`.
    /// assert_eq!(get_pet.by(Ingress::GraphQl).fate(), Fate::Lost);
    /// # Ok::<(), tower_gwag_schema::CheckError>(())
    /// ```
    pub fn calls(&self) -> Result<Calls, CheckError> {
        let checks = Checks::All(GatewayRelease::default());
        let (resolved, mut found) = self.resolve(1, checks, Purpose::Schema);
        found.allow(Rule::ALL.iter().filter(|rule| rule.is_about_calls()));
        found.extend(crate::service::unknown_schemas(&resolved));
        found.into_result()?;
        Ok(Calls {
            operations: resolved.iter().flat_map(calls_of).collect(),
        })
    }
}

fn calls_of(service: &Resolved) -> Vec<CallsOf> {
    let Some(parsed) = service.evidence.parsed() else {
        return Vec::new();
    };
    let schema =
        crate::service::schema_of(std::slice::from_ref(service), GatewayRelease::default());
    let version = service.version.to_string();
    let operations = match parsed {
        Parsed::Proto(compiled) => of_proto(compiled, &schema),
        Parsed::OpenApi(document) => of_openapi((&service.namespace, &version), document, &schema),
        Parsed::GraphQl(it) => of_graphql((&service.namespace, &version), it, &schema),
    };
    let of = |operation: Operation| CallsOf::new(service.name(), operation);
    operations.into_iter().map(of).collect()
}

// === impl Calls ===

impl Calls {
    /// Each operation, in the order of the source.
    pub fn operations(&self) -> impl Iterator<Item = &CallsOf> {
        self.operations.iter()
    }

    /// An operation by its name: `/shop.v1.Shop/Watch`, `GET /pets/{id}` or `query books`.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&CallsOf> {
        self.operations.iter().find(|it| it.name == name)
    }
}

impl CallsOf {
    fn new(service: String, operation: Operation) -> Self {
        let ways = [
            (Ingress::Grpc, operation.grpc),
            (Ingress::Http, operation.http),
            (Ingress::GraphQl, operation.graphql),
        ];
        let ways = ways.map(|(ingress, address)| {
            let seen = operation.seen.iter();
            let mut notes: Vec<Note> = seen.filter_map(|it| it.note(ingress)).collect();
            if address.is_none() && !notes.iter().any(|it| it.fate >= Fate::Fails) {
                notes.push(Note {
                    fate: Fate::Fails,
                    rule: None,
                    text: "there is no route".to_owned(),
                });
            }
            notes.sort_by_key(|it| std::cmp::Reverse(it.fate));
            Way {
                ingress,
                address,
                notes,
            }
        });
        Self {
            service,
            name: operation.name,
            ways: ways.into(),
        }
    }

    /// The service, as `namespace/version`.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// `/shop.v1.Shop/Watch`, `GET /pets/{id}` or `query books`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What becomes of calls by one ingress.
    #[must_use]
    pub fn by(&self, ingress: Ingress) -> &Way {
        // In the order of the enum, all three are there.
        &self.ways[ingress as usize]
    }

    /// What becomes of calls by each ingress.
    pub fn ways(&self) -> impl Iterator<Item = &Way> {
        self.ways.iter()
    }
}

impl Way {
    /// By which way.
    #[must_use]
    pub fn ingress(&self) -> Ingress {
        self.ingress
    }

    /// What a caller asks for: a gRPC method, an HTTP method and path, or the fields of a GraphQL
    /// operation; `None` where there is no route.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The worst that becomes of a call.
    #[must_use]
    pub fn fate(&self) -> Fate {
        let worst = self.notes.iter().map(|it| it.fate).max();
        worst.unwrap_or(Fate::Carried)
    }

    /// Each thing that becomes of a call, the worst first; none where it is carried.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

impl Note {
    /// What becomes of it.
    #[must_use]
    pub fn fate(&self) -> Fate {
        self.fate
    }

    /// The rule that refuses it or warns of it, if there is one.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        self.rule
    }

    /// How, and of what.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

// === Display ===

impl fmt::Display for Ingress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Grpc => "gRPC",
            Self::Http => "HTTP",
            Self::GraphQl => "GraphQL",
        })
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Carried => "carried",
            Self::Changed => "changed",
            Self::Lost => "lost",
            Self::Fails => "fails",
            Self::EndsGateway => "ends the gateway",
        })
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut service = "";
        for operation in &self.operations {
            if operation.service != service {
                let gap = if service.is_empty() { "" } else { "\n" };
                service = &operation.service;
                writeln!(f, "{gap}{service}")?;
            }
            write!(f, "{operation}")?;
        }
        for (ingress, text) in feature::OF_EVERY_CALL {
            write!(f, "\nOf every call by {ingress}: {text}.")?;
        }
        Ok(())
    }
}

impl fmt::Display for CallsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.name)?;
        for way in &self.ways {
            let (ingress, address) = (way.ingress, way.address().unwrap_or("-"));
            writeln!(f, "    {ingress:<8} {address}")?;
            if way.notes.is_empty() {
                writeln!(f, "             {}", Fate::Carried)?;
            }
            for note in &way.notes {
                writeln!(f, "             {}: {}", note.fate, note.text)?;
            }
        }
        Ok(())
    }
}
