//! The gateway under test, a stranger that registers with it, and a caller that goes through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};
use tonic::transport::Channel;
use tower_gwag::{Options, Service};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::control::client;
use crate::control::proto::control_plane_client::ControlPlaneClient;
use crate::control::proto::{self, Registration};
use crate::support::{Clock, GREETER_PROTO, greeter_client, hello, waited_for_a_processor, within};

pub(crate) struct Place {
    /// `host:port`.
    pub(crate) control: String,
    pub(crate) http: String,
    /// Of this test alone.
    pub(crate) namespace: String,
    pub(crate) client: Client,
    embedded: Option<EmbeddedGateway>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// On a real gateway all tests share a route.
static TURN: std::sync::LazyLock<Arc<Mutex<()>>> = std::sync::LazyLock::new(Arc::default);

impl Place {
    pub(crate) async fn find() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("slots_{}_{count}", std::process::id());
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let real = read("GWAG_GATEWAY").zip(read("GWAG_GATEWAY_HTTP"));
        let (control, http, embedded, turn) = match real {
            Some((control, http)) => {
                let turn = Arc::clone(&TURN).lock_owned().await;
                (control, http, None, Some(turn))
            }
            None => {
                println!("embedded; GWAG_GATEWAY and GWAG_GATEWAY_HTTP are not set");
                let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
                let gateway = builder.start().await.expect("a node starts");
                (gateway.target(), gateway.http_url(), Some(gateway), None)
            }
        };
        Self {
            client: client(&control).await,
            control,
            http,
            namespace,
            embedded,
            _turn: turn,
        }
    }

    /// A greeter whose schema differs from others by a comment.
    pub(crate) fn greeter(&self, version: &str, comment: &str) -> Service {
        Service::proto(source(comment))
            .namespace(&*self.namespace)
            .version(version)
    }

    pub(crate) fn options(&self) -> Options {
        Options::new(&self.control)
    }

    /// For a test whose gateway is in its process: time passes as fast as it can.
    pub(crate) fn clock(&self) -> Option<Clock> {
        self.embedded.as_ref().map(|_| Clock::start())
    }

    /// The hash that has the slot.
    pub(crate) async fn hash(&self, version: &str) -> Option<String> {
        hash(self.client.clone(), &self.namespace, version).await
    }

    /// The entries of the namespace, without holds.
    pub(crate) async fn entries(&self) -> Vec<Registration> {
        entries(self.client.clone(), &self.namespace).await
    }

    /// How often the gateway has rejected a replica that wanted the slot.
    pub(crate) async fn rejected(&self, version: &str) -> u64 {
        let url = format!("{}/api/admin/services", self.http);
        let (status, body) = crate::support::get(&url).await;
        assert_eq!(status, 200, "{body}");
        let all: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let all = all["services"].as_array().expect("a list");
        let is_it = |it: &&serde_json::Value| {
            it["namespace"] == *self.namespace && it["version"] == version
        };
        let service = all.iter().find(is_it).expect("the service");
        service["rejectedJoins"]["count"].as_u64().unwrap_or(0)
    }

    pub(crate) async fn until_hash(
        &self,
        what: &str,
        version: &str,
        wanted: impl Fn(Option<&str>) -> bool,
    ) {
        within(what, async {
            while !wanted(self.hash(version).await.as_deref()) {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Waits until the namespace has so many entries.
    pub(crate) async fn until_entries(&self, count: usize) {
        within(&format!("{count} entries"), async {
            while self.entries().await.len() != count {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// A client that is not this crate's.
    pub(crate) async fn stranger(&self, version: &str, source: &str) -> Stranger {
        let binding = proto::ServiceBinding {
            namespace: self.namespace.clone(),
            version: version.to_owned(),
            proto_source: source.as_bytes().to_vec(),
            ..Default::default()
        };
        self.stranger_with(binding).await
    }

    pub(crate) async fn stranger_with(&self, binding: proto::ServiceBinding) -> Stranger {
        let version = binding.version.clone();
        let request = proto::RegisterRequest {
            addr: "127.0.0.1:9".to_owned(),
            services: vec![binding],
            ttl_seconds: 30,
            instance_id: "stranger".to_owned(),
        };
        let mut client = self.client.clone();
        let granted = within("registered", client.register(request)).await;
        let id = granted.expect("taken").into_inner().registration_id;
        self.until_hash("the stranger is listed", &version, |hash| hash.is_some())
            .await;
        Stranger { client, id }
    }

    /// Calls through the gateway until it is stopped, many at a time, so that every replica gets
    /// some.
    pub(crate) async fn crowd(&self) -> Vec<JoinHandle<()>> {
        let greeter = greeter_client(&self.control).await;
        let call = |_| {
            let mut greeter = greeter.clone();
            tokio::spawn(async move {
                loop {
                    let mut request = hello("Ada");
                    request.delay_ms = 20;
                    // Nobody may be there yet.
                    let _ = timeout(Duration::from_secs(2), greeter.hello(request)).await;
                    sleep(Duration::from_millis(5)).await;
                }
            })
        };
        (0..12).map(call).collect()
    }

    /// Calls through the gateway, one each 10 ms, until it is stopped.
    pub(crate) async fn caller(&self) -> Caller {
        self.caller_beside(|| Duration::ZERO).await
    }

    /// The same, with what else waits for a processor beside this thread.
    pub(crate) async fn caller_beside(
        &self,
        others: impl Fn() -> Duration + Send + 'static,
    ) -> Caller {
        let mut greeter = greeter_client(&self.control).await;
        let stopped = Arc::new(std::sync::Mutex::new(Vec::new()));
        let calls = Arc::clone(&stopped);
        let task = tokio::spawn(async move {
            let mut pause = interval(Duration::from_millis(10));
            loop {
                pause.tick().await;
                let at = Instant::now();
                let call = timeout(Duration::from_secs(2), greeter.hello(hello("Ada"))).await;
                let call = Call {
                    begun: at,
                    ended: Instant::now(),
                    waited: waited_for_a_processor() + others(),
                    is_ok: matches!(call, Ok(Ok(_))),
                };
                calls.lock().expect("no panic").push(call);
            }
        });
        Caller {
            calls: stopped,
            task,
        }
    }

    /// Counts how often the slot changes hands.
    pub(crate) async fn swaps(&self, version: &'static str) -> Swaps {
        self.swaps_beside(version, || Duration::ZERO).await
    }

    /// The same, with what else waits for a processor beside this thread.
    pub(crate) async fn swaps_beside(
        &self,
        version: &'static str,
        others: impl Fn() -> Duration + Send + 'static,
    ) -> Swaps {
        // Whoever has it now counts, however late the first look of the task is.
        let mut seen = Seen::default();
        seen.hashes.extend(self.hash(version).await);
        let seen = Arc::new(std::sync::Mutex::new(seen));
        let (shared, client) = (Arc::clone(&seen), self.client.clone());
        let namespace = self.namespace.clone();
        let task = tokio::spawn(async move {
            loop {
                let hash = hash(client.clone(), &namespace, version).await;
                let entries = entries(client.clone(), &namespace).await;
                let waited = waited_for_a_processor() + others();
                shared.lock().expect("no panic").saw(hash, entries, waited);
                sleep(Duration::from_millis(10)).await;
            }
        });
        Swaps { seen, task }
    }
}

type Client = ControlPlaneClient<Channel>;

async fn hash(mut client: Client, namespace: &str, version: &str) -> Option<String> {
    let services = client.list_services(proto::ListServicesRequest {}).await;
    let services = services.expect("listed").into_inner().services;
    let is_it = |it: &proto::ServiceInfo| {
        it.namespace == namespace && it.version == version && it.replica_count > 0
    };
    services.into_iter().find(is_it).map(|it| it.hash_hex)
}

async fn entries(mut client: Client, namespace: &str) -> Vec<Registration> {
    let request = proto::ListRegistrationsRequest {};
    let listed = client.list_registrations(request).await;
    let listed = listed.expect("listed").into_inner().registrations;
    let is_ours = |name: &String| name.split('/').next() == Some(namespace);
    let ours = |it: &Registration| it.namespaces.iter().any(is_ours);
    listed.into_iter().filter(ours).collect()
}

pub(crate) fn source(comment: &str) -> String {
    format!("// {comment}\n{GREETER_PROTO}")
}

pub(crate) struct Swaps {
    seen: Arc<std::sync::Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// Those that had the slot, one after the other.
    hashes: Vec<String>,
    /// In the order of their registration.
    beats: Vec<Beats>,
    /// How long it was waited for a processor until the last look.
    waited: Duration,
}

struct Beats {
    id: String,
    registered: u64,
    /// When it beat, as far as that was seen.
    all: Vec<u64>,
    /// How long it was waited for a processor before it was registered, and until now.
    waited: [Duration; 2],
}

/// A gateway lists what it took a moment later, and a beat takes a moment to arrive.
const CROSSING_MS: u64 = 100;

impl Seen {
    fn saw(&mut self, hash: Option<String>, entries: Vec<Registration>, waited: Duration) {
        if let Some(hash) = hash
            && self.hashes.last() != Some(&hash)
        {
            self.hashes.push(hash);
        }
        for entry in entries {
            let (id, at) = (entry.registration_id, entry.last_heartbeat_unix_ms);
            match self.beats.iter_mut().find(|it| it.id == id) {
                Some(known) => known.all.push(at),
                None => self.beats.push(Beats {
                    id,
                    registered: at,
                    all: Vec::new(),
                    waited: [self.waited, waited],
                }),
            }
        }
        self.waited = waited;
        let newest = self.beats.last_mut();
        if let Some(newest) = newest.filter(|it| it.all.iter().all(|at| *at == it.registered)) {
            newest.waited[1] = waited;
        }
    }

    /// Whether an older entry beat when a newer one had just been registered: no look at the
    /// gateway can have told it. Whoever had no processor was later.
    fn has_crossed(&self) -> bool {
        self.beats.iter().enumerate().any(|(at, newer)| {
            let [before, until] = newer.waited;
            let late = u64::try_from((until - before).as_millis()).expect("no ages");
            let soon = newer.registered..newer.registered + CROSSING_MS + late;
            let mut older = self.beats[..at].iter().flat_map(|it| &it.all);
            older.any(|beat| soon.contains(beat))
        })
    }
}

impl Swaps {
    /// A beat that somebody else saw: its entry may be gone before the next look.
    pub(crate) fn note(&self, entry: Registration) {
        let mut seen = self.seen.lock().expect("no panic");
        let waited = seen.waited;
        seen.saw(None, vec![entry], waited);
    }

    pub(crate) fn count(self) -> usize {
        self.task.abort();
        self.so_far()
    }

    fn so_far(&self) -> usize {
        let seen = self.seen.lock().expect("no panic");
        seen.hashes.len().saturating_sub(1)
    }

    /// Waits until so many were seen: the last look may be a while ago.
    pub(crate) async fn until(&self, count: usize) {
        within(&format!("{count} swaps"), async {
            while self.so_far() < count {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// How often, and the most that may be: a beat of the old build that crosses the Register of the
    /// new one takes the slot back once.
    pub(crate) fn count_and_most(self) -> (usize, usize) {
        let most = match self.seen.lock().expect("no panic").has_crossed() {
            true => 3,
            false => 2,
        };
        (self.count(), most)
    }
}

struct Call {
    begun: Instant,
    ended: Instant,
    /// How long it was waited for a processor until then.
    waited: Duration,
    is_ok: bool,
}

pub(crate) struct Caller {
    calls: Arc<std::sync::Mutex<Vec<Call>>>,
    task: JoinHandle<()>,
}

impl Caller {
    /// Waits for the next call that is answered.
    pub(crate) async fn answered(&self) {
        let since = Instant::now();
        within("a call is answered", async {
            let is_new = |it: &Call| it.is_ok && it.begun >= since;
            while !self.calls.lock().expect("no panic").iter().any(is_new) {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// How long nothing was served, at the longest, and how many of how many calls failed. From
    /// the end of the last call before that was answered to that of the next one, without the time
    /// in which there was no processor to run on.
    pub(crate) fn unserved(self) -> (Duration, usize, usize) {
        self.task.abort();
        let calls = self.calls.lock().expect("no panic");
        let mut longest = Duration::ZERO;
        let mut last_ok = None;
        let mut failed = 0;
        for call in calls.iter() {
            if !call.is_ok {
                failed += 1;
                continue;
            }
            if let (Some((ended, waited)), true) = (last_ok, failed > 0) {
                let between: Duration = call.ended - ended;
                longest = longest.max(between.saturating_sub(call.waited - waited));
            }
            last_ok = Some((call.ended, call.waited));
        }
        let failed = calls.iter().filter(|it| !it.is_ok).count();
        (longest, failed, calls.len())
    }
}

pub(crate) struct Stranger {
    client: ControlPlaneClient<Channel>,
    id: String,
}

impl Stranger {
    pub(crate) async fn beat(&mut self) {
        let registration_id = self.id.clone();
        let beat = self
            .client
            .heartbeat(proto::HeartbeatRequest { registration_id });
        within("a beat", beat).await.expect("answered");
    }

    pub(crate) async fn leave(mut self) {
        let registration_id = self.id.clone();
        let request = proto::DeregisterRequest { registration_id };
        let told = within("deregistered", self.client.deregister(request)).await;
        told.expect("deregistered");
    }
}
