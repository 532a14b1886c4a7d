//! What a row measures: which outputs are computed, from which types, for how many values.

use std::{fmt, str::FromStr};

use logloss::{PredictionType, TargetType};

use crate::ParseError;

/// What an evaluation computes: always the mean, and any of loss, gradient and hessian of every element. Its name is
/// `mean`, `mean+grad`, `mean+loss+grad+hess`, …
///
/// ```
/// use logloss_bench::Work;
///
/// assert_eq!("mean+grad".parse(), Ok(Work::GRADIENT));
/// assert_eq!(Work::HESSIAN.to_string(), "mean+grad+hess");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Work {
    /// Whether loss, gradient and hessian are written, in this order.
    pub outputs: [bool; 3],
}

impl Work {
    /// The mean alone.
    pub const MEAN: Self = Self { outputs: [false; 3] };
    /// The mean and the gradient.
    pub const GRADIENT: Self = Self { outputs: [false, true, false] };
    /// The mean, the gradient and the hessian.
    pub const HESSIAN: Self = Self { outputs: [false, true, true] };

    /// The mean, and those of loss, gradient and hessian that are true, in this order.
    pub const fn new(outputs: [bool; 3]) -> Self {
        Self { outputs }
    }

    /// The number of outputs that are written.
    pub fn count(self) -> usize {
        self.outputs.into_iter().filter(|on| *on).count()
    }
}

/// The names of the outputs.
const OUTPUTS: [&str; 3] = ["loss", "grad", "hess"];

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = OUTPUTS.into_iter().zip(self.outputs).filter(|(_, on)| *on).map(|(name, _)| name);
        f.pad(&std::iter::once("mean").chain(parts).collect::<Vec<_>>().join("+"))
    }
}

impl FromStr for Work {
    type Err = ParseError;

    fn from_str(word: &str) -> Result<Self, ParseError> {
        let wrong = || {
            let names = "mean, mean+loss, mean+grad, mean+grad+hess, mean+loss+grad+hess";
            ParseError::new(format!("'{word}' is none of {names}"))
        };
        let mut work = Self::MEAN;
        let mut parts = word.trim().split('+');
        if parts.next() != Some("mean") {
            return Err(wrong());
        }
        for part in parts {
            let at = OUTPUTS.iter().position(|name| *name == part).ok_or_else(wrong)?;
            work.outputs[at] = true;
        }
        Ok(work)
    }
}

/// The types that predictions and targets are stored in. Its name is `f32/u8`, `f16/bits`, …
///
/// ```
/// use logloss_bench::Inputs;
///
/// assert_eq!("f32/u8".parse(), Ok(Inputs::F32_U8));
/// assert_eq!(Inputs::F32_BITS.bytes(), 4.125); // of a value
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Inputs {
    /// The type of the predictions.
    pub prediction: PredictionType,
    /// The type of the targets.
    pub target: TargetType,
}

impl Inputs {
    /// Predictions and targets as f32.
    pub const F32: Self = Self { prediction: PredictionType::F32, target: TargetType::F32 };
    /// Predictions as f32, targets as bytes.
    pub const F32_U8: Self = Self { prediction: PredictionType::F32, target: TargetType::U8 };
    /// Predictions as f32, targets as bits.
    pub const F32_BITS: Self = Self { prediction: PredictionType::F32, target: TargetType::Bits };
    /// Predictions as f16, targets as bytes.
    pub const F16_U8: Self = Self { prediction: PredictionType::F16, target: TargetType::U8 };
    /// Predictions as bf16, targets as bytes.
    pub const BF16_U8: Self = Self { prediction: PredictionType::Bf16, target: TargetType::U8 };

    /// Predictions and targets of these types.
    pub const fn new(prediction: PredictionType, target: TargetType) -> Self {
        Self { prediction, target }
    }

    /// The sizes of a prediction and of a target in bits.
    pub fn bits(self) -> [u64; 2] {
        [self.prediction.bits(), self.target.bits()]
    }

    /// The size of a prediction and its target together, in bytes.
    pub fn bytes(self) -> f64 {
        self.bits().iter().sum::<u64>() as f64 / 8.0
    }
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.prediction, self.target))
    }
}

impl FromStr for Inputs {
    type Err = ParseError;

    fn from_str(word: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new(format!("'{word}' is not f32, f16 or bf16, a slash, and f32, u8 or bits"));
        let (prediction, target) = word.trim().split_once('/').ok_or_else(wrong)?;
        let prediction = match prediction {
            "f32" => PredictionType::F32,
            "f16" => PredictionType::F16,
            "bf16" => PredictionType::Bf16,
            _ => return Err(wrong()),
        };
        let target = match target {
            "f32" => TargetType::F32,
            "u8" => TargetType::U8,
            "bits" => TargetType::Bits,
            _ => return Err(wrong()),
        };
        Ok(Self { prediction, target })
    }
}

/// One point of the sweep: what a row measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The number of values in a batch.
    pub n: usize,
    /// The types of the inputs.
    pub inputs: Inputs,
    /// What is computed.
    pub work: Work,
}

/// The size from which on batches are read from memory; smaller ones are read from cache.
pub(crate) const FROM_MEMORY: usize = 1 << 20;

impl Cell {
    /// The number of bytes that any device has to move for an element.
    pub(crate) fn bytes_per_element(self) -> f64 {
        self.inputs.bytes() + 4.0 * self.work.count() as f64
    }

    /// The numbers of bytes that have to be read and to be written for the whole batch.
    pub(crate) fn bytes(self) -> [u64; 2] {
        let [prediction, target] = self.inputs.bits().map(|bits| (bits * self.n as u64).div_ceil(8));
        [prediction + target, 4 * (self.work.count() * self.n) as u64]
    }

    /// The number of batches that calls cycle through, one after the other in memory, so that they span `reach` bytes
    /// as far as `available` values suffice.
    pub(crate) fn sets(self, reach: u64, available: usize) -> usize {
        if self.n < FROM_MEMORY {
            return 1;
        }
        let [read, written] = self.bytes();
        (reach.div_ceil(read + written) as usize).clamp(1, (available / self.n).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["mean", "mean+loss", "mean+grad", "mean+grad+hess", "mean+loss+grad+hess"] {
            assert_eq!(name.parse::<Work>().unwrap().to_string(), name);
        }
        for name in ["f32/f32", "f16/u8", "bf16/bits"] {
            assert_eq!(name.parse::<Inputs>().unwrap().to_string(), name);
        }
        assert!(["", "grad", "mean+", "mean+gradient"].iter().all(|word| word.parse::<Work>().is_err()));
        assert!(["", "f32", "f64/u8", "f32/i64"].iter().all(|word| word.parse::<Inputs>().is_err()));
    }

    /// The bytes that the README counts for an element.
    #[test]
    fn bytes_an_element() {
        let bytes = |inputs, work| Cell { n: 1 << 20, inputs, work }.bytes_per_element();
        assert_eq!(bytes(Inputs::F32, Work::GRADIENT), 12.0);
        assert_eq!(bytes(Inputs::F32_U8, Work::GRADIENT), 9.0);
        assert_eq!(bytes(Inputs::F32_BITS, Work::GRADIENT), 8.125);
        assert_eq!(bytes(Inputs::F32, Work::MEAN), 8.0);
        assert_eq!(bytes(Inputs::F32_U8, Work::MEAN), 5.0);
        assert_eq!(bytes(Inputs::F32_BITS, Work::MEAN), 4.125);
        assert_eq!(Cell { n: 5, inputs: Inputs::F32_BITS, work: Work::HESSIAN }.bytes(), [21, 40]);
    }

    #[test]
    fn rounds_outgrow_the_cache() {
        let cell = |n| Cell { n, inputs: Inputs::F32, work: Work::GRADIENT };
        let mib = 1 << 20;
        assert_eq!(cell(1 << 16).sets(128 * mib, 1 << 30), 1);
        assert_eq!(cell(1 << 20).sets(128 * mib, 1 << 30), 11);
        assert_eq!(cell(1 << 20).sets(128 * mib, 1 << 22), 4);
        assert_eq!(cell(1 << 26).sets(128 * mib, 1 << 26), 1);
    }
}
