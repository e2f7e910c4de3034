//! Plain scalars: numbers, times, and values that JSON does not have.

use crate::json::{Number, Value};

/// A plain scalar as gateways read it, except for times; `None` if JSON has no such value.
pub(super) fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_infinite = matches!(unsigned, ".inf" | ".Inf" | ".INF");
    if is_infinite || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return None;
    }
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let number = is_number.then(|| number(&text.replace('_', "")));
    Some(number.flatten().unwrap_or_else(|| text.into()))
}

fn number(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Some(number) = natural(text) {
        return Some(number.into());
    }
    let looks_numeric = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && text.bytes().any(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| looks_numeric)?;
    Number::from_f64(number).map(Value::Number)
}

/// Numbers beyond `i64`, and numbers in hexadecimal, octal or binary notation.
fn natural(text: &str) -> Option<u64> {
    let digits = |prefix: &str| text.strip_prefix(prefix).filter(|it| !it.starts_with('+'));
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits(prefix) {
            return u64::from_str_radix(digits, radix).ok();
        }
    }
    text.parse().ok()
}

/// A scalar as a timestamp in the gateways' notation.
pub(super) fn time(text: &str) -> Option<String> {
    let (year, rest) = text.split_at_checked(4)?;
    let rest = rest.strip_prefix('-')?;
    let end = rest.find(['T', 't', ' ']).unwrap_or(rest.len());
    let (month, day) = rest[..end].split_once('-')?;
    let (year, month) = (digits(year, 4..=4)?, digits(month, 1..=2)?);
    let day = digits(day, 1..=2)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let most = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=most).contains(&day) {
        return None;
    }
    let time = match rest[end..].split_at_checked(1) {
        None => "00:00:00Z".to_owned(),
        Some((" ", time)) => format!("{}Z", clock(time)?),
        Some((_, time)) => {
            let at = time.find(['Z', '+', '-'])?;
            let (time, zone) = time.split_at(at);
            let offset = zone.strip_prefix(['+', '-']);
            if zone != "Z" {
                let (hours, minutes) = offset?.split_once(':')?;
                digits(hours, 2..=2).filter(|it| *it <= 24)?;
                digits(minutes, 2..=2).filter(|it| *it <= 60)?;
            }
            let is_utc = zone.ends_with("00:00");
            format!("{}{}", clock(time)?, if is_utc { "Z" } else { zone })
        }
    };
    Some(format!("{year:04}-{month:02}-{day:02}T{time}"))
}

/// Hours, minutes and seconds with a fraction.
fn clock(text: &str) -> Option<String> {
    let (text, fraction) = text.split_once('.').map_or((text, ""), |(text, fraction)| {
        (text, fraction.trim_end_matches('0'))
    });
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut parts = text.split(':');
    let mut part = |most| digits(parts.next()?, 1..=2).filter(|it| *it <= most);
    let (hours, minutes, seconds) = (part(23)?, part(59)?, part(59)?);
    if parts.next().is_some() {
        return None;
    }
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!(
        "{hours:02}:{minutes:02}:{seconds:02}{point}{fraction}"
    ))
}

fn digits(text: &str, count: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit()) && count.contains(&text.len());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_full() {
        for (text, moment) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-1-3", "2026-01-03T00:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
            ("2026-01-31T09:05:06Z", "2026-01-31T09:05:06Z"),
            (
                "2026-01-31t09:05:06.500+02:00",
                "2026-01-31T09:05:06.5+02:00",
            ),
            ("2026-01-31 9:5:6", "2026-01-31T09:05:06Z"),
        ] {
            assert_eq!(time(text).as_deref(), Some(moment), "{text}");
        }
        for text in [
            "2026-02-29",
            "2026-13-01",
            "26-01-01",
            "2026-01",
            "2026-01-31T09:05:06",
            "2026-01-31 09:05",
            "2026-01-31 24:00:00",
            "ä026-01-01",
            "2026-01-31x",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
