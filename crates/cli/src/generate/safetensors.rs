//! The header of a `.safetensors` file of synthetic values.

use anyhow::{Context, Result};
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};

use super::encode;
use crate::args::{FloatType, GenerateArgs, LabelType};

/// Tensors begin at a multiple of this many bytes, as the format's own writer has it.
const ALIGN: usize = 8;

/// The bytes before the tensors, and where the predictions and the labels begin in the file.
pub(super) fn header(args: &GenerateArgs) -> Result<(Vec<u8>, u64, u64)> {
    let dtype = match args.dtype {
        FloatType::F16 => Dtype::F16,
        FloatType::Bf16 => Dtype::BF16,
        FloatType::F32 => Dtype::F32,
        FloatType::F64 => Dtype::F64,
    };
    let target_dtype = match args.target_dtype {
        LabelType::Bool => Dtype::BOOL,
        LabelType::U8 => Dtype::U8,
        LabelType::I32 => Dtype::I32,
        LabelType::I64 => Dtype::I64,
        LabelType::F32 => Dtype::F32,
        LabelType::F64 => Dtype::F64,
    };
    let bytes = |size: u64| args.len.checked_mul(size).and_then(|bytes| usize::try_from(bytes).ok());
    let too_many = || format!("{}: too many values for one file", args.out.display());
    let len = usize::try_from(args.len).with_context(too_many)?;
    let middle = bytes(encode::prediction_size(args.dtype)).with_context(too_many)?;
    let end = bytes(encode::label_size(args.target_dtype)).and_then(|bytes| middle.checked_add(bytes));
    let end = end.with_context(too_many)?;
    let tensors = vec![
        (args.pred.clone(), TensorInfo { dtype, shape: vec![len], data_offsets: (0, middle) }),
        (args.target.clone(), TensorInfo { dtype: target_dtype, shape: vec![len], data_offsets: (middle, end) }),
    ];
    let mut text = serde_json::to_vec(&Metadata::new(None, tensors)?)?;
    text.resize(text.len().next_multiple_of(ALIGN), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    let start = header.len() as u64;
    Ok((header, start, start + middle as u64))
}
