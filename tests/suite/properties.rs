//! Properties of the results of every batch.

use logloss::{BLOCK, ExactSum, Form, Objective, Outputs};
use logloss_verify::contract;
use proptest::prelude::*;

use crate::common::{all, batch, engines, judge, none, results, true_sum};

/// Logits of typical models, and extreme ones.
fn logit() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -20.0f32..20.0,
        2 => -120.0f32..120.0,
        1 => any::<f32>().prop_filter("a number", |x| !x.is_nan()),
        1 => prop::sample::select(vec![0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-45, -1e-45]),
    ]
}

fn probability() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => 0.0f32..=1.0,
        1 => (0u32..=0x3f80_0000).prop_map(f32::from_bits),
        1 => (0..24).prop_map(|k| 1.0 - 0.5f32.powi(k)),
        1 => prop::sample::select(vec![0.0, 1.0, 0.5]),
    ]
}

fn target() -> impl Strategy<Value = f32> {
    prop_oneof![2 => 0.0f32..=1.0, 3 => prop::sample::select(vec![0.0, 1.0]), 1 => (1..24).prop_map(|k| 0.5f32.powi(k))]
}

/// Predictions of a form with targets, up to `most` of them.
fn values(form: Form, most: usize) -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let one = match form {
        Form::Logits => logit().boxed(),
        _ => probability().boxed(),
    };
    prop::collection::vec((one, target()), 0..most).prop_map(|pairs| pairs.into_iter().unzip())
}

fn any_values(most: usize) -> impl Strategy<Value = (Form, (Vec<f32>, Vec<f32>))> {
    prop_oneof![
        values(Form::Logits, most).prop_map(|values| (Form::Logits, values)),
        values(Form::Probabilities, most).prop_map(|values| (Form::Probabilities, values)),
    ]
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Whether the f32 sum of the losses of a block may overflow, taking rounding into account.
fn may_overflow(mut sums_of_blocks: impl Iterator<Item = f64>) -> bool {
    sums_of_blocks.any(|sum| sum > f64::from(f32::MAX) * (1.0 - 1e-6))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_contract((form, (predictions, targets)) in any_values(300)) {
        for engine in engines() {
            let batch = batch(form, &predictions, &targets);
            judge(engine, &batch, results(&all(engine, &batch, &none())));
        }
    }

    #[test]
    fn signs_and_bounds((form, (predictions, targets)) in any_values(300)) {
        for engine in engines() {
            let evaluation = all(engine, &batch(form, &predictions, &targets), &none());
            let [loss, gradient, hessian] = results(&evaluation);
            for i in 0..predictions.len() {
                let (x, z) = (predictions[i], targets[i]);
                let (l, g, h) = (loss[i], gradient[i], hessian[i]);
                prop_assert!(l >= 0.0 && h >= 0.0, "{x} {z}: {l} {h}");
                match form {
                    Form::Logits => {
                        prop_assert!(g >= -z && g <= 1.0 - z, "{x} {z}: {g}");
                        prop_assert!(h <= 0.25 * (1.0 + f32::EPSILON), "{x} {z}: {h}");
                    }
                    _ => {
                        prop_assert!(z != 0.0 || g >= 1.0, "{x} {z}: {g}");
                        prop_assert!(z != 1.0 || g <= -1.0, "{x} {z}: {g}");
                        prop_assert!(h >= 1.0, "{x} {z}: {h}");
                    }
                }
            }
        }
    }

    /// Exchanging the classes and negating the logit gives the mirrored results, to the bit. For soft targets, only the
    /// contract holds.
    #[test]
    fn mirrored((predictions, targets) in values(Form::Logits, 300)) {
        let labels: Vec<f32> = targets.iter().map(|z| z.round()).collect();
        let (minus, other): (Vec<f32>, Vec<f32>) = predictions.iter().zip(&labels).map(|(x, z)| (-x, 1.0 - z)).unzip();
        for engine in engines() {
            let here = all(engine, &batch(Form::Logits, &predictions, &labels), &none());
            let there = all(engine, &batch(Form::Logits, &minus, &other), &none());
            let ([loss, gradient, hessian], [loss2, gradient2, hessian2]) = (results(&here), results(&there));
            prop_assert_eq!(bits(loss), bits(loss2));
            prop_assert_eq!(bits(hessian), bits(hessian2));
            for (g, g2) in gradient.iter().zip(gradient2) {
                prop_assert_eq!(*g, -g2);
            }
        }
    }

    /// The loss increases with the distance of the prediction from the target, and the gradient with the logit.
    #[test]
    fn monotone(start in -100.0f64..95.0, step in 1e-4f64..1e-2) {
        let xs: Vec<f32> = (0..500).map(|i| (start + step * f64::from(i)) as f32).collect();
        // Different f32 logits of this size lie so far apart that errors cannot change the order.
        let rises = |values: &[f32]| values.windows(2).zip(xs.windows(2)).all(|(v, x)| x[0] == x[1] || v[0] <= v[1]);
        for engine in engines() {
            for label in [0u8, 1] {
                let evaluation = all(engine, &batch(Form::Logits, &xs, &vec![label; xs.len()]), &none());
                let [loss, gradient, _] = results(&evaluation);
                let away: Vec<f32> = if label == 0 { loss.to_vec() } else { loss.iter().map(|l| -l).collect() };
                // Where the exact value is constant to the last place of f32, errors may change the order.
                let slack = |values: &[f32]| {
                    values.windows(2).all(|v| f64::from(v[1]) >= f64::from(v[0]) - 4.0 * contract::ulp(v[0].into()))
                };
                prop_assert!(slack(&away) && slack(gradient), "{} {}", start, step);
                let steep = start < 0.0 && start + 500.0 * step < 0.0;
                prop_assert!(!(steep && label == 0) || rises(loss) && rises(gradient), "{} {}", start, step);
            }
        }
    }

    /// The sum is the sum of the losses in the output, to much smaller errors than those of the losses themselves.
    #[test]
    fn sum_of_the_output((form, (predictions, targets)) in any_values(3 * BLOCK)) {
        for engine in engines() {
            let evaluation = all(engine, &batch(form, &predictions, &targets), &Objective::mean());
            let sum = |losses: &[f32]| ExactSum::of(losses.iter().map(|&loss| loss.into())).value();
            let loss = results(&evaluation)[0];
            let exact = sum(loss);
            let error = contract::relative(evaluation.sum, exact, predictions.len() as u64);
            let may_overflow = may_overflow(loss.chunks(BLOCK).map(sum));
            prop_assert!(
                error <= contract::SUM_OF_EQUALS || may_overflow && evaluation.sum == f64::INFINITY,
                "{} for {}: {}",
                evaluation.sum,
                exact,
                error
            );
            prop_assert_eq!(evaluation.count, predictions.len() as u64);
            let mean = evaluation.sum / predictions.len() as f64;
            prop_assert!(evaluation.mean.to_bits() == mean.to_bits() || mean.is_nan() && evaluation.mean.is_nan());
            prop_assert!(may_overflow || evaluation.sum.is_finite());
            prop_assert!(exact.is_finite() || evaluation.sum == f64::INFINITY);
        }
    }

    /// Parts that are split anywhere merge exactly to the whole.
    #[test]
    fn parts_add_up((form, (predictions, targets)) in any_values(4 * BLOCK), cut: prop::sample::Index) {
        let at = cut.index(predictions.len() + 1);
        for engine in engines() {
            let part = |range: std::ops::Range<usize>| {
                let part = batch(form, &predictions[range.clone()], &targets[range.clone()]);
                let part = part.with_first_row(range.start as u64);
                engine.evaluate(&part, &none(), Outputs::none()).expect("valid").partials
            };
            let whole = engine.evaluate(&batch(form, &predictions, &targets), &none(), Outputs::none()).expect("valid");
            let mut parts = part(at..predictions.len());
            parts.merge(&part(0..at)).expect("neighbours");
            parts.close();
            let mut whole = whole.partials;
            whole.close();
            prop_assert_eq!(parts, whole);
        }
    }

    /// The results of different devices agree within the contract.
    #[test]
    fn devices_agree((form, (predictions, targets)) in any_values(2 * BLOCK)) {
        let batch = batch(form, &predictions, &targets);
        let truth = true_sum(&batch);
        let blocks = predictions.chunks(BLOCK).zip(targets.chunks(BLOCK));
        let may_overflow = may_overflow(blocks.map(|(x, z)| true_sum(&self::batch(form, x, z))));
        for engine in engines() {
            let sum = engine.evaluate(&batch, &Objective::sum(), Outputs::none()).expect("valid").sum;
            let error = contract::relative(sum, truth, predictions.len() as u64);
            // There may be only one value, so errors need not average out.
            let allowed = 3.0 * 2f64.powi(-23) + contract::SUM_OF_EQUALS;
            let excused = may_overflow && sum == f64::INFINITY;
            prop_assert!(error <= allowed || excused, "{}: {} for {}", engine.device().name, sum, truth);
        }
    }
}
