//! The table: one row for each measure.

use std::fmt;
use std::time::Duration;

/// Something that was measured, and its bound.
pub(crate) struct Row {
    name: String,
    what: String,
    value: Value,
    bound: Value,
    ok: bool,
}

#[derive(PartialEq, PartialOrd)]
enum Value {
    Time(Duration),
    Count(usize),
    /// In percent.
    Share(f64),
    /// It did not happen.
    Never,
}

// === impl Row ===

impl Row {
    pub(crate) fn time(name: &str, what: &str, value: Duration, bound: Duration) -> Self {
        Self::at_most(name, what, Value::Time(value), Value::Time(bound))
    }

    pub(crate) fn count(name: &str, what: &str, value: usize, bound: usize) -> Self {
        Self::at_most(name, what, Value::Count(value), Value::Count(bound))
    }

    pub(crate) fn exactly(name: &str, what: &str, value: usize, bound: usize) -> Self {
        let mut row = Self::count(name, what, value, bound);
        row.ok = value == bound;
        row
    }

    pub(crate) fn share(name: &str, what: &str, value: f64, bound: f64) -> Self {
        Self::at_most(name, what, Value::Share(value), Value::Share(bound))
    }

    pub(crate) fn failed(name: &str, why: &str) -> Self {
        let mut row = Self::at_most(name, why, Value::Never, Value::Never);
        row.ok = false;
        row
    }

    fn at_most(name: &str, what: &str, value: Value, bound: Value) -> Self {
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            ok: value <= bound,
            value,
            bound,
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.ok
    }

    pub(crate) fn result_line(&self) -> String {
        format!(
            "RESULT fault name={} value={} bound={} ok={}",
            self.name,
            self.value,
            self.bound,
            self.is_ok()
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_ok() { "ok" } else { "MISSED" };
        write!(
            f,
            "{:<34} {:>7}  {:<66} {:>6}  {verdict}",
            self.name,
            self.value.to_string(),
            self.what,
            self.bound.to_string()
        )
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "{}ms", time.as_millis()),
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(percent) => write!(f, "{percent:.1}%"),
            Self::Never => f.write_str("never"),
        }
    }
}

pub(crate) fn print_header() {
    println!(
        "{:<34} {:>7}  {:<66} {:>6}  verdict",
        "scenario", "value", "what happened", "bound"
    );
}
