//! The inputs of the self-test, and an accurate sum of the exact losses.

use logloss::{Floats, Form};

/// All pairs of a prediction and a target.
pub(super) fn cross<P: Copy, T: Copy>(predictions: &[P], targets: &[T]) -> (Vec<P>, Vec<T>) {
    predictions.iter().flat_map(|&p| targets.iter().map(move |&t| (p, t))).unzip()
}

/// All valid predictions of a 16-bit type.
pub(super) fn every<P: Copy>(form: Form, from_bits: fn(u16) -> P, to_f64: fn(P) -> f64) -> Vec<P> {
    (0..=u16::MAX).map(from_bits).filter(|&p| valid(form, to_f64(p))).collect()
}

fn valid(form: Form, prediction: f64) -> bool {
    if form == Form::Probabilities { (0.0..=1.0).contains(&prediction) } else { !prediction.is_nan() }
}

/// The valid f32 predictions of a sweep: `mantissas` values of every exponent and both signs, `linear` evenly spaced
/// values in the range in which no result is at its limit, and special values.
pub(super) fn wide(form: Form, mantissas: u32, linear: u32) -> Vec<f32> {
    let mut values = Vec::new();
    for exponent in 0..=0xff {
        // The step is an odd number so that the low bits vary. The first and the last mantissa are always included.
        let step = ((1 << 23) / mantissas) | 1;
        let fractions = (0..mantissas).map(|i| i * step % (1 << 23)).chain([1, (1 << 23) - 1]);
        values.extend(fractions.map(|fraction| f32::from_bits(exponent << 23 | fraction)));
    }
    match form {
        Form::Probabilities => {
            values.extend((0..=linear).map(|i| (f64::from(i) / f64::from(linear)) as f32));
            values.extend((0..=4096).map(|i| f32::from_bits(1f32.to_bits() - i)));
            values.extend((1..=24).flat_map(|k| around(1.0 - 0.5f32.powi(k))));
            values.extend((1..=148).flat_map(|k| around(0.5f32.powi(k))));
            values.push(-0.0);
        }
        _ => {
            values.extend((0..=linear).map(|i| (110.0 * f64::from(i) / f64::from(linear)) as f32));
            // The points at which an argument reduction may switch, and their neighbours.
            let ln2 = std::f64::consts::LN_2;
            values.extend((0..320).flat_map(|n| around((f64::from(n) * 0.5 * ln2) as f32)));
            values.extend([f32::INFINITY, f32::MAX, f32::MIN_POSITIVE]);
            let negated: Vec<f32> = values.iter().map(|&x| -x).collect();
            values.extend(negated);
        }
    }
    values.retain(|&p| valid(form, p.into()));
    values
}

/// The valid f64 probabilities of a sweep: `mantissas` values of every exponent, and as far from 1, `linear` evenly spaced
/// values, and special values.
pub(super) fn wide_f64(mantissas: u64, linear: u32) -> Vec<f64> {
    let mut random = Random(20_261_128);
    let mut values: Vec<f64> = (0..1022u64 << 52)
        .step_by(1 << 52)
        .flat_map(|exponent| (0..mantissas).map(move |_| exponent))
        .map(|exponent| f64::from_bits(exponent | random.next() >> 12))
        .collect();
    // As many at each distance from 1, which are multiples of 2⁻⁵³.
    for k in 1..=53 {
        values.extend((0..64 * mantissas).map(|_| 1.0 - 0.5f64.powi(k) * (1.0 + random.uniform())));
        values.extend([1.0 - 0.5f64.powi(k), 0.5f64.powi(k)]);
    }
    // Around the switch from distances to their logarithms, and the smallest values.
    let switch = 2f64.powi(-126).to_bits();
    values.extend((switch - 50..switch + 50).chain(1..50).map(f64::from_bits));
    values.extend((0..=linear).map(|i| f64::from(i) / f64::from(linear)));
    values.extend([0.0, -0.0, 1.0]);
    values.retain(|&p| valid(Form::Probabilities, p));
    values
}

/// Predictions of one of two types.
pub(super) enum Sweep {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Sweep {
    /// All pairs of a prediction and a target.
    pub(super) fn cross(self, targets: &[f32]) -> (Self, Vec<f32>) {
        match self {
            Sweep::F32(values) => {
                let (values, targets) = cross(&values, targets);
                (Sweep::F32(values), targets)
            }
            Sweep::F64(values) => {
                let (values, targets) = cross(&values, targets);
                (Sweep::F64(values), targets)
            }
        }
    }

    pub(super) fn view(&self) -> Floats<'_> {
        match self {
            Sweep::F32(values) => Floats::F32(values),
            Sweep::F64(values) => Floats::F64(values),
        }
    }
}

/// A value and its four nearest neighbours on each side, as far as they have the same sign.
fn around(value: f32) -> impl Iterator<Item = f32> {
    let bits = value.to_bits();
    (bits.saturating_sub(4)..=bits + 4).map(f32::from_bits)
}

/// The sum of non-negative values, computed with nearly twice the digits of f64 (Neumaier, "Rundungsfehleranalyse
/// einiger Verfahren zur Summation endlicher Summen", 1974).
pub(super) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut high, mut low) = (0.0f64, 0.0f64);
    for value in values {
        let total = high + value;
        low += if high >= value { high - total + value } else { value - total + high };
        high = total;
    }
    // If the sum is infinite, the correction is NaN.
    if high.is_finite() { high + low } else { high }
}

/// The generator SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). It makes
/// the sweep the same on every platform, without a dependency.
pub(super) struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from the uniform distribution on (0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) * 2f64.powi(-53)
    }

    /// A number from an approximately standard normal distribution (Irwin–Hall).
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use logloss::half::{bf16, f16};

    use super::*;

    #[test]
    fn sums_to_twice_the_digits() {
        assert_eq!(sum([1.0, 1e-20, 1e20, 1e-20].into_iter()), 1e20 + 1.0);
        assert_eq!(sum((0..1000).map(|_| 0.1)), 100.0);
        assert_eq!(sum([f64::INFINITY, 1.0].into_iter()), f64::INFINITY);
    }

    #[test]
    fn the_sweep_contains_every_exponent() {
        for form in [Form::Logits, Form::Probabilities] {
            let values = wide(form, 160, 1 << 10);
            let of = |exponent: u32| values.iter().filter(|v| v.to_bits() >> 23 & 0xff == exponent).count();
            let last = if form == Form::Logits { 254 } else { 126 };
            assert!((0..=last).all(|exponent| of(exponent) >= 160), "{form:?}");
        }
        assert_eq!(every(Form::Logits, f16::from_bits, f16::to_f64).len(), 65536 - 2 * 1023);
        assert_eq!(every(Form::Logits, bf16::from_bits, bf16::to_f64).len(), 65536 - 2 * 127);
    }
}
