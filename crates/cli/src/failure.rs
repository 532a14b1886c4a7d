//! The endings of commands that fail: messages and exit statuses.

use std::{fmt, process::ExitCode};

use logloss_io::ErrorClass;

use crate::terminal;

/// The exit status of a command line that makes no sense, as clap has it.
const USAGE: u8 = 2;
/// The exit status after Ctrl-C, as a shell has it.
const INTERRUPTED: u8 = 130;

/// Endings with an exit status of their own. Every other error exits with 1.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line contradicts itself.
    Usage(String),
    /// Ctrl-C.
    Interrupted,
    /// The reader of stdout has gone, as in `logloss devices | head -1`: quietly 0.
    ClosedPipe,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message) => f.write_str(message),
            Failure::Interrupted => f.write_str("interrupted"),
            Failure::ClosedPipe => f.write_str("stdout was closed"),
        }
    }
}

impl std::error::Error for Failure {}

/// An error that says what is wrong, where, and how to correct it.
pub(crate) fn fault(what: impl fmt::Display, help: impl fmt::Display) -> anyhow::Error {
    anyhow::anyhow!(with_help(what, help))
}

/// As [`fault`], for a command line that contradicts itself.
pub(crate) fn usage(what: impl fmt::Display, help: impl fmt::Display) -> anyhow::Error {
    Failure::Usage(with_help(what, help)).into()
}

fn with_help(what: impl fmt::Display, help: impl fmt::Display) -> String {
    format!("{what}\n  help: {help}")
}

/// Says what went wrong, if anything did, and gives the exit status.
pub(crate) fn exit_code(done: anyhow::Result<ExitCode>) -> ExitCode {
    let error = match done {
        Ok(code) => return code,
        Err(error) => error,
    };
    if let Some(error) = error.downcast_ref::<logloss_io::Error>() {
        match error.help() {
            Some(help) => terminal::complain("error", with_help(error, help)),
            None => terminal::complain("error", error),
        }
        return match error.class() {
            ErrorClass::Usage => USAGE,
            ErrorClass::Interrupted => INTERRUPTED,
            _ => 1,
        }
        .into();
    }
    let code = match error.downcast_ref() {
        Some(Failure::ClosedPipe) => return ExitCode::SUCCESS,
        Some(Failure::Usage(_)) => USAGE,
        Some(Failure::Interrupted) => INTERRUPTED,
        None => 1,
    };
    terminal::complain("error", format_args!("{error:#}"));
    code.into()
}
