//! Files that are whole or not there: written under a temporary name beside their place, then renamed.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tempfile::NamedTempFile;

use super::pieces::Pieces;
use crate::{Error, Result};

const PRESENT: &str = "taken only by `finish`, which consumes self";

/// The temporary files that exist now, for [`remove_unfinished`].
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes every temporary file. For a process that is about to exit without running destructors.
pub fn remove_unfinished() {
    for path in UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = fs::remove_file(path);
    }
}

/// A file that is being written. Dropped before [`NewFile::finish`], it leaves nothing behind.
///
/// ```
/// use logloss_io::NewFile;
///
/// let path = std::env::temp_dir().join(format!("new-{}.txt", std::process::id()));
/// let mut file = NewFile::create(&path)?;
/// file.write(b"all of it")?;
/// assert!(!path.exists()); // until it is finished
/// file.finish()?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"all of it");
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Debug)]
pub struct NewFile {
    /// Its path, as it was given.
    path: PathBuf,
    /// The path of the file that is replaced: the target of a link.
    place: PathBuf,
    /// Taken by `finish`.
    temporary: Option<NamedTempFile>,
    appended: Pieces,
}

impl NewFile {
    /// Begins a file that will be at `path`. A file that is there now stays until it is replaced.
    ///
    /// # Errors
    /// [`Error::Output`] if something other than a regular file is there, or its folder does not exist or cannot be
    /// written to.
    pub fn create(path: &Path) -> Result<Self> {
        match fs::metadata(path) {
            // A rename would put a file in the place of /dev/null itself.
            Ok(there) if !there.is_file() => {
                return Err(Error::Output {
                    path: path.to_owned(),
                    reason: "it is not a regular file".to_owned(),
                    help: "give the name of a file; leave out an output that is not needed".into(),
                });
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
            // The whole message names the temporary file, which the caller does not know.
            let there = folder.is_dir();
            let reason = if there { error.kind().to_string() } else { "its folder does not exist".to_owned() };
            let help = format!("make sure that the folder '{}' exists and that you may write to it", folder.display());
            Error::Output { path: path.to_owned(), reason, help: help.into() }
        })?;
        unfinished(|paths| paths.push(temporary.path().to_owned()));
        Ok(Self { path: path.to_owned(), place, temporary: Some(temporary), appended: Pieces::default() })
    }

    /// Its path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The temporary file itself, for a writer of another format.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_mut().expect(PRESENT).as_file_mut()
    }

    /// Appends bytes. They may be written only when the file is put in its place.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.change(|file, appended| appended.append(file, bytes))
    }

    /// Writes bytes `at` bytes from the start: over what is there, or with a hole before them. Nothing is appended from
    /// then on.
    ///
    /// # Errors
    /// [`Error::Output`].
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

    /// Writes everything appended so far, after which nothing is appended. Of several files that belong together, all
    /// are completed before the first is put in its place: then a full disk loses none that was there.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn complete(&mut self) -> Result<()> {
        self.change(|file, appended| appended.finish(file))
    }

    /// The error for a file that was begun and cannot be continued.
    pub fn trouble(&self, error: impl fmt::Display) -> Error {
        Error::Output {
            path: self.path.clone(),
            reason: error.to_string(),
            help: "make room on that disk, or write to another; nothing was left behind".into(),
        }
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::Output`]. Then a file that was there is still the same.
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

/// A path that is the same for every path of one file, as far as the file or its folder exists.
pub fn canonical_path(path: &Path) -> PathBuf {
    let beside = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(fs::canonicalize(folder).ok()?.join(path.file_name()?))
    };
    fs::canonicalize(path).ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_leaves_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        drop(NewFile::create(&folder.path().join("a.npy")).expect("the folder is there"));
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }
}
