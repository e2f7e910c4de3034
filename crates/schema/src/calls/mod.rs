//! What happens to calls of a service behind a gateway: what is carried, changed or lost, what fails,
//! and what ends the gateway itself. Measured on releases 1.1 and 1.4, which agree
//! but for the rules `calls-header-name` (1.1) and `calls-fatal-map` (1.4).
//!
//! Everything is derived from one list of features (`feature`): the table that
//! [`Service::calls`](crate::Service::calls) returns and the findings of the rules `calls-…`.

mod feature;
mod findings;
mod graphql;
mod openapi;
mod proto;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use feature::Feature;

use crate::finding::Rule;
use crate::graphql::{FieldSource, OperationKind, Schema, Target, Type};
use crate::location::Location;

pub(crate) use findings::findings;
pub(crate) use graphql::operations as of_graphql;
pub(crate) use openapi::{is_served, operations as of_openapi};
pub(crate) use proto::operations as of_proto;

/// The ingress through which a call enters a gateway.
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

/// What happens to a call, or to a part of it; worse fates are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fate {
    /// It arrives as sent.
    Carried,
    /// It arrives changed.
    Changed,
    /// It does not arrive, and nobody gets an error.
    Lost,
    /// The call fails.
    Fails,
    /// The gateway's process ends, for all callers.
    EndsGateway,
}

/// What happens to the calls of a service: a table of its operations, for each ingress.
///
/// `Display` prints it as a table for people.
#[derive(Clone, Debug)]
pub struct Calls {
    operations: Vec<CallsOf>,
}

/// What happens to the calls of one operation.
#[derive(Clone, Debug)]
pub struct CallsOf {
    service: String,
    name: String,
    ways: Vec<Way>,
}

/// What happens to the calls of one operation through one ingress.
#[derive(Clone, Debug)]
pub struct Way {
    ingress: Ingress,
    address: Option<String>,
    notes: Vec<Note>,
}

/// One thing that happens to calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    fate: Fate,
    rule: Option<Rule>,
    text: String,
}

// === features seen in the sources ===

/// An operation, where callers reach it, and its peculiarities.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// `/shop.v1.Shop/Watch`, `GET /pets/{id}` or `query books`.
    name: String,
    location: Location,
    grpc: Option<String>,
    http: Option<String>,
    graphql: Option<String>,
    seen: Vec<Seen>,
}

/// A feature of an operation that does not survive a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    feature: Feature,
    /// The items that have it: fields, parameters, media types; or just the operation itself.
    subjects: Vec<Subject>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    name: String,
    location: Location,
}

impl Operation {
    fn see(&mut self, feature: Feature, subjects: Vec<Subject>) {
        if !subjects.is_empty() {
            self.seen.push(Seen { feature, subjects });
        }
    }

    /// Records a feature of the operation as a whole.
    fn see_itself(&mut self, feature: Feature) {
        let (name, location) = (self.name.clone(), self.location.clone());
        self.see(feature, vec![Subject { name, location }]);
    }
}

/// The GraphQL addresses of a schema's operations: what a caller queries, keyed by the call behind it.
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
        // Containers of namespaces and groups; those of versions and `stable` repeat the same operations.
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

/// How deep groups within groups are followed.
const MAX_GROUPS: usize = 32;

// === impl Calls ===

impl Calls {
    pub(crate) fn of(operations: Vec<CallsOf>) -> Self {
        Self { operations }
    }

    /// All operations, in the order of the source.
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
    pub(crate) fn new(service: String, operation: Operation) -> Self {
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

    /// What happens to calls through one ingress.
    #[must_use]
    pub fn by(&self, ingress: Ingress) -> &Way {
        // All three are there, in the order of the enum.
        &self.ways[ingress as usize]
    }

    /// What happens to calls through each ingress.
    pub fn ways(&self) -> impl Iterator<Item = &Way> {
        self.ways.iter()
    }
}

impl Way {
    /// The ingress.
    #[must_use]
    pub fn ingress(&self) -> Ingress {
        self.ingress
    }

    /// What a caller requests: a gRPC method, an HTTP method and path, or the fields of a GraphQL
    /// operation; `None` if there is no route.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The worst fate of a call.
    #[must_use]
    pub fn fate(&self) -> Fate {
        let worst = self.notes.iter().map(|it| it.fate).max();
        worst.unwrap_or(Fate::Carried)
    }

    /// Everything that happens to a call, the worst first; empty if it is carried.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

impl Note {
    /// The fate.
    #[must_use]
    pub fn fate(&self) -> Fate {
        self.fate
    }

    /// The rule that refuses it or warns of it, if any.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        self.rule
    }

    /// A description, with the subjects at fault.
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

// === what is reachable ===

/// How many subjects are kept for each type; whether there is any is always known.
const MOST_SUBJECTS: usize = 4;

/// For each type, the subjects of `having` that are in it or below it, in time linear in the number of fields,
/// however many types refer to each other.
fn reach<K: Clone + Eq + Hash>(
    having: Vec<(K, Subject)>,
    users: &HashMap<K, Vec<K>>,
) -> HashMap<K, Vec<Subject>> {
    let mut found: HashMap<K, Vec<Subject>> = HashMap::new();
    for (of, subject) in having {
        let mut open = vec![of];
        while let Some(of) = open.pop() {
            let known = found.entry(of.clone()).or_default();
            // A type that uses a full type has subjects of its own by now.
            if known.len() >= MOST_SUBJECTS || known.contains(&subject) {
                continue;
            }
            known.push(subject.clone());
            open.extend(users.get(&of).into_iter().flatten().cloned());
        }
    }
    found
}
