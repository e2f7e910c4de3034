//! A Register whose answer is lost: the gateway may have an entry whose id nobody knows. Against the
//! gateway that `GWAG_GATEWAY` (`host:port`) names, else embedded ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::sync::Notify;
use tonic::transport::{Channel, Endpoint};
use tower_gwag::{Cleanness, GatewayAddress, Hold, LeaveOutcome, LeaveReport, Options, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile, Rpc};
use tower_service::Service;

use crate::control::proto::{ListRegistrationsRequest, RegisterRequest, Registration};
use crate::support::net::Forwarder;
use crate::support::servers::bind;
use crate::support::{
    HOLD_NAMESPACE, Running, eventually, greeter_service, registered, tonic_greeter, until_state,
    within,
};

/// Which Register is answered too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Service,
    Hold,
}

/// Passes calls on to a gateway, and ends the connection instead of passing on the answer to a
/// Register.
struct Cutter {
    way: Arc<Forwarder>,
    /// Behind the way.
    inner: SocketAddr,
    gateway: String,
    cuts: Arc<AtomicUsize>,
    /// Ends the connection once the gateway has answered, where it is not ended at once.
    go: Arc<Notify>,
    instance: String,
    _embedded: Option<EmbeddedGateway>,
}

impl Cutter {
    /// Loses the answers to the first `times` Registers; later, where somebody gives the word.
    async fn losing(lost: Lost, times: usize, waits: bool) -> Self {
        let real = std::env::var("GWAG_GATEWAY")
            .ok()
            .filter(|it| !it.is_empty());
        let embedded = match real {
            Some(_) => None,
            None => {
                let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
                Some(builder.start().await.expect("started"))
            }
        };
        // invariant: one of the two is there.
        let gateway = real.unwrap_or_else(|| embedded.as_ref().expect("embedded").target());
        let channel = Endpoint::from_shared(format!("http://{gateway}"));
        let channel = channel.expect("an address").connect_lazy();
        let (listener, address) = bind("127.0.0.1:0").await;
        let way = Arc::new(Forwarder::to(address).await);
        let (cuts, go) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
        let shared = (Arc::clone(&way), Arc::clone(&cuts), Arc::clone(&go));
        let app = axum::Router::new().fallback(move |request: Request| {
            let channel = channel.clone();
            let (way, cuts, go) = shared.clone();
            async move {
                let (is_register, answer) = passed_on(channel, request).await;
                if is_register == Some(lost) && cuts.load(Ordering::SeqCst) < times {
                    cuts.fetch_add(1, Ordering::SeqCst);
                    if waits {
                        go.notified().await;
                    }
                    way.cut();
                    std::future::pending::<()>().await;
                }
                answer
            }
        });
        tokio::spawn(axum::serve(listener, app).into_future());
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        Self {
            way,
            inner: address,
            gateway,
            cuts,
            go,
            instance: format!("in-doubt-{}-{count}", std::process::id()),
            _embedded: embedded,
        }
    }

    fn options(&self) -> Options {
        self.options_of(self.way.address)
    }

    fn options_of(&self, gateways: impl Into<GatewayAddress>) -> Options {
        let service = greeter_service().namespace(self.instance.replace('-', "_"));
        let options = Options::new(gateways).seed(7).service(service);
        options.instance_id(&self.instance)
    }

    /// The gateway has carried out so many Registers whose answers are lost.
    async fn has_lost(&self, count: usize) {
        eventually("a Register is lost", || {
            self.cuts.load(Ordering::SeqCst) == count
        })
        .await;
    }

    /// What the gateway has of this test, holds included.
    async fn entries(&self) -> Vec<Registration> {
        let mut client = crate::control::client(&self.gateway).await;
        let listed = client.list_registrations(ListRegistrationsRequest {});
        let listed = within("the list", listed).await.expect("listed");
        let listed = listed.into_inner().registrations;
        let is_ours = |it: &Registration| it.instance_id.starts_with(&self.instance);
        listed.into_iter().filter(is_ours).collect()
    }

    async fn until_entries(&self, count: usize) {
        within(&format!("{count} entries"), async {
            while self.entries().await.len() != count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    async fn stop(&self, server: Running) -> LeaveReport {
        let report = server.stop().await;
        println!("{report}");
        report
    }
}

async fn passed_on(
    mut channel: Channel,
    request: Request,
) -> (Option<Lost>, http::Response<tonic::body::Body>) {
    let (parts, body) = request.into_parts();
    let message = body.collect().await.expect("a whole request").to_bytes();
    let register = parts.uri.path().ends_with("/Register").then(|| {
        // Behind the flag and the length.
        let register = RegisterRequest::decode(&message[5..]).expect("a RegisterRequest");
        match register.services[0].namespace == HOLD_NAMESPACE {
            true => Lost::Hold,
            false => Lost::Service,
        }
    });
    let body = tonic::body::Body::new(Full::new(message));
    std::future::poll_fn(|cx| channel.poll_ready(cx))
        .await
        .expect("the gateway is up");
    let answer = channel.call(http::Request::from_parts(parts, body)).await;
    (register, answer.expect("the gateway answers"))
}

#[tokio::test]
async fn leaving_removes_what_a_register_without_an_answer_has_left() {
    for hold in [Hold::AtStart, Hold::AtLeave, Hold::Off] {
        let cutter = Cutter::losing(Lost::Service, usize::MAX, false).await;
        let server = tonic_greeter(cutter.options().hold(hold)).await;
        cutter.has_lost(1).await;
        let report = cutter.stop(server).await;
        assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
        assert_eq!(report.cleanness(), Cleanness::Clean, "{report}");
        assert_eq!(cutter.entries().await, []);
    }
}

/// The answer is lost while the process leaves.
#[tokio::test]
async fn so_it_does_when_the_answer_is_lost_afterwards() {
    let cutter = Cutter::losing(Lost::Service, 1, true).await;
    let mut server = tonic_greeter(cutter.options()).await;
    cutter.has_lost(1).await;
    server.signal();
    within("leaving", server.registration.leaving()).await;
    cutter.go.notify_one();
    let report = cutter.stop(server).await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
    assert_eq!(report.cleanness(), Cleanness::Clean, "{report}");
    assert_eq!(cutter.entries().await, []);
}

/// The service is registered by the next Register, and has two entries.
#[tokio::test]
async fn a_register_that_was_repeated_leaves_nothing_either() {
    for lost in [Lost::Service, Lost::Hold] {
        let cutter = Cutter::losing(lost, 2, false).await;
        let server = tonic_greeter(cutter.options()).await;
        registered(&server.registration).await;
        cutter.has_lost(2).await;
        cutter.until_entries(4).await;
        let report = cutter.stop(server).await;
        assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
        assert_eq!(report.cleanness(), Cleanness::Clean, "{report}");
        assert_eq!(cutter.entries().await, [], "{lost:?}");
    }
}

/// The next gateway took over, and has lost the entry when the process leaves: nothing is left to
/// be deregistered but what is in doubt.
#[tokio::test]
async fn leaving_looks_on_a_gateway_that_was_left_before() {
    let cutter = Cutter::losing(Lost::Service, usize::MAX, false).await;
    let second = EmbeddedGateway::builder().start().await.expect("started");
    let options = cutter.options_of([cutter.way.address, second.address()]);
    let options = options.heartbeat_interval(Duration::from_millis(50));
    let server = tonic_greeter(options.hold(Hold::Off)).await;
    cutter.has_lost(1).await;
    cutter.way.close().await;
    registered(&server.registration).await;
    assert_eq!(second.registrations().len(), 1);
    second.refuse_next(
        Rpc::Register,
        usize::MAX,
        tonic::Code::PermissionDenied,
        "not now",
    );
    second.evict_all();
    until_state(&server.registration, State::Refused).await;

    let _way = Forwarder::between(cutter.way.address, cutter.inner).await;
    assert_eq!(cutter.entries().await.len(), 1);
    let report = cutter.stop(server).await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
    assert_eq!(report.cleanness(), Cleanness::Clean, "{report}");
    assert_eq!(cutter.entries().await, []);
}

/// Somebody else may have the same address, or the same instance id.
#[tokio::test]
async fn what_may_be_of_another_process_stays_and_the_report_says_so() {
    let cutter = Cutter::losing(Lost::Service, usize::MAX, false).await;
    let options = cutter.options().hold(Hold::Off);
    let (listener, address) = bind("127.0.0.1:0").await;
    drop(listener);
    let server = tonic_greeter(options.advertise(address.to_string())).await;
    cutter.has_lost(1).await;
    let report = cutter.stop(server).await;
    assert_eq!(report.outcome(), LeaveOutcome::Unanswered, "{report}");
    assert_eq!(report.cleanness(), Cleanness::Unknown, "{report}");
    let left = cutter.entries().await;
    assert!(!left.is_empty());

    // An identity that is exclusive makes it ours.
    let cutter = Cutter::losing(Lost::Service, usize::MAX, false).await;
    let options = cutter.options().exclusive_instance(&cutter.instance);
    let server = tonic_greeter(options.advertise(address.to_string())).await;
    cutter.has_lost(1).await;
    let report = cutter.stop(server).await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
    assert_eq!(cutter.entries().await, []);
}

#[tokio::test]
async fn entries_of_others_stay() {
    let cutter = Cutter::losing(Lost::Service, 1, false).await;
    let server = tonic_greeter(cutter.options().hold(Hold::Off)).await;
    registered(&server.registration).await;
    let ours = cutter.entries().await.remove(0);
    let mut client = crate::control::client(&cutter.gateway).await;
    let mut others = Vec::new();
    for (addr, instance_id) in [
        (ours.addr.clone(), format!("{}-2", ours.instance_id)),
        (ours.addr.replace(':', ":0"), ours.instance_id.clone()),
    ] {
        let binding = crate::control::proto::ServiceBinding {
            namespace: cutter.instance.replace('-', "_"),
            proto_source: crate::support::GREETER_PROTO.as_bytes().to_vec(),
            ..Default::default()
        };
        let request = RegisterRequest {
            addr,
            services: vec![binding],
            ttl_seconds: 30,
            instance_id,
        };
        let granted = within("registered", client.register(request)).await;
        others.push(granted.expect("taken").into_inner().registration_id);
    }
    cutter.stop(server).await;
    let left = cutter.entries().await;
    let mut left: Vec<String> = left.into_iter().map(|it| it.registration_id).collect();
    left.sort_unstable();
    others.sort_unstable();
    assert_eq!(left, others);
    for registration_id in others {
        let request = crate::control::proto::DeregisterRequest { registration_id };
        client.deregister(request).await.expect("deregistered");
    }
}

/// Nobody can be asked: leaving ends in time, and says what it does not know.
#[tokio::test]
async fn a_gateway_that_is_gone_leaves_the_doubt() {
    let cutter = Cutter::losing(Lost::Service, usize::MAX, true).await;
    let limit = Duration::from_secs(4);
    let server = tonic_greeter(cutter.options().hold(Hold::Off).leave_timeout(limit)).await;
    cutter.has_lost(1).await;
    // It is silent from now on.
    let begun = std::time::Instant::now();
    let report = cutter.stop(server).await;
    assert!(
        begun.elapsed() < limit + Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(report.outcome(), LeaveOutcome::Unanswered, "{report}");
    assert_eq!(report.cleanness(), Cleanness::Unknown, "{report}");
    cutter.go.notify_one();
}

/// A build that steps aside takes both its entries away.
#[tokio::test]
async fn a_service_that_is_withdrawn_does_not_lurk_in_what_it_left() {
    let cutter = Cutter::losing(Lost::Service, 1, false).await;
    let service = |comment: &str| {
        let source = format!("// {comment}\n{}", crate::support::GREETER_PROTO);
        let namespace = cutter.instance.replace('-', "_");
        tower_gwag::Service::proto(source)
            .namespace(namespace)
            .version("unstable")
    };
    let options = Options::new(cutter.way.address)
        .seed(7)
        .service(service("old"));
    let old = tonic_greeter(options.instance_id(&cutter.instance)).await;
    registered(&old.registration).await;
    assert_eq!(cutter.entries().await.len(), 3, "with the hold");
    let options = Options::new(&*cutter.gateway).service(service("new"));
    let new = tonic_greeter(options).await;
    until_state(&old.registration, State::Displaced).await;
    // The hold.
    cutter.until_entries(1).await;
    new.stop().await;
    old.stop().await;
}
