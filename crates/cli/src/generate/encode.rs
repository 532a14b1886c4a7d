//! Values as the bytes of a type, little-endian.

use logloss::half::{bf16, f16};

use crate::args::{FloatType, LabelType};

/// Replaces `bytes` by the bytes of predictions.
pub(super) fn predictions(dtype: FloatType, values: &[f64], bytes: &mut Vec<u8>) {
    bytes.clear();
    match dtype {
        FloatType::F16 => bytes.extend(values.iter().flat_map(|&value| f16::from_f64(value).to_le_bytes())),
        FloatType::Bf16 => bytes.extend(values.iter().flat_map(|&value| bf16::from_f64(value).to_le_bytes())),
        FloatType::F32 => bytes.extend(values.iter().flat_map(|&value| (value as f32).to_le_bytes())),
        FloatType::F64 => bytes.extend(values.iter().flat_map(|&value| value.to_le_bytes())),
    }
}

/// Replaces `bytes` by the bytes of labels.
pub(super) fn labels(dtype: LabelType, values: &[bool], bytes: &mut Vec<u8>) {
    bytes.clear();
    match dtype {
        LabelType::Bool | LabelType::U8 => bytes.extend(values.iter().map(|&label| u8::from(label))),
        LabelType::I32 => bytes.extend(values.iter().flat_map(|&label| i32::from(label).to_le_bytes())),
        LabelType::I64 => bytes.extend(values.iter().flat_map(|&label| i64::from(label).to_le_bytes())),
        LabelType::F32 => bytes.extend(values.iter().flat_map(|&label| f32::from(u8::from(label)).to_le_bytes())),
        LabelType::F64 => bytes.extend(values.iter().flat_map(|&label| f64::from(u8::from(label)).to_le_bytes())),
    }
}

/// Bytes a prediction.
pub(super) fn prediction_size(dtype: FloatType) -> u64 {
    match dtype {
        FloatType::F16 | FloatType::Bf16 => 2,
        FloatType::F32 => 4,
        FloatType::F64 => 8,
    }
}

/// Bytes a label.
pub(super) fn label_size(dtype: LabelType) -> u64 {
    match dtype {
        LabelType::Bool | LabelType::U8 => 1,
        LabelType::I32 | LabelType::F32 => 4,
        LabelType::I64 | LabelType::F64 => 8,
    }
}
