//! The only places that write to stdout and stderr.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
};

use anyhow::{Context, Result};

use crate::failure::Failure;

/// Writes a whole report to stdout.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::ClosedPipe.into()),
        written => written.context("stdout could not be written"),
    }
}

/// Writes a line to stderr. When that cannot be written either, there is nowhere left to say so.
pub(crate) fn complain(kind: &str, message: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{kind}: {message}");
}
