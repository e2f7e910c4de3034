//! The environment as the command line reads it: through clap, by the rules of the library.

use clap::{Arg, CommandFactory, FromArgMatches};
use tower_gwag::Environment;

use crate::cli::Cli;
use crate::output::{plain, say};

/// Variables of the library that have no effect on a supervised program, and why.
const UNUSED: [(&str, &str); 3] = [
    ("GWAG_DRAIN_TIMEOUT", "GWAG_GRACE is what `run` waits"),
    ("GWAG_QUIET", "GWAG_GRACE is what `run` waits"),
    ("GWAG_READINESS", "the program answers its own probes"),
];
/// Variables without an option.
const OTHERS: [&str; 2] = ["GWAG_ENABLED", "GWAG_TOKEN"];

/// Parses the command line, and the variables of its options.
pub(crate) fn parse() -> Cli {
    let command = Cli::command().mut_subcommands(|it| it.mut_args(with_usable_variable));
    let matches = command.get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Drops the variable of an option if it is empty, which counts as unset, or if Kubernetes set it
/// for a service called `gwag`.
fn with_usable_variable(arg: Arg) -> Arg {
    let Some(name) = arg.get_env() else {
        return arg;
    };
    let value = std::env::var_os(name).unwrap_or_default();
    let is_link =
        name.to_string_lossy().ends_with("_PORT") && value.to_string_lossy().contains("://");
    match value.is_empty() || is_link {
        true => arg.env(None::<&str>),
        false => arg,
    }
}

/// Warns about variables that `run` does not know, or does not use.
pub(crate) fn warn_of_unknown() {
    let command = Cli::command();
    let run = command.find_subcommand("run");
    let options = run.into_iter().flat_map(clap::Command::get_arguments);
    let options = options.filter_map(|it| it.get_env()?.to_str());
    let known: Vec<&str> = options.chain(OTHERS).collect();
    let environment = Environment::of_process();
    for name in environment
        .names()
        .filter(|it| !known.contains(&it.as_str()))
    {
        match UNUSED.iter().find(|(unused, _)| *unused == name) {
            Some((_, why)) => say(&format!("tower-gwag: {name} is not used: {why}")),
            None => {
                let nearest = known
                    .iter()
                    .max_by(|a, b| likeness(a, &name).total_cmp(&likeness(b, &name)));
                say(&format!(
                    "tower-gwag: the environment has `{}`, which is not known; the most similar \
                     name is `{}`",
                    plain(&name),
                    nearest.copied().unwrap_or_default()
                ));
            }
        }
    }
}

fn likeness(one: &str, other: &str) -> f32 {
    let other: String = other.chars().take(100).collect();
    similar::TextDiff::from_chars(one, other.as_str()).ratio()
}
