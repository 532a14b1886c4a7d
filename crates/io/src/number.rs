//! The types that numbers have in files.

use std::fmt;

use logloss::half::{bf16, f16};

/// The type of a number in a file.
///
/// ```
/// use logloss_io::Number;
///
/// assert_eq!((Number::Bf16.size(), Number::Bf16.is_float()), (2, true));
/// assert_eq!(Number::I64.to_string(), "i64");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Number {
    /// A byte that is 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// IEEE binary16.
    F16,
    /// bfloat16.
    Bf16,
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
}

impl Number {
    /// The size of a value in bytes.
    pub fn size(self) -> usize {
        match self {
            Number::Bool | Number::U8 | Number::I8 => 1,
            Number::U16 | Number::I16 | Number::F16 | Number::Bf16 => 2,
            Number::U32 | Number::I32 | Number::F32 => 4,
            Number::U64 | Number::I64 | Number::F64 => 8,
        }
    }

    /// Its little-endian type in NumPy; none for bf16.
    pub(crate) fn numpy_name(self) -> Option<&'static str> {
        Some(match self {
            Number::Bool => "|b1",
            Number::U8 => "|u1",
            Number::I8 => "|i1",
            Number::U16 => "<u2",
            Number::I16 => "<i2",
            Number::U32 => "<u4",
            Number::I32 => "<i4",
            Number::U64 => "<u8",
            Number::I64 => "<i8",
            Number::F16 => "<f2",
            Number::F32 => "<f4",
            Number::F64 => "<f8",
            Number::Bf16 => return None,
        })
    }

    /// Whether it is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, Number::F16 | Number::Bf16 | Number::F32 | Number::F64)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Number::Bool => "bool",
            Number::U8 => "u8",
            Number::I8 => "i8",
            Number::U16 => "u16",
            Number::I16 => "i16",
            Number::U32 => "u32",
            Number::I32 => "i32",
            Number::U64 => "u64",
            Number::I64 => "i64",
            Number::F16 => "f16",
            Number::Bf16 => "bf16",
            Number::F32 => "f32",
            Number::F64 => "f64",
        })
    }
}

/// A number that is read from its bytes in a file, at any alignment and in either byte order.
pub(crate) trait Stored: Sized {
    /// The values in `bytes`.
    fn read(bytes: &[u8], big_endian: bool) -> impl Iterator<Item = Self> + Clone;
}

macro_rules! stored {
    ($($number:ty: $size:literal),* $(,)?) => {$(
        impl Stored for $number {
            fn read(bytes: &[u8], big_endian: bool) -> impl Iterator<Item = Self> + Clone {
                let (values, _) = bytes.as_chunks::<$size>();
                values.iter().map(move |&value| {
                    if big_endian { Self::from_be_bytes(value) } else { Self::from_le_bytes(value) }
                })
            }
        }
    )*};
}
stored!(u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, u64: 8, i64: 8, f16: 2, bf16: 2, f32: 4, f64: 8);
