//! The command line of `logloss`: binary cross-entropy of files of predictions, on a GPU or on the CPU.

mod args;
mod bench;
mod devices;
mod eval;
mod failure;
mod generate;
mod interrupt;
mod progress;
mod report;
mod selftest;
mod terminal;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;

fn main() -> ExitCode {
    keep_stderr_clean();
    let done = match Args::parse().command {
        Command::Eval(args) => eval::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Generate(args) => generate::run(&args),
    };
    failure::exit_code(done)
}

/// Mesa's device-select layer prints two lines about XDG_RUNTIME_DIR wherever there is no desktop. A program may
/// switch it off for itself, a library may not.
fn keep_stderr_clean() {
    const SWITCH: &str = "NODEVICE_SELECT";
    if std::env::var_os(SWITCH).is_none() {
        // SAFETY: this is the first thing `main` does: no other thread is there to read the environment.
        unsafe { std::env::set_var(SWITCH, "1") };
    }
}
