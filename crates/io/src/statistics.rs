//! Statistics of the values themselves, from one cheap look at each part.

use fearless_simd::{Level, dispatch, prelude::*};
use logloss::{Floats, Ignore, Targets, Weights};
use rayon::prelude::*;

use crate::Part;

/// The number of values that a thread sums at a time. Every part but the last is a multiple of it, so that the sums are
/// added in the same order however values are cut.
const RUN: usize = 1 << 16;
/// The most bytes that are summed without other threads: waking them costs more.
const INLINE: usize = 16 * RUN;

/// The number, the weight and the weighted sum of the labels that are counted.
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
/// assert_eq!(summary.labels.count, 20_000);
/// assert!(summary.labels.base_rate().is_some_and(|rate| (0.2..0.21).contains(&rate)));
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LabelStats {
    /// The number of labels that are neither ignored nor masked.
    pub count: u64,
    /// The sum of the labels, whatever their weights; NaN if one of them is invalid.
    pub label_sum: f64,
    /// The sum of the weights of their elements or samples; their number if there are no weights.
    pub weight: f64,
    /// The sum of the labels, each times its weight; NaN if one of them is invalid. Where any number is a label, a positive
    /// one counts as 1.
    pub sum: f64,
}

impl LabelStats {
    /// Adds the labels of a part that are neither ignored nor masked.
    pub(crate) fn add(
        &mut self,
        part: &Part<'_>,
        mask: Option<&[u8]>,
        ignore: Option<Ignore>,
        any_number_is_label: bool,
    ) {
        if let Some(weights) = part.weights {
            let all_count = mask.is_none() && ignore.is_none() && !any_number_is_label;
            let counted = |index: usize| counted_label(part, mask, ignore, any_number_is_label, index);
            for [count, label_sum, weight, sum] in weighted_sums(part, weights, all_count, &counted) {
                self.count += count as u64;
                self.label_sum += label_sum;
                self.weight += weight;
                self.sum += sum;
            }
        } else if mask.is_none() && ignore.is_none() && !any_number_is_label {
            self.sum = target_sums(Level::new(), part.targets).into_iter().fold(self.sum, |sum, run| sum + run);
            self.count += part.predictions.len() as u64;
            self.weight += part.predictions.len() as f64;
            self.label_sum = self.sum;
        } else {
            let (mut sum, mut count) = (0.0, 0);
            for_each_counted(part, mask, ignore, |_, z| {
                sum += label(z, any_number_is_label);
                count += 1;
            });
            self.sum += sum;
            self.count += count;
            self.weight += count as f64;
            self.label_sum = self.sum;
        }
    }

    /// The weighted mean of the labels; none if they weigh nothing, or one is invalid.
    pub fn base_rate(&self) -> Option<f64> {
        Some(self.sum / self.weight).filter(|rate| !rate.is_nan())
    }
}

/// The number of labels of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelCounts {
    pub negatives: u64,
    pub positives: u64,
}

/// A target that is neither of the two labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NoLabel {
    /// Its index in the part.
    pub index: usize,
    pub value: f64,
}

impl LabelCounts {
    /// Adds the labels of a part that are neither ignored nor masked. If any number is a label, it is positive above 0,
    /// else negative. Returns the first target that is no label, if there is one; it is not counted.
    pub(crate) fn add(
        &mut self,
        part: &Part<'_>,
        mask: Option<&[u8]>,
        ignore: Option<Ignore>,
        any_number_is_label: bool,
    ) -> Option<NoLabel> {
        let mut first = None;
        for_each_counted(part, mask, ignore, |index, value| match value {
            0.0 => self.negatives += 1,
            1.0 => self.positives += 1,
            value if any_number_is_label && value > 0.0 => self.positives += 1,
            value if any_number_is_label && value < 0.0 => self.negatives += 1,
            value => {
                first.get_or_insert(NoLabel { index, value });
            }
        });
        first
    }
}

/// Visits the targets that are neither ignored nor masked, and their indices.
fn for_each_counted(part: &Part<'_>, mask: Option<&[u8]>, ignore: Option<Ignore>, mut visit: impl FnMut(usize, f64)) {
    let counts = |index: usize| is_unmasked(mask, index);
    match part.targets {
        Targets::U8(values) => {
            let ignored = match ignore {
                Some(Ignore::Label(label)) => u8::try_from(label).ok(),
                _ => None,
            };
            let targets = values.iter().enumerate().filter(|(index, z)| Some(**z) != ignored && counts(*index));
            targets.for_each(|(index, &z)| visit(index, z.into()));
        }
        Targets::F32(values) => {
            let ignored = |z: f64| ignore.is_some_and(|ignore| ignore.ignores(z));
            let targets = values.iter().map(|&z| f64::from(z)).enumerate();
            let targets = targets.filter(|&(index, z)| !ignored(z) && counts(index));
            targets.for_each(|(index, z)| visit(index, z));
        }
        targets => {
            let indices = (0..part.predictions.len()).filter(|&index| counts(index));
            indices.for_each(|index| visit(index, targets.get(index)));
        }
    }
}

/// A target as a label; NaN if it is invalid.
pub(crate) fn label(target: f64, any_number_is_label: bool) -> f64 {
    match target {
        z if any_number_is_label && !z.is_nan() => f64::from(u8::from(z > 0.0)),
        0.0..=1.0 => target,
        _ => f64::NAN,
    }
}

/// The label with this index; none if it is ignored or masked.
fn counted_label(
    part: &Part<'_>,
    mask: Option<&[u8]>,
    ignore: Option<Ignore>,
    any_number_is_label: bool,
    index: usize,
) -> Option<f64> {
    is_counted(part, mask, ignore, index).then(|| label(part.targets.get(index), any_number_is_label))
}

/// Whether a value of a part is neither ignored nor masked.
pub(crate) fn is_counted(part: &Part<'_>, mask: Option<&[u8]>, ignore: Option<Ignore>, index: usize) -> bool {
    is_unmasked(mask, index) && !ignore.is_some_and(|ignore| ignore.ignores(part.targets.get(index)))
}

fn is_unmasked(mask: Option<&[u8]>, index: usize) -> bool {
    mask.is_none_or(|bits| bits[index / 8] >> (index % 8) & 1 == 1)
}

/// The number of counted labels, their sum, the sum of their weights, and that of the products, by runs. `counted` gives the label
/// of an index if it counts; `all_count` says that every one does.
fn weighted_sums(
    part: &Part<'_>,
    weights: Weights<'_>,
    all_count: bool,
    counted: &(dyn Fn(usize) -> Option<f64> + Sync),
) -> Vec<[f64; 4]> {
    let len = part.predictions.len();
    // A weight for each element, or for each row of several.
    let classes = len / weights.len().max(1);
    let sums = |start: usize| {
        let run = start..len.min(start + RUN);
        match (part.targets, weights) {
            (Targets::U8(z), Weights::F32(w)) if all_count && classes == 1 => {
                pair_sums(&z[run.clone()], &w[run], |&z| if z <= 1 { z.into() } else { f64::NAN })
            }
            (Targets::F32(z), Weights::F32(w)) if all_count && classes == 1 => {
                pair_sums(&z[run.clone()], &w[run], |&z| if (0.0..=1.0).contains(&z) { z.into() } else { f64::NAN })
            }
            _ => run.fold([0.0; 4], |sums, index| match counted(index) {
                Some(z) => {
                    let ([count, label_sum, weight, sum], w) = (sums, weights.get(index / classes));
                    [count + 1.0, label_sum + z, weight + w, sum + w * z]
                }
                None => sums,
            }),
        }
    };
    let starts: Vec<usize> = (0..len).step_by(RUN).collect();
    if len <= RUN { starts.into_iter().map(sums).collect() } else { starts.into_par_iter().map(sums).collect() }
}

/// [`weighted_sums`] of one run of which every label counts.
fn pair_sums<T>(targets: &[T], weights: &[f32], label: impl Fn(&T) -> f64) -> [f64; 4] {
    const LANES: usize = 8;
    let [mut label_sum, mut weight, mut sum] = [[0.0; LANES]; 3];
    let (target_rows, rest) = targets.as_chunks::<LANES>();
    let (weight_rows, weights_left) = weights.as_chunks::<LANES>();
    for (targets, weights) in target_rows.iter().zip(weight_rows) {
        for lane in 0..LANES {
            let (z, w) = (label(&targets[lane]), f64::from(weights[lane]));
            label_sum[lane] += z;
            weight[lane] += w;
            sum[lane] += w * z;
        }
    }
    for (lane, (target, &w)) in rest.iter().zip(weights_left).enumerate() {
        let (z, w) = (label(target), f64::from(w));
        label_sum[lane] += z;
        weight[lane] += w;
        sum[lane] += w * z;
    }
    [targets.len() as f64, label_sum.iter().sum(), weight.iter().sum(), sum.iter().sum()]
}

/// Whether every prediction lies in [0, 1], as logits rarely do. It stops at the first that does not, nearly always one
/// of the first few. Non-negative floats are ordered as their bits are, and of the negative ones only −0 is within.
pub(crate) fn all_in_unit_interval(predictions: Floats<'_>) -> bool {
    const ONE_F16: u16 = 0x3C00;
    const ONE_BF16: u16 = 0x3F80;
    const MINUS_ZERO: u16 = 0x8000;
    match predictions {
        Floats::F32(values) => values.iter().all(|value| (0.0..=1.0).contains(value)),
        Floats::F16(values) => values.iter().all(|value| value.to_bits() <= ONE_F16 || value.to_bits() == MINUS_ZERO),
        Floats::Bf16(values) => values.iter().all(|value| value.to_bits() <= ONE_BF16 || value.to_bits() == MINUS_ZERO),
        values => (0..values.len()).all(|index| (0.0..=1.0).contains(&values.get(index))),
    }
}

/// Whether every prediction is 0 or 1. It stops at the first that is neither.
pub(crate) fn all_zero_or_one(predictions: Floats<'_>) -> bool {
    (0..predictions.len()).all(|index| matches!(predictions.get(index), 0.0 | 1.0))
}

/// The sums of the targets by runs, NaN where one is invalid.
fn target_sums(level: Level, targets: Targets<'_>) -> Vec<f64> {
    match targets {
        Targets::U8(values) => by_runs(values, |run| dispatch!(level, simd => simd.vectorize(|| hard_sum(simd, run)))),
        Targets::F32(values) => {
            by_runs(values, |run| dispatch!(level, simd => simd.vectorize(|| float_sum(simd, run))))
        }
        Targets::Bool(values) => vec![values.iter().filter(|&&z| z).count() as f64],
        Targets::Bits(bytes) => vec![bytes.iter().map(|byte| byte.count_ones()).sum::<u32>().into()],
        // No reader makes any other type.
        _ => vec![f64::NAN],
    }
}

/// A large part on all threads: one alone would take half as long for it as all take to evaluate it.
fn by_runs<T: Sync>(values: &[T], sum: impl Fn(&[T]) -> f64 + Sync) -> Vec<f64> {
    if size_of_val(values) <= INLINE {
        values.chunks(RUN).map(sum).collect()
    } else {
        values.par_chunks(RUN).map(&sum).collect()
    }
}

#[inline(always)]
fn hard_sum<S: Simd>(simd: S, values: &[u8]) -> f64 {
    let (mut sum, mut seen) = (0, 0);
    // A byte holds a sum of 255 ones. If it overflows there was something else, and the sum is NaN.
    for values in values.chunks(255 * S::u8s::LEN) {
        let (mut sums, mut all) = (S::u8s::splat(simd, 0), S::u8s::splat(simd, 0));
        let rows = values.chunks_exact(S::u8s::LEN);
        let rest = rows.remainder();
        for row in rows {
            let z = S::u8s::from_slice(simd, row);
            sums += z;
            all |= z;
        }
        sum += sums.as_slice().iter().chain(rest).map(|&z| u32::from(z)).sum::<u32>();
        seen |= all.as_slice().iter().chain(rest).fold(0, |seen, &z| seen | z);
    }
    if seen > 1 { f64::NAN } else { sum.into() }
}

#[inline(always)]
fn float_sum<S: Simd>(simd: S, run: &[f32]) -> f64 {
    hard_float_sum(simd, run).unwrap_or_else(|| soft_sum(run))
}

/// The sum of labels that are 0 or 1, which is exact in f32; none if there are others.
#[inline(always)]
fn hard_float_sum<S: Simd>(simd: S, run: &[f32]) -> Option<f64> {
    const _: () = assert!(RUN <= 1 << f32::MANTISSA_DIGITS);
    const AT_ONCE: usize = 4096;
    let (mut sums, mut rest_sum) = (S::f32s::splat(simd, 0.0), 0.0);
    for values in run.chunks(AT_ONCE) {
        let mut others = S::u32s::splat(simd, 0);
        let rows = values.chunks_exact(S::f32s::LEN);
        let rest = rows.remainder();
        for row in rows {
            let z = S::f32s::from_slice(simd, row);
            sums += z;
            // +0 if z is 0, −0 or 1; of no other is the square, rounded or not, the same number.
            others |= z.mul_add(z, -z).bitcast::<S::u32s>();
        }
        if others.reduce_max() != 0 || rest.iter().any(|&z| z != 0.0 && z != 1.0) {
            return None;
        }
        rest_sum += rest.iter().sum::<f32>();
    }
    Some((sums.reduce_sum() + rest_sum).into())
}

#[inline(always)]
fn soft_sum(values: &[f32]) -> f64 {
    const WIDE_LANES: usize = 8;
    let valid = |z: f32| if (0.0..=1.0).contains(&z) { f64::from(z) } else { f64::NAN };
    let (rows, rest) = values.as_chunks::<WIDE_LANES>();
    let mut sums = [0.0; WIDE_LANES];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, &z)| *sum += valid(z));
    }
    sums.into_iter().chain(rest.iter().map(|&z| valid(z))).sum()
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

    fn levels() -> Vec<Level> {
        let best = Level::new();
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "one level only"))]
        let mut levels = vec![best];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(best.as_avx2().map(Level::Avx2));
            levels.extend(best.as_sse4_2().map(Level::Sse4_2));
            levels.extend(best.as_sse2().map(Level::Sse2));
        }
        levels
    }

    /// Around every width of vectors, and with a wrong label at either end.
    #[test]
    fn sums_at_every_level() {
        for level in levels() {
            let sum = |targets: Targets<'_>| target_sums(level, targets).into_iter().sum::<f64>();
            for len in [1, 3, 15, 16, 17, 63, 64, 65, 1000, 4095, 4097, 255 * 64, 255 * 64 + 1, RUN - 1, RUN, RUN + 1] {
                let mut bytes: Vec<u8> = (0..len).map(|i| u8::from(i % 3 != 1)).collect();
                let ones: u32 = bytes.iter().map(|&z| u32::from(z)).sum();
                let mut floats: Vec<f32> = bytes.iter().map(|&z| z.into()).collect();
                assert_eq!(sum(Targets::U8(&bytes)), f64::from(ones), "{level:?} {len}");
                assert_eq!(sum(Targets::F32(&floats)), f64::from(ones), "{level:?} {len}");
                for at in [0, len - 1] {
                    let (byte, float) = (bytes[at], floats[at]);
                    for wrong in [2, 255] {
                        bytes[at] = wrong;
                        assert!(sum(Targets::U8(&bytes)).is_nan(), "{level:?} {len} {at} {wrong}");
                    }
                    for wrong in [-1.0, 1.0 + f32::EPSILON, f32::NAN, f32::INFINITY, -f32::from_bits(1)] {
                        floats[at] = wrong;
                        assert!(sum(Targets::F32(&floats)).is_nan(), "{level:?} {len} {at} {wrong}");
                    }
                    floats[at] = 0.5;
                    assert_eq!(sum(Targets::F32(&floats)), f64::from(ones) - f64::from(byte) + 0.5, "{level:?} {len}");
                    (bytes[at], floats[at]) = (byte, float);
                }
            }
        }
    }

    #[test]
    fn weighted_base_rates() {
        let len = RUN + 77;
        let bytes: Vec<u8> = (0..len).map(|i| u8::from(i % 3 == 0)).collect();
        let floats: Vec<f32> = bytes.iter().map(|&z| z.into()).collect();
        let weights: Vec<f32> = (0..len).map(|i| (i % 5) as f32 * 0.5).collect();
        let halves: Vec<f16> = weights.iter().map(|&w| f16::from_f32(w)).collect();
        let predictions = vec![0.0; len];
        let mask = vec![0b1101_1101u8; len.div_ceil(8)];
        let rate = |of: &dyn Fn(usize) -> bool| {
            let (mut sum, mut weight) = (0.0, 0.0);
            for i in (0..len).filter(|&i| of(i)) {
                weight += f64::from(weights[i]);
                sum += f64::from(weights[i]) * f64::from(bytes[i]);
            }
            sum / weight
        };
        for targets in [Targets::U8(&bytes), Targets::F32(&floats)] {
            for weights in [Weights::F32(&weights), Weights::F16(&halves)] {
                let part = Part { weights: Some(weights), ..part(&predictions, targets) };
                let mut stats = LabelStats::default();
                stats.add(&part, None, None, false);
                assert_eq!((stats.count, stats.base_rate()), (len as u64, Some(rate(&|_| true))));
                let mut stats = LabelStats::default();
                stats.add(&part, Some(&mask), None, false);
                let unmasked = |i: usize| mask[i / 8] >> (i % 8) & 1 == 1;
                assert_eq!(stats.base_rate(), Some(rate(&unmasked)));
                assert_eq!(stats.count, (0..len).filter(|&i| unmasked(i)).count() as u64);
            }
        }
        // A weight for each row of two labels; a label that is invalid.
        let part = |targets| Part { weights: Some(Weights::F32(&[1.0, 3.0])), ..part(&[0.0; 4], targets) };
        let mut stats = LabelStats::default();
        stats.add(&part(Targets::U8(&[0, 1, 1, 1])), None, None, false);
        assert_eq!((stats.weight, stats.base_rate()), (8.0, Some(7.0 / 8.0)));
        let mut stats = LabelStats::default();
        stats.add(&part(Targets::U8(&[0, 1, 2, 1])), None, None, false);
        assert_eq!(stats.base_rate(), None);
        let mut stats = LabelStats::default();
        stats.add(&part(Targets::U8(&[0, 1, 255, 1])), None, Some(Ignore::Label(255)), false);
        assert_eq!((stats.count, stats.base_rate()), (3, Some(4.0 / 5.0)));
    }

    fn part<'a>(predictions: &'a [f32], targets: Targets<'a>) -> Part<'a> {
        Part::new(Floats::F32(predictions), targets)
    }

    #[test]
    fn ignored_and_masked_labels_are_not_counted() {
        let predictions = [2.0; 5];
        let mut stats = LabelStats::default();
        let hard = part(&predictions, Targets::U8(&[0, 1, 255, 1, 7]));
        stats.add(&hard, Some(&[0b01111]), Some(Ignore::Label(255)), false);
        assert_eq!(stats.base_rate(), Some(2.0 / 3.0));
        let soft = part(&predictions, Targets::F32(&[0.0, 0.5, f32::NAN, 1.0, 1.0]));
        stats.add(&soft, Some(&[0b10111]), Some(Ignore::Nan), false);
        assert_eq!(stats.base_rate(), Some(3.5 / 6.0));

        let mut counts = LabelCounts::default();
        assert_eq!(counts.add(&hard, Some(&[0b01111]), Some(Ignore::Label(255)), false), None);
        assert_eq!(counts, LabelCounts { negatives: 1, positives: 2 });
        let seven = NoLabel { index: 4, value: 7.0 };
        assert_eq!(counts.add(&hard, None, Some(Ignore::Label(255)), false), Some(seven));
        let half = NoLabel { index: 1, value: 0.5 };
        assert_eq!(LabelCounts::default().add(&soft, None, Some(Ignore::Nan), false), Some(half));
        let mut counts = LabelCounts::default();
        assert_eq!(counts.add(&soft, None, Some(Ignore::Nan), true), None);
        assert_eq!(counts, LabelCounts { negatives: 1, positives: 3 });
    }

    #[test]
    fn any_number_is_a_label() {
        let predictions = [2.0; 5];
        for (targets, ignore, rate) in [
            (Targets::F32(&[-1.0, 2.0, 0.5, 0.0, -0.0]), None, Some(2.0 / 5.0)),
            (Targets::F32(&[-1.0, 2.0, 255.0, 0.0, 1.0]), Some(Ignore::Label(255)), Some(2.0 / 4.0)),
            (Targets::F32(&[-1.0, 2.0, f32::NAN, 0.0, 1.0]), None, None),
            (Targets::U8(&[0, 1, 2, 255, 0]), None, Some(3.0 / 5.0)),
        ] {
            let part = part(&predictions, targets);
            let mut stats = LabelStats::default();
            stats.add(&part, None, ignore, true);
            assert_eq!(stats.base_rate(), rate);
            let mut counts = LabelCounts::default();
            assert_eq!(counts.add(&part, None, ignore, true).is_some(), rate.is_none());
            let share = counts.positives as f64 / (counts.positives + counts.negatives) as f64;
            assert_eq!(rate.unwrap_or(0.5), share);
        }
    }

    #[test]
    fn base_rates() {
        let seen = |targets: Targets<'_>, len: usize| {
            let mut stats = LabelStats::default();
            let predictions = vec![2.0f32; len];
            stats.add(&part(&predictions, targets), None, None, false);
            stats.base_rate()
        };
        assert_eq!(seen(Targets::U8(&[0, 1, 1, 1]), 4), Some(0.75));
        assert_eq!(seen(Targets::U8(&[0, 1, 1, 2]), 4), None);
        assert_eq!(seen(Targets::F32(&[0.25, 0.75]), 2), Some(0.5));
        assert_eq!(seen(Targets::F32(&[0.25, f32::NAN]), 2), None);
        assert_eq!(seen(Targets::U8(&[]), 0), None);
        assert_eq!(seen(Targets::F32(&[-0.0; 40]), 40), Some(0.0));
        for value in
            [1.0 - f32::EPSILON / 2.0, 1.0 + f32::EPSILON, f32::from_bits(1), -f32::from_bits(1), 0.5, f32::NAN]
        {
            for at in [0, 63, 64, 99, 5000] {
                let mut targets = [-0.0; 5001];
                targets[at] = value;
                let mean = (0.0..=1.0).contains(&value).then_some(f64::from(value) / 5001.0);
                assert_eq!(seen(Targets::F32(&targets), 5001), mean, "{value} at {at}");
            }
        }
        for wrong in [false, true] {
            let mut targets = vec![1; INLINE + RUN + 1];
            targets[RUN + 5] += u8::from(wrong);
            assert_eq!(seen(Targets::U8(&targets), targets.len()), (!wrong).then_some(1.0));
            let soft: Vec<f32> = targets.iter().map(|&z| f32::from(z)).collect();
            assert_eq!(seen(Targets::F32(&soft), soft.len()), (!wrong).then_some(1.0));
        }
    }
}
