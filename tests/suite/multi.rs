//! Engines of several devices: their results have the bits of the pieces evaluated on each device.

use std::{num::NonZeroUsize, ops::Range};

use logloss::{
    Array, BLOCK, Batch, Device, DeviceKind, Engine, EngineOptions, Error, Evaluation, Form, Missing, NonFinite,
    Objective, Outputs, Partials, Reduction, Sink, Value, half::f16,
};

use crate::{
    common::{FORMS, Random, adapters, all, assert_same, batch, bits, engines, judge, judge_sum, none, open, results},
    scenes::{REDUCTIONS, Recipe, Scene},
};

/// Shares that are all different, so that no split lies exactly half way between two blocks.
const SHARES: [f64; 5] = [1.0, 2.3, 0.77, 1.9, 3.1];

fn on_threads(threads: usize) -> Engine {
    open(EngineOptions::new(Device::Cpu).with_threads(NonZeroUsize::new(threads).expect("not 0")))
}

/// New engines of the CPU and of every adapter, because those of [`engines`] cannot be moved.
fn every_device() -> Vec<Engine> {
    let adapters = adapters().iter().map(|&index| open(EngineOptions::new(Device::Index(index))));
    [Engine::cpu()].into_iter().chain(adapters).collect()
}

fn shared(engines: Vec<Engine>) -> Engine {
    Engine::multi_with_shares(engines.into_iter().zip(SHARES.into_iter().cycle())).expect("shares")
}

/// The pieces that a batch is divided into.
fn pieces(devices: usize, len: usize, unit: usize) -> Vec<Range<usize>> {
    let shares: Vec<f64> = SHARES.into_iter().cycle().take(devices).collect();
    let total: f64 = shares.iter().sum();
    let (mut sum, mut start) = (0.0, 0);
    let mut piece = |i: usize| {
        sum += shares[i];
        let units = (sum / total * len as f64 / unit as f64).round() as usize;
        let end = if i + 1 == devices { len } else { (units * unit).min(len) };
        std::mem::replace(&mut start, end)..end
    };
    (0..devices).map(&mut piece).collect()
}

fn unit(objective: &Objective, classes: usize) -> usize {
    match objective.reduction() {
        Reduction::PerClass | Reduction::PerRow => BLOCK * classes,
        _ => BLOCK,
    }
}

/// The evaluation of each piece separately on its device, merged by the test.
fn by_hand(scene: &Scene) -> Evaluation {
    let (len, objective) = (scene.predictions.len(), &scene.objective);
    let totals = engines()[0].totals(&scene.batch(), objective).expect("it fits");
    let mut outputs = [(); 3].map(|()| vec![f32::NAN; len]);
    let (mut partials, mut rows) = (Partials::default(), Vec::new());
    let pieces = pieces(engines().len(), len, unit(objective, scene.classes));
    for (engine, piece) in engines().iter().zip(pieces).filter(|(_, piece)| !piece.is_empty()) {
        let [loss, gradient, hessian] = &mut outputs;
        let sinks = Outputs::none()
            .with_loss(&mut loss[piece.clone()])
            .with_gradient(&mut gradient[piece.clone()])
            .with_hessian(&mut hessian[piece.clone()]);
        let mut accumulator = engine.accumulator_with_totals(objective, totals.clone());
        let first_row = (piece.start / scene.classes) as u64;
        accumulator.push(&scene.part(piece).with_first_row(first_row), sinks).expect("valid");
        let done = accumulator.finish().expect("all of it");
        partials.merge(&done.partials).expect("neighbours");
        if objective.reduction() == Reduction::PerRow {
            rows.extend_from_slice(done.value.vector().expect("rows"));
        }
    }
    // The reduced value is computed from the merged partials.
    let mut whole = all(&engines()[0], &scene.batch(), objective);
    (whole.sum, whole.count) = (partials.sum.value(), partials.count);
    whole.mean = if whole.count == 0 { f64::NAN } else { whole.sum / whole.count as f64 };
    whole.value = match objective.reduction() {
        Reduction::Sum => Value::Scalar(whole.sum),
        Reduction::Mean => Value::Scalar(whole.mean),
        // (0 / 0 is a NaN of either sign.)
        Reduction::WeightedMean if partials.weight.value() == 0.0 => Value::Scalar(f64::NAN),
        Reduction::WeightedMean => Value::Scalar(partials.weighted_mean()),
        Reduction::PerClass => {
            let means = partials.classes.iter().map(|class| class.sum.value() / class.count as f64);
            Value::Vector(means.collect())
        }
        Reduction::PerRow => Value::Vector(rows),
        _ => whole.value,
    };
    whole.partials = partials;
    [whole.loss, whole.gradient, whole.hessian] = outputs.map(Some);
    whole
}

#[test]
fn merged_from_its_pieces() {
    let several = shared(every_device());
    let mut random = Random(201);
    for reduction in REDUCTIONS {
        let mut recipe = Recipe::random(&mut random);
        (recipe.reduction, recipe.compat) = (reduction, None);
        for (rows, classes) in [(40 * BLOCK + 77, 1), (7 * BLOCK + 5, 4), (2 * BLOCK - 1, 1), (BLOCK, 4)] {
            let scene = recipe.scene(&mut random, rows, classes);
            let got = all(&several, &scene.batch(), &scene.objective);
            assert_same(&got, &by_hand(&scene), &format!("{reduction:?}, {rows} × {classes}"));
        }
    }
}

/// If all pieces run on the same device, the division does not change any bit.
#[test]
fn of_one_device_twice() {
    let mut pairs = vec![(vec![on_threads(1), on_threads(2)], &engines()[0])];
    for (&index, engine) in adapters().iter().zip(&engines()[1..]) {
        let twice = [(); 2].map(|()| open(EngineOptions::new(Device::Index(index))));
        pairs.push((twice.into(), engine));
    }
    let mut random = Random(202);
    for (pair, one) in pairs {
        let several = shared(pair);
        assert_eq!(several.device().kind, one.device().kind);
        for reduction in REDUCTIONS {
            let mut recipe = Recipe::random(&mut random);
            recipe.reduction = reduction;
            for classes in [3, 10] {
                let scene = recipe.scene(&mut random, 6 * BLOCK + 123, classes);
                let got = all(&several, &scene.batch(), &scene.objective);
                let wanted = all(one, &scene.batch(), &scene.objective);
                assert_same(&got, &wanted, &format!("{reduction:?}, {classes} classes"));
            }
        }
    }
}

/// Batches with no blocks, with fewer blocks than devices, and with more.
#[test]
fn of_any_length() {
    let devices = every_device().len();
    let several = shared(every_device());
    let mut random = Random(203);
    let lens = [0, 1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 1, 16 * BLOCK, 100 * BLOCK + 33];
    for len in lens {
        for form in FORMS {
            let scene = Recipe::plain(form).scene(&mut random, len, 1);
            let got = all(&several, &scene.batch(), &scene.objective);
            assert_same(&got, &by_hand(&scene), &format!("{len} values"));
            let running = pieces(devices, len, BLOCK).iter().filter(|piece| !piece.is_empty()).count();
            assert_eq!(got.run.chunks, running as u64);
        }
    }
}

/// An output does not depend on which other outputs are requested, nor on their types.
#[test]
fn any_outputs() {
    let several = shared(every_device());
    let mut random = Random(204);
    let len = 30 * BLOCK + 5;
    let (x, z) = (random.predictions(Form::Logits, len), random.soft(len));
    let batch = batch(Form::Logits, &x, &z);
    let wanted = all(&several, &batch, &Objective::sum());
    for subset in 0..8 {
        let on = |bit: u8| if subset >> bit & 1 == 1 { Sink::New } else { Sink::Skip };
        let outputs = Outputs::none().with_loss(on(0)).with_gradient(on(1)).with_hessian(on(2));
        let got = bits(&several.evaluate(&batch, &Objective::sum(), outputs).expect("valid"));
        assert_eq!((&got.terms, got.count), (&bits(&wanted).terms, wanted.count));
        for (got, wanted) in got.outputs.iter().zip(bits(&wanted).outputs) {
            assert!(got.is_none() || *got == wanted, "subset {subset}");
        }
    }
    let mut halves = vec![f16::NAN; len];
    let outputs = Outputs::none().with_gradient(&mut halves);
    let got = several.evaluate(&batch, &Objective::sum(), outputs).expect("valid");
    assert_eq!(got.partials, wanted.partials);
    let rounded = results(&wanted)[1].iter().map(|&g| f16::from_f32(g).to_bits());
    assert!(halves.iter().map(|g| g.to_bits()).eq(rounded));
}

/// Each part of an accumulator is divided separately.
#[test]
fn accumulators() {
    let several = shared(every_device());
    let mut random = Random(205);
    let cuts = [0, 8 * BLOCK, 8 * BLOCK, 9 * BLOCK, 40 * BLOCK + 9];
    for reduction in REDUCTIONS {
        let mut recipe = Recipe::plain(Form::Logits);
        recipe.reduction = reduction;
        let scene = recipe.scene(&mut random, cuts[4], 1);
        let mut accumulator = several.accumulator(&scene.objective, None);
        let (mut partials, mut rows) = (Partials::default(), Vec::new());
        let mut losses = vec![0.0; cuts[4]];
        for (&from, &to) in cuts.iter().zip(&cuts[1..]) {
            let part = scene.part(from..to);
            accumulator.push(&part, Outputs::none().with_loss(&mut losses[from..to])).expect("valid");
            let alone = all(&several, &part, &scene.objective);
            let mut alone_partials = alone.partials.clone();
            alone_partials.close();
            partials.merge(&alone_partials).expect("batches of their own");
            rows.extend_from_slice(alone.value.vector().filter(|_| reduction == Reduction::PerRow).unwrap_or_default());
            assert_eq!(losses[from..to], *results(&alone)[0]);
        }
        let mut in_parts = accumulator.finish().expect("all of it");
        assert_eq!(in_parts.partials.close(), Missing::default());
        assert_eq!(in_parts.partials, partials);
        if reduction == Reduction::PerRow {
            assert_eq!(in_parts.value, Value::Vector(rows));
        }
    }
}

#[test]
fn invalid_values() {
    let devices = every_device().len();
    let several = shared(every_device());
    const LEN: usize = 60 * BLOCK + 9;
    let starts: Vec<usize> = pieces(devices, LEN, BLOCK).iter().map(|piece| piece.start).collect();
    let mut targets = vec![0.75f32; LEN];
    let predictions = vec![0.25f32; LEN];
    // An invalid value in each piece, first alone, then with invalid values in all later pieces.
    for alone in [true, false] {
        for &start in starts.iter().rev() {
            targets[start + 3] = -0.5;
            let batch = batch(Form::Logits, &predictions, &targets);
            match several.evaluate(&batch, &Objective::mean(), Outputs::gradient()) {
                Err(Error::InvalidValue { array: Array::Targets, index, value }) => {
                    assert_eq!((index, value), (start as u64 + 3, -0.5));
                }
                other => panic!("{other:?}"),
            }
            let got = all(&several, &batch, &Objective::mean().with_non_finite(NonFinite::Propagate));
            assert_eq!(got.partials.first_invalid, Some(start as u64 + 3));
            assert!(got.mean.is_nan() && results(&got)[1][start + 3].is_nan());
            if alone {
                targets[start + 3] = 0.75;
            }
        }
    }
    // The index is counted from the start of the whole batch.
    let mut accumulator = several.accumulator(&Objective::sum(), None);
    let good = vec![0.5f32; 8 * BLOCK];
    accumulator.push(&batch(Form::Logits, &good, &good), Outputs::none()).expect("valid");
    let pushed = accumulator.push(&batch(Form::Logits, &predictions, &targets), Outputs::none());
    let first = 8 * BLOCK as u64 + 3;
    assert!(matches!(pushed, Err(Error::InvalidValue { index, .. }) if index == first), "{pushed:?}");
}

/// With measured costs, the division is not known, but is the same for every evaluation, and the results meet the
/// contract.
#[test]
fn by_measured_speed() {
    let several = Engine::multi(every_device()).expect("all work");
    let mut random = Random(206);
    for len in [1, BLOCK + 1, 50 * BLOCK + 3, 700 * BLOCK + 1] {
        let (x, z) = (random.predictions(Form::Logits, len), random.labels(len));
        let batch: Batch<'_> = batch(Form::Logits, &x, &z);
        let got = all(&several, &batch, &none());
        judge_sum(&several, &batch, got.sum);
        judge(&several, &batch, results(&got));
        assert_same(&all(&several, &batch, &none()), &got, "again");
    }
}

#[test]
fn shares() {
    let scene = Recipe::plain(Form::Logits).scene(&mut Random(207), 9 * BLOCK + 1, 1);
    // A device without a share is not used.
    for (i, wanted) in engines().iter().enumerate() {
        let alone = |(j, engine)| (engine, if i == j { 0.3 } else { 0.0 });
        let several = Engine::multi_with_shares(every_device().into_iter().enumerate().map(alone)).expect("shares");
        let wanted = all(wanted, &scene.batch(), &scene.objective);
        assert_same(&all(&several, &scene.batch(), &scene.objective), &wanted, "one alone");
    }
    for wrong in [-1.0, f64::NAN, f64::INFINITY] {
        let error = Engine::multi_with_shares([(Engine::cpu(), 1.0), (Engine::cpu(), wrong)]).expect_err("no share");
        assert!(matches!(error, Error::Parameter { name: "share", .. }), "{error}");
    }
    for nobody in [Engine::multi_with_shares([]), Engine::multi_with_shares([(Engine::cpu(), 0.0)]), Engine::multi([])]
    {
        assert!(matches!(nobody, Err(Error::Parameter { .. })), "{nobody:?}");
    }
}

#[test]
fn described() {
    let two = Engine::multi_with_shares([(on_threads(1), 1.0), (on_threads(2), 1.0)]).expect("shares").device();
    let one = engines()[0].device().name;
    assert_eq!(two.name, format!("{one} + {one}"));
    assert_eq!((two.backend.as_str(), two.kind, two.driver.as_str()), ("cpu", DeviceKind::Cpu, "1 thread + 2 threads"));

    let several = shared(every_device());
    let names: Vec<_> = engines().iter().map(|engine| engine.device().name).collect();
    assert_eq!(several.device().name, names.join(" + "));
    assert!(several.wgpu().is_none());
    let upload = several.upload(&Batch::logits(&[0.5f32], &[1u8]).expect("one"));
    assert!(matches!(upload, Err(Error::NotOnGpu { call: "upload" })));
    let evaluation = all(&several, &Batch::logits(&[0.5f32], &[1u8]).expect("one"), &none());
    assert_eq!(*evaluation.run.device, several.device());
}

/// The error of a lost device names the device.
#[test]
fn one_fails() {
    let Some(&index) = adapters().first() else { return };
    let gone = open(EngineOptions::new(Device::Index(index)));
    gone.wgpu().expect("an adapter").0.destroy();
    let name = gone.device().name;
    let several = Engine::multi_with_shares([(Engine::cpu(), 1.0), (gone, 1.0)]).expect("shares");
    let values = vec![0.5f32; 10 * BLOCK];
    let failed = several.evaluate(&batch(Form::Logits, &values, &values), &Objective::mean(), Outputs::gradient());
    assert!(matches!(&failed, Err(Error::Device(message)) if message.contains(&name)), "{failed:?}");
}
