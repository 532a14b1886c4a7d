//! Everything that can go wrong between files and the result of an evaluation.

use std::{borrow::Cow, fmt, io, path::Path, path::PathBuf};

use logloss::{Array, Unsupported};

use crate::{Column, Contradiction, Layout, Place, ShapeOf};

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why files could not be read, evaluated or written.
///
/// Its text says what is wrong and where; [`Error::help`] says how to correct it. The fields are for programs.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Error, Inputs, RunSpec, Selection, run};
///
/// let path = std::env::temp_dir().join(format!("error-{}.csv", std::process::id()));
/// std::fs::write(&path, "p,y\n0.5,1\n0.25,7\n").unwrap();
/// let selection = Selection::default().with_predictions("p").with_targets("y");
/// let spec = RunSpec::new(Inputs::new(&path)).with_selection(selection);
/// let error = run(&spec, &Engine::cpu(), &mut ()).unwrap_err();
/// # std::fs::remove_file(&path).unwrap();
/// assert!(matches!(&error, Error::InvalidValue { value, .. } if value == "7"));
/// assert!(error.help().is_some_and(|help| help.contains("y == CLASS")));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be opened, read or mapped into memory.
    #[error("{}: {reason}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operation that failed, and the system's message.
        reason: String,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// How to correct it.
        help: Option<&'static str>,
    },
    /// The bytes of a file are not what its format demands.
    #[error("{column}: {reason}")]
    Malformed {
        /// The file, or the array in it.
        column: Column,
        /// The fault that was found.
        reason: String,
        /// How to correct it.
        help: Option<&'static str>,
    },
    /// A file ends before its values do.
    #[error("{column}: {reason}")]
    Truncated {
        /// The file, or the array in it.
        column: Column,
        /// The part that is missing.
        reason: String,
        /// How to correct it.
        help: &'static str,
    },
    /// No reader knows the extension of a file's name.
    #[error("{}: a file whose name ends in '.{extension}' cannot be read", .path.display())]
    UnsupportedFormat {
        /// The file.
        path: PathBuf,
        /// The extension, in lower case.
        extension: String,
    },
    /// The values of an array have a type that does not fit their purpose.
    #[error("{column}: {found} values cannot be {purpose}")]
    UnsupportedType {
        /// The array.
        column: Column,
        /// The type of its values.
        found: String,
        /// Their purpose: "evaluated", "predictions" or "a mask".
        purpose: &'static str,
        /// How to correct it.
        help: String,
    },
    /// The values of an array are laid out in another way than row by row in one or two dimensions.
    #[error("{column}: {layout}")]
    UnsupportedLayout {
        /// The array.
        column: Column,
        /// Its layout.
        layout: Layout,
    },
    /// Two arrays that belong together differ in shape.
    #[error("{column} has shape {shape:?}, {other}")]
    ShapeMismatch {
        /// The array.
        column: Column,
        /// Its dimensions.
        shape: Vec<u64>,
        /// The shape that it was compared with.
        other: ShapeOf,
        /// How to correct it.
        help: Cow<'static, str>,
    },
    /// The columns or tensors to read were not named.
    #[error("{}: {}", .path.display(), which(kind, *.predictions, *.targets))]
    UnnamedColumns {
        /// The file.
        path: PathBuf,
        /// "column" or "tensor".
        kind: &'static str,
        /// Whether the predictions were named.
        predictions: bool,
        /// Whether the labels were named.
        targets: bool,
        /// The names there are, with their types.
        found: Vec<String>,
    },
    /// A file has no column or tensor of this name.
    #[error("{}: there is no {kind} '{name}'", .path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// "column" or "tensor".
        kind: &'static str,
        /// The name that was looked for.
        name: String,
        /// The names there are, with their types.
        found: Vec<String>,
    },
    /// A file has several columns or tensors of this name.
    #[error("{}: more than one {kind} is called '{name}'", .path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// "column" or "tensor".
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A value is missing (null), which no objective is defined on.
    #[error("{place}: the value is missing (null)")]
    MissingValue {
        /// Its place.
        place: Place,
    },
    /// A field of a text file is not a number.
    #[error("{place}: '{text}' is not a number")]
    NotANumber {
        /// Its place.
        place: Place,
        /// The beginning of the field, control characters escaped.
        text: String,
    },
    /// A value that the objective is not defined on.
    #[error("{place}: the value is {value}: {must}")]
    InvalidValue {
        /// The array of the batch that it belongs to.
        array: Array,
        /// Its place.
        place: Place,
        /// The value, as its file has it.
        value: String,
        /// The values that are allowed.
        must: &'static str,
        /// How to correct it.
        help: Cow<'static, str>,
    },
    /// The system whose conventions were taken over does not support this data.
    #[error("{reason}")]
    Unsupported {
        /// The data that is not supported, and its place.
        reason: String,
        /// The engine's error.
        unsupported: Unsupported,
        /// How to correct it.
        help: &'static str,
    },
    /// Labels cannot be balanced, because one of the two is absent.
    #[error("{targets}: labels cannot be balanced: {negatives} are negative and {positives} positive")]
    Unbalanceable {
        /// The arrays that hold the labels.
        targets: String,
        /// The number of negative labels.
        negatives: u64,
        /// The number of positive labels.
        positives: u64,
    },
    /// The values of more rows than can be held were asked for.
    #[error("--reduction per-row --json: more than {most} rows")]
    TooManyRows {
        /// The number of rows that can be held.
        most: u64,
    },
    /// The specification contradicts itself, or what the files hold.
    #[error(transparent)]
    Usage(#[from] Contradiction),
    /// A file cannot be written.
    #[error("{}: cannot be written: {reason}", .path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// The system's message.
        reason: String,
        /// How to correct it.
        help: Cow<'static, str>,
    },
    /// The thread that reads ahead could not be started.
    #[error("no thread could be started: {0}")]
    Thread(io::Error),
    /// The observer stopped the evaluation.
    #[error("interrupted")]
    Interrupted,
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] logloss::Error),
}

/// The party that can do something about an error.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{ErrorClass, Inputs, RunSpec, Selection, run};
///
/// let path = std::env::temp_dir().join(format!("class-{}.csv", std::process::id()));
/// std::fs::write(&path, "p,y\n0.5,1\n0.25,7\n").unwrap();
/// let selection = Selection::default().with_predictions("p").with_targets("y");
/// let spec = RunSpec::new(Inputs::new(&path)).with_selection(selection);
/// let error = run(&spec, &Engine::cpu(), &mut ()).unwrap_err();
/// # std::fs::remove_file(&path).unwrap();
/// assert_eq!(error.class(), ErrorClass::Failure);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// The caller: the specification makes no sense, whatever the files hold or together with what they hold.
    Usage,
    /// The owner of the data, of the machine or of the device.
    Failure,
    /// Nobody: the observer stopped the evaluation.
    Interrupted,
}

impl Error {
    /// The party that can do something about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Interrupted => ErrorClass::Interrupted,
            Error::Usage(_)
            | Error::UnsupportedFormat { .. }
            | Error::UnnamedColumns { .. }
            | Error::TooManyRows { .. } => ErrorClass::Usage,
            _ => ErrorClass::Failure,
        }
    }

    /// How to correct it.
    pub fn help(&self) -> Option<Cow<'_, str>> {
        let there_are = |found: &[String]| format!("there are: {}", found.join(", ")).into();
        Some(match self {
            Error::Io { help, .. } | Error::Malformed { help, .. } => return help.map(Cow::Borrowed),
            Error::UnsupportedLayout { layout, .. } => layout.help().into(),
            Error::Truncated { help, .. } | Error::Unsupported { help, .. } => (*help).into(),
            Error::UnsupportedType { help, .. } => help.into(),
            Error::Usage(contradiction) => contradiction.help(),
            Error::ShapeMismatch { help, .. } | Error::InvalidValue { help, .. } | Error::Output { help, .. } => {
                help.as_ref().into()
            }
            Error::UnnamedColumns { found, .. } | Error::MissingColumn { found, .. } => there_are(found),
            Error::UnsupportedFormat { .. } => "pass two .npy files, or a .parquet, .csv or .safetensors file".into(),
            Error::DuplicateColumn { .. } => "rename one".into(),
            Error::MissingValue { .. } => {
                "drop the rows that lack a value, or fill them in before evaluating; --ignore-label nan leaves out \
                 labels that are missing"
                    .into()
            }
            Error::NotANumber { .. } => {
                "write numbers as 0.5 or 5e-1, labels also as True and False; drop the rows that have none".into()
            }
            Error::Unbalanceable { .. } => "pass the weights of the labels: --label-weight W0,W1".into(),
            Error::TooManyRows { .. } => "pass --value-out F.npy: their values go there, and not into the JSON".into(),
            Error::Thread(_) | Error::Interrupted | Error::Engine(_) => return None,
        })
    }

    /// The place of the value that it is about.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Error::MissingValue { place } | Error::NotANumber { place, .. } | Error::InvalidValue { place, .. } => {
                Some(place)
            }
            _ => None,
        }
    }

    /// The array that it is about.
    pub fn column(&self) -> Option<&Column> {
        match self {
            Error::Malformed { column, .. }
            | Error::Truncated { column, .. }
            | Error::UnsupportedType { column, .. }
            | Error::UnsupportedLayout { column, .. }
            | Error::ShapeMismatch { column, .. } => Some(column),
            error => error.place().map(|place| &place.column),
        }
    }

    /// The file that it is about.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Error::Io { path, .. }
            | Error::UnsupportedFormat { path, .. }
            | Error::UnnamedColumns { path, .. }
            | Error::MissingColumn { path, .. }
            | Error::DuplicateColumn { path, .. }
            | Error::Output { path, .. } => Some(path),
            error => error.column().map(Column::path),
        }
    }
}

/// The names of columns or tensors that are needed, as a question.
fn which(kind: &str, predictions: bool, targets: bool) -> String {
    match (predictions, targets) {
        (true, _) => format!("which {kind} holds the labels? --target NAME is needed"),
        (_, true) => format!("which {kind} holds the predictions? --pred NAME is needed"),
        _ => format!("which {kind}s? --pred NAME and --target NAME are needed"),
    }
}

/// The error for a file that cannot be opened or read.
pub(crate) fn unreadable(path: &Path, error: &io::Error, help: &'static str) -> Error {
    let (path, reason) = (path.to_owned(), format!("cannot be read: {error}"));
    Error::Io { path, reason, kind: error.kind(), help: Some(help) }
}

/// The error for bytes that are not what the format demands.
pub(crate) fn malformed(column: impl Into<Column>, reason: impl fmt::Display, help: &'static str) -> Error {
    Error::Malformed { column: column.into(), reason: reason.to_string(), help: Some(help) }
}
