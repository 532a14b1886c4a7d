//! How values are to be read.

use logloss::Form;

/// The label whose elements are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IgnoredLabel {
    /// This number, in labels of any type.
    Integer(i128),
    /// NaN, in labels that are floats; a missing label (null) is one too.
    Nan,
}

/// How the values of a file are to be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// The form of the predictions.
    pub form: Form,
    /// The label whose elements are ignored.
    pub ignored_label: Option<IgnoredLabel>,
    /// Whether any number is a label: positive above 0, else negative.
    pub any_number_is_label: bool,
    /// Whether elements may be ignored or masked. Then the first invalid value of a part may not count, and every
    /// [unrepresentable](crate::Unrepresentable) one is kept.
    pub may_skip: bool,
}
