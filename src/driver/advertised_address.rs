//! The address and name under which a server is registered: the advertised address derived from the
//! bound one, the spelling in which it is sent, the host's name.
//!
//! Gateways key connections, and the back-off after failed ones, by the text of an address
//! (contract, Address strings).

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::control::Gateway;
use crate::control::address::{
    SPELLINGS, dialled, is_bound, is_of_this_host, respelled, with_port,
};
use crate::error::{Error, ErrorKind};
use crate::observe::proof::Callers;
use crate::options::{Advertise, Config};
use tower_gwag_schema::service::{Resolved, ServiceKind};

/// The address of one registration: what it advertises, and where that leads as far as is known.
#[derive(Debug)]
pub(super) struct Address {
    bound: Option<SocketAddr>,
    /// `None`: the address keeps its spelling.
    spellings: Option<Mutex<Spellings>>,
    /// The gateway's addresses as last resolved.
    gateways: Mutex<Vec<SocketAddr>>,
    /// The address advertised to a gateway; hold and service must have it byte by byte.
    advertised: Mutex<Option<(usize, String)>>,
    /// The addresses of the advertised name, if it is this server.
    named: Mutex<Vec<IpAddr>>,
}

// === impl Address ===

impl Address {
    pub(super) fn new(config: &Config, bound: Option<SocketAddr>) -> Self {
        // Each process starts with another spelling.
        let spellings = || Spellings::new(config.seed, config.is_all_proto()).into();
        Self {
            bound,
            spellings: config.respells.then(spellings),
            gateways: Mutex::default(),
            advertised: Mutex::default(),
            named: Mutex::default(),
        }
    }

    pub(super) fn bound(&self) -> Option<SocketAddr> {
        self.bound
    }

    /// The address to advertise to this gateway.
    pub(super) async fn at(
        &self,
        gateway: usize,
        connection: &Gateway,
        config: &Config,
    ) -> Result<String, Error> {
        if let Some((of, address)) = &*lock(&self.advertised)
            && *of == gateway
        {
            return Ok(address.clone());
        }
        let gateways = connection.addresses().await;
        let mut address = advertised(&config.advertise, self.bound, &gateways)?;
        if let Some(scheme) = &config.advertise_scheme {
            address.insert_str(0, &format!("{scheme}://"));
        }
        if let Some(path) = &config.advertise_path {
            if config.advertise_scheme.is_none() {
                address.insert_str(0, "http://");
            }
            address.push_str(path);
        }
        // Without the gateway's address the route is a guess, and is made again next time.
        if !gateways.is_empty() {
            *lock(&self.advertised) = Some((gateway, address.clone()));
        }
        *lock(&self.gateways) = gateways;
        Ok(address)
    }

    /// Spells the address afresh for each registration.
    pub(super) fn respell(&self, address: &mut String, life: u32) {
        if let Some(spellings) = &self.spellings {
            *address = respelled(address, lock(spellings).of_life(life));
        }
    }

    /// Where the calls of the current gateway come from.
    pub(super) fn callers(&self) -> Callers {
        let gateways = lock(&self.gateways);
        let mut hosts: Vec<IpAddr> = gateways.iter().map(SocketAddr::ip).collect();
        drop(gateways);
        let advertised = lock(&self.advertised);
        let advertised = advertised.as_ref().map(|(_, address)| &**address);
        let Some((host, port)) = advertised.and_then(dialled) else {
            let is_bound = false;
            return Callers { hosts, is_bound };
        };
        let ips = match host.parse() {
            Ok(ip) => vec![ip],
            Err(_) => lock(&self.named).clone(),
        };
        let is_bound = self.bound.is_some_and(|bound| {
            let mut dialled = ips.iter().map(|ip| SocketAddr::new(*ip, port));
            dialled.any(|dialled| is_bound(dialled, bound))
        });
        // A gateway on this host calls from the same address that it dials.
        if hosts.iter().copied().any(is_of_this_host) {
            hosts.extend(ips);
        }
        Callers { hosts, is_bound }
    }

    /// Sets the addresses that the advertised name resolves to.
    pub(super) fn name_is(&self, ips: Vec<IpAddr>) {
        *lock(&self.named) = ips;
    }

    /// Why the current gateway cannot reach `address`, if so.
    pub(super) fn unreachable(&self, address: &str) -> Option<&'static str> {
        unreachable_from(address, &lock(&self.gateways))
    }

    /// `<first namespace>@<host name>:<port>`.
    pub(super) fn default_instance_id(&self, config: &Config, advertised: &str) -> String {
        let namespace = config.services.first().map(|first| &*first.namespace);
        let host = host_name();
        let port = match self.bound {
            Some(bound) => bound.port().to_string(),
            None => advertised.rsplit(':').next().unwrap_or_default().to_owned(),
        };
        format!("{}@{host}:{port}", namespace.unwrap_or_default())
    }
}

/// These values are only replaced whole, so they are valid after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The address to advertise for a server bound to `bound`; `gateways` are the gateway's resolved
/// addresses, best first.
pub(crate) fn advertised(
    advertise: &Advertise,
    bound: Option<SocketAddr>,
    gateways: &[SocketAddr],
) -> Result<String, Error> {
    let needed = || {
        Error::new(
            ErrorKind::InvalidAdvertisedAddress,
            "the listener is not bound to an IP address: use `Options::advertise` to give the \
             address at which the gateway reaches this server",
        )
    };
    if let (Some(0), false) = (
        bound.map(|bound| bound.port()),
        matches!(advertise, Advertise::Exactly(_)),
    ) {
        return Err(Error::new(
            ErrorKind::InvalidAdvertisedAddress,
            "port 0 cannot be dialled: give the address that the server is bound to, \
             `listener.local_addr()`, or another one with `Options::advertise`",
        ));
    }
    match (advertise, bound) {
        (Advertise::Exactly(address), _) => Ok(address.clone()),
        (Advertise::Host(host), Some(bound)) => Ok(with_port(host, bound.port())),
        (Advertise::Bound, Some(bound)) => {
            let ip = if bound.ip().is_unspecified() {
                route_source(bound.ip(), gateways)
            } else {
                bound.ip()
            };
            Ok(with_port(&ip.to_canonical().to_string(), bound.port()))
        }
        (_, None) => Err(needed()),
    }
}

/// The source address of the route to the gateway, which replaces an unspecified address. Sends
/// nothing.
fn route_source(unspecified: IpAddr, gateways: &[SocketAddr]) -> IpAddr {
    let loopback = match unspecified {
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    };
    gateways
        .iter()
        // 0.0.0.0 accepts IPv4 only; [::] accepts both.
        .filter(|gateway| gateway.is_ipv4() || unspecified.is_ipv6())
        .find_map(|gateway| {
            let any: SocketAddr = match gateway {
                SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
            };
            let socket = UdpSocket::bind(any).ok()?;
            socket.connect(gateway).ok()?;
            Some(socket.local_addr().ok()?.ip())
        })
        .filter(|ip| !ip.is_unspecified())
        .unwrap_or(loopback)
}

/// Why a gateway on another host cannot reach `advertised`; `None` if it can, or may.
pub(crate) fn unreachable_from(advertised: &str, gateways: &[SocketAddr]) -> Option<&'static str> {
    let (host, _) = dialled(advertised)?;
    let gateway_is_here = gateways.iter().all(|gateway| is_of_this_host(gateway.ip()));
    if gateways.is_empty() || gateway_is_here {
        return None;
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Some("a loopback name");
    }
    match host.parse::<IpAddr>().ok()?.to_canonical() {
        ip if ip.is_loopback() => Some("a loopback address"),
        IpAddr::V4(ip) if ip.is_link_local() => Some("a link-local address"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    }
}

/// The remedy if the server has TLS and a gateway dials `address` without it; `None` if it does not
/// (contract, TLS towards the services).
pub(super) fn remedy_for_tls(
    services: &[Resolved],
    address: &str,
    gateway_has_tls: bool,
) -> Option<&'static str> {
    let address_has_tls = address.starts_with("https://");
    let is_in_plaintext = |it: &&Resolved| match it.kind {
        ServiceKind::Proto => !gateway_has_tls,
        ServiceKind::OpenApi => !address_has_tls,
        // A full URL may lead anywhere.
        ServiceKind::GraphQl => !address_has_tls && it.binding.graphql_endpoint.starts_with('/'),
    };
    let kind = services.iter().find(is_in_plaintext)?.kind;
    Some(match kind {
        ServiceKind::Proto => {
            "serve gRPC in plaintext (only a clustered gateway with TLS dials gRPC services with \
             TLS)"
        }
        ServiceKind::OpenApi | ServiceKind::GraphQl => "use `Options::advertise_scheme(\"https\")`",
    })
}

/// After this time a gateway has forgotten a spelling.
const FRESH_AFTER: Duration = Duration::from_secs(180);

/// The spellings of one address, and when each was last used.
#[derive(Clone, Debug)]
pub(crate) struct Spellings {
    /// `None`: never.
    used: Vec<Option<Instant>>,
    /// The latest registration, by number, and its spelling.
    current: Option<(u32, usize)>,
    /// The first spelling of this process, so that it differs from that of the process before.
    first: usize,
}

// === impl Spellings ===

impl Spellings {
    /// A `dns:///` target is only possible if all services are gRPC.
    pub(crate) fn new(seed: u64, is_all_proto: bool) -> Self {
        let all = if is_all_proto {
            2 * SPELLINGS
        } else {
            SPELLINGS
        };
        Self {
            used: vec![None; all],
            current: None,
            first: usize::try_from(seed % SPELLINGS as u64).unwrap_or(0),
        }
    }

    /// The spelling of a registration; a new one gets the spelling that was unused for longest.
    pub(crate) fn of_life(&mut self, life: u32) -> usize {
        let now = Instant::now();
        match self.current {
            Some((newest, spelling)) if newest == life => return spelling,
            Some((_, spelling)) => self.used[spelling] = Some(now),
            None => {}
        }
        // The plain spellings first, starting with `first`.
        let plain = (0..SPELLINGS).map(|it| (self.first + it) % SPELLINGS);
        let order = plain.chain(SPELLINGS..self.used.len());
        let current = self.current.map(|(_, spelling)| spelling);
        let free = order.filter(|it| Some(*it) != current);
        // invariant: there are several. Of equals, the first wins.
        let spelling = free.min_by_key(|it| self.used[*it]).unwrap_or_default();
        if self.used[spelling].is_some_and(|at| now.duration_since(at) < FRESH_AFTER) {
            tracing::debug!(
                target: "tower_gwag",
                "all spellings of the address were used within {FRESH_AFTER:?}: the oldest is used \
                 again, and the gateway may still be in back-off for it"
            );
        }
        self.current = Some((life, spelling));
        spelling
    }
}

/// The name of this host, for the default instance id; only shown to operators, so not worth a
/// dependency. From the kernel (Linux), else from the environment, else `localhost`.
pub(crate) fn host_name() -> String {
    let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let environment = || {
        ["HOSTNAME", "COMPUTERNAME", "HOST"]
            .iter()
            .find_map(|name| std::env::var(name).ok())
    };
    kernel()
        .or_else(environment)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const FAR: &str = "192.0.2.1:50090";

    #[test]
    fn the_bound_address_is_advertised_as_the_gateway_can_dial_it() {
        let near: SocketAddr = "127.0.0.1:50090".parse().unwrap();
        for (bound, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("10.1.2.3:8080", "10.1.2.3:8080"),
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "127.0.0.1:8080"),
            ("[::1]:8080", "[::1]:8080"),
            ("[::ffff:10.1.2.3]:8080", "10.1.2.3:8080"),
        ] {
            let bound = Some(bound.parse().unwrap());
            let found = advertised(&Advertise::Bound, bound, &[near]).unwrap();
            assert_eq!(found, address, "{bound:?}");
        }
    }

    #[test]
    fn what_the_user_says_goes_first() {
        let bound = Some("0.0.0.0:8080".parse().unwrap());
        let host = Advertise::Host("greeter.svc".into());
        assert_eq!(advertised(&host, bound, &[]).unwrap(), "greeter.svc:8080");
        let host = Advertise::Host("2001:db8::1".into());
        assert_eq!(advertised(&host, bound, &[]).unwrap(), "[2001:db8::1]:8080");
        let exactly = Advertise::Exactly("https://pets/v2".into());
        assert_eq!(advertised(&exactly, None, &[]).unwrap(), "https://pets/v2");
        let error = advertised(&Advertise::Bound, None, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidAdvertisedAddress);
    }

    #[test]
    fn an_address_that_a_far_gateway_cannot_dial_is_noticed() {
        let far = [FAR.parse().unwrap()];
        let near = ["127.0.0.1:1".parse().unwrap()];
        for address in [
            "127.0.0.1:1",
            "[::1]:1",
            "localhost:1",
            "169.254.1.1:1",
            "[fe80::1]:1",
        ] {
            assert!(unreachable_from(address, &far).is_some(), "{address}");
            assert!(unreachable_from(address, &near).is_none(), "{address}");
        }
        for address in ["10.0.0.1:1", "greeter.svc:1", "[2001:db8::1]:1"] {
            assert!(unreachable_from(address, &far).is_none(), "{address}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_has_the_spelling_that_was_longest_unused() {
        let mut spellings = Spellings::new(7, false);
        let mut lives = Vec::new();
        for life in 0..20 {
            let spelling = spellings.of_life(life);
            assert_eq!(spellings.of_life(life), spelling, "hold and service");
            lives.push(spelling);
            advance(Duration::from_secs(10)).await;
        }
        assert_eq!(lives[..6], [1, 2, 3, 4, 5, 0]);
        for window in lives.windows(6) {
            let mut window = window.to_vec();
            window.sort_unstable();
            assert_eq!(window, [0, 1, 2, 3, 4, 5], "{lives:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn grpc_targets_come_when_every_plain_spelling_was_used() {
        let mut spellings = Spellings::new(0, true);
        let lives: Vec<usize> = (0..13).map(|life| spellings.of_life(life)).collect();
        assert_eq!(lives, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0]);
    }
}
