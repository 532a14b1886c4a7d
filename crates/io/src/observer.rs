//! Observers: they see the progress of an evaluation, and interrupt it.

use crate::{Error, Result};

/// Follows an evaluation: shows its progress and interrupts it. It is called for each part of the data, never for a
/// single value.
///
/// `()` shows nothing and never interrupts.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Error, Inputs, Observer, RunSpec, Selection, run};
///
/// /// Stops at once.
/// struct Impatient;
///
/// impl Observer for Impatient {
///     fn interrupted(&self) -> bool {
///         true
///     }
/// }
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let inputs = Inputs::new(data.join("flights_head.csv"));
/// let selection = Selection::default().with_predictions("logit").with_targets("delayed");
/// let spec = RunSpec::new(inputs).with_selection(selection);
/// assert!(matches!(run(&spec, &Engine::cpu(), &mut Impatient), Err(Error::Interrupted)));
/// ```
pub trait Observer {
    /// Called after every part: `done` of `total` was read, in a unit of the source's own (values, rows or bytes), and
    /// `values` is the number of values in that. A second pass over the same data begins at 0 again.
    fn progress(&mut self, done: u64, total: u64, values: u64) {
        let _ = (done, total, values);
    }

    /// Whether the evaluation is to stop. Called before every part, and while text is read. If so, the evaluation fails
    /// with [`Error::Interrupted`] and leaves no output behind.
    fn interrupted(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// Fails if the evaluation is to stop.
pub(crate) fn check(observer: &dyn Observer) -> Result<()> {
    if observer.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
}
