//! The types that Parquet's columns have.

use parquet::{
    basic::{ConvertedType, LogicalType, Type},
    schema::types::ColumnDescriptor,
};

use crate::number::Number;

/// The type of a column's values, if they are numbers.
pub(super) fn number(column: &ColumnDescriptor) -> Option<Number> {
    if column.max_rep_level() > 0 {
        return None;
    }
    let integer = match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Integer(integer)), _) => Some((integer.bit_width, integer.is_signed)),
        (Some(_), _) => None,
        (None, ConvertedType::UINT_8) => Some((8, false)),
        (None, ConvertedType::UINT_16) => Some((16, false)),
        (None, ConvertedType::UINT_32) => Some((32, false)),
        (None, ConvertedType::UINT_64) => Some((64, false)),
        (None, ConvertedType::INT_8) => Some((8, true)),
        (None, ConvertedType::INT_16) => Some((16, true)),
        (None, ConvertedType::NONE | ConvertedType::INT_32 | ConvertedType::INT_64) => Some((0, true)),
        _ => None,
    };
    Some(match (column.physical_type(), integer) {
        (Type::BOOLEAN, _) => Number::Bool,
        (Type::FLOAT, _) => Number::F32,
        (Type::DOUBLE, _) => Number::F64,
        (Type::INT32, Some((8, false))) => Number::U8,
        (Type::INT32, Some((16, false))) => Number::U16,
        (Type::INT32, Some((32, false))) => Number::U32,
        (Type::INT32, Some((8, true))) => Number::I8,
        (Type::INT32, Some((16, true))) => Number::I16,
        (Type::INT32, Some((_, true))) => Number::I32,
        (Type::INT64, Some((64, false))) => Number::U64,
        (Type::INT64, Some((_, true))) => Number::I64,
        (Type::FIXED_LEN_BYTE_ARRAY, _)
            if column.logical_type_ref() == Some(&LogicalType::Float16) && column.type_length() == 2 =>
        {
            Number::F16
        }
        _ => return None,
    })
}

/// The type of a column, as text.
pub(super) fn describe(column: &ColumnDescriptor) -> String {
    if column.max_rep_level() > 0 {
        return "list".to_owned();
    }
    match (number(column), column.logical_type_ref()) {
        (Some(number), _) => number.to_string(),
        (None, Some(LogicalType::String)) => "string".to_owned(),
        (None, _) if column.converted_type() != ConvertedType::NONE => {
            column.converted_type().to_string().to_lowercase()
        }
        (None, _) => column.physical_type().to_string().to_lowercase(),
    }
}
