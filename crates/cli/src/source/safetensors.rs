//! `.safetensors` files.

use std::{fs::File, path::Path, sync::Arc};

use anyhow::Result;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{Metadata, SafeTensorError},
};

use super::{
    Column, Named, Shape, Source, Wish, column,
    mapped::{self, Array, Pair},
    number::Number,
};
use crate::failure::{fault, usage};

/// Bytes before the header: its length.
const PREFIX: usize = 8;

/// Opens a file that holds the tensors.
pub fn open(path: &Path, named: Named<'_>, wish: Wish) -> Result<Box<dyn Source>> {
    let shown = path.display();
    let file = File::open(path)
        .map_err(|error| fault(format_args!("{shown}: cannot be read: {error}"), "check its permissions"))?;
    let map = Arc::new(mapped::map(path, &file)?);
    let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|error| unreadable(path, error))?;

    let mut names = metadata.offset_keys();
    names.sort();
    let described: Vec<String> = names.iter().map(|name| describe(&metadata, name)).collect();
    let (pred, target) = named.both(path, "tensor", &described)?;
    let array = |wanted: &str| {
        if wanted.contains(',') && !names.iter().any(|name| name == wanted) {
            return Err(usage(
                format_args!("{shown}: '{wanted}' names several tensors"),
                "name one: classes are the columns of a tensor of shape [N, C]",
            ));
        }
        let name = &names[column::find(path, "tensor", wanted, &names, &described)?];
        tensor(Column::named(path, "tensor", name), &metadata, name, &map, PREFIX + header)
    };
    let weights = named.weight.map(array).transpose()?;
    Ok(Box::new(Pair::new(array(pred)?, array(target)?, weights, wish)?))
}

fn describe(metadata: &Metadata, name: &str) -> String {
    let Some(info) = metadata.info(name) else { return name.to_owned() };
    format!("{name} ({} {:?})", info.dtype, info.shape)
}

fn tensor(column: Column, metadata: &Metadata, name: &str, map: &Arc<memmap2::Mmap>, data: usize) -> Result<Array> {
    let info = metadata.info(name).ok_or_else(|| fault(&column, "there is no such tensor"))?;
    let number = number(info.dtype).ok_or_else(|| {
        fault(
            format_args!("{column}: {} values cannot be evaluated", info.dtype),
            "store predictions as BF16, F16, F32 or F64, labels as any integer, bool or float type",
        )
    })?;
    let dimensions: Vec<u64> = info.shape.iter().map(|&n| n as u64).collect();
    let shape = Shape::new(&dimensions).ok_or_else(|| {
        fault(format_args!("{column}: has shape {dimensions:?}"), "store it as [N] or [N, C]: t.reshape(-1)")
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

fn unreadable(path: &Path, error: SafeTensorError) -> anyhow::Error {
    let reason = match error {
        SafeTensorError::MetadataIncompleteBuffer => "is cut short: its tensors do not end where the file does".into(),
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            "is cut short, or no .safetensors file: it ends inside its header".into()
        }
        error => format!("is no .safetensors file: {error}"),
    };
    fault(format_args!("{}: {reason}", path.display()), "write or copy the file again")
}
