//! References: their targets, how gateways read them, and their siblings.

use std::collections::HashMap;

use super::kinds::{Kind, Shape};
use super::{Group, Item, Stage, Walk};
use crate::finding::Rule;
use crate::json::{Map, Value};
use crate::location::{Pointer, unescaped};
use crate::openapi::Fault;
use crate::openapi::keywords::decoded;

/// The target of a reference.
#[derive(Clone, Debug)]
pub(super) struct Target<'a> {
    pub(super) value: &'a Value,
    pub(super) pointer: Pointer,
    pub(super) read_as: ReadAs,
    /// Whether gateways check the target anyway.
    pub(super) is_judged: bool,
}

/// The kind as which gateways read a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadAs {
    Of(Kind),
    /// User data or an extension: it is read as the kind that the reference expects.
    Free,
    /// The document itself, which cannot be referred to.
    Root,
    /// A place that cannot be referred to.
    Nothing,
}

/// A cache of targets.
#[derive(Debug)]
pub(super) struct Targets<'a> {
    root: &'a Value,
    known: HashMap<&'a str, Option<Target<'a>>>,
    /// Whether a reference is part of a cycle.
    circles: HashMap<&'a str, bool>,
}

/// How many references are followed on the way to one target.
const MOST_HOPS: usize = 16;

// === impl Targets ===

impl<'a> Targets<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self {
            root,
            known: HashMap::new(),
            circles: HashMap::new(),
        }
    }

    /// The target of a reference into the document; `None` if there is none.
    pub(super) fn of(&mut self, reference: &'a str) -> Option<&Target<'a>> {
        let root = self.root;
        let found = self.known.entry(reference);
        found.or_insert_with(|| find(root, reference)).as_ref()
    }

    /// The value after following all references, which may form a cycle.
    pub(super) fn resolved(&mut self, value: &'a Value) -> Option<&'a Value> {
        let mut value = value;
        for _ in 0..MOST_HOPS {
            let Some(reference) = reference_of(value) else {
                return Some(value);
            };
            value = self.of(reference)?.value;
        }
        None
    }

    /// Whether the chain of references never ends.
    pub(super) fn is_circle(&mut self, reference: &'a str) -> bool {
        let mut way = Vec::new();
        let mut next = Some(reference);
        let mut is_circle = false;
        while let Some(reference) = next {
            if let Some(known) = self.circles.get(reference) {
                is_circle = *known;
                break;
            }
            // Seeing it again before it is known to end means a cycle.
            self.circles.insert(reference, true);
            way.push(reference);
            next = self.of(reference).and_then(|it| reference_of(it.value));
        }
        if !is_circle {
            self.circles.extend(way.into_iter().map(|it| (it, false)));
        }
        is_circle
    }
}

/// The reference, if the object is one.
pub(super) fn reference_of(value: &Value) -> Option<&str> {
    let reference = value.get("$ref").and_then(Value::as_str);
    reference.filter(|it| !it.is_empty())
}

fn find<'a>(root: &'a Value, reference: &str) -> Option<Target<'a>> {
    let mut parts = parts(reference)?;
    let mut found = Target {
        value: root,
        pointer: Pointer::default(),
        read_as: ReadAs::Root,
        is_judged: true,
    };
    let mut shape = Shape::One(Kind::Root);
    let mut hops = 0;
    while let Some(part) = parts.pop() {
        if let Shape::One(kind) = shape
            && kind.can_be_reference()
            && let Some(reference) = reference_of(found.value)
        {
            // A reference on the way: continues at its target with the rest of this one.
            hops += 1;
            if hops > MOST_HOPS {
                return None;
            }
            parts.push(part);
            parts.extend(self::parts(reference)?);
            found.value = root;
            found.pointer = Pointer::default();
            found.is_judged = true;
            shape = Shape::One(Kind::Root);
            continue;
        }
        let (next, judged) = inner(shape, found.value, &part)?;
        found.is_judged &= judged;
        found.value = entry(found.value, &part)?;
        found.pointer = found.pointer.key(&part);
        shape = next;
    }
    found.read_as = match shape {
        Shape::One(Kind::Root) => ReadAs::Root,
        Shape::One(kind) => ReadAs::Of(kind),
        Shape::FlagOr(kind) if found.value.is_object() => ReadAs::Of(kind),
        Shape::Any if found.value.is_object() => ReadAs::Free,
        _ => ReadAs::Nothing,
    };
    (!found.value.is_null()).then_some(found)
}

/// The steps of a reference in reverse order.
fn parts(reference: &str) -> Option<Vec<String>> {
    let fragment = decoded(reference.strip_prefix('#')?)?;
    if fragment.is_empty() || fragment == "/" {
        return Some(Vec::new());
    }
    let parts = fragment.strip_prefix('/')?.split('/').rev();
    let parts = parts.map(|part| unescaped(part).into_owned());
    Some(parts.collect())
}

fn entry<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    match value {
        Value::Object(entries) => entries.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The shape one step deeper, and whether gateways check it.
fn inner(shape: Shape, value: &Value, part: &str) -> Option<(Shape, bool)> {
    let kind = match shape {
        Shape::Any | Shape::AnyList | Shape::AnyMap => return Some((Shape::Any, false)),
        Shape::Many(kind) | Shape::Named(kind) => return Some((Shape::One(kind), true)),
        Shape::FlagOr(kind) if value.is_object() => kind,
        Shape::One(kind) => kind,
        _ => return None,
    };
    match kind.entries() {
        // Gateways cannot resolve references into these.
        _ if matches!(kind, Kind::Header | Kind::Callback) => None,
        Some(_) if part.starts_with("x-") => None,
        Some(kind) => Some((Shape::One(kind), true)),
        None => Some(match kind.field(part) {
            // Nor into these.
            Some(field) if field.name.starts_with("unevaluated") => (Shape::Flag, false),
            Some(field) => (field.shape, field.is_judged),
            None => (Shape::Any, false),
        }),
    }
}

// === references in a walk ===

impl<'a> Walk<'a> {
    /// An object that is a reference.
    pub(super) fn reference(&mut self, item: &Item<'a>, map: &'a Map, reference: &'a str) {
        let merges = item.kind == Kind::Schema && self.is_new;
        let mut siblings = map
            .keys()
            .filter(|key| *key != "$ref" && !key.starts_with("x-"));
        if let Some(sibling) = siblings.next() {
            if merges {
                self.groups.push(Group {
                    parent: item.group,
                    is_dropped: false,
                });
                let group = self.groups.len() - 1;
                let item = Item { group, ..*item };
                self.fields(&item, map, true);
                if item.is_judged {
                    self.schema(&item);
                }
            } else if item.is_judged && !item.is_lenient {
                let text = format!("a reference has `{sibling}` beside it");
                let help = match item.kind {
                    Kind::Schema => {
                        "put the reference into an `allOf`, or write `openapi: \"3.1.0\"`"
                    }
                    _ => "remove it: the target of the reference has it",
                };
                self.invalid(item, Some(sibling), Rule::OpenApiShape, text, help);
            }
        }
        let at = self.trail.key(item.at, "$ref");
        if !item.is_linked {
            if item.is_judged {
                let text = format!("the check does not follow the reference {reference:?}");
                let help = "replace it by what it refers to";
                self.invalid(item, Some("$ref"), Rule::OpenApiSyntax, text, help);
            }
            return;
        }
        if let Some(text) = external(reference) {
            let fault = Fault::new(
                Rule::OpenApiExternalReference,
                text,
                self.location(at, None),
            );
            return self.add(Stage::Link, item.group, fault);
        }
        self.follow(item, item.kind, reference, at);
    }

    /// Checks the target of a reference, unless another check covers it.
    pub(super) fn follow(&mut self, item: &Item<'a>, kind: Kind, reference: &'a str, at: usize) {
        let Some(target) = self.targets.of(reference) else {
            let text = format!("the reference {reference:?} does not resolve");
            let help = "refer to something that exists, such as `#/components/schemas/Pet`";
            return self.unlinkable(item, at, Rule::OpenApiSyntax, text, help);
        };
        let (value, read_as, is_judged) = (target.value, target.read_as, target.is_judged);
        let is_elsewhere = match read_as {
            ReadAs::Of(found) if found == kind => item.is_judged && !is_judged,
            ReadAs::Free => true,
            // The unknown fields of the document itself would be the target.
            ReadAs::Root if has_more(value) => return,
            ReadAs::Root => {
                if item.is_judged {
                    let text = format!("the reference {reference:?} refers to the document itself");
                    let help = "refer to a part of the document";
                    self.invalid(item, Some("$ref"), Rule::OpenApiSyntax, text, help);
                }
                return;
            }
            ReadAs::Of(_) | ReadAs::Nothing => {
                let text = format!(
                    "the reference {reference:?} does not refer to {}",
                    kind.name()
                );
                let help = "refer to one under `components`";
                return self.unlinkable(item, at, Rule::OpenApiSyntax, text, help);
            }
        };
        if kind.can_be_reference() && self.targets.is_circle(reference) {
            if item.is_judged {
                let text = format!("the reference {reference:?} refers back to itself");
                let help = "replace one of the references by what it refers to";
                self.invalid(item, Some("$ref"), Rule::OpenApiSyntax, text, help);
            }
            return;
        }
        if is_elsewhere && self.followed.insert((value, kind, item.is_judged)) {
            let pointer = self.targets.of(reference).map(|it| it.pointer.clone());
            let at = self.trail.start(pointer.unwrap_or_default());
            let (is_linked, is_lenient) = (true, false);
            self.open.push_back(Item {
                value,
                kind,
                at,
                is_linked,
                is_lenient,
                ..*item
            });
        }
    }
}

/// Why a reference leaves the document.
pub(super) fn external(reference: &str) -> Option<String> {
    let is_external = !reference.starts_with('#');
    is_external.then(|| format!("disallowed external reference {reference:?}"))
}

/// Whether a document has unknown fields.
fn has_more(root: &Value) -> bool {
    let mut keys = root.as_object().into_iter().flat_map(Map::keys);
    keys.any(|key| Kind::Root.field(key).is_none())
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    #[test]
    fn places_are_known_by_what_they_are() {
        let root = json!({
            "info": {"title": "T"},
            "paths": {"/a/{b}": {"get": {"responses": {"200": {"description": "ok"}}}}},
            "components": {
                "schemas": {
                    "A": {"$ref": "#/components/schemas/B"},
                    "B": {"properties": {"c d": {}}, "allOf": [{}], "additionalProperties": true,
                        "example": {"a": {}}, "x-more": {}},
                },
                "headers": {"H": {"schema": {}}},
            },
            "x-more": {"C": {}},
        });
        for (reference, pointer, read_as) in [
            (
                "#/components/schemas/B",
                "/components/schemas/B",
                ReadAs::Of(Kind::Schema),
            ),
            (
                "#/components/schemas/B/properties/c%20d",
                "/components/schemas/B/properties/c d",
                ReadAs::Of(Kind::Schema),
            ),
            (
                "#/components/schemas/A/allOf/0",
                "/components/schemas/B/allOf/0",
                ReadAs::Of(Kind::Schema),
            ),
            (
                "#/paths/~1a~1%7Bb%7D/get/responses/200",
                "/paths/~1a~1{b}/get/responses/200",
                ReadAs::Of(Kind::Response),
            ),
            (
                "#/components/schemas/B/example/a",
                "/components/schemas/B/example/a",
                ReadAs::Free,
            ),
            (
                "#/components/schemas/B/x-more",
                "/components/schemas/B/x-more",
                ReadAs::Free,
            ),
            ("#/x-more/C", "/x-more/C", ReadAs::Free),
            ("#/info/title", "/info/title", ReadAs::Nothing),
            (
                "#/components/schemas/B/additionalProperties",
                "/components/schemas/B/additionalProperties",
                ReadAs::Nothing,
            ),
            ("#", "", ReadAs::Root),
        ] {
            let found = find(&root, reference).expect(reference);
            assert_eq!(
                (&*found.pointer.to_string(), found.read_as),
                (pointer, read_as),
                "{reference}"
            );
        }
        for reference in [
            "#anchor",
            "#/paths/~1a%7",
            "#/components/schemas/C",
            "#/components/headers/H/schema",
            "#/info/title/x",
            "other.json",
        ] {
            assert!(find(&root, reference).is_none(), "{reference}");
        }
    }

    #[test]
    fn circles_end() {
        let schemas = json!({"A": {"$ref": "#/components/schemas/B"},
            "B": {"$ref": "#/components/schemas/A"}, "C": {}});
        let root = json!({"components": {"schemas": schemas}});
        let mut targets = Targets::new(&root);
        assert!(targets.is_circle("#/components/schemas/A"));
        assert!(!targets.is_circle("#/components/schemas/C"));
        assert!(find(&root, "#/components/schemas/A/items").is_none());
    }
}
