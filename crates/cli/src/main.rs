//! `tower-gwag`: a gateway for development, a check for CI, a supervisor for any program, diagnosis
//! for operators.

mod access;
mod check;
mod cli;
mod dev;
mod diff;
mod doctor;
mod edit;
mod environment;
mod exit_codes;
mod explain;
mod fix;
mod http;
mod lock;
mod operators;
mod output;
mod registered;
mod run;
mod schema;
mod sources;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::exit_codes::{FINE, Fault};

fn main() -> ExitCode {
    let done = execute(environment::parse().command);
    done.unwrap_or_else(|fault| fault.report())
}

fn execute(command: Command) -> Result<ExitCode, Fault> {
    match command {
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Schema(args) => schema::schema(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Hash(args) => schema::hash(&args),
        Command::Lock(args) => lock::run(&args),
        Command::Dev(args) => dev::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Services(args) => operators::services(&args),
        Command::Registrations(args) => operators::registrations(&args),
        Command::Peers(args) => operators::peers(&args),
        Command::Forget(args) => operators::forget(&args),
        Command::Deprecate(args) => operators::deprecate(&args),
        Command::Undeprecate(args) => operators::undeprecate(&args),
        Command::Retract(args) => operators::retract(&args),
        Command::Sign(args) => operators::sign(&args),
        Command::Watch(args) => operators::watch(&args),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tower-gwag", &mut text);
            output::print(&String::from_utf8_lossy(&text));
            Ok(ExitCode::from(FINE))
        }
    }
}
