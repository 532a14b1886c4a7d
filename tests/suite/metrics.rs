//! Statistics of the predictions, taken beside the loss.

use logloss::{
    BLOCK, Batch, Engine, Evaluation, Form, Ignore, Metrics, NonFinite, Objective, Outputs, Reduction, Sink,
    half::{bf16, f16},
};

use crate::common::{FORMS, Random, assert_same, batch, bits, each, pack};

fn requesting(objective: &Objective, threshold: f32) -> Objective {
    objective.clone().with_metrics(Metrics::none().with_threshold(threshold).expect("a number"))
}

/// The number of predictions below the threshold, and of those at it or above.
fn counts(evaluation: &Evaluation) -> (u64, u64) {
    let counts = evaluation.partials.threshold.expect("requested");
    (counts.below, counts.at_or_above)
}

/// The same, one prediction at a time.
fn naive(batch: &Batch<'_>, threshold: f32, kept: impl Fn(usize) -> bool) -> (u64, u64) {
    (0..batch.len()).filter(|&i| kept(i)).fold((0, 0), |(below, at_or_above), i| {
        let (x, threshold) = (batch.predictions().get(i), f64::from(threshold));
        (below + u64::from(x < threshold), at_or_above + u64::from(x >= threshold))
    })
}

fn evaluate(engine: &Engine, batch: &Batch<'_>, objective: &Objective) -> Evaluation {
    engine.evaluate(batch, objective, Outputs::gradient()).expect("a valid batch")
}

#[test]
fn both_sides_of_a_threshold() {
    let mut random = Random(501);
    for form in FORMS {
        let longest = random.predictions(form, 9 * BLOCK + 77);
        let labels = random.labels(longest.len());
        let thresholds = if form == Form::Logits { [0.0, -1.5, 1.5] } else { [0.5, 0.1, 0.9] };
        each(|engine| {
            for len in [1, 31, 32, 33, 511, 512, 513, BLOCK - 1, BLOCK, BLOCK + 1, longest.len()] {
                let (x, z) = (&longest[..len], &labels[..len]);
                let f16s: Vec<f16> = x.iter().map(|x| f16::from_f32(*x)).collect();
                let bf16s: Vec<bf16> = x.iter().map(|x| bf16::from_f32(*x)).collect();
                for batch in [batch(form, x, z), batch(form, &f16s, z), batch(form, &bf16s, z)] {
                    // At a prediction, too.
                    for threshold in thresholds.into_iter().chain([batch.predictions().get(len / 2) as f32]) {
                        for objective in [Objective::mean(), Objective::sum().with_pos_weight([2.0]).expect("finite")] {
                            let got = evaluate(engine, &batch, &requesting(&objective, threshold));
                            assert_eq!(counts(&got), naive(&batch, threshold, |_| true), "{len} {threshold}");
                            let without = evaluate(engine, &batch, &objective);
                            assert_same(&got, &without, "with and without counts");
                            assert_eq!(without.partials.threshold, None);
                        }
                    }
                }
            }
        });
    }
}

#[test]
fn zeros_subnormals_infinities_and_nan() {
    let x = [0.0, -0.0, 1e-45, -1e-45, 1e-39, -1e-39, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN, 2.0];
    let z = [1u8; 11];
    let batch = batch(Form::Logits, &x, &z);
    let objective = Objective::mean().with_non_finite(NonFinite::Propagate);
    each(|engine| {
        for threshold in [0.0, -0.0, 1e-45, -1e-45, 1e-39, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN] {
            let got = evaluate(engine, &batch, &requesting(&objective, threshold));
            assert_eq!(counts(&got), naive(&batch, threshold, |_| true), "{threshold:e}");
        }
    });
}

#[test]
fn ignored_and_masked_elements_are_on_neither_side() {
    const ROWS: usize = 1700;
    const CLASSES: usize = 3;
    const LEN: usize = ROWS * CLASSES;
    let mut random = Random(502);
    let (mut x, mut z) = (random.predictions(Form::Logits, LEN), random.labels(LEN));
    let keep: Vec<u8> = (0..LEN).map(|_| u8::from(random.below(3) != 0)).collect();
    let unlabelled: Vec<bool> = (0..LEN).map(|_| random.below(4) == 0).collect();
    for i in 0..LEN {
        if unlabelled[i] {
            z[i] = 255;
        }
        if unlabelled[i] || keep[i] == 0 {
            x[i] = [f32::NAN, 5.0, -5.0][i % 3];
        }
    }
    let mask = pack(&keep);
    let batch = batch(Form::Logits, &x, &z).with_classes(CLASSES).and_then(|batch| batch.with_mask(&mask));
    let batch = batch.expect("the lengths match");
    let wanted = naive(&batch, 0.25, |i| keep[i] == 1 && !unlabelled[i]);
    each(|engine| {
        for reduction in [
            Reduction::None,
            Reduction::Sum,
            Reduction::Mean,
            Reduction::WeightedMean,
            Reduction::PerClass,
            Reduction::PerRow,
        ] {
            let objective = Objective::mean().with_reduction(reduction).with_ignore(Ignore::Label(255));
            let got = evaluate(engine, &batch, &requesting(&objective, 0.25));
            assert_eq!(counts(&got), wanted, "{reduction:?}");
            assert_eq!(got.count, wanted.0 + wanted.1);
        }
    });
}

/// In parts, and with outputs that are computed in steps, the counts are those of the whole.
#[test]
fn parts_add_up() {
    let mut random = Random(503);
    let (x, z) = (random.predictions(Form::Logits, 40 * BLOCK + 5), random.labels(40 * BLOCK + 5));
    let whole = batch(Form::Logits, &x, &z);
    let objective = requesting(&Objective::mean(), 0.5);
    let wanted = naive(&whole, 0.5, |_| true);
    each(|engine| {
        let evaluation = evaluate(engine, &whole, &objective);
        assert_eq!(counts(&evaluation), wanted);
        let mut stream = engine.accumulator(&objective, None);
        for start in (0..x.len()).step_by(17 * BLOCK) {
            let end = x.len().min(start + 17 * BLOCK);
            stream.push(&batch(Form::Logits, &x[start..end], &z[start..end]), Outputs::none()).expect("whole blocks");
        }
        let streamed = stream.finish().expect("all was pushed");
        assert_eq!(counts(&streamed), wanted);
        assert_eq!(bits(&streamed).terms, bits(&evaluation).terms);
        let mut narrow = vec![f16::ZERO; x.len()];
        let outputs = Outputs::none().with_gradient(Sink::from(&mut narrow));
        assert_eq!(counts(&engine.evaluate(&whole, &objective, outputs).expect("a valid batch")), wanted);
    });
}

#[test]
fn nothing_is_on_neither_side() {
    each(|engine| {
        let empty = batch(Form::Logits, &[0f32; 0], &[0u8; 0]);
        assert_eq!(counts(&evaluate(engine, &empty, &requesting(&Objective::mean(), 0.0))), (0, 0));
        assert_eq!(
            counts(&engine.accumulator(&requesting(&Objective::sum(), 0.0), None).finish().expect("empty")),
            (0, 0)
        );
        let masked = batch(Form::Logits, &[1f32, -1.0], &[0u8, 1]).with_mask(&[0]).expect("a byte");
        assert_eq!(counts(&evaluate(engine, &masked, &requesting(&Objective::mean(), 0.0))), (0, 0));
    });
}

#[test]
fn several_engines_add_up() {
    let mut random = Random(504);
    let (x, z) = (random.predictions(Form::Logits, 50 * BLOCK + 9), random.labels(50 * BLOCK + 9));
    let whole = batch(Form::Logits, &x, &z);
    let engine = Engine::multi_with_shares([(Engine::cpu(), 1.0), (Engine::cpu(), 3.0)]).expect("two shares");
    let got = evaluate(&engine, &whole, &requesting(&Objective::mean(), -0.5));
    assert_eq!(counts(&got), naive(&whole, -0.5, |_| true));
}
