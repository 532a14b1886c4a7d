//! How values are to be read.

use logloss::Form;

/// A label whose elements are ignored.
///
/// ```
/// use logloss::Form;
/// use logloss_io::{IgnoredLabel, ReadOptions};
///
/// let options = ReadOptions::new(Form::Logits)
///     .with_ignored_label(IgnoredLabel::Integer(-100))
///     .with_ignored_label(IgnoredLabel::Integer(255));
/// assert_eq!(options.ignored_labels.len(), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IgnoredLabel {
    /// This number, in labels of any type.
    Integer(i128),
    /// NaN, in labels that are floats; a missing label (null) is one too.
    Nan,
}

/// How the values of a file are to be converted.
///
/// ```
/// use logloss::Form;
/// use logloss_io::{Inputs, ReadOptions, Selection, open_source};
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let inputs = Inputs::new(data.join("flights_head.csv"));
/// let selection = Selection::default().with_predictions("logit").with_targets("delayed");
/// let source = open_source(&inputs, &selection, &ReadOptions::new(Form::Logits))?;
/// assert_eq!(source.target_names(), format!("{}: column 'delayed'", inputs.predictions.display()));
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The form of the predictions.
    pub form: Form,
    /// The labels whose elements are ignored.
    pub ignored_labels: Vec<IgnoredLabel>,
    /// Whether any number is a label: positive above 0, else negative.
    pub any_number_is_label: bool,
    /// Whether elements may be ignored or masked. Then the first invalid value of a part may not count, and every
    /// [unrepresentable](crate::Unrepresentable) one is kept. A value that is missing is an error only where it counts.
    pub may_skip: bool,
}

impl ReadOptions {
    /// Predictions of this form and their labels, of which none is ignored.
    pub fn new(form: Form) -> Self {
        Self { form, ignored_labels: Vec::new(), any_number_is_label: false, may_skip: false }
    }

    /// Ignores the elements with this label too.
    pub fn with_ignored_label(mut self, label: IgnoredLabel) -> Self {
        self.ignored_labels.push(label);
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

    /// Whether labels that are NaN, or missing, are ignored.
    pub(crate) fn ignores_nan(&self) -> bool {
        self.ignored_labels.contains(&IgnoredLabel::Nan)
    }
}
