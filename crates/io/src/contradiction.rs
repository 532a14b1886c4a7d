//! Specifications that contradict themselves, or what the files hold.

use std::{borrow::Cow, path::PathBuf};

use logloss::BLOCK;

use crate::{Column, Number, Shape};

/// What does not go together in a specification, or with the files that it names.
///
/// It is displayed in terms of the options of the command line, which are named as the fields of the specification are.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Contradiction, Error, Inputs, RunSpec, run};
///
/// let spec = RunSpec::new(Inputs::new("logits.npy")); // without labels
/// let error = run(&spec, &Engine::cpu(), &mut ()).unwrap_err();
/// println!("{error}: {:?}", error.help());
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// Columns were named in a file that holds one array without a name.
    #[error("{}: a .npy file holds one array, which has no name", .0.display())]
    NamedArray(PathBuf),
    /// A file of predictions alone was given without labels.
    #[error("{}: the labels are missing", .0.display())]
    MissingTargets(PathBuf),
    /// Labels beside a `.npy` file of predictions are of another format.
    #[error("{}: labels beside a .npy file must be one too", .0.display())]
    TargetsFormat(PathBuf),
    /// Weights beside a `.npy` file of predictions are of another format.
    #[error("--weight {}: weights beside a .npy file must be one too", .0.display())]
    WeightsFormat(PathBuf),
    /// A file of labels was given beside a file that holds labels.
    #[error("{}: one file too many: {} holds the labels too", .extra.display(), .holder.display())]
    ExtraTargets {
        /// The file of labels.
        extra: PathBuf,
        /// The file that holds labels in a column or tensor.
        holder: PathBuf,
    },
    /// A file of weights was given beside a file that holds weights.
    #[error("{}: one file too many: {} holds the weights too", .extra.display(), .holder.display())]
    ExtraWeights {
        /// The file of weights.
        extra: PathBuf,
        /// The file that holds weights in a column or tensor.
        holder: PathBuf,
    },
    /// A mask is of another format than `.npy`.
    #[error("--mask {}: a mask is a NumPy file", .0.display())]
    MaskFormat(PathBuf),
    /// NaN is to be ignored in labels of a type that has no NaN.
    #[error("{column}: holds {number}, which is never nan")]
    NoNan {
        /// The labels.
        column: Column,
        /// Their type.
        number: Number,
    },
    /// A list of names where one tensor is meant.
    #[error("{}: '{names}' names several tensors", .path.display())]
    SeveralTensors {
        /// The file.
        path: PathBuf,
        /// The list of names.
        names: String,
    },
    /// The columns of predictions and of labels differ in number.
    #[error("--pred and --target name {} and {} columns", .predictions.len(), .targets.len())]
    TargetColumns {
        /// The columns of predictions.
        predictions: Vec<String>,
        /// The columns of labels.
        targets: Vec<String>,
    },
    /// The columns of weights are neither none, nor one, nor as many as those of predictions.
    #[error("--pred and --weight name {predictions} and {weights} columns")]
    WeightColumns {
        /// The number of columns of predictions.
        predictions: usize,
        /// The number of columns of weights.
        weights: usize,
    },
    /// More columns of predictions than are read.
    #[error("--pred names {columns} columns: {most} is the most")]
    TooManyColumns {
        /// The number of columns.
        columns: usize,
        /// The number of columns that are read.
        most: usize,
    },
    /// Weights in a file of their own beside a file that holds everything in columns.
    #[error("--weight {weights}: weights of {} are in one of its columns", .path.display())]
    WeightsOutside {
        /// The file of weights.
        weights: String,
        /// The file of columns.
        path: PathBuf,
        /// The names of its columns, with their types.
        found: Vec<String>,
    },
    /// More classes than an objective that tells them apart can hold.
    #[error("shape {:?}: {} classes are too many to be told apart", .0.dimensions(), .0.classes())]
    TooManyClasses(Shape),
    /// A list of values by class of another length than there are classes.
    #[error("{option}: {values} values for {classes} {}", if *.classes == 1 { "class" } else { "classes" })]
    ClassValues {
        /// The option.
        option: &'static str,
        /// The number of values.
        values: usize,
        /// The number of classes.
        classes: u64,
        /// Whether one value for all classes would do.
        one: bool,
    },
    /// Label weights by LightGBM's convention without that convention.
    #[error("--label-weight is-unbalance is a convention of LightGBM's")]
    UnbalanceOutsideLightgbm,
    /// Label weights and `pos_weight` at once, by LightGBM's convention.
    #[error("--label-weight and --pos-weight at the same time, which LightGBM refuses too")]
    BalancedTwice,
    /// Reduced values are to be written, and nothing is reduced.
    #[error("--value-out: nothing is reduced with --reduction none")]
    NothingReduced,
    /// Reduced values are to be written, and there is a single one.
    #[error("--value-out: the value is a single number, which the report shows")]
    SingleValue,
    /// An output that is no `.npy` file.
    #[error("{option} {}: outputs are NumPy files", .path.display())]
    OutputFormat {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// An output of the same name as another file.
    #[error("{option} {}: this is {other} already", .path.display())]
    SameFile {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The other use of the file: "an input", or an option.
        other: &'static str,
    },
    /// A type that NumPy does not have.
    #[error("{}: NumPy has no type {number}", .path.display())]
    NoNumpyType {
        /// The file that was to be written.
        path: PathBuf,
        /// The type.
        number: Number,
    },
}

impl Contradiction {
    /// How to correct it.
    pub fn help(&self) -> Cow<'static, str> {
        match self {
            Self::NamedArray(_) => "leave out --pred and --target".into(),
            Self::MissingTargets(_) => "pass a second .npy file: logloss eval PREDICTIONS.npy TARGETS.npy".into(),
            Self::TargetsFormat(_) => {
                "save them with numpy.save, or put both into one .parquet, .csv or .safetensors file".into()
            }
            Self::WeightsFormat(_) => {
                "save them with numpy.save, as [N, C] or [N]; one for each class is --class-weight a,b,…".into()
            }
            Self::ExtraTargets { .. } => "leave it out and name the columns with --pred NAME --target NAME".into(),
            Self::ExtraWeights { .. } => "leave it out and name the columns with --weight NAME".into(),
            Self::MaskFormat(_) => "save it with numpy.save, as bool or u8 of the predictions' shape".into(),
            Self::NoNan { .. } => {
                "pass --ignore-label L with the number that marks what to leave out, or --mask M.npy".into()
            }
            Self::SeveralTensors { .. } => "name one: classes are the columns of a tensor of shape [N, C]".into(),
            Self::TargetColumns { predictions, targets } => match (predictions.as_slice(), targets.as_slice()) {
                // Which one that is, the order does not say.
                ([_, _], [_]) => {
                    "of the probabilities of two classes, name the column of the positive class alone; of two \
                                  logits, store that of the positive class less the other as a column"
                        .into()
                }
                _ => "name one column of labels for each of predictions, in the same order".into(),
            },
            Self::WeightColumns { .. } => {
                "name one column of weights for all, or one for each column of predictions".into()
            }
            Self::TooManyColumns { .. } => {
                "store them as an array of shape [N, C] in .npy or .safetensors files".into()
            }
            Self::WeightsOutside { found, .. } => format!("name it; there are: {}", found.join(", ")).into(),
            Self::TooManyClasses(_) => format!(
                "evaluate some of them at a time; or leave out --class-weight, weights by sample, and --reduction \
                 per-class and per-row, which would hold {BLOCK} rows at a time"
            )
            .into(),
            Self::ClassValues { one: true, .. } => "give one value, or one for each class".into(),
            Self::ClassValues { one: false, .. } => "give one value for each class".into(),
            Self::UnbalanceOutsideLightgbm => {
                "pass --compat lightgbm too; or --label-weight balanced, which is scikit-learn's".into()
            }
            Self::BalancedTwice => "leave one out: is_unbalance is a weight of the positives that is counted, \
                                    scale_pos_weight one that is given"
                .into(),
            Self::NothingReduced => "the loss of each element is what --loss-out writes".into(),
            Self::SingleValue => "leave it out, or pass --reduction per-class or per-row".into(),
            Self::OutputFormat { path, .. } => format!("name it {}", path.with_extension("npy").display()).into(),
            Self::SameFile { .. } => "give every file a name of its own".into(),
            Self::NoNumpyType { .. } => "write f16 or f32".into(),
        }
    }
}
