//! Files that are written: whole or not there.

pub(crate) use logloss_io::{NewFile, canonical_path as same};
