//! Renames path parameters whose names are not GraphQL names: their names are never sent over HTTP.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{FreeNames, walk};
use crate::json::{Map, Value};
use crate::location::unescaped;
use crate::name::{is_name, suggest};
use crate::openapi::METHODS;
use crate::openapi::keywords::{decoded, path_item, target};

/// Longer names are left to the check.
const LONGEST_NAME: usize = 256;

/// How many bytes of paths are compared, where renaming could make two paths equal.
const MOST_COMPARED: usize = 64 << 20;

/// The new name of each renamed parameter.
type Renamed = BTreeMap<String, String>;

pub(super) fn rename(root: &mut Value) -> Vec<String> {
    let renamed = plan(root);
    if renamed.is_empty() {
        return Vec::new();
    }
    walk::objects_mut(root, &mut |object| {
        let new = path_parameter(object).and_then(|old| renamed.get(old));
        if let Some(new) = new.cloned() {
            object.insert("name".to_owned(), new.into());
        }
    });
    rename_paths(root, &renamed);
    let told = renamed.iter();
    told.map(|(old, new)| format!("the path parameter `{old}` became `{new}`"))
        .collect()
}

/// Chooses the new names, in a few walks for all of them.
fn plan(root: &Value) -> Renamed {
    let paths: Vec<(&str, &Value)> = paths(root).collect();
    let bad = |name: &&str| !is_name(name) && name.len() <= LONGEST_NAME;
    let names = paths.iter().flat_map(|(path, _)| template_names(path));
    let names: BTreeSet<&str> = names.filter(bad).collect();
    if names.is_empty() {
        return Renamed::new();
    }
    let seen = Seen::of(root, &names);
    let mut declared = HashSet::new();
    let mut fixed = seen.fixed;
    // The names that each path has, and the paths that have each name.
    let mut names_of: Vec<HashSet<&str>> = Vec::new();
    let mut paths_of: HashMap<&str, Vec<usize>> = HashMap::new();
    for (number, (path, item)) in paths.iter().enumerate() {
        let mut here: HashSet<&str> = template_names(path).collect();
        for name in here.iter().filter(|it| names.contains(*it)) {
            paths_of.entry(name).or_default().push(number);
        }
        for parameter in parameters(root, item) {
            if let Some(old) = parameter.as_object().and_then(path_parameter) {
                declared.insert(old);
                // Declared in a place that is not renamed, such as an example.
                if !seen.parameters.contains(&std::ptr::from_ref(parameter)) {
                    fixed.insert(old);
                }
            }
            here.extend(parameter.get("name").and_then(Value::as_str));
        }
        names_of.push(here);
    }
    let mut renamed = Renamed::new();
    let mut free = FreeNames::default();
    let mut twins = Twins::of(paths.iter().map(|it| it.0));
    let mut new_names_of: Vec<HashSet<String>> = vec![HashSet::new(); paths.len()];
    for old in names {
        // The check accepts a template without its parameter.
        let having = paths_of.get(old).map(Vec::as_slice).unwrap_or_default();
        if !declared.contains(old) || fixed.contains(old) || !twins.has_fuel() {
            continue;
        }
        let new = free.find(&suggest(old), |new| {
            // Without fuel the search ends with whatever name it tries.
            if !twins.burn(having.len()) {
                return true;
            }
            let is_taken =
                |it: &usize| names_of[*it].contains(new) || new_names_of[*it].contains(new);
            !having.iter().any(is_taken) && !twins.makes_equal(having, old, new)
        });
        if !twins.has_fuel() {
            break;
        }
        for it in having {
            new_names_of[*it].insert(new.clone());
        }
        twins.rename(having, old, &new);
        renamed.insert(old.to_owned(), new);
    }
    renamed
}

fn paths(root: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let paths = root.get("paths").and_then(Value::as_object);
    let paths = paths.into_iter().flatten();
    paths.map(move |(path, item)| (path.as_str(), path_item(root, path, item).0))
}

/// The names in braces.
fn template_names(path: &str) -> impl Iterator<Item = &str> {
    let parts = path.split('{').skip(1);
    parts.filter_map(|part| Some(part.split_once('}')?.0))
}

/// A path with the names in braces replaced.
fn with_names<'a>(path: &str, new: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut parts = path.split('{');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('{');
        let found = part.split_once('}');
        match found.and_then(|(old, rest)| Some((new(old)?, rest))) {
            Some((new, rest)) => {
                out.push_str(new);
                out.push('}');
                out.push_str(rest);
            }
            None => out.push_str(part),
        }
    }
    out
}

/// The name of a path parameter.
fn path_parameter(parameter: &Map) -> Option<&str> {
    let text = |key: &str| parameter.get(key).and_then(Value::as_str);
    text("name").filter(|_| text("in") == Some("path"))
}

/// The names found by a walk through the whole document.
struct Seen<'a> {
    /// Names that are used beyond template and parameter: as part of the URL, or in links, runtime
    /// expressions or templates that are not renamed here.
    fixed: HashSet<&'a str>,
    /// The parameters that are renamed.
    parameters: HashSet<*const Value>,
}

impl<'a> Seen<'a> {
    fn of(root: &'a Value, names: &BTreeSet<&'a str>) -> Self {
        let mut fixed = HashSet::new();
        let mut parameters = HashSet::new();
        let fix = |fixed: &mut HashSet<&'a str>, name: &str| fixed.extend(names.get(name));
        each_text(root, &mut |text| {
            for part in text.split("$request.path.").skip(1) {
                let ends = part.char_indices().map(|(at, c)| at + c.len_utf8());
                for end in ends.take_while(|it| *it <= LONGEST_NAME) {
                    fix(&mut fixed, &part[..end]);
                }
            }
        });
        walk::values(root, &mut |value, object| {
            if let Some(name) = path_parameter(object) {
                parameters.insert(std::ptr::from_ref(value));
                let style = object.get("style").and_then(Value::as_str);
                if matches!(style, Some("matrix" | "label")) {
                    fix(&mut fixed, name);
                }
            }
            let links = object.get("links").and_then(Value::as_object);
            for (_, link) in links.into_iter().flatten() {
                let parameters = link.get("parameters").and_then(Value::as_object);
                for (key, _) in parameters.into_iter().flatten() {
                    fix(&mut fixed, key);
                    fix(&mut fixed, key.strip_prefix("path.").unwrap_or(key));
                }
            }
        });
        walk::topmost(
            root,
            &["callbacks", "webhooks", "pathItems"],
            &mut |value| {
                each_text(value, &mut |text| {
                    template_names(text).for_each(|name| fix(&mut fixed, name));
                });
            },
        );
        Self { fixed, parameters }
    }
}

/// Visits every key and string.
fn each_text<'a>(value: &'a Value, visit: &mut impl FnMut(&'a str)) {
    match value {
        Value::String(it) => visit(it),
        Value::Array(items) => items.iter().for_each(|it| each_text(it, visit)),
        Value::Object(entries) => {
            for (key, it) in entries {
                visit(key);
                each_text(it, visit);
            }
        }
        _ => {}
    }
}

/// The parameters of a path and of its operations.
fn parameters<'a>(root: &'a Value, item: &'a Value) -> impl Iterator<Item = &'a Value> {
    let operations = METHODS.iter().filter_map(|method| item.get(method));
    std::iter::once(item)
        .chain(operations)
        .filter_map(|holder| holder.get("parameters")?.as_array())
        .flatten()
        .map(|parameter| {
            let reference = parameter.get("$ref").and_then(Value::as_str);
            let found = reference.and_then(|it| target(root, it));
            found.map_or(parameter, |(parameter, _)| parameter)
        })
}

/// Paths that differ in the names of their parameters only: renaming could make them equal.
struct Twins {
    /// Each path, and the group of such paths that it is in, if any.
    paths: Vec<(String, Option<usize>)>,
    groups: Vec<Vec<usize>>,
    fuel: std::cell::Cell<usize>,
}

impl Twins {
    fn of<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let paths: Vec<&str> = paths.collect();
        let mut by_shape: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, path) in paths.iter().enumerate() {
            let shape = with_names(path, |_| Some(""));
            by_shape.entry(shape).or_default().push(number);
        }
        let mut group_of = vec![None; paths.len()];
        let groups: Vec<_> = by_shape.into_values().filter(|it| it.len() > 1).collect();
        for (group, members) in groups.iter().enumerate() {
            for it in members {
                group_of[*it] = Some(group);
            }
        }
        let paths = paths.into_iter().zip(group_of);
        // Only these need their text.
        let text = |path: &str, group: Option<usize>| group.map(|_| path.to_owned());
        Self {
            paths: paths
                .map(|(path, group)| (text(path, group).unwrap_or_default(), group))
                .collect(),
            groups,
            fuel: std::cell::Cell::new(MOST_COMPARED),
        }
    }

    fn has_fuel(&self) -> bool {
        self.fuel.get() > 0
    }

    /// Whether fuel is left.
    fn burn(&self, bytes: usize) -> bool {
        self.fuel.set(self.fuel.get().saturating_sub(bytes));
        self.has_fuel()
    }

    /// Also if there is no fuel to compare the paths.
    fn makes_equal(&self, having: &[usize], old: &str, new: &str) -> bool {
        let groups = having.iter().filter_map(|it| self.paths[*it].1);
        let groups: BTreeSet<usize> = groups.collect();
        groups.into_iter().any(|group| {
            let mut seen = HashSet::new();
            !self.groups[group].iter().all(|it| {
                let path = &self.paths[*it].0;
                let path = self.burn(path.len()).then_some(path);
                let renamed = |path| with_names(path, |name| (name == old).then_some(new));
                path.is_some_and(|path| seen.insert(renamed(path)))
            })
        })
    }

    fn rename(&mut self, having: &[usize], old: &str, new: &str) {
        for it in having {
            let (path, group) = &mut self.paths[*it];
            if group.is_some() {
                *path = with_names(path, |name| (name == old).then_some(new));
            }
        }
    }
}

fn rename_paths(root: &mut Value, renamed: &Renamed) {
    let new = |old: &str| renamed.get(old).map(String::as_str);
    if let Some(Value::Object(paths)) = root.get_mut("paths") {
        let entries = std::mem::take(paths).into_iter();
        *paths = entries
            .map(|(path, item)| (with_names(&path, new), item))
            .collect();
    }
    // References may lead through paths, too.
    walk::references_mut(root, &|reference| {
        let fragment = reference.strip_prefix('#')?;
        let plain = decoded(fragment).unwrap_or_else(|| fragment.to_owned());
        if !plain.starts_with("/paths/") {
            return None;
        }
        let renamed = with_names(&plain, |name| new(&unescaped(name)));
        (renamed != plain).then(|| format!("#{renamed}"))
    });
}
