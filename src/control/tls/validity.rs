//! The validity period of a certificate, the only part of one that is parsed here.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    from: i64,
    until: i64,
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

// === impl Validity ===

impl Validity {
    /// `None` if it is not a certificate.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let (certificate, _) = take(der, SEQUENCE)?;
        let (mut signed, _) = take(certificate, SEQUENCE)?;
        if let Some((_, rest)) = take(signed, VERSION) {
            signed = rest;
        }
        // Skips the serial number, the algorithm and the issuer.
        for _ in 0..3 {
            (_, _, signed) = take_any(signed)?;
        }
        let (validity, _) = take(signed, SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }

    /// Why it is not valid now, if so.
    pub(super) fn fault(self) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        self.fault_at(i64::try_from(now.as_secs()).ok()?)
    }

    fn fault_at(self, now: i64) -> Option<String> {
        if now > self.until {
            let until = Date(self.until);
            return Some(format!("expired on {until}: renew it"));
        }
        (now < self.from).then(|| {
            let from = Date(self.from);
            format!("is not valid before {from}: correct the clocks, or issue another one")
        })
    }
}

/// Returns the tag, the content and the rest.
fn take_any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // No certificate needs more than four bytes of length.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let add = |length: usize, byte: &u8| length << 8 | usize::from(*byte);
            (bytes.iter().fold(0, add), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    take_any(der).and_then(|(is, content, rest)| (is == tag).then_some((content, rest)))
}

/// Returns a time and the rest.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, content, rest) = take_any(der)?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (year, text) = match tag {
        UTC_TIME => {
            let (year, text) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (year + if year < 50 { 2000 } else { 1900 }, text)
        }
        GENERALIZED_TIME => {
            let (year, text) = text.split_at_checked(4)?;
            (year.parse().ok()?, text)
        }
        _ => return None,
    };
    if text.len() != 10 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| text[at..at + 2].parse::<i64>().ok();
    let (month, day) = (two(0)?, two(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = two(4)? * 3_600 + two(6)? * 60 + two(8)?;
    Some((days(year, month, day) * 86_400 + seconds, rest))
}

/// Days since 1970, by the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // If years begin in March, the leap day is at their end.
    let year = year - i64::from(month <= 2);
    let month = (month + 9) % 12;
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 719_468
}

struct Date(i64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.0.div_euclid(86_400);
        let mut year = 1970 + day.div_euclid(366);
        while days(year + 1, 1, 1) <= day {
            year += 1;
        }
        let is_before = |month: &i64| days(year, *month, 1) <= day;
        let month = (1..=12).rev().find(is_before).unwrap_or(1);
        let of_month = day - days(year, month, 1) + 1;
        write!(f, "{year}-{month:02}-{of_month:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (year, month, day, text) in [
            (1970, 1, 1, "1970-01-01"),
            (2000, 2, 29, "2000-02-29"),
            (2026, 12, 31, "2026-12-31"),
            (2100, 3, 1, "2100-03-01"),
        ] {
            let at = days(year, month, day) * 86_400;
            assert_eq!(Date(at + 86_399).to_string(), text);
        }
        assert_eq!(days(2026, 11, 26) * 86_400, 1_795_651_200);
        assert_eq!(
            time(b"\x17\x0d500101000000Z").unwrap().0,
            days(1950, 1, 1) * 86_400
        );
        assert_eq!(
            time(b"\x18\x0f20491231235959Z").unwrap().0,
            days(2050, 1, 1) * 86_400 - 1
        );
    }

    #[test]
    fn a_certificate_is_valid_between_two_moments() {
        let mut params = rcgen::CertificateParams::new(["a".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 2, 29);
        params.not_after = rcgen::date_time_ymd(2051, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap();
        let validity = Validity::of(der.der()).unwrap();
        let midnight = |year, month, day| days(year, month, day) * 86_400;
        assert_eq!(validity.from, midnight(2020, 2, 29));
        assert_eq!(validity.until, midnight(2051, 1, 2));
        assert_eq!(validity.fault_at(midnight(2030, 1, 1)), None);
        let past = validity.fault_at(midnight(2051, 1, 3)).unwrap();
        assert!(past.contains("expired on 2051-01-02"), "{past}");
        let early = validity.fault_at(midnight(2020, 1, 1)).unwrap();
        assert!(early.contains("not valid before 2020-02-29"), "{early}");
        for cut in 0..der.der().len() {
            // None of them panics.
            let _ = Validity::of(&der.der()[..cut]);
        }
    }
}
