//! Resolves names on threads that nothing waits for: the system's resolver blocks for as long as a
//! name server is silent, and a runtime at its end waits for its own blocking tasks.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::target::MOST_ADDRESSES;

type Found = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

/// The lookups under way, at most one for each name.
type Lookups = HashMap<String, watch::Receiver<Option<Found>>>;

/// The addresses of a host, at most 64. Bounded only by the caller's deadline.
///
/// # Cancel safety
///
/// Cancel safe: the lookup continues, and the next caller gets its result.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![(ip, port).into()]);
    }
    let mut lookup = lookup(host)?;
    let found = lookup.wait_for(Option::is_some).await;
    let found = found.map_err(|_| io::Error::other("the lookup panicked; please report it"))?;
    match found.as_ref() {
        Some(Ok(addresses)) => {
            let mut addresses = addresses.clone();
            addresses.iter_mut().for_each(|it| it.set_port(port));
            Ok(addresses)
        }
        Some(Err((kind, text))) => Err(io::Error::new(*kind, text.clone())),
        // invariant: the result was just awaited.
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Joins the lookup that is under way, or begins one.
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
        // The callers may be gone.
        let _ = done.send(Some(found));
    };
    let thread = std::thread::Builder::new().name("tower-gwag-resolve".to_owned());
    thread.spawn(look_up)?;
    all.insert(host.to_owned(), lookup.clone());
    Ok(lookup)
}

fn look_up_blocking(host: &str) -> Found {
    match (host, 0).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.take(MOST_ADDRESSES).collect()),
        Err(error) => Err((error.kind(), error.to_string())),
    }
}

/// Removes a lookup from the list at its end, even if it panics.
struct Over<'a>(&'a str);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        if let Some(all) = lookups().as_mut() {
            all.remove(self.0);
        }
    }
}

/// Single insertions and removals leave the map valid after a panic.
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
