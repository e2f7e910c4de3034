//! Changes for GraphQL callers.

use super::{Changes, Level, Protocol, Side, Where};
use crate::graphql::{
    EnumValue, Field, InputValue, Origin, Place, Schema, Type, TypeId, TypeKind, TypeRef,
};
use crate::sorted::Sorted;

pub(super) fn compare(old: &Schema, new: &Schema, changes: &mut Changes<'_>) {
    let mut comparison = Comparison { old, new, changes };
    let is_scalar = |it: &&Type| matches!(it.kind, TypeKind::Scalar);
    let is_built_in = |it: &&Type| is_scalar(it) && it.origin == Origin::Gateway;
    for was in old.types().filter(|it| !is_built_in(it)) {
        match new.by_name(&was.name) {
            Some(is) => comparison.types(was, is),
            None => comparison.removed_type(was),
        }
    }
    for is in new.types().filter(|it| !is_built_in(it)) {
        if old.by_name(&is.name).is_none() {
            let place = comparison.there(&is.place);
            comparison.tell(Level::Safe, &is.name, "the type is new", place);
        }
    }
}

/// The place of a field; for one that the gateway added, the place of its type.
fn place_of<'s>(schema: &'s Schema, field: &'s Field) -> &'s Place {
    match &field.place {
        Place::Nowhere => &schema.get(field.of.id).place,
        place => place,
    }
}

struct Comparison<'c, 'a, 's> {
    old: &'s Schema,
    new: &'s Schema,
    changes: &'c mut Changes<'a>,
}

impl Comparison<'_, '_, '_> {
    fn tell(&mut self, level: Level, subject: &str, message: impl Into<String>, place: Where) {
        self.changes
            .add(level, Protocol::GraphQl, subject, message, place);
    }

    fn there(&self, place: &Place) -> Where {
        Some((Side::New, place.clone()))
    }

    fn then(&self, place: &Place) -> Where {
        Some((Side::Old, place.clone()))
    }

    fn removed_type(&mut self, was: &Type) {
        let same = |it: &&Type| {
            let is_same_kind =
                std::mem::discriminant(&it.kind) == std::mem::discriminant(&was.kind);
            is_same_kind && it.origin == was.origin && was.origin != Origin::Gateway
        };
        match self.new.types().find(same) {
            Some(is) => {
                let message = format!(
                    "the type is called `{}` now, because another version is the latest of its \
                     namespace",
                    is.name
                );
                let place = self.there(&is.place);
                self.tell(Level::Breaking, &was.name, message, place);
            }
            None => {
                let place = self.then(&was.place);
                self.tell(Level::Breaking, &was.name, "the type is gone", place);
            }
        }
    }

    fn types(&mut self, was: &Type, is: &Type) {
        match (&was.kind, &is.kind) {
            (TypeKind::Object(old), TypeKind::Object(new)) => self.fields(&was.name, old, new),
            (TypeKind::Input(old), TypeKind::Input(new)) => {
                self.inputs(&was.name, "field", old, new);
            }
            (TypeKind::Enum(old), TypeKind::Enum(new)) => self.values(&was.name, old, new),
            (TypeKind::Union(old), TypeKind::Union(new)) => self.members(was, old, is, new),
            (TypeKind::Scalar, TypeKind::Scalar) => {}
            _ => {
                let place = self.there(&is.place);
                let message = "the type is of another kind: an object, an input, an enum, a union or \
                               a scalar";
                self.tell(Level::Breaking, &was.name, message, place);
            }
        }
        if was.description != is.description {
            let place = self.there(&is.place);
            self.tell(Level::Safe, &was.name, "the description changed", place);
        }
    }

    fn fields(&mut self, owner: &str, old: &Sorted<Field>, new: &Sorted<Field>) {
        for (name, was) in old {
            let subject = format!("{owner}.{name}");
            let Some(is) = new.get(name) else {
                let place = self.then(place_of(self.old, was));
                self.tell(Level::Breaking, &subject, "the field is gone", place);
                continue;
            };
            let place = self.there(place_of(self.new, is));
            let (before, after) = (self.old.show(was.of), self.new.show(is.of));
            if before != after {
                let level = match self.is_narrower(was.of, is.of) {
                    true => Level::Safe,
                    false => Level::Breaking,
                };
                let message = format!("the type was `{before}` and is `{after}`");
                self.tell(level, &subject, message, place.clone());
            }
            if was.deprecated.is_none() && is.deprecated.is_some() {
                self.tell(
                    Level::Safe,
                    &subject,
                    "the field is deprecated now",
                    place.clone(),
                );
            }
            if was.description != is.description {
                self.tell(Level::Safe, &subject, "the description changed", place);
            }
            self.inputs(&subject, "argument", &was.arguments, &is.arguments);
        }
        for (name, is) in new.iter().filter(|(name, _)| !old.contains_key(name)) {
            let place = self.there(&is.place);
            self.tell(
                Level::Safe,
                &format!("{owner}.{name}"),
                "the field is new",
                place,
            );
        }
    }

    /// Whether readers of the old type can read the new one.
    fn is_narrower(&self, was: TypeRef, is: TypeRef) -> bool {
        self.is_same_name(was.id, is.id)
            && was.is_list == is.is_list
            && (is.non_null || !was.non_null)
            && (is.items_non_null || !was.items_non_null)
    }

    fn is_same_name(&self, was: TypeId, is: TypeId) -> bool {
        self.old.get(was).name == self.new.get(is).name
    }

    fn inputs(
        &mut self,
        owner: &str,
        what: &str,
        old: &Sorted<InputValue>,
        new: &Sorted<InputValue>,
    ) {
        let separator = if what == "field" { "." } else { ":" };
        for (name, was) in old {
            let subject = format!("{owner}{separator}{name}");
            let Some(is) = new.get(name) else {
                let place = self.then(&was.place);
                self.tell(
                    Level::Breaking,
                    &subject,
                    format!("the {what} is gone"),
                    place,
                );
                continue;
            };
            let (before, after) = (self.old.show(was.of), self.new.show(is.of));
            if before != after {
                // Input that was accepted must still be accepted.
                let is_wider = self.is_same_name(was.of.id, is.of.id)
                    && was.of.is_list == is.of.is_list
                    && (was.of.non_null || !is.of.non_null)
                    && (was.of.items_non_null || !is.of.items_non_null);
                let level = if is_wider {
                    Level::Safe
                } else {
                    Level::Breaking
                };
                let place = self.there(&is.place);
                let message = format!("the type was `{before}` and is `{after}`");
                self.tell(level, &subject, message, place);
            }
        }
        for (name, is) in new.iter().filter(|(name, _)| !old.contains_key(name)) {
            let subject = format!("{owner}{separator}{name}");
            let place = self.there(&is.place);
            match is.of.non_null {
                true => {
                    let message = format!("the {what} is new and required");
                    self.tell(Level::Breaking, &subject, message, place);
                }
                false => {
                    let message = format!("the {what} is new");
                    self.tell(Level::Dangerous, &subject, message, place);
                }
            }
        }
    }

    fn values(&mut self, owner: &str, old: &Sorted<EnumValue>, new: &Sorted<EnumValue>) {
        for (name, was) in old.iter().filter(|(name, _)| !new.contains_key(name)) {
            let place = self.then(&was.place);
            self.tell(
                Level::Breaking,
                &format!("{owner}.{name}"),
                "the value is gone",
                place,
            );
        }
        for (name, is) in new.iter().filter(|(name, _)| !old.contains_key(name)) {
            let place = self.there(&is.place);
            let message = "the value is new: callers may receive what they do not know";
            self.tell(Level::Dangerous, &format!("{owner}.{name}"), message, place);
        }
    }

    fn members(&mut self, was: &Type, old: &[TypeId], is: &Type, new: &[TypeId]) {
        let (then, now) = (self.old, self.new);
        let has = |schema: &Schema, ids: &[TypeId], name: &str| {
            ids.iter().any(|id| schema.get(*id).name == name)
        };
        for id in old {
            let name = &then.get(*id).name;
            if !has(now, new, name) {
                let place = self.there(&is.place);
                let message = format!("`{name}` is no member of the union any more");
                self.tell(Level::Breaking, &was.name, message, place);
            }
        }
        for id in new {
            let name = &now.get(*id).name;
            if !has(then, old, name) {
                let place = self.there(&is.place);
                let message = format!("`{name}` is a new member of the union");
                self.tell(Level::Dangerous, &was.name, message, place);
            }
        }
    }
}
