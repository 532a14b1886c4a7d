//! Data with known results, for all benchmarks.
#![allow(dead_code, reason = "no benchmark uses all of it")]

use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use logloss::{
    Batch, Evaluation, Floats, Form, Targets,
    half::{bf16, f16},
};
use logloss_verify::oracle::Element;

/// The period of the data, which is the number of values that the oracle evaluates.
const PERIOD: usize = 1 << 12;

/// Predictions and labels in every type.
pub(crate) struct Data {
    logits: Vec<f32>,
    logits_f16: Vec<f16>,
    logits_bf16: Vec<bf16>,
    probabilities: Vec<f32>,
    soft: Vec<f32>,
    bytes: Vec<u8>,
    bits: Vec<u8>,
}

/// The types of the predictions and the targets of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Types {
    F32F32,
    F32U8,
    F32Bits,
    F16U8,
    Bf16U8,
    ProbabilitiesF32,
}

impl Types {
    pub(crate) const ALL: [Self; 6] =
        [Self::F32F32, Self::F32U8, Self::F32Bits, Self::F16U8, Self::Bf16U8, Self::ProbabilitiesF32];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32F32 => "f32,f32",
            Self::F32U8 => "f32,u8",
            Self::F32Bits => "f32,bits",
            Self::F16U8 => "f16,u8",
            Self::Bf16U8 => "bf16,u8",
            Self::ProbabilitiesF32 => "probabilities,f32",
        }
    }
}

impl Data {
    /// Logits of an approximately normal distribution with standard deviation 3, and labels with a base rate of one
    /// half.
    pub(crate) fn new(len: usize) -> Self {
        let unit = |i: usize, stream: u64| {
            // The mixing function of SplitMix64.
            let mut x = ((i % PERIOD) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (stream << 32);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (x >> 40) as f32 / (1 << 24) as f32
        };
        let normal = |i| (0..12).map(|stream| unit(i, stream)).sum::<f32>() - 6.0;
        let logits: Vec<f32> = (0..PERIOD.min(len)).map(|i| 3.0 * normal(i)).collect();
        let logits: Vec<f32> = logits.iter().copied().cycle().take(len).collect();
        let bytes: Vec<u8> = (0..len).map(|i| u8::from(unit(i, 99) < 0.5)).collect();
        Self {
            logits_f16: logits.iter().map(|&x| f16::from_f32(x)).collect(),
            logits_bf16: logits.iter().map(|&x| bf16::from_f32(x)).collect(),
            probabilities: logits.iter().map(|&x| 1.0 / (1.0 + (-x).exp())).collect(),
            soft: bytes.iter().map(|&z| z.into()).collect(),
            bits: bytes.chunks(8).map(|byte| byte.iter().rev().fold(0, |bits, z| (bits << 1) | z)).collect(),
            logits,
            bytes,
        }
    }

    /// A batch of the first `len` values.
    pub(crate) fn batch(&self, types: Types, len: usize) -> Batch<'_> {
        let predictions = match types {
            Types::F32F32 | Types::F32U8 | Types::F32Bits => Floats::F32(&self.logits[..len]),
            Types::F16U8 => Floats::F16(&self.logits_f16[..len]),
            Types::Bf16U8 => Floats::Bf16(&self.logits_bf16[..len]),
            Types::ProbabilitiesF32 => Floats::F32(&self.probabilities[..len]),
        };
        let targets = match types {
            Types::F32F32 | Types::ProbabilitiesF32 => Targets::F32(&self.soft[..len]),
            Types::F32U8 | Types::F16U8 | Types::Bf16U8 => Targets::U8(&self.bytes[..len]),
            Types::F32Bits => Targets::Bits(&self.bits[..len.div_ceil(8)]),
        };
        let form = if matches!(types, Types::ProbabilitiesF32) { Form::Probabilities } else { Form::Logits };
        Batch::new(form, predictions, targets).expect("as many targets as predictions")
    }
}

/// Asserts that a mean and its gradient agree with the oracle.
pub(crate) fn assert_right(batch: &Batch<'_>, evaluation: &Evaluation, gradient: Option<&[f32]>) {
    let len = batch.len();
    let near = |got: f64, want: f64, tolerance: f64| {
        assert!((got - want).abs() <= tolerance * want.abs() + 1e-37, "{got:e} is not {want:e}");
    };
    let truth = |i| Element::new(batch.form(), batch.predictions().get(i), batch.targets().get(i)).truth();
    let truths: Vec<_> = (0..PERIOD.min(len)).map(truth).collect();
    let sum = |count: usize| truths[..count].iter().map(|truth| truth.loss()).sum::<f64>();
    let whole = (len / PERIOD) as f64 * sum(truths.len()) * f64::from(u8::from(len >= PERIOD)) + sum(len % PERIOD);
    near(evaluation.mean, whole / len as f64, 1e-6);
    assert_eq!(evaluation.count, len as u64);
    for (i, got) in gradient.unwrap_or_default().iter().enumerate() {
        near((*got).into(), truths[i % PERIOD].gradient() / len as f64, 1e-5);
    }
}

/// A group whose benchmarks take two seconds each instead of eight.
pub(crate) fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(1500));
    group
}

/// A power of two as text: `2^16` for 65,536.
pub(crate) fn power(len: usize) -> String {
    format!("2^{}", len.ilog2())
}
