//! Synthetic values as a Parquet file: a row group a chunk, without nulls.

use std::{fs::File, sync::Arc};

use anyhow::Result;
use logloss::half::f16;
use logloss_io::NewFile;
use parquet::{
    basic::{LogicalType, Repetition, Type as PhysicalType},
    data_type::{
        BoolType, ByteArray, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType as F32Type,
        Int32Type, Int64Type,
    },
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::Type,
};

use super::values::Chunk;
use crate::args::{FloatType, GenerateArgs, LabelType};

/// A file in the making.
pub(super) struct Parquet {
    file: NewFile,
    writer: SerializedFileWriter<File>,
}

impl Parquet {
    pub(super) fn create(args: &GenerateArgs) -> Result<Self> {
        let mut file = NewFile::create(&args.out)?;
        let schema = schema(args)?;
        let handle = file.file().try_clone().map_err(|error| file.trouble(error))?;
        let properties = Arc::new(WriterProperties::builder().build());
        let writer = SerializedFileWriter::new(handle, Arc::new(schema), properties);
        Ok(Self { writer: writer.map_err(|error| file.trouble(error))?, file })
    }

    /// Appends values.
    pub(super) fn write(&mut self, dtype: FloatType, target_dtype: LabelType, chunk: &Chunk) -> Result<()> {
        Ok(write_group(dtype, target_dtype, chunk, &mut self.writer).map_err(|error| self.file.trouble(error))?)
    }

    /// Puts the file in its place; its name.
    pub(super) fn finish(self) -> Result<String> {
        let name = self.file.path().display().to_string();
        self.writer.close().map_err(|error| self.file.trouble(error))?;
        self.file.finish()?;
        Ok(name)
    }
}

fn schema(args: &GenerateArgs) -> Result<Type, ParquetError> {
    let (prediction, logical, length) = match args.dtype {
        FloatType::F16 | FloatType::Bf16 => (PhysicalType::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16), 2),
        FloatType::F32 => (PhysicalType::FLOAT, None, -1),
        FloatType::F64 => (PhysicalType::DOUBLE, None, -1),
    };
    let prediction = Type::primitive_type_builder(&args.pred, prediction)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(logical)
        .with_length(length)
        .build()?;
    let (label, logical) = match args.target_dtype {
        LabelType::Bool => (PhysicalType::BOOLEAN, None),
        LabelType::U8 => (PhysicalType::INT32, Some(LogicalType::integer(8, false))),
        LabelType::I32 => (PhysicalType::INT32, None),
        LabelType::I64 => (PhysicalType::INT64, None),
        LabelType::F32 => (PhysicalType::FLOAT, None),
        LabelType::F64 => (PhysicalType::DOUBLE, None),
    };
    let label = Type::primitive_type_builder(&args.target, label)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(logical)
        .build()?;
    Type::group_type_builder("schema").with_fields(vec![Arc::new(prediction), Arc::new(label)]).build()
}

fn write_group(
    dtype: FloatType,
    target_dtype: LabelType,
    chunk: &Chunk,
    writer: &mut SerializedFileWriter<File>,
) -> Result<(), ParquetError> {
    let Chunk { predictions, labels } = chunk;
    let mut group = writer.next_row_group()?;
    let group_of = &mut group;
    match dtype {
        FloatType::F16 | FloatType::Bf16 => column::<FixedLenByteArrayType, _>(group_of, predictions, |&value| {
            FixedLenByteArray::from(ByteArray::from(f16::from_f64(value).to_le_bytes().to_vec()))
        }),
        FloatType::F32 => column::<F32Type, _>(group_of, predictions, |&value| value as f32),
        FloatType::F64 => column::<DoubleType, _>(group_of, predictions, |&value| value),
    }?;
    match target_dtype {
        LabelType::Bool => column::<BoolType, _>(group_of, labels, |&label| label),
        LabelType::U8 | LabelType::I32 => column::<Int32Type, _>(group_of, labels, |&label| label.into()),
        LabelType::I64 => column::<Int64Type, _>(group_of, labels, |&label| label.into()),
        LabelType::F32 => column::<F32Type, _>(group_of, labels, |&label| u8::from(label).into()),
        LabelType::F64 => column::<DoubleType, _>(group_of, labels, |&label| u8::from(label).into()),
    }?;
    group.close().map(drop)
}

/// Writes the next column of a row group.
fn column<T: DataType, V>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[V],
    convert: impl Fn(&V) -> T::T,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("the schema has too few columns".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    let values: Vec<T::T> = values.iter().map(convert).collect();
    column.typed::<T>().write_batch(&values, None, None)?;
    column.close()
}
