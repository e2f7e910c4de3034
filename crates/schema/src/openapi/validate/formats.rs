//! Checks numbers, strings and sizes against the limits of a schema; and which strings gateways accept as URLs.

use super::schemas::MergedSchema;
use crate::json::Value;

pub(super) fn number(
    schema: &MergedSchema<'_>,
    value: f64,
    is_whole: bool,
    is_new: bool,
    doubt: &mut bool,
) -> Result<(), String> {
    let format = schema.text("format");
    if !is_new && is_whole && format == "int32" {
        // Beyond this, the precision of a number is uncertain.
        *doubt |= value.abs() > 9e18;
        let range = f64::from(i32::MIN)..=f64::from(i32::MAX);
        if value.abs() <= 9e18 && !range.contains(&value) {
            return Err("it is not an `int32`".to_owned());
        }
    }
    let (least, most) = (schema.number("minimum"), schema.number("maximum"));
    let bound = |key: &str, plain: Option<f64>| match schema.get(key) {
        Some(Value::Bool(true)) => plain,
        other => other.and_then(Value::as_f64),
    };
    let (above, below) = (
        bound("exclusiveMinimum", least),
        bound("exclusiveMaximum", most),
    );
    if least.is_some_and(|it| value < it) || above.is_some_and(|it| value <= it) {
        return Err("it is too small".to_owned());
    }
    if most.is_some_and(|it| value > it) || below.is_some_and(|it| value >= it) {
        return Err("it is too large".to_owned());
    }
    if let Some(of) = schema.number("multipleOf") {
        match is_multiple(value, of, is_new) {
            None => *doubt = true,
            Some(true) => {}
            Some(false) => return Err(format!("it is not a multiple of {of}")),
        }
    }
    Ok(())
}

/// `None` if it depends on how fractions are rounded.
fn is_multiple(value: f64, of: f64, is_new: bool) -> Option<bool> {
    if of == 0.0 {
        return Some(false);
    }
    if is_new {
        let rest = (value % of).abs();
        let is_sure = of.fract() == 0.0 && value.abs() < 9e15 && of.abs() < 9e15;
        let is_clear = rest == 0.0 || (1e-6..of.abs() - 1e-6).contains(&rest);
        return (is_sure && is_clear).then_some(rest == 0.0);
    }
    // Gateways use ten digits after the point.
    let digits = |number: f64| {
        format!("{number:.10}")
            .replace('.', "")
            .parse::<i128>()
            .ok()
    };
    let rest = digits(value)?.checked_rem(digits(of)?);
    Some(rest == Some(0))
}

pub(super) fn text(
    schema: &MergedSchema<'_>,
    value: &str,
    has_formats: bool,
) -> Result<(), String> {
    size(schema, "Length", value.chars().count())?;
    if !has_formats {
        return Ok(());
    }
    let format = schema.text("format");
    let is_good = match format {
        "byte" => is_base64(value),
        "date" => is_date(value),
        "date-time" => value
            .split_once('T')
            .is_some_and(|(date, time)| is_date(date) && is_time(time)),
        _ => true,
    };
    match is_good {
        true => Ok(()),
        false => Err(format!("it is not a valid `{format}`")),
    }
}

/// `minItems` and the like.
pub(super) fn size(schema: &MergedSchema<'_>, what: &str, size: usize) -> Result<(), String> {
    let limit = |way: &str| schema.number(&format!("{way}{what}"));
    // Sizes are small enough to be exact in `f64`.
    #[allow(clippy::cast_precision_loss)]
    let size = size as f64;
    if limit("min").is_some_and(|it| size < it) {
        return Err(format!("it has fewer than `min{what}`"));
    }
    if limit("max").is_some_and(|it| size > it) {
        return Err(format!("it has more than `max{what}`"));
    }
    Ok(())
}

/// Whether two values are equal; whole numbers may be written with a fraction.
pub(super) fn are_equal(one: &Value, other: &Value) -> bool {
    one == other || canonical(one) == canonical(other)
}

/// The same text for all equal values.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN).to_string(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, it)| format!("{key:?}:{}", canonical(it)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn is_base64(text: &str) -> bool {
    let text = text.trim_end_matches('=');
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"+/-_".contains(&b);
    text.bytes().all(is_part)
}

/// `2026-01-31`; accepts day 31 in every month.
fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    matches!(parts[..], [year, month, day]
        if is_number(year, 4, 0..=9999) && is_number(month, 2, 1..=12) && is_number(day, 2, 1..=31))
}

/// `17:32:28.5Z`.
fn is_time(text: &str) -> bool {
    let zone = text.find(['Z', '+', '-']);
    let Some((time, zone)) = zone.map(|at| text.split_at(at)) else {
        return false;
    };
    let is_zone = match zone.strip_prefix(['+', '-']) {
        None => zone == "Z",
        Some(offset) => offset.split_once(':').is_some_and(|(hours, minutes)| {
            is_number(hours, 2, 0..=99) && is_number(minutes, 2, 0..=99)
        }),
    };
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, Some(fraction)),
        None => (time, None),
    };
    let is_fraction = |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<_> = time.split(':').collect();
    let is_clock = matches!(parts[..], [hours, minutes, seconds]
        if is_number(hours, 2, 0..=23)
            && is_number(minutes, 2, 0..=59)
            && is_number(seconds, 2, 0..=60));
    is_zone && is_clock && fraction.is_none_or(is_fraction)
}

fn is_number(text: &str, digits: usize, range: std::ops::RangeInclusive<u32>) -> bool {
    let is_digits = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    is_digits && text.parse().is_ok_and(|it| range.contains(&it))
}

// === URLs ===

/// The fault of a URL; reports only what is certain.
pub(super) fn url_fault(url: &str) -> Option<&'static str> {
    if url.chars().any(|c| c.is_ascii_control()) {
        return Some("has control characters");
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    if !has_whole_escapes(fragment) {
        return Some("has a `%` that does not begin an escape");
    }
    if rest.starts_with(':') {
        return Some("has no scheme before the colon");
    }
    let scheme = scheme(rest);
    let rest = scheme.map_or(rest, |scheme| &rest[scheme.len() + 1..]);
    let (rest, _) = rest.split_once('?').unwrap_or((rest, ""));
    if !rest.starts_with('/') {
        if scheme.is_some() {
            return None;
        }
        let first = rest.split('/').next().unwrap_or_default();
        if first.contains(':') {
            return Some("has a colon in its first segment");
        }
    }
    let authority = rest.strip_prefix("//").filter(|it| !it.starts_with('/'));
    let path = match authority {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            if let Some(fault) = host_fault(host) {
                return Some(fault);
            }
            &rest[end..]
        }
        None => rest,
    };
    (!has_whole_escapes(path)).then_some("has a `%` that does not begin an escape")
}

/// Whether it starts with a scheme, as an absolute URL does.
pub(super) fn is_absolute_url(url: &str) -> bool {
    scheme(url).is_some()
}

fn scheme(url: &str) -> Option<&str> {
    let end = url.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))?;
    let is_scheme =
        url[end..].starts_with(':') && url.starts_with(|c: char| c.is_ascii_alphabetic());
    is_scheme.then(|| &url[..end])
}

fn host_fault(host: &str) -> Option<&'static str> {
    let port = match host.rfind(']') {
        Some(end) => &host[end + 1..],
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let is_port = |port: &str| port.bytes().all(|it| it.is_ascii_digit());
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Some("has a port that is not a number");
    }
    let is_odd = |c: char| {
        c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_.~!$&'()*+,;=:[]<>\"%".contains(c)
    };
    host.contains(is_odd)
        .then_some("has a character that is not allowed in a host")
}

fn has_whole_escapes(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    #[test]
    fn dates_and_times_are_known_by_their_digits() {
        assert!(is_date("2026-02-31") && !is_date("2026-2-1") && !is_date("2026-13-01"));
        for good in ["17:32:28Z", "00:00:60.123+01:30"] {
            assert!(is_time(good), "{good}");
        }
        for bad in [
            "17:32Z",
            "24:00:00Z",
            "17:32:28",
            "17:32:28.Z",
            "17:32:28+1",
        ] {
            assert!(!is_time(bad), "{bad}");
        }
        assert!(is_base64("aGk=") && is_base64("") && !is_base64("a b"));
    }

    #[test]
    fn equal_values_are_equal_however_they_are_written() {
        assert!(are_equal(
            &json!({"a": [1, "x"]}),
            &json!({"a": [1.0, "x"]})
        ));
        assert!(!are_equal(&json!(1), &json!("1")));
    }
}

#[cfg(test)]
mod tests_of_urls {
    use super::*;

    #[test]
    fn only_what_is_surely_no_url_is_refused() {
        for good in [
            "https://a.example/b?c=%zz#d",
            "a",
            "",
            "/a:b",
            "./a",
            "mailto:a b",
            "http://a.example:80/ä b",
            "http://[::1]:80/",
            "//a",
        ] {
            assert_eq!(url_fault(good), None, "{good}");
        }
        for bad in [
            "::",
            ":a",
            "1a:b",
            "http://a b/",
            "http://a:b/",
            "/%zz",
            "a#%z",
            "a\n",
        ] {
            assert!(url_fault(bad).is_some(), "{bad}");
        }
        assert!(is_absolute_url("https://a") && !is_absolute_url("a/b") && !is_absolute_url("//a"));
    }
}
