//! The engines under test, random values, and the comparison of results with the contract.

use std::sync::OnceLock;

use logloss::{
    Batch, Device, Engine, EngineOptions, Evaluation, Floats, Form, Objective, Outputs, Reduction, Targets, Value,
};
use logloss_verify::{
    contract::{self, DeviceClass, Kind, Output},
    oracle::{Element, Truth},
};

pub(crate) const FORMS: [Form; 2] = [Form::Logits, Form::Probabilities];

/// The CPU, then every adapter.
pub(crate) fn engines() -> &'static [Engine] {
    static ENGINES: OnceLock<Vec<Engine>> = OnceLock::new();
    ENGINES.get_or_init(|| {
        let mut engines = vec![Engine::cpu()];
        engines.extend(adapters().iter().map(|&index| open(EngineOptions::new(Device::Index(index)))));
        engines
    })
}

/// The engines that run on an adapter.
pub(crate) fn gpu_engines() -> &'static [Engine] {
    &engines()[1..]
}

/// The indices of the adapters of the machine, whose names are printed once.
#[expect(clippy::print_stderr, reason = "a test run says what it ran on")]
pub(crate) fn adapters() -> &'static [usize] {
    static ADAPTERS: OnceLock<Vec<usize>> = OnceLock::new();
    ADAPTERS.get_or_init(|| {
        let adapters = logloss::devices().adapters;
        for adapter in &adapters {
            let info = &adapter.info;
            eprintln!("adapter {}: {} ({}, {})", adapter.index, info.name, info.backend, info.driver);
        }
        if adapters.is_empty() {
            let required = std::env::var("LOGLOSS_REQUIRE_GPU").is_ok_and(|value| value != "0");
            assert!(!required, "LOGLOSS_REQUIRE_GPU is set and wgpu finds no adapter");
            eprintln!("no adapter is present: only the CPU backend is tested");
        }
        adapters.iter().map(|adapter| adapter.index).collect()
    })
}

pub(crate) fn open(options: EngineOptions) -> Engine {
    let wanted = format!("{options:?}");
    Engine::new(options).unwrap_or_else(|error| panic!("{wanted}: {error}"))
}

/// Runs a test on every engine. If it fails, the last line printed names the engine.
#[expect(clippy::print_stderr, reason = "shown when a test fails")]
pub(crate) fn each(mut test: impl FnMut(&Engine)) {
    for engine in engines() {
        eprintln!("on {}", engine.device().name);
        test(engine);
    }
}

/// A different seed for every run, which is printed. `LOGLOSS_SEED` sets the seed, to repeat a run.
#[expect(clippy::print_stderr, reason = "shown when the test fails")]
pub(crate) fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = std::env::var("LOGLOSS_SEED").map_or(now, |seed| seed.parse().expect("LOGLOSS_SEED is a number"));
    eprintln!("LOGLOSS_SEED={seed}");
    seed
}

/// The random number generator SplitMix64, whose values are the same on every platform.
#[derive(Clone)]
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// A number from the uniform distribution on (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) * 2f64.powi(-53)
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A prediction as of a typical model.
    pub(crate) fn prediction(&mut self, form: Form) -> f32 {
        match form {
            Form::Logits => (3.0 * self.normal()) as f32,
            _ => (1.0 / (1.0 + (3.0 * self.normal()).exp())) as f32,
        }
    }

    pub(crate) fn predictions(&mut self, form: Form, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.prediction(form)).collect()
    }

    pub(crate) fn labels(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() & 1) as u8).collect()
    }

    pub(crate) fn soft(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.uniform() as f32).collect()
    }
}

/// Labels packed as bits, least significant first.
pub(crate) fn pack(labels: &[u8]) -> Vec<u8> {
    labels.chunks(8).map(|c| c.iter().rev().fold(0, |byte, z| byte << 1 | z)).collect()
}

pub(crate) fn none() -> Objective {
    Objective::default().with_reduction(Reduction::None)
}

pub(crate) fn batch<'a>(form: Form, predictions: impl Into<Floats<'a>>, targets: impl Into<Targets<'a>>) -> Batch<'a> {
    Batch::new(form, predictions, targets).expect("the lengths match")
}

/// The evaluation of a batch with all outputs.
pub(crate) fn all(engine: &Engine, batch: &Batch<'_>, objective: &Objective) -> Evaluation {
    engine.evaluate(batch, objective, Outputs::all()).unwrap_or_else(|error| panic!("{error}"))
}

/// Loss, gradient and hessian of an evaluation with all outputs.
pub(crate) fn results(evaluation: &Evaluation) -> [&[f32]; 3] {
    [&evaluation.loss, &evaluation.gradient, &evaluation.hessian].map(|output| output.as_deref().expect("asked for"))
}

/// The bits of all results of an evaluation. In this comparison NaN equals itself, and 0 differs from −0.
#[derive(Debug, PartialEq)]
pub(crate) struct Bits {
    pub terms: Vec<u64>,
    pub weight: Vec<u64>,
    pub classes: Vec<(Vec<u64>, u64)>,
    pub value: Vec<u64>,
    pub sum: u64,
    pub count: u64,
    pub first_invalid: Option<u64>,
    pub outputs: [Option<Vec<u32>>; 3],
}

pub(crate) fn bits(evaluation: &Evaluation) -> Bits {
    let outputs = [&evaluation.loss, &evaluation.gradient, &evaluation.hessian];
    let terms = |sum: &logloss::ExactSum| sum.terms().iter().map(|term| term.to_bits()).collect::<Vec<_>>();
    let value = match &evaluation.value {
        Value::Scalar(value) => std::slice::from_ref(value),
        other => other.vector().unwrap_or_default(),
    };
    Bits {
        terms: terms(&evaluation.partials.sum),
        weight: terms(&evaluation.partials.weight),
        classes: evaluation.partials.classes.iter().map(|class| (terms(&class.sum), class.count)).collect(),
        value: value.iter().map(|value| value.to_bits()).collect(),
        sum: evaluation.sum.to_bits(),
        count: evaluation.count,
        first_invalid: evaluation.partials.first_invalid,
        outputs: outputs.map(|output| output.as_ref().map(|values| values.iter().map(|v| v.to_bits()).collect())),
    }
}

/// Asserts that two evaluations agree in every bit. The message names the first difference.
pub(crate) fn assert_same(got: &Evaluation, wanted: &Evaluation, what: &str) {
    let (got, wanted) = (bits(got), bits(wanted));
    for ((got, wanted), name) in got.outputs.iter().zip(&wanted.outputs).zip(["loss", "gradient", "hessian"]) {
        let (Some(got), Some(wanted)) = (got, wanted) else { continue };
        let first = got.iter().zip(wanted).position(|(a, b)| a != b);
        assert_eq!(first, None, "{what}: first difference in {name}");
    }
    assert!(got.terms == wanted.terms && got.sum == wanted.sum, "{what}: another sum");
    assert!(got.weight == wanted.weight, "{what}: another weight");
    assert!(got.classes == wanted.classes, "{what}: other classes");
    assert!(got.value == wanted.value, "{what}: another value");
    assert_eq!((got.count, got.first_invalid), (wanted.count, wanted.first_invalid), "{what}");
    assert!(got == wanted, "{what}: other outputs");
}

/// Asserts that every result of a batch meets the contract, for a coefficient of 1.
pub(crate) fn judge(engine: &Engine, batch: &Batch<'_>, got: [&[f32]; 3]) {
    judge_scaled(engine, batch, got, 1.0);
}

/// Asserts that every result of a batch meets the contract, for a gradient and hessian multiplied by `coefficient`.
pub(crate) fn judge_scaled(engine: &Engine, batch: &Batch<'_>, got: [&[f32]; 3], coefficient: f64) {
    let class = DeviceClass::of(&engine.device());
    for (got, output) in got.into_iter().zip([Output::Loss, Output::Gradient, Output::Hessian]) {
        assert_eq!(got.len(), batch.len());
        for (i, &got) in got.iter().enumerate() {
            let (prediction, target) = (batch.predictions().get(i), batch.targets().get(i));
            let row = contract::find(class, contract::Input::of(batch), Kind::of(target), output).expect("a row");
            let element = Element::of(batch, i);
            let truth = element.truth();
            let (error, ceiling) = if coefficient == 1.0 || output == Output::Loss {
                (row.judge(got, &element, &truth), row.ceiling)
            } else {
                let scaled = |terms: [f64; 2]| terms.map(|term| term * coefficient);
                let truth =
                    Truth { loss: truth.loss, gradient: scaled(truth.gradient), hessian: scaled(truth.hessian) };
                (row.error(got, &truth), contract::COEFFICIENT_FACTOR * row.ceiling + contract::COEFFICIENT_ULP)
            };
            assert!(
                error <= ceiling,
                "{}: {output} {i} of {:?} {prediction:e}, target {target:e} is {got:e}: {error} {}, not {ceiling} ({:?})",
                engine.device().name,
                batch.form(),
                row.unit,
                element.truth()
            );
        }
    }
}

/// The exact sum of the exact losses.
pub(crate) fn true_sum(batch: &Batch<'_>) -> f64 {
    let losses = (0..batch.len()).map(|i| Element::of(batch, i).truth().loss());
    let (mut high, mut low) = (0.0f64, 0.0f64);
    for loss in losses {
        let total = high + loss;
        low += if high >= loss { high - total + loss } else { loss - total + high };
        high = total;
    }
    if high.is_finite() { high + low } else { high }
}

/// Asserts that a sum meets the contract.
pub(crate) fn judge_sum(engine: &Engine, batch: &Batch<'_>, sum: f64) {
    let truth = true_sum(batch);
    let error = contract::relative(sum, truth, batch.len() as u64);
    assert!(error <= 1e-7, "{}: sum of {} is {sum}, not {truth}: {error:e}", engine.device().name, batch.len());
}
