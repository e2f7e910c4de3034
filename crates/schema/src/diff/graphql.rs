//! Changes for GraphQL callers.

use super::{Changes, Level, Protocol, Side, Where};
use crate::graphql::{
    EnumValue, Field, InputValue, Location, Origin, Schema, Type, TypeId, TypeKind, TypeRef,
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
            let location = comparison.there(&is.location);
            comparison.tell(Level::Safe, &is.name, "the type is new", location);
        }
    }
}

/// The location of a field; for one that the gateway added, the location of its type.
fn location_of<'s>(schema: &'s Schema, field: &'s Field) -> &'s Location {
    match &field.location {
        Location::Nowhere => &schema.get(field.of.id).location,
        location => location,
    }
}

struct Comparison<'c, 'a, 's> {
    old: &'s Schema,
    new: &'s Schema,
    changes: &'c mut Changes<'a>,
}

impl Comparison<'_, '_, '_> {
    fn tell(&mut self, level: Level, subject: &str, message: impl Into<String>, location: Where) {
        self.changes
            .add(level, Protocol::GraphQl, subject, message, location);
    }

    fn there(&self, location: &Location) -> Where {
        Some((Side::New, location.clone()))
    }

    fn then(&self, location: &Location) -> Where {
        Some((Side::Old, location.clone()))
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
                    "the type is now called `{}`, because another version is the latest of its \
                     namespace",
                    is.name
                );
                let location = self.there(&is.location);
                self.tell(Level::Breaking, &was.name, message, location);
            }
            None => {
                let location = self.then(&was.location);
                self.tell(Level::Breaking, &was.name, "the type was removed", location);
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
                let location = self.there(&is.location);
                let message = "the type changed its kind: object, input, enum, union or scalar";
                self.tell(Level::Breaking, &was.name, message, location);
            }
        }
        if was.description != is.description {
            let location = self.there(&is.location);
            self.tell(Level::Safe, &was.name, "the description changed", location);
        }
    }

    fn fields(&mut self, owner: &str, old: &Sorted<Field>, new: &Sorted<Field>) {
        for (name, was) in old {
            let subject = format!("{owner}.{name}");
            let Some(is) = new.get(name) else {
                let location = self.then(location_of(self.old, was));
                self.tell(Level::Breaking, &subject, "the field was removed", location);
                continue;
            };
            let location = self.there(location_of(self.new, is));
            let (before, after) = (self.old.show(was.of), self.new.show(is.of));
            if before != after {
                let level = match self.is_narrower(was.of, is.of) {
                    true => Level::Safe,
                    false => Level::Breaking,
                };
                let message = format!("the type was `{before}` and is `{after}`");
                self.tell(level, &subject, message, location.clone());
            }
            if was.deprecated.is_none() && is.deprecated.is_some() {
                self.tell(
                    Level::Safe,
                    &subject,
                    "the field is now deprecated",
                    location.clone(),
                );
            }
            if was.description != is.description {
                self.tell(Level::Safe, &subject, "the description changed", location);
            }
            self.inputs(&subject, "argument", &was.arguments, &is.arguments);
        }
        for (name, is) in new.iter().filter(|(name, _)| !old.contains_key(name)) {
            let location = self.there(&is.location);
            self.tell(
                Level::Safe,
                &format!("{owner}.{name}"),
                "the field is new",
                location,
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
                let location = self.then(&was.location);
                self.tell(
                    Level::Breaking,
                    &subject,
                    format!("the {what} was removed"),
                    location,
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
                let location = self.there(&is.location);
                let message = format!("the type was `{before}` and is `{after}`");
                self.tell(level, &subject, message, location);
            }
        }
        for (name, is) in new.iter().filter(|(name, _)| !old.contains_key(name)) {
            let subject = format!("{owner}{separator}{name}");
            let location = self.there(&is.location);
            match is.of.non_null {
                true => {
                    let message = format!("the {what} is new and required");
                    self.tell(Level::Breaking, &subject, message, location);
                }
                false => {
                    let message = format!("the {what} is new");
                    self.tell(Level::Dangerous, &subject, message, location);
                }
            }
        }
    }

    fn values(&mut self, owner: &str, old: &Sorted<EnumValue>, new: &Sorted<EnumValue>) {
        for (name, was) in old.iter().filter(|(name, _)| !new.contains_key(name)) {
            let location = self.then(&was.location);
            self.tell(
                Level::Breaking,
                &format!("{owner}.{name}"),
                "the value was removed",
                location,
            );
        }
        for (name, is) in new.iter().filter(|(name, _)| !old.contains_key(name)) {
            let location = self.there(&is.location);
            let message = "the value is new: callers may receive a value that they do not know";
            self.tell(
                Level::Dangerous,
                &format!("{owner}.{name}"),
                message,
                location,
            );
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
                let location = self.there(&is.location);
                let message = format!("`{name}` is no longer a member of the union");
                self.tell(Level::Breaking, &was.name, message, location);
            }
        }
        for id in new {
            let name = &now.get(*id).name;
            if !has(then, old, name) {
                let location = self.there(&is.location);
                let message = format!("`{name}` is a new member of the union");
                self.tell(Level::Dangerous, &was.name, message, location);
            }
        }
    }
}
