//! What judges must be able to find fault.

use std::panic::{AssertUnwindSafe, catch_unwind};

use logloss::{BLOCK, Engine, Form, Invalid, Objective, Outputs};

use crate::common::{FORMS, Random, all, assert_same, batch, judge, judge_scaled, judge_sum, none, results};

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
        // A coefficient that was forgotten, or applied to the loss as well.
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
    let objective = Objective::mean().with_invalid(Invalid::Propagate);
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
}
