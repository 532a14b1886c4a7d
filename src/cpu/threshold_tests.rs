use half::{bf16, f16};
use proptest::prelude::*;

use super::{
    Cpu, level_name,
    tests::{cpu, levels, uniform},
    tile::TILE,
};
use crate::{
    BLOCK, Batch, Floats, Form, Ignore, Metrics, NonFinite, Objective, Partials, Reduction, Targets, ThresholdCounts,
    job::Job, outputs::Slices,
};

const LENGTHS: [usize; 12] =
    [0, 1, 63, 64, 65, TILE - 1, TILE, TILE + 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + TILE + 77];

const THRESHOLDS: [f32; 7] = [0.5, 0.0, -0.0, 1e-40, 1.0, f32::INFINITY, f32::NEG_INFINITY];

/// Predictions on both sides of every threshold, at each of them, and NaN.
fn predictions(len: usize) -> Vec<f32> {
    let special = [0.5, 0.0, -0.0, 1e-40, -1e-40, 1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN];
    let mut x: Vec<f32> = uniform(81, len).iter().map(|v| v * 4.0 - 2.0).collect();
    for (i, x) in x.iter_mut().enumerate().filter(|(i, _)| i % 5 == 3) {
        *x = special[i / 5 % special.len()];
    }
    x
}

/// The counts of `batch`, one element at a time. `kept` says which elements are not ignored.
fn naive(batch: &Batch<'_>, threshold: f32, kept: impl Fn(usize) -> bool) -> ThresholdCounts {
    let x = || (0..batch.len()).filter(|i| kept(*i)).map(|i| batch.predictions().get(i));
    let count = |side: fn(f64, f64) -> bool| x().filter(|x| side(*x, threshold.into())).count() as u64;
    ThresholdCounts::new(count(|x, t| x < t), count(|x, t| x >= t))
}

fn requesting(objective: &Objective, threshold: f32) -> Objective {
    objective.clone().with_metrics(Metrics::none().with_threshold(threshold).unwrap())
}

fn evaluate(cpu: &Cpu, batch: &Batch<'_>, objective: &Objective, first: u64) -> Partials {
    let job = Job::new(objective, batch.kind(), batch.weights().is_some(), batch.mask().is_some(), 1.0);
    let mut gradient = vec![0.0; batch.len()];
    let mut means = vec![0.0; batch.len() / batch.classes()];
    let rows = (objective.reduction() == Reduction::PerRow).then_some(&mut means[..]);
    let slices = Slices { gradient: Some(&mut gradient), rows, classes: batch.classes(), ..Slices::default() };
    cpu.evaluate(batch, &job, first, slices)
}

/// Compares the counts with naive ones, and everything else with what comes of the same evaluation without them.
fn check(cpu: &Cpu, batch: &Batch<'_>, objective: &Objective, kept: impl Fn(usize) -> bool + Copy) {
    let mut expected = evaluate(cpu, batch, objective, 0);
    assert_eq!(expected.threshold, None);
    for threshold in THRESHOLDS {
        let actual = evaluate(cpu, batch, &requesting(objective, threshold), 0);
        let counts = naive(batch, threshold, kept);
        let place = format!("{} {threshold} of {} {objective:?}", level_name(cpu.level), batch.len());
        assert_eq!(actual.threshold, Some(counts), "{place}");
        expected.threshold = Some(counts);
        // By text, in which NaN equals itself.
        assert_eq!(format!("{actual:?}"), format!("{expected:?}"), "{place}");
    }
}

#[test]
fn every_level_length_and_type() {
    let longest = predictions(LENGTHS[LENGTHS.len() - 1]);
    let f16s: Vec<f16> = longest.iter().map(|x| f16::from_f32(*x)).collect();
    let bf16s: Vec<bf16> = longest.iter().map(|x| bf16::from_f32(*x)).collect();
    let z = vec![true; longest.len()];
    let plain = Objective::mean().with_non_finite(NonFinite::Propagate);
    let weighted = plain.clone().with_pos_weight([2.0]).unwrap();
    for level in levels() {
        let cpu = cpu(level, 1);
        for len in LENGTHS {
            let types = [Floats::F32(&longest[..len]), Floats::F16(&f16s[..len]), Floats::Bf16(&bf16s[..len])];
            for (x, form) in types.into_iter().flat_map(|x| [(x, Form::Logits), (x, Form::Probabilities)]) {
                let batch = Batch::new(form, x, &z[..len]).unwrap();
                for objective in [&plain, &weighted] {
                    check(&cpu, &batch, objective, |_| true);
                }
            }
        }
    }
}

#[test]
fn ignored_and_masked_elements_are_on_neither_side() {
    let x = predictions(LENGTHS[LENGTHS.len() - 1]);
    let (keep_label, keep_mask) = (|i: usize| !i.is_multiple_of(3), |i: usize| i % 7 < 4);
    let z: Vec<u8> = (0..x.len()).map(|i| if keep_label(i) { 1 } else { 255 }).collect();
    let nans: Vec<f32> = (0..x.len()).map(|i| if keep_label(i) { 0.25 } else { f32::NAN }).collect();
    let propagate = Objective::mean().with_non_finite(NonFinite::Propagate);
    for level in levels() {
        let cpu = cpu(level, 1);
        for len in LENGTHS {
            let (x, z, nans) = (&x[..len], &z[..len], &nans[..len]);
            let mut mask = vec![0u8; len.div_ceil(8)];
            (0..len).filter(|i| keep_mask(*i)).for_each(|i| mask[i / 8] |= 1 << (i % 8));
            let label = propagate.clone().with_ignore(Ignore::Label(255));
            let batch = Batch::logits(x, z).unwrap();
            check(&cpu, &batch, &label, keep_label);
            let masked = batch.with_mask(&mask).unwrap();
            check(&cpu, &masked, &label, |i| keep_label(i) && keep_mask(i));
            // An invalid target does not exclude an element.
            check(&cpu, &masked, &propagate, keep_mask);
            check(&cpu, &batch, &propagate, |_| true);
            let batch = Batch::logits(x, nans).unwrap();
            check(&cpu, &batch, &propagate.clone().with_ignore(Ignore::Nan), keep_label);
            check(&cpu, &batch, &propagate, |_| true);
        }
    }
}

#[test]
fn every_reduction() {
    let (rows, classes) = (1500, 5);
    let (x, v) = (predictions(rows * classes), uniform(82, rows));
    let z = vec![0u8; rows * classes];
    let batch = Batch::logits(&x, &z).unwrap().with_classes(classes).unwrap().with_sample_weights(&v).unwrap();
    for reduction in [
        Reduction::None,
        Reduction::Sum,
        Reduction::Mean,
        Reduction::WeightedMean,
        Reduction::PerClass,
        Reduction::PerRow,
    ] {
        let objective = Objective::mean().with_reduction(reduction).with_non_finite(NonFinite::Propagate);
        check(&cpu(levels()[0], 1), &batch, &objective, |_| true);
        check(&cpu(levels()[0], 2), &batch, &objective, |_| true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_threads_and_any_cut(
        len in 0usize..60 * BLOCK,
        seed: u64,
        threshold in -2f32..2.0,
        threads in 1usize..4,
        cut in 0usize..60,
        masked: bool,
    ) {
        let x: Vec<f32> = uniform(seed, len).iter().map(|v| v * 4.0 - 2.0).collect();
        let mask: Vec<u8> = uniform(!seed, len.div_ceil(8)).iter().map(|v| (v * 256.0) as u8).collect();
        let bits = vec![0b1010_0110; len.div_ceil(8)];
        let batch = Batch::logits(&x, Targets::Bits(&bits)).unwrap();
        let batch = if masked { batch.with_mask(&mask).unwrap() } else { batch };
        let expected = naive(&batch, threshold, |i| !masked || mask[i / 8] >> (i % 8) & 1 != 0);
        let objective = requesting(&Objective::mean(), threshold);
        let cpu = cpu(levels()[0], threads);
        prop_assert_eq!(evaluate(&cpu, &batch, &objective, 0).threshold, Some(expected));
        let cut = len.min(cut * BLOCK);
        let mut merged = evaluate(&cpu, &batch.part(cut..len), &objective, cut as u64);
        merged.add(&evaluate(&cpu, &batch.part(0..cut), &objective, 0));
        prop_assert_eq!(merged.threshold, Some(expected));
    }
}
