//! Where predictions and targets come from: files, read a part at a time.

mod column;
mod csv;
mod gather;
mod mapped;
mod mask;
mod npy;
mod number;
mod parquet;
mod safetensors;

use std::{ffi::OsStr, fs, path::Path};

use anyhow::Result;
pub use column::Column;
pub use gather::{Odd, Odds};
use logloss::{Array, BLOCK, Floats, Form, Ignore, Targets, WeightShape, Weights};
pub use mask::Mask;

use crate::{
    args::{EvalArgs, IgnoreLabel},
    failure::{fault, usage},
};

/// Predictions and their targets, in parts.
pub trait Source {
    /// The shape of the predictions, as far as it is known without reading them.
    fn shape(&self) -> Shape;

    /// How the targets that are to be ignored are told from the others, if any can be among them.
    fn ignore(&self) -> Option<Ignore>;

    /// What a weight belongs to, if there are weights.
    fn weights(&self) -> Option<WeightShape>;

    /// How many values there are, read through to be counted where that is the only way.
    fn count(&mut self) -> Result<u64>;

    /// Makes every part but the last a multiple of `unit` values, itself one of [`BLOCK`].
    fn set_unit(&mut self, unit: usize);

    /// How many values a part should be about, where they are evaluated in the file's own memory.
    fn set_mapped_part(&mut self, _: usize) {}

    /// The next part. None after the last.
    fn next_part(&mut self) -> Result<Option<Part<'_>>>;

    /// Goes back to the first part.
    fn rewind(&mut self) -> Result<()>;

    /// How much was read, and of how much, in a unit of the source's own.
    fn position(&self) -> (u64, u64);

    /// Where in its file a value is.
    fn place(&self, array: Array, index: u64) -> String;

    /// What the targets are called.
    fn targets(&self) -> String;

    /// What each class is called, where it has a name.
    fn classes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What a reader of the result should know about how the values were read.
    fn notes(&self) -> Vec<String>;
}

/// A run of values.
pub struct Part<'a> {
    pub predictions: Floats<'a>,
    pub targets: Targets<'a>,
    pub weights: Option<Weights<'a>>,
    /// Values that could not be carried over as they were.
    pub odds: AllOdds<'a>,
}

/// Values of a part that could not be carried over as they were.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllOdds<'a> {
    pub predictions: Option<&'a Odds>,
    pub targets: Option<&'a Odds>,
    pub weights: Option<&'a Odds>,
}

impl AllOdds<'_> {
    /// The one at that index of an array.
    pub fn find(&self, array: Array, index: usize) -> Option<&Odd> {
        let odds = match array {
            Array::Predictions | Array::Probabilities => self.predictions,
            Array::Targets => self.targets,
            Array::Weights => self.weights,
        };
        odds?.find(index)
    }
}

/// How values are to be read.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// What the predictions are.
    pub form: Form,
    /// The label that leaves its element out.
    pub ignore: Option<IgnoreLabel>,
    /// Whether any number is a label: positive above 0, else negative.
    pub any_number: bool,
    /// Whether an invalid value may be left out, so that it is not the first one that counts.
    pub every_odd: bool,
}

/// Values a part where they are converted or decoded: small enough to stay in a CPU's cache on the way.
const COPIED_PART: usize = 512 * BLOCK;
/// Columns that may make up the classes of one shape.
const MOST_COLUMNS: usize = 4096;

/// About `wanted` values, a multiple of `unit`.
fn part_len(wanted: usize, unit: usize) -> usize {
    (wanted / unit).max(1) * unit
}

/// What a weight of that shape belongs to, if it goes with predictions of the other.
fn weight_shape(weights: &Shape, predictions: &Shape) -> Option<WeightShape> {
    if weights.matches(predictions) {
        Some(WeightShape::Elements)
    } else if weights.rows == predictions.rows && weights.classes() == 1 {
        Some(WeightShape::Samples)
    } else {
        None
    }
}

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

    /// The shape that these columns make: [N] if it is one, else [N, C].
    pub fn of_columns(rows: Option<u64>, columns: usize) -> Self {
        Self { rows, classes: (columns > 1).then_some(columns as u64) }
    }

    /// The same shape with as many rows as `len` values make.
    pub fn with_len(self, len: u64) -> Self {
        Self { rows: self.rows.or(Some(len / self.classes().max(1))), ..self }
    }

    /// Shape [N] of the same N.
    pub fn by_row(self) -> Self {
        Self { classes: None, ..self }
    }

    /// N, if it is known.
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// C; 1 for shape [N].
    pub fn classes(&self) -> u64 {
        self.classes.unwrap_or(1)
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
        self.rows?.checked_mul(self.classes())
    }

    /// The dimensions. What is not known is 0.
    pub fn dimensions(&self) -> Vec<u64> {
        [Some(self.rows.unwrap_or(0)), self.classes].into_iter().flatten().collect()
    }

    /// The dimensions for people, N where it is not known.
    fn described(&self) -> String {
        match (self.rows, self.classes) {
            (None, None) => "[N]".to_owned(),
            (None, Some(classes)) => format!("[N, {classes}]"),
            _ => format!("{:?}", self.dimensions()),
        }
    }

    /// The place of a value, as NumPy indexes it.
    fn place(&self, index: u64) -> String {
        match self.classes {
            Some(classes) if classes > 0 => format!("index [{}, {}]", index / classes, index % classes),
            _ => format!("index {index}"),
        }
    }

    /// Whether another array's values lie in the same order: [N] and [N, 1] do.
    fn matches(&self, other: &Self) -> bool {
        self.rows == other.rows && self.classes() == other.classes()
    }
}

/// Opens the files that the command line names.
pub fn open(args: &EvalArgs, wish: Wish) -> Result<Box<dyn Source>> {
    let file = args.predictions.as_path();
    check_is_file(file)?;
    let named = Named { pred: args.pred.as_deref(), target: args.target.as_deref(), weight: args.weight.as_deref() };
    if extension(file) == "npy" {
        return npy::open(file, npy_targets(args)?, npy_weights(named)?, wish);
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
    open(file, named, wish)
}

/// The names on the command line of what holds the predictions, the targets and the weights.
#[derive(Clone, Copy, Debug)]
struct Named<'a> {
    pred: Option<&'a str>,
    target: Option<&'a str>,
    weight: Option<&'a str>,
}

/// The names of as many columns of predictions as of targets, and of none, one or as many of weights.
struct Columns<'a> {
    pred: Vec<&'a str>,
    target: Vec<&'a str>,
    weight: Vec<&'a str>,
}

impl Columns<'_> {
    /// What a weight belongs to.
    fn weights(&self) -> Option<WeightShape> {
        match self.weight.len() {
            0 => None,
            n if n == self.pred.len() => Some(WeightShape::Elements),
            _ => Some(WeightShape::Samples),
        }
    }
}

impl<'a> Named<'a> {
    /// Both names, or an error that lists what there is.
    fn both(self, file: &Path, kind: &str, there_are: &[String]) -> Result<(&'a str, &'a str)> {
        match self {
            Named { pred: Some(pred), target: Some(target), .. } => Ok((pred, target)),
            _ => Err(usage(
                format_args!("{}: which {kind}s? --pred NAME and --target NAME are needed", file.display()),
                format_args!("there are: {}", there_are.join(", ")),
            )),
        }
    }

    /// The columns that the names are of: one each, or several separated by commas.
    fn columns(self, file: &Path, names: &[String], described: &[String]) -> Result<Columns<'a>> {
        let (pred, target) = self.both(file, "column", described)?;
        let split = |list: &'a str| -> Vec<&'a str> {
            // A name may have a comma in it.
            if names.iter().any(|name| name == list) { vec![list] } else { list.split(',').map(str::trim).collect() }
        };
        let columns =
            Columns { pred: split(pred), target: split(target), weight: self.weight.map(split).unwrap_or_default() };
        let classes = columns.pred.len();
        if columns.target.len() != classes {
            return Err(usage(
                format_args!("--pred and --target name {classes} and {} columns", columns.target.len()),
                "name one column of labels for each of predictions, in the same order",
            ));
        }
        if columns.weight.len() > 1 && columns.weight.len() != classes {
            return Err(usage(
                format_args!("--pred and --weight name {classes} and {} columns", columns.weight.len()),
                "name one column of weights for all, or one for each column of predictions",
            ));
        }
        if classes > MOST_COLUMNS {
            return Err(usage(
                format_args!("--pred names {classes} columns: {MOST_COLUMNS} is the most"),
                "store them as an array of shape [N, C] in .npy or .safetensors files",
            ));
        }
        if let [weight] = *columns.weight
            && extension(Path::new(weight)) == "npy"
            && !names.iter().any(|name| name == weight)
        {
            return Err(usage(
                format_args!("--weight {weight}: weights of {} are in one of its columns", file.display()),
                format_args!("name it; there are: {}", described.join(", ")),
            ));
        }
        Ok(columns)
    }
}

fn npy_weights(named: Named<'_>) -> Result<Option<&Path>> {
    let Some(weights) = named.weight.map(Path::new) else { return Ok(None) };
    if extension(weights) != "npy" {
        return Err(usage(
            format_args!("--weight {}: weights beside a .npy file must be one too", weights.display()),
            "save them with numpy.save, as [N, C] or [N]; one for each class is --class-weight a,b,…",
        ));
    }
    check_is_file(weights)?;
    Ok(Some(weights))
}

/// The mask that the command line names.
pub fn open_mask(args: &EvalArgs) -> Result<Option<Mask>> {
    let Some(path) = &args.mask else { return Ok(None) };
    if extension(path) != "npy" {
        return Err(usage(
            format_args!("--mask {}: a mask is a NumPy file", path.display()),
            "save it with numpy.save, as bool or u8 of the predictions' shape",
        ));
    }
    check_is_file(path)?;
    Mask::open(path).map(Some)
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
    fn weights_go_with_elements_or_samples() {
        let shape = |dimensions: &[u64]| Shape::new(dimensions).expect("one or two dimensions");
        let matrix = shape(&[3, 2]);
        assert_eq!(weight_shape(&shape(&[3, 2]), &matrix), Some(WeightShape::Elements));
        assert_eq!(weight_shape(&shape(&[3]), &matrix), Some(WeightShape::Samples));
        assert_eq!(weight_shape(&shape(&[3, 1]), &matrix), Some(WeightShape::Samples));
        assert_eq!(weight_shape(&shape(&[2]), &matrix), None);
        assert_eq!(weight_shape(&shape(&[6]), &matrix), None);
        assert_eq!(weight_shape(&shape(&[3]), &shape(&[3, 1])), Some(WeightShape::Elements));
    }

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
