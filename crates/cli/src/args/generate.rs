//! The command line of `logloss generate`.

use std::path::PathBuf;

use clap::{Args as ArgGroup, ValueEnum};

use logloss::Form;
use logloss_io::Number;

use super::{
    choices::{FORMS, parser},
    number,
};

/// Make reproducible synthetic predictions and labels
///
/// Every value has a true logit, normally distributed, and a label drawn with that logit's probability; the
/// prediction is the true logit plus noise. The same arguments give the same files.
#[derive(Debug, ArgGroup)]
pub(crate) struct GenerateArgs {
    /// The number of values: 1000000, 1_000_000 or 1e6; at most 2^53, which is 9_007_199_254_740_992
    #[arg(value_name = "N", value_parser = count)]
    pub len: u64,

    /// File to write: .npy (its labels go to --targets-out), .parquet, .csv or .safetensors
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// File to write the labels to, beside a .npy file of predictions
    #[arg(long, value_name = "F.npy")]
    pub targets_out: Option<PathBuf>,

    /// Overwrite files that exist
    #[arg(long)]
    pub force: bool,

    /// Name of the column or tensor of predictions
    #[arg(long, value_name = "NAME", default_value = "logit")]
    pub pred: String,

    /// Name of the column or tensor of labels
    #[arg(long, value_name = "NAME", default_value = "label")]
    pub target: String,

    /// Write logits or probabilities
    #[arg(long = "as", value_name = "FORM", value_parser = parser(FORMS, logloss::Form::name), default_value = "logits")]
    pub form: Form,

    /// Seed of the random numbers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Expected share of labels that are 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = share)]
    pub base_rate: f64,

    /// Standard deviation of the true logits
    #[arg(long, value_name = "SD", default_value_t = 1.5, value_parser = deviation)]
    pub spread: f64,

    /// Standard deviation of the noise that is added to the true logits to make predictions
    #[arg(long, value_name = "SD", default_value_t = 0.0, value_parser = deviation)]
    pub noise: f64,

    /// Type of the predictions (bf16 only in .safetensors)
    #[arg(long, value_name = "TYPE", value_enum, default_value = "f32")]
    pub dtype: FloatType,

    /// Type of the labels
    #[arg(long, value_name = "TYPE", value_enum, default_value = "u8")]
    pub target_dtype: LabelType,
}

/// Types that predictions are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloatType {
    F16,
    Bf16,
    F32,
    F64,
}

/// Types that labels are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LabelType {
    Bool,
    U8,
    I32,
    I64,
    F32,
    F64,
}

impl FloatType {
    /// The same among all types.
    pub(crate) fn number(self) -> Number {
        match self {
            FloatType::F16 => Number::F16,
            FloatType::Bf16 => Number::Bf16,
            FloatType::F32 => Number::F32,
            FloatType::F64 => Number::F64,
        }
    }
}

impl LabelType {
    /// The same among all types.
    pub(crate) fn number(self) -> Number {
        match self {
            LabelType::Bool => Number::Bool,
            LabelType::U8 => Number::U8,
            LabelType::I32 => Number::I32,
            LabelType::I64 => Number::I64,
            LabelType::F32 => Number::F32,
            LabelType::F64 => Number::F64,
        }
    }
}

/// The most values: up to there a number written as 1e15 is exact, and the bytes of a file are counted in 64 bits.
const MOST_VALUES: u64 = 1 << 53;

/// A number of values, which may be written as 1e9 or 1_000_000.
fn count(word: &str) -> Result<u64, String> {
    let digits = word.replace('_', "");
    let exact = digits.parse::<u64>().ok();
    let rounded = || {
        let value = digits.parse::<f64>().ok()?;
        (value >= 0.0 && value.fract() == 0.0 && value <= MOST_VALUES as f64).then_some(value as u64)
    };
    let number = exact.or_else(rounded).filter(|&number| number <= MOST_VALUES);
    number.ok_or_else(|| format!("pass a whole number of at most {MOST_VALUES}, such as 1000000 or 1e6"))
}

fn share(word: &str) -> Result<f64, String> {
    number(word, |value: f64| value > 0.0 && value < 1.0, "a number between 0 and 1")
}

fn deviation(word: &str) -> Result<f64, String> {
    number(word, |value: f64| (0.0..=1000.0).contains(&value), "a number from 0 to 1000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(count("1_000"), Ok(1000));
        assert_eq!(count("1e9"), Ok(1_000_000_000));
        assert_eq!(count("9007199254740992"), Ok(MOST_VALUES));
        for wrong in ["", "9007199254740993", "1e16", "-1", "1.5", "1e300", "many", "NaN"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }
}
