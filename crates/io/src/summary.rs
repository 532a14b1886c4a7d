//! The result of a run.

use std::{fmt, time::Duration};

use logloss::{Evaluation, Reduction};

use crate::{LabelStats, ReducedValues, Shape, WrittenOutput};

/// Everything that is known after a run.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Inputs, RunSpec, Selection, run};
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let inputs = Inputs::new(data.join("flights_head.csv"));
/// let selection = Selection::default().with_predictions("logit").with_targets("delayed");
/// let spec = RunSpec::new(inputs).with_selection(selection);
/// let summary = run(&spec, &Engine::cpu(), &mut ())?;
/// assert_eq!((summary.len, summary.evaluation.count), (20_000, 20_000));
/// assert!(summary.base_rate_loss() > Some(summary.evaluation.mean));
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The result of the engine: sums, device, times of its phases.
    pub evaluation: Evaluation,
    /// The reduction, which the conventions of another system may have changed.
    pub reduction: Reduction,
    /// The result of the reduction.
    pub values: ReducedValues,
    /// The name of each class; empty if they have none.
    pub class_names: Vec<String>,
    /// The shape of the predictions.
    pub shape: Shape,
    /// The number of values read, whether they are counted, ignored or masked.
    pub len: u64,
    /// The statistics of the labels that are counted.
    pub labels: LabelStats,
    /// Whether the loss is the plain one, but for weights of elements and samples.
    pub is_plain: bool,
    /// Whether elements or samples have weights.
    pub has_weights: bool,
    /// The times of reading and writing.
    pub times: Times,
    /// The outputs that were written.
    pub outputs: Vec<WrittenOutput>,
    /// Remarks for the reader of the result.
    pub notes: Vec<Note>,
}

impl Summary {
    /// The mean of the loss, over what the mean of the evaluation is over, if every prediction were the base rate; none if
    /// the loss is not the plain one, or there is no base rate.
    pub fn base_rate_loss(&self) -> Option<f64> {
        let rate = self.labels.base_rate().filter(|_| self.is_plain)?;
        let of_label = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
        // The loss of a constant prediction has the weights of the elements, which a mean over their number keeps.
        let weight = match self.reduction {
            Reduction::WeightedMean => 1.0,
            _ => self.labels.weight / self.labels.count as f64,
        };
        Some((of_label(rate) + of_label(1.0 - rate)) * weight)
    }
}

/// Wall-clock times that the engine does not know of.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Inputs, RunSpec, Selection, run};
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let inputs = Inputs::new(data.join("flights_head.csv"));
/// let selection = Selection::default().with_predictions("logit").with_targets("delayed");
/// let spec = RunSpec::new(inputs).with_selection(selection);
/// let summary = run(&spec, &Engine::cpu(), &mut ())?;
/// assert!(summary.times.read <= summary.times.elapsed && summary.times.write.is_zero());
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Times {
    /// Reading, decoding and converting values, and adding up their statistics. What is memory-mapped is read from disk
    /// only while it is evaluated.
    pub read: Duration,
    /// Writing outputs.
    pub write: Duration,
    /// From the first value read to the last output in its place.
    pub elapsed: Duration,
}

/// A remark for the reader of a result.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Inputs, RunSpec, Selection, run};
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let inputs = Inputs::new(data.join("flights_head.csv"));
/// let selection = Selection::default().with_predictions("logit").with_targets("delayed");
/// let spec = RunSpec::new(inputs).with_selection(selection);
/// let summary = run(&spec, &Engine::cpu(), &mut ())?;
/// for note in &summary.notes {
///     eprintln!("{:?}: {note}", note.severity);
/// }
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// Its severity.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
}

/// The severity of a note.
///
/// ```
/// use logloss_io::Severity;
///
/// assert!(Severity::Warning > Severity::Info);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// The result is as it was asked for.
    Info,
    /// The result may not be what was meant.
    Warning,
}

impl Note {
    pub(crate) fn info(text: impl Into<String>) -> Self {
        Self { severity: Severity::Info, text: text.into() }
    }

    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, text: text.into() }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
