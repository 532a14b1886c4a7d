//! Sources of values: files, read a part at a time.
//!
//! Another file format is one file here, which implements [`Source`], and one line in [`FORMATS`].

mod csv;
mod mapped;
mod mask;
mod npy;
mod parquet;
mod safetensors;

use std::path::Path;

use logloss::{Array, BLOCK, Floats, Ignore, Targets, WeightShape, Weights};
pub(crate) use mask::Mask;

use crate::{
    Error, Inputs, Observer, Place, ReadOptions, Result, Selection, Shape, Unrepresentable, UnrepresentableValues,
    inputs::{check_is_file, extension},
};

/// Opens a file whose columns or tensors have names.
type Open = fn(&Path, &Selection, &ReadOptions) -> Result<Box<dyn Source>>;

/// The formats of files that hold everything, by the extension of the file's name.
const FORMATS: [(&str, Open); 3] = [("parquet", parquet::open), ("csv", csv::open), ("safetensors", safetensors::open)];

/// The extension of files of a single array, beside which labels and weights are in files of their own.
const ARRAY_FORMAT: &str = "npy";

/// The number of values of a part where they are converted or decoded: few enough to stay in a CPU's cache on the way.
const COPIED_PART: usize = 512 * BLOCK;

/// Predictions and their targets, in parts.
///
/// The parts of a pass come in the order of the file. After [`rewind`](Source::rewind) they are the same again.
///
/// ```
/// use logloss::Form;
/// use logloss_io::{Inputs, ReadOptions, Selection, open_source};
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let inputs = Inputs::new(data.join("flights_head.csv"));
/// let selection = Selection::default().with_predictions("logit").with_targets("delayed");
/// let mut source = open_source(&inputs, &selection, &ReadOptions::new(Form::Logits))?;
/// let mut len = 0;
/// while let Some(part) = source.next_part(&mut ())? {
///     len += part.predictions.len();
/// }
/// assert_eq!(len, 20_000);
/// # Ok::<(), logloss_io::Error>(())
/// ```
pub trait Source: Send {
    /// The shape of the predictions, as far as it is known without reading them.
    fn shape(&self) -> Shape;

    /// How targets that are ignored differ from the others in the parts; none if no target can be ignored.
    fn ignore(&self) -> Option<Ignore>;

    /// Whether a weight belongs to an element or to a sample; none if there are no weights.
    fn weight_shape(&self) -> Option<WeightShape>;

    /// The number of values. A text file is read through to count them.
    ///
    /// # Errors
    /// That the file cannot be read, and [`Error::Interrupted`].
    fn count(&mut self, observer: &mut dyn Observer) -> Result<u64>;

    /// Makes every part but the last a multiple of `unit` values, itself a multiple of [`BLOCK`].
    fn set_unit(&mut self, unit: usize);

    /// Sets about how many values a part has where they are evaluated in the file's own memory.
    fn set_mapped_part(&mut self, len: usize) {
        let _ = len;
    }

    /// The next part; none after the last.
    ///
    /// # Errors
    /// That the file cannot be read, or holds a missing value or one that is not a number, and [`Error::Interrupted`].
    fn next_part(&mut self, observer: &mut dyn Observer) -> Result<Option<Part<'_>>>;

    /// Goes back to the first part.
    ///
    /// # Errors
    /// That the file cannot be read.
    fn rewind(&mut self) -> Result<()>;

    /// The amount read and the whole amount, in a unit of the source's own: values, rows or bytes.
    fn position(&self) -> (u64, u64);

    /// The place of the value with this index among all values; none if there is no such array. The index of a weight
    /// is that of its element.
    fn place(&self, array: Array, index: u64) -> Option<Place>;

    /// The arrays that hold the targets, as text.
    fn target_names(&self) -> String;

    /// The name of each class; empty if they have none.
    fn class_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Remarks on how the values were read, for the reader of the result.
    fn notes(&self) -> Vec<String>;
}

/// A run of values.
///
/// ```
/// use logloss::{Floats, Targets};
/// use logloss_io::Part;
///
/// let part = Part::new(Floats::F32(&[0.5, -1.0]), Targets::U8(&[1, 0]));
/// assert!(part.weights.is_none());
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Part<'a> {
    /// The predictions.
    pub predictions: Floats<'a>,
    /// As many targets.
    pub targets: Targets<'a>,
    /// The weights of these elements or samples, if there are weights.
    pub weights: Option<Weights<'a>>,
    /// The values that could not be converted as they are.
    pub unrepresentable: PartUnrepresentable<'a>,
}

/// The values of a part that could not be converted as they are, by array.
///
/// ```
/// use logloss::{Array, Floats, Targets};
/// use logloss_io::Part;
///
/// // What a source of one's own hands out: every value is as it was stored.
/// let part = Part::new(Floats::F32(&[0.5, -1.0]), Targets::U8(&[1, 0]));
/// assert!(part.unrepresentable.find(Array::Targets, 0).is_none());
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct PartUnrepresentable<'a> {
    /// Those of the predictions.
    pub predictions: Option<&'a UnrepresentableValues>,
    /// Those of the targets.
    pub targets: Option<&'a UnrepresentableValues>,
    /// Those of the weights.
    pub weights: Option<&'a UnrepresentableValues>,
}

impl<'a> Part<'a> {
    /// Predictions and as many targets, all of which were converted as they are.
    pub fn new(predictions: Floats<'a>, targets: Targets<'a>) -> Self {
        Self { predictions, targets, weights: None, unrepresentable: PartUnrepresentable::default() }
    }

    /// Sets the weights of these elements or samples.
    pub fn with_weights(mut self, weights: Weights<'a>) -> Self {
        self.weights = Some(weights);
        self
    }
}

impl PartUnrepresentable<'_> {
    /// The one with this index in an array of the part.
    pub fn find(&self, array: Array, index: usize) -> Option<&Unrepresentable> {
        let values = match array {
            Array::Targets => self.targets,
            Array::Weights => self.weights,
            _ => self.predictions,
        };
        values?.find(index)
    }
}

/// About `wanted` values, a multiple of `unit`.
fn part_len(wanted: usize, unit: usize) -> usize {
    (wanted / unit).max(1) * unit
}

/// Opens the files, whose format is that of the predictions' extension, and checks that their shapes fit together.
///
/// # Errors
/// Any [`Error`] but those of single values, which are found when they are read or evaluated.
pub fn open_source(inputs: &Inputs, selection: &Selection, options: &ReadOptions) -> Result<Box<dyn Source>> {
    let path = inputs.predictions.as_path();
    check_is_file(path)?;
    let extension = extension(path);
    if extension == ARRAY_FORMAT {
        let (targets, weights) = inputs.beside_npy(selection)?;
        return npy::open(path, targets, weights, options);
    }
    let Some((_, open)) = FORMATS.iter().find(|(name, _)| *name == extension) else {
        return Err(Error::UnsupportedFormat { path: path.to_owned(), extension });
    };
    inputs.check_alone()?;
    open(path, selection, options)
}

/// Opens the mask, if there is one.
pub(crate) fn open_mask(inputs: &Inputs) -> Result<Option<Mask>> {
    inputs.checked_mask()?.map(Mask::open).transpose()
}
