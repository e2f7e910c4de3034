//! What happens to the calls of a service.

use super::evidence::Parsed;
use super::{Checks, Purpose, Resolved, Service};
use crate::calls::{Calls, CallsOf, of_graphql, of_openapi, of_proto};
use crate::finding::{CheckError, Rule};
use crate::release::GatewayRelease;

impl Service {
    /// What happens to the calls of this service behind a gateway: for each operation and each ingress,
    /// what is carried, changed or lost, and what fails. Reads directories of proto files.
    ///
    /// The rules `calls-…` of [`check`](crate::check) refuse or warn of the worst cases; the table lists
    /// all of them, allowed or not.
    ///
    /// # Errors
    ///
    /// The service cannot be registered for other reasons, with the findings of [`check`](crate::check); or
    /// it is a GraphQL endpoint without [`schema`](Self::schema).
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
        found.extend(super::unknown_schemas(&resolved));
        found.into_result()?;
        Ok(Calls::of(resolved.iter().flat_map(calls_of).collect()))
    }
}

fn calls_of(service: &Resolved) -> Vec<CallsOf> {
    let Some(parsed) = service.evidence.parsed() else {
        return Vec::new();
    };
    let release = GatewayRelease::default();
    let schema = super::schema_of(std::slice::from_ref(service), release);
    let version = service.version.to_string();
    let operations = match parsed {
        Parsed::Proto(compiled) => of_proto(compiled, &schema),
        Parsed::OpenApi(document) => {
            of_openapi((&service.namespace, &version), document, &schema, release)
        }
        Parsed::GraphQl(it) => of_graphql((&service.namespace, &version), it, &schema),
    };
    let of = |operation| CallsOf::new(service.name(), operation);
    operations.into_iter().map(of).collect()
}
