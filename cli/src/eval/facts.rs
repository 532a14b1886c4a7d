//! What the report says of the values themselves, from one cheap look at each part.

use logloss::{Floats, Form, Targets};

use crate::source::Part;

/// Values summed at a time, few enough for their sum to fit u32.
const RUN: usize = 1 << 16;

/// What is known of the values seen so far.
#[derive(Debug)]
pub struct Facts {
    all_in_unit_interval: bool,
    target_sum: f64,
    count: u64,
}

impl Facts {
    /// Nothing seen yet.
    pub fn new(form: Form) -> Self {
        // Probabilities had better lie there: nothing to find out.
        Self { all_in_unit_interval: form == Form::Logits, target_sum: 0.0, count: 0 }
    }

    /// Takes in a part.
    pub fn look_at(&mut self, part: &Part<'_>) {
        self.all_in_unit_interval = self.all_in_unit_interval && all_in_unit_interval(part.predictions);
        self.target_sum += target_sum(part.targets);
        self.count += part.predictions.len() as u64;
    }

    /// Whether every prediction lies in [0, 1], as logits rarely do.
    pub fn all_in_unit_interval(&self) -> bool {
        self.all_in_unit_interval && self.count > 0
    }

    /// The mean of the targets; none if there are none, or an invalid one.
    pub fn base_rate(&self) -> Option<f64> {
        Some(self.target_sum / self.count as f64).filter(|rate| !rate.is_nan())
    }
}

/// Stops at the first that does not: nearly always one of the first few. Non-negative floats are ordered as their bits
/// are, and of the negative ones only −0 is within.
fn all_in_unit_interval(predictions: Floats<'_>) -> bool {
    const ONE_F16: u16 = 0x3C00;
    const ONE_BF16: u16 = 0x3F80;
    const MINUS_ZERO: u16 = 0x8000;
    match predictions {
        Floats::F32(values) => values.iter().all(|value| (0.0..=1.0).contains(value)),
        Floats::F16(values) => values.iter().all(|value| value.to_bits() <= ONE_F16 || value.to_bits() == MINUS_ZERO),
        Floats::Bf16(values) => values.iter().all(|value| value.to_bits() <= ONE_BF16 || value.to_bits() == MINUS_ZERO),
    }
}

/// The sum of the targets, NaN if one is invalid.
fn target_sum(targets: Targets<'_>) -> f64 {
    match targets {
        Targets::U8(values) => values.chunks(RUN).map(hard_sum).sum(),
        Targets::F32(values) => {
            values.iter().map(|&z| if (0.0..=1.0).contains(&z) { z.into() } else { f64::NAN }).sum()
        }
        Targets::Bool(values) => values.iter().filter(|&&z| z).count() as f64,
        Targets::Bits(bytes) => bytes.iter().map(|byte| byte.count_ones()).sum::<u32>().into(),
    }
}

fn hard_sum(values: &[u8]) -> f64 {
    let (sum, seen) = values.iter().fold((0, 0), |(sum, seen), &z| (sum + u32::from(z), seen | z));
    if seen > 1 { f64::NAN } else { sum.into() }
}

#[cfg(test)]
mod tests {
    use logloss::half::{bf16, f16};

    use super::*;

    #[test]
    fn unit_interval_in_every_type() {
        for (value, within) in [
            (0.0, true),
            (-0.0, true),
            (1.0, true),
            (0.5, true),
            (1.01, false),
            (-0.01, false),
            (f32::NAN, false),
            (-f32::NAN, false),
            (f32::INFINITY, false),
            (f32::NEG_INFINITY, false),
        ] {
            assert_eq!(all_in_unit_interval(Floats::F32(&[0.5, value])), within, "{value}");
            assert_eq!(all_in_unit_interval(Floats::F16(&[f16::from_f32(value)])), within, "{value}");
            assert_eq!(all_in_unit_interval(Floats::Bf16(&[bf16::from_f32(value)])), within, "{value}");
        }
    }

    #[test]
    fn base_rates() {
        let seen = |targets: Targets<'_>, len: usize| {
            let mut facts = Facts::new(Form::Logits);
            let predictions = vec![2.0f32; len];
            let predictions = Floats::F32(&predictions);
            facts.look_at(&Part { predictions, targets, odd_prediction: None, odd_target: None });
            facts.base_rate()
        };
        assert_eq!(seen(Targets::U8(&[0, 1, 1, 1]), 4), Some(0.75));
        assert_eq!(seen(Targets::U8(&[0, 1, 1, 2]), 4), None);
        assert_eq!(seen(Targets::F32(&[0.25, 0.75]), 2), Some(0.5));
        assert_eq!(seen(Targets::F32(&[0.25, f32::NAN]), 2), None);
        assert_eq!(seen(Targets::U8(&[]), 0), None);
        assert_eq!(seen(Targets::U8(&vec![1; 3 * RUN + 1]), 3 * RUN + 1), Some(1.0));
    }
}
