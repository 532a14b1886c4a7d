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
#[non_exhaustive]
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

impl ReadOptions {
    /// Predictions of this form and their labels, of which none is ignored.
    pub fn new(form: Form) -> Self {
        Self { form, ignored_label: None, any_number_is_label: false, may_skip: false }
    }

    /// Ignores the elements with this label.
    pub fn with_ignored_label(mut self, label: IgnoredLabel) -> Self {
        self.ignored_label = Some(label);
        self.with_may_skip(true)
    }

    /// Sets whether any number is a label.
    pub fn with_any_number_is_label(mut self, any_number_is_label: bool) -> Self {
        self.any_number_is_label = any_number_is_label;
        self
    }

    /// Sets whether elements may be ignored or masked.
    pub fn with_may_skip(mut self, may_skip: bool) -> Self {
        self.may_skip = may_skip;
        self
    }
}
