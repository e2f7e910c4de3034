//! Whoever the peer is: the server serves, memory stays bounded, and it leaves within its budget.
//!
//! What a thread allocates is counted, and each case runs on a thread of its own; the gateway has
//! others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tower_gwag::{Event, Options};

use crate::answers::{Is, answering, every_status, every_status_of};
use crate::frames;
use crate::peer::Peer;
use crate::support::{greet, greeter_service, tonic_greeter, waited_for_a_processor};

/// For the peer to do what it does.
const WATCHED: Duration = Duration::from_millis(2_500);
/// What a caller is answered in, without the time in which there was no processor.
const ANSWERED: Duration = Duration::from_secs(5);
/// What the whole of leaving may take.
const BUDGET: Duration = Duration::from_secs(4);
/// For the server to end afterwards, on a busy machine too.
const SLACK: Duration = Duration::from_secs(3);
/// Over what a server takes that waits for its gateway.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

fn options(peer: &Peer) -> Options {
    Options::new(peer.address)
        .seed(7)
        .heartbeat_interval(Duration::from_millis(200))
        .exclusive_instance("greeter-0")
        .drain_timeout(BUDGET / 2)
        .leave_timeout(BUDGET)
        .service(greeter_service())
}

/// The time that passes, without that in which this thread, which has caller and server, waited for a
/// processor.
struct Watch {
    begun: Instant,
    waited: Duration,
}

impl Watch {
    fn start() -> Self {
        Self {
            begun: Instant::now(),
            waited: waited_for_a_processor(),
        }
    }

    fn waited(&self) -> Duration {
        waited_for_a_processor() - self.waited
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed().saturating_sub(self.waited())
    }
}

/// Serves beside the peer, and leaves.
fn assert_harmless(name: &str, peer: &Peer) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let panicked = Arc::new(AtomicBool::new(false));
    let panics = Arc::clone(&panicked);
    let options = options(peer).on_event(move |event| {
        if let Event::Panicked(_) = event {
            panics.store(true, Ordering::Relaxed);
        }
    });
    let server = runtime.block_on(async {
        let server = tonic_greeter(options).await;
        assert_eq!(greet(server.address).await, "Hello, Ada!");
        server
    });
    let mut left_in = Duration::ZERO;
    let used = allocation_counter::measure(|| {
        runtime.block_on(async {
            peer.begin();
            let begun = Instant::now();
            while begun.elapsed() < WATCHED {
                let asked = Watch::start();
                assert_eq!(greet(server.address).await, "Hello, Ada!");
                let took = asked.elapsed();
                assert!(took < ANSWERED, "{name}: a call took {took:?}");
                sleep(Duration::from_millis(50)).await;
            }
            let signalled = Watch::start();
            let report = server.stop().await;
            left_in = signalled.elapsed();
            let total = report.total().saturating_sub(signalled.waited());
            assert!(total < BUDGET + SLACK / 2, "{name}: {report}");
        });
    });
    let kib = used.bytes_max / 1024;
    println!(
        "{name}: at most {kib} KiB over idle, left in {left_in:.1?}, {} connections, {} calls",
        peer.connections(),
        peer.calls(),
    );
    assert!(peer.connections() > 0, "{name}: nobody came");
    assert!(used.bytes_max < MOST_BYTES, "{name}: {kib} KiB");
    assert!(left_in < BUDGET + SLACK, "{name}: {left_in:?}");
    assert!(
        !panicked.load(Ordering::Relaxed),
        "{name}: the task panicked"
    );
}

/// One test for each, so that they run side by side.
macro_rules! harmless {
    ($($name:ident: $peer:expr;)*) => {
        $(
            #[test]
            fn $name() {
                assert_harmless(stringify!($name), &$peer);
            }
        )*

        #[test]
        fn there_are_many_sorts_of_peers() {
            let all = [$(stringify!($name)),*];
            println!("{} sorts of peers", all.len());
            assert!(all.len() >= 20);
        }
    };
}

harmless! {
    // What is no HTTP/2.
    silence: Peer::raw(frames::silence);
    ends_each_connection: Peer::raw(frames::end);
    resets_each_connection: Peer::raw(frames::end_unread);
    http_1: Peer::raw(frames::http_1);
    garbage: Peer::raw(frames::garbage);
    never_reads: Peer::raw(frames::never_reads);
    // Frames that nobody asked for.
    floods_pings: Peer::raw(frames::floods_pings);
    floods_settings: Peer::raw(frames::floods_settings);
    floods_window_updates: Peer::raw(frames::floods_window_updates);
    floods_unknown_frames: Peer::raw(frames::floods_unknown_frames);
    floods_priorities: Peer::raw(frames::floods_priorities);
    floods_resets: Peer::raw(frames::floods_resets);
    floods_interim_answers: Peer::raw(frames::floods_interim_answers);
    floods_continuations: Peer::raw(frames::floods_continuations);
    floods_push_promises: Peer::raw(frames::floods_push_promises);
    floods_empty_data: Peer::raw(frames::floods_empty_data);
    floods_data_beyond_the_window: Peer::raw(frames::floods_data);
    a_window_of_0: Peer::raw(frames::window_of_0);
    says_go_away_and_answers: Peer::raw(frames::answers_after_go_away);
    says_go_away_at_once: Peer::raw(frames::go_away);
    says_go_away_each_time: answering(Is::Good).going_away();
    ends_after_each_answer: answering(Is::Good).ending();
    // Answers of all sorts.
    a_good_gateway: answering(Is::Good);
    never_answers: answering(Is::Silent);
    answers_only_register: answering(Is::OnlyRegister);
    every_status_for_every_call: every_status();
    every_status_for_register: every_status_of("Register");
    every_status_for_heartbeat: every_status_of("Heartbeat");
    every_status_for_deregister: every_status_of("Deregister");
    every_status_for_list_peers: every_status_of("ListPeers");
    every_status_for_list_services: every_status_of("ListServices");
    every_status_for_list_registrations: every_status_of("ListRegistrations");
    a_status_that_is_no_number: answering(Is::Status("-1e99", "", None));
    details_that_are_no_base64: answering(Is::Status("3", "no", Some("!!!! no base64")));
    details_in_trailers_that_are_no_base64: answering(Is::Trailers(Some("=A=")));
    a_text_of_many_kilobytes: answering(Is::Status("2", LONG_TEXT, None));
    headers_of_many_kilobytes: answering(Is::LongHeaders);
    trailers_of_many_kilobytes: answering(Is::LongTrailers);
    http_404: answering(Is::Http(404));
    http_503: answering(Is::Http(503));
    http_302: answering(Is::Http(302));
    a_login_page: answering(Is::Http(200));
    no_status: answering(Is::NoStatus);
    no_message: answering(Is::Status("0", "", None));
    a_compressed_message: answering(Is::Compressed);
    a_message_that_would_be_64_mib: answering(Is::Bomb(64 * 1024 * 1024));
    a_message_that_is_none: answering(Is::Nonsense);
    breaks_each_answer_off: answering(Is::Broken);
    a_length_of_4_gib: answering(Is::Length(u32::MAX));
    a_length_of_8_mib: answering(Is::Length(8 * 1024 * 1024));
    many_messages: answering(Is::EndlessMessages);
    an_endless_message: answering(Is::EndlessMessage);
    a_byte_now_and_then: answering(Is::Trickle);
    // Values.
    an_empty_id: answering(Is::Id(0));
    an_id_of_65: answering(Is::Id(65));
    an_id_of_10_mb: answering(Is::Id(10_000_000));
    an_id_with_an_escape_sequence: answering(Is::ControlId);
    a_ttl_of_0: answering(Is::Ttl(0));
    a_ttl_of_1: answering(Is::Ttl(1));
    a_ttl_of_136_years: answering(Is::Ttl(u32::MAX));
    always_forgets: answering(Is::Forgetful);
    lists_650_000: answering(Is::Entries(650_000, 40));
    lists_60_000: answering(Is::Entries(60_000, 90));
    lists_millions_of_empty_entries: answering(Is::Entries(4_000_000, 0));
    lists_an_entry_of_7_mib: answering(Is::Entries(1, 7 * 1024 * 1024));
    lists_nodes_of_8_kb: answering(Is::Nodes(1_000, 8_000));
    lists_entries_that_repeat_a_name: answering(Is::Repeating(1_500, 400));
    lists_former_lives: answering(Is::FormerLives(50_000));
}

/// Such as a gateway's refusal has that quotes a whole document, with a line of its own.
const LONG_TEXT: &str = include_str!("../../examples/greeter/proto/greeter.proto");
