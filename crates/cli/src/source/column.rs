//! Names for people: which file, which column of it, which value.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::failure::fault;

/// An array in a file.
#[derive(Clone, Debug)]
pub struct Column {
    file: PathBuf,
    /// What it is called there, as in "column" and "logit".
    name: Option<(&'static str, String)>,
}

impl Column {
    /// The only array of a file.
    pub fn whole(file: &Path) -> Self {
        Self { file: file.to_owned(), name: None }
    }

    /// One of a file's columns or tensors.
    pub fn named(file: &Path, kind: &'static str, name: &str) -> Self {
        Self { file: file.to_owned(), name: Some((kind, name.to_owned())) }
    }

    /// What it is called in its file, if it is called anything.
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match &self.name {
            Some((kind, name)) => write!(f, ": {kind} '{name}'"),
            None => Ok(()),
        }
    }
}

/// Where a value is that has this index among rows of `classes` values, each from a column of its own; or all of them
/// from one.
pub fn place(columns: &[&Column], index: u64, classes: usize) -> String {
    let (row, class) = (index / classes as u64, (index % classes as u64) as usize);
    match columns.get(class).or(columns.first()) {
        Some(column) => format!("{column}, index {row}"),
        None => format!("index {index}"),
    }
}

/// What columns of one file are called together.
pub fn all(columns: &[&Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| format!("'{}'", column.name())).collect();
    match columns {
        [] => String::new(),
        [column] => column.to_string(),
        [first, ..] => format!("{}: columns {}", first.file.display(), names.join(", ")),
    }
}

/// The position of `wanted` among the names of a file's columns; `described` says what each of them holds.
pub fn find(file: &Path, kind: &str, wanted: &str, names: &[String], described: &[String]) -> Result<usize> {
    let mut found = names.iter().enumerate().filter(|(_, name)| *name == wanted).map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (Some(_), Some(_)) => {
            Err(fault(format_args!("{}: more than one {kind} is called '{wanted}'", file.display()), "rename one"))
        }
        (None, _) => Err(fault(
            format_args!("{}: there is no {kind} '{wanted}'", file.display()),
            format_args!("there are: {}", described.join(", ")),
        )),
    }
}

/// An error for a value that is missing, which no objective is defined on.
pub fn missing(column: &Column, index: u64, line: Option<u64>) -> anyhow::Error {
    let line = line.map(|line| format!(" (line {line})")).unwrap_or_default();
    fault(
        format_args!("{column}, index {index}{line}: the value is missing (null)"),
        "drop the rows that lack a value, or fill them in before evaluating; --ignore-label nan leaves out labels that are missing",
    )
}
