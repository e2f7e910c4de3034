//! Finds out from the lists of registrations whose replica holds a slot.
//!
//! An entry is one of this crate's if its address has a hold, or if its instance id ends with the
//! mark that entries without a hold have. The mark contains hashes, to tell another build from a
//! second replica of this one; a hold carries the mark for its service.

use std::collections::{BTreeSet, HashMap};

use crate::control::hold_binding;
use crate::control::proto::Registration;

/// The start of the mark at the end of an instance id.
const MARK: &str = " (tower-gwag";
/// The number of digits of each hash in the mark.
const DIGITS: usize = 8;
/// With more hashes the instance id would be too long, so the mark leaves them out.
const MOST_HASHES: usize = 8;

/// Who holds a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Another build using this crate, or possibly one: not every list could be read.
    Ours,
    Foreign,
    /// Nobody who sends heartbeats: a leftover of a node that is gone.
    Nobody,
}

/// The registrations of the nodes that could be asked.
#[derive(Debug, Default)]
pub(super) struct Entries {
    entries: Vec<Entry>,
    /// The marks of the holds, by address.
    holds: HashMap<String, Vec<Mark>>,
    /// Registration ids, which tell nodes apart.
    ids: BTreeSet<String>,
    nodes_read: usize,
    /// The number of nodes.
    nodes: usize,
    /// The list of our own node is missing.
    lacks_home: bool,
}

#[derive(Debug)]
struct Entry {
    id: String,
    addr: String,
    names: Vec<String>,
    mark: Option<Mark>,
}

/// The hashes of the `unstable` services; if empty, any hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark(Vec<String>);

/// The mark of a registration with `unstable` services of these hashes.
pub(crate) fn mark<'a>(hashes: impl Iterator<Item = Option<&'a str>>) -> String {
    let hashes: Option<Vec<&str>> = hashes.map(|hash| hash?.get(..DIGITS)).collect();
    match hashes.filter(|it| it.len() <= MOST_HASHES) {
        Some(hashes) => format!("{MARK} {})", hashes.join("+")),
        None => format!("{MARK})"),
    }
}

/// An instance id without the mark.
pub(crate) fn unmarked(instance_id: &str) -> &str {
    match instance_id.rfind(MARK) {
        Some(at) if instance_id.ends_with(')') => &instance_id[..at],
        _ => instance_id,
    }
}

// === impl Mark ===

impl Mark {
    fn of(instance_id: &str) -> Option<Self> {
        let text = &instance_id[unmarked(instance_id).len()..];
        let text = text.strip_prefix(MARK)?.strip_suffix(')')?.trim_start();
        let hashes = text.split('+').filter(|it| !it.is_empty());
        Some(Self(hashes.map(str::to_owned).collect()))
    }

    /// Whether the entry may have registered a schema with this hash.
    fn allows(&self, hash: &str) -> bool {
        self.0.is_empty()
            || self
                .0
                .iter()
                .any(|digits| hash.starts_with(digits.as_str()))
    }
}

// === impl Entries ===

impl Entries {
    /// `nodes`: the number of nodes.
    pub(super) fn of_nodes(nodes: usize) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// Adds the list of a node; a second address of the same node adds nothing.
    pub(super) fn add(&mut self, listed: Vec<Registration>) {
        if listed
            .iter()
            .any(|it| self.ids.contains(&it.registration_id))
        {
            return;
        }
        // An empty list does not prove that there is another node.
        self.nodes_read += usize::from(!listed.is_empty() || self.nodes_read == 0);
        for it in listed {
            self.ids.insert(it.registration_id.clone());
            let mark = Mark::of(&it.instance_id);
            if it.namespaces.iter().any(|name| is_hold(name)) {
                let marks = self.holds.entry(it.addr).or_default();
                marks.extend(mark);
            } else if it.namespaces.iter().any(|name| name.ends_with("/unstable")) {
                self.entries.push(Entry {
                    id: it.registration_id,
                    addr: it.addr,
                    names: it.namespaces,
                    mark,
                });
            }
        }
    }

    /// The node that accepted our registration did not return its list.
    pub(super) fn is_unread(&mut self) {
        self.lacks_home = true;
    }

    /// Whether the lists of all nodes are present.
    pub(super) fn is_complete(&self) -> bool {
        !self.lacks_home && self.nodes_read >= self.nodes
    }

    /// Who holds the slot with this hash; `own` is the caller's registration id.
    pub(super) fn holder(&self, slot: &str, hash: &str, own: Option<&str>) -> Holder {
        let mut holder = match self.is_complete() {
            true => Holder::Nobody,
            false => Holder::Ours,
        };
        let others = self
            .entries
            .iter()
            .filter(|it| own != Some(it.id.as_str()) && it.names.iter().any(|name| name == slot));
        for entry in others {
            let hold = self.holds.get(&entry.addr);
            let mut marks = entry
                .mark
                .iter()
                .chain(hold.into_iter().flatten())
                .peekable();
            match (hold.is_some(), marks.peek().is_some()) {
                (_, true) if marks.any(|mark| mark.allows(hash)) => return Holder::Ours,
                // This crate's, but with another schema.
                (_, true) => {}
                (true, false) => return Holder::Ours,
                (false, false) if holder == Holder::Nobody => holder = Holder::Foreign,
                (false, false) => {}
            }
        }
        holder
    }
}

fn is_hold(name: &str) -> bool {
    name.split('/').next() == Some(hold_binding::NAMESPACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: &str = "greeter/unstable";
    const HASH: &str = "aaaaaaaabbbbbbbb";

    fn entry(id: &str, addr: &str, name: &str, instance_id: &str) -> Registration {
        Registration {
            registration_id: id.to_owned(),
            addr: addr.to_owned(),
            instance_id: instance_id.to_owned(),
            namespaces: vec![name.to_owned()],
            ..Registration::default()
        }
    }

    fn hold_of(id: &str, addr: &str, instance_id: &str) -> Registration {
        entry(id, addr, "_tower_gwag_hold/v1", instance_id)
    }

    fn holder(nodes: usize, lists: &[&[Registration]]) -> Holder {
        let mut entries = Entries::of_nodes(nodes);
        for list in lists {
            entries.add(list.to_vec());
        }
        entries.holder(SLOT, HASH, Some("me"))
    }

    #[test]
    fn an_entry_is_ours_by_its_hold_or_its_mark() {
        let me = entry("me", "a:1", SLOT, "me");
        let other = entry("other", "b:1", SLOT, "other");
        assert_eq!(holder(1, &[std::slice::from_ref(&me)]), Holder::Nobody);
        assert_eq!(holder(1, &[&[me.clone(), other.clone()]]), Holder::Foreign);
        // Of another spelling: not that entry's.
        let hold = hold_of("h", "b:01", "other");
        let list = [me.clone(), other.clone(), hold];
        assert_eq!(holder(1, &[&list]), Holder::Foreign);
        let hold = hold_of("h", "b:1", "other");
        assert_eq!(holder(1, &[&[me.clone(), other, hold]]), Holder::Ours);
        for (hashes, expected) in [
            (vec![None], Holder::Ours),
            (vec![Some("ffffffff00"), Some(HASH)], Holder::Ours),
            // A second replica of this build does not have the slot.
            (vec![Some("ffffffff00")], Holder::Nobody),
        ] {
            let id = format!("other{}", mark(hashes.into_iter()));
            assert_eq!(unmarked(&id), "other");
            let marked = entry("other", "b:1", SLOT, &id);
            assert_eq!(holder(1, &[&[me.clone(), marked]]), expected, "{id}");
            let of_hold = [
                me.clone(),
                entry("other", "b:1", SLOT, "other"),
                hold_of("h", "b:1", &id),
            ];
            assert_eq!(holder(1, &[&of_hold]), expected, "{id}");
        }
    }

    #[test]
    fn where_a_node_cannot_be_read_it_is_taken_for_ours() {
        let me = entry("me", "a:1", SLOT, "me");
        let foreign = entry("other", "b:1", SLOT, "other");
        assert_eq!(holder(2, &[std::slice::from_ref(&me)]), Holder::Ours);
        // Two addresses of one node are not two nodes.
        assert_eq!(
            holder(2, &[std::slice::from_ref(&me), std::slice::from_ref(&me)]),
            Holder::Ours
        );
        assert_eq!(holder(2, &[&[me], &[foreign]]), Holder::Foreign);
        let mut entries = Entries::of_nodes(0);
        entries.is_unread();
        assert_eq!(entries.holder(SLOT, HASH, Some("me")), Holder::Ours);
    }
}
