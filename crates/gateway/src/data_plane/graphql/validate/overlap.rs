//! Fields of one name in a selection: they must be the same field, with the same arguments.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::document::{Field, Selection, print_value};
use super::super::types::{self, Named};
use super::Rules;

/// The most that is compared, in fields that are looked at: with many of one name, each is compared
/// with each, and so is what is in them.
const MAX_WORK: usize = 1_000_000;

/// Bytes of arguments that are as much work as a field.
const BYTES: usize = 16;

pub(super) const TOO_MUCH: &str =
    "The document has too many fields of one name for the embedded gateway.";

impl<'a> Rules<'a> {
    pub(super) fn overlapping(&mut self, of: Named<'a>, selections: &'a [Selection]) {
        if self.is_exhausted() {
            return;
        }
        let fields = self.gathered(of, selections);
        let groups = by_key(&fields);
        for (n, first) in fields.iter().enumerate() {
            let group = of_key(&groups, first);
            for at in &group[group.partition_point(|at| *at <= n)..] {
                if self.is_exhausted() {
                    return;
                }
                let second = &fields[*at];
                if let Some((why, mut places, others)) = self.conflict(first, second) {
                    places.push(first.1.at);
                    let (mut all, mut rest) = (vec![first.1.at], vec![second.1.at]);
                    all.extend(places.into_iter().filter(|at| *at != first.1.at));
                    rest.extend(others);
                    all.extend(rest);
                    let text = format!(
                        "Fields \"{}\" conflict because {why}. Use different aliases on the fields to fetch \
                         both if this was intentional.",
                        first.1.key()
                    );
                    self.wrong(text, &all);
                }
            }
        }
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.work > MAX_WORK
    }

    fn gathered(
        &mut self,
        of: Named<'a>,
        selections: &'a [Selection],
    ) -> Vec<(Named<'a>, &'a Field)> {
        let mut fields = Vec::new();
        self.gather(of, selections, &mut fields, &mut HashSet::new());
        self.work += fields.len();
        fields
    }

    fn gather(
        &self,
        of: Named<'a>,
        selections: &'a [Selection],
        out: &mut Vec<(Named<'a>, &'a Field)>,
        seen: &mut HashSet<&'a str>,
    ) {
        for it in selections {
            match it {
                Selection::Field(field) => out.push((of, field)),
                Selection::Inline { on, selections, .. } => {
                    let inner = match on {
                        None => Some(of),
                        Some(on) => types::named(self.schema, &on.text),
                    };
                    if let Some(inner) = inner {
                        self.gather(inner, selections, out, seen);
                    }
                }
                Selection::Spread { name, .. } => {
                    if let Some(fragment) = self.document.fragment(&name.text)
                        && seen.insert(&name.text)
                        && let Some(on) = types::named(self.schema, &fragment.on.text)
                    {
                        self.gather(on, &fragment.selections, out, seen);
                    }
                }
            }
        }
    }

    /// Why two fields of one name conflict, and the positions of the fields on either side.
    fn conflict(
        &mut self,
        (of, one): &(Named<'a>, &'a Field),
        (other_of, other): &(Named<'a>, &'a Field),
    ) -> Option<(String, Vec<usize>, Vec<usize>)> {
        self.work += 1;
        if self.is_exhausted() || std::ptr::eq(*one, *other) {
            return None;
        }
        let is_exclusive = of.name() != other_of.name() && of.is_object() && other_of.is_object();
        if !is_exclusive {
            if one.name != other.name {
                let why = format!("{} and {} are different fields", one.name, other.name);
                return Some((why, Vec::new(), Vec::new()));
            }
            let shown = |field: &Field| {
                let all = field.arguments.iter();
                all.map(|it| (it.name.text.clone(), print_value(&it.value.value)))
                    .collect::<BTreeSet<_>>()
            };
            let (ones, others) = (shown(one), shown(other));
            let texts = ones.iter().chain(&others);
            let bytes: usize = texts.map(|(name, value)| name.len() + value.len()).sum();
            self.work += bytes / BYTES;
            if ones != others {
                return Some((
                    "they have differing arguments".to_owned(),
                    Vec::new(),
                    Vec::new(),
                ));
            }
        }
        let first = types::field(self.schema, *of, &one.name)?;
        let second = types::field(self.schema, *other_of, &other.name)?;
        let shapes = (
            first.of.is_list,
            first.of.non_null,
            first.of.named.is_composite(),
        );
        let is_alike = shapes
            == (
                second.of.is_list,
                second.of.non_null,
                second.of.named.is_composite(),
            );
        if !is_alike || (!shapes.2 && first.of.named.name() != second.of.named.name()) {
            let why = format!(
                "they return conflicting types {} and {}",
                first.of.show(),
                second.of.show()
            );
            return Some((why, Vec::new(), Vec::new()));
        }
        let left = self.gathered(first.of.named, one.inner());
        let right = self.gathered(second.of.named, other.inner());
        let (mut whys, mut places, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let groups = by_key(&right);
        'all: for a in &left {
            for at in of_key(&groups, a) {
                if self.is_exhausted() {
                    break 'all;
                }
                let b = &right[*at];
                if let Some((why, more, most)) = self.conflict(a, b) {
                    self.work += why.len() / BYTES + more.len() + most.len();
                    whys.push(format!(
                        "subfields \"{}\" conflict because {why}",
                        a.1.key()
                    ));
                    places.push(a.1.at);
                    places.extend(more);
                    others.push(b.1.at);
                    others.extend(most);
                }
            }
        }
        (!whys.is_empty()).then(|| (whys.join(" and "), places, others))
    }
}

/// The indices of the fields of each key.
fn by_key<'a>(fields: &[(Named<'a>, &'a Field)]) -> HashMap<&'a str, Vec<usize>> {
    let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, (_, field)) in fields.iter().enumerate() {
        groups.entry(field.key()).or_default().push(at);
    }
    groups
}

fn of_key<'g>(groups: &'g HashMap<&str, Vec<usize>>, of: &(Named<'_>, &Field)) -> &'g [usize] {
    groups
        .get(of.1.key())
        .map(Vec::as_slice)
        .unwrap_or_default()
}
