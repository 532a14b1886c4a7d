//! Files that are whole or not there: written under a temporary name beside their place, then renamed.

mod pieces;

use std::{
    fmt,
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};
use npyz::{DType, WriteOptions, WriterBuilder};
use pieces::Pieces;
use tempfile::NamedTempFile;

use crate::{failure::fault, source::Shape};

const PRESENT: &str = "taken only by `finish`, which consumes self";

/// Temporary files there are now, for [`remove_unfinished`].
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes every temporary file. For a process that is about to exit without running destructors.
pub fn remove_unfinished() {
    for path in UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = fs::remove_file(path);
    }
}

/// A file in the making. Dropped before [`NewFile::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct NewFile {
    /// Its name, as it was given.
    path: PathBuf,
    /// What that is: a link's target.
    place: PathBuf,
    /// Taken by `finish`.
    temporary: Option<NamedTempFile>,
    appended: Pieces,
}

impl NewFile {
    /// Begins a file that will be at `path`. What is there now stays until it is replaced.
    pub fn create(path: &Path) -> Result<Self> {
        match fs::metadata(path) {
            // A rename would put a file in the place of /dev/null itself.
            Ok(there) if !there.is_file() => {
                return Err(fault(
                    format_args!("{}: cannot be written: it is not a regular file", path.display()),
                    "give the name of a file; what is not asked for is not written",
                ));
            }
            _ => {}
        }
        // The file that a link points to is replaced, not the link.
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = match place.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".logloss-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Less the umask, as for any new file; a temporary file would be its owner's alone.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let temporary = builder.tempfile_in(folder).map_err(|error| {
            // The whole message names the temporary file, which nobody has heard of.
            let there = folder.is_dir();
            let reason = if there { error.kind().to_string() } else { "its folder does not exist".to_owned() };
            fault(
                format_args!("{}: cannot be written: {reason}", path.display()),
                format_args!("make sure that the folder '{}' exists and that you may write to it", folder.display()),
            )
        })?;
        unfinished(|paths| paths.push(temporary.path().to_owned()));
        Ok(Self { path: path.to_owned(), place, temporary: Some(temporary), appended: Pieces::default() })
    }

    /// Its name, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file itself, for what is not written by the functions here.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_mut().expect(PRESENT).as_file_mut()
    }

    /// Appends bytes. They may be written only when the file is put in its place.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.change(|file, appended| appended.append(file, bytes))
    }

    /// Overwrites bytes that are `at` bytes from the start, or leaves a hole before them. Nothing is appended from then on.
    pub fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.change(|file, appended| {
            appended.finish(file)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)
        })
    }

    fn change(&mut self, change: impl FnOnce(&mut File, &mut Pieces) -> io::Result<()>) -> Result<()> {
        let temporary = self.temporary.as_mut().expect(PRESENT);
        change(temporary.as_file_mut(), &mut self.appended).map_err(|error| self.trouble(error))
    }

    /// Writes what is not written yet, after which nothing is appended. Where several files belong together, all of them
    /// are brought so far before the first is put in its place: then a full disk loses none that was there.
    pub fn complete(&mut self) -> Result<()> {
        self.change(|file, appended| appended.finish(file))
    }

    /// The error for a file that could be begun but not gone on with.
    pub fn trouble(&self, error: impl fmt::Display) -> anyhow::Error {
        fault(
            format_args!("{}: cannot be written: {error}", self.path.display()),
            "make room on that disk, or write to another; nothing was left behind",
        )
    }

    /// Puts the file in its place.
    pub fn finish(mut self) -> Result<()> {
        self.complete()?;
        let Some(temporary) = self.temporary.take() else { return Ok(()) };
        unfinished(|paths| {
            paths.retain(|path| path != temporary.path());
            // Under the lock: a second Ctrl-C finds either the temporary file or the whole one.
            temporary.persist(&self.place).map(drop)
        })
        .map_err(|error| self.trouble(error.error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            unfinished(|paths| paths.retain(|path| path != temporary.path()));
        }
    }
}

fn unfinished<T>(change: impl FnOnce(&mut Vec<PathBuf>) -> T) -> T {
    change(&mut UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A path that is the same for the same file, as far as the file or its folder is there.
pub fn same(path: &Path) -> PathBuf {
    let beside = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(fs::canonicalize(folder).ok()?.join(path.file_name()?))
    };
    fs::canonicalize(path).ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

/// A `.npy` file in the making.
#[derive(Debug)]
pub struct NpyFile {
    file: NewFile,
    dtype: DType,
    shape: Shape,
    header: u64,
}

impl NpyFile {
    /// Begins a file of values of the given NumPy type. Where the shape is not known yet, [`NpyFile::finish`] says it.
    pub fn create(path: &Path, dtype: &str, shape: Shape) -> Result<Self> {
        let dtype = DType::Plain(dtype.parse().with_context(|| format!("NumPy has no type {dtype}"))?);
        let mut npy = Self { file: NewFile::create(path)?, dtype, shape, header: 0 };
        let header = npy.header()?;
        npy.header = header.len() as u64;
        npy.file.write(&header)?;
        Ok(npy)
    }

    /// Its name, as it was given.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Appends values, given as their bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write(bytes)
    }

    /// As [`NewFile::complete`], for a file of `len` values.
    pub fn complete(&mut self, len: u64) -> Result<()> {
        if self.shape.len().is_none() {
            self.shape = self.shape.with_len(len);
            let header = self.header()?;
            if header.len() as u64 != self.header {
                bail!("{}: the header does not fit in its place", self.path().display());
            }
            self.file.write_at(0, &header)?;
        }
        self.file.complete()
    }

    /// Puts the file in its place, as one of `len` values.
    pub fn finish(mut self, len: u64) -> Result<()> {
        self.complete(len)?;
        self.file.finish()
    }

    /// The header. Its length is a multiple of 64 bytes that has room for any number of rows.
    fn header(&self) -> Result<Vec<u8>> {
        let options = WriteOptions::new_header_only().dtype(self.dtype.clone()).shape(&self.shape.dimensions());
        Ok(options.writer(Vec::new()).write_header_only()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_length_is_filled_in() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.npy");
        let mut npy = NpyFile::create(&path, "<f4", Shape::of_columns(None, 1))?;
        npy.write(bytemuck::cast_slice(&[1.0f32, 2.0, 3.0]))?;
        assert!(!path.exists());
        npy.finish(3)?;
        let npy = npyz::NpyFile::new(File::open(&path)?)?;
        assert_eq!(npy.shape(), [3]);
        assert_eq!(npy.into_vec::<f32>()?, [1.0, 2.0, 3.0]);
        Ok(())
    }

    #[test]
    fn any_length_has_room() -> Result<()> {
        let folder = tempfile::tempdir()?;
        for len in [0, 1, u64::MAX] {
            NpyFile::create(&folder.path().join("a.npy"), "<f4", Shape::of_columns(None, 1))?.finish(len)?;
            NpyFile::create(&folder.path().join("a.npy"), "<f8", Shape::of_columns(None, 4096))?.finish(len)?;
        }
        Ok(())
    }

    #[test]
    fn dropped_leaves_nothing() -> Result<()> {
        let folder = tempfile::tempdir()?;
        drop(NpyFile::create(&folder.path().join("a.npy"), "<f4", Shape::flat(7))?);
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }
}
