//! What the values of a part look like, for the advice on one of them that is invalid.

use logloss::{Floats, Targets};

use crate::Part;

/// The values beside an invalid one, in its part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Whether a label is 0.
    pub zeros: bool,
    /// Whether a label is 1.
    pub ones: bool,
    /// The smallest prediction; infinity if there is none.
    pub lowest: f64,
    /// The largest prediction; minus infinity if there is none.
    pub highest: f64,
    /// Whether more than half of the predictions are above 1.
    pub mostly_above_one: bool,
}

impl Seen {
    /// Looks at a part.
    pub(crate) fn of(part: &Part<'_>) -> Self {
        let Part { predictions, targets, .. } = *part;
        let any = |label: f64| match targets {
            Targets::U8(values) => values.iter().any(|&z| f64::from(z) == label),
            targets => (0..predictions.len()).any(|index| targets.get(index) == label),
        };
        let (lowest, highest) = range(predictions);
        let above = (0..predictions.len()).filter(|&index| predictions.get(index) > 1.0).count();
        let mostly_above_one = 2 * above > predictions.len();
        Self { zeros: any(0.0), ones: any(1.0), lowest, highest, mostly_above_one }
    }

    /// Whether predictions leave [0, 1] by no more than calculations of probabilities do.
    pub(crate) fn is_about_unit(&self) -> bool {
        const ROUNDING: f64 = 1e-2;
        self.lowest >= -ROUNDING && self.highest <= 1.0 + ROUNDING
    }

    /// Whether predictions look like percentages: none is negative, as many logits are, most are above 1, and some are
    /// larger than logits get.
    pub(crate) fn is_percentage(&self) -> bool {
        const LOGIT: f64 = 20.0;
        self.lowest >= 0.0 && (LOGIT..=100.0).contains(&self.highest) && self.mostly_above_one
    }
}

/// The smallest and the largest value; NaN is neither.
fn range(values: Floats<'_>) -> (f64, f64) {
    (0..values.len())
        .map(|index| values.get(index))
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_and_rounding() {
        let seen = |predictions: &[f32]| Seen::of(&Part::new(Floats::F32(predictions), Targets::U8(&[0; 3])));
        assert!(seen(&[15.1, 0.2, 99.0]).is_percentage() && seen(&[2.0, 100.0, f32::NAN]).is_percentage());
        // An outlier among probabilities, and logits that are all positive.
        assert!(!seen(&[0.3, 0.7, 90.0]).is_percentage() && !seen(&[1.3, 2.7, 5.5]).is_percentage());
        assert!(!seen(&[15.1, -0.2, 9.0]).is_percentage() && !seen(&[0.1, 101.0, 9.0]).is_percentage());
        assert!(seen(&[0.5, 1.000_001, -1e-9]).is_about_unit() && !seen(&[0.5, 1.2, 0.0]).is_about_unit());
        let part = Part::new(Floats::F32(&[0.5; 3]), Targets::F32(&[1.0, f32::NAN, 0.5]));
        assert_eq!((Seen::of(&part).zeros, Seen::of(&part).ones), (false, true));
    }
}
