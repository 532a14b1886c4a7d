//! `.safetensors` files.

use std::{fs::File, path::Path, sync::Arc};

use safetensors::{
    Dtype, SafeTensors,
    tensor::{Metadata, SafeTensorError},
};

use super::{
    Source,
    mapped::{self, Array, Pair},
};
use crate::{
    Column, Contradiction, Error, Layout, ReadOptions, Result, Selection, Shape,
    error::{malformed, unreadable},
    number::Number,
    place,
};

/// The number of bytes before the header, which hold its length.
const PREFIX: usize = 8;

/// Opens a file that holds the tensors.
pub(super) fn open(path: &Path, selection: &Selection, options: &ReadOptions) -> Result<Box<dyn Source>> {
    let file = File::open(path).map_err(|error| unreadable(path, &error, "check its permissions"))?;
    let map = Arc::new(mapped::map(path, &file)?);
    let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|error| invalid_header(path, error))?;

    let mut names = metadata.offset_keys();
    names.sort();
    let described: Vec<String> = names.iter().map(|name| describe(&metadata, name)).collect();
    let (predictions, targets) = selection.required(path, "tensor", &described)?;
    let array = |wanted: &str| {
        if wanted.contains(',') && !names.iter().any(|name| name == wanted) {
            return Err(Contradiction::SeveralTensors { path: path.to_owned(), names: wanted.to_owned() }.into());
        }
        let name = &names[place::find(path, "tensor", wanted, &names, &described)?];
        tensor(Column::named(path, "tensor", name), &metadata, name, &map, PREFIX + header)
    };
    let weights = selection.weights.as_deref().map(array).transpose()?;
    Ok(Box::new(Pair::new(array(predictions)?, array(targets)?, weights, options)?))
}

fn describe(metadata: &Metadata, name: &str) -> String {
    let Some(info) = metadata.info(name) else { return name.to_owned() };
    format!("{name} ({} {:?})", info.dtype, info.shape)
}

fn tensor(column: Column, metadata: &Metadata, name: &str, map: &Arc<memmap2::Mmap>, data: usize) -> Result<Array> {
    let info = metadata.info(name).ok_or_else(|| Error::MissingColumn {
        path: column.path().to_owned(),
        kind: "tensor",
        name: name.to_owned(),
        found: metadata.offset_keys(),
    })?;
    let number = number(info.dtype).ok_or_else(|| Error::UnsupportedType {
        column: column.clone(),
        found: info.dtype.to_string(),
        purpose: "evaluated",
        help: "store predictions as BF16, F16, F32 or F64, labels as any integer, bool or float type".to_owned(),
    })?;
    let dimensions: Vec<u64> = info.shape.iter().map(|&n| n as u64).collect();
    let shape = Shape::new(&dimensions).ok_or_else(|| {
        let layout = if dimensions.is_empty() { Layout::Scalar } else { Layout::Dimensions(dimensions) };
        Error::UnsupportedLayout { column: column.clone(), layout }
    })?;
    // That its bytes are there was checked when the header was read.
    let start = data + info.data_offsets.0;
    Ok(Array::new(column, map.clone(), start, number, false, shape))
}

fn number(dtype: Dtype) -> Option<Number> {
    Some(match dtype {
        Dtype::BOOL => Number::Bool,
        Dtype::U8 => Number::U8,
        Dtype::I8 => Number::I8,
        Dtype::U16 => Number::U16,
        Dtype::I16 => Number::I16,
        Dtype::U32 => Number::U32,
        Dtype::I32 => Number::I32,
        Dtype::U64 => Number::U64,
        Dtype::I64 => Number::I64,
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        _ => return None,
    })
}

fn invalid_header(path: &Path, error: SafeTensorError) -> Error {
    const HELP: &str = "write or copy the file again";
    let truncated = |reason: &str| Error::Truncated { column: path.into(), reason: reason.to_owned(), help: HELP };
    match error {
        SafeTensorError::MetadataIncompleteBuffer => {
            truncated("is cut short: its tensors do not end where the file does")
        }
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            truncated("is cut short, or not a .safetensors file: it ends inside its header")
        }
        error => malformed(path, format_args!("is not a .safetensors file: {error}"), HELP),
    }
}
