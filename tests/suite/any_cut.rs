//! Parts that are cut anywhere: merged in any order they have the bits of the whole, and what does not fit is an error.

use std::iter::once;

use logloss::{
    Array, BLOCK, Batch, DeviceOutputs, Engine, Error, Evaluation, ExactSum, Form, Metrics, Misfit, Missing, NonFinite,
    Objective, Outputs, Partials, Reduction, Totals,
};

use crate::{
    common::{Random, all, assert_same, batch, each, engines, gpu_engines, seed},
    scenes::{REDUCTIONS, Recipe, Scene, pick},
};

/// Everything that merging is to keep, as bits: sums, weights, counts, classes, the first invalid index.
fn figures(partials: &Partials) -> (Vec<Vec<u64>>, Vec<u64>, Option<u64>) {
    let bits = |sum: &ExactSum| sum.terms().iter().map(|term| term.to_bits()).collect();
    let sums = [&partials.sum, &partials.weight].into_iter().chain(partials.classes.iter().map(|class| &class.sum));
    let threshold = partials.threshold.map_or([u64::MAX; 2], |counts| [counts.below, counts.at_or_above]);
    let counts = [partials.count].into_iter().chain(partials.classes.iter().map(|class| class.count)).chain(threshold);
    (sums.map(bits).collect(), counts.collect(), partials.first_invalid)
}

fn shuffled<T>(random: &mut Random, mut values: Vec<T>) -> Vec<T> {
    for i in (1..values.len()).rev() {
        values.swap(i, random.below(i + 1));
    }
    values
}

/// The evaluation of the rows between each two cuts, on this engine.
fn parts(engine: &Engine, scene: &Scene, cuts: &[usize]) -> Vec<Partials> {
    let rows = scene.predictions.len() / scene.classes;
    let ends = cuts.iter().copied().chain([rows]);
    let evaluate = |(start, end): (usize, usize)| {
        let shard = scene.shard(start..end);
        let part = shard.batch().with_first_row(start as u64);
        engine.evaluate(&part, &scene.objective, Outputs::none()).expect("valid").partials
    };
    [0].into_iter().chain(cuts.iter().copied()).zip(ends).map(evaluate).collect()
}

fn merged<'p>(parts: impl IntoIterator<Item = &'p Partials>) -> Partials {
    let mut merged = Partials::default();
    parts.into_iter().for_each(|part| merged.merge(part).expect("they fit"));
    merged
}

/// Cuts of all kinds: near the ends of blocks, near each other, and anywhere.
fn some_cuts(random: &mut Random, rows: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = (0..1 + random.below(9))
        .map(|_| match random.below(4) {
            0 => (BLOCK * random.below(rows / BLOCK + 1) + random.below(3)).saturating_sub(1).min(rows),
            1 => random.below(3),
            _ => random.below(rows + 1),
        })
        .collect();
    // Lengths of 0, 1, 2047, 2048 and 2049.
    let from = random.below(rows / 2);
    let mut at = from;
    for len in [0, 1, 0, BLOCK - 1, BLOCK, BLOCK + 1] {
        at += len;
        cuts.push(at.min(rows));
    }
    cuts.push(from);
    cuts.sort_unstable();
    cuts
}

#[test]
fn seven_shards() {
    const SHARD: usize = 428_574;
    let mut random = Random(501);
    let scene = Recipe::plain(Form::Logits).scene(&mut random, 7 * SHARD, 1);
    let cuts: Vec<usize> = (1..7).map(|i| i * SHARD).collect();
    each(|engine| {
        let whole = engine.evaluate(&scene.batch(), &scene.objective, Outputs::none()).expect("valid");
        let parts = parts(engine, &scene, &cuts);
        for _ in 0..20 {
            let merged = merged(
                &shuffled(&mut random, parts.iter().collect::<Vec<_>>()).into_iter().cloned().collect::<Vec<_>>(),
            );
            assert_eq!(figures(&merged), figures(&whole.partials));
            assert_eq!(merged.mean().to_bits(), whole.mean.to_bits());
            assert!(merged.ranges().eq(once(0..(7 * SHARD) as u64)));
        }
    });
}

/// Random options, reductions, shapes, cuts and orders.
#[test]
fn anywhere() {
    let mut random = Random(seed());
    for reduction in REDUCTIONS.into_iter().cycle().take(18) {
        let mut recipe = Recipe::random(&mut random);
        recipe.reduction = reduction;
        let classes = pick(&mut random, &[1, 1, 2, 3, 10]);
        let rows = 2 * BLOCK + random.below(4 * BLOCK);
        let mut scene = recipe.scene(&mut random, rows, classes);
        let threshold = Metrics::none().with_threshold(0.25).expect("a number");
        scene.objective = scene.objective.clone().with_metrics(threshold);
        let cuts = some_cuts(&mut random, rows);
        let what = format!("{recipe:?}, {rows} × {classes}, {cuts:?}");
        each(|engine| {
            let whole = engine.evaluate(&scene.batch(), &scene.objective, Outputs::none()).expect("valid").partials;
            let parts = parts(engine, &scene, &cuts);
            let in_order = merged(&parts);
            assert_eq!(figures(&in_order), figures(&whole), "{what}");
            for _ in 0..4 {
                let parts = shuffled(&mut random, parts.clone());
                assert!(merged(&parts) == in_order, "{what}");
                // In two halves, as on two machines.
                let (a, b) = parts.split_at(random.below(parts.len() + 1));
                let mut both = merged(a);
                both.merge(&merged(b)).expect("they fit");
                assert!(both == in_order, "{what}");
            }
        });
    }
}

/// Outputs of a part have the bits of the whole, also where it begins inside a block and inside a byte of bits.
#[test]
fn outputs_of_parts() {
    let mut random = Random(502);
    for reduction in REDUCTIONS {
        let mut recipe = Recipe::random(&mut random);
        (recipe.reduction, recipe.compat) = (reduction, None);
        let scene = recipe.scene(&mut random, 3 * BLOCK + 9, 3);
        // A mean divides by what its part counts.
        let objective = match reduction {
            Reduction::Mean | Reduction::WeightedMean => scene.objective.clone().with_reduction(Reduction::Sum),
            _ => scene.objective.clone(),
        };
        each(|engine| {
            let whole = all(engine, &scene.batch(), &objective);
            for (start, end) in [(1, 2), (5, BLOCK + 1), (BLOCK - 1, 3 * BLOCK), (777, 3 * BLOCK + 9)] {
                let shard = scene.shard(start..end);
                let alone = all(engine, &shard.batch(), &objective);
                let mut got = all(engine, &shard.batch().with_first_row(start as u64), &objective);
                let range = start * 3..end * 3;
                for (got, wanted) in crate::common::results(&got).into_iter().zip(crate::common::results(&whole)) {
                    let same = got.iter().zip(&wanted[range.clone()]).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{recipe:?}, {start}..{end}");
                }
                assert_eq!(got.count, alone.count);
                if reduction == Reduction::PerRow {
                    got.partials = alone.partials.clone();
                    (got.sum, got.mean) = (alone.sum, alone.mean);
                    assert_same(&got, &alone, "rows");
                }
            }
        });
    }
}

/// The host adds a block as the device does: a block that is merged of single values has the bits of the whole block.
#[test]
fn blocks_of_every_magnitude() {
    let mut random = Random(503);
    for round in 0..12 {
        let len = BLOCK - random.below(3) * 700;
        // Losses from 1e-30 to 1e30, or of one magnitude, some of them 0.
        let spread = [60.0, 0.0, 8.0][round % 3];
        let logits: Vec<f32> = (0..len)
            .map(|_| {
                let magnitude = 10f64.powf(spread * (random.uniform() - 0.5));
                if random.below(9) == 0 {
                    f32::NEG_INFINITY
                } else if magnitude < 1.0 {
                    magnitude.ln() as f32
                } else {
                    magnitude as f32
                }
            })
            .collect();
        let targets = vec![0u8; len];
        each(|engine| {
            let objective = Objective::sum();
            let part = |range: std::ops::Range<usize>| {
                let part = batch(Form::Logits, &logits[range.clone()], &targets[range.clone()]);
                let part = part.with_first_row(range.start as u64);
                engine.evaluate(&part, &objective, Outputs::none()).expect("valid").partials
            };
            let whole = engine.evaluate(&batch(Form::Logits, &logits, &targets), &objective, Outputs::none());
            let cut = len / 3;
            let merged = merged(&[part(cut..cut + 1), part(cut + 1..len), part(0..cut)]);
            assert_eq!(figures(&merged), figures(&whole.expect("valid").partials), "round {round}");
        });
    }
}

#[test]
fn losses_beyond_the_range_of_f32() {
    let (logits, targets) = (vec![3e38f32; 3 * BLOCK], vec![0u8; 3 * BLOCK]);
    each(|engine| {
        let part = |range: std::ops::Range<usize>| {
            let part = batch(Form::Logits, &logits[range.clone()], &targets[range.clone()]);
            let part = part.with_first_row(range.start as u64);
            engine.evaluate(&part, &Objective::sum(), Outputs::none()).expect("valid").partials
        };
        let mut sum = part(0..1);
        assert!(sum.sum.value().is_finite());
        sum.merge(&part(1..3 * BLOCK)).expect("neighbours");
        assert_eq!(sum.sum.value(), f64::INFINITY);
    });
}

#[test]
fn the_index_is_that_of_the_whole() {
    let (mut logits, targets) = (vec![0.5f32; 3000], vec![1u8; 3000]);
    logits[5] = f32::NAN;
    each(|engine| {
        let part = batch(Form::Logits, &logits, &targets).with_first_row(4096);
        let error = engine.evaluate(&part, &Objective::sum(), Outputs::none()).expect_err("a NaN");
        assert!(matches!(error, Error::InvalidValue { array: Array::Predictions, index: 4101, .. }), "{error}");
        let propagate = Objective::sum().with_non_finite(NonFinite::Propagate);
        for first in [4096, 4095, 2049] {
            let evaluate = |part: &Batch<'_>| engine.evaluate(part, &propagate, Outputs::none()).expect("let through");
            let part = evaluate(&batch(Form::Logits, &logits, &targets).with_first_row(first)).partials;
            assert_eq!(part.first_invalid, Some(first + 5));
            let zeros = vec![0.0f32; first as usize];
            let before = evaluate(&batch(Form::Logits, &zeros, &vec![1u8; first as usize]).with_first_row(0)).partials;
            let merged = merged(&[part, before]);
            assert!(merged.sum.value().is_nan() && merged.first_invalid == Some(first + 5));
            assert_eq!(merged.count, first + 3000);
        }
        // In shape [N, C], the part begins with a row, and the index is that of a value.
        let part = batch(Form::Logits, &logits, &targets).with_classes(3).expect("it divides").with_first_row(1000);
        let error = engine.evaluate(&part, &Objective::sum(), Outputs::none()).expect_err("a NaN");
        assert!(matches!(error, Error::InvalidValue { index: 3005, .. }), "{error}");
        let beyond = batch(Form::Logits, &logits, &targets).with_first_row(u64::MAX);
        let error = engine.evaluate(&beyond, &Objective::sum(), Outputs::none()).expect_err("no such index");
        assert!(matches!(error, Error::Parameter { name: "the first row", .. }), "{error}");
    });
}

/// Gaps are held, and closing says what they are.
#[test]
fn gaps() {
    let mut random = Random(504);
    let scene = Recipe::plain(Form::Logits).scene(&mut random, 10_000, 1);
    let cuts = [1000, 3000, 4096, 4097, 9000];
    each(|engine| {
        let parts = parts(engine, &scene, &cuts);
        let mut some = merged([&parts[4], &parts[1]]);
        assert_eq!(some.ranges().collect::<Vec<_>>(), [1000..3000, 4097..9000]);
        assert_eq!(some.count, 2000 + 4903);
        let mut closed = some.clone();
        let missing = closed.close();
        // Blocks 0, 1 and 2 are cut; what follows 9000 is not known.
        assert_eq!((missing.gaps, missing.cut_blocks), (vec![0..1000, 3000..4097], 3));
        assert_eq!((figures(&closed), closed.close()), (figures(&some), Missing::default()));
        // Two gaps cut the same block.
        let short = |start: usize| {
            let shard = scene.shard(start..start + 100);
            let part = shard.batch().with_first_row(start as u64);
            engine.evaluate(&part, &scene.objective, Outputs::none()).expect("valid").partials
        };
        assert_eq!(merged([&short(0), &short(200), &short(400)]).close().cut_blocks, 1);
        assert_eq!(closed.merge(&parts[0]).map_err(misfit), Err(Misfit::Closed));
        assert_eq!(some.clone().merge(&closed).map_err(misfit), Err(Misfit::Closed));
        // Closed partials are added.
        let sum = closed.sum.value();
        closed.merge(&closed.clone()).expect("closed");
        assert_eq!((closed.sum.value(), closed.count), (2.0 * sum, 2 * some.count));
        // The gaps are filled.
        for i in [3, 5, 0, 2] {
            some.merge(&parts[i]).expect("they fit");
        }
        let whole = engine.evaluate(&scene.batch(), &scene.objective, Outputs::none()).expect("valid").partials;
        assert_eq!(figures(&some), figures(&whole));
        assert_eq!(some.close(), Missing::default());
    });
}

fn misfit(error: Error) -> Misfit {
    match error {
        Error::Misfit(misfit) => misfit,
        other => panic!("{other}"),
    }
}

/// Where a later part says that it begins elsewhere, it is refused, and so is one whose values would have no index.
#[test]
fn parts_of_an_accumulator_are_in_order() {
    let scene = Recipe::plain(Form::Logits).scene(&mut Random(511), 3 * BLOCK, 1);
    let push = |starts: &[Option<u64>]| {
        let mut accumulator = engines()[0].accumulator(&scene.objective, None);
        starts.iter().try_for_each(|start| {
            let part = scene.shard(0..BLOCK);
            let batch = start.map_or(part.batch(), |start| part.batch().with_first_row(start));
            accumulator.push(&batch, Outputs::none())
        })
    };
    let block = BLOCK as u64;
    push(&[Some(100), None, Some(100 + 2 * block)]).expect("in order");
    push(&[None, None]).expect("in order");
    for (starts, index, expected) in [
        ([Some(0), Some(2 * block)], 2 * block, block),
        ([Some(block), Some(0)], 0, 2 * block),
        ([None, Some(block)], block, block),
    ] {
        assert_eq!(misfit(push(&starts).expect_err("out of order")), Misfit::Order { index, expected });
    }
    assert_eq!(misfit(push(&[Some(u64::MAX - block - 1), None]).expect_err("no index")), Misfit::Count);
}

/// Parts that do not fit are errors, after which the sums are as before.
#[test]
fn misfits() {
    let mut random = Random(505);
    let plain = Recipe::plain(Form::Logits).scene(&mut random, 9000, 1);
    let mut recipe = Recipe::plain(Form::Logits);
    recipe.reduction = Reduction::PerClass;
    let by_class = [2, 3].map(|classes| recipe.scene(&mut random, 3000, classes));
    each(|engine| {
        let refused = |sums: &Partials, other: &Partials| {
            let mut merged = sums.clone();
            let error = misfit(merged.merge(other).expect_err("no fit"));
            assert!(merged == *sums, "changed by {error}");
            error
        };
        let evaluate =
            |batch: &Batch<'_>, objective| engine.evaluate(batch, objective, Outputs::none()).expect("valid");
        let part = |start: usize, end: usize| {
            evaluate(&plain.shard(start..end).batch().with_first_row(start as u64), &plain.objective).partials
        };
        let held = merged([&part(3000, 5000), &part(6000, 7000)]);
        assert_eq!(refused(&held, &part(4999, 6001)), Misfit::Overlap { start: 4999, end: 5000 });
        assert_eq!(refused(&held, &part(5500, 6001)), Misfit::Overlap { start: 6000, end: 6001 });
        assert_eq!(refused(&held, &part(0, 9000)), Misfit::Overlap { start: 3000, end: 5000 });
        assert_eq!(refused(&held, &held), Misfit::Overlap { start: 3000, end: 5000 });
        // A batch of its own begins at 0, and keeps nothing.
        let alone = evaluate(&plain.shard(0..3000).batch(), &plain.objective).partials;
        assert_eq!(refused(&held, &alone), Misfit::NotKept { index: 3000 });
        let blocks = evaluate(&plain.shard(0..2048).batch(), &plain.objective).partials;
        let mut joined = blocks.clone();
        joined.merge(&part(2048, 3000)).expect("neighbours");
        assert_eq!(figures(&joined), figures(&alone));

        let [two, three] = by_class.each_ref().map(|scene| {
            let first = (scene.classes * 3000) as u64;
            evaluate(&scene.batch().with_first_row(first), &scene.objective).partials
        });
        assert_eq!(refused(&two, &three), Misfit::Classes { classes: [2, 3] });
        assert_eq!(refused(&part(0, 1), &three), Misfit::Classes { classes: [0, 3] });
        // Of predictions on each side of a threshold there are counts of all parts, or of none.
        let metrics = Metrics::none().with_threshold(0.0).expect("a number");
        let counted = plain.objective.clone().with_metrics(metrics);
        let counted = evaluate(&plain.shard(7000..7100).batch().with_first_row(7000), &counted).partials;
        assert_eq!(refused(&held, &counted), Misfit::Metrics);
    });
    // Two devices, inside a block and between blocks.
    let part = |engine: &Engine, start: usize, end: usize| {
        let shard = plain.shard(start..end);
        let part = shard.batch().with_first_row(start as u64);
        engine.evaluate(&part, &plain.objective, Outputs::none()).expect("valid").partials
    };
    for gpu in gpu_engines() {
        let cpu = &engines()[0];
        let error = part(cpu, 0, 3000).merge(&part(gpu, 3000, 5000)).expect_err("another tree");
        assert_eq!(misfit(error), Misfit::Devices { index: 3000 });
        let mut sum = part(cpu, 0, 4096);
        sum.merge(&part(gpu, 4096, 5000)).expect("between blocks");
        assert_eq!(sum.count, 5000);
        // Closed, they are added.
        let (mut sum, mut other) = (part(cpu, 0, 3000), part(gpu, 3000, 5000));
        sum.close();
        other.close();
        sum.merge(&other).expect("closed");
        assert_eq!(sum.count, 5000);
    }
}

/// An accumulator of a part, whose pushes end anywhere.
#[test]
fn accumulators() {
    let mut random = Random(506);
    for reduction in REDUCTIONS {
        let mut recipe = Recipe::random(&mut random);
        recipe.reduction = reduction;
        let rows = 3 * BLOCK + 77;
        let scene = recipe.scene(&mut random, rows, 3);
        let totals = engines()[0].totals(&scene.batch(), &scene.objective).expect("it fits");
        each(|engine| {
            let whole = all(engine, &scene.batch(), &scene.objective);
            let pushed = |from: usize, ends: &[usize]| -> Evaluation {
                let mut accumulator = engine.accumulator_with_totals(&scene.objective, totals.clone());
                let mut outputs = [Vec::new(), Vec::new(), Vec::new()];
                let mut start = from;
                for &end in ends {
                    let shard = scene.shard(start..end);
                    let part = shard.batch();
                    // Only the first part is asked where it begins.
                    let part = if start == from { part.with_first_row(from as u64) } else { part };
                    let mut made = [(); 3].map(|()| vec![0.0f32; part.len()]);
                    let [loss, gradient, hessian] = &mut made;
                    let sinks = Outputs::none().with_loss(loss).with_gradient(gradient).with_hessian(hessian);
                    accumulator.push(&part, sinks).expect("valid");
                    outputs.iter_mut().zip(made).for_each(|(all, made)| all.extend(made));
                    start = end;
                }
                let mut evaluation = accumulator.finish().expect("all of it");
                [evaluation.loss, evaluation.gradient, evaluation.hessian] = outputs.map(Some);
                evaluation
            };
            let what = format!("{recipe:?}");
            let ends = [1, 2, 500, 2048, 2049, 5000, rows];
            let mut got = pushed(0, &ends);
            assert_same(&got, &whole, &what);
            assert_eq!((got.partials.close(), got.partials.count), (Missing::default(), whole.count));
            let [first, second] = [(0, &ends[..4]), (2048, &ends[4..])].map(|(from, ends)| pushed(from, ends).partials);
            assert_eq!(figures(&merged(&[second, first])), figures(&whole.partials), "{what}");
        });
    }
}

#[test]
fn totals() {
    let mut random = Random(seed());
    for round in 0..12 {
        let mut recipe = Recipe::random(&mut random);
        recipe.reduction = Reduction::WeightedMean;
        recipe.label_weights |= round % 2 == 0;
        let rows = 3 * BLOCK + random.below(BLOCK);
        let scene = recipe.scene(&mut random, rows, 1 + round % 3);
        let cuts = some_cuts(&mut random, rows);
        let ends = cuts.iter().copied().chain([rows]);
        let engine = &engines()[0];
        let parts: Vec<Totals> = [0]
            .into_iter()
            .chain(cuts.iter().copied())
            .zip(ends)
            .map(|(start, end)| {
                let shard = scene.shard(start..end);
                engine.totals(&shard.batch().with_first_row(start as u64), &scene.objective).expect("it fits")
            })
            .collect();
        let whole = engine.totals(&scene.batch(), &scene.objective).expect("it fits");
        let mut sum = Totals::default();
        for part in &shuffled(&mut random, parts.clone()) {
            sum.merge(part).expect("they fit");
        }
        assert_eq!((sum.count, &sum.weight), (whole.count, &whole.weight), "{recipe:?}, {cuts:?}");
        let error = sum.merge(&parts[parts.len() - 1]).map_err(misfit);
        assert!(cuts[cuts.len() - 1] == rows || matches!(error, Err(Misfit::Overlap { .. })), "{error:?}");
        assert!(whole.count == 0 || sum.merge(&whole).map_err(misfit) == Err(Misfit::Closed));
    }
}

/// Several devices: every index and count is that of the whole, and parts merge where each device's blocks are whole.
#[test]
fn several_devices() {
    let mut random = Random(507);
    let scene = Recipe::plain(Form::Logits).scene(&mut random, 30 * BLOCK + 100, 1);
    let device = |index| crate::common::open(logloss::EngineOptions::new(logloss::Device::Index(index)));
    let gpus = crate::common::adapters().iter().map(|&index| device(index));
    let several = Engine::multi_with_shares([Engine::cpu()].into_iter().chain(gpus).map(|engine| (engine, 1.0)));
    let several = several.expect("shares");
    let whole = parts(&several, &scene, &[]).remove(0);
    for cuts in [vec![10 * BLOCK], vec![BLOCK, 17 * BLOCK]] {
        let mut all = merged(&parts(&several, &scene, &cuts));
        assert_eq!((all.count, all.ranges().collect::<Vec<_>>()), (whole.count, whole.ranges().collect()));
        assert!((all.sum.value() / whole.sum.value() - 1.0).abs() < 1e-7);
        assert_eq!(all.close(), Missing::default());
    }
    // Alone, one device has the bits of its own, also as one of several.
    let one = Engine::multi_with_shares([(Engine::cpu(), 1.0)]).expect("one");
    let of_cpu = parts(&engines()[0], &scene, &[]).remove(0);
    assert!(merged(&parts(&one, &scene, &[7, 5000, 20_000])) == of_cpu);
    // A part that begins inside a block is cut between blocks, so that every device but the first and last has whole ones.
    let [_, inner] = <[Partials; 2]>::try_from(parts(&several, &scene, &[1001])).expect("two");
    assert!(inner.ranges().eq(once(1001..30 * BLOCK as u64 + 100)));
    assert_eq!(inner.count, 30 * BLOCK as u64 + 100 - 1001);
}

/// Partials are sent in the middle of merging.
#[cfg(feature = "serde")]
#[test]
fn serialised() {
    let mut random = Random(508);
    for reduction in REDUCTIONS {
        let mut recipe = Recipe::random(&mut random);
        recipe.reduction = reduction;
        let scene = recipe.scene(&mut random, 9000, 2);
        each(|engine| {
            let parts = parts(engine, &scene, &[1000, 3000, 3001, 7777]);
            let sent = |partials: &Partials| -> Partials {
                let text = serde_json::to_string(partials).expect("serialises");
                serde_json::from_str(&text).expect("the same")
            };
            let mut sums = Partials::default();
            for i in [3, 1, 0, 4, 2] {
                sums = sent(&sums);
                sums.merge(&sent(&parts[i])).expect("they fit");
                assert!(sent(&sums) == sums);
            }
            let whole = engine.evaluate(&scene.batch(), &scene.objective, Outputs::none()).expect("valid").partials;
            assert_eq!(figures(&sums), figures(&whole), "{recipe:?}");
        });
    }
}

/// Parts in the memory of a device begin with a block, and merge with those in host memory.
#[test]
fn resident() {
    let mut random = Random(509);
    for (reduction, classes) in REDUCTIONS.into_iter().zip([1, 2, 3].into_iter().cycle()) {
        let mut recipe = Recipe::random(&mut random);
        recipe.reduction = reduction;
        let rows = 5 * BLOCK + 77;
        let scene = recipe.scene(&mut random, rows, classes);
        for engine in gpu_engines() {
            let whole = engine.evaluate(&scene.batch(), &scene.objective, Outputs::none()).expect("valid").partials;
            let shards = parts(engine, &scene, &[3 * BLOCK, 4 * BLOCK]);
            let inside = parts(engine, &scene, &[3 * BLOCK, 4 * BLOCK + 30]);
            let there = |range: std::ops::Range<usize>| {
                let shard = scene.shard(range.clone());
                let batch = shard.batch().with_first_row(range.start as u64);
                let there = engine.upload(&batch).expect("it fits");
                engine
                    .prepare(&there, &scene.objective, DeviceOutputs::none())
                    .map(|prepared| prepared.evaluate().expect("valid").partials)
            };
            let last = there(4 * BLOCK..rows).expect("whole blocks");
            let middle = there(3 * BLOCK..4 * BLOCK).expect("whole blocks");
            assert_eq!(figures(&merged([&last, &shards[0], &middle])), figures(&whole), "{recipe:?}");
            assert_eq!(figures(&merged([&shards[1], &last, &shards[0]])), figures(&whole), "{recipe:?}");
            // One that ends inside a block is completed by one in host memory.
            let cut = there(3 * BLOCK..4 * BLOCK + 30).expect("whole blocks");
            assert_eq!(cut, inside[1], "{recipe:?}");
            assert_eq!(figures(&merged([&inside[2], &cut, &shards[0]])), figures(&whole), "{recipe:?}");
            let inside = there(3 * BLOCK + 1..4 * BLOCK).map_err(misfit);
            assert!(matches!(inside, Err(Misfit::Inside { .. })), "{inside:?}");
        }
    }
    let (mut logits, targets) = (vec![0.5f32; BLOCK], vec![1u8; BLOCK]);
    logits[5] = f32::NAN;
    for engine in gpu_engines() {
        let part = batch(Form::Logits, &logits, &targets).with_first_row(2 * BLOCK as u64);
        let there = engine.upload(&part).expect("it fits");
        let evaluate =
            |objective: &Objective| engine.prepare(&there, objective, DeviceOutputs::none()).expect("valid").evaluate();
        let error = evaluate(&Objective::sum()).expect_err("a NaN");
        assert!(matches!(error, Error::InvalidValue { index: 4101, value, .. } if value.is_nan()), "{error}");
        let found = evaluate(&Objective::sum().with_non_finite(NonFinite::Propagate)).expect("let through");
        assert_eq!(found.partials.first_invalid, Some(4101));
    }
}
