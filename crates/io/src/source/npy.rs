//! NumPy's `.npy` files.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Seek},
    path::Path,
    sync::Arc,
};

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar, TypeStr};

use super::{
    Source,
    mapped::{self, Array, Pair},
};
use crate::{
    Column, Error, Layout, ReadOptions, Result, Shape,
    error::{malformed, unreadable},
    number::Number,
};

const REWRITE: &str = "write it with numpy.save";

/// The type that `numpy.save` gives float8_e5m2 of ml_dtypes, and that `numpy.load` refuses.
const FLOAT8_E5M2: &str = "'<f1'";

/// Opens a file of predictions, one of targets, and one of weights if there is one.
pub(super) fn open(
    predictions: &Path,
    targets: &Path,
    weights: Option<&Path>,
    options: &ReadOptions,
) -> Result<Box<dyn Source>> {
    let mut notes = Vec::new();
    let predictions = array(predictions, &mut notes)?;
    let targets = array(targets, &mut notes)?;
    let weights = weights.map(|path| array(path, &mut notes)).transpose()?;
    let mut pair = Pair::new(predictions, targets, weights, options)?;
    notes.into_iter().for_each(|note| pair.note(note));
    Ok(Box::new(pair))
}

/// Maps the array in a file.
pub(super) fn array(path: &Path, notes: &mut Vec<String>) -> Result<Array> {
    let trouble = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => Error::Truncated {
            column: Column::whole(path),
            reason: "is cut short: the file ends inside its header".to_owned(),
            help: REWRITE,
        },
        ErrorKind::InvalidData if error.to_string().contains(FLOAT8_E5M2) => Error::UnsupportedType {
            column: Column::whole(path),
            found: format!("float8_e5m2 ({FLOAT8_E5M2})"),
            purpose: "evaluated",
            help: "f16 holds every value of it: save a.astype('float16')".to_owned(),
        },
        ErrorKind::InvalidData => malformed(path, format_args!("is not a .npy file: {error}"), REWRITE),
        _ => unreadable(path, &error, REWRITE),
    };
    let mut file = BufReader::new(File::open(path).map_err(trouble)?);
    let header = NpyHeader::from_reader(&mut file).map_err(trouble)?;
    let start = file.stream_position().map_err(trouble)?;
    let file = file.into_inner();
    let there = file.metadata().map_err(trouble)?.len() - start;

    let (number, big_endian) = number(path, &header.dtype())?;
    let dimensions = header.shape();
    let column = Column::whole(path);
    let unsupported = |layout| Error::UnsupportedLayout { column: column.clone(), layout };
    let Some(shape) = Shape::new(dimensions) else {
        return Err(match dimensions.len() {
            1 | 2 => mapped::truncated(&column, dimensions, number, there),
            0 => unsupported(Layout::Scalar),
            _ => unsupported(Layout::Dimensions(dimensions.to_vec())),
        });
    };
    // With one row or one column, both orders are the same.
    if header.order() == Order::Fortran && dimensions.iter().filter(|&&n| n != 1).count() > 1 {
        return Err(unsupported(Layout::Fortran(dimensions.to_vec())));
    }
    let needed = shape.value_count().and_then(|len| len.checked_mul(number.size() as u64));
    match needed {
        Some(needed) if needed <= there => {
            if needed < there {
                notes.push(format!("{column}: {} bytes after the array were left unread", there - needed));
            }
        }
        _ => return Err(mapped::truncated(&column, dimensions, number, there)),
    }
    let map = Arc::new(mapped::map(path, &file)?);
    Ok(Array::new(column, map, start as usize, number, big_endian, shape))
}

/// The type of an array's values, and whether they are big-endian.
fn number(path: &Path, dtype: &DType) -> Result<(Number, bool)> {
    let column = Column::whole(path);
    let unsupported = |help: &str| Error::UnsupportedType {
        column: column.clone(),
        found: dtype.descr(),
        purpose: "evaluated",
        help: help.to_owned(),
    };
    let plain = match dtype {
        DType::Plain(plain) => plain,
        DType::Record(fields) => {
            let names = fields.iter().map(|field| field.name.clone()).collect();
            return Err(Error::UnsupportedLayout { column, layout: Layout::Structured(names) });
        }
        DType::Array(..) => return Err(unsupported("save a plain array of numbers")),
    };
    let number = plain_number(plain).ok_or_else(|| match plain.type_char() {
        TypeChar::Object => unsupported("they are pickled Python objects: save a.astype('float32')"),
        TypeChar::Float => unsupported("save a.astype('float64') or narrower"),
        _ => unsupported("save numbers: a.astype('float32'), labels as a.astype('uint8')"),
    })?;
    Ok((number, plain.endianness() == Endianness::Big))
}

fn plain_number(plain: &TypeStr) -> Option<Number> {
    Some(match (plain.type_char(), plain.size_field()) {
        (TypeChar::Bool, 1) => Number::Bool,
        (TypeChar::Uint, 1) => Number::U8,
        (TypeChar::Int, 1) => Number::I8,
        (TypeChar::Uint, 2) => Number::U16,
        (TypeChar::Int, 2) => Number::I16,
        (TypeChar::Uint, 4) => Number::U32,
        (TypeChar::Int, 4) => Number::I32,
        (TypeChar::Uint, 8) => Number::U64,
        (TypeChar::Int, 8) => Number::I64,
        (TypeChar::Float, 2) => Number::F16,
        (TypeChar::Float, 4) => Number::F32,
        (TypeChar::Float, 8) => Number::F64,
        _ => return None,
    })
}
