//! Probabilities in f64 keep the digits of p and of 1 − p, from host memory and from the device's own, with every
//! parameter of the loss.

use logloss::{
    Array, Batch, Compat, DeviceKind, DeviceOutputs, Engine, Error, Form, Ignore, Metrics, NonFinite, Objective,
    Outputs, Targets, half::f16,
};

use crate::{
    common::{Random, all, assert_same, batch, each, judge, none, results, seed},
    options::resident,
};

/// The mean loss of one probability.
fn mean(engine: &logloss::Engine, p: f64, z: u8, compat: Option<Compat>) -> f64 {
    let objective = compat.map_or(Objective::mean(), |compat| Objective::mean().with_compat(compat));
    let objective = objective.with_non_finite(NonFinite::Propagate);
    let (p, z) = ([p], [z]);
    let batch = Batch::probabilities(&p, &z).expect("it fits");
    engine.evaluate(&batch, &objective, Outputs::none()).expect("valid").mean
}

#[test]
fn known_values() {
    each(|engine| {
        for (p, z, loss) in [
            (1.0 - 1e-7, 0, 16.118_095_650_958_32),
            (0.999_999_999, 0, 20.723_265_865_228_342),
            (1.0 - 2e-16, 0, 36.043_653_389_117_15),
            (1e-300, 1, 690.775_527_898_213_7),
            (f64::from_bits(1), 1, 744.440_071_921_381_3),
            (1e-40, 1, 92.103_403_719_761_83),
            (2f64.powi(-128), 1, 88.722_839_111_673),
            (0.0, 0, 0.0),
            (-0.0, 0, 0.0),
            (1.0, 1, 0.0),
            (0.0, 1, f64::INFINITY),
            (-0.0, 1, f64::INFINITY),
            (1.0, 0, f64::INFINITY),
        ] {
            let got = mean(engine, p, z, None);
            assert!(got == loss || (got - loss).abs() <= 1e-7 * loss, "p {p:e} z {z}: {got}, not {loss}");
        }
    });
}

/// What the libraries give for the same f64 probabilities; tests/compat/generate.py has the real ones.
#[test]
fn clipped_as_other_systems_do() {
    each(|engine| {
        // scikit-learn 1.9.1: log_loss([1, 1, 1, 0, 0], [0, .7, .6, .2, .3]) in f64.
        let (p, z) = ([0.0, 0.7, 0.6, 0.2, 0.3], [1u8, 1, 1, 0, 0]);
        let objective = Objective::mean().with_compat(Compat::Sklearn);
        let batch = Batch::probabilities(&p, &z).expect("it fits");
        let got = engine.evaluate(&batch, &objective, Outputs::none()).expect("valid").mean;
        assert!((got - 7.498_194_1).abs() <= 1e-6, "{got}");
        let halves = p.map(f16::from_f64);
        let batch = Batch::probabilities(&halves, &z).expect("it fits");
        let got = engine.evaluate(&batch, &objective, Outputs::none()).expect("valid").mean;
        let wanted = -(2f64.powi(-10).ln()
            + [0.7, 0.6, 0.8, 0.7].map(|p| f16::from_f64(p).to_f64().ln()).iter().sum::<f64>())
            / 5.0;
        assert!((got - wanted).abs() <= 1e-3, "{got}, not {wanted}");
        for (compat, p, z, loss) in [
            (Compat::Sklearn, 1.0 - 1e-9, 0, 20.723_265_8),
            (Compat::Sklearn, 1e-30, 1, 36.043_653_4),
            (Compat::Lightgbm, 1.0 - 1e-12, 0, 27.631_043_2),
            (Compat::Lightgbm, 1e-20, 1, 34.538_776_4),
            // XGBoost has predictions in f32, where this is 1.
            (Compat::Xgboost, 1.0 - 1e-9, 0, 36.841_361_5),
            (Compat::Xgboost, 1.0 - 1e-7, 0, 15.942_385_2),
            (Compat::Torch, 1.0 - 1e-12, 0, 27.631_043_2),
            (Compat::Torch, 1e-300, 1, 100.0),
            (Compat::Keras, 1.0 - 1e-12, 0, 16.118_095_7),
        ] {
            let got = mean(engine, p, z, Some(compat));
            assert!((got - loss).abs() <= 1e-5, "{compat} {p:e} {z}: {got}, not {loss}");
        }
    });
}

/// Every length around tiles and blocks, with values of every size, and all outputs.
#[test]
fn random_values_of_every_length() {
    let mut random = Random(seed());
    for len in [1, 2, 511, 512, 513, 2047, 2048, 2049, 70_001] {
        let p: Vec<f64> = (0..len)
            .map(|_| match random.below(4) {
                0 => random.uniform(),
                1 => 10f64.powf(-320.0 * random.uniform()),
                2 => 1.0 - 10f64.powf(-16.0 * random.uniform()),
                _ => f64::from_bits(random.next() % 1.0f64.to_bits()),
            })
            .collect();
        let (hard, soft) = (random.labels(len), random.soft(len));
        for targets in [Targets::U8(&hard), Targets::F32(&soft)] {
            let batch = batch(Form::Probabilities, &p, targets);
            each(|engine| {
                let evaluation = all(engine, &batch, &none());
                judge(engine, &batch, results(&evaluation));
                if engine.device().kind != DeviceKind::Cpu {
                    assert_same(&resident(engine, &batch, &none()), &evaluation, "resident");
                }
            });
        }
    }
}

/// Of f64 values that f32 cannot tell from 0 and 1, those outside of [0, 1] are invalid.
#[test]
fn invalid_by_less_than_f32_sees() {
    for wrong in [1.0 + f64::EPSILON, -f64::from_bits(1), -1e-300, 1.0 + 1e-9, 2.0, f64::NAN, f64::INFINITY] {
        for index in [0, 511, 600, 2047, 2999] {
            let mut p = vec![0.3; 3000];
            p[index] = wrong;
            let z = vec![1u8; 3000];
            let batch = batch(Form::Probabilities, &p, &z);
            each(|engine| {
                let error = engine.evaluate(&batch, &Objective::mean(), Outputs::none()).expect_err("invalid");
                let Error::InvalidValue { array: Array::Probabilities, index: found, value } = error else {
                    panic!("{error}")
                };
                assert_eq!(found, index as u64);
                assert!(value == wrong || wrong.is_nan() && value.is_nan(), "{value}, not {wrong}");
                if engine.device().kind != DeviceKind::Cpu {
                    let there = engine.upload(&batch).expect("it fits");
                    let prepared = engine.prepare(&there, &Objective::mean(), DeviceOutputs::none()).expect("it fits");
                    let error = prepared.evaluate().expect_err("invalid");
                    assert!(
                        matches!(error, Error::InvalidValue { index: found, .. } if found == index as u64),
                        "{error}"
                    );
                }
            });
        }
    }
}

/// Sides of a threshold are those of the f32 nearest to the probability, or to its distance from 1.
#[test]
fn thresholds() {
    let p = [0.0, -0.0, 1e-300, 0.3, 0.5, 0.7, 1.0 - 1e-12, 1.0 - 1e-7, 1.0];
    let z = [1u8; 9];
    let batch = batch(Form::Probabilities, &p, &z);
    each(|engine| {
        for (threshold, below) in
            [(-1.0, 0), (0.0, 0), (0.3, 3), (0.31, 4), (0.5, 4), (0.7, 5), (0.999_999, 6), (1.0, 8), (1.5, 9)]
        {
            let metrics = Metrics::none().with_threshold(threshold).expect("a number");
            let objective = Objective::mean().with_metrics(metrics);
            let partials = engine.evaluate(&batch, &objective, Outputs::none()).expect("valid").partials;
            let counts = partials.threshold.expect("requested");
            assert_eq!((counts.below, counts.at_or_above), (below, 9 - below), "{threshold}");
        }
    });
}

/// f64 logits are rounded to f32, and i64 targets are those of other types.
#[test]
fn other_64_bit_types() {
    let mut random = Random(seed());
    let x: Vec<f64> = (0..5000).map(|_| 3.0 * random.normal()).collect();
    let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let labels = random.labels(5000);
    let mut longs: Vec<i64> = labels.iter().map(|&z| z.into()).collect();
    each(|engine| {
        let wanted = all(engine, &batch(Form::Logits, &narrow, &labels), &none());
        assert_same(&all(engine, &batch(Form::Logits, &x, &labels), &none()), &wanted, "f64 logits");
        assert_same(&all(engine, &batch(Form::Logits, &x, &longs), &none()), &wanted, "i64 targets");
    });
    for (wrong, ignored) in [(-100, true), (2, false), (-1, false), (i64::MIN, false), (1 << 40, false)] {
        longs[4321] = wrong;
        let batch = batch(Form::Logits, &x, &longs);
        let objective = Objective::mean().with_ignore(Ignore::Label(-100));
        each(|engine| match engine.evaluate(&batch, &objective, Outputs::none()) {
            Ok(evaluation) => assert!(ignored && evaluation.count == 4999, "{wrong}"),
            Err(Error::InvalidValue { array: Array::Targets, index: 4321, value }) => {
                assert!(!ignored && value == wrong as f64, "{wrong}");
            }
            Err(error) => panic!("{error}"),
        });
    }
    let objective = Objective::mean().with_ignore(Ignore::Label(1 << 24));
    let error = Engine::cpu().evaluate(&batch(Form::Logits, &x, &longs), &objective, Outputs::none());
    assert!(matches!(error, Err(Error::Parameter { name: "ignored label", .. })));
}
