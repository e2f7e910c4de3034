//! How commands end: the exit codes, and faults, each with its code, its message and its help.

use std::process::ExitCode;

use crate::output::{Style, in_options, paint_err, say};

/// For `--help`.
pub(crate) const CODES: &str = "Exit codes: 0 fine, 1 faults found, 2 wrong command line, 3 a file \
                                is missing or cannot be read or written, 4 the gateway cannot be \
                                reached, is not a gateway, or refused. `run` ends with the \
                                program's own code, 128 + N after signal N, 125 if it could not \
                                begin, 126 or 127 if the program cannot be executed or does not \
                                exist.";

/// Success.
pub(crate) const FINE: u8 = 0;
/// The check found faults: findings, a breaking change, a faulty gateway.
pub(crate) const FAULTY: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// A file is missing, or cannot be read or written.
pub(crate) const FILE: u8 = 3;
/// The gateway is unreachable, is not a gateway, or refused.
pub(crate) const GATEWAY: u8 = 4;
/// `run` itself failed, so that no program ran.
pub(crate) const RUN: u8 = 125;
/// The program of `run` cannot be executed.
pub(crate) const CANNOT_RUN: u8 = 126;
/// The program of `run` does not exist.
pub(crate) const NO_PROGRAM: u8 = 127;

/// Why a command fails, and what to do about it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: u8,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A gateway did not carry out a request.
    pub(crate) fn of_gateway(error: &tower_gwag::Error) -> Self {
        let code = match error.kind() {
            tower_gwag::ErrorKind::InvalidGatewayAddress
            | tower_gwag::ErrorKind::InvalidTls
            | tower_gwag::ErrorKind::InvalidMetadata => USAGE,
            _ => GATEWAY,
        };
        let message = in_options(&error.to_string());
        let is_unknown = ["is not currently registered", "has no stable"]
            .iter()
            .any(|it| message.contains(it));
        let fault = Self::new(code, message);
        match is_unknown {
            true => fault.help("`tower-gwag services` lists what is registered"),
            false => fault,
        }
    }

    pub(crate) fn report(&self) -> ExitCode {
        match self.message.strip_prefix("error[") {
            // Findings say it themselves.
            Some(rest) => say(&format!("{}{rest}", paint_err(Style::Bad, "error["))),
            None => say(&format!(
                "{} {}",
                paint_err(Style::Bad, "error:"),
                self.message
            )),
        }
        if let Some(help) = &self.help {
            say(&format!("  = help: {help}"));
        }
        ExitCode::from(self.code)
    }
}
