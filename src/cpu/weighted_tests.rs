use fearless_simd::{Level, dispatch};
use half::f16;
// The oracle is of a crate that depends on the engine, and so on another build of the types here.
use logloss_verify::{logloss as engine, oracle::Element};

use super::{
    Cpu,
    kernels::weighted,
    level_name,
    run::Run,
    tests::{All, all, cpu, levels, sweep, uniform, written},
};
use crate::{
    BLOCK, Batch, Compat, ExactSum, Focal, Form, Ignore, Objective, Reduction, Targets, Weights,
    job::{Job, Sums},
    loss_parameters::LossParameters,
    outputs::Slices,
};

/// An element, changed.
fn with(mut element: Element, change: impl FnOnce(&mut Element)) -> Element {
    change(&mut element);
    element
}

/// The form, for the oracle.
fn form_of(form: Form) -> engine::Form {
    form.name().parse().unwrap()
}

/// The focal factor, for the oracle.
fn focal_of(focal: Focal) -> engine::Focal {
    let of_oracle = engine::Focal::new(focal.gamma()).unwrap();
    focal.alpha().map_or(of_oracle, |alpha| of_oracle.with_alpha(alpha).unwrap())
}

fn job(batch: &Batch<'_>, objective: &Objective, coefficient: f32) -> Job {
    Job::new(objective, batch.kind(), batch.weights().is_some(), batch.mask().is_some(), coefficient)
}

/// All outputs, and the means of rows where they are requested.
fn evaluate(cpu: &Cpu, batch: &Batch<'_>, job: &Job, first: u64) -> (All, Vec<f64>) {
    let stale = vec![-7.0; batch.len()];
    let (mut loss, mut gradient, mut hessian) = (stale.clone(), stale.clone(), stale);
    let mut rows = vec![-7.0; if job.sums == Sums::PerRow { batch.len() / batch.classes() } else { 0 }];
    let slices = Slices {
        loss: Some(&mut loss),
        gradient: Some(&mut gradient),
        hessian: Some(&mut hessian),
        rows: (job.sums == Sums::PerRow).then_some(&mut rows[..]),
        weights: None,
        classes: batch.classes(),
    };
    let partials = cpu.evaluate(batch, job, first, slices);
    (All { loss, gradient, hessian, partials }, rows)
}

/// The bits of means: NaN equals itself.
fn bits(means: &[f64]) -> Vec<u64> {
    means.iter().map(|v| v.to_bits()).collect()
}

fn of(level: Level, batch: &Batch<'_>, objective: &Objective) -> All {
    let cpu = cpu(level, 1);
    let job = job(batch, objective, 1.0);
    let all = evaluate(&cpu, batch, &job, 0).0;
    if let Some(parameters) = &job.parameters {
        let totals = cpu.totals(batch, parameters);
        assert_eq!(
            (totals.count, totals.weight),
            (all.partials.count, all.partials.weight.clone()),
            "{}",
            level_name(level)
        );
    }
    all
}

/// The distance in ULP of f32 of `size`, the sum of the magnitudes of what is added up: where nothing cancels, of the
/// result. 0 if it is right to be infinite, or if both lie so low that a factor of them may have been flushed.
fn distance(actual: f32, expected: f64, size: f64) -> f64 {
    let error = (f64::from(actual) - expected).abs();
    if size < 1e-35 {
        return if error <= 1e-35 { 0.0 } else { f64::INFINITY };
    }
    if size > 1e34 {
        // An addend may have overflowed.
        return if actual == expected as f32 || f64::from(actual.abs()) > 1e30 { 0.0 } else { f64::INFINITY };
    }
    let exponent = (size.to_bits() >> 52) as i32 - 1023;
    let ulp = error / f64::from(exponent - 23).exp2();
    if ulp.is_nan() { f64::INFINITY } else { ulp }
}

/// A parameter, and what it does to an element.
struct Case {
    name: &'static str,
    objective: fn() -> Objective,
    element: fn(Element) -> Element,
    /// ULP of loss, gradient and hessian.
    limits: [f64; 3],
}

fn focal(gamma: f32) -> Focal {
    Focal::new(gamma).unwrap()
}

const CASES: &[Case] = &[
    Case {
        name: "pos_weight",
        objective: || Objective::mean().with_pos_weight([3.7]).unwrap(),
        element: |element| {
            with(element, |element| {
                element.pos_weight = 3.7f32.into();
            })
        },
        limits: [3.0, 3.0, 3.5],
    },
    Case {
        name: "label weights",
        objective: || Objective::mean().with_label_weights(0.3, 2.7).unwrap(),
        element: |element| {
            with(element, |element| {
                element.label_weights = [0.3f32.into(), 2.7f32.into()];
            })
        },
        limits: [4.0, 3.5, 4.0],
    },
    Case {
        name: "smoothing",
        objective: || Objective::mean().with_label_smoothing(1e-6).unwrap(),
        element: |element| {
            with(element, |element| {
                element.smoothing = 1e-6f32.into();
            })
        },
        limits: [3.5, 4.0, 4.0],
    },
    Case {
        name: "pos_weight, label weights, smoothing",
        objective: || {
            let objective = Objective::mean().with_pos_weight([0.01]).unwrap().with_label_smoothing(0.1).unwrap();
            objective.with_label_weights(5.0, 0.2).unwrap()
        },
        element: |element| {
            with(element, |element| {
                element.pos_weight = 0.01f32.into();
                element.smoothing = 0.1f32.into();
                element.label_weights = [5.0, 0.2f32.into()];
            })
        },
        limits: [4.0, 4.0, 4.0],
    },
    Case {
        name: "torch",
        objective: || Objective::mean().with_compat(Compat::Torch),
        element: |element| {
            with(element, |element| {
                element.compat = Some(engine::Compat::Torch);
            })
        },
        limits: [3.0, 3.0, 3.0],
    },
    Case {
        name: "keras",
        objective: || Objective::mean().with_compat(Compat::Keras).with_label_smoothing(0.1).unwrap(),
        element: |element| {
            with(element, |element| {
                element.compat = Some(engine::Compat::Keras);
                element.smoothing = 0.1f32.into();
            })
        },
        limits: [3.0, 3.0, 3.5],
    },
    Case {
        name: "sklearn",
        objective: || Objective::mean().with_compat(Compat::Sklearn),
        element: |element| {
            with(element, |element| {
                element.compat = Some(engine::Compat::Sklearn);
            })
        },
        limits: [3.0, 3.0, 3.0],
    },
    Case {
        name: "xgboost",
        objective: || Objective::mean().with_compat(Compat::Xgboost).with_pos_weight([3.7]).unwrap(),
        element: |element| {
            with(element, |element| {
                element.compat = Some(engine::Compat::Xgboost);
                element.pos_weight = 3.7f32.into();
            })
        },
        limits: [3.5, 3.0, 3.5],
    },
    Case {
        name: "lightgbm",
        objective: || Objective::mean().with_compat(Compat::Lightgbm).with_pos_weight([3.7]).unwrap(),
        element: |element| {
            with(element, |element| {
                element.compat = Some(engine::Compat::Lightgbm);
                element.pos_weight = 3.7f32.into();
            })
        },
        limits: [3.5, 3.0, 3.5],
    },
];

/// Predictions of every size that matters, and targets hard and soft.
fn elements(form: Form) -> (Vec<f32>, Vec<f32>) {
    let mut x = match form {
        Form::Logits => sweep(0x3000_0000..110f32.to_bits(), 500_009, true),
        Form::Probabilities => sweep(0x0080_0000..1.0f32.to_bits(), 900_001, false),
    };
    match form {
        Form::Logits => x.extend([0.0, 1e20, -1e20]),
        Form::Probabilities => {
            x.extend(sweep(0..0x0c00_0000, 16_000_001, false).iter().map(|v| 1.0 - v));
            x.extend((1..2000).map(|i| 1.0 - i as f32 / 3_000.0));
            x.extend([1e-7, 1.0 - 1e-7, 1e-13, 1.0, 0.0].iter().chain(&[1.0 - f32::EPSILON / 2.0]));
        }
    }
    let targets = [0.0, 1.0, 0.3, 0.999, 1e-9];
    let pairs = x.iter().flat_map(|x| targets.map(|z| (*x, z)));
    // A product of 1/p², beyond f32, and a tiny z or (1 - p_t)^γ is not found.
    pairs.filter(|(x, z)| form == Form::Logits || *x >= 1e-15 || *z != 1e-9).unzip()
}

/// The worst distances of `objective` on a sweep, in units of what `unit` makes of the element.
#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "a NaN must not pass for a small distance")]
fn worst(
    level: Level,
    form: Form,
    objective: &Objective,
    element: impl Fn(Element) -> Element,
    unit: impl Fn(&Element) -> f64,
) -> [(f64, f32, f32); 3] {
    let (x, z) = elements(form);
    let v: Vec<f32> = uniform(21, x.len()).iter().map(|v| v + 0.5).collect();
    let batch = Batch::new(form, &x, &z).unwrap().with_weights(&v).unwrap();
    let actual = of(level, &batch, objective);
    assert_eq!(actual.partials.first_invalid, None);
    let mut worst = [(0.0, 0.0, 0.0); 3];
    for i in 0..x.len() {
        let plain = Element::new(form_of(form), x[i].into(), z[i].into());
        let element = element(with(plain, |element| element.weight = v[i].into()));
        let (truth, sizes) = (element.truth(), element.sizes());
        let expected = [truth.loss(), truth.gradient(), truth.hessian()];
        for (k, actual) in [actual.loss[i], actual.gradient[i], actual.hessian[i]].into_iter().enumerate() {
            let distance = distance(actual, expected[k], sizes[k]) / unit(&element);
            if !(distance <= worst[k].0) {
                worst[k] = (distance, x[i], z[i]);
            }
        }
    }
    worst
}

#[test]
fn everything_in_use_keeps_its_contract() {
    for level in levels() {
        for form in [Form::Logits, Form::Probabilities] {
            for case in CASES {
                let worst = worst(level, form, &(case.objective)(), case.element, |_| 1.0);
                assert!((0..3).all(|k| worst[k].0 <= case.limits[k]), "{} {form:?}: {worst:?}", case.name);
            }
        }
    }
}

/// The error of the focal factor grows with its logarithm: 4 + 2.5·γ·(1 + |log(1 − p_t)|) ULP.
#[test]
fn focal_keeps_its_contract() {
    for level in levels() {
        for form in [Form::Logits, Form::Probabilities] {
            for (gamma, alpha) in
                [(0.5, None), (1.0, Some(0.25)), (2.0, None), (2.0, Some(0.25)), (5.0, None), (0.0, Some(0.3))]
            {
                let focal = alpha.map_or(focal(gamma), |alpha| focal(gamma).with_alpha(alpha).unwrap());
                let objective = Objective::mean().with_focal(focal);
                let unit = |element: &Element| {
                    let (x, z) = (element.prediction, element.target);
                    let p = if form == Form::Logits { 1.0 / (1.0 + (-x).exp()) } else { x };
                    let r = if form == Form::Logits { 1.0 / (1.0 + x.exp()) } else { 1.0 - x };
                    let log = (z * r + (1.0 - z) * p).max(1e-45).ln().abs();
                    4.0 + 2.5 * f64::from(gamma) * (1.0 + log)
                };
                let scaled = worst(
                    level,
                    form,
                    &objective,
                    |element| {
                        with(element, |element| {
                            element.focal = Some(focal_of(focal));
                        })
                    },
                    unit,
                );
                assert!(scaled.iter().all(|(distance, ..)| *distance <= 1.0), "{form:?} {gamma} {alpha:?}: {scaled:?}");
            }
        }
    }
}

#[test]
fn the_comparer_can_fail() {
    for spoiled in [f32::from_bits(1.0f32.to_bits() + 8), f32::NAN, f32::INFINITY, -1.0, 0.0] {
        assert!(distance(spoiled, 1.0, 1.0) > 7.0, "{spoiled}");
        assert!(distance(spoiled, 1e39, 1e39) > 7.0 || spoiled == f32::INFINITY, "{spoiled}");
    }
    assert!(distance(f32::NAN, 0.0, 0.0) > 7.0 && distance(1.0, 0.0, 0.0) > 7.0);
}

/// What is neutral changes no bit.
#[test]
fn neutral_values_are_plain() {
    let len = BLOCK + 100;
    let x: Vec<f32> = uniform(22, len).iter().map(|v| v * 30.0 - 15.0).collect();
    let p = uniform(23, len);
    for (form, x) in [(Form::Logits, x), (Form::Probabilities, p)] {
        let hard: Vec<f32> = uniform(24, len).iter().map(|v| f32::from(u8::from(*v < 0.5))).collect();
        for z in [uniform(24, len), hard] {
            let batch = Batch::new(form, &x, &z).unwrap();
            let (ones, bits) = (vec![1.0f32; len], vec![255; len.div_ceil(8)]);
            for level in levels() {
                let plain = all(&cpu(level, 1), &batch, 1.0, 0).bits();
                let same = |batch: &Batch<'_>, objective: Objective| {
                    assert!(of(level, batch, &objective).bits() == plain, "{} {objective:?}", level_name(level));
                };
                same(&batch, Objective::mean().with_focal(focal(0.0)));
                same(&batch.with_weights(&ones).unwrap(), Objective::mean());
                same(&batch.with_mask(&bits).unwrap(), Objective::mean());
                same(&batch, Objective::mean().with_pos_weight([1.0]).unwrap());
                same(&batch, Objective::mean().with_reduction(Reduction::PerRow));
            }
        }
    }
}

/// The limits, and nothing that is not a number on the way there.
#[test]
fn limits() {
    let infinity = f32::INFINITY;
    let logits = [-infinity, -1e38, -1e4, -100.0, -20.0, -0.0, 0.0, 20.0, 88.0, 100.0, 1e4, f32::MAX, infinity];
    let probabilities = [-0.0, 0.0, 1e-45, 1e-39, 1e-38, 1e-20, 1e-10, 0.5, 1.0 - f32::EPSILON / 2.0, 1.0];
    let mut objectives = vec![Objective::mean().with_pos_weight([0.0]).unwrap(), Objective::mean()];
    for gamma in [1e-3, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0, 100.0, f32::MAX] {
        objectives.push(Objective::mean().with_focal(focal(gamma)));
        objectives.push(Objective::mean().with_focal(focal(gamma).with_alpha(1.0).unwrap()));
        objectives.push(Objective::mean().with_focal(focal(gamma)).with_compat(Compat::Sklearn));
    }
    for compat in [Compat::Torch, Compat::Keras, Compat::Sklearn, Compat::Xgboost, Compat::Lightgbm] {
        objectives.push(Objective::mean().with_compat(compat));
    }
    // Derivatives that weigh nothing, and are infinite.
    objectives.push(Objective::mean().with_compat(Compat::Xgboost).with_pos_weight([0.0]).unwrap());
    for (form, x) in [(Form::Logits, &logits[..]), (Form::Probabilities, &probabilities[..])] {
        let targets = [0.0, 1.0, 0.5, 1e-30, 0.9];
        let x: Vec<f32> = x.iter().flat_map(|x| [*x; 5]).collect();
        let z: Vec<f32> = (0..x.len()).map(|i| targets[i % 5]).collect();
        let (ones, zeros) = (vec![1.0f32; x.len()], vec![0.0f32; x.len()]);
        for level in levels() {
            for objective in &objectives {
                let batch = Batch::new(form, &x, &z).unwrap();
                let actual = of(level, &batch.with_weights(&ones).unwrap(), objective);
                for values in [&actual.loss, &actual.gradient, &actual.hessian] {
                    let nan = values.iter().position(|v| v.is_nan());
                    assert!(nan.is_none(), "{objective:?} {} {:?}", level_name(level), nan.map(|i| (x[i], z[i])));
                }
                assert_eq!(actual.partials.first_invalid, None);
                let nothing = of(level, &batch.with_weights(&zeros).unwrap(), objective);
                for values in [&nothing.loss, &nothing.gradient, &nothing.hessian] {
                    assert!(values.iter().all(|v| *v == 0.0), "{objective:?}");
                }
                assert_eq!(nothing.partials.sum, ExactSum::default());
            }
        }
    }
    let at = |form, x: f32, z: f32, gamma| {
        let actual =
            of(Level::new(), &Batch::new(form, &[x], &[z]).unwrap(), &Objective::mean().with_focal(focal(gamma)));
        [actual.loss[0], actual.gradient[0], actual.hessian[0]]
    };
    for gamma in [0.5, 1.0, 2.0] {
        assert_eq!(at(Form::Logits, infinity, 1.0, gamma), [0.0; 3]);
        assert_eq!(at(Form::Logits, infinity, 0.0, gamma), [infinity, 1.0, 0.0]);
        assert_eq!(at(Form::Logits, -infinity, 1.0, gamma), [infinity, -1.0, 0.0]);
        assert_eq!(at(Form::Probabilities, 1.0, 0.0, gamma), [infinity; 3]);
    }
    assert_eq!(at(Form::Probabilities, 1.0, 1.0, 0.5), [0.0, 0.0, infinity]);
    assert_eq!(at(Form::Probabilities, 0.0, 0.0, 1.0), [0.0, 0.0, 2.0]);
}

/// A batch of every kind of thing: C classes, sample weights, class weights, a mask, an ignored label.
struct Mixed {
    classes: usize,
    x: Vec<f32>,
    z: Vec<u8>,
    samples: Vec<f32>,
    mask: Vec<u8>,
    objective: Objective,
}

fn mixed(rows: usize, classes: usize) -> Mixed {
    let len = rows * classes;
    let per_class = |seed| uniform(seed, classes).iter().map(|v| v * 4.0).collect::<Vec<_>>();
    Mixed {
        classes,
        x: uniform(31, len).iter().map(|v| v * 20.0 - 10.0).collect(),
        z: uniform(32, len).iter().map(|v| [0, 1, 255][(*v * 2.2) as usize]).collect(),
        samples: uniform(33, rows),
        mask: uniform(34, len.div_ceil(8)).iter().map(|v| (v * 256.0) as u8 | 0x11).collect(),
        objective: Objective::mean()
            .with_class_weights(per_class(35))
            .and_then(|objective| objective.with_pos_weight(per_class(36)))
            .and_then(|objective| objective.with_label_weights(0.5, 2.0))
            .and_then(|objective| objective.with_label_smoothing(0.1))
            .unwrap()
            .with_ignore(Ignore::Label(255)),
    }
}

impl Mixed {
    fn batch(&self) -> Batch<'_> {
        let batch = Batch::logits(&self.x, &self.z).unwrap().with_classes(self.classes).unwrap();
        batch.with_sample_weights(&self.samples).unwrap().with_mask(&self.mask).unwrap()
    }

    fn ignored(&self, i: usize) -> bool {
        self.z[i] == 255 || self.mask[i / 8] >> (i % 8) & 1 == 0
    }
}

/// Shapes are only a way of saying what each element weighs.
#[test]
fn broadcast_is_materialised() {
    for (rows, classes) in [(4000, 1), (1500, 3), (700, 8), (9, 513), (3, 2500)] {
        let mixed = mixed(rows, classes);
        let batch = mixed.batch();
        let len = batch.len();
        for level in levels() {
            let cpu = cpu(level, 1);
            let actual = of(level, &batch, &mixed.objective);
            // Sample weights as element weights.
            let weights: Vec<f32> = (0..len).map(|i| mixed.samples[i / classes]).collect();
            let plain = Batch::logits(&mixed.x, &mixed.z).unwrap().with_classes(classes).unwrap();
            let elements = plain.with_mask(&mixed.mask).unwrap().with_weights(&weights).unwrap();
            assert!(of(level, &elements, &mixed.objective).bits() == actual.bits(), "{classes}");
            // Each element on its own, with the numbers that are its own.
            for i in (0..len).step_by(37) {
                let c = i % classes;
                let objective = Objective::mean()
                    .with_class_weights([mixed.objective.class_weights().unwrap()[c]])
                    .and_then(|objective| objective.with_pos_weight([mixed.objective.pos_weight().unwrap()[c]]))
                    .and_then(|objective| objective.with_label_weights(0.5, 2.0))
                    .and_then(|objective| objective.with_label_smoothing(0.1))
                    .unwrap()
                    .with_ignore(Ignore::Label(255));
                let mask = [u8::from(!mixed.ignored(i))];
                let single = Batch::logits(&mixed.x[i..i + 1], &mixed.z[i..i + 1]).unwrap();
                let single = single.with_weights(&weights[i..i + 1]).unwrap().with_mask(&mask).unwrap();
                let single = evaluate(&cpu, &single, &job(&single, &objective, 1.0), 0).0;
                assert_eq!(single.loss[0].to_bits(), actual.loss[i].to_bits(), "{i} {classes}");
                assert_eq!(single.gradient[0].to_bits(), actual.gradient[i].to_bits(), "{i} {classes}");
                assert_eq!(single.hessian[0].to_bits(), actual.hessian[i].to_bits(), "{i} {classes}");
                assert_eq!(mixed.ignored(i), single.partials.count == 0);
            }
            let counted = (0..len).filter(|i| !mixed.ignored(*i)).count();
            assert_eq!(actual.partials.count, counted as u64);
        }
    }
}

#[test]
fn f16_weights_are_f32_weights() {
    let len = 2 * BLOCK + 77;
    let x: Vec<f32> = uniform(41, len).iter().map(|v| v * 20.0 - 10.0).collect();
    let z = uniform(42, len);
    let narrow: Vec<f16> = uniform(43, len).iter().map(|v| f16::from_f32(*v)).collect();
    let wide: Vec<f32> = narrow.iter().map(|v| v.to_f32()).collect();
    let batch = Batch::logits(&x, &z).unwrap();
    for level in levels() {
        let narrow = of(level, &batch.with_weights(&narrow).unwrap(), &Objective::mean());
        let wide = of(level, &batch.with_weights(&wide).unwrap(), &Objective::mean());
        assert!(narrow.bits() == wide.bits());
    }
}

/// An ignored element is 0 whatever it holds, and whatever the coefficient is.
#[test]
fn ignored_elements_are_not_looked_at() {
    let len = BLOCK + 301;
    let on = |i: usize| i.is_multiple_of(3) && i != 600;
    let mut x: Vec<f32> = uniform(51, len).iter().map(|v| v * 20.0 - 10.0).collect();
    let mut v = uniform(52, len);
    let (mut nans, mut labels, mut mask) = (vec![1.0f32; len], vec![1u8; len], vec![0u8; len.div_ceil(8)]);
    for i in 0..len {
        if on(i) {
            mask[i / 8] |= 1 << (i % 8);
        } else {
            (nans[i], labels[i]) = (f32::NAN, 77);
            x[i] = [f32::NAN, f32::INFINITY, 1.0][i % 3];
            v[i] = [f32::NAN, f32::INFINITY, -1.0][i % 3];
        }
    }
    let hard = vec![1.0f32; len];
    let batches = [
        (Batch::logits(&x, &hard).unwrap().with_mask(&mask).unwrap(), Objective::mean()),
        (Batch::logits(&x, &nans).unwrap(), Objective::mean().with_ignore(Ignore::Nan)),
        (Batch::logits(&x, &labels).unwrap(), Objective::mean().with_ignore(Ignore::Label(77))),
    ];
    for level in levels() {
        for (batch, objective) in &batches {
            for batch in [*batch, batch.with_weights(&v).unwrap()] {
                let job = Job { coefficient: f32::INFINITY, ..job(&batch, objective, 1.0) };
                for actual in [of(level, &batch, objective), evaluate(&cpu(level, 1), &batch, &job, 0).0] {
                    assert_eq!(actual.partials.first_invalid, None);
                    assert_eq!(actual.partials.count, (0..len).filter(|i| on(*i)).count() as u64);
                    assert!(actual.partials.sum.value() > 0.0);
                    for values in [&actual.loss, &actual.gradient, &actual.hessian] {
                        assert!((0..len).all(|i| !values[i].is_nan() && (on(i) || values[i].to_bits() << 1 == 0)));
                    }
                }
            }
        }
        // Nothing at all is left.
        let none = vec![0; len.div_ceil(8)];
        let actual = of(level, &Batch::logits(&x, &hard).unwrap().with_mask(&none).unwrap(), &Objective::mean());
        assert_eq!((actual.partials.count, actual.partials.weight.value(), actual.partials.sum.value()), (0, 0.0, 0.0));
    }
}

#[test]
fn finds_the_first_invalid_value() {
    let len = 10 * BLOCK + 50;
    let x: Vec<f32> = uniform(61, len).iter().map(|v| v * 20.0 - 10.0).collect();
    let z = vec![1.0f32; len];
    for level in levels() {
        for index in [0, 1, BLOCK, 7 * BLOCK + 5, len - 1] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e-40] {
                let mut v = uniform(62, len);
                v[(index + 700) % len] = -0.0;
                v[index] = value;
                let batch = Batch::logits(&x, &z).unwrap().with_weights(&v).unwrap();
                let job = job(&batch, &Objective::mean(), 1.0);
                let actual = evaluate(&cpu(level, 2), &batch, &job, 64).0;
                assert_eq!(actual.partials.first_invalid, Some(64 + index as u64));
                assert_eq!(actual.partials.count, len as u64);
                assert!(actual.partials.sum.value().is_nan() && actual.partials.weight.value().is_finite());
                for values in [&actual.loss, &actual.gradient, &actual.hessian] {
                    assert!((0..len).all(|i| values[i].is_nan() == (i == index)));
                }
                let parameters = job.parameters.as_ref().unwrap();
                let totals = cpu(level, 1).totals(&batch, parameters);
                assert_eq!((totals.count, totals.weight), (len as u64, actual.partials.weight.clone()));
            }
        }
        // As a row's weight, the index is that of its first element.
        let v = [1.0, f32::NAN, 1.0];
        let batch =
            Batch::logits(&x[..15], &z[..15]).unwrap().with_classes(5).unwrap().with_sample_weights(&v).unwrap();
        assert_eq!(of(level, &batch, &Objective::mean()).partials.first_invalid, Some(5));
    }
}

#[test]
fn classes_and_rows() {
    for (rows, classes) in [(9000, 1), (9001, 3), (2500, 8), (31, 1000), (7, 5000)] {
        let mixed = mixed(rows, classes);
        let batch = mixed.batch();
        let len = batch.len();
        for level in levels() {
            let objective = mixed.objective.clone();
            let whole = of(level, &batch, &objective);
            let per_class = of(level, &batch, &objective.clone().with_reduction(Reduction::PerClass));
            assert_eq!((&per_class.loss, &per_class.partials.sum), (&whole.loss, &whole.partials.sum));
            assert_eq!(per_class.partials.classes.len(), classes);
            for (c, class) in per_class.partials.classes.iter().enumerate() {
                let counted = || (c..len).step_by(classes).filter(|i| !mixed.ignored(*i));
                let sum: f64 = counted().map(|i| f64::from(whole.loss[i])).sum();
                assert_eq!(class.count, counted().count() as u64);
                assert!((class.sum.value() - sum).abs() <= 1e-12 * sum, "{c} of {classes}");
            }
            let by_row = job(&batch, &objective.clone().with_reduction(Reduction::PerRow), 1.0);
            let by_row = Job { empty_mean: -1.0, ..by_row };
            let (per_row, means) = evaluate(&cpu(level, 1), &batch, &by_row, 0);
            assert_eq!((&per_row.loss, &per_row.partials), (&whole.loss, &whole.partials));
            for (r, mean) in means.iter().enumerate() {
                let counted = || (r * classes..(r + 1) * classes).filter(|i| !mixed.ignored(*i));
                let sum: f64 = counted().map(|i| f64::from(whole.loss[i])).sum();
                let count = counted().count();
                assert_eq!(*mean, if count == 0 { -1.0 } else { sum / count as f64 }, "{r} of {rows}");
            }
        }
    }
}

#[test]
fn an_invalid_element_spoils_its_class_and_its_row() {
    let (x, z) = ([0.5, f32::NAN, 0.25, 1.0, 2.0, 3.0], [1.0f32; 6]);
    let batch = Batch::logits(&x, &z).unwrap().with_classes(3).unwrap();
    let cpu = cpu(Level::new(), 1);
    let by_class = job(&batch, &Objective::mean().with_reduction(Reduction::PerClass), 1.0);
    let classes = evaluate(&cpu, &batch, &by_class, 0).0.partials.classes;
    assert_eq!(classes.iter().map(|class| class.sum.value().is_nan()).collect::<Vec<_>>(), [false, true, false]);
    let by_row = job(&batch, &Objective::mean().with_reduction(Reduction::PerRow), 1.0);
    let rows = evaluate(&cpu, &batch, &by_row, 0).1;
    assert_eq!(rows.iter().map(|mean| mean.is_nan()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn any_threads_any_cut_any_width() {
    for classes in [1, 3, 8, 100] {
        let rows = (24 * BLOCK + 999) / classes;
        let mixed = mixed(rows, classes);
        let batch = mixed.batch();
        let len = batch.len();
        for reduction in [Reduction::Mean, Reduction::PerClass, Reduction::PerRow] {
            let job = job(&batch, &mixed.objective.clone().with_reduction(reduction), 0.1);
            let mut fused = Vec::new();
            for level in levels() {
                let (expected, means) = evaluate(&cpu(level, 1), &batch, &job, 0);
                for threads in [2, 3] {
                    let (actual, actual_means) = evaluate(&cpu(level, threads), &batch, &job, 0);
                    assert!(actual.bits() == expected.bits(), "{threads} threads, {classes} {reduction:?}");
                    assert!(bits(&actual_means) == bits(&means), "{threads} threads, {classes} {reduction:?}");
                    let totals = cpu(level, threads).totals(&batch, job.parameters.as_ref().unwrap());
                    assert_eq!(
                        (totals.count, totals.weight),
                        (expected.partials.count, expected.partials.weight.clone())
                    );
                }
                // A cut inside a row, but where rows are requested.
                let cut = if reduction == Reduction::PerRow { BLOCK * classes } else { 5 * BLOCK };
                if cut < len {
                    let (head, head_means) = evaluate(&cpu(level, 1), &batch.part(0..cut), &job, 0);
                    let (mut tail, tail_means) = evaluate(&cpu(level, 2), &batch.part(cut..len), &job, cut as u64);
                    tail.partials.add(&head.partials);
                    let joined = All {
                        loss: [head.loss, tail.loss].concat(),
                        gradient: [head.gradient, tail.gradient].concat(),
                        hessian: [head.hessian, tail.hessian].concat(),
                        partials: tail.partials,
                    };
                    assert!(joined.bits() == expected.bits(), "cut {classes} {reduction:?}");
                    assert!(bits(&[head_means, tail_means].concat()) == bits(&means), "cut {classes} {reduction:?}");
                }
                if matches!(level_name(level), "AVX-512" | "AVX2") {
                    fused.push((expected.bits(), bits(&means)));
                }
            }
            assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}

/// The same bits wherever the outputs begin, whatever is summed, and with an invalid value.
#[test]
fn streaming_changes_nothing() {
    for classes in [1, 3] {
        let mut mixed = mixed((2 * BLOCK + 999) / classes, classes);
        mixed.x[BLOCK + 8] = f32::NAN;
        let batch = mixed.batch();
        for reduction in [Reduction::Mean, Reduction::PerClass, Reduction::PerRow] {
            let job = job(&batch, &mixed.objective.clone().with_reduction(reduction), 0.1);
            let parameters = job.parameters.as_ref().unwrap();
            let settings = weighted::Settings { job: &job, parameters, all_ones: false, exceeds_cache: true };
            for level in levels() {
                let (expected, expected_means) = evaluate(&cpu(level, 1), &batch, &job, 0);
                assert!(expected.partials.first_invalid.is_some());
                for offset in [0, 1, 4, 15, 16] {
                    let mut means = vec![-7.0; expected_means.len()];
                    let found = written(batch.len(), offset, |slices| {
                        let rows = (job.sums == Sums::PerRow).then_some(&mut means[..]);
                        let run = Run { part: batch, first: 0, outputs: Slices { rows, classes, ..slices } };
                        dispatch!(level, simd => weighted::evaluate(simd, run, &settings))
                    });
                    assert!(found.bits() == expected.bits(), "{level:?} {classes} {reduction:?} {offset}");
                    assert!(bits(&means) == bits(&expected_means), "{level:?} {classes} {reduction:?} {offset}");
                }
            }
        }
    }
}

#[test]
fn totals_of_a_mask_alone() {
    for len in [0, 1, 7, 8, 9, 63, 64, 65, BLOCK, 12 * BLOCK + 333] {
        let (x, z) = (vec![0.5f32; len], vec![0u8; len]);
        let mask: Vec<u8> = uniform(71, len.div_ceil(8)).iter().map(|v| (v * 256.0) as u8).collect();
        let count = (0..len).filter(|i| mask[i / 8] >> (i % 8) & 1 != 0).count();
        let batch = Batch::logits(&x, &z).unwrap().with_mask(&mask).unwrap();
        for threads in [1, 2] {
            let totals = cpu(Level::new(), threads).totals(&batch, &LossParameters::plain());
            assert_eq!((totals.count, totals.weight), (count as u64, ExactSum::of([count as f64])), "{len}");
        }
        assert_eq!(of(Level::new(), &batch, &Objective::mean()).partials.count, count as u64);
    }
}

#[test]
fn outputs_not_requested_change_nothing() {
    let mixed = mixed(1200, 3);
    let batch = mixed.batch();
    let len = batch.len();
    for objective in [mixed.objective.clone(), mixed.objective.clone().with_focal(focal(2.0))] {
        for level in levels() {
            let expected = of(level, &batch, &objective);
            let job = job(&batch, &objective, 1.0);
            for requested in 0..8 {
                let mut memory = [vec![0.0; len], vec![0.0; len], vec![0.0; len]];
                let [loss, gradient, hessian] = &mut memory;
                let slices = Slices {
                    loss: (requested & 1 != 0).then_some(&mut loss[..]),
                    gradient: (requested & 2 != 0).then_some(&mut gradient[..]),
                    hessian: (requested & 4 != 0).then_some(&mut hessian[..]),
                    ..Slices::default()
                };
                assert_eq!(cpu(level, 1).evaluate(&batch, &job, 0, slices), expected.partials);
                for (k, values) in [&expected.loss, &expected.gradient, &expected.hessian].into_iter().enumerate() {
                    assert!(requested & 1 << k == 0 || memory[k] == *values, "{requested} {k}");
                }
            }
        }
    }
}

#[test]
fn weights_and_bits() {
    // Targets as bits, weights as [N]: what is not f32 is staged.
    let (x, v) = ([0.5f32, -1.0, 2.0], [f16::from_f32(0.5), f16::ZERO, f16::from_f32(2.0)]);
    let batch = Batch::logits(&x, Targets::Bits(&[0b101])).unwrap().with_weights(Weights::F16(&v)).unwrap();
    let actual = of(Level::new(), &batch, &Objective::mean());
    let expected = [0.5 * 0.474_076_98, 0.0, 2.0 * 0.126_928_02];
    assert!((0..3).all(|i| (f64::from(actual.loss[i]) - expected[i]).abs() <= 1e-7), "{:?}", actual.loss);
    assert_eq!(actual.partials.weight.value(), 2.5);
}
