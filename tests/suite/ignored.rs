//! Ignored and masked elements, and batches in which no element is counted.

use logloss::{Compat, Form, Ignore, NonFinite, Objective, Outputs, Reduction, Value};

use crate::{
    common::{FORMS, Random, all, batch, each, pack, results},
    options::resident,
    scenes::{Labels, REDUCTIONS, Recipe, Weighing},
};

const ROWS: usize = 2500;
const CLASSES: usize = 3;
const LEN: usize = ROWS * CLASSES;

/// Ignored and masked elements may have any values. All other elements have the same bits as without them.
#[test]
fn ignored_values_have_no_effect() {
    let mut random = Random(111);
    for form in FORMS {
        let (predictions, soft, labels) = (random.predictions(form, LEN), random.soft(LEN), random.labels(LEN));
        let keep: Vec<u8> = (0..LEN).map(|_| u8::from(random.below(3) != 0)).collect();
        let (mut x, mut z, mut y, mut w) = (predictions.clone(), soft.clone(), labels.clone(), vec![1.5f32; LEN]);
        for i in (0..LEN).filter(|&i| keep[i] == 0) {
            (x[i], z[i], y[i]) = ([f32::NAN, f32::INFINITY, -5.0][i % 3], f32::NAN, 255);
            w[i] = [f32::NAN, -1.0, f32::INFINITY][i % 3];
        }
        let (ones, mask) = (vec![1.5f32; LEN], pack(&keep));
        let whole_soft = batch(form, &predictions, &soft).with_weights(&ones).expect("as many");
        let whole_hard = batch(form, &predictions, &labels).with_weights(&ones).expect("as many");
        let count = keep.iter().filter(|&&keep| keep == 1).count() as u64;
        each(|engine| {
            for (got, wanted, what) in [
                (
                    all(
                        engine,
                        &batch(form, &x, &z).with_weights(&w).expect("as many"),
                        &Objective::sum().with_ignore(Ignore::Nan),
                    ),
                    all(engine, &whole_soft, &Objective::sum()),
                    "NaN",
                ),
                (
                    all(
                        engine,
                        &batch(form, &x, &y).with_weights(&w).expect("as many"),
                        &Objective::sum().with_ignore(Ignore::Label(255)),
                    ),
                    all(engine, &whole_hard, &Objective::sum()),
                    "label",
                ),
                (
                    all(
                        engine,
                        &batch(form, &x, &z)
                            .with_weights(&w)
                            .and_then(|batch| batch.with_mask(&mask))
                            .expect("as many"),
                        &Objective::sum(),
                    ),
                    all(engine, &whole_soft, &Objective::sum()),
                    "mask",
                ),
            ] {
                assert_eq!((got.count, got.partials.weight.value()), (count, count as f64 * 1.5), "{what}");
                for (got, wanted) in results(&got).into_iter().zip(results(&wanted)) {
                    for i in 0..LEN {
                        let wanted = if keep[i] == 1 { wanted[i] } else { 0.0 };
                        assert_eq!(got[i].to_bits(), wanted.to_bits(), "{what}: element {i}, {}", got[i]);
                    }
                }
            }
        });
    }
}

/// The ignored label may be 0 or 1.
#[test]
fn any_label() {
    let mut random = Random(112);
    let (predictions, labels) = (random.predictions(Form::Logits, 5000), random.labels(5000));
    let batch = batch(Form::Logits, &predictions, &labels);
    each(|engine| {
        let count = |label| all(engine, &batch, &Objective::mean().with_ignore(Ignore::Label(label))).count;
        assert_eq!(count(0) + count(1), 5000);
        assert_eq!(count(7), 5000);
        assert!(count(0) > 2000 && count(1) > 2000);
    });
}

/// A target that would be ignored is an error without the option.
#[test]
fn an_error_without_the_option() {
    each(|engine| {
        let x = [0.5f32; 3];
        assert!(
            engine.evaluate(&batch(Form::Logits, &x, &[0u8, 255, 1]), &Objective::mean(), Outputs::none()).is_err()
        );
        let nan = [0.0f32, f32::NAN, 1.0];
        assert!(engine.evaluate(&batch(Form::Logits, &x, &nan), &Objective::mean(), Outputs::none()).is_err());
        let other = Objective::mean().with_ignore(Ignore::Label(254));
        assert!(engine.evaluate(&batch(Form::Logits, &x, &[0u8, 255, 1]), &other, Outputs::none()).is_err());
    });
}

/// For an empty batch, and for a batch of only ignored or masked elements, the sum is 0, the mean is the one that the
/// system defines, and the derivatives are 0.
#[test]
fn nothing_counted() {
    let nothing: [f32; 0] = [];
    let systems = [
        None,
        Some(Compat::Torch),
        Some(Compat::Keras),
        Some(Compat::TensorFlow),
        Some(Compat::Sklearn),
        Some(Compat::Xgboost),
        Some(Compat::Lightgbm),
    ];
    each(|engine| {
        for form in FORMS {
            for compat in systems {
                let zero = matches!(compat, Some(Compat::Keras | Compat::Xgboost));
                let is_mean = |mean: f64| if zero { mean == 0.0 } else { mean.is_nan() };
                for reduction in REDUCTIONS {
                    // Evaluations that scikit-learn does not support are computed, too.
                    let mut objective =
                        Objective::default().with_reduction(reduction).with_non_finite(NonFinite::Propagate);
                    if let Some(compat) = compat {
                        objective = objective.with_compat(compat);
                    }
                    let empty = all(engine, &batch(form, &nothing, &nothing), &objective);
                    assert_eq!((empty.count, empty.sum, empty.partials.weight.value()), (0, 0.0, 0.0));
                    assert!(is_mean(empty.mean), "{compat:?} {reduction:?}: {}", empty.mean);

                    let x = [f32::NAN, 0.5, 7.0, f32::INFINITY, -1.0, 0.25];
                    let masked = batch(form, &x, &[1u8; 6]).with_classes(3).expect("3 divides it");
                    let masked = masked.with_mask(&[0]).expect("as many");
                    let found = all(engine, &masked, &objective);
                    assert_eq!((found.count, found.sum, found.partials.weight.value()), (0, 0.0, 0.0));
                    assert!(is_mean(found.mean), "{compat:?} {reduction:?}: {}", found.mean);
                    for output in results(&found) {
                        assert!(output.iter().all(|&value| value == 0.0), "{compat:?} {reduction:?}: {output:?}");
                    }
                    match (&found.value, objective.reduction()) {
                        (Value::Elements, Reduction::None) => (),
                        (Value::Scalar(value), Reduction::Sum) => assert_eq!(*value, 0.0),
                        (Value::Scalar(value), Reduction::Mean | Reduction::WeightedMean) => assert!(is_mean(*value)),
                        (Value::Vector(values), Reduction::PerClass | Reduction::PerRow) => {
                            assert_eq!(values.len(), if reduction == Reduction::PerClass { 3 } else { 2 });
                            assert!(values.iter().all(|&value| is_mean(value)), "{compat:?}: {values:?}");
                        }
                        other => panic!("{other:?}"),
                    }
                    if engine.wgpu().is_some() {
                        let there = engine.upload(&masked).expect("it fits");
                        let prepared =
                            engine.prepare(&there, &objective, crate::resident::every_output()).expect("valid");
                        let got = crate::resident::fetch(engine, &prepared, 6);
                        assert!(is_mean(got.mean) && got.count == 0 && got.sum == 0.0);
                        for output in results(&got) {
                            assert!(output.iter().all(|&value| value == 0.0), "{compat:?} {reduction:?}: {output:?}");
                        }
                    }
                }
                // Elements that are counted with weight 0.
                let x = [0.5f32, 0.25, 0.75];
                let weightless = batch(form, &x, &[0u8, 1, 1]).with_weights(&[0.0f32; 3]).expect("as many");
                let mut objective = Objective::default().with_reduction(Reduction::WeightedMean);
                objective = objective.with_non_finite(NonFinite::Propagate);
                if let Some(compat) = compat {
                    objective = objective.with_compat(compat);
                }
                let found = all(engine, &weightless, &objective);
                assert!(is_mean(found.mean) && found.count == 3, "{compat:?}: {}", found.mean);
                for output in results(&found) {
                    assert!(output.iter().all(|&value| value == 0.0), "{compat:?}: {output:?}");
                }
            }
        }
    });
}

/// One class and one row without counted elements, among others.
#[test]
fn a_class_and_a_row() {
    let mut random = Random(113);
    for reduction in [Reduction::PerClass, Reduction::PerRow, Reduction::Mean] {
        for form in FORMS {
            let mut recipe = Recipe::plain(form);
            (recipe.reduction, recipe.labels, recipe.weighing) = (reduction, Labels::U8, Weighing::Elements);
            (recipe.ignore, recipe.class_weights) = (true, true);
            let mut scene = recipe.scene(&mut random, ROWS, CLASSES);
            for row in 0..ROWS {
                scene.bytes[row * CLASSES + 1] = 255;
            }
            scene.bytes[300 * CLASSES..301 * CLASSES].fill(255);
            each(|engine| {
                let found = all(engine, &scene.batch(), &scene.objective);
                crate::scenes::judge_scene(engine, &scene.batch(), &scene.objective, 1.0, &found);
                match reduction {
                    Reduction::PerClass => assert!(found.value.vector().expect("several")[1].is_nan()),
                    Reduction::PerRow => assert!(found.value.vector().expect("several")[300].is_nan()),
                    _ => assert!(found.mean.is_finite()),
                }
                if engine.wgpu().is_some() {
                    let there = resident(engine, &scene.batch(), &scene.objective);
                    crate::scenes::judge_scene(engine, &scene.batch(), &scene.objective, 1.0, &there);
                }
            });
        }
    }
}
