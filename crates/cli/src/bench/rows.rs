//! What a row of the benchmark is about: what is computed, from what.

use std::{fmt, str::FromStr};

use logloss::{PredictionType, TargetType};

/// The outputs of an evaluation: loss, gradient, hessian, each written or not. The mean there is always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// Loss, gradient, hessian.
    pub outputs: [bool; 3],
}

impl Work {
    /// The mean alone.
    pub const MEAN: Self = Self { outputs: [false; 3] };
    /// With the gradient.
    pub const GRADIENT: Self = Self { outputs: [false, true, false] };
    /// With gradient and hessian.
    pub const HESSIAN: Self = Self { outputs: [false, true, true] };

    /// How many outputs are written.
    pub fn count(self) -> usize {
        self.outputs.into_iter().filter(|on| *on).count()
    }
}

const PARTS: [&str; 3] = ["loss", "grad", "hess"];

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = PARTS.into_iter().zip(self.outputs).filter(|(_, on)| *on).map(|(name, _)| name);
        f.pad(&std::iter::once("mean").chain(parts).collect::<Vec<_>>().join("+"))
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || format!("'{word}' is none of mean, mean+loss, mean+grad, mean+grad+hess, mean+loss+grad+hess");
        let mut work = Self::MEAN;
        let mut parts = word.trim().split('+');
        if parts.next() != Some("mean") {
            return Err(wrong());
        }
        for part in parts {
            let at = PARTS.iter().position(|name| *name == part).ok_or_else(wrong)?;
            work.outputs[at] = true;
        }
        Ok(work)
    }
}

/// The types that predictions and targets are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inputs {
    /// Of the predictions.
    pub prediction: PredictionType,
    /// Of the targets.
    pub target: TargetType,
}

impl Inputs {
    /// Both f32.
    pub const F32: Self = Self { prediction: PredictionType::F32, target: TargetType::F32 };
    /// f32 with a byte each.
    pub const F32_U8: Self = Self { prediction: PredictionType::F32, target: TargetType::U8 };
    /// f32 with a bit each.
    pub const F32_BITS: Self = Self { prediction: PredictionType::F32, target: TargetType::Bits };
    /// f16 with a byte each.
    pub const F16_U8: Self = Self { prediction: PredictionType::F16, target: TargetType::U8 };
    /// bf16 with a byte each.
    pub const BF16_U8: Self = Self { prediction: PredictionType::Bf16, target: TargetType::U8 };

    /// The name of the predictions' type.
    pub fn predictions(self) -> &'static str {
        match self.prediction {
            PredictionType::F32 => "f32",
            PredictionType::F16 => "f16",
            PredictionType::Bf16 => "bf16",
        }
    }

    /// The name of the targets' type.
    pub fn targets(self) -> &'static str {
        match self.target {
            TargetType::F32 => "f32",
            TargetType::U8 => "u8",
            TargetType::Bits => "bits",
        }
    }

    /// Bits that a prediction and a target take.
    pub fn bits(self) -> [u64; 2] {
        let prediction = if self.prediction == PredictionType::F32 { 32 } else { 16 };
        let target = match self.target {
            TargetType::F32 => 32,
            TargetType::U8 => 8,
            TargetType::Bits => 1,
        };
        [prediction, target]
    }

    /// Bytes that an element's inputs take.
    pub fn bytes(self) -> f64 {
        self.bits().iter().sum::<u64>() as f64 / 8.0
    }
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.predictions(), self.targets()))
    }
}

impl FromStr for Inputs {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || format!("'{word}' is not f32, f16 or bf16, a slash, and f32, u8 or bits");
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

/// One cell of the sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Values a batch.
    pub n: usize,
    /// Types of the inputs.
    pub inputs: Inputs,
    /// The outputs.
    pub work: Work,
}

/// Batches of at least this many values are read from memory, smaller ones from cache.
pub const FROM_MEMORY: usize = 1 << 20;

impl Cell {
    /// Bytes an element: what any device has to move.
    pub fn bytes_per_element(self) -> f64 {
        self.inputs.bytes() + 4.0 * self.work.count() as f64
    }

    /// Bytes that have to be read and written for the whole batch.
    pub fn bytes(self) -> [u64; 2] {
        let [prediction, target] = self.inputs.bits().map(|bits| (bits * self.n as u64).div_ceil(8));
        [prediction + target, 4 * (self.work.count() * self.n) as u64]
    }

    /// How many batches, one after the other in memory, to go round through so that they span `reach` bytes, if
    /// there are `available` values.
    pub fn sets(self, reach: u64, available: usize) -> usize {
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

    /// As the project counts them.
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
