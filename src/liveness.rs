//! What a doubt about a connection came to: the wire finds it out, the lease decides what follows.

/// What a probe found out about a connection on which an answer is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It answers other calls: only this one takes long.
    Slow,
    /// It answers nothing, while a new one is answered, or refused: it is dead.
    Dead,
    /// Nothing is answered or refused anywhere: frozen, or cut off.
    Silent,
    /// The same here, but another node of the gateway's name answers.
    NodeSilent,
}
