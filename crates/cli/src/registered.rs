//! What a gateway has registered, and how schemas differ from it.

use http::StatusCode;
use serde_json::Value;
use tower_gwag::control::proto::ServiceInfo;
use tower_gwag::{Finding, GatewayRelease, Rule, Service};
use tower_gwag_schema::diff::{Change, Level, diff};

use crate::access::{client, on_a_runtime};
use crate::check::Found;
use crate::cli::MaybeGateway;
use crate::exit_codes::Fault;
use crate::http::Base;
use crate::output::{count, plain, say};
use crate::sources::{Kind, Source, Sources};

/// The most changes shown for one conflict.
const MOST: usize = 5;

/// Conflicts with registered services, as findings.
pub(crate) fn conflicts<'a>(
    sources: &'a Sources,
    gateway: &str,
    how: &MaybeGateway,
) -> Result<Vec<Found<'a>>, Fault> {
    on_a_runtime(async {
        let registered = Registered::ask(gateway, how).await?;
        let mut found = Vec::new();
        for source in &sources.all {
            // A source without a hash has findings already.
            let Ok(hashes) = source.service.hashes() else {
                continue;
            };
            for (namespace, hash) in hashes {
                let name = format!("{namespace}/{}", source.version);
                let Some(there) = registered.find(&namespace, &source.version) else {
                    say(&format!("{name}: not registered with {gateway}"));
                    continue;
                };
                let replicas = count(there.replica_count as usize, "replica");
                if hash.hex() == Some(there.hash_hex.as_str()) {
                    say(&format!(
                        "{name}: registered with {gateway}, with this schema: {replicas}"
                    ));
                    continue;
                }
                let Some(doubt) = hash.doubt() else {
                    let differs = registered
                        .differences(source, &namespace, sources.release)
                        .await;
                    found.push(conflict(source, &name, gateway, &replicas, &differs));
                    continue;
                };
                say(&format!(
                    "{name}: registered with {gateway}, perhaps with another schema: {doubt}"
                ));
            }
        }
        Ok(found)
    })?
}

fn conflict<'a>(
    source: &'a Source,
    name: &str,
    gateway: &str,
    replicas: &str,
    differs: &str,
) -> Found<'a> {
    let is_unstable = source.version == "unstable";
    let finding = match is_unstable {
        true => {
            let message = format!(
                "{gateway} has another schema as `{name}` ({replicas}), which this one replaces{differs}"
            );
            Finding::warning(Rule::VersionLocked, message)
                .help("stop the older build: if both send heartbeats, they take the slot in turns")
        }
        false => {
            let message = format!(
                "{gateway} has another schema as `{name}` ({replicas}), and accepts no other for a \
                 vN that is registered{differs}"
            );
            Finding::error(Rule::VersionLocked, message).help(
                "register the next version, or wait until the last replica of the other schema has \
                 left",
            )
        }
    };
    Found {
        finding: finding.for_command_line(|_| None),
        source: Some(source),
    }
}

/// The services that a gateway lists, and the HTTP port where it shows schemas.
pub(crate) struct Registered {
    services: Vec<ServiceInfo>,
    http: Option<Base>,
}

impl Registered {
    pub(crate) async fn ask(gateway: &str, how: &MaybeGateway) -> Result<Self, Fault> {
        let http = how.http.as_deref().map(Base::parse).transpose()?;
        let client = client(gateway, &how.access)?;
        let listed = client
            .services()
            .await
            .map_err(|error| Fault::of_gateway(&error))?;
        let services = listed.services;
        Ok(Self { services, http })
    }

    pub(crate) fn find(&self, namespace: &str, version: &str) -> Option<&ServiceInfo> {
        let mut services = self.services.iter();
        services
            .find(|it| it.namespace == namespace && it.version == version && it.replica_count > 0)
    }

    /// The differences in words, to append to the message of a conflict.
    async fn differences(
        &self,
        source: &Source,
        namespace: &str,
        release: GatewayRelease,
    ) -> String {
        match self.changes(source, namespace, release).await {
            Err(why) => format!("; what differs is not known: {why}"),
            Ok((changes, _)) if changes.is_empty() => {
                "; no change that callers notice differs: comments, white space, or an imported \
                 file"
                    .to_owned()
            }
            Ok((changes, _)) => {
                let shown: Vec<String> = changes
                    .iter()
                    .take(MOST)
                    .map(|it| {
                        format!(
                            "\n  {} ({}): {}: {}",
                            it.level(),
                            it.protocol(),
                            it.subject(),
                            it.message()
                        )
                    })
                    .collect();
                let more = match changes.len() > MOST {
                    true => format!(
                        "\n  and {} more: `tower-gwag diff --gateway`",
                        changes.len() - MOST
                    ),
                    false => String::new(),
                };
                format!(". What differs:{}{more}", shown.concat())
            }
        }
    }

    /// The changes if this source replaces what is registered, and what the comparison does not
    /// cover.
    pub(crate) async fn changes(
        &self,
        source: &Source,
        namespace: &str,
        release: GatewayRelease,
    ) -> Result<(Vec<Change>, Option<String>), String> {
        let Some(http) = &self.http else {
            return Err("give --http, the base of the gateway's HTTP port".to_owned());
        };
        let version = &source.version;
        let new = source.service.clone();
        let selection = format!("{namespace}:{version}");
        match source.kind {
            Kind::OpenApi => {
                let text = page(http, &format!("/api/schema/openapi?service={selection}")).await?;
                let all: Value = serde_json::from_slice(&text)
                    .map_err(|_| "the gateway's answer is not JSON".to_owned())?;
                let document = &all[namespace][version];
                if !document.is_object() {
                    return Err(format!("the gateway shows no document of {selection}"));
                }
                let old = named(Service::openapi(document.clone()), namespace, version);
                Ok((compared(old, new, release)?, None))
            }
            Kind::Proto => {
                let set = page(http, &format!("/api/schema/proto?service={selection}")).await?;
                let entry = format!("{namespace}.proto");
                let old = Service::descriptor_set(set.to_vec(), entry);
                let old = named(old, namespace, version);
                if let Ok(changes) = compared(old, new.clone(), release) {
                    return Ok((changes, None));
                }
                // The gateway shows no imports.
                self.by_graphql(http, &new, namespace, version, release)
                    .await
            }
            Kind::GraphQl => {
                self.by_graphql(http, &new, namespace, version, release)
                    .await
            }
        }
    }

    async fn by_graphql(
        &self,
        http: &Base,
        new: &Service,
        namespace: &str,
        version: &str,
        release: GatewayRelease,
    ) -> Result<(Vec<Change>, Option<String>), String> {
        let path = format!("/api/schema/graphql?service={namespace}:{version}");
        let old = page(http, &path).await?;
        let new = new
            .graphql_schema(release)
            .map_err(|error| error.to_string())?;
        let schema = |text: Vec<u8>| {
            named(
                Service::graphql("/graphql").schema(text),
                namespace,
                version,
            )
            .allow(Rule::GraphQlFieldName)
            .allow(Rule::GraphQlTypeName)
        };
        let changes = compared(
            schema(old.to_vec()),
            schema(new.to_string().into_bytes()),
            release,
        )?;
        let note = "compared as GraphQL callers see it: the gateway does not show enough of it for \
                    gRPC and HTTP";
        Ok((changes, Some(note.to_owned())))
    }
}

fn named(service: Service, namespace: &str, version: &str) -> Service {
    service.namespace(namespace).version(version.to_owned())
}

fn compared(old: Service, new: Service, release: GatewayRelease) -> Result<Vec<Change>, String> {
    let changes = diff(&[old], &[new], release).map_err(|error| error.to_string())?;
    Ok(changes
        .into_iter()
        .filter(|it| it.level() > Level::Safe || !it.message().is_empty())
        .collect())
}

async fn page(http: &Base, path: &str) -> Result<bytes::Bytes, String> {
    match http.get(path).await? {
        (StatusCode::OK, body) => Ok(body),
        (status, body) => {
            let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            Err(format!(
                "{path}: HTTP status {}: {}",
                status.as_u16(),
                plain(text.trim())
            ))
        }
    }
}
