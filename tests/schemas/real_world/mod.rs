//! OpenAPI documents and proto trees of the size and habits of public APIs: what passes the check at
//! once, what after a repair, what never; and that a gateway sees it the same way.

mod cases;
mod generated;
mod meaning;
mod outcome;

use std::net::SocketAddr;
use std::time::Duration;

use crate::shown::show;
use crate::support::within;
use cases::{Case, Kind};
use outcome::Outcome;
use tower_gwag::{GwagRegistrationLayer, Hold, Options, Registration, Rule, Service, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

/// What is refused although no gateway is known to: with the reason.
const NOT_SHOWN: [(&str, &str); 1] = [(
    "unvendored",
    "a file is missing: there is nothing to send, whatever is checked",
)];

/// What is refused although gateways take it: with the reason.
const TAKEN: [(&str, &str); 1] = [(
    "live",
    "gateways serve it, and one call with the field set ends their process",
)];

#[test]
fn each_ends_where_it_is_expected() {
    let cases = cases::all();
    let outcomes: Vec<_> = cases.iter().map(Outcome::of).collect();
    show(outcome::table(&outcomes));
    let wrong: Vec<_> = cases
        .iter()
        .zip(&outcomes)
        .filter(|(case, outcome)| !outcome.is_expected(case))
        .map(|(case, outcome)| format!("{}: {outcome}", case.name))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    for kind in [Kind::OpenApi, Kind::Proto] {
        assert!(cases.iter().filter(|it| it.kind == kind).count() >= 12);
    }
}

/// What becomes of calls takes a few lines for each service, or nobody reads them.
#[test]
fn warnings_about_calls_are_few() {
    let cases = cases::all();
    let outcomes: Vec<_> = cases.iter().map(Outcome::of).collect();
    show(outcome::calls_table(&outcomes));
    let mut counts: Vec<usize> = outcomes.iter().map(|it| it.calls().count()).collect();
    counts.sort_unstable();
    // An ordinary document, and the worst.
    assert!(counts[counts.len() / 2] <= 3, "{counts:?}");
    assert!(counts[counts.len() - 1] <= 8, "{counts:?}");
    assert!(
        counts.iter().filter(|it| **it > 3).count() <= 3,
        "{counts:?}"
    );
}

/// A repair says all that it did, and does nothing to what is good or not to be repaired.
#[test]
fn repairs_are_reported() {
    for case in cases::all() {
        let rules = |service: Service| match options("gateway:1", service).check() {
            Ok(found) => outcome::rules(found.iter()),
            Err(error) => outcome::rules(error.findings().expect("findings").iter()),
        };
        let plain = rules(case.service.clone());
        let repaired = rules(case.service.clone().repair());
        let is_told = repaired.contains(&Rule::OpenApiRepaired);
        let is_changed = plain.iter().any(|it| !repaired.contains(it));
        assert!(is_told || !is_changed, "{}: {repaired:?}", case.name);
        let is_good = case.refused.is_empty() && !plain.contains(&Rule::OpenApiPathItemParameters);
        if is_good || case.kind == Kind::Proto {
            assert_eq!(plain, repaired, "{}", case.name);
            let hash = |service: Service| service.hash().ok();
            let repaired = case.service.clone().repair();
            assert_eq!(hash(repaired), hash(case.service), "{}", case.name);
        }
    }
}

/// A clustered gateway takes everything, and what it cannot serve blocks all the others: so one
/// document that passes and should not would be seen here.
#[tokio::test]
async fn what_passes_is_listed_and_routed() {
    let gateway = gateway(Profile::Clustered).await;
    let mut registrations = Vec::new();
    for case in takeable() {
        let service = case.passing().expect("it passes");
        registrations.push(start(&gateway, service.clone()).expect(case.name));
        let registration = registrations.last().expect("one");
        taken(case.name, registration).await;
        let routed = gateway.wait_until(|now| {
            let found = now.service(case.name, "v1");
            found.is_some_and(|service| service.routed)
        });
        within(&format!("{} is routed", case.name), routed).await;
        let hash = service.hash().expect(case.name);
        let view = gateway.view();
        let listed = &view.service(case.name, "v1").expect("listed").hash;
        if hash.is_exact() {
            assert_eq!(hash.hex(), Some(&**listed), "{}", case.name);
        }
        let (status, schema) = schema(&gateway, "graphql", case.name).await;
        assert_eq!(status, 200, "{}: {schema}", case.name);
    }
    for (case, registration) in takeable().zip(&registrations) {
        let mut status = registration.status();
        let listed = status.wait_for(|now| now.state() == State::Listed);
        if tokio::time::timeout(Duration::from_secs(20), listed)
            .await
            .is_err()
        {
            panic!("{}: {}", case.name, *registration.status().borrow());
        }
    }
    let names = gateway.services().into_iter();
    let routed = names.filter(|it| it.routed && !it.namespace.starts_with('_'));
    assert_eq!(routed.count(), takeable().count());
    for registration in registrations {
        within("the report", registration.leave()).await;
    }
    assert!(gateway.services().is_empty(), "{:?}", gateway.services());
}

/// A standalone gateway refuses what it cannot serve: so a false alarm would be seen here.
#[tokio::test]
async fn what_is_refused_a_gateway_refuses_too() {
    for case in cases::all() {
        let exceptions = NOT_SHOWN.iter().chain(&TAKEN);
        let is_shown = !exceptions.into_iter().any(|(name, _)| *name == case.name);
        if case.refused.is_empty() || !is_shown {
            continue;
        }
        let mut services = vec![case.service.clone()];
        if !case.left.is_empty() {
            services.push(case.service.clone().repair());
        }
        for service in services {
            let gateway = gateway(Profile::Standalone).await;
            let options = options(gateway.target(), service).unchecked_schemas();
            let registration = GwagRegistrationLayer::new(options).registration();
            registration.start(nowhere()).expect(case.name);
            let mut status = registration.status();
            let answered = status.wait_for(|now| {
                now.is_registered() || matches!(now.state(), State::Refused | State::Blocked)
            });
            let status = within(case.name, answered).await.expect("alive").clone();
            assert_eq!(status.state(), State::Refused, "{}: {status}", case.name);
            within("the report", registration.leave()).await;
        }
    }
}

#[tokio::test]
async fn the_exceptions_are_exceptions() {
    for (name, reason) in NOT_SHOWN {
        let case = named(name);
        assert!(!case.refused.is_empty(), "{name}: {reason}");
        let options = options("gateway:1", case.service).unchecked_schemas();
        assert!(options.check().is_err(), "{name} can be sent: {reason}");
    }
    for (name, reason) in TAKEN {
        let case = named(name);
        assert!(!case.refused.is_empty(), "{name}: {reason}");
        let gateway = gateway(Profile::Standalone).await;
        let allowed = case.refused.iter();
        let service = allowed.fold(case.service, |it, rule| it.allow(*rule));
        let registration = start(&gateway, service).expect(name);
        taken(name, &registration).await;
        within("the report", registration.leave()).await;
    }
}

/// What goes over HTTP is the same before and after: methods, paths, parameters, bodies, answers,
/// links, callbacks, security.
#[tokio::test]
async fn repairs_keep_the_meaning() {
    let mut compared = Vec::new();
    for case in takeable().filter(|it| it.kind == Kind::OpenApi) {
        let Some(before) = meaning::read(&case).await else {
            continue;
        };
        let gateway = gateway(Profile::Clustered).await;
        let service = case.passing().expect("it passes");
        let registration = start(&gateway, service).expect(case.name);
        taken(case.name, &registration).await;
        within("mounted", gateway.wait_until(|now| now.pending_mounts == 0)).await;
        let (_, after) = schema(&gateway, "openapi", case.name).await;
        // By namespace and version.
        let after: serde_json::Value = serde_json::from_str(&after).expect("JSON");
        let after = after[case.name]["v1"].clone();
        meaning::assert_same(case.name, &before, &after);
        within("the report", registration.leave()).await;
        if !case.refused.is_empty() {
            compared.push(case.name);
        }
    }
    // A gateway mounts neither `status`, whose version is a number, nor `ledger`, one of whose
    // components is called as none may be.
    let expected = [
        "payments",
        "code_hosting",
        "cluster",
        "chat",
        "video",
        "back_office",
    ];
    assert_eq!(compared, expected);
}

/// What passes, and the embedded gateway can take.
fn takeable() -> impl Iterator<Item = Case> {
    let cases = cases::all().into_iter();
    cases.filter(|case| case.passing().is_some())
}

/// Registered, or what became of it instead.
async fn taken(name: &str, registration: &Registration) {
    let mut status = registration.status();
    let answered = status.wait_for(|now| now.is_registered() || now.state() == State::Refused);
    let status = within(name, answered).await.expect("alive").clone();
    assert!(status.is_registered(), "{name}: {status}");
}

fn named(name: &str) -> Case {
    let found = cases::all().into_iter().find(|it| it.name == name);
    found.expect("there is such a case")
}

fn options(gateway: impl Into<tower_gwag::GatewayAddress>, service: Service) -> Options {
    Options::new(gateway)
        .hold(Hold::Off)
        .seed(7)
        .service(service)
}

fn start(gateway: &EmbeddedGateway, service: Service) -> Result<Registration, tower_gwag::Error> {
    // Without it nothing could be said of documents that get no route by gRPC.
    let options = options(gateway.target(), service).gateway_http(gateway.http_url());
    let registration = GwagRegistrationLayer::new(options).registration();
    registration.start(nowhere())?;
    Ok(registration)
}

/// Nobody calls.
fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 50051))
}

async fn gateway(profile: Profile) -> EmbeddedGateway {
    let builder = EmbeddedGateway::builder().profile(profile);
    builder.start().await.expect("a gateway starts")
}

async fn schema(gateway: &EmbeddedGateway, form: &str, service: &str) -> (u16, String) {
    let url = format!("{}/api/schema/{form}?service={service}", gateway.http_url());
    crate::support::get(&url).await
}
