//! Invalid input: it is reported with array, index and value, or propagated as NaN on request.

use logloss::{
    Array, BLOCK, Batch, DeviceOutputs, Engine, Error, Floats, Form, NonFinite, Objective, Outputs, Reduction, Targets,
    half::{bf16, f16},
};

use crate::common::{FORMS, Random, all, batch, each, none, results};

/// A length of more than one chunk of every backend.
const LEN: usize = (1 << 20) + 3 * BLOCK + 17;

const INDICES: [usize; 10] = [0, 1, 255, 256, BLOCK - 1, BLOCK, 100_000, (1 << 20) - 1, 1 << 20, LEN - 1];

fn nans() -> [f32; 4] {
    [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xffff_ffff].map(f32::from_bits)
}

const OUTSIDE: [f32; 7] = [-1e-45, -1e-30, -1.0, 1.0 + f32::EPSILON, 2.0, f32::INFINITY, f32::NEG_INFINITY];

fn find_invalid(engine: &Engine, batch: &Batch<'_>) -> (Array, u64, f64) {
    match engine.evaluate(batch, &Objective::mean(), Outputs::none()) {
        Err(Error::InvalidValue { array, index, value }) => (array, index, value),
        other => panic!("{}: {other:?}", engine.device().name),
    }
}

/// Whether two values are equal, where all NaN are equal.
fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

#[test]
fn anywhere() {
    each(|engine| {
        for form in FORMS {
            let mut predictions = vec![0.25f32; LEN];
            let mut targets = vec![0.75f32; LEN];
            let array = if form == Form::Logits { Array::Predictions } else { Array::Probabilities };
            for index in INDICES {
                predictions[index] = f32::NAN;
                let found = find_invalid(engine, &batch(form, &predictions, &targets));
                assert_eq!((found.0, found.1, found.2.is_nan()), (array, index as u64, true));
                predictions[index] = 0.25;
                targets[index] = -0.5;
                let found = find_invalid(engine, &batch(form, &predictions, &targets));
                assert_eq!(found, (Array::Targets, index as u64, -0.5));
                targets[index] = 0.75;
            }
            assert_eq!(all(engine, &batch(form, &predictions, &targets), &none()).count, LEN as u64);
        }
    });
}

#[test]
fn every_kind_of_value() {
    const LEN: usize = BLOCK + 9;
    each(|engine| {
        for form in FORMS {
            for index in [0, 700, BLOCK, LEN - 1] {
                let check = |predictions: &[f32], targets: &[f32], array, value: f32| {
                    let found = find_invalid(engine, &batch(form, predictions, targets));
                    assert!(
                        found.0 == array && found.1 == index as u64 && same(found.2, value.into()),
                        "{form:?} {value:e} at {index}: {found:?}"
                    );
                };
                let with = |value| {
                    let mut values = vec![0.5f32; LEN];
                    values[index] = value;
                    values
                };
                let fine = vec![0.5f32; LEN];
                for value in nans().into_iter().chain(OUTSIDE) {
                    check(&fine, &with(value), Array::Targets, value);
                    if form == Form::Probabilities {
                        check(&with(value), &fine, Array::Probabilities, value);
                    }
                }
                for value in nans() {
                    let array = if form == Form::Logits { Array::Predictions } else { Array::Probabilities };
                    check(&with(value), &fine, array, value);
                }
            }
        }
    });
}

/// The ends of the ranges, and zeros of either sign, are valid.
#[test]
fn valid_values() {
    each(|engine| {
        let ends = [0.0f32, -0.0, 1.0, 1e-45, f32::MIN_POSITIVE];
        let xs = [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, -0.0];
        for predictions in [batch(Form::Logits, &xs, &ends), batch(Form::Probabilities, &ends, &ends)] {
            assert_eq!(all(engine, &predictions, &none()).count, 5);
        }
    });
}

#[test]
fn labels_other_than_0_and_1() {
    each(|engine| {
        for value in [2u8, 3, 127, 128, 255] {
            for index in [0, 1, 2, 3, BLOCK, BLOCK + 6] {
                let mut labels = vec![1u8; BLOCK + 7];
                labels[index] = value;
                let predictions = vec![0.5f32; BLOCK + 7];
                let found = find_invalid(engine, &batch(Form::Logits, &predictions, &labels));
                assert_eq!(found, (Array::Targets, index as u64, value.into()));
            }
        }
    });
}

#[test]
fn narrow_predictions() {
    const LEN: usize = BLOCK + 7;
    each(|engine| {
        let labels = vec![1u8; LEN];
        for index in [0, 1, 2, BLOCK, LEN - 1] {
            // Quiet and signalling NaN of either sign.
            for bits in [0x7e00u16, 0xfe00, 0x7c01, 0xffff] {
                let mut halves = vec![f16::ONE; LEN];
                halves[index] = f16::from_bits(bits);
                let found = find_invalid(engine, &batch(Form::Logits, Floats::F16(&halves), &labels));
                assert_eq!((found.0, found.1, found.2.is_nan()), (Array::Predictions, index as u64, true));
            }
            for bits in [0x7fc0u16, 0xffc0, 0x7f81, 0xffff] {
                let mut brains = vec![bf16::ONE; LEN];
                brains[index] = bf16::from_bits(bits);
                let found = find_invalid(engine, &batch(Form::Logits, Floats::Bf16(&brains), &labels));
                assert_eq!((found.0, found.1, found.2.is_nan()), (Array::Predictions, index as u64, true));
            }
            for (value, bad) in [(1.001, true), (-6e-8, true), (1.0, false), (-0.0, false), (0.0, false)] {
                let mut halves = vec![f16::from_f32(0.5); LEN];
                halves[index] = f16::from_f32(value);
                let batch = batch(Form::Probabilities, Floats::F16(&halves), &labels);
                if bad {
                    let found = find_invalid(engine, &batch);
                    assert_eq!(found, (Array::Probabilities, index as u64, halves[index].to_f64()));
                } else {
                    assert_eq!(all(engine, &batch, &none()).count, LEN as u64);
                }
            }
        }
    });
}

/// Among many invalid values in any arrays, the one with the smallest index is reported; at the same index, the
/// prediction.
#[test]
fn the_first_of_many() {
    each(|engine| {
        let mut random = Random(31);
        for round in 0..20 {
            let mut predictions = vec![0.25f32; LEN];
            let mut targets = vec![0.75f32; LEN];
            let count = 1 + random.below(1000);
            let spread = if round % 2 == 0 { LEN } else { 3 * BLOCK };
            let mut first = [usize::MAX; 2];
            for _ in 0..count {
                let (which, index) = (random.below(2), LEN - 1 - random.below(spread));
                [&mut predictions, &mut targets][which][index] = f32::NAN;
                first[which] = first[which].min(index);
            }
            let array = if first[0] <= first[1] { Array::Predictions } else { Array::Targets };
            let found = find_invalid(engine, &batch(Form::Logits, &predictions, &targets));
            assert_eq!((found.0, found.1), (array, first[0].min(first[1]) as u64));
        }
        let predictions = vec![f32::NAN; 10];
        let found = find_invalid(engine, &batch(Form::Logits, &predictions, &[2u8; 10]));
        assert_eq!((found.0, found.1), (Array::Predictions, 0));
    });
}

/// The outputs are NaN exactly at the invalid values. All others have the same bits as without invalid values.
#[test]
fn propagated() {
    const LEN: usize = 4 * BLOCK + 3;
    let mut random = Random(32);
    for form in FORMS {
        let clean = (random.predictions(form, LEN), random.soft(LEN));
        let mut with_non_finite = clean.clone();
        let bad = [0, 1, 300, BLOCK - 1, BLOCK, 3 * BLOCK + 1, LEN - 1];
        for (i, &index) in bad.iter().enumerate() {
            match i % 2 {
                0 => with_non_finite.0[index] = f32::NAN,
                _ => with_non_finite.1[index] = 7.0,
            }
        }
        each(|engine| {
            let objective = Objective::mean().with_non_finite(NonFinite::Propagate);
            let wanted = all(engine, &batch(form, &clean.0, &clean.1), &objective);
            let got = all(engine, &batch(form, &with_non_finite.0, &with_non_finite.1), &objective);
            for (got, wanted) in results(&got).into_iter().zip(results(&wanted)) {
                for (i, (got, wanted)) in got.iter().zip(wanted).enumerate() {
                    if bad.contains(&i) {
                        assert!(got.is_nan(), "element {i} is {got}");
                    } else {
                        assert_eq!(got.to_bits(), wanted.to_bits(), "element {i}");
                    }
                }
            }
            assert!(got.sum.is_nan() && got.mean.is_nan() && got.value.scalar().is_some_and(f64::is_nan));
            assert_eq!((got.count, got.partials.first_invalid), (LEN as u64, Some(0)));
            assert_eq!(wanted.partials.first_invalid, None);
            // Values are propagated also without a reduction.
            let elements = all(
                engine,
                &batch(form, &with_non_finite.0, &with_non_finite.1),
                &none().with_non_finite(NonFinite::Propagate),
            );
            assert!(results(&elements)[0][0].is_nan() && !results(&elements)[0][2].is_nan());
        });
    }
}

/// The index is counted from the start of the whole batch, and the engine can be used after an error.
#[test]
fn in_an_accumulator() {
    each(|engine| {
        for at in [0, BLOCK as u64, 5 * BLOCK as u64 + 3] {
            let mut predictions = vec![0.25f32; 6 * BLOCK];
            predictions[at as usize] = f32::NAN;
            let labels = vec![0u8; predictions.len()];
            let mut accumulator = engine.accumulator(&Objective::sum(), None);
            let parts = predictions.chunks(2 * BLOCK).zip(labels.chunks(2 * BLOCK));
            let mut results = parts.map(|(x, z)| accumulator.push(&batch(Form::Logits, x, z), Outputs::none()));
            let error = results.find_map(Result::err).expect("one part is invalid");
            assert!(matches!(error, Error::InvalidValue { index, .. } if index == at), "{error}");
        }
        let fine = batch(Form::Logits, &[0.0f32; 4], &[0u8; 4]);
        let sum = engine.evaluate(&fine, &Objective::sum(), Outputs::none()).expect("valid").sum;
        assert!((sum - 4.0 * std::f64::consts::LN_2).abs() <= 1e-6);
    });
}

/// A loss of +inf is not an error: the sum is +inf, unless a value is invalid.
#[test]
fn infinite_losses() {
    each(|engine| {
        for index in [0, BLOCK - 1, BLOCK, 3 * BLOCK] {
            let mut predictions = vec![0.25f32; 3 * BLOCK + 1];
            let labels = vec![0u8; predictions.len()];
            predictions[index] = f32::INFINITY;
            let evaluation = all(engine, &batch(Form::Logits, &predictions, &labels), &Objective::mean());
            assert_eq!((evaluation.sum, evaluation.mean), (f64::INFINITY, f64::INFINITY));
            assert_eq!(results(&evaluation)[0][index], f32::INFINITY);
            predictions[(index + 1) % (3 * BLOCK)] = f32::NAN;
            let objective = Objective::mean().with_non_finite(NonFinite::Propagate);
            let evaluation = all(engine, &batch(Form::Logits, &predictions, &labels), &objective);
            assert!(evaluation.sum.is_nan());
        }
    });
}

#[test]
fn messages_name_array_and_index() {
    each(|engine| {
        let message = |batch: &Batch<'_>| {
            engine.evaluate(batch, &Objective::mean(), Outputs::none()).expect_err("invalid").to_string()
        };
        assert_eq!(
            message(&batch(Form::Logits, &[0.0f32, f32::NAN], &[0u8, 1])),
            "predictions[1] is NaN: logits must not be NaN"
        );
        assert_eq!(
            message(&batch(Form::Probabilities, &[0.0f32, 1.5], &[0u8, 1])),
            "predictions[1] is 1.5: probabilities must lie in [0, 1]"
        );
        assert_eq!(
            message(&batch(Form::Logits, &[0.0f32, 1.5], Targets::U8(&[0, 2]))),
            "targets[1] is 2: targets must lie in [0, 1]"
        );
    });
}

/// If invalid values are propagated, an element with an invalid target is counted with weight 0: with and without
/// weights, from the host and resident on the device.
#[test]
fn an_invalid_target_has_weight_0() {
    let (logits, targets, ones) = ([0.0f32; 2], [f32::NAN, 1.0], [1.0f32; 2]);
    let plain = batch(Form::Logits, &logits, &targets);
    let objective = Objective::mean().with_reduction(Reduction::WeightedMean).with_non_finite(NonFinite::Propagate);
    each(|engine| {
        for batch in [plain, plain.with_weights(&ones).expect("as many")] {
            let evaluation = engine.evaluate(&batch, &objective, Outputs::gradient()).expect("let through");
            assert_eq!((evaluation.count, evaluation.partials.weight.value()), (2, 1.0));
            assert_eq!(evaluation.gradient.expect("asked for")[1], -0.5);
            if engine.wgpu().is_none() {
                continue;
            }
            let resident = engine.upload(&batch).expect("it fits");
            let prepared = engine.prepare(&resident, &objective, DeviceOutputs::gradient()).expect("fits");
            assert_eq!(prepared.evaluate().expect("let through").partials.weight.value(), 1.0);
            let mut gradient = [0.0f32; 2];
            engine.download(prepared.gradient().expect("asked for"), &mut gradient).expect("there");
            assert_eq!(gradient[1], -0.5);
        }
    });
}
