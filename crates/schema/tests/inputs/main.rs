//! Inputs that are large, deep, wide or no files at all harm nobody.

#[path = "../../../../tests/support/golden.rs"]
mod golden;
mod grow;
mod odd;
mod repaired;
mod rules_page;
#[cfg(unix)]
mod unreadable;

use tower_gwag_schema::{Rule, check};

/// Runs on a thread with the stack that servers' threads have.
fn on_small_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(2 << 20);
        builder.spawn_scoped(scope, run).unwrap().join().unwrap()
    })
}

/// What is found, and the bytes allocated for it.
fn found(kind: &str, n: usize) -> (Vec<(Rule, String)>, u64) {
    let service = match kind.strip_suffix(", repaired") {
        Some(kind) => grow::service(kind, n).repair(),
        None => grow::service(kind, n),
    };
    on_small_stack(move || {
        let mut found = Vec::new();
        let count = allocation_counter::measure(|| {
            let findings = match check(&[service]) {
                Ok(findings) => findings,
                Err(error) => error.findings().clone(),
            };
            let told = findings.iter();
            found = told
                .map(|it| (it.rule(), it.message().to_owned()))
                .collect();
        });
        (found, count.bytes_total)
    })
}

#[test]
fn what_gateways_take_passes_however_deep_or_wide() {
    for (kind, n) in [
        ("public-dag", 60),
        ("public-chain", 300),
        ("import-chain", 2000),
        ("wide-imports", 500),
        ("reserved", 2000),
        ("message-chain", 2000),
        ("path-parameters", 300),
    ] {
        let (found, _) = found(kind, n);
        assert!(found.is_empty(), "{kind}: {:?}", found.first());
    }
}

#[test]
fn what_cannot_be_taken_is_reported_in_few_findings() {
    for (kind, n, rule) in [
        ("missing-imports", 2000, Rule::ProtoImportMissing),
        ("deep-package", 100_000, Rule::ProtoUnverified),
        ("faults", 2000, Rule::ProtoCompile),
        ("repeated-ids", 100_000, Rule::RequestSize),
        ("integers", 2_000_000, Rule::RequestSize),
    ] {
        let (found, bytes) = found(kind, n);
        assert!(found.iter().all(|it| it.0 == rule), "{kind}: {found:?}");
        assert!((1..=102).contains(&found.len()), "{kind}: {}", found.len());
        assert!(bytes < 100 << 20, "{kind}: {bytes}");
    }
    // Two rules tell of them.
    let (repeated, _) = found("repeated-ids", 2000);
    assert_eq!(repeated.len(), 102);
    let (repaired, _) = found("bad-names, repaired", 500);
    assert!(repaired.iter().all(|it| it.0 == Rule::OpenApiRepaired));
    assert_eq!(repaired.len(), 101);
    let (found, _) = found("missing-imports", 2000);
    assert_eq!(found.len(), 101);
    assert!(found[100].1.contains("1900 more"), "{:?}", found[100]);
}

/// Memory stands for time here, which tests cannot rely upon: what is done again for each part
/// allocates again, too.
#[test]
fn twice_as_much_takes_twice_the_memory() {
    for (kind, n) in [
        ("public-dag", 15),
        ("public-chain", 100),
        ("import-chain", 200),
        ("wide-imports", 200),
        ("missing-imports", 200),
        ("reserved", 400),
        ("message-chain", 200),
        ("path-parameters", 100),
        ("repeated-ids", 100),
        ("integers", 2000),
        ("paths", 100),
        ("paths, repaired", 100),
        ("bad-names, repaired", 100),
    ] {
        let ((_, small), (_, large)) = (found(kind, n), found(kind, 2 * n));
        // A graph of all files with all others has four times as many imports.
        let most = if kind == "public-dag" { 5.0 } else { 2.6 };
        let (small, large) = (small as f64, large as f64);
        assert!(large / small < most, "{kind}: {small} and {large}");
    }
}
