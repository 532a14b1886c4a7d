//! The command line, as clap reads it and `--help` shows it.

pub(crate) mod choices;
mod device;
mod eval;
mod generate;

use clap::{Args as ArgGroup, Parser, Subcommand};
pub(crate) use device::{DeviceArgs, threads};
pub(crate) use eval::EvalArgs;
pub(crate) use generate::{FloatType, GenerateArgs, LabelType};

/// Binary cross-entropy over very large batches: loss, gradient and hessian in one pass, on any GPU and on the CPU.
#[derive(Debug, Parser)]
#[command(name = "logloss", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  logloss eval logits.npy labels.npy
  logloss eval flights.parquet --pred logit --target delayed --json
  logloss devices
  logloss selftest --device llvmpipe
  logloss generate 1e8 --out logits.npy --targets-out labels.npy

Exit status: 0; 1 for a failure or a broken contract; 2 for a command line that makes no sense; 130 after Ctrl-C.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Eval(Box<EvalArgs>),
    Bench(crate::bench::Args),
    Devices(DevicesArgs),
    Selftest(SelftestArgs),
    Generate(GenerateArgs),
}

/// List the available devices, and the one that `auto` selects
#[derive(Debug, ArgGroup)]
pub(crate) struct DevicesArgs {
    /// Measure the cost of data in host memory on each device (some seconds), and the number of values from which on an
    /// adapter is faster than the CPU
    #[arg(long)]
    pub measure: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Check a device against the accuracy contract
///
/// Compares the device with an oracle over a fixed sweep of inputs and shows the worst error of every output beside its
/// ceiling. Exit status 1 if an error exceeds its ceiling.
#[derive(Debug, ArgGroup)]
pub(crate) struct SelftestArgs {
    #[command(flatten)]
    pub device: DeviceArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A number that fits; `what` says which do.
pub(crate) fn number<T: std::str::FromStr + Copy>(
    word: &str,
    fits: impl Fn(T) -> bool,
    what: &str,
) -> Result<T, String> {
    word.parse().ok().filter(|value| fits(*value)).ok_or_else(|| format!("pass {what}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
