//! Places of values: file, column and row.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Error, Result};

/// An array in a file: the only one, a column or a tensor. It is displayed with its file.
///
/// ```
/// use logloss_io::Column;
///
/// let column = Column::named("d.parquet".as_ref(), "column", "logit");
/// assert_eq!(column.to_string(), "d.parquet: column 'logit'");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column(Arc<Names>);

#[derive(Debug, PartialEq, Eq)]
struct Names {
    path: PathBuf,
    /// The array's kind and its name, as in "column" and "logit".
    name: Option<(&'static str, String)>,
}

impl Column {
    /// The only array of a file.
    pub fn whole(path: &Path) -> Self {
        Self(Arc::new(Names { path: path.to_owned(), name: None }))
    }

    /// One of a file's columns or tensors: `kind` is the word for it.
    pub fn named(path: &Path, kind: &'static str, name: &str) -> Self {
        Self(Arc::new(Names { path: path.to_owned(), name: Some((kind, name.to_owned())) }))
    }

    /// The file, as it was given.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Its name in the file; none for the only array of a file.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_ref().map(|(_, name)| name.as_str())
    }
}

impl From<&Path> for Column {
    fn from(path: &Path) -> Self {
        Self::whole(path)
    }
}

impl From<&Column> for Column {
    fn from(column: &Column) -> Self {
        column.clone()
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path().display())?;
        match &self.0.name {
            Some((kind, name)) => write!(f, ": {kind} '{name}'"),
            None => Ok(()),
        }
    }
}

/// The place of one value.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Inputs, RunSpec, Selection, run};
///
/// let path = std::env::temp_dir().join(format!("place-{}.csv", std::process::id()));
/// std::fs::write(&path, "p,y\n0.5,1\n0.25,7\n").unwrap();
/// let selection = Selection::default().with_predictions("p").with_targets("y");
/// let spec = RunSpec::new(Inputs::new(&path)).with_selection(selection);
/// let error = run(&spec, &Engine::cpu(), &mut ()).unwrap_err();
/// # std::fs::remove_file(&path).unwrap();
/// let place = error.place().expect("a label that is neither 0 nor 1");
/// assert_eq!((place.row, place.line, place.column.name()), (1, Some(3), Some("y")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The array that holds it.
    pub column: Column,
    /// The index of its row.
    pub row: u64,
    /// The index of its column in an array of shape `[N, C]`; none for an array of shape `[N]`.
    pub class: Option<u64>,
    /// The line that its record begins on, in a text file. The first line is 1.
    pub line: Option<u64>,
}

impl Place {
    /// The row `row` of a column.
    pub(crate) fn row(column: &Column, row: u64) -> Self {
        Self { column: column.clone(), row, class: None, line: None }
    }

    /// The value with this index among rows of `classes` values. Each class has a column of its own, or one column
    /// serves all of them. None if there is no column.
    pub(crate) fn in_columns(columns: &[&Column], index: u64, classes: usize) -> Option<Self> {
        let (row, class) = (index / classes as u64, (index % classes as u64) as usize);
        columns.get(class).or(columns.first()).map(|column| Self::row(column, row))
    }

    /// The same place with its line.
    pub(crate) fn with_line(self, line: Option<u64>) -> Self {
        Self { line, ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            Some(class) => write!(f, "{}, index [{}, {class}]", self.column, self.row)?,
            None => write!(f, "{}, index {}", self.column, self.row)?,
        }
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// The name that columns of one file have together.
pub(crate) fn joined_names(columns: &[&Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| format!("'{}'", column.name().unwrap_or_default())).collect();
    match columns {
        [] => String::new(),
        [column] => column.to_string(),
        [first, ..] => format!("{}: columns {}", first.path().display(), names.join(", ")),
    }
}

/// The position of `wanted` among the names of a file's columns; `described` says what each of them holds.
pub(crate) fn find(
    path: &Path,
    kind: &'static str,
    wanted: &str,
    names: &[String],
    described: &[String],
) -> Result<usize> {
    let mut found = names.iter().enumerate().filter(|(_, name)| *name == wanted).map(|(at, _)| at);
    let (path, name) = (path.to_owned(), wanted.to_owned());
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (Some(_), Some(_)) => Err(Error::DuplicateColumn { path, kind, name }),
        (None, _) => Err(Error::MissingColumn { path, kind, name, found: described.to_vec() }),
    }
}
