//! The command line, as clap reads it and `--help` shows it.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args as ArgGroup, Parser, Subcommand, ValueEnum};
use logloss::{Device, Engine, EngineOptions, Error, Form, Invalid, Reduction};

use crate::failure::fault;

/// Binary cross-entropy over very large batches: loss, gradient and hessian in one pass, on any GPU and on the CPU.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Args {
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
pub enum Command {
    Eval(EvalArgs),
    Devices(DevicesArgs),
    Selftest(SelftestArgs),
    Generate(GenerateArgs),
}

/// Evaluate a file of predictions against its labels
///
/// Prints the loss and, if asked, writes the loss, gradient and hessian of every element. Files of any size are read
/// a part at a time.
#[derive(Debug, ArgGroup)]
#[command(after_help = EVAL_NOTES)]
pub struct EvalArgs {
    /// Predictions: a .npy file of shape [N] or [N, C]; or a .parquet, .csv or .safetensors file that holds the
    /// labels too
    pub predictions: PathBuf,

    /// Labels, beside a .npy file of predictions: a .npy file of the same shape
    pub targets: Option<PathBuf>,

    /// Column or tensor that holds the predictions
    #[arg(long, value_name = "NAME")]
    pub pred: Option<String>,

    /// Column or tensor that holds the labels
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,

    /// What the predictions are
    #[arg(long, value_enum, default_value_t)]
    pub from: From,

    #[command(flatten)]
    pub device: DeviceArgs,

    /// What becomes of the losses, and what the gradient is of
    #[arg(long, value_enum, default_value_t)]
    pub reduction: Reduce,

    /// Multiply gradient and hessian by this
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = finite, allow_negative_numbers = true)]
    pub scale: f32,

    /// Write the loss of each element
    #[arg(long, value_name = "F.npy")]
    pub loss_out: Option<PathBuf>,

    /// Write the gradient of the reduced loss with respect to each prediction
    #[arg(long, value_name = "F.npy")]
    pub grad_out: Option<PathBuf>,

    /// Write the diagonal of the hessian
    #[arg(long, value_name = "F.npy")]
    pub hess_out: Option<PathBuf>,

    /// What a NaN, or a label or probability outside [0, 1], does: fail and name the first one, or make its own
    /// results and the reduced ones NaN
    #[arg(long, value_enum, default_value_t)]
    pub non_finite: NonFinite,

    /// Print one JSON object and nothing else on stdout
    #[arg(long)]
    pub json: bool,
}

const EVAL_NOTES: &str = "\
Examples:
  logloss eval logits.npy labels.npy
  logloss eval flights.parquet --pred logit --target delayed --json
  logloss eval probs.csv --pred p --target y --from probabilities --device cpu
  logloss eval logits.npy labels.npy --grad-out grad.npy --reduction sum

Predictions may be f16, bf16, f32 or f64 (narrowed to f32), labels of any integer, bool or float type: 0 and 1, or \
probabilities in between. Logits of plus and minus infinity are valid. Outputs are f32, and whole or not there.

The time runs from the first value read to the last output in its place, and GB/s are the bytes of predictions, labels \
and outputs over that time. What is memory-mapped (.npy, .safetensors) is read from disk while it is evaluated.

In JSON, a number that is NaN (the mean of no values) or infinite is null; `notes` then says which.";

/// List the devices there are, and which one `auto` takes
#[derive(Debug, ArgGroup)]
pub struct DevicesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Check a device against the accuracy contract
///
/// Compares it with an oracle over a fixed sweep of inputs and shows the worst error of every output beside its
/// ceiling. Exit status 1 if a ceiling is broken.
#[derive(Debug, ArgGroup)]
pub struct SelftestArgs {
    #[command(flatten)]
    pub device: DeviceArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Make reproducible synthetic predictions and labels
///
/// Every value has a true logit, normally distributed, and a label drawn with that logit's probability; the
/// prediction is the true logit plus noise. The same arguments give the same files.
#[derive(Debug, ArgGroup)]
pub struct GenerateArgs {
    /// How many values: 1000000, 1_000_000 or 1e6
    #[arg(value_name = "N", value_parser = count)]
    pub len: u64,

    /// File to write: .npy (predictions alone), .parquet, .csv or .safetensors
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// File to write the labels to, beside a .npy file of predictions
    #[arg(long, value_name = "F.npy")]
    pub targets_out: Option<PathBuf>,

    /// Name of the column or tensor of predictions
    #[arg(long, value_name = "NAME", default_value = "logit")]
    pub pred: String,

    /// Name of the column or tensor of labels
    #[arg(long, value_name = "NAME", default_value = "label")]
    pub target: String,

    /// Write logits or probabilities
    #[arg(long = "as", value_name = "FORM", value_enum, default_value_t)]
    pub form: From,

    /// Where the random numbers start
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Expected share of labels that are 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = share)]
    pub base_rate: f64,

    /// Standard deviation of the true logits
    #[arg(long, value_name = "SD", default_value_t = 1.5, value_parser = deviation)]
    pub spread: f64,

    /// Standard deviation of what is added to the true logits to make predictions
    #[arg(long, value_name = "SD", default_value_t = 0.0, value_parser = deviation)]
    pub noise: f64,

    /// Type of the predictions (bf16 in .safetensors alone)
    #[arg(long, value_name = "TYPE", value_enum, default_value = "f32")]
    pub dtype: FloatType,

    /// Type of the labels
    #[arg(long, value_name = "TYPE", value_enum, default_value = "u8")]
    pub target_dtype: LabelType,
}

/// Where to run.
#[derive(Debug, ArgGroup)]
pub struct DeviceArgs {
    /// auto, cpu, gpu, an index from `logloss devices`, or part of an adapter's name (which may be a software
    /// adapter: llvmpipe)
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = device)]
    pub device: Device,

    /// Threads of the CPU backend; by default one for each core
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

impl DeviceArgs {
    /// The engine asked for.
    pub fn engine(&self) -> anyhow::Result<Engine> {
        let mut options = EngineOptions::new(self.device.clone());
        if let Some(threads) = self.threads {
            options = options.threads(threads);
        }
        Engine::new_blocking(options).map_err(|error| match error {
            Error::NoGpu { .. } | Error::NoSuchDevice { .. } => {
                fault(error, "`logloss devices` lists what there is; `--device cpu` always works")
            }
            error => error.into(),
        })
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum From {
    /// Any real number, the log of the odds
    #[default]
    Logits,
    /// In [0, 1]
    Probabilities,
}

impl From {
    pub fn form(self) -> Form {
        match self {
            From::Logits => Form::Logits,
            From::Probabilities => Form::Probabilities,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Reduce {
    /// Their mean
    #[default]
    Mean,
    /// Their sum
    Sum,
}

impl Reduce {
    pub fn reduction(self) -> Reduction {
        match self {
            Reduce::Mean => Reduction::Mean,
            Reduce::Sum => Reduction::Sum,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum NonFinite {
    /// Fail and name the first one
    #[default]
    Error,
    /// Let it through as NaN
    Propagate,
}

impl NonFinite {
    pub fn invalid(self) -> Invalid {
        match self {
            NonFinite::Error => Invalid::Error,
            NonFinite::Propagate => Invalid::Propagate,
        }
    }
}

/// Types that predictions are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FloatType {
    F16,
    Bf16,
    F32,
    F64,
}

/// Types that labels are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LabelType {
    Bool,
    U8,
    I32,
    I64,
    F32,
    F64,
}

/// The device that a word names.
fn device(word: &str) -> Result<Device, String> {
    let word = word.trim();
    Ok(match word {
        "" => return Err("say auto, cpu, gpu, an index or a part of a name".into()),
        "auto" => Device::Auto,
        "cpu" => Device::Cpu,
        "gpu" => Device::Gpu,
        word => word.parse().map_or_else(|_| Device::Name(word.into()), Device::Index),
    })
}

/// A number of values, which may be written as 1e9 or 1_000_000.
fn count(word: &str) -> Result<u64, String> {
    let digits = word.replace('_', "");
    let exact = digits.parse::<u64>().ok();
    let rounded = || {
        let value = digits.parse::<f64>().ok()?;
        (value >= 0.0 && value.fract() == 0.0 && value < 2f64.powi(53)).then_some(value as u64)
    };
    exact.or_else(rounded).ok_or_else(|| "say a whole number, such as 1000000 or 1e6".into())
}

fn finite(word: &str) -> Result<f32, String> {
    number(word, |value: f32| value.is_finite(), "a finite number")
}

fn share(word: &str) -> Result<f64, String> {
    number(word, |value: f64| value > 0.0 && value < 1.0, "a number between 0 and 1")
}

fn deviation(word: &str) -> Result<f64, String> {
    number(word, |value: f64| (0.0..=1000.0).contains(&value), "a number from 0 to 1000")
}

fn number<T: std::str::FromStr + Copy>(word: &str, fits: impl Fn(T) -> bool, what: &str) -> Result<T, String> {
    word.parse().ok().filter(|value| fits(*value)).ok_or_else(|| format!("say {what}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn counts() {
        assert_eq!(count("1_000"), Ok(1000));
        assert_eq!(count("1e9"), Ok(1_000_000_000));
        assert_eq!(count("18446744073709551615"), Ok(u64::MAX));
        for wrong in ["", "-1", "1.5", "1e300", "many", "NaN"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn devices() {
        assert_eq!(device("auto"), Ok(Device::Auto));
        assert_eq!(device("2"), Ok(Device::Index(2)));
        assert_eq!(device("llvm"), Ok(Device::Name("llvm".into())));
        assert!(device(" ").is_err());
    }
}
