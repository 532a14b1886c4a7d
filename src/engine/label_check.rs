//! The checks of labels and weights that scikit-learn's `log_loss` makes before it computes a loss.

use crate::{Batch, Compat, Form, Ignore, NonFinite, Objective, Partials, Targets, Unsupported};

/// The labels that occur among the counted targets, as far as `log_loss` checks them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Labels {
    /// Whether a target is 0.
    zero: bool,
    /// Whether a target is 1.
    one: bool,
    /// The index and value of the first target that is neither 0 nor 1.
    soft: Option<(u64, f64)>,
    /// Whether the predictions are probabilities.
    probabilities: bool,
}

impl Labels {
    /// Adds the labels of a part whose first value has index `first` in the whole batch, if `objective` needs the
    /// check.
    pub(super) fn add(&mut self, part: &Batch<'_>, objective: &Objective, first: u64) {
        if !is_checked(objective) {
            return;
        }
        self.probabilities = part.form() == Form::Probabilities;
        let targets = part.targets();
        let mut i = 0;
        while i < part.len() {
            if self.zero && self.one {
                // Only a soft target remains to be found.
                let Targets::F32(values) = targets else { return };
                let hard = |z: &f32| *z == 0.0 || *z == 1.0;
                let Some(next) = values[i..].iter().position(|z| !hard(z)) else { return };
                i += next;
            }
            if self.soft.is_some() && (self.zero && self.one || !self.probabilities) {
                return;
            }
            match targets.get(i) {
                _ if !is_counted(part, objective.ignore(), i) => {}
                0.0 => self.zero = true,
                1.0 => self.one = true,
                z => {
                    self.soft.get_or_insert((first + i as u64, z));
                }
            }
            i += 1;
        }
    }

    /// The reason why `log_loss` does not support the whole batch, if it does not. Invalid values have been reported
    /// before.
    pub(super) fn unsupported(&self, objective: &Objective, partials: &Partials) -> Option<Unsupported> {
        if !is_checked(objective) {
            return None;
        }
        if partials.count == 0 {
            return Some(Unsupported::NoSamples);
        }
        match self.soft {
            Some((index, value)) if self.probabilities => return Some(Unsupported::SoftLabel { index, value }),
            None if self.zero != self.one => return Some(Unsupported::OneLabel { label: u8::from(self.one) }),
            _ => {}
        }
        (partials.weight.value() == 0.0).then_some(Unsupported::ZeroWeights)
    }
}

/// Whether the labels are checked.
fn is_checked(objective: &Objective) -> bool {
    objective.compat() == Some(Compat::Sklearn) && objective.non_finite() == NonFinite::Error
}

/// Whether value `index` is neither ignored nor masked.
fn is_counted(part: &Batch<'_>, ignore: Option<Ignore>, index: usize) -> bool {
    let ignored = ignore.is_some_and(|ignore| ignore.ignores(part.targets().get(index)));
    !ignored && part.mask().is_none_or(|bits| bits[index / 8] >> (index % 8) & 1 == 1)
}
