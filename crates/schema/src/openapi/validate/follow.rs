//! References: their siblings and their targets.

use crate::json::{Map, Value};

use super::kinds::Kind;
use super::targets::ReadAs;
use super::{Group, Item, Stage, Walk};
use crate::finding::Rule;
use crate::openapi::Fault;

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
                        "put the reference into an `allOf` of its own, or say \
                                     `openapi: \"3.1.0\"`"
                    }
                    _ => "take it out: what it refers to says it",
                };
                self.invalid(item, Some(sibling), Rule::OpenApiShape, text, help);
            }
        }
        let at = self.trail.key(item.at, "$ref");
        if !item.is_linked {
            if item.is_judged {
                let text = format!("the reference {reference:?} is not followed here");
                let help = "write out what it refers to";
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
            let text = format!("the reference {reference:?} leads nowhere");
            let help = "correct it: such as `#/components/schemas/Pet` for what is there";
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
                    let text = format!("the reference {reference:?} leads to the document itself");
                    let help = "refer to a part of it";
                    self.invalid(item, Some("$ref"), Rule::OpenApiSyntax, text, help);
                }
                return;
            }
            ReadAs::Of(_) | ReadAs::Nothing => {
                let text = format!(
                    "the reference {reference:?} does not lead to {}",
                    kind.name()
                );
                let help = "refer to what is wanted here, under `components`";
                return self.unlinkable(item, at, Rule::OpenApiSyntax, text, help);
            }
        };
        if kind.can_be_reference() && self.targets.is_circle(reference) {
            if item.is_judged {
                let text = format!("the reference {reference:?} leads back to itself");
                let help = "one of the references has to be written out";
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
