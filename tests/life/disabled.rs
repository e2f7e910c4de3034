//! Switched off, by `Options::disabled()` or by the environment: everything serves, nothing
//! registers.

use std::process::Command;

use crate::support::{
    Events, axum_app, gateway, get, greet, greeter_options, pets_app, registered, tonic_greeter,
};
use tower_gwag::{LeaveOutcome, Options, State};

#[tokio::test]
async fn a_disabled_tonic_server_serves_and_leaves() {
    let (options, events) = Events::of(Options::disabled());
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    let state = server.registration.status().borrow().state();
    assert_eq!(state, State::Disabled);
    assert_eq!(greet(server.address).await, "Hello, Ada!");
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Disabled);
    assert!(report.is_clean());
    assert!(events.states().is_empty());
}

#[tokio::test]
async fn a_disabled_axum_server_serves_and_leaves() {
    let server = axum_app(Options::disabled(), pets_app()).await;
    registered(&server.registration).await;
    let answer = get(&format!("http://{}/pets", server.address)).await;
    assert_eq!(answer.0, 200);
    let registration = server.registration.clone();
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Disabled);
    let state = registration.status().borrow().state();
    assert_eq!(state, State::Disabled, "and stays so");
}

/// Faults of options that are not used harm nobody.
#[test]
fn disabled_options_pass_the_check() {
    Options::disabled().check().expect("nothing is checked");
}

/// The child: `GWAG_ENABLED` can only be set for a process of its own.
#[tokio::test]
#[ignore = "run by the_environment_switches_every_registration_off"]
async fn with_the_environment_of_the_parent() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let state = server.registration.status().borrow().state();
    let listed = crate::support::services_of(&gateway.registrations()).count();
    println!("state {state:?}, listed {listed}");
    server.stop().await;
}

#[test]
fn the_environment_switches_every_registration_off() {
    let run = |value: Option<&str>| {
        let mut child = Command::new(std::env::current_exe().expect("this test"));
        child.args([
            "disabled::with_the_environment_of_the_parent",
            "--ignored",
            "--exact",
        ]);
        child.arg("--nocapture").env_remove("GWAG_ENABLED");
        child.envs(value.map(|value| ("GWAG_ENABLED", value)));
        let output = child.output().expect("run");
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.contains("1 passed"), "{output}");
        output
    };
    let off = run(Some("0"));
    assert!(off.contains("state Disabled, listed 0"), "{off}");
    for on in [None, Some("1")] {
        let on = run(on);
        assert!(on.contains("state Registered, listed 1"), "{on}");
    }
}
