//! Changes for HTTP callers: paths, parameters, bodies and responses.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::json::Value;

use super::{Change, Changes, Level, Protocol, Side};
use crate::location::{Location, step};
use crate::openapi::keywords::{followed, path_item};
use crate::openapi::{METHODS, keywords};

/// Schemas below this depth are not compared.
const MAX_DEPTH: usize = 64;

pub(super) fn compare(service: &str, old: &Value, new: &Value, changes: &mut Changes<'_>) {
    let mut comparison = Comparison {
        service,
        old,
        new,
        changes,
        seen: HashSet::new(),
    };
    let (were, are) = (operations(old), operations(new));
    for (name, was) in &were {
        match are.get(name) {
            Some(is) => comparison.operations(&was.shown, was, is),
            None => {
                let told = comparison.then(&was.at);
                comparison.tell(
                    Level::Breaking,
                    &was.shown,
                    "the operation was removed",
                    told,
                );
            }
        }
    }
    for (_, is) in are.iter().filter(|(name, _)| !were.contains_key(*name)) {
        let told = comparison.there(&is.at);
        comparison.tell(Level::Safe, &is.shown, "the operation is new", told);
    }
}

/// A value of a document, and its JSON pointer.
#[derive(Clone)]
struct At<'a> {
    value: &'a Value,
    pointer: String,
}

struct Operation<'a> {
    /// `GET /pets/{id}`.
    shown: String,
    at: At<'a>,
    /// Of the path and of the operation, by location and name.
    parameters: BTreeMap<(String, String), At<'a>>,
}

/// Requests and responses are judged differently.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Direction {
    Request,
    Response,
}

fn get<'a>(at: &At<'a>, key: &str) -> Option<At<'a>> {
    Some(At {
        value: at.value.get(key).filter(|it| !it.is_null())?,
        pointer: step(&at.pointer, key),
    })
}

fn entries<'a>(at: Option<&At<'a>>) -> BTreeMap<&'a str, At<'a>> {
    let object = at.and_then(|at| Some((at, at.value.as_object()?)));
    let entries = object.into_iter().flat_map(|(at, object)| {
        object.iter().map(|(key, value)| {
            let pointer = step(&at.pointer, key);
            (key.as_str(), At { value, pointer })
        })
    });
    entries.collect()
}

fn follow<'a>(root: &'a Value, at: At<'a>) -> At<'a> {
    match followed(root, at.value) {
        Some((value, pointer)) => At { value, pointer },
        None => at,
    }
}

/// The items of a list.
fn items<'a>(at: &At<'a>, key: &str) -> Vec<At<'a>> {
    let items = at.value.get(key).and_then(Value::as_array);
    let pointer = step(&at.pointer, key);
    let items = items.into_iter().flatten().enumerate();
    let item = |(number, value)| At {
        value,
        pointer: format!("{pointer}/{number}"),
    };
    items.map(item).collect()
}

/// Every operation, by method and path; the names of path parameters do not matter.
fn operations(root: &Value) -> BTreeMap<String, Operation<'_>> {
    let mut operations = BTreeMap::new();
    let paths = root.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        let (item, pointer) = path_item(root, path, item);
        let item = At {
            value: item,
            pointer,
        };
        let names = path_names(path);
        for method in METHODS {
            let Some(at) = get(&item, method) else {
                continue;
            };
            let mut parameters = BTreeMap::new();
            for holder in [&item, &at] {
                for parameter in items(holder, "parameters") {
                    let parameter = follow(root, parameter);
                    let text = |key: &str| {
                        let text = parameter.value.get(key).and_then(Value::as_str);
                        text.unwrap_or_default().to_owned()
                    };
                    let (location, mut name) = (text("in"), text("name"));
                    if location == "path" {
                        let number = names.iter().position(|it| *it == name);
                        name = number.map_or(name, |number| format!("no. {}", number + 1));
                    } else if location == "header" {
                        name.make_ascii_lowercase();
                    }
                    parameters.insert((location, name), parameter);
                }
            }
            let method = method.to_ascii_uppercase();
            let mut plain = path.clone();
            for name in &names {
                plain = plain.replacen(&format!("{{{name}}}"), "{}", 1);
            }
            let operation = Operation {
                shown: format!("{method} {path}"),
                at,
                parameters,
            };
            operations.insert(format!("{method} {plain}"), operation);
        }
    }
    operations
}

/// The names in braces.
fn path_names(path: &str) -> Vec<&str> {
    let parts = path.split('{').skip(1);
    parts.filter_map(|it| Some(it.split_once('}')?.0)).collect()
}

/// Two schemas to compare.
struct Pair<'d> {
    /// The part of the operation, as changes call it.
    shown: String,
    was: At<'d>,
    is: At<'d>,
    direction: Direction,
    depth: usize,
}

impl<'d> Pair<'d> {
    fn new(shown: &str, was: At<'d>, is: At<'d>, direction: Direction) -> Self {
        let (shown, depth) = (shown.to_owned(), 0);
        Self {
            shown,
            was,
            is,
            direction,
            depth,
        }
    }

    /// Two schemas inside these.
    fn inner(&self, shown: &str, was: At<'d>, is: At<'d>) -> Self {
        Self {
            depth: self.depth + 1,
            ..Self::new(shown, was, is, self.direction)
        }
    }
}

struct Comparison<'c, 'a, 'd> {
    service: &'c str,
    old: &'d Value,
    new: &'d Value,
    changes: &'c mut Changes<'a>,
    /// Pairs of components already compared.
    seen: HashSet<(String, String, Direction)>,
}

type Told = (Side, Location);

impl<'d> Comparison<'_, '_, 'd> {
    fn tell(&mut self, level: Level, subject: &str, message: impl Into<String>, location: Told) {
        let change = Change {
            level,
            protocol: Protocol::Http,
            subject: subject.to_owned(),
            message: message.into(),
            file: None,
            line: None,
        };
        self.changes.add_of(self.service, change, Some(location));
    }

    /// Adds a change of a schema that is still there.
    fn changed(&mut self, pair: &Pair<'d>, level: Level, message: impl Into<String>) {
        let told = self.there(&pair.is);
        self.tell(level, &pair.shown, message, told);
    }

    fn there(&self, at: &At<'_>) -> Told {
        (Side::New, Location::in_document(at.pointer.clone()))
    }

    fn then(&self, at: &At<'_>) -> Told {
        (Side::Old, Location::in_document(at.pointer.clone()))
    }

    fn operations(&mut self, subject: &str, was: &Operation<'d>, is: &Operation<'d>) {
        for (key, before) in &was.parameters {
            let shown = format!("{subject}: {} parameter {}", key.0, key.1);
            match is.parameters.get(key) {
                Some(after) => {
                    let told = self.there(after);
                    match (is_true(before, "required"), is_true(after, "required")) {
                        (false, true) => {
                            self.tell(Level::Breaking, &shown, "it is now required", told);
                        }
                        (true, false) => {
                            self.tell(Level::Safe, &shown, "it is no longer required", told);
                        }
                        _ => {}
                    }
                    if let (Some(was), Some(is)) = (get(before, "schema"), get(after, "schema")) {
                        self.schemas(Pair::new(&shown, was, is, Direction::Request));
                    }
                }
                None => {
                    let told = self.then(before);
                    let message = "it was removed: what callers send is ignored, or refused";
                    self.tell(Level::Dangerous, &shown, message, told);
                }
            }
        }
        for (key, after) in &is.parameters {
            if !was.parameters.contains_key(key) {
                let shown = format!("{subject}: {} parameter {}", key.0, key.1);
                let told = self.there(after);
                match is_true(after, "required") {
                    true => self.tell(Level::Breaking, &shown, "it is new and required", told),
                    false => self.tell(Level::Safe, &shown, "it is new", told),
                }
            }
        }
        self.bodies(subject, was, is);
        self.responses(subject, was, is);
    }

    fn bodies(&mut self, subject: &str, was: &Operation<'d>, is: &Operation<'d>) {
        let shown = format!("{subject}: body");
        let before = get(&was.at, "requestBody").map(|it| follow(self.old, it));
        let after = get(&is.at, "requestBody").map(|it| follow(self.new, it));
        match (before, after) {
            (None, Some(after)) => {
                let told = self.there(&after);
                match is_true(&after, "required") {
                    true => self.tell(Level::Breaking, &shown, "it is new and required", told),
                    false => self.tell(Level::Safe, &shown, "it is new", told),
                }
            }
            (Some(before), None) => {
                let told = self.then(&before);
                self.tell(Level::Dangerous, &shown, "it is gone", told);
            }
            (Some(before), Some(after)) => {
                if !is_true(&before, "required") && is_true(&after, "required") {
                    let told = self.there(&after);
                    self.tell(Level::Breaking, &shown, "it is now required", told);
                }
                self.contents(&shown, &before, &after, Direction::Request);
            }
            (None, None) => {}
        }
    }

    fn responses(&mut self, subject: &str, was: &Operation<'d>, is: &Operation<'d>) {
        let (before, after) = (get(&was.at, "responses"), get(&is.at, "responses"));
        let (before, after) = (entries(before.as_ref()), entries(after.as_ref()));
        for (status, was) in &before {
            let shown = format!("{subject}: response {status}");
            match after.get(status) {
                Some(is) => {
                    let was = follow(self.old, was.clone());
                    let is = follow(self.new, is.clone());
                    self.contents(&shown, &was, &is, Direction::Response);
                }
                None => {
                    let told = self.then(was);
                    let level = match status.starts_with('2') {
                        true => Level::Breaking,
                        false => Level::Dangerous,
                    };
                    self.tell(level, &shown, "it is gone", told);
                }
            }
        }
        for (status, is) in after
            .iter()
            .filter(|(status, _)| !before.contains_key(*status))
        {
            let told = self.there(is);
            let level = match status.starts_with('2') {
                true => Level::Dangerous,
                false => Level::Safe,
            };
            self.tell(
                level,
                &format!("{subject}: response {status}"),
                "it is new",
                told,
            );
        }
    }

    fn contents(&mut self, shown: &str, was: &At<'d>, is: &At<'d>, direction: Direction) {
        let (before, after) = (get(was, "content"), get(is, "content"));
        let (before, after) = (entries(before.as_ref()), entries(after.as_ref()));
        for (media, was) in &before {
            let Some(is) = after.get(media) else {
                let told = self.then(was);
                self.tell(
                    Level::Breaking,
                    shown,
                    format!("`{media}` was removed"),
                    told,
                );
                continue;
            };
            if let (Some(was), Some(is)) = (get(was, "schema"), get(is, "schema")) {
                self.schemas(Pair::new(shown, was, is, direction));
            }
        }
        for (media, is) in after
            .iter()
            .filter(|(media, _)| !before.contains_key(*media))
        {
            let told = self.there(is);
            self.tell(Level::Safe, shown, format!("`{media}` is new"), told);
        }
    }

    fn schemas(&mut self, mut pair: Pair<'d>) {
        pair.was = follow(self.old, pair.was);
        pair.is = follow(self.new, pair.is);
        let pointers = (pair.was.pointer.clone(), pair.is.pointer.clone());
        let key = (pointers.0, pointers.1, pair.direction);
        if pair.depth > MAX_DEPTH || !self.seen.insert(key) {
            return;
        }
        self.kinds(&pair);
        self.listed(&pair);
        self.limits(&pair);
        self.properties(&pair);
        if let (Some(was), Some(is)) = (get(&pair.was, "items"), get(&pair.is, "items")) {
            self.schemas(pair.inner(&format!("{}[]", pair.shown), was, is));
        }
        for key in ["oneOf", "anyOf", "allOf"] {
            self.combined(&pair, key);
        }
    }

    /// The schemas of `oneOf`, `anyOf` or `allOf`.
    fn combined(&mut self, pair: &Pair<'d>, key: &str) {
        let (before, after) = (items(&pair.was, key), items(&pair.is, key));
        let (count, now) = (before.len(), after.len());
        for (was, is) in before.into_iter().zip(after) {
            self.schemas(pair.inner(&pair.shown, was, is));
        }
        if count != now {
            let level = match (pair.direction, key, now > count) {
                (_, "allOf", _) => Level::Breaking,
                (Direction::Request, _, true) | (Direction::Response, _, false) => Level::Safe,
                (Direction::Request, _, false) => Level::Breaking,
                (Direction::Response, _, true) => Level::Dangerous,
            };
            let message = format!("`{key}` had {count} and has {now}");
            self.changed(pair, level, message);
        }
    }

    /// Types and nullability.
    fn kinds(&mut self, pair: &Pair<'d>) {
        let (was, is, direction) = (&pair.was, &pair.is, pair.direction);
        let (before, after) = (kinds(was), kinds(is));
        if before != after {
            let widens = |from: &BTreeSet<&str>, to: &BTreeSet<&str>| {
                let has = |kind: &&str| {
                    let kind: &str = kind;
                    to.contains(kind) || (kind == "integer" && to.contains("number"))
                };
                to.is_empty() || (!from.is_empty() && from.iter().all(has))
            };
            let is_fine = match direction {
                Direction::Request => widens(&before, &after),
                Direction::Response => widens(&after, &before),
            };
            let level = if is_fine {
                Level::Safe
            } else {
                Level::Breaking
            };
            let text = |it: &BTreeSet<&str>| match it.is_empty() {
                true => "anything".to_owned(),
                false => it.iter().copied().collect::<Vec<_>>().join(" or "),
            };
            let message = format!("the type was {} and is {}", text(&before), text(&after));
            self.changed(pair, level, message);
        }
        let (before, after) = (is_nullable(was), is_nullable(is));
        if before != after {
            let level = match (direction, after) {
                (Direction::Request, true) | (Direction::Response, false) => Level::Safe,
                _ => Level::Breaking,
            };
            let message = if after {
                "it can now be null"
            } else {
                "it can no longer be null"
            };
            self.changed(pair, level, message);
        }
        let format = |at: &At<'d>| at.value.get("format").and_then(Value::as_str);
        if before == after && kinds(was) == kinds(is) && format(was) != format(is) {
            let text = |it: Option<&str>| it.unwrap_or("none").to_owned();
            let message = format!(
                "the format was {} and is {}",
                text(format(was)),
                text(format(is))
            );
            let level = match (direction, format(is)) {
                (Direction::Request, None) => Level::Safe,
                _ => Level::Dangerous,
            };
            self.changed(pair, level, message);
        }
    }

    /// Values of enums.
    fn listed(&mut self, pair: &Pair<'d>) {
        let (was, is, direction) = (&pair.was, &pair.is, pair.direction);
        let values = |at: &At<'d>| -> Option<BTreeSet<String>> {
            let values = at.value.get("enum")?.as_array()?;
            Some(values.iter().map(Value::to_string).collect())
        };
        match (values(was), values(is)) {
            (Some(before), Some(after)) => {
                for value in before.difference(&after) {
                    let level = match direction {
                        Direction::Request => Level::Breaking,
                        Direction::Response => Level::Safe,
                    };
                    self.changed(pair, level, format!("the value {value} was removed"));
                }
                for value in after.difference(&before) {
                    let level = match direction {
                        Direction::Request => Level::Safe,
                        Direction::Response => Level::Dangerous,
                    };
                    self.changed(pair, level, format!("the value {value} is new"));
                }
            }
            (None, Some(_)) if direction == Direction::Request => {
                let message = "only listed values are now allowed";
                self.changed(pair, Level::Breaking, message);
            }
            (Some(_), None) if direction == Direction::Response => {
                let message = "values other than the listed ones are now possible";
                self.changed(pair, Level::Dangerous, message);
            }
            _ => {}
        }
    }

    /// Limits of numbers, strings and lists.
    fn limits(&mut self, pair: &Pair<'d>) {
        let (was, is, direction) = (&pair.was, &pair.is, pair.direction);
        if direction == Direction::Response {
            return;
        }
        for (key, is_upper) in [
            ("maximum", true),
            ("maxLength", true),
            ("maxItems", true),
            ("minimum", false),
            ("minLength", false),
            ("minItems", false),
        ] {
            let number = |at: &At<'d>| at.value.get(key).and_then(Value::as_f64);
            let is_tighter = match (number(was), number(is)) {
                (None, Some(_)) => true,
                (Some(before), Some(after)) if is_upper => after < before,
                (Some(before), Some(after)) => after > before,
                _ => false,
            };
            if is_tighter {
                let message = format!("`{key}` allows less than before");
                self.changed(pair, Level::Breaking, message);
            }
        }
        let pattern = |at: &At<'d>| at.value.get("pattern").and_then(Value::as_str);
        if pattern(is).is_some() && pattern(was) != pattern(is) {
            self.changed(pair, Level::Breaking, "`pattern` changed");
        }
    }

    fn properties(&mut self, pair: &Pair<'d>) {
        let (was, is, direction) = (&pair.was, &pair.is, pair.direction);
        let shown = &pair.shown;
        let (before, after) = (get(was, "properties"), get(is, "properties"));
        let (before, after) = (entries(before.as_ref()), entries(after.as_ref()));
        let (required_before, required_after) = (required(was), required(is));
        for (name, was) in &before {
            let shown = format!("{shown}.{name}");
            let Some(is) = after.get(name) else {
                let level = match (direction, required_before.contains(name)) {
                    (Direction::Response, true) => Level::Breaking,
                    _ => Level::Dangerous,
                };
                let told = self.then(was);
                self.tell(level, &shown, "the property was removed", told);
                continue;
            };
            let told = self.there(is);
            match (
                required_before.contains(name),
                required_after.contains(name),
            ) {
                (false, true) => {
                    let level = match direction {
                        Direction::Request => Level::Breaking,
                        Direction::Response => Level::Safe,
                    };
                    self.tell(level, &shown, "the property is now required", told);
                }
                (true, false) => {
                    let level = match direction {
                        Direction::Request => Level::Safe,
                        Direction::Response => Level::Breaking,
                    };
                    self.tell(level, &shown, "the property is no longer required", told);
                }
                _ => {}
            }
            self.schemas(pair.inner(&shown, was.clone(), is.clone()));
        }
        for (name, is) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
            let shown = format!("{shown}.{name}");
            let told = self.there(is);
            let is_demanded = direction == Direction::Request && required_after.contains(name);
            match is_demanded {
                true => self.tell(
                    Level::Breaking,
                    &shown,
                    "the property is new and required",
                    told,
                ),
                false => self.tell(Level::Safe, &shown, "the property is new", told),
            }
        }
    }
}

fn is_true(at: &At<'_>, key: &str) -> bool {
    at.value.get(key) == Some(&Value::Bool(true))
}

fn kinds<'a>(at: &At<'a>) -> BTreeSet<&'a str> {
    keywords::types(at.value)
        .filter(|it| *it != "null")
        .collect()
}

fn is_nullable(at: &At<'_>) -> bool {
    let names = at.value.get("type").and_then(Value::as_array);
    is_true(at, "nullable") || names.is_some_and(|it| it.iter().any(|it| it == "null"))
}

fn required<'a>(at: &At<'a>) -> BTreeSet<&'a str> {
    keywords::required(at.value).collect()
}
