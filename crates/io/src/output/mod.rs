//! Files that are written: whole or not there.

mod files;
mod new_file;
mod npy;
mod pieces;

pub(crate) use files::OutputFiles;
pub use files::{OutputPaths, WrittenOutput};
pub use new_file::{NewFile, canonical_path, remove_unfinished};
pub use npy::NpyFile;
