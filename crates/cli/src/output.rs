//! Files that are written: whole or not there.

pub use logloss_io::{NewFile, canonical_path as same};
