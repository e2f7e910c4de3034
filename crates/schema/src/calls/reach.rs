//! Finds what is reachable from a type, in time linear in the number of fields, however many types refer
//! to each other.

use std::collections::HashMap;
use std::hash::Hash;

use super::Subject;

/// How many subjects are kept for each type; whether there is any is always known.
const MOST: usize = 4;

/// For each type, the subjects of `having` that are in it or below it.
pub(super) fn reach<K: Clone + Eq + Hash>(
    having: Vec<(K, Subject)>,
    users: &HashMap<K, Vec<K>>,
) -> HashMap<K, Vec<Subject>> {
    let mut found: HashMap<K, Vec<Subject>> = HashMap::new();
    for (of, subject) in having {
        let mut open = vec![of];
        while let Some(of) = open.pop() {
            let known = found.entry(of.clone()).or_default();
            // A type that uses a full type has subjects of its own by now.
            if known.len() >= MOST || known.contains(&subject) {
                continue;
            }
            known.push(subject.clone());
            open.extend(users.get(&of).into_iter().flatten().cloned());
        }
    }
    found
}
