//! `.npy` files that are being written.

use std::path::Path;

use npyz::{DType, WriteOptions, WriterBuilder};

use super::NewFile;
use crate::{Number, Result, Shape, contradiction::Contradiction};

/// A `.npy` file that is being written. Dropped before [`NpyFile::finish`], it leaves nothing behind.
///
/// ```
/// use logloss_io::{NpyFile, Number, Shape};
///
/// let path = std::env::temp_dir().join(format!("array-{}.npy", std::process::id()));
/// let mut file = NpyFile::create(&path, Number::F32, Shape::flat(2))?;
/// file.write(&[0.5f32, 2.0].map(f32::to_le_bytes).concat())?;
/// file.finish(2)?;
/// assert_eq!(std::fs::metadata(&path).unwrap().len(), 128 + 8);
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Debug)]
pub struct NpyFile {
    file: NewFile,
    dtype: DType,
    shape: Shape,
    /// The length of the header in bytes.
    header: u64,
}

impl NpyFile {
    /// Begins a file of values of a type. The number of rows may be unknown until [`NpyFile::finish`].
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output) as [`NewFile::create`]; [`Error::Usage`](crate::Error::Usage) for bf16,
    /// which NumPy does not have.
    pub fn create(path: &Path, number: Number, shape: Shape) -> Result<Self> {
        let Some(dtype) = number.numpy_name().and_then(|name| name.parse().ok()).map(DType::Plain) else {
            return Err(Contradiction::NoNumpyType { path: path.to_owned(), number }.into());
        };
        let mut npy = Self { file: NewFile::create(path)?, dtype, shape, header: 0 };
        let header = npy.header()?;
        npy.header = header.len() as u64;
        npy.file.write(&header)?;
        Ok(npy)
    }

    /// Its path, as it was given.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Appends values, given as their little-endian bytes.
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output).
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write(bytes)
    }

    /// As [`NewFile::complete`], for a file of `len` values.
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output).
    pub fn complete(&mut self, len: u64) -> Result<()> {
        if self.shape.value_count().is_none() {
            self.shape = self.shape.with_len(len);
            let header = self.header()?;
            if header.len() as u64 != self.header {
                return Err(self.file.trouble("the header does not fit in its place"));
            }
            self.file.write_at(0, &header)?;
        }
        self.file.complete()
    }

    /// Puts the file in its place, as one of `len` values.
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output).
    pub fn finish(mut self, len: u64) -> Result<()> {
        self.complete(len)?;
        self.file.finish()
    }

    /// The header. Its length is a multiple of 64 bytes, which is the same for any number of rows.
    fn header(&self) -> Result<Vec<u8>> {
        let options = WriteOptions::new_header_only().dtype(self.dtype.clone()).shape(&self.shape.dimensions());
        options.writer(Vec::new()).write_header_only().map_err(|error| self.file.trouble(error))
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs::File};

    use super::*;

    type Result = std::result::Result<(), Box<dyn Error>>;

    #[test]
    fn unknown_length_is_filled_in() -> Result {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.npy");
        let mut npy = NpyFile::create(&path, Number::F32, Shape::of_columns(None, 1))?;
        npy.write(bytemuck::cast_slice(&[1.0f32, 2.0, 3.0]))?;
        assert!(!path.exists());
        npy.finish(3)?;
        let npy = npyz::NpyFile::new(File::open(&path)?)?;
        assert_eq!(npy.shape(), [3]);
        assert_eq!(npy.into_vec::<f32>()?, [1.0, 2.0, 3.0]);
        Ok(())
    }

    #[test]
    fn the_header_fits_any_length() -> Result {
        let folder = tempfile::tempdir()?;
        for len in [0, 1, u64::MAX] {
            NpyFile::create(&folder.path().join("a.npy"), Number::F32, Shape::of_columns(None, 1))?.finish(len)?;
            NpyFile::create(&folder.path().join("a.npy"), Number::F64, Shape::of_columns(None, 4096))?.finish(len)?;
        }
        Ok(())
    }
}
