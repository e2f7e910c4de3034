//! What can be reached from a type: in a time that grows with the number of fields, however many
//! types lead to each other.

use std::collections::HashMap;
use std::hash::Hash;

use super::Subject;

/// So many subjects are kept of each type; whether there is one is always known.
const MOST: usize = 4;

/// For each type what in it, or below it, has a property.
pub(super) fn reach<K: Clone + Eq + Hash>(
    having: Vec<(K, Subject)>,
    users: &HashMap<K, Vec<K>>,
) -> HashMap<K, Vec<Subject>> {
    let mut found: HashMap<K, Vec<Subject>> = HashMap::new();
    for (of, subject) in having {
        let mut open = vec![of];
        while let Some(of) = open.pop() {
            let known = found.entry(of.clone()).or_default();
            // Whoever uses a type that is full has subjects of its own by now.
            if known.len() >= MOST || known.contains(&subject) {
                continue;
            }
            known.push(subject.clone());
            open.extend(users.get(&of).into_iter().flatten().cloned());
        }
    }
    found
}
