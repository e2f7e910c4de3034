//! The result of probing a doubtful connection; the lease decides what follows.

/// What a probe found out about a connection on which an answer is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// Other calls are answered: only this one is slow.
    Slow,
    /// The connection answers nothing, while a new one is answered or refused: it is dead.
    Dead,
    /// The gateway neither answers nor refuses anything: it is frozen, or cut off.
    Silent,
    /// As `Silent`, but another node of the gateway's name answers.
    NodeSilent,
}
