//! A TCP proxy that misbehaves on request: what networks and dying hosts do, for tests and examples.

#![allow(dead_code, reason = "each user takes a part")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

const BACKLOG: u32 = 1024;

/// What the proxy does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Forwards.
    Pass,
    /// A host without the process: connections are reset, new ones refused.
    Refuse,
    /// Connections are reset, new ones too as soon as they are up.
    Reset,
    /// A network that drops every packet: nothing moves in either direction. Connections from
    /// before stay silent for as long again after it, as TCP's doubled retransmission does. New
    /// ones come up, since the kernel answers for us, and move as soon as the network does.
    Drop,
    /// The connections of this moment are silent; new ones are forwarded.
    Stall,
    /// The far ends of this moment's connections are closed without a notice to the near ends; new ones
    /// are forwarded. Followed by another mode they are reset, as by a host that was restarted.
    HalfOpen,
    /// Forwards everything so much later.
    Delay(Duration),
}

/// Forwards connections to one target; ends with its handle.
pub(crate) struct FaultProxy {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    orders: mpsc::Sender<(Mode, oneshot::Sender<()>)>,
}

// === impl FaultProxy ===

impl FaultProxy {
    /// A proxy before `target`, on a free port of 127.0.0.1; it passes.
    pub(crate) async fn before(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let accepted = Arc::new(AtomicUsize::new(0));
        let (orders, ordered) = mpsc::channel(1);
        let owner = Owner {
            address,
            target,
            listener: Some(listener),
            reserved: None,
            accepted: Arc::clone(&accepted),
            state: watch::Sender::new(State::passing()),
            connections: JoinSet::new(),
        };
        tokio::spawn(owner.run(ordered));
        Ok(Self {
            address,
            accepted,
            orders,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were ever taken.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Changes the mode; resolves once it is in force.
    pub(crate) async fn set(&self, mode: Mode) {
        let (done, is_done) = oneshot::channel();
        // Fails only with the runtime.
        let _ = self.orders.send((mode, done)).await;
        let _ = is_done.await;
    }
}

#[derive(Clone, Copy)]
struct State {
    mode: Mode,
    /// How many modes there were before it.
    turn: u64,
    since: Instant,
    /// Connections of earlier turns than this one are silent until then.
    late: Option<(u64, Instant)>,
}

impl State {
    fn passing() -> Self {
        let (mode, since) = (Mode::Pass, Instant::now());
        Self {
            mode,
            turn: 0,
            since,
            late: None,
        }
    }
}

/// The task that owns the port and every connection.
struct Owner {
    address: SocketAddr,
    target: SocketAddr,
    /// `None` while connecting is refused; then `reserved` has the port.
    listener: Option<TcpListener>,
    reserved: Option<TcpSocket>,
    accepted: Arc<AtomicUsize>,
    state: watch::Sender<State>,
    connections: JoinSet<()>,
}

// === impl Owner ===

impl Owner {
    async fn run(mut self, mut orders: mpsc::Receiver<(Mode, oneshot::Sender<()>)>) {
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((mode, done)) = order else { return };
                    if let Err(error) = self.enter(mode).await {
                        eprintln!("the fault proxy lost its port {}: {error}", self.address);
                        return;
                    }
                    // The one who asked may be gone.
                    let _ = done.send(());
                }
                stream = accepted(self.listener.as_ref()) => if let Ok((stream, _)) = stream {
                    self.accepted.fetch_add(1, Ordering::SeqCst);
                    let state = self.state.subscribe();
                    self.connections.spawn(connection(stream, self.target, state));
                },
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn enter(&mut self, mode: Mode) -> io::Result<()> {
        self.state.send_modify(|state| {
            let now = Instant::now();
            if state.mode == Mode::Drop {
                state.late = Some((state.turn, now + (now - state.since)));
            }
            (state.mode, state.since) = (mode, now);
            state.turn += 1;
        });
        if matches!(mode, Mode::Refuse | Mode::Reset) {
            while self.connections.join_next().await.is_some() {}
        }
        if mode == Mode::Refuse {
            if self.listener.take().is_some() {
                self.reserved = Some(reserve(self.address)?);
            }
        } else if let Some(socket) = self.reserved.take() {
            self.listener = Some(socket.listen(BACKLOG)?);
        }
        Ok(())
    }
}

/// Bound, so that nobody else takes the port, and not listened on.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // What is left of former connections does not keep it.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accepted(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn connection(mut near: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let born = state.borrow_and_update().turn;
    let mut ended = state.clone();
    let forwarding = async {
        // A connection that comes up while packets are dropped is forwarded afterwards.
        flowing(&mut state, born).await;
        let mut far = TcpStream::connect(target).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let mut half_opened = state.clone();
        let (near_in, near_out) = near.split();
        let (far_in, far_out) = far.split();
        tokio::select! {
            ended = async {
                tokio::try_join!(
                    pump(near_in, far_out, state.clone(), born),
                    pump(far_in, near_out, state.clone(), born),
                )
            } => return ended.map(drop),
            _ = half_opened.wait_for(|it| it.mode == Mode::HalfOpen && it.turn > born) => {}
        }
        drop(far);
        // The near end notices it only in the next mode.
        let _ = state.wait_for(|it| it.mode != Mode::HalfOpen).await;
        Err(io::ErrorKind::ConnectionReset.into())
    };
    let ended_by_order = ended.wait_for(|it| matches!(it.mode, Mode::Refuse | Mode::Reset));
    let end = tokio::select! {
        _ = ended_by_order => Err(io::ErrorKind::ConnectionReset.into()),
        end = forwarding => end,
    };
    if end.is_err() {
        // A reset, not an orderly end; fails where there is nothing to reset.
        let _ = near.set_zero_linger();
    }
}

/// Waits while a connection of the turn `born` is silent; gives the delay of what it carries.
async fn flowing(state: &mut watch::Receiver<State>, born: u64) -> Duration {
    loop {
        let now = *state.borrow_and_update();
        let until = now.late.filter(|(turn, _)| *turn > born).map(|(_, at)| at);
        let silent = match now.mode {
            Mode::Drop => true,
            Mode::Stall => now.turn > born,
            _ => false,
        };
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return Duration::ZERO },
            () = sleep_until(until.unwrap_or(now.since)), if !silent => {
                let Mode::Delay(delay) = now.mode else { return Duration::ZERO };
                return delay;
            }
        }
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut state: watch::Receiver<State>,
    born: u64,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let delay = flowing(&mut state, born).await;
        let read = tokio::select! {
            biased;
            _ = state.changed() => continue,
            read = from.read(&mut buffer) => read?,
        };
        if !delay.is_zero() {
            sleep(delay).await;
            // It may have become silent meanwhile.
            flowing(&mut state, born).await;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
