//! How values are stored: the types that arrays have on a device.

use crate::{Floats, Targets, Weights};

/// How predictions are stored on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PredictionType {
    /// IEEE binary32, 4 bytes a value.
    F32,
    /// IEEE binary16, 2 bytes a value.
    F16,
    /// bfloat16, 2 bytes a value.
    Bf16,
}

crate::names::names!("type of predictions", PredictionType { F32 = "f32", F16 = "f16", Bf16 = "bf16" });

/// How outputs are stored on a device.
///
/// Narrower ones are rounded once from what f32 would hold, as [`FloatsMut`](crate::FloatsMut) says: alike on every
/// device and in host memory. They take two bytes a value, and whole words of 4 bytes in all: behind an odd number of
/// values a region has room for two more bytes, which are kept as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputType {
    /// IEEE binary32, 4 bytes a value.
    #[default]
    F32,
    /// IEEE binary16, 2 bytes a value.
    F16,
    /// bfloat16, 2 bytes a value.
    Bf16,
}

crate::names::names!("type of outputs", OutputType { F32 = "f32", F16 = "f16", Bf16 = "bf16" });

/// How targets are stored on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TargetType {
    /// Soft targets in [0, 1], 4 bytes a value.
    F32,
    /// Hard targets, one byte a value, 0 or 1. A `bool` of Rust is one.
    U8,
    /// Hard targets, 32 a word, least significant bit first.
    Bits,
}

crate::names::names!("type of targets", TargetType { F32 = "f32", U8 = "u8", Bits = "bits" });

impl PredictionType {
    /// The size of a value in bits.
    pub fn bits(self) -> u64 {
        match self {
            PredictionType::F32 => 32,
            PredictionType::F16 | PredictionType::Bf16 => 16,
        }
    }

    /// Bytes that `len` values take, whole words.
    pub fn bytes(self, len: u64) -> u64 {
        match self {
            PredictionType::F32 => len * 4,
            PredictionType::F16 | PredictionType::Bf16 => (len * 2).next_multiple_of(4),
        }
    }
}

impl OutputType {
    /// Bytes that `len` values take, whole words.
    pub fn bytes(self, len: u64) -> u64 {
        match self {
            OutputType::F32 => len * 4,
            OutputType::F16 | OutputType::Bf16 => (len * 2).next_multiple_of(4),
        }
    }

    /// Whether two values share a word.
    pub(crate) fn is_narrow(self) -> bool {
        self != OutputType::F32
    }
}

impl TargetType {
    /// The size of a value in bits.
    pub fn bits(self) -> u64 {
        match self {
            TargetType::F32 => 32,
            TargetType::U8 => 8,
            TargetType::Bits => 1,
        }
    }

    /// Bytes that `len` values take, whole words.
    pub fn bytes(self, len: u64) -> u64 {
        match self {
            TargetType::F32 => len * 4,
            TargetType::U8 => len.next_multiple_of(4),
            TargetType::Bits => len.div_ceil(32) * 4,
        }
    }
}

/// How weights are stored on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WeightType {
    /// IEEE binary32, 4 bytes a weight.
    F32,
    /// IEEE binary16, 2 bytes a weight.
    F16,
}

crate::names::names!("type of weights", WeightType { F32 = "f32", F16 = "f16" });

impl WeightType {
    /// Bytes that `len` weights take, whole words.
    pub fn bytes(self, len: u64) -> u64 {
        match self {
            WeightType::F32 => len * 4,
            WeightType::F16 => (len * 2).next_multiple_of(4),
        }
    }
}

impl From<&Weights<'_>> for WeightType {
    fn from(weights: &Weights<'_>) -> Self {
        match weights {
            Weights::F32(_) => WeightType::F32,
            Weights::F16(_) => WeightType::F16,
        }
    }
}

impl From<&Floats<'_>> for PredictionType {
    fn from(floats: &Floats<'_>) -> Self {
        match floats {
            Floats::F32(_) => PredictionType::F32,
            Floats::F16(_) => PredictionType::F16,
            Floats::Bf16(_) => PredictionType::Bf16,
        }
    }
}

impl From<&Targets<'_>> for TargetType {
    fn from(targets: &Targets<'_>) -> Self {
        match targets {
            Targets::F32(_) => TargetType::F32,
            Targets::U8(_) | Targets::Bool(_) => TargetType::U8,
            Targets::Bits(_) => TargetType::Bits,
        }
    }
}
