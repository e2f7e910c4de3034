//! The names that a gateway derives from names in a source.

use crate::name::is_name;

/// Lower camel case: splits at `_`, upper-cases the first letter of every later part, lower-cases that
/// of the first part, and leaves all other letters unchanged.
pub(super) fn lower_camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (number, part) in name.split('_').enumerate() {
        let mut chars = part.chars();
        let Some(first) = chars.next() else { continue };
        if number == 0 {
            out.extend(first.to_lowercase());
        } else {
            out.extend(first.to_uppercase());
        }
        out.push_str(chars.as_str());
    }
    out
}

/// As [`lower_camel`], if the result is a GraphQL name: fields with other names are dropped.
pub(super) fn field_name(name: &str) -> Option<String> {
    Some(lower_camel(name)).filter(|it| is_name(it))
}

/// Upper-cases a first letter a–z.
pub(super) fn capitalized(name: &str) -> String {
    let mut out = name.to_owned();
    if let Some(first) = out.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    out
}

/// The type name for a proto name: `acme.v1.Q.inner` becomes `Acme_V1_Q_Inner`.
pub(super) fn flat(full_name: &str) -> String {
    let parts: Vec<String> = full_name.split('.').map(capitalized).collect();
    parts.join("_")
}

/// The letters, digits and underscores of a name.
pub(super) fn word_characters(name: &str) -> String {
    let keep = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    name.chars().filter(keep).collect()
}

/// The part that a property or parameter adds to the name of its inline type.
pub(super) fn path_part(name: &str) -> String {
    capitalized(&word_characters(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_gateways_make_of_them() {
        for (name, camel) in [
            ("GET_ALL", "gETALL"),
            ("HTTPServer", "hTTPServer"),
            ("_leading", "Leading"),
            ("__typename", "Typename"),
            ("trailing_", "trailing"),
            ("y2_z", "y2Z"),
            ("a__b", "aB"),
            ("_", ""),
        ] {
            assert_eq!(lower_camel(name), camel);
        }
        assert_eq!(field_name("_1st"), None);
        assert_eq!(flat("acme.v1.Q.inner"), "Acme_V1_Q_Inner");
        assert_eq!(flat("_p.E"), "_p_E");
        assert_eq!(path_part("p_array[].enum"), "P_arrayenum");
    }
}
