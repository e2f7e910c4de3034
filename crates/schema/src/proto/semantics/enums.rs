//! Checks aliases, and names of values that are equal without the enum's name.

use std::collections::{HashMap, HashSet};

use prost_reflect::prost_types::{EnumDescriptorProto, EnumOptions};

use super::{Faults, place};

pub(super) fn aliases(it: &EnumDescriptorProto, path: &[i32], faults: &mut Faults) {
    let numbers: HashSet<i32> = it
        .value
        .iter()
        .map(prost_reflect::prost_types::EnumValueDescriptorProto::number)
        .collect();
    let allows = it.options.as_ref().is_some_and(EnumOptions::allow_alias);
    if allows && numbers.len() == it.value.len() {
        let text = "`allow_alias` is set, and no value has an alias".to_owned();
        faults.add(path, &[3, 2], text);
    }
}

pub(super) fn names(it: &EnumDescriptorProto, path: &[i32], faults: &mut Faults) {
    let mut met: HashMap<String, (&str, i32)> = HashMap::new();
    for (index, value) in it.value.iter().enumerate() {
        let short = camel(without_prefix(value.name(), it.name()));
        let (name, number) = *met.entry(short).or_insert((value.name(), value.number()));
        // Aliases may share a name.
        if number != value.number() {
            let text = format!(
                "`{name}` and `{}` have one name once the enum's is left out and case is ignored",
                value.name()
            );
            faults.add(path, &[2, place(index)], text);
        }
    }
}

/// `FOO_BAR_A` of the enum `FooBar` becomes `A`; a name that would become empty stays as it is.
fn without_prefix<'a>(value: &'a str, enumeration: &str) -> &'a str {
    let mut rest = value;
    for wanted in enumeration.chars().filter(|c| *c != '_') {
        let mut chars = rest.trim_start_matches('_').chars();
        match chars.next() {
            Some(c) if c.eq_ignore_ascii_case(&wanted) => rest = chars.as_str(),
            _ => return value,
        }
    }
    match rest.trim_start_matches('_') {
        "" => value,
        rest => rest,
    }
}

fn camel(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(usize::from(!word.is_empty()));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    name.split('_').map(word).collect()
}
