//! Weights: a weight of a sample, class or label acts as the same weight on each of its elements, and invalid weights
//! are reported.

use logloss::{
    Array, Batch, Compat, Engine, Error, Focal, Form, Ignore, NonFinite, Objective, Outputs, Reduction, Targets,
    Weights, half::f16,
};

use crate::{
    common::{FORMS, Random, all, assert_same, batch, each, results},
    resident::every_output,
    scenes::{REDUCTIONS, some_weights},
};

const ROWS: usize = 3001;
const CLASSES: usize = 3;
const LEN: usize = ROWS * CLASSES;

#[test]
fn broadcast_is_materialised() {
    let mut random = Random(101);
    for form in FORMS {
        let (predictions, soft, labels) = (random.predictions(form, LEN), random.soft(LEN), random.labels(LEN));
        let of_samples = some_weights(&mut random, ROWS);
        let of_classes = some_weights(&mut random, CLASSES);
        let halves: Vec<f16> = of_samples.iter().map(|&w| f16::from_f32(w)).collect();
        let soft = batch(form, &predictions, &soft).with_classes(CLASSES).expect("3 divides it");
        let hard = batch(form, &predictions, &labels).with_classes(CLASSES).expect("3 divides it");
        let expanded: Vec<f32> = (0..LEN).map(|i| of_samples[i / CLASSES]).collect();
        let expanded_halves: Vec<f32> = (0..LEN).map(|i| halves[i / CLASSES].to_f32()).collect();
        let by_class: Vec<f32> = (0..LEN).map(|i| of_classes[i % CLASSES]).collect();
        let by_label: Vec<f32> = labels.iter().map(|&z| [0.3, 2.7][usize::from(z)]).collect();
        each(|engine| {
            for reduction in REDUCTIONS {
                let objective = Objective::default().with_reduction(reduction);
                let written = |batch: &Batch<'_>, weights: &[f32]| {
                    all(engine, &batch.with_weights(weights).expect("as many"), &objective)
                };
                let samples = soft.with_sample_weights(&of_samples).expect("as many as rows");
                assert_same(&all(engine, &samples, &objective), &written(&soft, &expanded), "samples");
                let samples = soft.with_sample_weights(&halves).expect("as many as rows");
                assert_same(&all(engine, &samples, &objective), &written(&soft, &expanded_halves), "samples, f16");
                let classes = objective.clone().with_class_weights(of_classes.clone()).expect("valid");
                assert_same(&all(engine, &soft, &classes), &written(&soft, &by_class), "classes");
                let labels = objective.clone().with_label_weights(0.3, 2.7).expect("valid");
                assert_same(&all(engine, &hard, &labels), &written(&hard, &by_label), "labels");
                let one = objective.clone().with_pos_weight([1.7]).expect("valid");
                let each_class = objective.clone().with_pos_weight([1.7; CLASSES]).expect("valid");
                assert_same(&all(engine, &soft, &each_class), &all(engine, &soft, &one), "pos_weight");
            }
        });
    }
}

#[test]
fn neutral_is_plain() {
    let mut random = Random(102);
    for form in FORMS {
        let (predictions, labels) = (random.predictions(form, LEN), random.labels(LEN));
        let (soft, ones, mask) = (random.soft(LEN), vec![1.0f32; LEN], vec![0xff; LEN.div_ceil(8)]);
        let hard = batch(form, &predictions, &labels);
        let soft = batch(form, &predictions, &soft);
        let zero = |objective: Objective| objective.with_focal(Focal::new(0.0).expect("valid"));
        each(|engine| {
            let plain = all(engine, &hard, &Objective::sum());
            assert_same(&all(engine, &hard, &zero(Objective::sum())), &plain, "γ = 0");
            let weighted = hard.with_weights(&ones).expect("as many").with_mask(&mask).expect("as many");
            let neutral = Objective::sum().with_pos_weight([1.0]).and_then(|o| o.with_label_weights(1.0, 1.0));
            let neutral = zero(neutral.expect("valid").with_ignore(Ignore::Label(255)));
            assert_same(&all(engine, &weighted, &neutral), &plain, "weights of 1");
            assert_same(&all(engine, &soft, &zero(Objective::mean())), &all(engine, &soft, &Objective::mean()), "soft");
            // γ = 0 does not change an objective with other parameters.
            let rest =
                Objective::sum().with_pos_weight([2.5]).and_then(|o| o.with_label_smoothing(0.2)).expect("valid");
            assert_same(&all(engine, &soft, &zero(rest.clone())), &all(engine, &soft, &rest), "γ = 0 and the rest");
        });
    }
}

/// Without weights, the sum of the weights is the count.
#[test]
fn without_weights_the_weight_is_the_count() {
    let mut random = Random(103);
    let (predictions, labels) = (random.predictions(Form::Logits, LEN), random.labels(LEN));
    let batch = batch(Form::Logits, &predictions, &labels);
    each(|engine| {
        for reduction in REDUCTIONS {
            let found = all(engine, &batch, &Objective::default().with_reduction(reduction));
            assert_eq!(found.partials.weight.value(), LEN as f64, "{reduction:?}");
            assert_eq!(found.partials.weighted_mean().to_bits(), found.partials.mean().to_bits());
        }
    });
}

#[test]
fn invalid_weights_are_named() {
    let mut random = Random(104);
    let (predictions, labels) = (random.predictions(Form::Logits, LEN), random.labels(LEN));
    let plain = batch(Form::Logits, &predictions, &labels).with_classes(CLASSES).expect("3 divides it");
    let named = |result: logloss::Result<logloss::Evaluation>, at: usize, bad: f32, what: &str| match result {
        Err(error @ Error::InvalidValue { array, index, value }) => {
            assert_eq!((array, index), (Array::Weights, at as u64), "{what}: {error}");
            assert!(value == f64::from(bad) || value.is_nan() && bad.is_nan(), "{what}: {error}");
            assert!(error.to_string().starts_with(&format!("weights[{at}]")), "{error}");
        }
        other => panic!("{what}: {bad}: {other:?}"),
    };
    each(|engine| {
        let on_gpu = engine.wgpu().is_some();
        let evaluate = |batch: &Batch<'_>, objective: &Objective, at: usize, bad: f32, what: &str| {
            named(engine.evaluate(batch, objective, Outputs::all()), at, bad, what);
            if on_gpu {
                let there = engine.upload(batch).expect("it fits");
                let prepared = engine.prepare(&there, objective, every_output()).expect("valid");
                named(prepared.evaluate(), at, bad, what);
            }
        };
        for bad in [f32::NAN, -1.0, f32::INFINITY, f32::NEG_INFINITY, -1e-45] {
            for at in [0, 1, 2047, 2048, 5000, LEN - 1] {
                let mut weights = vec![1.0f32; LEN];
                weights[at] = bad;
                // Later invalid weights have no effect.
                weights[at.max(LEN - 2)..].fill(bad);
                let elements = plain.with_weights(&weights).expect("as many");
                let reduction = REDUCTIONS[at % 6];
                evaluate(&elements, &Objective::default().with_reduction(reduction), at, bad, "elements");
            }
            for row in [0, 700, ROWS - 1] {
                let mut weights = vec![1.0f32; ROWS];
                weights[row] = bad;
                let halves: Vec<f16> = weights.iter().map(|&w| f16::from_f32(w)).collect();
                let samples = plain.with_sample_weights(&weights).expect("as many");
                evaluate(&samples, &Objective::mean(), row * CLASSES, bad, "samples");
                if f16::from_f32(bad) != f16::NEG_ZERO {
                    let samples = plain.with_sample_weights(Weights::F16(&halves)).expect("as many");
                    evaluate(&samples, &Objective::sum(), row * CLASSES, bad, "samples, f16");
                }
                // The index is that of the first element of the row that is counted.
                let mut mask = vec![0xff; LEN.div_ceil(8)];
                mask[row * CLASSES / 8] &= !(1 << (row * CLASSES % 8));
                let masked = samples.with_mask(&mask).expect("as many");
                evaluate(&masked, &Objective::mean(), row * CLASSES + 1, bad, "masked samples");
            }
        }
        // The smallest index of all arrays is reported; within one element, the prediction comes first.
        let (mut weights, mut bad_predictions) = (vec![1.0f32; LEN], predictions.clone());
        (weights[77], bad_predictions[78]) = (-1.0, f32::NAN);
        let both = batch(Form::Logits, &bad_predictions, &labels).with_weights(&weights).expect("as many");
        evaluate(&both, &Objective::mean(), 77, -1.0, "before a prediction");
        weights.swap(77, 78);
        let both = batch(Form::Logits, &bad_predictions, &labels).with_weights(&weights).expect("as many");
        let error = engine.evaluate(&both, &Objective::mean(), Outputs::none()).expect_err("invalid");
        assert!(matches!(error, Error::InvalidValue { array: Array::Predictions, index: 78, .. }), "{error}");
    });
}

/// A weight of 0 is valid, with either sign.
#[test]
fn zero_is_valid() {
    let predictions = [f32::INFINITY, f32::NEG_INFINITY, 3.0, -3.0];
    let labels = [0u8, 1, 0, 1];
    each(|engine| {
        for zero in [0.0f32, -0.0] {
            let weights = [zero, zero, zero, 2.0];
            let batch = batch(Form::Logits, &predictions, &labels).with_weights(&weights).expect("as many");
            for reduction in [Reduction::Sum, Reduction::Mean, Reduction::WeightedMean] {
                let objective = Objective::default().with_reduction(reduction);
                let found = all(engine, &batch, &objective);
                assert_eq!((found.count, found.partials.weight.value()), (4, 2.0));
                for output in results(&found) {
                    assert!(output[..3].iter().all(|&value| value == 0.0), "{output:?}");
                    assert!(output[3] != 0.0);
                }
                let loss = 2.0 * (3f64.exp().ln_1p());
                let value = found.value.scalar().expect("one");
                let wanted = match reduction {
                    Reduction::Sum => loss,
                    Reduction::Mean => loss / 4.0,
                    _ => loss / 2.0,
                };
                assert!((value - wanted).abs() <= 1e-6, "{value}, not {wanted}");
            }
        }
    });
}

/// If invalid values are propagated, the results of exactly those elements are NaN.
#[test]
fn propagated() {
    let mut random = Random(105);
    let (predictions, labels) = (random.predictions(Form::Logits, LEN), random.labels(LEN));
    let weights = some_weights(&mut random, LEN);
    let mut broken = weights.clone();
    (broken[5], broken[4000]) = (f32::NAN, -2.0);
    let right = batch(Form::Logits, &predictions, &labels).with_weights(&weights).expect("as many");
    let wrong = batch(Form::Logits, &predictions, &labels).with_weights(&broken).expect("as many");
    let objective = Objective::sum().with_non_finite(NonFinite::Propagate);
    each(|engine| {
        let (right, wrong) = (all(engine, &right, &objective), all(engine, &wrong, &objective));
        assert!(wrong.sum.is_nan() && wrong.mean.is_nan());
        assert_eq!(wrong.partials.first_invalid, Some(5));
        for (right, wrong) in results(&right).into_iter().zip(results(&wrong)) {
            for i in 0..LEN {
                let same = right[i].to_bits() == wrong[i].to_bits();
                assert!(if matches!(i, 5 | 4000) { wrong[i].is_nan() } else { same }, "{i}: {}", wrong[i]);
            }
        }
    });
}

/// The totals are those of the evaluation, even if predictions are invalid.
#[test]
fn totals() {
    let mut random = Random(106);
    let mut predictions = random.predictions(Form::Logits, LEN);
    predictions[17] = f32::NAN;
    let labels = random.labels(LEN);
    let weights = some_weights(&mut random, LEN);
    let mask: Vec<u8> = (0..LEN.div_ceil(8)).map(|_| random.next() as u8 | 1 << 1).collect();
    let batch = batch(Form::Logits, &predictions, &labels).with_weights(&weights).expect("as many");
    let batch = batch.with_mask(&mask).expect("as many").with_classes(CLASSES).expect("3 divides it");
    each(|engine| {
        for compat in [None, Some(Compat::Xgboost), Some(Compat::Lightgbm)] {
            let mut objective = Objective::default().with_reduction(Reduction::WeightedMean);
            objective = objective.with_non_finite(NonFinite::Propagate).with_label_weights(0.5, 1.7).expect("valid");
            if compat != Some(Compat::Lightgbm) {
                objective = objective.with_pos_weight([3.0]).expect("valid");
            }
            if let Some(compat) = compat {
                objective = objective.with_compat(compat);
            }
            let found = all(engine, &batch, &objective);
            let totals = engine.totals(&batch, &objective).expect("it fits");
            assert_eq!(totals.count, found.count);
            let off = (found.partials.weight.value() / totals.weight.value() - 1.0).abs();
            // On a GPU the weights of an evaluation are added by the GPU, but those of the totals by the CPU.
            assert!(off <= if engine.wgpu().is_some() { 1e-7 } else { 0.0 }, "{off:e}, {compat:?}");
        }
    });
}

/// One number, a slice, a vector and an array all say what classes weigh; arrays are outputs as slices are.
#[test]
fn weights_of_every_kind() {
    let (predictions, labels) = ([0.5f32, -0.5], [1u8, 0]);
    let batch = Batch::logits(&predictions, &labels).expect("two of each");
    let weights = vec![3.0f32];
    let mean = |objective: logloss::Result<Objective>| {
        let mut gradient = [7.0f32; 2];
        let outputs = Outputs::none().with_gradient(&mut gradient);
        let evaluation = Engine::cpu().evaluate(&batch, &objective.expect("valid"), outputs).expect("valid");
        (evaluation.mean, gradient)
    };
    let wanted = mean(Objective::mean().with_pos_weight(3.0));
    assert!(wanted.1 != [7.0; 2]);
    assert_eq!(mean(Objective::mean().with_pos_weight([3.0])), wanted);
    assert_eq!(mean(Objective::mean().with_pos_weight(&weights)), wanted);
    assert_eq!(mean(Objective::mean().with_pos_weight(&weights[..])), wanted);
    assert_eq!(mean(Objective::mean().with_pos_weight(weights.clone())), wanted);
    let wanted = mean(Objective::mean().with_class_weights(2.0));
    assert_eq!(mean(Objective::mean().with_class_weights([2.0])), wanted);
}

#[test]
fn wrong_lengths() {
    let (predictions, labels) = ([0.5f32; 12], [1u8; 12]);
    let plain = batch(Form::Logits, &predictions, &labels).with_classes(3).expect("3 divides it");
    let message = |result: logloss::Result<Batch<'_>>| result.expect_err("does not fit").to_string();
    assert_eq!(message(plain.with_weights(&[1.0f32; 11])), "weights has 11 values, predictions has 12");
    let of_samples = message(plain.with_sample_weights(&[1.0f32; 12]));
    assert_eq!(of_samples, "sample weights has 12 values, the batch has 4 rows");
    // Other classes after the weights of samples make another number of rows.
    let regrouped = plain.with_sample_weights(&[1.0f32; 4]).expect("4 rows").with_classes(2);
    assert_eq!(message(regrouped), "sample weights has 4 values, the batch has 6 rows");
    let packed = message(plain.with_mask(&[0; 3]));
    assert_eq!(packed, "mask is packed, one bit a value: 2 bytes expected, 3 given");
    let packed = message(Batch::logits(&[0.5f32; 3], Targets::Bits(&[1; 3])));
    assert_eq!(packed, "targets is packed, one bit a value: 1 byte expected, 3 given");
    let two = Objective::mean().with_class_weights([1.0, 2.0]).expect("valid");
    let of_classes = Engine::cpu().evaluate(&plain, &two, Outputs::none()).expect_err("3 classes").to_string();
    assert_eq!(of_classes, "class weights has 2 values, the batch has 3 classes");
    assert!(plain.with_mask(&[0; 2]).is_ok() && plain.with_sample_weights(&[1.0f32; 4]).is_ok());
    for bad in [f32::NAN, -1.0, f32::INFINITY] {
        assert!(Objective::mean().with_class_weights([1.0, bad]).is_err());
        assert!(Objective::mean().with_pos_weight([bad]).is_err());
        assert!(Objective::mean().with_label_weights(bad, 1.0).is_err());
        assert!(Objective::mean().with_label_smoothing(bad).is_err());
        assert!(Focal::new(bad).is_err() && Focal::new(1.0).expect("valid").with_alpha(bad).is_err());
    }
    assert!(
        Objective::mean().with_label_smoothing(1.0).is_err() && Objective::mean().with_balanced_labels(0, 3).is_err()
    );
    each(|engine| {
        for objective in [
            Objective::mean().with_class_weights([1.0, 2.0]).expect("valid"),
            Objective::mean().with_class_weights([1.0]).expect("valid"),
            Objective::mean().with_pos_weight([1.0, 2.0]).expect("valid"),
        ] {
            let error = engine.evaluate(&plain, &objective, Outputs::none()).expect_err("3 classes");
            assert!(matches!(error, Error::Length { expected: 3, .. }), "{error}");
            assert!(matches!(engine.totals(&plain, &objective), Err(Error::Length { .. })));
            if engine.wgpu().is_some() {
                let there = engine.upload(&plain).expect("it fits");
                let error = engine.prepare(&there, &objective, every_output()).expect_err("3 classes");
                assert!(matches!(error, Error::Length { expected: 3, .. }), "{error}");
            }
        }
        let ignore = Objective::mean().with_ignore(Ignore::Nan);
        let error = engine.evaluate(&plain, &ignore, Outputs::none()).expect_err("bytes");
        assert!(matches!(error, Error::IgnoreType { .. }), "{error}");
    });
}
