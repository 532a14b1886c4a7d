//! The numbers by which the kernels know the types of the arrays, and the constants that name these numbers in WGSL.

use crate::{Ignore, OutputType, PredictionType, TargetType, WeightType, gpu::layout};

/// The code of how an output is stored, if it is.
pub(crate) fn output(ty: Option<OutputType>) -> u32 {
    ty.map_or(0, |ty| 1 + ty as u32)
}

/// The code of how weights are stored, if there are any.
pub(crate) fn weight(ty: Option<WeightType>) -> u32 {
    ty.map_or(0, |ty| 1 + ty as u32)
}

/// The code of which targets are ignored.
pub(crate) fn ignore(ignore: Option<Ignore>) -> u32 {
    match ignore {
        None => 0,
        Some(Ignore::Label(_)) => 1,
        Some(Ignore::Nan) => 2,
    }
}

/// The declarations of all codes.
pub(crate) fn declarations() -> String {
    layout::constants(&[
        ("PREDICTION_F32", PredictionType::F32 as u32),
        ("PREDICTION_F16", PredictionType::F16 as u32),
        ("PREDICTION_BF16", PredictionType::Bf16 as u32),
        ("TARGET_F32", TargetType::F32 as u32),
        ("TARGET_U8", TargetType::U8 as u32),
        ("TARGET_BITS", TargetType::Bits as u32),
        ("OUTPUT_NONE", output(None)),
        ("OUTPUT_F32", output(Some(OutputType::F32))),
        ("OUTPUT_F16", output(Some(OutputType::F16))),
        ("OUTPUT_BF16", output(Some(OutputType::Bf16))),
        ("WEIGHT_NONE", weight(None)),
        ("WEIGHT_F32", weight(Some(WeightType::F32))),
        ("WEIGHT_F16", weight(Some(WeightType::F16))),
        ("IGNORE_NOTHING", ignore(None)),
        ("IGNORE_LABEL", ignore(Some(Ignore::Label(0)))),
        ("IGNORE_NAN", ignore(Some(Ignore::Nan))),
    ])
}
