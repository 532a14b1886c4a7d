//! Where predictions and targets come from: files, read a part at a time.

mod column;
mod csv;
mod gather;
mod mapped;
mod npy;
mod number;
mod parquet;
mod safetensors;

use std::{ffi::OsStr, fs, path::Path};

use anyhow::Result;
pub use column::Column;
pub use gather::Odd;
use logloss::{BLOCK, Floats, Form, Targets};

use crate::{
    args::EvalArgs,
    failure::{fault, usage},
};

/// Predictions and their targets, in parts.
pub trait Source {
    /// The shape of the predictions, as far as it is known without reading them.
    fn shape(&self) -> Shape;

    /// How many values there are, read through to be counted where that is the only way.
    fn count(&mut self) -> Result<u64>;

    /// The next part: a multiple of [`BLOCK`] values unless it is the last. None after the last.
    fn next_part(&mut self) -> Result<Option<Part<'_>>>;

    /// How much was read, and of how much, in a unit of the source's own.
    fn position(&self) -> (u64, u64);

    /// Where the predictions are.
    fn predictions(&self) -> &Column;

    /// Where the targets are.
    fn targets(&self) -> &Column;

    /// What a reader of the result should know about how the values were read.
    fn notes(&self) -> Vec<String>;
}

/// A run of values.
pub struct Part<'a> {
    pub predictions: Floats<'a>,
    pub targets: Targets<'a>,
    /// The first prediction that could not be carried over as it was.
    pub odd_prediction: Option<&'a Odd>,
    /// The first target that could not be carried over as it was.
    pub odd_target: Option<&'a Odd>,
}

/// How values are to be read.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// What the predictions are.
    pub form: Form,
    /// Values a part where they are evaluated in the file's own memory.
    pub mapped_part: usize,
}

/// Values a part where they are converted or decoded: small enough to stay in a CPU's cache on the way.
const COPIED_PART: usize = 512 * BLOCK;

/// Shape [N], or [N, C].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    rows: Option<u64>,
    classes: Option<u64>,
}

impl Shape {
    /// Shape [N].
    pub fn flat(len: u64) -> Self {
        Self { rows: Some(len), classes: None }
    }

    /// Shape [N], N yet to be found out.
    pub fn unknown() -> Self {
        Self { rows: None, classes: None }
    }

    /// The shape of an array with these dimensions, if it is one of the two, and small enough for its values to be
    /// counted.
    fn new(dimensions: &[u64]) -> Option<Self> {
        let shape = match *dimensions {
            [rows] => Self::flat(rows),
            [rows, classes] => Self { rows: Some(rows), classes: Some(classes) },
            _ => return None,
        };
        shape.len().is_some().then_some(shape)
    }

    /// Number of values.
    pub fn len(&self) -> Option<u64> {
        self.rows?.checked_mul(self.classes.unwrap_or(1))
    }

    /// The dimensions. What is not known is 0.
    pub fn dimensions(&self) -> Vec<u64> {
        [Some(self.rows.unwrap_or(0)), self.classes].into_iter().flatten().collect()
    }

    /// The place of a value, as NumPy indexes it.
    pub fn place(&self, index: u64) -> String {
        match self.classes {
            Some(classes) if classes > 0 => format!("index [{}, {}]", index / classes, index % classes),
            _ => format!("index {index}"),
        }
    }

    /// Whether another array's values lie in the same order: [N] and [N, 1] do.
    fn matches(&self, other: &Self) -> bool {
        self.rows == other.rows && self.classes.unwrap_or(1) == other.classes.unwrap_or(1)
    }
}

/// Opens the files that the command line names.
pub fn open(args: &EvalArgs, wish: Wish) -> Result<Box<dyn Source>> {
    let file = args.predictions.as_path();
    check_is_file(file)?;
    if extension(file) == "npy" {
        return npy::open(file, npy_targets(args)?, wish);
    }
    let open: fn(&Path, Named<'_>, Wish) -> Result<Box<dyn Source>> = match extension(file).as_str() {
        "parquet" => parquet::open,
        "csv" => csv::open,
        "safetensors" => safetensors::open,
        other => {
            return Err(usage(
                format_args!("{}: a file whose name ends in '.{other}' cannot be read", file.display()),
                "pass two .npy files, or a .parquet, .csv or .safetensors file",
            ));
        }
    };
    if let Some(targets) = &args.targets {
        return Err(usage(
            format_args!("{}: one file too many: {} holds the labels too", targets.display(), file.display()),
            "leave it out and name the columns with --pred NAME --target NAME",
        ));
    }
    open(file, Named { pred: args.pred.as_deref(), target: args.target.as_deref() }, wish)
}

/// The names on the command line of what holds the predictions and the targets.
#[derive(Clone, Copy, Debug)]
struct Named<'a> {
    pred: Option<&'a str>,
    target: Option<&'a str>,
}

impl<'a> Named<'a> {
    /// Both names, or an error that lists what there is.
    fn both(self, file: &Path, kind: &str, there_are: &[String]) -> Result<(&'a str, &'a str)> {
        match self {
            Named { pred: Some(pred), target: Some(target) } => Ok((pred, target)),
            _ => Err(usage(
                format_args!("{}: which {kind}s? --pred NAME and --target NAME are needed", file.display()),
                format_args!("there are: {}", there_are.join(", ")),
            )),
        }
    }
}

fn npy_targets(args: &EvalArgs) -> Result<&Path> {
    let file = args.predictions.display();
    if args.pred.is_some() || args.target.is_some() {
        return Err(usage(
            format_args!("{file}: a .npy file holds one array, which has no name"),
            "leave out --pred and --target",
        ));
    }
    let Some(targets) = &args.targets else {
        return Err(usage(
            format_args!("{file}: the labels are missing"),
            "pass a second .npy file: logloss eval PREDICTIONS.npy TARGETS.npy",
        ));
    };
    check_is_file(targets)?;
    if extension(targets) != "npy" {
        return Err(usage(
            format_args!("{}: labels beside a .npy file must be one too", targets.display()),
            "save them with numpy.save, or put both into one .parquet, .csv or .safetensors file",
        ));
    }
    Ok(targets)
}

/// What a file's name ends in, in lower case.
pub fn extension(path: &Path) -> String {
    path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase()
}

fn check_is_file(path: &Path) -> Result<()> {
    let file = path.display();
    match fs::metadata(path) {
        Err(error) => Err(fault(format_args!("{file}: cannot be read: {error}"), "check the name and the folder")),
        Ok(there) if !there.is_file() => Err(fault(
            format_args!("{file}: is not a regular file"),
            "save it to a file first: it is mapped into memory or read more than once",
        )),
        Ok(there) if there.len() == 0 => {
            Err(fault(format_args!("{file}: is empty (0 bytes)"), "write it again; it was perhaps cut short"))
        }
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let shape = |dimensions: &[u64]| Shape::new(dimensions).expect("one or two dimensions");
        assert_eq!(shape(&[3, 2]).len(), Some(6));
        assert_eq!(shape(&[3, 2]).place(5), "index [2, 1]");
        assert_eq!(shape(&[3]).place(2), "index 2");
        assert_eq!(shape(&[0, 0]).place(0), "index 0");
        assert!(shape(&[3]).matches(&shape(&[3, 1])));
        assert!(!shape(&[6]).matches(&shape(&[3, 2])));
        assert_eq!(Shape::new(&[]), None);
        assert_eq!(Shape::new(&[1, 2, 3]), None);
        assert_eq!(Shape::new(&[u64::MAX, 2]), None);
    }
}
