//! Tests that the comparisons of the test suite detect wrong results.

use std::panic::{AssertUnwindSafe, catch_unwind};

use logloss::{BLOCK, Engine, Evaluation, ExactSum, Form, NonFinite, Objective, Outputs, Value};

use crate::{
    common::{FORMS, Random, all, assert_same, batch, judge, judge_scaled, judge_sum, none, results},
    scenes::{REDUCTIONS, Recipe, Weighing, element, judge_scene},
};

fn objects(check: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(check)).is_err()
}

#[test]
fn judge_finds_every_kind_of_fault() {
    let engine = Engine::cpu();
    let mut random = Random(71);
    for form in FORMS {
        let (predictions, targets) = (random.predictions(form, 100), random.soft(100));
        let batch = batch(form, &predictions, &targets);
        let evaluation = all(&engine, &batch, &none());
        let right = results(&evaluation).map(<[f32]>::to_vec);
        let judged =
            |got: &[Vec<f32>; 3]| objects(|| judge(&engine, &batch, got.each_ref().map(|output| output.as_slice())));
        assert!(!judged(&right));
        for output in 0..3 {
            for wrong in [f32::NAN, f32::INFINITY, 0.0, -right[output][50], right[output][50] * 1.0001] {
                let mut got = right.clone();
                got[output][50] = wrong;
                assert!(judged(&got), "{form:?}: {wrong} for {}", right[output][50]);
            }
            let mut got = right.clone();
            got[output].rotate_left(1);
            assert!(judged(&got), "shifted by one");
            got[output].pop();
            assert!(judged(&got), "one short");
            let mut got = right.clone();
            got.swap(output, (output + 1) % 3);
            assert!(judged(&got), "swapped");
        }
        // A coefficient that is missing, or that is applied to the loss as well.
        let scaled = |factors: [f32; 3]| {
            let got: Vec<Vec<f32>> =
                right.iter().zip(factors).map(|(values, f)| values.iter().map(|v| v * f).collect()).collect();
            objects(|| judge_scaled(&engine, &batch, [&got[0], &got[1], &got[2]], 0.01))
        };
        assert!(!scaled([1.0, 0.01, 0.01]));
        assert!(scaled([1.0, 1.0, 1.0]) && scaled([0.01, 0.01, 0.01]) && scaled([1.0, 0.01, 0.0100001]));
    }
}

#[test]
fn sums_are_judged() {
    let engine = Engine::cpu();
    let predictions = Random(72).predictions(Form::Logits, 3000);
    let batch = batch(Form::Logits, &predictions, &[1u8; 3000]);
    let sum = engine.evaluate(&batch, &Objective::sum(), Outputs::none()).expect("valid").sum;
    assert!(!objects(|| judge_sum(&engine, &batch, sum)));
    for wrong in [sum * (1.0 + 3e-7), -sum, 0.0, f64::NAN, f64::INFINITY] {
        assert!(objects(|| judge_sum(&engine, &batch, wrong)), "{wrong}");
    }
}

#[test]
fn one_bit_is_a_difference() {
    let engine = Engine::cpu();
    let mut random = Random(73);
    let (predictions, targets) = (random.predictions(Form::Logits, 2 * BLOCK), random.soft(2 * BLOCK));
    let batch = batch(Form::Logits, &predictions, &targets);
    let objective = Objective::mean().with_non_finite(NonFinite::Propagate);
    let wanted = all(&engine, &batch, &objective);
    let differs = |change: &dyn Fn(&mut logloss::Evaluation)| {
        let mut got = wanted.clone();
        change(&mut got);
        objects(|| assert_same(&got, &wanted, "changed"))
    };
    let flip = |values: &mut Option<Vec<f32>>, i: usize| {
        let value = &mut values.as_mut().expect("asked for")[i];
        *value = f32::from_bits(value.to_bits() ^ 1);
    };
    assert!(!differs(&|_| ()));
    assert!(differs(&|got| flip(&mut got.loss, 0)));
    assert!(differs(&|got| flip(&mut got.gradient, BLOCK)));
    assert!(differs(&|got| flip(&mut got.hessian, 2 * BLOCK - 1)));
    assert!(differs(&|got| got.loss = None));
    assert!(differs(&|got| got.gradient.as_mut().expect("asked for").truncate(1)));
    assert!(differs(&|got| got.sum = f64::from_bits(got.sum.to_bits() + 1)));
    assert!(differs(&|got| got.partials.first_invalid = Some(0)));
    assert!(differs(&|got| got.count += 1));
    assert!(differs(&|got| got.partials.weight = ExactSum::of([1.0])));
    assert!(differs(&|got| got.partials.classes = vec![logloss::ClassPartials::default()]));
    assert!(differs(&|got| got.value = Value::Scalar(1.0)));
}

/// The comparison of batches with weights, masks and options.
#[test]
fn scenes_are_judged() {
    let mut random = Random(74);
    let engine = Engine::cpu();
    for form in FORMS {
        for gamma in [None, Some(2.0)] {
            for reduction in REDUCTIONS {
                let mut recipe = Recipe::plain(form);
                (recipe.weighing, recipe.ignore, recipe.mask, recipe.pos_weight) = (Weighing::Elements, true, true, 2);
                (recipe.gamma, recipe.reduction) = (gamma, reduction);
                let scene = recipe.scene(&mut random, 700, 3);
                let batch = scene.batch();
                let right = all(&engine, &batch, &scene.objective);
                let fails = |change: &dyn Fn(&mut Evaluation)| {
                    let mut got = right.clone();
                    change(&mut got);
                    objects(|| {
                        judge_scene(&engine, &batch, &scene.objective, 1.0, &got);
                    })
                };
                assert!(!fails(&|_| ()));
                let loss = right.loss.as_ref().expect("asked for");
                let kept = (0..loss.len()).find(|&i| loss[i] > 0.1).expect("one");
                let left_out = (0..loss.len()).find(|&i| element(&batch, &scene.objective, i).is_none()).expect("one");
                let set = |values: &mut Option<Vec<f32>>, i: usize, f: &dyn Fn(f32) -> f32| {
                    let value = &mut values.as_mut().expect("asked for")[i];
                    *value = f(*value);
                };
                let wrongs: [fn(f32) -> f32; 4] = [|v| v * 1.0001, |_| f32::NAN, |_| f32::INFINITY, |v| -v];
                for wrong in wrongs {
                    assert!(fails(&|got| set(&mut got.loss, kept, &wrong)));
                    assert!(fails(&|got| set(&mut got.gradient, kept, &wrong)));
                    assert!(fails(&|got| set(&mut got.hessian, kept, &wrong)));
                }
                assert!(fails(&|got| set(&mut got.gradient, left_out, &|_| 1e-30)));
                assert!(fails(&|got| set(&mut got.loss, left_out, &|_| f32::NAN)));
                assert!(fails(&|got| got.loss.as_mut().expect("asked for").truncate(1)));
                for wrong in [f64::NAN, 0.0, right.sum * 1.000_01] {
                    assert!(fails(&|got| got.sum = wrong));
                    assert!(fails(&|got| got.partials.weight = ExactSum::of([wrong])));
                }
                assert!(fails(&|got| got.count += 1));
                assert!(fails(&|got| got.partials.count += 1));
                assert!(fails(&|got| {
                    got.value = match &got.value {
                        Value::Elements => Value::Scalar(0.0),
                        Value::Scalar(value) => Value::Scalar(value * 1.000_1),
                        _ => Value::Elements,
                    }
                }));
            }
        }
    }
}
