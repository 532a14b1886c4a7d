//! The storage types of arrays on a device.

use crate::{Floats, Targets, Weights};

/// The storage type of predictions on a device.
///
/// ```
/// use logloss::{Floats, PredictionType, half::f16};
///
/// let halves = [f16::ONE; 3];
/// let ty = PredictionType::from(&Floats::from(&halves));
/// assert_eq!((ty, ty.bytes(3)), (PredictionType::F16, 8)); // whole words of 4 bytes
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PredictionType {
    /// IEEE binary32, 4 bytes per value.
    F32,
    /// IEEE binary16, 2 bytes per value.
    F16,
    /// bfloat16, 2 bytes per value.
    Bf16,
}

crate::names::names!("type of predictions", PredictionType { F32 = "f32", F16 = "f16", Bf16 = "bf16" });

/// The storage type of outputs on a device.
///
/// Values of the narrower types are the f32 results rounded once, as described at [`FloatsMut`](crate::FloatsMut), with
/// the same bits on every device and in host memory. They take two bytes per value, and a region is a whole number of
/// 4-byte words: after an odd number of values, the last two bytes of the region keep their content.
///
/// ```
/// use logloss::OutputType;
///
/// assert_eq!([OutputType::F32.bytes(3), OutputType::F16.bytes(3)], [12, 8]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputType {
    /// IEEE binary32, 4 bytes per value.
    #[default]
    F32,
    /// IEEE binary16, 2 bytes per value.
    F16,
    /// bfloat16, 2 bytes per value.
    Bf16,
}

crate::names::names!("type of outputs", OutputType { F32 = "f32", F16 = "f16", Bf16 = "bf16" });

/// The storage type of targets on a device.
///
/// ```
/// use logloss::TargetType;
///
/// let bytes = [TargetType::F32, TargetType::U8, TargetType::Bits].map(|ty| ty.bytes(33));
/// assert_eq!(bytes, [132, 36, 8]);
/// assert_eq!("u8".parse::<TargetType>()?, TargetType::U8);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TargetType {
    /// Soft targets in [0, 1], IEEE binary32, 4 bytes per value.
    F32,
    /// Hard targets, 0 or 1, one byte per value. Rust's `bool` has this layout.
    U8,
    /// Hard targets, 32 per 4-byte word, least significant bit first.
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

    /// The number of bytes that `len` values take, rounded up to a multiple of 4.
    pub fn bytes(self, len: u64) -> u64 {
        match self {
            PredictionType::F32 => len * 4,
            PredictionType::F16 | PredictionType::Bf16 => (len * 2).next_multiple_of(4),
        }
    }
}

impl OutputType {
    /// The number of bytes that `len` values take, rounded up to a multiple of 4.
    pub fn bytes(self, len: u64) -> u64 {
        match self {
            OutputType::F32 => len * 4,
            OutputType::F16 | OutputType::Bf16 => (len * 2).next_multiple_of(4),
        }
    }

    /// Whether two values share a 4-byte word.
    #[cfg(feature = "gpu")]
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

    /// The number of bytes that `len` values take, rounded up to a multiple of 4.
    pub fn bytes(self, len: u64) -> u64 {
        match self {
            TargetType::F32 => len * 4,
            TargetType::U8 => len.next_multiple_of(4),
            TargetType::Bits => len.div_ceil(32) * 4,
        }
    }
}

/// The storage type of weights on a device.
///
/// ```
/// use logloss::{WeightType, Weights};
///
/// let weights = Weights::F32(&[1.0, 0.5]);
/// assert_eq!(WeightType::from(&weights).bytes(2), 8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WeightType {
    /// IEEE binary32, 4 bytes per weight.
    F32,
    /// IEEE binary16, 2 bytes per weight.
    F16,
}

crate::names::names!("type of weights", WeightType { F32 = "f32", F16 = "f16" });

impl WeightType {
    /// The number of bytes that `len` weights take, rounded up to a multiple of 4.
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

/// The type of the predictions on a device, which receives f64 as f32.
impl From<&Floats<'_>> for PredictionType {
    fn from(floats: &Floats<'_>) -> Self {
        match floats {
            Floats::F32(_) | Floats::F64(_) => PredictionType::F32,
            Floats::F16(_) => PredictionType::F16,
            Floats::Bf16(_) => PredictionType::Bf16,
        }
    }
}

/// The type of the targets on a device, which receives i64 as f32.
impl From<&Targets<'_>> for TargetType {
    fn from(targets: &Targets<'_>) -> Self {
        match targets {
            Targets::F32(_) | Targets::I64(_) => TargetType::F32,
            Targets::U8(_) | Targets::Bool(_) => TargetType::U8,
            Targets::Bits(_) => TargetType::Bits,
        }
    }
}
