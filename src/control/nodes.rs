//! The nodes behind one gateway name: a registration lives on the node that accepted it.

use std::net::SocketAddr;

/// Which of a name's addresses are dialled, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Nodes {
    /// The node of the last connection.
    home: Option<SocketAddr>,
    /// A node that fell silent: dialled last.
    shunned: Option<SocketAddr>,
    /// No node other than the home is of use.
    is_pinned: bool,
    /// Whether the name had several addresses when it was last resolved.
    has_several: bool,
}

// === impl Nodes ===

impl Nodes {
    /// Only this node.
    pub(super) fn pinned(home: SocketAddr) -> Self {
        Self {
            home: Some(home),
            is_pinned: true,
            ..Self::default()
        }
    }

    /// The home is dialled first, because only it knows our ids, even if the name no longer
    /// resolves to it.
    pub(super) fn in_order(&mut self, mut resolved: Vec<SocketAddr>) -> Vec<SocketAddr> {
        if self.is_pinned || resolved.is_empty() {
            return self.home.into_iter().collect();
        }
        self.has_several = resolved.len() > 1;
        resolved.sort_by_key(|it| match Some(*it) {
            it if it == self.home => 0,
            it if it == self.shunned => 2,
            _ => 1,
        });
        resolved
    }

    pub(super) fn connected_to(&mut self, node: SocketAddr) {
        self.home = Some(node);
        if self.shunned == self.home {
            self.shunned = None;
        }
    }

    /// The node is dead, though it may still accept connections. Others may have moved on before.
    pub(super) fn move_on_from(&mut self, node: SocketAddr) {
        if self.has_several && !self.is_pinned && self.home == Some(node) {
            self.shunned = self.home.take();
        }
    }

    pub(super) fn home(&self) -> Option<SocketAddr> {
        self.home
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.is_pinned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> SocketAddr {
        ([10, 0, 0, number], 50090).into()
    }

    #[test]
    fn the_node_that_was_connected_to_stays_the_first_whatever_the_resolver_says() {
        let mut nodes = Nodes::default();
        let resolved = vec![node(1), node(2), node(3)];
        assert_eq!(nodes.in_order(resolved.clone()), resolved);
        nodes.connected_to(node(2));
        assert_eq!(nodes.in_order(resolved), [node(2), node(1), node(3)]);
        let turned = vec![node(3), node(1), node(2)];
        assert_eq!(nodes.in_order(turned), [node(2), node(3), node(1)]);
    }

    #[test]
    fn a_node_that_the_name_does_not_have_any_more_is_not_tried() {
        let mut nodes = Nodes::default();
        nodes.connected_to(node(1));
        assert_eq!(nodes.in_order(vec![node(2)]), [node(2)]);
    }

    #[test]
    fn the_last_node_is_tried_while_the_name_cannot_be_resolved() {
        let mut nodes = Nodes::default();
        assert!(nodes.in_order(Vec::new()).is_empty());
        nodes.connected_to(node(1));
        assert_eq!(nodes.in_order(Vec::new()), [node(1)]);
    }

    #[test]
    fn a_silent_node_is_left_for_the_others_and_tried_last() {
        let mut nodes = Nodes::default();
        nodes.in_order(vec![node(1), node(2)]);
        nodes.connected_to(node(1));
        nodes.move_on_from(node(1));
        nodes.move_on_from(node(2));
        assert_eq!(nodes.in_order(vec![node(1), node(2)]), [node(2), node(1)]);
        // The only node is never left.
        let mut alone = Nodes::default();
        alone.in_order(vec![node(1)]);
        alone.connected_to(node(1));
        alone.move_on_from(node(1));
        assert_eq!(alone.in_order(Vec::new()), [node(1)]);
    }

    #[test]
    fn a_pinned_one_goes_nowhere_else() {
        let mut nodes = Nodes::pinned(node(1));
        assert_eq!(nodes.in_order(vec![node(2), node(3)]), [node(1)]);
    }
}
