//! All output: results go to stdout, messages to stderr.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use serde_json::Value;

use crate::exit_codes::{FILE, FINE};

/// Names in the library's messages, and the command-line options that replace them.
const IN_OPTIONS: [(&str, &str); 24] = [
    (
        "set GWAG_GATEWAY and use `Options::from_env()`; to run without one, \
         `.disabled_if(no_gateway)`",
        "set GWAG_GATEWAY",
    ),
    ("without `Options::tls`", "without --tls-ca and the like"),
    ("`Options::check` finds", "`tower-gwag check` finds"),
    (
        "`Options::bearer_token` or `Options::metadata`",
        "--token-file or GWAG_TOKEN",
    ),
    (
        "(`Tls::identity_files`, GWAG_TLS_CERT_FILE and GWAG_TLS_KEY_FILE)",
        "(--tls-cert and --tls-key)",
    ),
    ("`Tls::ca_file` or GWAG_TLS_CA_FILE", "--tls-ca"),
    (
        "`Tls::server_name` or GWAG_TLS_SERVER_NAME",
        "--tls-server-name",
    ),
    ("`Tls::identity_files`", "--tls-cert and --tls-key"),
    ("`Tls::ca_file`", "--tls-ca"),
    ("`Tls::server_name`", "--tls-server-name"),
    ("exclusive_instance(`", "--exclusive-instance (`"),
    ("advertise_scheme(`", "--advertise-scheme (`"),
    ("advertise_host(`", "--advertise-host (`"),
    ("advertise_path(`", "--advertise-path (`"),
    ("`advertise_scheme`", "--advertise-scheme"),
    ("`advertise_host`", "--advertise-host"),
    ("`advertise`", "--advertise"),
    ("advertise_path ", "--advertise-path "),
    ("advertise_scheme ", "--advertise-scheme "),
    ("`Options::advertise_host`", "--advertise-host"),
    ("`Options::advertise`", "--advertise"),
    ("`Options::gateway_http`", "--gateway-http"),
    ("`Options::unchecked_schemas`", "--unchecked-schemas"),
    ("`Options::gateway_release`", "--release"),
];

/// A message of the library, reworded for readers who do not write Rust.
pub(crate) fn in_options(text: &str) -> String {
    let mut said = text.to_owned();
    for (rust, option) in IN_OPTIONS {
        if said.contains(rust) {
            said = said.replace(rust, option);
        }
    }
    said
}

/// How a piece of text is highlighted on a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Good,
    Bad,
    Notice,
    Faint,
    Bold,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Notice => "33",
            Self::Faint => "2",
            Self::Bold => "1",
        }
    }
}

/// Writes to stdout. If the reader has gone, as with `| head`, the program ends quietly.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = written {
        let is_over = error.kind() == ErrorKind::BrokenPipe;
        std::process::exit(if is_over { FINE.into() } else { FILE.into() });
    }
}

pub(crate) fn line(text: impl Display) {
    print(&format!("{text}\n"));
}

pub(crate) fn json(value: &Value) {
    line(format_args!("{value:#}"));
}

/// Writes a line to stderr, and ignores errors.
pub(crate) fn say(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(format!("{text}\n").as_bytes());
}

/// Whether stdout is a terminal that shows colours.
pub(crate) fn is_coloured() -> bool {
    io::stdout().is_terminal() && wants_colour()
}

fn wants_colour() -> bool {
    let is_off = |name: &str| std::env::var_os(name).is_some_and(|it| !it.is_empty());
    !is_off("NO_COLOR") && std::env::var_os("TERM").is_none_or(|it| it != "dumb")
}

/// Styles a text for stdout.
pub(crate) fn paint(style: Style, text: &str) -> String {
    painted(is_coloured(), style, text)
}

pub(crate) fn paint_err(style: Style, text: &str) -> String {
    painted(io::stderr().is_terminal() && wants_colour(), style, text)
}

fn painted(is_on: bool, style: Style, text: &str) -> String {
    match is_on {
        true => format!("\u{1b}[{}m{text}\u{1b}[0m", style.code()),
        false => text.to_owned(),
    }
}

/// Text from a peer or a file, with everything escaped that could change a terminal.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => plain.push(c),
            // Escapes characters that are invisible, or change the direction of others.
            _ => plain.extend(c.escape_debug()),
        }
    }
    plain
}

/// The same, cut if it is long.
pub(crate) fn short(text: &str, most: usize) -> String {
    let plain = plain(text);
    match plain.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &plain[..at]),
        None => plain,
    }
}

/// Aligns columns. Cells are escaped.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|it| short(it, 60)).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|it| it.chars().count());
        let head = head.get(column).map_or(0, |it| it.len());
        widths.chain([head]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let show = |cells: &[String]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            let gap = width - cell.chars().count().min(*width) + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', gap));
        }
        line.trim_end().to_owned()
    };
    let titles: Vec<String> = head.iter().map(|it| (*it).to_owned()).collect();
    let mut text = paint(Style::Bold, &show(&titles));
    text.push('\n');
    for row in &rows {
        text.push_str(&show(row));
        text.push('\n');
    }
    text
}

/// `3 services`, `1 service`.
pub(crate) fn count(number: usize, what: &str) -> String {
    count_as(number, what, &format!("{what}s"))
}

/// The same with another plural.
pub(crate) fn count_as(number: usize, one: &str, several: &str) -> String {
    let what = if number == 1 { one } else { several };
    format!("{number} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_cannot_change_a_terminal() {
        assert_eq!(plain("a\u{1b}[2J\n\"é\""), "a\\u{1b}[2J\\n\"é\"");
        let table = table(
            &["A", "B"],
            &[
                vec!["x\ny".into(), "é".into()],
                vec!["z".into(), "w".into()],
            ],
        );
        assert_eq!(table, "A     B\nx\\ny  é\nz     w\n");
    }
}
