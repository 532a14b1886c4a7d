//! The command line, as clap reads it and `--help` shows it.

use std::{num::NonZeroUsize, path::PathBuf};

use anyhow::Context;
use clap::{ArgAction, Args as ArgGroup, Parser, Subcommand, ValueEnum};
use logloss::{Compat, Device, Engine, EngineOptions, Error, Form, Invalid, Reduction};

use crate::failure::{fault, usage};

/// Binary cross-entropy over very large batches: loss, gradient and hessian in one pass, on any GPU and on the CPU.
#[derive(Debug, Parser)]
#[command(name = "logloss", version, after_help = EXAMPLES)]
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
    Eval(Box<EvalArgs>),
    Bench(crate::bench::Args),
    Devices(DevicesArgs),
    Selftest(SelftestArgs),
    Generate(GenerateArgs),
}

/// Evaluate a file of predictions against its labels
///
/// Prints the loss and, if asked, writes the loss, gradient and hessian of every element. Files of any size are read
/// a part at a time.
#[derive(Debug, ArgGroup)]
#[command(after_help = EVAL_NOTES, disable_help_flag = true)]
pub struct EvalArgs {
    /// Predictions: a .npy file of shape [N] or [N, C]; or a .parquet, .csv or .safetensors file that holds the
    /// labels too
    pub predictions: PathBuf,

    /// Labels, beside a .npy file of predictions: a .npy file of the same shape
    pub targets: Option<PathBuf>,

    /// Column or tensor that holds the predictions; columns a,b,… are the classes of shape [N, C]
    #[arg(long, value_name = "NAME", help_heading = INPUT)]
    pub pred: Option<String>,

    /// Column or tensor that holds the labels; as many columns as --pred names
    #[arg(long, value_name = "NAME", help_heading = INPUT)]
    pub target: Option<String>,

    /// What the predictions are
    #[arg(long, value_enum, default_value_t, help_heading = INPUT)]
    pub from: From,

    /// Leave out the elements whose label is this: an integer such as 255 or -100, or nan. (A value that is missing, a
    /// null, is an error, also beside such a label)
    #[arg(long, value_name = "LABEL", value_parser = ignore_label, allow_negative_numbers = true, help_heading = INPUT)]
    pub ignore_label: Option<IgnoreLabel>,

    /// Leave out the elements where this is 0 or false: bool or u8, of the predictions' shape
    #[arg(long, value_name = "M.npy", help_heading = INPUT)]
    pub mask: Option<PathBuf>,

    /// What a NaN, or a label, probability or weight out of its range, does: fail and name the first one, or make its
    /// own results and the reduced ones NaN
    #[arg(long, value_enum, default_value_t, help_heading = INPUT)]
    pub non_finite: NonFinite,

    /// Take over the conventions of another system: what it clips, floors and divides a mean by
    #[arg(long, value_name = "SYSTEM", value_enum, help_heading = OBJECTIVE)]
    pub compat: Option<System>,

    /// What becomes of the losses, and what the gradient is of
    #[arg(long, value_enum, default_value_t, help_heading = OBJECTIVE)]
    pub reduction: Reduce,

    /// Smooth labels z towards 1/2: z·(1 − A) + A/2
    #[arg(long, value_name = "A", value_parser = smoothing, allow_hyphen_values = true, help_heading = OBJECTIVE)]
    pub label_smoothing: Option<f32>,

    /// Focal loss: times (1 − p_t)^G, where p_t is the probability given to the truth
    #[arg(long, value_name = "G", value_parser = weight, allow_hyphen_values = true, help_heading = OBJECTIVE)]
    pub focal_gamma: Option<f32>,

    /// Focal loss: times A for positives, 1 − A for negatives
    #[arg(
        long, value_name = "A", value_parser = unit, allow_hyphen_values = true, requires = "focal_gamma",
        help_heading = OBJECTIVE
    )]
    pub focal_alpha: Option<f32>,

    /// Multiply gradient and hessian by this
    #[arg(
        long, value_name = "FACTOR", default_value_t = 1.0, value_parser = finite, allow_negative_numbers = true,
        help_heading = OBJECTIVE
    )]
    pub scale: f32,

    /// A weight for each element, [N, C], or each sample, [N]: a .npy file beside .npy predictions; else a column or
    /// tensor, or as many columns as --pred names
    #[arg(long, value_name = "W.npy|NAME", help_heading = WEIGHTS)]
    pub weight: Option<String>,

    /// A weight for each class, [C]
    #[arg(
        long, value_name = "A,B,…", value_delimiter = ',', value_parser = weight, allow_hyphen_values = true,
        help_heading = WEIGHTS
    )]
    pub class_weight: Option<Vec<f32>>,

    /// The weight of the positive term −z·log p: one, or one for each class (with --compat xgboost and lightgbm their
    /// scale_pos_weight, which weighs gradient and hessian alone)
    #[arg(
        long, value_name = "Q|Q,R,…", value_delimiter = ',', value_parser = weight, allow_hyphen_values = true,
        help_heading = WEIGHTS
    )]
    pub pos_weight: Option<Vec<f32>>,

    /// Weights of the labels 0 and 1; or `balanced`: n/(2·n₀) and n/(2·n₁), counted in a pass before; with --compat
    /// lightgbm `is-unbalance`, or `balanced`: 1, and for the rarer label how many times rarer it is
    #[arg(
        long, value_name = "W0,W1|balanced", value_parser = label_weight, allow_hyphen_values = true,
        help_heading = WEIGHTS
    )]
    pub label_weight: Option<LabelWeight>,

    /// Write the loss of each element
    #[arg(long, value_name = "F.npy", help_heading = OUTPUT)]
    pub loss_out: Option<PathBuf>,

    /// Write the gradient of the reduced loss with respect to each prediction
    #[arg(long, value_name = "F.npy", help_heading = OUTPUT)]
    pub grad_out: Option<PathBuf>,

    /// Write the diagonal of the hessian
    #[arg(long, value_name = "F.npy", help_heading = OUTPUT)]
    pub hess_out: Option<PathBuf>,

    /// Write the values of --reduction per-class or per-row, f64
    #[arg(long, value_name = "F.npy", help_heading = OUTPUT)]
    pub value_out: Option<PathBuf>,

    /// Print one JSON object and nothing else on stdout
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,

    // Clap's own would be a group of its own, before all others.
    #[arg(short, long, action = ArgAction::Help, help = "Print help (see more with '--help')",
        long_help = "Print help (see a summary with '-h')", help_heading = OUTPUT)]
    help: Option<bool>,

    #[command(flatten)]
    pub device: DeviceArgs,
}

impl EvalArgs {
    /// Whether any number is a label: positive above 0, else negative.
    pub fn any_label(&self) -> bool {
        self.compat == Some(System::Lightgbm)
    }
}

const INPUT: &str = "Input";
const OBJECTIVE: &str = "Objective";
const WEIGHTS: &str = "Weights (finite and at least 0; they multiply)";
const OUTPUT: &str = "Output";
const DEVICE: &str = "Device";

const EVAL_NOTES: &str = "\
Examples:
  logloss eval logits.npy labels.npy
  logloss eval flights.parquet --pred logit --target delayed --json
  logloss eval probs.csv --pred p --target y --from probabilities --device cpu
  logloss eval logits.npy labels.npy --grad-out grad.npy --reduction sum
  logloss eval d.parquet --pred logit --target delayed --weight distance --reduction weighted-mean
  logloss eval logits.npy labels.npy --ignore-label -100 --mask valid.npy --pos-weight 3.2
  logloss eval tags.parquet --pred a,b,c --target x,y,z --reduction per-class --class-weight 1,1,0.5
  logloss eval logits.npy labels.npy --focal-gamma 2 --focal-alpha 0.25 --label-smoothing 0.1
  logloss eval probs.npy labels.npy --from probabilities --compat sklearn --label-weight balanced

With logit x and label z in [0, 1], an element costs w·((1 − z)·softplus(x) + q·z·softplus(−x)): q is --pos-weight, w \
the product of all other weights, z smoothed after w was found. An element that is left out adds to nothing, and its \
loss, gradient and hessian are 0, whatever its prediction and weight.

Predictions may be f16, bf16, f32 or f64 (narrowed to f32), labels of any integer, bool or float type: 0 and 1, or \
probabilities in between. Weights may be of any of these types; other than f16 and f32 they become f32. Logits of plus \
and minus infinity are valid. Outputs are f32, and whole or not there.

A gradient whose mean leaves elements out or is weighted, and labels that are to be balanced, take a pass over the file \
before. The time runs from the first value read to the last output in its place, and GB/s are the bytes of predictions, \
labels, weights, mask and outputs, as they are evaluated (f64 and text as f32, integers as a byte, a mask as bits) and \
counted once, over that time. What is memory-mapped (.npy, .safetensors) is read from \
disk while it is evaluated.

In JSON, `value` is a number, an array for per-class and per-row, and null for none (each element's loss is what \
--loss-out writes) and for per-row with --value-out. A number that is NaN (the mean of no values) or infinite is null; \
`notes` then says which.";

/// List the devices there are, and which one `auto` takes
#[derive(Debug, ArgGroup)]
pub struct DevicesArgs {
    /// Measure what data in host memory costs on each of them (some seconds), and from how many values on an adapter is
    /// faster than the CPU
    #[arg(long)]
    pub measure: bool,

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

    /// File to write: .npy (its labels go to --targets-out), .parquet, .csv or .safetensors
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
    /// adapter: llvmpipe); several, as in cpu,0,1, share the work. With auto, `eval` looks for no GPU where there are at
    /// most 2^24 values (64 MiB of text): a CPU is about done by then
    #[arg(
        long, value_name = "DEVICE,…", default_value = "auto", value_delimiter = ',', value_parser = device,
        help_heading = DEVICE
    )]
    pub device: Vec<Device>,

    /// What each of several devices takes: 1,3 is a quarter and three quarters; by default what their speed says, which
    /// is measured at the start. Other shares give other last bits
    #[arg(
        long, value_name = "A,B,…", value_delimiter = ',', value_parser = share_of_work, allow_hyphen_values = true,
        help_heading = DEVICE
    )]
    pub shares: Option<Vec<f64>>,

    /// Threads that evaluate on the CPU and decode Parquet; by default one for each core
    #[arg(long, value_name = "N", value_parser = threads, help_heading = DEVICE)]
    pub threads: Option<NonZeroUsize>,
}

impl DeviceArgs {
    /// Runs a command on the threads asked for, if a number was named: on one of them, so that they are all there are.
    pub fn on_threads<R: Send>(&self, command: impl FnOnce() -> anyhow::Result<R> + Send) -> anyhow::Result<R> {
        let Some(threads) = self.threads else { return command() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
        pool.build_global().with_context(|| format!("{threads} threads could not be started"))?;
        rayon::scope(|_| command())
    }

    /// Whether it is left open where to run.
    pub fn is_auto(&self) -> bool {
        self.shares.is_none() && matches!(self.device.as_slice(), [Device::Auto])
    }

    /// The engine asked for.
    pub fn engine(&self) -> anyhow::Result<Engine> {
        if let Some(shares) = self.shares.as_ref().filter(|shares| shares.len() != self.device.len()) {
            return Err(usage(
                format_args!("--shares has {} for {} devices", shares.len(), self.device.len()),
                "name as many shares as devices, as in `--device cpu,0 --shares 1,3`",
            ));
        }
        if let [device] = self.device.as_slice() {
            return self.open(device);
        }
        let engines = self.device.iter().map(|device| self.open(device)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(match &self.shares {
            Some(shares) => Engine::multi_with_shares(engines.into_iter().zip(shares.iter().copied()))?,
            None => Engine::multi(engines)?,
        })
    }

    fn open(&self, device: &Device) -> anyhow::Result<Engine> {
        Engine::new_blocking(EngineOptions::new(device.clone())).map_err(|error| match error {
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Reduce {
    /// They stay as they are: see --loss-out; the gradient is that of each element's own loss
    None,
    /// Their sum
    Sum,
    /// Their mean, over the number of elements whatever their weights
    #[default]
    Mean,
    /// Their sum over the sum of the weights
    WeightedMean,
    /// The mean of each class: C values; the gradient is that of each element's own loss
    PerClass,
    /// The mean of each row: N values; the gradient is that of each element's own loss
    PerRow,
}

impl Reduce {
    pub fn reduction(self) -> Reduction {
        match self {
            Reduce::None => Reduction::None,
            Reduce::Sum => Reduction::Sum,
            Reduce::Mean => Reduction::Mean,
            Reduce::WeightedMean => Reduction::WeightedMean,
            Reduce::PerClass => Reduction::PerClass,
            Reduce::PerRow => Reduction::PerRow,
        }
    }
}

/// The systems that conventions are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum System {
    /// BCEWithLogitsLoss; of probabilities BCELoss, whose logarithms are at least −100
    Torch,
    /// Probabilities clipped to [1e-7, 1 − 1e-7]; the mean of nothing is 0. (Of shape [N, C] Keras takes the mean of
    /// a row first: --reduction per-row has its losses, their sum and its gradients are 1/C of those here)
    Keras,
    /// weighted_cross_entropy_with_logits
    #[value(name = "tensorflow")]
    TensorFlow,
    /// log_loss: a mean is weighted, probabilities are clipped by f32's epsilon, and no labels, one alone, soft ones of
    /// probabilities, or weights that are all 0 are errors (unless --non-finite propagate)
    Sklearn,
    /// binary:logistic: a mean is weighted, probabilities are clipped by 1e-16 and the hessian floored
    Xgboost,
    /// binary: a mean is weighted, probabilities are clipped by 1e-15, labels above 0 are positive and all others
    /// negative; label weights weigh gradient and hessian alone
    Lightgbm,
}

impl System {
    pub fn compat(self) -> Compat {
        match self {
            System::Torch => Compat::Torch,
            System::Keras => Compat::Keras,
            System::TensorFlow => Compat::TensorFlow,
            System::Sklearn => Compat::Sklearn,
            System::Xgboost => Compat::Xgboost,
            System::Lightgbm => Compat::Lightgbm,
        }
    }
}

/// A label that leaves its element out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreLabel {
    /// This number, in labels of any type.
    Integer(i128),
    /// NaN, in labels that are floats.
    Nan,
}

/// The weights of labels 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LabelWeight {
    /// These.
    Given([f32; 2]),
    /// Such that both labels weigh the same, as in scikit-learn.
    Balanced,
    /// Such that the rarer label weighs as much as the other one, whose weight is 1, as in LightGBM.
    IsUnbalance,
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

/// A part of the work, in proportion to others.
fn share_of_work(word: &str) -> Result<f64, String> {
    let share = word.trim().parse().ok().filter(|share| *share > 0.0 && *share < f64::INFINITY);
    share.ok_or_else(|| "say a number above 0".into())
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

fn threads(word: &str) -> Result<NonZeroUsize, String> {
    number(word, |_| true, "a whole number that is at least 1")
}

fn finite(word: &str) -> Result<f32, String> {
    number(word, |value: f32| value.is_finite(), "a finite number")
}

fn weight(word: &str) -> Result<f32, String> {
    number(word, |value: f32| value >= 0.0 && value.is_finite(), "a finite number that is at least 0")
}

fn unit(word: &str) -> Result<f32, String> {
    number(word, |value: f32| (0.0..=1.0).contains(&value), "a number from 0 to 1")
}

fn smoothing(word: &str) -> Result<f32, String> {
    number(word, |value: f32| (0.0..1.0).contains(&value), "a number from 0 to below 1")
}

fn label_weight(word: &str) -> Result<LabelWeight, String> {
    match word {
        "balanced" => Ok(LabelWeight::Balanced),
        "is-unbalance" => Ok(LabelWeight::IsUnbalance),
        word => {
            let pair = word.split_once(',').and_then(|(w0, w1)| Some([weight(w0).ok()?, weight(w1).ok()?]));
            let what = "say two finite numbers that are at least 0, as 1,3.5; or balanced; or is-unbalance";
            pair.map(LabelWeight::Given).ok_or_else(|| what.to_owned())
        }
    }
}

fn ignore_label(word: &str) -> Result<IgnoreLabel, String> {
    if word.eq_ignore_ascii_case("nan") {
        return Ok(IgnoreLabel::Nan);
    }
    let within = |label: &i128| (i64::MIN.into()..=u64::MAX.into()).contains(label);
    let label = word.parse().ok().filter(within);
    label.map(IgnoreLabel::Integer).ok_or_else(|| "say an integer, or nan".to_owned())
}

fn share(word: &str) -> Result<f64, String> {
    number(word, |value: f64| value > 0.0 && value < 1.0, "a number between 0 and 1")
}

fn deviation(word: &str) -> Result<f64, String> {
    number(word, |value: f64| (0.0..=1000.0).contains(&value), "a number from 0 to 1000")
}

/// A number that fits; `what` says which do.
pub fn number<T: std::str::FromStr + Copy>(word: &str, fits: impl Fn(T) -> bool, what: &str) -> Result<T, String> {
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
    fn labels_to_ignore() {
        assert_eq!(ignore_label("-100"), Ok(IgnoreLabel::Integer(-100)));
        assert_eq!(ignore_label("18446744073709551615"), Ok(IgnoreLabel::Integer(u64::MAX.into())));
        assert_eq!(ignore_label("NaN"), Ok(IgnoreLabel::Nan));
        for wrong in ["", "0.5", "inf", "18446744073709551616"] {
            assert!(ignore_label(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn label_weights() {
        assert_eq!(label_weight("1,2.5"), Ok(LabelWeight::Given([1.0, 2.5])));
        assert_eq!(label_weight("balanced"), Ok(LabelWeight::Balanced));
        for wrong in ["", "1", "1,2,3", "1,-2", "nan,1", "inf,1"] {
            assert!(label_weight(wrong).is_err(), "{wrong}");
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
