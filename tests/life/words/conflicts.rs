//! The messages about a name that somebody else has, and a gateway that somebody blocks.

use std::time::Duration;

use tower_gwag::{Event, Options, Service, State, Status};
use tower_gwag_gateway::{EmbeddedGateway, Profile, Rpc};

use super::{MESSAGES, reads, start, status_as_given, status_of};
use crate::routed::{POISON, Stranger, greeter_v, node, told};
use crate::slots::place::Place;
use crate::slots::unsure;
use crate::support::{Events, GREETER_PROTO, Running, greet, tonic_greeter, until_state, within};

/// The greeter with a field more.
fn other_schema() -> String {
    GREETER_PROTO.replacen("string name = 1;", "string name = 1; string title = 77;", 1)
}

/// Hashes are of the greeter's text, which may change.
fn without_hashes(text: &str) -> String {
    let is_hash = |word: &str| word.len() == 12 && word.bytes().all(|it| it.is_ascii_hexdigit());
    let words = text.split_inclusive(|it: char| !it.is_ascii_alphanumeric());
    let shown = words.map(|word| match word.split_at_checked(12) {
        Some((hash, rest)) if is_hash(hash) && rest.len() <= 1 => format!("HASH{rest}"),
        _ => word.to_owned(),
    });
    shown.collect()
}

#[track_caller]
fn says(name: &str, status: &Status, gateway: &EmbeddedGateway) {
    let (target, http) = (gateway.target(), gateway.http_url());
    let words = [(&*http, "HTTP"), (&*target, "GATEWAY")];
    reads(name, &without_hashes(&status.to_string()), &words);
}

async fn until(server: &Running, state: State, part: &str) -> Status {
    let mut status = server.registration.status();
    let is_it = |now: &Status| now.state() == state && now.to_string().contains(part);
    let now = within(part, status.wait_for(is_it)).await;
    now.expect("alive").clone()
}

/// Refused: nothing was registered; Displaced: it was.
#[tokio::test]
async fn a_taken_vn_shows_what_differs() {
    let gateway = node().await;
    let stranger = Stranger::register(&gateway, "greeter", "v1", &other_schema()).await;
    let options = || Options::new(gateway.target()).gateway_http(gateway.http_url());
    says(
        "vN taken",
        &status_of(options(), State::Refused).await,
        &gateway,
    );
    // Without the HTTP port only the hashes are known.
    let blind = Options::new(gateway.target());
    says(
        "vN taken, blind",
        &status_of(blind, State::Refused).await,
        &gateway,
    );
    // Two that register at one moment: the look comes too early.
    gateway.refuse_next(Rpc::ListServices, 1, tonic::Code::Unavailable, "not now");
    says(
        "vN lost",
        &status_of(options(), State::Displaced).await,
        &gateway,
    );
    stranger.leave().await;

    let standalone = crate::support::gateway().await;
    let _owner = Stranger::register(&standalone, "greeter", "v1", &other_schema()).await;
    let options = Options::new(standalone.target());
    says(
        "vN refused",
        &status_of(options, State::Refused).await,
        &standalone,
    );
}

#[tokio::test]
async fn a_hash_that_is_not_known_here_and_a_conflict_all_the_same() {
    let place = Place::find().await;
    let stranger = unsure::foreign_graphql(&place, "theirs").await;
    let options = place.options().gateway_http(&*place.http);
    let server = unsure::our_graphql(&place, options).await;
    let status = until(&server, State::Displaced, "does not mount").await;
    let text = status.to_string();
    let words = [(&*place.control, "GATEWAY"), (&*place.namespace, "greeter")];
    reads("vN rejected", &without_hashes(&text), &words);
    server.stop().await;
    stranger.leave().await;
}

#[tokio::test]
async fn unstable_builds_and_a_foreign_client() {
    let gateway = node().await;
    let build = |comment| {
        let options = Options::new(gateway.target()).service(greeter_v("unstable", comment));
        tonic_greeter(options.gateway_http(gateway.http_url()))
    };
    let old = build("old").await;
    until_state(&old.registration, State::Listed).await;
    let new = build("new").await;
    let status = until(&old, State::Displaced, "only comments").await;
    says("unstable replaced", &status, &gateway);
    old.stop().await;
    let mut stranger = Stranger::register(&gateway, "greeter", "unstable", &other_schema()).await;
    let beats = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            stranger.beat().await;
        }
    };
    let status = tokio::select! {
        () = beats => unreachable!("they go on"),
        status = until(&new, State::Displaced, "title") => status,
    };
    says("unstable flaps", &status, &gateway);
    new.stop().await;
}

#[tokio::test]
async fn a_block_says_as_much_as_is_known() {
    let gateway = node().await;
    let stranger = Stranger::register(&gateway, "culprit", "v1", POISON).await;
    let options = Options::new(gateway.target());
    says(
        "blocked, blind",
        &status_of(options, State::Blocked).await,
        &gateway,
    );
    let elsewhere = crate::support::gateway().await;
    let options = Options::new(gateway.target()).gateway_http(elsewhere.http_url());
    let status = status_of(options, State::Blocked).await;
    says("blocked, no schema", &status, &gateway);
    let other = node().await;
    let options = Options::new(gateway.target()).gateway_http(other.http_url());
    let status = status_of(options, State::Blocked).await;
    says("blocked, another gateway's schema", &status, &gateway);
    let options = Options::new(gateway.target()).gateway_http(gateway.http_url());
    let status = status_of(options, State::Blocked).await;
    says("blocked, culprit", &status, &gateway);
    stranger.leave().await;

    let guilty = Options::new(gateway.target())
        .gateway_http(gateway.http_url())
        .unchecked_schemas()
        .service(Service::proto(POISON).namespace("poison"));
    let status = status_as_given(guilty, State::Refused).await;
    says("guilty", &status, &gateway);
}

#[tokio::test]
async fn ghosts_after_a_restart_and_in_the_report() {
    let gateway = node().await;
    let (options, events) = told(&gateway);
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    gateway.restart().await.expect("restarted");
    let ghosts = |event: &Event| match event {
        Event::Ghosts(text) => Some(text.clone()),
        _ => None,
    };
    let told = |all: &[Event]| all.iter().any(|it| ghosts(it).is_some());
    events.until("ghosts are reported", told).await;
    let text = events.all().iter().find_map(ghosts).expect("told");
    reads("ghosts", &text, &[(&gateway.target(), "GATEWAY")]);
    let report = server.stop().await.to_string();
    let first = report.lines().next().expect("a line");
    let (_, left) = first.split_once("; ").expect("what is left");
    reads("ghosts in the report", left, &[]);
}

/// What the manual says of the two is what the code does: nothing was registered, or something was.
#[tokio::test]
async fn refused_and_displaced_are_what_the_manual_says() {
    let manual = include_str!("../../../docs/manual/troubleshooting.md");
    let row = |name: &str| {
        let start = format!("| `{name}` | ");
        // The first one is of the states; kinds of errors have names, too.
        manual.lines().find_map(|line| line.strip_prefix(&*start))
    };
    let says = |name, what| row(name).is_some_and(|row| row.starts_with(what));
    assert!(says("Refused", "nothing is registered"));
    assert!(says("Displaced", "it was registered"));
    for profile in [Profile::Standalone, Profile::Clustered] {
        let gateway = EmbeddedGateway::builder().profile(profile).start().await;
        let gateway = gateway.expect("started");
        let build = |comment| {
            let service = greeter_v("unstable", comment);
            Events::of(Options::new(gateway.target()).service(service))
        };
        let registered = |events: &Events| {
            let is_it = |event: &Event| matches!(event, Event::Registered { .. });
            events.all().iter().filter(|it| is_it(it)).count()
        };
        let (options, events) = build("old");
        let old = tonic_greeter(options).await;
        until_state(&old.registration, State::Listed).await;
        let (options, _) = build("new");
        let new = tonic_greeter(options).await;
        until_state(&old.registration, State::Displaced).await;
        assert_eq!(registered(&events), 1);
        let owner = Stranger::register(&gateway, "greeter", "v1", &other_schema()).await;
        let (options, events) = Events::of(Options::new(gateway.target()));
        let newcomer = start(options);
        until_state(&newcomer, State::Refused).await;
        assert_eq!(registered(&events), 0);
        newcomer.leave().await;
        owner.leave().await;
        // Both have the route of the greeter.
        let gone = gateway.wait_until(|now| now.service("greeter", "v1").is_none());
        within("the owner's replica is gone", gone).await;
        old.stop().await;
        assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
        new.stop().await;
    }
}

/// Each text is used: one that nobody reads says nothing.
#[test]
fn every_message_of_the_file_has_its_test() {
    let tests = [
        include_str!("mod.rs"),
        include_str!("conflicts.rs"),
        include_str!("address.rs"),
        include_str!("logged.rs"),
        include_str!("peers.rs"),
        include_str!("reports.rs"),
    ]
    .concat();
    for section in MESSAGES.split("\n== ").skip(1) {
        let name = section.lines().next().expect("a name");
        assert!(tests.contains(&format!("\"{name}\"")), "{name}");
    }
}
