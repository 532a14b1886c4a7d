use std::num::NonZeroUsize;

use fearless_simd::{Level, dispatch};
use half::{bf16, f16};

use super::{
    Cpu, count_is_weight,
    kernels::plain,
    level_name,
    run::Run,
    streaming::{CACHE, CORE_CACHE, exceeds_cache},
    tile::TILE,
};
use crate::{BLOCK, Batch, Floats, Form, Objective, Partials, Targets, ThresholdCounts, job::Job, outputs::Slices};

/// ULP of f32, for targets 0 and 1 and every finite prediction whose result is a normal f32.
struct Contract {
    form: Form,
    loss: f64,
    gradient: f64,
    hessian: f64,
}

const CONTRACTS: [Contract; 2] = [
    Contract { form: Form::Logits, loss: 1.5, gradient: 2.0, hessian: 3.0 },
    Contract { form: Form::Probabilities, loss: 1.5, gradient: 2.0, hessian: 3.0 },
];

#[derive(Clone, Debug, PartialEq)]
pub(super) struct All {
    pub loss: Vec<f32>,
    pub gradient: Vec<f32>,
    pub hessian: Vec<f32>,
    pub partials: Partials,
}

impl All {
    /// The bits of every number: NaN equals itself, and 0 differs from -0.
    pub(super) fn bits(&self) -> Vec<u64> {
        let values = self.loss.iter().chain(&self.gradient).chain(&self.hessian).map(|v| u64::from(v.to_bits()));
        let Partials { sum, weight, count, classes, first_invalid, threshold, pieces: _ } = &self.partials;
        let sums = [sum, weight].into_iter().chain(classes.iter().map(|class| &class.sum));
        let terms = sums.flat_map(|sum| sum.terms().iter().map(|v| v.to_bits()));
        let counts = classes.iter().map(|class| class.count);
        let sides = threshold.iter().flat_map(|ThresholdCounts { below, at_or_above }| [*below, *at_or_above]);
        values.chain(terms).chain(counts).chain(sides).chain([*count, first_invalid.unwrap_or(u64::MAX)]).collect()
    }
}

pub(super) fn cpu(level: Level, threads: usize) -> Cpu {
    let threads = if cfg!(feature = "threads") { threads } else { 1 };
    Cpu::with_level(level, NonZeroUsize::new(threads)).unwrap()
}

fn plain_job(batch: &Batch<'_>, coefficient: f32) -> Job {
    Job::new(&Objective::mean(), batch.kind(), false, false, coefficient)
}

pub(super) fn all(cpu: &Cpu, batch: &Batch<'_>, coefficient: f32, first: u64) -> All {
    let stale = vec![-7.0; batch.len()];
    let (mut loss, mut gradient, mut hessian) = (stale.clone(), stale.clone(), stale);
    let slices = Slices {
        loss: Some(&mut loss),
        gradient: Some(&mut gradient),
        hessian: Some(&mut hessian),
        ..Slices::default()
    };
    let partials = cpu.evaluate(batch, &plain_job(batch, coefficient), first, slices);
    All { loss, gradient, hessian, partials }
}

/// What `evaluate` writes to memory that begins `offset` floats behind a cache line, and nothing beside it.
pub(super) fn written(len: usize, offset: usize, evaluate: impl FnOnce(Slices<'_>) -> Partials) -> All {
    let mut memory = [(); 3].map(|()| vec![-7.0f32; len + 32]);
    let starts = memory.each_ref().map(|values| values.as_ptr().align_offset(64) + offset);
    let [loss, gradient, hessian] = memory.each_mut();
    let partials = evaluate(Slices {
        loss: Some(&mut loss[starts[0]..][..len]),
        gradient: Some(&mut gradient[starts[1]..][..len]),
        hessian: Some(&mut hessian[starts[2]..][..len]),
        ..Slices::default()
    });
    let [loss, gradient, hessian] = [0, 1, 2].map(|i| {
        let (before, rest) = memory[i].split_at(starts[i]);
        let (values, behind) = rest.split_at(len);
        assert!(before.iter().chain(behind).all(|v| *v == -7.0), "{len} {offset}: beside output {i}");
        values.to_vec()
    });
    All { loss, gradient, hessian, partials }
}

pub(super) fn levels() -> Vec<Level> {
    let best = Level::new();
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "one level only"))]
    let mut levels = vec![best];
    #[cfg(target_arch = "x86_64")]
    {
        levels.extend(best.as_avx2().map(Level::Avx2));
        levels.extend(best.as_sse4_2().map(Level::Sse4_2));
        levels.extend(best.as_sse2().map(Level::Sse2));
    }
    levels
}

/// Loss, gradient, hessian by their textbook definition in f64, where that is accurate.
fn oracle(form: Form, x: f64, z: f64) -> [f64; 3] {
    // A term whose weight is 0 is 0.
    let term = |weight: f64, value: f64| if weight == 0.0 { 0.0 } else { weight * value };
    match form {
        Form::Logits => {
            let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
            let sigma = |x: f64| 1.0 / (1.0 + (-x).exp());
            let loss = term(1.0 - z, softplus(x)) + term(z, softplus(-x));
            [loss, term(1.0 - z, sigma(x)) - term(z, sigma(-x)), sigma(x) * sigma(-x)]
        }
        Form::Probabilities => {
            let s = 1.0 - x;
            [
                term(1.0 - z, -(-x).ln_1p()) + term(z, -x.ln()),
                term(1.0 - z, 1.0 / s) - term(z, 1.0 / x),
                term(1.0 - z, 1.0 / (s * s)) + term(z, 1.0 / (x * x)),
            ]
        }
    }
}

/// The distance of `actual` from `expected` in ULP of f32; 0 if it is right to be infinite, or if both are below the
/// normal range.
fn ulp(actual: f32, expected: f64) -> f64 {
    let magnitude = expected.abs();
    let error = (f64::from(actual) - expected).abs();
    if magnitude < f64::from(f32::MIN_POSITIVE) {
        return if error <= f64::from(f32::MIN_POSITIVE) { 0.0 } else { f64::INFINITY };
    }
    if f64::from(actual) == f64::from(expected as f32) && !expected.is_finite() || magnitude > f64::from(f32::MAX) {
        return if actual == expected as f32 { 0.0 } else { f64::INFINITY };
    }
    let exponent = (magnitude.to_bits() >> 52) as i32 - 1023;
    let ulp = error / f64::from(exponent - 23).exp2();
    if ulp.is_nan() { f64::INFINITY } else { ulp }
}

/// The worst distance of each output from the oracle, and where it is.
#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "a NaN must not pass for a small distance")]
fn worst(form: Form, x: &[f32], z: &[f32], actual: &All) -> [(f64, f32); 3] {
    let mut worst = [(0.0, 0.0); 3];
    for i in 0..x.len() {
        let expected = oracle(form, x[i].into(), z[i].into());
        for (k, value) in [actual.loss[i], actual.gradient[i], actual.hessian[i]].into_iter().enumerate() {
            let ulp = ulp(value, expected[k]);
            if !(ulp <= worst[k].0) {
                worst[k] = (ulp, x[i]);
            }
        }
    }
    worst
}

/// Every `step`th of the values whose bits lie in `bits`, and their negatives if `signed`.
pub(super) fn sweep(bits: std::ops::Range<u32>, step: usize, signed: bool) -> Vec<f32> {
    let positive = bits.step_by(step).map(f32::from_bits);
    if signed { positive.flat_map(|v| [v, -v]).collect() } else { positive.collect() }
}

fn predictions(form: Form, step: usize) -> Vec<f32> {
    match form {
        Form::Logits => sweep(0..f32::INFINITY.to_bits(), step, true),
        Form::Probabilities => sweep(0..1.0f32.to_bits() + 1, step, false),
    }
}

fn keeps_contract(contract: &Contract, level: Level, step: usize) {
    let x = predictions(contract.form, step);
    for z in [0.0, 1.0] {
        let z = vec![z; x.len()];
        let actual = all(&cpu(level, 2), &Batch::new(contract.form, &x, &z).unwrap(), 1.0, 0);
        let worst = worst(contract.form, &x, &z, &actual);
        for (k, limit) in [contract.loss, contract.gradient, contract.hessian].into_iter().enumerate() {
            let (ulp, at) = worst[k];
            let (output, level) = (["loss", "gradient", "hessian"][k], level_name(level));
            assert!(ulp <= limit, "{output} on {level}: {ulp} ULP at {:?} {at:e}, z = {}", contract.form, z[0]);
        }
    }
}

#[test]
fn every_level_keeps_the_contract() {
    for contract in &CONTRACTS {
        for level in levels() {
            keeps_contract(contract, level, 4799);
        }
    }
}

#[test]
#[ignore = "minutes; run it in release"]
fn exhaustive() {
    for contract in &CONTRACTS {
        for level in levels() {
            // A sixty-fourth of all values at a time.
            let end = if contract.form == Form::Logits { f32::INFINITY.to_bits() } else { 1.0f32.to_bits() + 1 };
            for start in 0..64 {
                let x = sweep(start..end, 64, contract.form == Form::Logits);
                for z in [0.0, 1.0] {
                    let z = vec![z; x.len()];
                    let actual = all(&cpu(level, 2), &Batch::new(contract.form, &x, &z).unwrap(), 1.0, 0);
                    let worst = worst(contract.form, &x, &z, &actual);
                    let limits = [contract.loss, contract.gradient, contract.hessian];
                    assert!((0..3).all(|k| worst[k].0 <= limits[k]), "{}: {worst:?}", level_name(level));
                }
            }
        }
    }
}

#[test]
fn the_comparer_can_fail() {
    let (x, z) = (predictions(Form::Logits, 100_003), 1.0);
    let z = vec![z; x.len()];
    let good = all(&cpu(Level::new(), 1), &Batch::logits(&x, &z).unwrap(), 1.0, 0);
    let middle = x.iter().position(|v| *v > 0.1 && *v < 80.0).unwrap();
    let spoils: [fn(f32) -> f32; 5] =
        [|v| f32::from_bits(v.to_bits() + 8), |_| f32::NAN, |_| f32::INFINITY, |v| -v, |_| 0.0];
    for spoil in spoils {
        let mut bad = good.clone();
        for values in [&mut bad.loss, &mut bad.gradient, &mut bad.hessian] {
            values[middle] = spoil(values[middle]);
        }
        let worst = worst(Form::Logits, &x, &z, &bad);
        assert!(worst.iter().all(|(ulp, at)| *ulp > 2.5 && *at == x[middle]), "{worst:?}");
        assert_ne!(good.bits(), bad.bits());
    }
    // What every peer in f32 gives for a confident, right prediction.
    assert!(ulp(0.0, (-20.0f64).exp().ln_1p()) > 1e6);
}

#[test]
fn golden() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/data/golden.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let bits = |text: &str| f32::from_bits(u32::from_str_radix(text, 16).unwrap());
    let (x, z): (Vec<f32>, Vec<f32>) = rows.iter().map(|row| (bits(row[0]), bits(row[1]))).unzip();
    for level in levels() {
        let actual = all(&cpu(level, 1), &Batch::logits(&x, &z).unwrap(), 1.0, 0);
        for (i, row) in rows.iter().enumerate() {
            let [loss, gradient, hessian] = [2, 3, 4].map(|k| row[k].parse::<f64>().unwrap());
            let (x, z) = (f64::from(x[i]), f64::from(z[i]));
            let place = format!("{} x = {x}, z = {z}", level_name(level));
            let hard = z == 0.0 || z == 1.0;
            let off = ulp(actual.loss[i], loss);
            assert!(off <= if hard { 1.5 } else { 3.0 }, "loss {off} {place}");
            let off = ulp(actual.hessian[i], hessian);
            assert!(off <= 3.0, "hessian {off} {place}");
            let size = (1.0 - z) / (1.0 + (-x).exp()) + z / (1.0 + x.exp());
            let off = (f64::from(actual.gradient[i]) - gradient).abs();
            let tiny = f64::from(f32::MIN_POSITIVE);
            assert!(off <= 4.0 * (-24f64).exp2() * size + tiny, "gradient {off} {place}");
            if hard {
                let off = ulp(actual.gradient[i], gradient);
                assert!(off <= 2.0, "gradient {off} {place}");
            }
        }
    }
}

/// Reproducible numbers in [0, 1).
pub(super) fn uniform(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn soft_targets() {
    let z = uniform(1, 100_000);
    for form in [Form::Logits, Form::Probabilities] {
        let x: Vec<f32> = match form {
            Form::Logits => uniform(2, z.len()).iter().map(|v| (v - 0.5) * 50.0).collect(),
            Form::Probabilities => uniform(2, z.len()).iter().map(|v| v + 1e-7).map(|v| v.min(1.0 - 1e-7)).collect(),
        };
        for level in levels() {
            let actual = all(&cpu(level, 1), &Batch::new(form, &x, &z).unwrap(), 1.0, 0);
            for i in 0..x.len() {
                let (x, z) = (f64::from(x[i]), f64::from(z[i]));
                let expected = oracle(form, x, z);
                let off = ulp(actual.loss[i], expected[0]);
                assert!(off <= 3.0, "loss {off} {} {form:?} {x} {z}", level_name(level));
                let size = oracle(form, x, 0.0)[1] * (1.0 - z) - oracle(form, x, 1.0)[1] * z;
                let off = (f64::from(actual.gradient[i]) - expected[1]).abs() / size * 24f64.exp2();
                assert!(off <= 4.0, "gradient {off} {} {form:?} {x} {z}", level_name(level));
            }
        }
    }
}

#[test]
fn limits_and_zeros() {
    let infinity = f32::INFINITY;
    let logits = [
        (-infinity, 0.0, [0.0, 0.0, 0.0]),
        (-infinity, 1.0, [infinity, -1.0, 0.0]),
        (infinity, 0.0, [infinity, 1.0, 0.0]),
        (infinity, 1.0, [0.0, 0.0, 0.0]),
        (infinity, 0.5, [infinity, 0.5, 0.0]),
        (-infinity, 0.5, [infinity, -0.5, 0.0]),
        (0.0, 0.0, [std::f32::consts::LN_2, 0.5, 0.25]),
        (-0.0, 1.0, [std::f32::consts::LN_2, -0.5, 0.25]),
        (0.0, -0.0, [std::f32::consts::LN_2, 0.5, 0.25]),
        (f32::MAX, 0.0, [f32::MAX, 1.0, 0.0]),
    ];
    let probabilities = [
        (0.0, 0.0, [0.0, 1.0, 1.0]),
        (-0.0, 1.0, [infinity, -infinity, infinity]),
        (0.0, 1.0, [infinity, -infinity, infinity]),
        (1.0, 0.0, [infinity, infinity, infinity]),
        (1.0, 1.0, [0.0, -1.0, 1.0]),
        (0.5, 0.5, [std::f32::consts::LN_2, 0.0, 4.0]),
    ];
    for level in levels() {
        for (form, cases) in [(Form::Logits, &logits[..]), (Form::Probabilities, &probabilities[..])] {
            for (x, z, expected) in cases {
                let actual = all(&cpu(level, 1), &Batch::new(form, &[*x], &[*z]).unwrap(), 1.0, 0);
                let actual_values = [actual.loss[0], actual.gradient[0], actual.hessian[0]];
                // +0 or -0, that is all a comparison may forgive.
                assert_eq!(actual_values, *expected, "{form:?} {x} {z} {}", level_name(level));
                assert_eq!(actual.partials.first_invalid, None);
                assert_eq!(actual.partials.sum.value(), f64::from(expected[0]));
            }
        }
    }
}

#[test]
fn every_narrow_pattern() {
    let f16s: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let bf16s: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    let wide_f16: Vec<f32> = f16s.iter().map(|v| v.to_f32()).collect();
    let wide_bf16: Vec<f32> = bf16s.iter().map(|v| v.to_f32()).collect();
    let z = uniform(3, f16s.len());
    for level in levels() {
        let cpu = cpu(level, 1);
        for (narrow, wide) in [(Floats::F16(&f16s), &wide_f16), (Floats::Bf16(&bf16s), &wide_bf16)] {
            let narrow = all(&cpu, &Batch::logits(narrow, &z).unwrap(), 1.0, 0);
            let wide = all(&cpu, &Batch::logits(wide, &z).unwrap(), 1.0, 0);
            assert_eq!(narrow.bits(), wide.bits(), "{}", level_name(level));
            assert!(narrow.partials.first_invalid.is_some());
        }
    }
}

#[test]
fn every_kind_of_target() {
    let len = 3 * BLOCK + 77;
    let x: Vec<f32> = uniform(4, len).iter().map(|v| v * 8.0 - 4.0).collect();
    let hard: Vec<bool> = uniform(5, len).iter().map(|v| *v < 0.3).collect();
    let f32s: Vec<f32> = hard.iter().map(|on| f32::from(u8::from(*on))).collect();
    let u8s: Vec<u8> = hard.iter().map(|on| u8::from(*on)).collect();
    let bits: Vec<u8> =
        u8s.chunks(8).map(|eight| eight.iter().enumerate().fold(0, |byte, (i, bit)| byte | bit << i)).collect();
    for level in levels() {
        let cpu = cpu(level, 1);
        let expected = all(&cpu, &Batch::logits(&x, &f32s).unwrap(), 0.25, 0).bits();
        for targets in [Targets::U8(&u8s), Targets::Bool(&hard), Targets::Bits(&bits)] {
            assert_eq!(all(&cpu, &Batch::logits(&x, targets).unwrap(), 0.25, 0).bits(), expected, "{targets:.0?}");
        }
    }
}

#[test]
fn any_length() {
    let x: Vec<f32> = uniform(6, 2 * BLOCK + 1).iter().map(|v| v * 8.0 - 4.0).collect();
    let z = uniform(7, x.len());
    for level in levels() {
        let cpu = cpu(level, 1);
        let whole = all(&cpu, &Batch::logits(&x, &z).unwrap(), 1.0, 0);
        for len in [0, 1, 2, 15, 16, 17, TILE - 1, TILE, TILE + 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, x.len()] {
            let part = all(&cpu, &Batch::logits(&x[..len], &z[..len]).unwrap(), 1.0, 0);
            assert_eq!(part.loss, whole.loss[..len]);
            assert_eq!(part.gradient, whole.gradient[..len]);
            assert_eq!(part.hessian, whole.hessian[..len]);
            assert_eq!((part.partials.count, part.partials.first_invalid), (len as u64, None));
            let sum: f64 = part.loss.iter().map(|v| f64::from(*v)).sum();
            assert!((part.partials.sum.value() - sum).abs() <= 1e-7 * sum, "{len}");
        }
    }
}

/// The same bits wherever the outputs begin, for every type of values, and with some that are invalid or need a recheck.
#[test]
fn streaming_changes_nothing() {
    let len = 2 * BLOCK + 100;
    let (mut x, z) = (uniform(18, len), vec![1u8; len]);
    let bits = vec![0xff; len.div_ceil(8)];
    for invalid in [false, true] {
        if invalid {
            x[7] = f32::NAN;
            x[BLOCK + 7] = f32::INFINITY;
        }
        let narrow: Vec<f16> = x.iter().map(|v| f16::from_f32(*v)).collect();
        let ones = vec![1.0f32; len];
        let batches = [
            Batch::logits(&x, &ones).unwrap(),
            Batch::logits(&narrow, Targets::Bits(&bits)).unwrap(),
            Batch::probabilities(&x, &z).unwrap(),
        ];
        for (batch, level) in batches.iter().flat_map(|batch| levels().into_iter().map(move |level| (batch, level))) {
            let expected = all(&cpu(level, 1), batch, 0.5, 0);
            let job = plain_job(batch, 0.5);
            let streaming = |outputs: Slices<'_>| {
                let run = Run { part: *batch, first: 0, outputs };
                count_is_weight(dispatch!(level, simd => plain::evaluate(simd, run, &job, true)))
            };
            for offset in 0..17 {
                let found = written(len, offset, streaming);
                assert!(found.bits() == expected.bits(), "{level:?} {offset} {invalid}");
            }
            // One output alone.
            let mut hessian = vec![-7.0; len];
            streaming(Slices { hessian: Some(&mut hessian), ..Slices::default() });
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(&hessian) == bits(&expected.hessian), "{level:?} {invalid}");
        }
    }
}

/// Outputs that are more than a cache holds are written by streaming stores, the same in parts are not; values that are
/// more than a core's cache holds are prefetched.
#[test]
fn a_batch_larger_than_the_cache() {
    let few: Vec<f32> = uniform(20, 10_007).iter().map(|v| v * 16.0 - 8.0).collect();
    let len = CACHE / size_of::<f32>() + 5;
    let x: Vec<f32> = few.iter().copied().cycle().take(len).collect();
    let z: Vec<u8> = (0..len).map(|i| u8::from(i % 3 == 0)).collect();
    let batch = Batch::logits(&x, &z).unwrap();
    let evaluate = |threads, part: &Batch<'_>, first: usize, gradient: Option<&mut [f32]>| {
        let slices = Slices { gradient, ..Slices::default() };
        let exceeds = if slices.gradient.is_some() { part.len() == len } else { part.bytes() > CORE_CACHE as u64 };
        assert_eq!(exceeds_cache(part, &slices), cfg!(target_arch = "x86_64") && exceeds);
        cpu(Level::new(), threads).evaluate(part, &plain_job(part, 1.0), first as u64, slices)
    };
    let [mut parts, mut whole] = [vec![-7.0f32; len], vec![-7.0; len]];
    let mut expected = Partials::default();
    for start in (0..len).step_by(256 * BLOCK) {
        let range = start..len.min(start + 256 * BLOCK);
        expected.add(&evaluate(1, &batch.part(range.clone()), start, Some(&mut parts[range])));
    }
    for threads in [1, 3] {
        whole.fill(-7.0);
        assert_eq!(evaluate(threads, &batch, 0, Some(&mut whole)), expected);
        assert!(parts == whole, "{threads}");
        assert_eq!(evaluate(threads, &batch, 0, None), expected);
    }
    let values = CORE_CACHE / (size_of::<f32>() + 1);
    let around = [values, values + 1].map(|len| exceeds_cache(&batch.part(0..len), &Slices::default()));
    assert_eq!(around, [false, cfg!(target_arch = "x86_64")]);
}

/// Evaluated from within a pool whose threads are all busy, and by engines that are dropped while tasks are pending.
#[cfg(feature = "threads")]
#[test]
fn threads_that_never_come_are_not_waited_for() {
    let len = 20 * BLOCK;
    let (x, z) = (uniform(22, len), vec![1u8; len]);
    let batch = Batch::logits(&x, &z).unwrap();
    let evaluate = |cpu: &Cpu| cpu.evaluate(&batch, &plain_job(&batch, 1.0), 0, Slices::default());
    let expected = evaluate(&cpu(Level::new(), 1));
    let global = Cpu::global();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let both = || rayon::join(|| (0..100).all(|_| evaluate(&global) == expected), || evaluate(&global) == expected);
    assert_eq!((pool.install(both), both()), ((true, true), (true, true)));
    for _ in 0..50 {
        assert!(evaluate(&cpu(Level::new(), 4)) == expected);
    }
}

#[test]
fn outputs_not_requested_change_nothing() {
    let len = BLOCK + 100;
    let x: Vec<f32> = uniform(8, len).iter().map(|v| v * 8.0 - 4.0).collect();
    let z = uniform(9, len);
    let batch = Batch::logits(&x, &z).unwrap();
    for level in levels() {
        let cpu = cpu(level, 1);
        let expected = all(&cpu, &batch, 1.0, 0);
        for requested in 0..8 {
            let mut memory = [vec![0.0; len], vec![0.0; len], vec![0.0; len]];
            let [loss, gradient, hessian] = &mut memory;
            let slices = Slices {
                loss: (requested & 1 != 0).then_some(&mut loss[..]),
                gradient: (requested & 2 != 0).then_some(&mut gradient[..]),
                hessian: (requested & 4 != 0).then_some(&mut hessian[..]),
                ..Slices::default()
            };
            assert_eq!(cpu.evaluate(&batch, &plain_job(&batch, 1.0), 0, slices), expected.partials);
            for (k, values) in [&expected.loss, &expected.gradient, &expected.hessian].into_iter().enumerate() {
                assert!(requested & 1 << k == 0 || memory[k] == *values, "{requested} {k}");
            }
        }
    }
}

#[test]
fn any_threads_any_cut_any_width() {
    let len = 40 * BLOCK + 333;
    let x: Vec<f32> = uniform(10, len).iter().map(|v| v * 30.0 - 15.0).collect();
    let z = uniform(11, len);
    let batch = Batch::logits(&x, &z).unwrap();
    let mut fused = Vec::new();
    for level in levels() {
        let expected = all(&cpu(level, 1), &batch, 0.1, 0);
        for threads in [2, 3, 7] {
            assert_eq!(all(&cpu(level, threads), &batch, 0.1, 0), expected, "{threads} threads");
        }
        assert_eq!(all(&Cpu::with_level(level, None).unwrap(), &batch, 0.1, 0), expected, "the global pool");
        for cut in [BLOCK, 7 * BLOCK, 40 * BLOCK] {
            let head = all(&cpu(level, 1), &batch.part(0..cut), 0.1, 0);
            let mut tail = all(&cpu(level, 1), &batch.part(cut..len), 0.1, cut as u64);
            tail.partials.add(&head.partials);
            assert_eq!(tail.partials, expected.partials, "{cut}");
            assert_eq!([head.gradient, tail.gradient].concat(), expected.gradient, "{cut}");
        }
        if matches!(level_name(level), "AVX-512" | "AVX2") {
            fused.push(expected.bits());
        }
    }
    // One result for all levels that fuse multiply-adds.
    assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn equal_losses_add_exactly() {
    let z = vec![0.0; 5 * BLOCK];
    for level in levels() {
        let actual = all(&cpu(level, 1), &Batch::logits(&vec![0.3; z.len()], &z).unwrap(), 1.0, 0);
        assert_eq!(actual.partials.sum.value(), f64::from(actual.loss[0]) * z.len() as f64);
    }
}

#[test]
fn finds_the_first_invalid_value() {
    let len = 20 * BLOCK + 50;
    let logits: Vec<f32> = uniform(12, len).iter().map(|v| v * 8.0 - 4.0).collect();
    let probabilities = uniform(13, len);
    let first = 64 * BLOCK as u64;
    let above_1 = f32::from_bits(1.0f32.to_bits() + 1);
    let below_0 = -f32::from_bits(1);
    for level in levels() {
        for index in [0, 1, TILE, BLOCK - 1, BLOCK, 13 * BLOCK + 5, len - 1] {
            let check = |form: Form, x: &[f32], z: Targets<'_>| {
                let actual = all(&cpu(level, 2), &Batch::new(form, x, z).unwrap(), 1.0, first);
                assert_eq!(actual.partials.first_invalid, Some(first + index as u64));
                assert!(actual.partials.sum.value().is_nan());
                assert_eq!(actual.partials.count, len as u64);
                assert_eq!(actual.partials.weight.value(), len as f64);
                for values in [actual.loss, actual.gradient, actual.hessian] {
                    // The last value is invalid in every case below.
                    assert!((0..len).all(|i| values[i].is_nan() == (i == index || i == len - 1)));
                }
            };
            let spoil = |values: &[f32], value: f32| {
                let mut values = values.to_vec();
                (values[index], values[len - 1]) = (value, f32::NAN);
                values
            };
            let z = vec![0.0; len];
            for value in [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001)] {
                check(Form::Logits, &spoil(&logits, value), (&z).into());
            }
            for value in [f32::NAN, above_1, below_0, f32::INFINITY, f32::NEG_INFINITY] {
                check(Form::Probabilities, &spoil(&probabilities, value), (&z).into());
                check(Form::Logits, &logits, (&spoil(&z, value)).into());
                check(Form::Probabilities, &probabilities, (&spoil(&z, value)).into());
            }
            let mut u8s = vec![1; len];
            (u8s[index], u8s[len - 1]) = (2, 255);
            check(Form::Logits, &logits, Targets::U8(&u8s));
        }
    }
}

#[test]
fn info() {
    let info = cpu(Level::new(), 1).info();
    assert_eq!((info.backend.as_str(), info.driver.as_str()), ("cpu", "1 thread"));
    #[cfg(feature = "threads")]
    assert_eq!(cpu(Level::new(), 3).info().driver, "3 threads");
}
