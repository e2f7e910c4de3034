//! Looks names up on threads that nobody waits for: the system's resolver blocks for as long as a
//! name server is silent, and a runtime waits at its end for blocking tasks of its own.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

type Found = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

/// The look-ups under way, by name: at most one of each.
type Lookups = HashMap<String, watch::Receiver<Option<Found>>>;

/// The addresses of a host. Bounded by the caller's deadline only.
///
/// # Cancel safety
///
/// Cancel safe: the look-up goes on, and the next caller gets its result.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![(ip, port).into()]);
    }
    let mut lookup = lookup(host)?;
    let found = lookup.wait_for(Option::is_some).await;
    let found = found.map_err(|_| io::Error::other("the look-up of the name panicked"))?;
    match found.as_ref() {
        Some(Ok(addresses)) => {
            let mut addresses = addresses.clone();
            addresses.iter_mut().for_each(|it| it.set_port(port));
            Ok(addresses)
        }
        Some(Err((kind, text))) => Err(io::Error::new(*kind, text.clone())),
        // invariant: it was waited for.
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Joins the look-up that is under way, or begins one.
fn lookup(host: &str) -> io::Result<watch::Receiver<Option<Found>>> {
    let mut under_way = lookups();
    let all = under_way.get_or_insert_default();
    if let Some(lookup) = all.get(host) {
        return Ok(lookup.clone());
    }
    let (done, lookup) = watch::channel(None);
    let name = host.to_owned();
    let look_up = move || {
        let _over = Over(&name);
        let found = look_up_blocking(&name);
        // Nobody may be waiting any more.
        let _ = done.send(Some(found));
    };
    let thread = std::thread::Builder::new().name("tower-gwag-resolve".to_owned());
    thread.spawn(look_up)?;
    all.insert(host.to_owned(), lookup.clone());
    Ok(lookup)
}

fn look_up_blocking(host: &str) -> Found {
    match (host, 0).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err((error.kind(), error.to_string())),
    }
}

/// A look-up that takes itself off the list, also when it panics.
struct Over<'a>(&'a str);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        if let Some(all) = lookups().as_mut() {
            all.remove(self.0);
        }
    }
}

/// Single insertions and removals leave it valid after a panic.
fn lookups() -> MutexGuard<'static, Option<Lookups>> {
    static LOOKUPS: Mutex<Option<Lookups>> = Mutex::new(None);
    LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_literals_have_their_addresses() {
        for (host, is_v6) in [("127.0.0.1", false), ("::1", true)] {
            let found = resolve(host, 80).await.unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].port(), found[0].is_ipv6()), (80, is_v6));
        }
        let found = resolve("localhost", 81).await.unwrap();
        assert!(!found.is_empty());
        let is_right = |it: &SocketAddr| it.ip().is_loopback() && it.port() == 81;
        assert!(found.iter().all(is_right), "{found:?}");
        assert!(resolve("no such name", 80).await.is_err());
    }
}
