//! The supervised program: starting, signalling, reaping.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, set_child_subreaper,
    test_kill_process_group, wait,
};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use crate::exit_codes::{CANNOT_RUN, Fault, NO_PROGRAM, RUN};
use crate::output::{plain, say};

/// How long the processes that an ended program left have to end, too.
const REST: Duration = Duration::from_secs(2);

/// A running program, or one that has ended.
#[derive(Debug)]
pub(super) struct Program {
    pid: Pid,
    pub(super) started: Instant,
    ended: Option<Ended>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Exit(u8),
    Signal(u8),
}

/// An event for the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The program has ended.
    End(Ended),
    /// SIGTERM, or SIGINT.
    Stop,
}

/// The signals that concern a supervisor.
pub(super) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    child: Stream,
    forwarded: [(Stream, Signal); 5],
}

// === impl Ended ===

impl Ended {
    fn of(status: WaitStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Exit(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            (None, signal) => {
                Self::Signal(signal.and_then(|it| u8::try_from(it).ok()).unwrap_or(0))
            }
        }
    }

    /// The exit code, as shells report it.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Exit(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "ended with {code}"),
            Self::Signal(9) => {
                f.write_str("was killed (SIGKILL, which the kernel sends when memory runs out)")
            }
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

// === impl Signals ===

impl Signals {
    pub(super) fn new() -> Result<Self, Fault> {
        let listen = |kind: SignalKind| {
            signal(kind)
                .map_err(|error| Fault::new(RUN, format!("signals cannot be received: {error}")))
        };
        let forward = |kind, signal| Ok::<_, Fault>((listen(kind)?, signal));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            child: listen(SignalKind::child())?,
            forwarded: [
                forward(SignalKind::hangup(), Signal::HUP)?,
                forward(SignalKind::quit(), Signal::QUIT)?,
                forward(SignalKind::user_defined1(), Signal::USR1)?,
                forward(SignalKind::user_defined2(), Signal::USR2)?,
                forward(SignalKind::window_change(), Signal::WINCH)?,
            ],
        })
    }

    /// The next event for the supervisor. Forwards signals meant for the program, and reaps ended
    /// processes.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub(super) async fn next(&mut self, program: &mut Program) -> Came {
        loop {
            if let Some(ended) = program.reap() {
                return Came::End(ended);
            }
            let [hangup, quit, user1, user2, window] = &mut self.forwarded;
            let forwarded = tokio::select! {
                biased;
                _ = self.child.recv() => continue,
                _ = self.terminate.recv() => return Came::Stop,
                _ = self.interrupt.recv() => return Came::Stop,
                _ = hangup.0.recv() => hangup.1,
                _ = quit.0.recv() => quit.1,
                _ = user1.0.recv() => user1.1,
                _ = user2.0.recv() => user2.1,
                _ = window.0.recv() => window.1,
            };
            program.signal(forwarded);
        }
    }

    /// Pauses while no program runs; true if SIGTERM or SIGINT ended the pause.
    pub(super) async fn pause(&mut self, pause: Duration) -> bool {
        let end = sleep(pause);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return false,
                _ = self.terminate.recv() => return true,
                _ = self.interrupt.recv() => return true,
                _ = self.child.recv() => reap_all(None),
            };
        }
    }
}

/// Reaps all ended children, including inherited orphans; returns how the wanted process ended, if
/// it did.
fn reap_all(wanted: Option<Pid>) -> Option<Ended> {
    let mut found = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if Some(pid) == wanted {
            found = Some(Ended::of(status));
        }
    }
    found
}

// === impl Program ===

impl Program {
    /// Starts it in a process group of its own, so that Ctrl-C reaches it only after the
    /// deregistration.
    pub(super) fn start(line: &[OsString]) -> Result<Self, Fault> {
        // Become the parent of its orphans, as an init process does.
        let _ = set_child_subreaper(Some(rustix::process::getpid()));
        let (name, arguments) = line
            .split_first()
            .ok_or_else(|| Fault::new(RUN, "no program is given"))?;
        let mut command = Command::new(name);
        command.args(arguments).process_group(0);
        if std::io::stdin().is_terminal() {
            // Reading from the terminal stops a process outside its foreground group.
            command.stdin(Stdio::null());
        }
        let shown = plain(&name.to_string_lossy());
        let child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                let message =
                    format!("the program `{shown}` does not exist, or its interpreter does not");
                Fault::new(NO_PROGRAM, message)
                    .help("check the name and $PATH; the words after -- are run without a shell")
            }
            _ => Fault::new(
                CANNOT_RUN,
                format!("the program `{shown}` cannot be executed: {error}"),
            )
            .help("check that it is a file with the permission to execute (chmod +x)"),
        })?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Fault::new(RUN, "the program has no process id"))?;
        Ok(Self {
            pid,
            started: Instant::now(),
            ended: None,
        })
    }

    pub(super) fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    fn reap(&mut self) -> Option<Ended> {
        let ended = reap_all(Some(self.pid).filter(|_| self.ended.is_none()));
        self.ended = self.ended.or(ended);
        self.ended
    }

    pub(super) fn signal(&self, signal: Signal) {
        // It may have ended meanwhile, without being reaped yet.
        if self.ended.is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Sends SIGTERM, then SIGKILL at a second signal or when it takes too long; returns how it
    /// ended.
    pub(super) async fn stop(&mut self, signals: &mut Signals, patience: Duration) -> Ended {
        self.signal(Signal::TERM);
        // A stopped process does not handle signals.
        self.signal(Signal::CONT);
        match timeout(patience, signals.next(self)).await {
            Ok(Came::End(ended)) => return ended,
            Ok(Came::Stop) => say("tower-gwag: a second signal: the program gets SIGKILL"),
            Err(_) => say(&format!(
                "tower-gwag: the program did not end within {patience:?} of SIGTERM: it gets SIGKILL (--stop-timeout)"
            )),
        }
        let _ = kill_process_group(self.pid, Signal::KILL);
        // SIGKILL ends every process, unless the kernel is stuck.
        loop {
            if let Came::End(ended) = signals.next(self).await {
                return ended;
            }
        }
    }

    /// The processes that it left running: those of its group, and its daemons.
    pub(super) fn has_left(&self) -> bool {
        reap_all(None);
        test_kill_process_group(self.pid).is_ok() || !orphans().is_empty()
    }

    /// Ends the processes that the program left running.
    pub(super) async fn clear(&self) {
        for signal in [Signal::TERM, Signal::KILL] {
            if !self.has_left() {
                return;
            }
            let _ = kill_process_group(self.pid, signal);
            for orphan in orphans() {
                let _ = kill_process(orphan, signal);
            }
            let end = Instant::now() + REST;
            while self.has_left() && Instant::now() < end {
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Our child processes, as the kernel lists them.
fn orphans() -> Vec<Pid> {
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|it| std::fs::read_to_string(it.path().join("children")).ok());
    let ids = lists.flat_map(|it| it.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    ids.filter_map(|it| it.parse().ok().and_then(Pid::from_raw))
        .collect()
}
