//! Verdicts over time, from evidence as a gateway would give it.

use super::*;

const OURS: &str = "aaaaaaaaaaaaaaaa";
const THEIRS: &str = "bbbbbbbbbbbbbbbb";

fn expected(version: &str, hash: Option<&str>) -> Expected {
    Expected {
        namespace: "greeter".to_owned(),
        version: version.to_owned(),
        is_unstable: version == "unstable",
        hash: hash.map(str::to_owned),
        routes: vec!["/greeter.v1.Greeter/Hello".to_owned()],
        is_surely_routed: true,
        is_visible: true,
    }
}

fn listed(hash: Option<&str>) -> Evidence {
    Evidence {
        listed: Some(vec![hash.map(str::to_owned)]),
        ..Evidence::default()
    }
}

fn refuted() -> Evidence {
    Evidence {
        routes: vec![Route::Absent],
        ..listed(Some(OURS))
    }
}

/// A verifier with its clock.
struct Watch {
    verifier: Verifier,
    now: Instant,
    remedies: Vec<Remedy>,
}

impl Watch {
    fn of(version: &str, hash: Option<&str>) -> Self {
        let mut verifier = Verifier::new(&[expected(version, hash)], 1);
        let now = verifier.begin(Instant::now());
        Self {
            verifier,
            now,
            remedies: Vec::new(),
        }
    }

    /// Shows the evidence at every look that is due within `span`; returns how many there were.
    fn see_for(&mut self, evidence: &Evidence, span: Duration) -> usize {
        let end = self.now + span;
        let mut looks = 0;
        while self.now <= end {
            let (remedy, next) = self.verifier.see(evidence, self.now);
            if remedy != Remedy::None {
                self.remedies.push(remedy);
            }
            assert!(next > self.now, "spins");
            self.now = next;
            looks += 1;
        }
        looks
    }

    fn see(&mut self, evidence: &Evidence) -> &Verdict {
        self.see_for(evidence, Duration::ZERO);
        self.verifier.verdict()
    }
}

#[test]
fn absence_is_not_yet_for_as_long_as_it_lasts() {
    let mut watch = Watch::of("v1", Some(OURS));
    let looks = watch.see_for(&listed(None), Duration::from_secs(120));
    assert_eq!(*watch.verifier.verdict(), Verdict::NotYet);
    assert!(looks < 30, "{looks} looks in 2 min");
    assert_eq!(*watch.see(&listed(Some(OURS))), Verdict::Listed);
    // Once listed, a list without it proves nothing, and neither does no list.
    watch.see_for(&listed(None), Duration::from_secs(20));
    assert_eq!(*watch.verifier.verdict(), Verdict::Listed);
    watch.see_for(&listed(Some(OURS)), Duration::from_secs(70));
    watch.see_for(&Evidence::default(), Duration::from_secs(300));
    assert_eq!(*watch.verifier.verdict(), Verdict::Listed);
    // But after a while the status no longer says that it is listed.
    watch.see_for(&listed(None), Duration::from_secs(120));
    assert_eq!(*watch.verifier.verdict(), Verdict::NotYet);
    watch.verifier.called();
    assert_eq!(*watch.verifier.verdict(), Verdict::Listed);
    assert_eq!(watch.remedies, []);
}

fn schema(answer: SchemaAnswer) -> Evidence {
    Evidence {
        routes: vec![Route::Unknown],
        schemas: vec![answer],
        http: HttpPort::Schema,
        ..listed(Some(OURS))
    }
}

/// Routed, by a call; then its route goes away, which is newer than the call.
#[test]
fn what_is_not_served_any_more_is_noticed_whatever_was_called_before() {
    let gone = [schema(SchemaAnswer::Missing), refuted()];
    for gone in &gone {
        let mut watch = Watch::of("v1", Some(OURS));
        watch.see(&schema(SchemaAnswer::Served));
        watch.verifier.called();
        watch.see_for(gone, Duration::from_secs(130));
        assert_eq!(*watch.verifier.verdict(), Verdict::Blocked { service: 0 });
        assert_eq!(watch.remedies.first(), Some(&Remedy::Cure));
        // A call that comes after that counts more again.
        watch.verifier.called();
        watch.remedies.clear();
        watch.see_for(gone, Duration::from_secs(300));
        assert_eq!(*watch.verifier.verdict(), Verdict::Listed);
        assert_eq!(watch.remedies, []);
    }
    // A schema that never showed it says less than a call.
    let mut watch = Watch::of("v1", Some(OURS));
    watch.verifier.called();
    watch.see_for(&gone[0], Duration::from_secs(300));
    assert_eq!(*watch.verifier.verdict(), Verdict::Listed);
}

#[test]
fn pages_that_did_not_answer_are_read_again_until_they_do() {
    let mut watch = Watch::of("v1", Some(OURS));
    for _ in 0..5 {
        assert!(watch.verifier.wants_pages(watch.now));
        watch.see(&schema(SchemaAnswer::Unknown));
    }
    assert_eq!(*watch.verifier.verdict(), Verdict::Listed);
    watch.see(&schema(SchemaAnswer::Served));
    assert!(!watch.verifier.wants_pages(watch.now));
    // Of a service whose routes cannot be probed, now and then.
    let mut expected = expected("v1", Some(OURS));
    expected.is_surely_routed = false;
    watch.verifier = Verifier::new(&[expected], 1);
    watch.now = watch.verifier.begin(watch.now);
    watch.see_for(&schema(SchemaAnswer::Served), Duration::from_secs(5));
    assert!(!watch.verifier.wants_pages(watch.now));
    assert!(watch.verifier.wants_pages(watch.now + USUAL_INTERVAL));
    let thousand = Evidence {
        replicas: Some(1_000),
        ..schema(SchemaAnswer::Served)
    };
    watch.see(&thousand);
    assert!(!watch.verifier.wants_pages(watch.now + USUAL_INTERVAL));
    assert!(watch.verifier.wants_pages(watch.now + 3 * USUAL_INTERVAL));
}

#[test]
fn a_registration_in_place_is_looked_at_once_a_minute() {
    let mut watch = Watch::of("v1", Some(OURS));
    let looks = watch.see_for(&listed(Some(OURS)), Duration::from_secs(600));
    assert!((10..=14).contains(&looks), "{looks} looks in 10 min");
}

#[test]
fn a_route_that_is_only_being_made_is_waited_for() {
    let mut watch = Watch::of("v1", Some(OURS));
    watch.see_for(&refuted(), Duration::from_millis(200));
    assert_eq!(*watch.see(&listed(Some(OURS))), Verdict::Listed);
    assert_eq!(watch.remedies, []);
}

#[test]
fn a_blocked_route_is_cured_once_and_then_slowly() {
    let mut watch = Watch::of("v1", Some(OURS));
    watch.see_for(&refuted(), Duration::from_secs(2));
    assert_eq!(*watch.verifier.verdict(), Verdict::Blocked { service: 0 });
    assert_eq!(watch.remedies, [Remedy::Cure]);
    // The cure is a new registration; the block lasts, and is known, also before it is listed.
    watch.now = watch.verifier.begin(watch.now);
    watch.see(&listed(None));
    assert_eq!(*watch.verifier.verdict(), Verdict::Blocked { service: 0 });
    watch.see_for(&refuted(), Duration::from_secs(25));
    assert_eq!(*watch.verifier.verdict(), Verdict::Blocked { service: 0 });
    assert_eq!(watch.remedies, [Remedy::Cure]);
    watch.see_for(&refuted(), Duration::from_secs(20));
    assert_eq!(watch.remedies, [Remedy::Cure; 2]);
    // Silence is not evidence.
    watch.see(&listed(Some(OURS)));
    assert_eq!(*watch.verifier.verdict(), Verdict::Blocked { service: 0 });
    let routed = Evidence {
        routes: vec![Route::Found],
        ..listed(Some(OURS))
    };
    assert_eq!(*watch.see(&routed), Verdict::Listed);
}

#[test]
fn another_schema_in_a_vn_is_given_way_to_after_a_moment() {
    let mut watch = Watch::of("v1", Some(OURS));
    assert_eq!(*watch.see(&listed(Some(THEIRS))), Verdict::NotYet);
    watch.see_for(&listed(Some(THEIRS)), Duration::from_secs(2));
    let theirs = THEIRS.to_owned();
    assert_eq!(
        *watch.verifier.verdict(),
        Verdict::Displaced { service: 0, theirs }
    );
    assert_eq!(watch.remedies.first(), Some(&Remedy::GiveWay));
}

/// `slots` knows whose turn it is.
#[test]
fn another_schema_in_an_unstable_slot_is_not_a_verdict() {
    let mut watch = Watch::of("unstable", Some(OURS));
    watch.see_for(&listed(Some(THEIRS)), Duration::from_secs(60));
    assert_eq!(*watch.verifier.verdict(), Verdict::NotYet);
    assert_eq!(*watch.see(&listed(Some(OURS))), Verdict::Listed);
    assert_eq!(watch.remedies, []);
}

#[test]
fn a_hash_that_only_the_gateway_knows_is_taken_from_its_list() {
    let mut watch = Watch::of("v1", None);
    assert_eq!(*watch.see(&listed(Some(THEIRS))), Verdict::Listed);
    watch.see(&listed(Some(OURS)));
    assert!(matches!(
        watch.verifier.verdict(),
        Verdict::Displaced { .. }
    ));
}

#[test]
fn guilt_is_proved_twice_before_it_counts() {
    let guilty = Evidence {
        schemas: vec![SchemaAnswer::Guilty("no name".to_owned())],
        ..listed(Some(OURS))
    };
    let mut watch = Watch::of("v1", Some(OURS));
    watch.see(&guilty);
    watch.see(&listed(Some(OURS)));
    assert_eq!(*watch.verifier.verdict(), Verdict::Listed);
    watch.see_for(&guilty, Duration::from_secs(1));
    assert!(matches!(watch.verifier.verdict(), Verdict::Guilty { .. }));
    assert_eq!(watch.remedies.first(), Some(&Remedy::Withdraw));
}

/// Schema and route are older than the block: whether this replica came before it is unknown.
#[test]
fn beside_other_replicas_a_block_leaves_it_open_until_it_ends() {
    let amid_block = |replicas: usize| Evidence {
        routes: vec![Route::Found],
        schemas: vec![SchemaAnswer::Served],
        is_alone: vec![replicas == 1],
        culprit: Some(super::super::gather::Culprit {
            services: vec!["bad:v1".to_owned()],
            reason: "cannot be rendered".to_owned(),
        }),
        ..listed(Some(OURS))
    };
    let over = Evidence {
        culprit: None,
        is_searched: true,
        ..amid_block(2)
    };
    let mut watch = Watch::of("v1", Some(OURS));
    watch.see_for(&amid_block(2), Duration::from_secs(60));
    assert_eq!(*watch.verifier.verdict(), Verdict::NotYet);
    assert_eq!(watch.remedies, []);
    watch.see_for(&over, Duration::from_secs(3));
    assert_eq!(*watch.verifier.verdict(), Verdict::Listed);
    let mut watch = Watch::of("v1", Some(OURS));
    watch.see_for(&amid_block(2), Duration::from_secs(60));
    watch.verifier.called();
    assert_eq!(*watch.see(&amid_block(2)), Verdict::Listed);
    let mut watch = Watch::of("v1", Some(OURS));
    watch.see_for(&amid_block(1), Duration::from_secs(60));
    assert_eq!(*watch.verifier.verdict(), Verdict::Blocked { service: 0 });
}

/// With several services, it is unknown which one was called.
#[test]
fn several_services_of_which_one_is_called_are_not_blocked_by_silence() {
    let both = [expected("v1", Some(OURS)), expected("v2", Some(OURS))];
    let mut verifier = Verifier::new(&both, 1);
    let mut now = verifier.begin(Instant::now());
    let evidence = |routes: [Route; 2]| Evidence {
        listed: Some(vec![Some(OURS.to_owned()); 2]),
        routes: routes.to_vec(),
        ..Evidence::default()
    };
    let end = now + Duration::from_secs(3);
    while now < end {
        (_, now) = verifier.see(&evidence([Route::Found, Route::Absent]), now);
    }
    assert_eq!(*verifier.verdict(), Verdict::Blocked { service: 1 });
    (_, now) = verifier.see(&evidence([Route::Found, Route::Unknown]), now);
    assert_eq!(*verifier.verdict(), Verdict::Blocked { service: 1 });
    assert!(verifier.called().is_some());
    verifier.see(&evidence([Route::Found, Route::Unknown]), now);
    assert_eq!(*verifier.verdict(), Verdict::NotYet);
}

#[test]
fn a_schema_in_our_slot_that_is_not_ours_is_not_our_guilt() {
    let guilty = Evidence {
        schemas: vec![SchemaAnswer::Guilty("no name".to_owned())],
        ..listed(Some(THEIRS))
    };
    let mut watch = Watch::of("v1", Some(OURS));
    watch.see_for(&guilty, Duration::from_secs(3));
    assert!(matches!(
        watch.verifier.verdict(),
        Verdict::Displaced { .. }
    ));
}

#[test]
fn a_call_of_the_gateway_ends_every_doubt_about_the_route() {
    let mut watch = Watch::of("v1", Some(OURS));
    watch.see_for(&refuted(), Duration::from_secs(2));
    watch.verifier.called();
    assert_eq!(*watch.verifier.verdict(), Verdict::Listed);
}
