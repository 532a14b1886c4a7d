//! Values that surprise in other libraries, on every engine: see docs/peers.md.

use logloss::{
    Array, Batch, Engine, Error, Evaluation, Form, Metrics, NonFinite, Objective, Outputs, Partials, Reduction,
    half::{bf16, f16},
};
use logloss_verify::contract::{self, DeviceClass, Kind, Output};

use crate::common::{all, batch, each, judge, judge_sum, none, results};

/// The number of values of a part that is pushed many times.
const PART: usize = 1 << 19;

/// Asserts a mean of equal losses, which the errors of the elements and of the summation keep from being exact.
fn assert_mean(engine: &Engine, got: f64, wanted: f64, what: &str) {
    let class = DeviceClass::of(&engine.device());
    let row = contract::find(class, Form::Probabilities, Kind::Weighted, Output::Loss).expect("a row");
    let allowed = row.ceiling * 2f64.powi(-23) + contract::SUM_OF_EQUALS;
    assert!((got / wanted - 1.0).abs() <= allowed, "{what}: {got}, not {wanted}");
}

/// PaddlePaddle's gradient is one too low at a logit of exactly 0.
#[test]
fn gradient_at_zero() {
    let logits = [0.0f32, -0.0, 0.0, -0.0];
    let halves = logits.map(f16::from_f32);
    let brains = logits.map(bf16::from_f32);
    let (bytes, floats) = ([0u8, 0, 1, 1], [0.0f32, 0.0, 1.0, 1.0]);
    each(|engine| {
        for batch in [
            batch(Form::Logits, &logits, &bytes),
            batch(Form::Logits, &logits, &floats),
            batch(Form::Logits, &halves, &bytes),
            batch(Form::Logits, &brains, &floats),
        ] {
            for objective in [none(), none().with_pos_weight(1.0).expect("valid")] {
                assert_eq!(results(&all(engine, &batch, &objective))[1], [0.5, 0.5, -0.5, -0.5], "{objective:?}");
            }
        }
    });
}

/// Keras gives NaN for a perfect prediction in half precision.
#[test]
fn perfect_predictions_in_half_precision() {
    let (bytes, floats) = ([1u8, 0, 1, 0], [1.0f32, 0.0, 1.0, 0.0]);
    let halves = floats.map(f16::from_f32);
    let brains = floats.map(bf16::from_f32);
    each(|engine| {
        for batch in [
            batch(Form::Probabilities, &halves, &bytes),
            batch(Form::Probabilities, &brains, &bytes),
            batch(Form::Probabilities, &halves, &floats),
            batch(Form::Probabilities, &brains, &floats),
        ] {
            let evaluation = all(engine, &batch, &Objective::sum());
            assert_eq!((evaluation.sum, evaluation.mean), (0.0, 0.0));
            let got = results(&evaluation);
            judge(engine, &batch, got);
            assert_eq!(got[0], [0.0; 4]);
            assert!(got[1..].iter().all(|values| values.iter().all(|value| value.is_finite())), "{got:?}");
        }
    });
}

/// scikit-learn's loss is 0 once weights of f16 sum to more than f16 holds, which is 65504.
#[test]
fn half_precision_weights_past_65504() {
    each(|engine| {
        for (rows, weight) in [(65_520, 1.0), (70_000, 1.0), (2_000, 40.0f32)] {
            let predictions = vec![f16::from_f32(0.5); rows];
            let labels: Vec<u8> = (0..rows).map(|row| (row % 2) as u8).collect();
            let weights = vec![f16::from_f32(weight); rows];
            let weighted = batch(Form::Probabilities, &predictions, &labels).with_weights(&weights).expect("as many");
            let weight = f64::from(weight);
            for (reduction, wanted) in [(Reduction::Mean, weight), (Reduction::WeightedMean, 1.0)] {
                let objective = Objective::default().with_reduction(reduction);
                let evaluation = engine.evaluate(&weighted, &objective, Outputs::none()).expect("valid");
                assert_eq!(evaluation.partials.weight.value(), rows as f64 * weight);
                let value = evaluation.value.scalar().expect("one");
                assert_mean(engine, value, wanted * 2f64.ln(), &format!("{rows} rows, {reduction:?}"));
            }
        }
    });
}

/// Whether NaN exceeds a threshold differs between query engines, and in one of them with the sign of the NaN. Here it is
/// refused, or is on neither side.
#[test]
fn nan_of_either_sign_and_a_threshold() {
    let [plus, minus] = [0x7fc0_0000, 0xffc0_0000].map(f32::from_bits);
    let objective = Objective::mean().with_metrics(Metrics::none().with_threshold(0.5).expect("a number"));
    let sides = |evaluation: &Evaluation| {
        let counts = evaluation.partials.threshold.expect("requested");
        (counts.below, counts.at_or_above)
    };
    let labels = [0u8, 1, 1];
    each(|engine| {
        for form in [Form::Logits, Form::Probabilities] {
            let array = if form == Form::Logits { Array::Predictions } else { Array::Probabilities };
            for (predictions, first) in [([0.25, plus, minus], 1), ([0.25, minus, plus], 1), ([0.25, 0.75, minus], 2)] {
                let batch = batch(form, &predictions, &labels);
                match engine.evaluate(&batch, &objective, Outputs::none()) {
                    Err(Error::InvalidValue { array: found, index, value }) => {
                        assert_eq!((found, index, value.is_nan()), (array, first, true));
                    }
                    other => panic!("{predictions:?}: {other:?}"),
                }
                let through = objective.clone().with_non_finite(NonFinite::Propagate);
                let evaluation = engine.evaluate(&batch, &through, Outputs::none()).expect("let through");
                assert_eq!(sides(&evaluation), (1, first - 1), "{predictions:?}");
            }
        }
    });
}

/// XGBoost's smallest probability is subnormal, which JAX on a CPU takes for 0. The contract allows an adapter to do so
/// in the gradient and the hessian, but not in the loss.
#[test]
fn the_smallest_probability_of_xgboost() {
    let smallest = [3.006_636e-39_f32; 3];
    assert!(smallest[0].is_subnormal());
    let (bytes, floats) = ([1u8, 0, 1], [1.0f32, 0.0, 1.0]);
    each(|engine| {
        for batch in [batch(Form::Probabilities, &smallest, &bytes), batch(Form::Probabilities, &smallest, &floats)] {
            let evaluation = all(engine, &batch, &none());
            let got = results(&evaluation);
            judge(engine, &batch, got);
            for index in [0, 2] {
                assert!((got[0][index] - 88.70).abs() < 0.005, "{}", got[0][index]);
            }
        }
    });
}

/// Counts and sums in f32 stand still at 2^24: those of Keras' metrics, and sums in MLX, numexpr and Polars.
#[test]
fn counts_and_sums_past_2_to_24() {
    const PUSHES: usize = 64;
    let (predictions, labels) = (vec![0.5f32; PART], vec![1u8; PART]);
    let part = batch(Form::Probabilities, &predictions, &labels);
    let one = batch(Form::Probabilities, &predictions[..1], &labels[..1]);
    let objective = Objective::mean().with_metrics(Metrics::none().with_threshold(0.5).expect("a number"));
    each(|engine| {
        let of = |batch: &Batch<'_>| engine.evaluate(batch, &objective, Outputs::none()).expect("valid");
        let (of_part, of_one) = (of(&part), of(&one));
        judge_sum(engine, &one, of_one.sum);
        let mut accumulator = engine.accumulator(&objective, None);
        for _ in 0..PUSHES {
            accumulator.push(&part, Outputs::none()).expect("valid");
        }
        accumulator.push(&one, Outputs::none()).expect("valid");
        let evaluation = accumulator.finish().expect("all of it");
        let count = (1 << 25) + 1;
        assert_eq!((evaluation.count, evaluation.partials.weight.value()), (count, count as f64));
        let counts = evaluation.partials.threshold.expect("requested");
        assert_eq!((counts.below, counts.at_or_above), (0, count));
        // Losses are equal and blocks are of 2^11 values, so that no sum of them is rounded.
        assert_eq!(of_part.mean, of_one.mean);
        assert_eq!((evaluation.mean, evaluation.value.scalar()), (of_one.mean, Some(of_one.mean)));
        assert_eq!(evaluation.sum, count as f64 * of_one.sum);
    });
}

/// The sums of parts merge to those of more values than 32 bits count.
#[test]
fn merged_counts_past_2_to_32() {
    let (predictions, labels) = ([0.5f32; 6], [1u8, 0, 1, 0, 1, 0]);
    let part = batch(Form::Probabilities, &predictions, &labels).with_classes(2).expect("even");
    let objective = Objective::default()
        .with_reduction(Reduction::PerClass)
        .with_metrics(Metrics::none().with_threshold(0.5).expect("a number"));
    each(|engine| {
        let mut of_part = engine.evaluate(&part, &objective, Outputs::none()).expect("valid").partials;
        // Without a place, the same sums may be added many times.
        of_part.close();
        let mut merged = of_part.clone();
        for _ in 0..32 {
            merged.merge(&merged.clone()).expect("closed");
        }
        merged.merge(&of_part).expect("closed");
        let times = (1u64 << 32) + 1;
        let counted = |partials: &Partials| {
            let classes: Vec<u64> = partials.classes.iter().map(|class| class.count).collect();
            (partials.count, classes, partials.threshold.expect("requested").at_or_above)
        };
        assert_eq!(counted(&of_part), (6, vec![3; 2], 6));
        assert_eq!(counted(&merged), (6 * times, vec![3 * times; 2], 6 * times));
        assert_eq!(merged.weight.value(), (6 * times) as f64);
        assert!((merged.mean() / of_part.mean() - 1.0).abs() <= f64::EPSILON, "{}", merged.mean());
        for (class, of_part) in merged.classes.iter().zip(&of_part.classes) {
            assert_eq!(class.sum.value(), times as f64 * of_part.sum.value());
        }
    });
}
