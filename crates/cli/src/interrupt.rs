//! Ctrl-C, for long work and for work that writes files: it stops at the next part, and its unfinished files are
//! removed on the way out.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::failure::Failure;

static PRESSED: AtomicBool = AtomicBool::new(false);

/// Watches for Ctrl-C (and for being told to terminate or hung up on) from now on.
///
/// The first one takes effect at the next [`check`], so that drivers and threads are shut down in order. A second one
/// does not wait for that.
pub(crate) fn watch() -> Result<()> {
    ctrlc::set_handler(|| {
        if PRESSED.swap(true, Ordering::Relaxed) {
            logloss_io::remove_unfinished();
            std::process::exit(130);
        }
    })
    .context("Ctrl-C could not be watched for")
}

/// Whether Ctrl-C was pressed.
pub(crate) fn is_pressed() -> bool {
    PRESSED.load(Ordering::Relaxed)
}

/// Fails if Ctrl-C was pressed.
pub(crate) fn check() -> Result<()> {
    if is_pressed() { Err(Failure::Interrupted.into()) } else { Ok(()) }
}
