//! The reductions, and the coefficient of gradient and hessian.

use logloss::{BLOCK, Error, Form, NonFinite, Objective, Outputs, Reduction, Value};

use crate::common::{FORMS, Random, all, batch, each, judge_scaled, judge_sum, results};

const LEN: usize = 5 * BLOCK + 77;

#[test]
fn values_and_derivatives() {
    let mut random = Random(41);
    for form in FORMS {
        let predictions = random.predictions(form, LEN);
        let targets = random.soft(LEN);
        let batch = batch(form, &predictions, &targets);
        each(|engine| {
            for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean] {
                for scale in [1.0f32, 2.0, -0.5, 0.1, 1e-3, 65536.0, 1e10] {
                    let objective = Objective::default().with_reduction(reduction).with_scale(scale).expect("finite");
                    let evaluation = all(engine, &batch, &objective);
                    judge_sum(engine, &batch, evaluation.sum);
                    assert_eq!(evaluation.mean.to_bits(), (evaluation.sum / LEN as f64).to_bits());
                    let (value, divisor) = match reduction {
                        Reduction::None => (Value::Elements, 1.0),
                        Reduction::Sum => (Value::Scalar(evaluation.sum), 1.0),
                        _ => (Value::Scalar(evaluation.mean), LEN as f64),
                    };
                    assert_eq!(evaluation.value, value);
                    judge_scaled(engine, &batch, results(&evaluation), f64::from(scale) / divisor);
                }
            }
        });
    }
}

/// The loss, its sum and its mean do not depend on the scale, to the bit.
#[test]
fn scale_is_for_derivatives() {
    let mut random = Random(42);
    let predictions = random.predictions(Form::Logits, LEN);
    let targets = random.labels(LEN);
    let batch = batch(Form::Logits, &predictions, &targets);
    each(|engine| {
        let plain = all(engine, &batch, &Objective::sum());
        let scaled = all(engine, &batch, &Objective::sum().with_scale(-4.0).expect("finite"));
        assert_eq!(plain.partials, scaled.partials);
        let (plain, scaled) = (results(&plain), results(&scaled));
        for i in 0..LEN {
            assert_eq!(plain[0][i].to_bits(), scaled[0][i].to_bits());
            // Multiplying by a power of two is exact.
            assert_eq!(-4.0 * plain[1][i], scaled[1][i]);
            assert_eq!(-4.0 * plain[2][i], scaled[2][i]);
        }
        let nothing = all(engine, &batch, &Objective::sum().with_scale(0.0).expect("finite"));
        assert!(results(&nothing)[1].iter().chain(results(&nothing)[2]).all(|&derivative| derivative == 0.0));
    });
}

#[test]
fn scale_must_be_finite() {
    for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = Objective::mean().with_scale(scale).expect_err("not finite");
        assert!(matches!(error, Error::Parameter { name: "scale", .. }), "{error}");
    }
    assert_eq!(Objective::default(), Objective::mean());
    assert_eq!(Objective::mean().non_finite(), NonFinite::Error);
    assert_eq!(Objective::sum().reduction(), Reduction::Sum);
}

/// The mean of one value is that value.
#[test]
fn of_one_value() {
    each(|engine| {
        let one = batch(Form::Logits, &[0.3f32], &[0.2f32]);
        let mean = all(engine, &one, &Objective::mean());
        let sum = all(engine, &one, &Objective::sum());
        assert_eq!(mean.mean.to_bits(), sum.sum.to_bits());
        assert_eq!(results(&mean), results(&sum));
        let truth = logloss_verify::oracle::Element::new(Form::Logits, 0.3f32.into(), 0.2f32.into()).truth();
        assert!((mean.mean / truth.loss() - 1.0).abs() <= 4e-7);
    });
}

/// The gradient of a mean is that of the whole batch, from the first part on.
#[test]
fn mean_of_an_accumulator() {
    let mut random = Random(43);
    let predictions = random.predictions(Form::Logits, 4 * BLOCK);
    let targets = random.labels(4 * BLOCK);
    each(|engine| {
        let wanted = all(engine, &batch(Form::Logits, &predictions, &targets), &Objective::mean());
        let mut gradient = vec![f32::NAN; BLOCK];
        let mut accumulator = engine.accumulator(&Objective::mean(), Some(4 * BLOCK as u64));
        for (part, (x, z)) in predictions.chunks(BLOCK).zip(targets.chunks(BLOCK)).enumerate() {
            let outputs = Outputs::none().with_gradient(&mut gradient);
            accumulator.push(&batch(Form::Logits, x, z), outputs).expect("valid");
            let wanted = &results(&wanted)[1][part * BLOCK..][..BLOCK];
            assert_eq!(
                gradient.iter().map(|g| g.to_bits()).collect::<Vec<_>>(),
                wanted.iter().map(|g| g.to_bits()).collect::<Vec<_>>()
            );
        }
        assert_eq!(accumulator.finish().expect("complete").mean.to_bits(), wanted.mean.to_bits());
    });
}
