//! What scikit-learn's `log_loss` looks for before it computes anything.

use crate::{Batch, Compat, Form, Ignore, NonFinite, Objective, Partials, Targets, Unsupported};

/// The labels among the targets that are counted, as far as it matters which there are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Labels {
    zero: bool,
    one: bool,
    /// The first target that is neither, and its index.
    soft: Option<(u64, f64)>,
    probabilities: bool,
}

impl Labels {
    /// Takes in a part whose first value has the index `first`, if anybody asks for its labels.
    pub fn look_at(&mut self, part: &Batch<'_>, objective: &Objective, first: u64) {
        if !matter(objective) {
            return;
        }
        self.probabilities = part.form() == Form::Probabilities;
        let targets = part.targets();
        let mut i = 0;
        while i < part.len() {
            if self.zero && self.one {
                // All that is left to find is a soft one.
                let Targets::F32(values) = targets else { return };
                let hard = |z: &f32| *z == 0.0 || *z == 1.0;
                let Some(next) = values[i..].iter().position(|z| !hard(z)) else { return };
                i += next;
            }
            if self.soft.is_some() && (self.zero && self.one || !self.probabilities) {
                return;
            }
            match targets.get(i) {
                _ if !counts(part, objective.ignore(), i) => {}
                0.0 => self.zero = true,
                1.0 => self.one = true,
                z => {
                    self.soft.get_or_insert((first + i as u64, z));
                }
            }
            i += 1;
        }
    }

    /// Why the whole is refused, if it is. (An invalid value was an error before.)
    pub fn refusal(&self, objective: &Objective, partials: &Partials) -> Option<Unsupported> {
        if !matter(objective) {
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

fn matter(objective: &Objective) -> bool {
    objective.compat() == Some(Compat::Sklearn) && objective.non_finite() == NonFinite::Error
}

/// Whether value `index` is not left out.
fn counts(part: &Batch<'_>, ignore: Option<Ignore>, index: usize) -> bool {
    let ignored = ignore.is_some_and(|ignore| ignore.ignores(part.targets().get(index)));
    !ignored && part.mask().is_none_or(|bits| bits[index / 8] >> (index % 8) & 1 == 1)
}
