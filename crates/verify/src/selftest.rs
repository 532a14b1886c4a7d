//! The self-test of a device: a fixed sweep of inputs, evaluated by the engine and compared with the oracle.

mod report;
mod values;

use report::{INVALID, LIMITS, NAMES, Report, Results, SAME_BITS};
use values::{Random, Sweep, cross, every, sum, wide, wide_f64};

use logloss::{
    Batch, DeviceInfo, Engine, Error, Floats, Focal, Form, Objective, Outputs, Reduction, Result, Targets,
    half::{bf16, f16},
};

use crate::{
    contract::{self, DeviceClass, Input, Kind},
    oracle::Element,
};

/// The result of a self-test.
///
/// ```
/// let found = logloss_verify::selftest(&logloss::Engine::cpu())?;
/// assert!(found.passed() && found.rows.iter().all(|row| row.worst <= row.ceiling));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SelfTest {
    /// The device that was tested.
    pub device: DeviceInfo,
    /// The largest error found for each row of the [contract](crate::contract::TABLE) for this class of devices,
    /// followed by the checks that must hold exactly.
    pub rows: Vec<SelfTestRow>,
}

/// One row of the contract or one exact check, and the largest error found.
///
/// ```
/// for row in logloss_verify::selftest(&logloss::Engine::cpu())?.rows {
///     println!("{}: {} of {} {}", row.name, row.worst, row.ceiling, row.unit);
/// }
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SelfTestRow {
    /// The name of the row or check.
    pub name: String,
    /// The unit of `ceiling` and `worst`.
    pub unit: &'static str,
    /// The largest allowed error.
    pub ceiling: f64,
    /// The largest error found. It is infinite if a result was NaN, or if the exact value is infinite and the result is
    /// not.
    pub worst: f64,
    /// The input and the result for which `worst` was found; empty if no error was found.
    pub at: String,
    /// The number of results compared.
    pub count: u64,
    /// Whether at least one result was compared and no error exceeds the ceiling.
    pub holds: bool,
}

impl SelfTest {
    /// Whether all rows hold.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.holds)
    }
}

/// Compares the device of an engine with the [oracle](crate::oracle) over a fixed sweep of some two million elements
/// (every exponent of f32 and every value of f16 and bf16 as logits and as probabilities, hard and soft targets in
/// every type, the ends of each range), and reports the largest error of each row of the [contract](crate::contract).
/// This takes about a second, also on a software adapter. For an engine that chooses between devices
/// ([`Device::Auto`](logloss::Device::Auto)), it tests the GPU.
///
/// A device that does not meet the contract is not an error: see [`SelfTest::passed`].
///
/// # Errors
/// [`Error::Device`] if the device failed.
///
/// ```
/// let found = logloss_verify::selftest(&logloss::Engine::cpu())?;
/// assert!(found.passed());
/// # Ok::<(), logloss::Error>(())
/// ```
pub fn selftest(engine: &Engine) -> Result<SelfTest> {
    pollster::block_on(selftest_async(engine))
}

/// [`selftest`], asynchronous.
///
/// # Errors
/// As [`selftest`].
pub async fn selftest_async(engine: &Engine) -> Result<SelfTest> {
    #[cfg(feature = "gpu")]
    let gpu = engine.on_gpu_alone();
    #[cfg(feature = "gpu")]
    let engine = gpu.as_ref().unwrap_or(engine);
    let device = engine.device();
    let mut report = Report::new(DeviceClass::of(&device));
    hard(engine, &mut report).await?;
    soft(engine, &mut report).await?;
    weighted(engine, &mut report).await?;
    focal(engine, &mut report).await?;
    limits(engine, &mut report).await?;
    sums(engine, &mut report).await?;
    invalid(engine, &mut report).await?;
    Ok(SelfTest { device, rows: report.finish() })
}

/// Hard targets with predictions of every type. All results are compared with the oracle, and equal values in different
/// types must give the same bits.
async fn hard(engine: &Engine, report: &mut Report) -> Result<()> {
    for form in [Form::Logits, Form::Probabilities] {
        let (predictions, labels) = cross(&wide(form, 160, 1 << 16), &[0u8, 1]);
        let zs: Vec<f32> = labels.iter().map(|&z| z.into()).collect();
        let bools: Vec<bool> = labels.iter().map(|&z| z == 1).collect();
        let longs: Vec<i64> = labels.iter().map(|&z| z.into()).collect();
        let bits: Vec<u8> = labels.chunks(8).map(|c| c.iter().rev().fold(0, |byte, z| byte << 1 | z)).collect();
        let batch = Batch::new(form, &predictions, &zs)?;
        let wanted = evaluate(engine, &batch).await?;
        report.judge(&batch, &wanted);
        for (targets, what) in [
            (Targets::U8(&labels), "targets as u8"),
            (Targets::Bool(&bools), "targets as bool"),
            (Targets::Bits(&bits), "targets as bits"),
            (Targets::I64(&longs), "targets as i64"),
        ] {
            let got = evaluate(engine, &Batch::new(form, &predictions, targets)?).await?;
            report.same_bits(&got, &wanted, what);
        }
        // All values of f16 and of bf16.
        let halves = every(form, f16::from_bits, f16::to_f64);
        let brains = every(form, bf16::from_bits, bf16::to_f64);
        let (halves, half_labels) = cross(&halves, &[0u8, 1]);
        let (brains, brain_labels) = cross(&brains, &[0u8, 1]);
        let widened: [Vec<f32>; 2] =
            [halves.iter().map(|x| x.to_f32()).collect(), brains.iter().map(|x| x.to_f32()).collect()];
        for (narrow, widened, labels, what) in [
            (Floats::F16(&halves), &widened[0], &half_labels, "predictions as f16"),
            (Floats::Bf16(&brains), &widened[1], &brain_labels, "predictions as bf16"),
        ] {
            let batch = Batch::new(form, narrow, labels)?;
            let got = evaluate(engine, &batch).await?;
            report.judge(&batch, &got);
            let wanted = evaluate(engine, &Batch::new(form, widened, labels)?).await?;
            report.same_bits(&got, &wanted, what);
        }
    }
    let (predictions, labels) = cross(&wide_f64(4, 1 << 16), &[0u8, 1]);
    let batch = Batch::probabilities(&predictions, &labels)?;
    report.judge(&batch, &evaluate(engine, &batch).await?);
    Ok(())
}

/// Soft targets, including values near 0 and near 1.
async fn soft(engine: &Engine, report: &mut Report) -> Result<()> {
    let small = (1..=24).chain([30, 40, 60, 90, 120, 126, 127, 140, 149]).map(|k| 0.5f32.powi(k));
    let targets: Vec<f32> = small.chain((2..=24).map(|k| 1.0 - 0.5f32.powi(k))).chain([0.1, 0.3, 0.7, 0.9]).collect();
    for form in [Form::Logits, Form::Probabilities] {
        let (predictions, targets) = cross(&wide(form, 12, 1 << 13), &targets);
        let batch = Batch::new(form, &predictions, &targets)?;
        report.judge(&batch, &evaluate(engine, &batch).await?);
    }
    let (predictions, targets) = cross(&wide_f64(1, 1 << 12), &targets);
    let batch = Batch::probabilities(&predictions, &targets)?;
    report.judge(&batch, &evaluate(engine, &batch).await?);
    Ok(())
}

/// Weights, pos_weight and label weights together, without and with smoothing.
async fn weighted(engine: &Engine, report: &mut Report) -> Result<()> {
    let objective = Objective::default().with_pos_weight([3.7])?.with_label_weights(0.3, 2.7)?;
    let smoothed = objective.clone().with_label_smoothing(0.1)?;
    parameters(engine, report, Kind::Weighted, &[objective, smoothed]).await
}

/// Focal factors with γ above and below 1, with and without α.
async fn focal(engine: &Engine, report: &mut Report) -> Result<()> {
    let plain = Objective::default();
    let above = plain.clone().with_focal(Focal::new(2.0)?.with_alpha(0.25)?);
    let below = plain.with_focal(Focal::new(0.5)?).with_pos_weight([3.7])?;
    parameters(engine, report, Kind::Focal, &[above, below]).await
}

/// Weighted and focal losses for hard and soft targets, with a different weight for each element.
async fn parameters(engine: &Engine, report: &mut Report, kind: Kind, objectives: &[Objective]) -> Result<()> {
    let mut random = Random(20_261_123);
    let some_targets = [0.0, 1.0, 0.3, 0.5f32.powi(20)];
    let sweeps = [
        (Form::Logits, Sweep::F32(wide(Form::Logits, 6, 1 << 12))),
        (Form::Probabilities, Sweep::F32(wide(Form::Probabilities, 6, 1 << 12))),
        // (The oracle's m^γ and 1/p² are in the range of f64.)
        (
            Form::Probabilities,
            Sweep::F64(wide_f64(1, 1 << 12).into_iter().filter(|&p| p == 0.0 || p > 1e-120).collect()),
        ),
    ];
    for (form, sweep) in sweeps {
        let (sweep, targets) = sweep.cross(&some_targets);
        let weights: Vec<f32> = targets.iter().map(|_| (0.25 + 3.0 * random.uniform()) as f32).collect();
        for objective in objectives {
            let batch = Batch::new(form, sweep.view(), &targets)?.with_weights(&weights)?;
            let objective = objective.clone().with_reduction(Reduction::None);
            let evaluation = engine.evaluate_async(&batch, &objective, Outputs::all()).await?;
            let got = [evaluation.loss, evaluation.gradient, evaluation.hessian].map(Option::unwrap_or_default);
            let elements = elements(&batch, &objective);
            report.judge_elements(&batch, &elements, &[kind], &got);
        }
    }
    Ok(())
}

/// The elements of a batch, for an objective without class weights.
fn elements(batch: &Batch<'_>, objective: &Objective) -> Vec<Element> {
    (0..batch.len())
        .map(|i| Element {
            weight: batch.weights().map_or(1.0, |(weights, _)| weights.get(i)),
            pos_weight: objective.pos_weight().map_or(1.0, |weights| weights[0].into()),
            label_weights: objective.label_weights().unwrap_or([1.0; 2]).map(f64::from),
            smoothing: objective.label_smoothing().into(),
            focal: objective.focal(),
            ..Element::of(batch, i)
        })
        .collect()
}

/// The ends of the range with hard targets, for which every result is known exactly.
async fn limits(engine: &Engine, report: &mut Report) -> Result<()> {
    for (form, ends) in
        [(Form::Logits, [f32::NEG_INFINITY, f32::INFINITY, f32::INFINITY]), (Form::Probabilities, [0.0, 1.0, -0.0])]
    {
        let (predictions, labels) = cross(&ends, &[0u8, 1]);
        let got = evaluate(engine, &Batch::new(form, &predictions, &labels)?).await?;
        for (i, (&prediction, &label)) in predictions.iter().zip(&labels).enumerate() {
            let truth = Element::new(form, prediction.into(), label.into()).truth();
            let wanted = [truth.loss(), truth.gradient(), truth.hessian()];
            for ((name, got), wanted) in NAMES.into_iter().zip(&got).zip(wanted) {
                let got = got[i];
                report.exact(LIMITS, f64::from(got) == wanted, || {
                    format!("{name} is {got}, not {wanted}, at prediction {prediction}, target {label}")
                });
            }
        }
    }
    Ok(())
}

/// Sums of random values, with lengths just below and above a block, and of several blocks.
async fn sums(engine: &Engine, report: &mut Report) -> Result<()> {
    let mut random = Random(20_261_122);
    for input in [Input::Logits, Input::Probabilities, Input::F64Probabilities] {
        let form = input.form();
        for kind in [Kind::Hard, Kind::Soft, Kind::Weighted, Kind::Focal] {
            let objective = match kind {
                Kind::Weighted => Objective::sum().with_label_smoothing(0.1)?,
                Kind::Focal => Objective::sum().with_focal(Focal::new(2.0)?),
                _ => Objective::sum(),
            };
            for length in [100, 2047, 2048, 2049, 10_000, 65_537, 300_000] {
                let predictions = (0..length).map(|_| match 3.0 * random.normal() {
                    x if form == Form::Probabilities => 1.0 / (1.0 + (-x).exp()),
                    x => x,
                });
                let predictions = match input {
                    Input::F64Probabilities => Sweep::F64(predictions.collect()),
                    _ => Sweep::F32(predictions.map(|x| x as f32).collect()),
                };
                let targets: Vec<f32> = (0..length)
                    .map(|_| match kind {
                        Kind::Hard => random.uniform().round() as f32,
                        _ => random.uniform() as f32,
                    })
                    .collect();
                let weights: Vec<f32> = (0..length).map(|_| random.uniform() as f32).collect();
                let mut batch = Batch::new(form, predictions.view(), &targets)?;
                if kind == Kind::Weighted {
                    batch = batch.with_weights(&weights)?;
                }
                let got = engine.evaluate_async(&batch, &objective, Outputs::none()).await?;
                let truth = sum(elements(&batch, &objective).iter().map(|element| element.truth().loss()));
                report.sum(input, kind, contract::relative(got.sum, truth, length), length);
                let all = engine.evaluate_async(&batch, &objective, Outputs::all()).await?;
                report.exact(SAME_BITS, all.sum.to_bits() == got.sum.to_bits(), || {
                    format!("the sum over {length} {input} is {} with outputs, {} without", all.sum, got.sum)
                });
            }
        }
    }
    Ok(())
}

/// Invalid values, which must be found at every position, also if later values are invalid as well.
async fn invalid(engine: &Engine, report: &mut Report) -> Result<()> {
    const LENGTH: usize = 5000;
    const NANS: [u32; 4] = [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xffff_ffff];
    let nans = NANS.map(f32::from_bits);
    let outside = [-1e-45, -0.5, 1.0 + f32::EPSILON, 2.0, f32::INFINITY, f32::NEG_INFINITY];
    let bad = |form| [&nans[..], if form == Form::Probabilities { &outside[..] } else { &[] }].concat();
    for form in [Form::Logits, Form::Probabilities] {
        for (in_targets, values) in [(false, bad(form)), (true, bad(Form::Probabilities))] {
            for value in values {
                for index in [0, 2047, 2048, 3333, LENGTH - 1] {
                    let mut arrays = [vec![0.25f32; LENGTH], vec![1.0f32; LENGTH]];
                    arrays[usize::from(in_targets)][index] = value;
                    arrays[0][index.max(LENGTH - 10)..].fill(value);
                    let batch = Batch::new(form, &arrays[0], &arrays[1])?;
                    let result = engine.evaluate_async(&batch, &Objective::sum(), Outputs::none()).await;
                    let found = match &result {
                        Err(Error::InvalidValue { index: found, .. }) => *found == index as u64,
                        Err(_) => return result.map(|_| ()),
                        Ok(_) => false,
                    };
                    report.exact(INVALID, found, || {
                        let array = if in_targets { "target" } else { form.name() };
                        format!("{array} {value} ({:#010x}) at index {index}: {result:?}", value.to_bits())
                    });
                }
            }
        }
    }
    Ok(())
}

async fn evaluate(engine: &Engine, batch: &Batch<'_>) -> Result<Results> {
    let objective = Objective::default().with_reduction(Reduction::None);
    let evaluation = engine.evaluate_async(batch, &objective, Outputs::all()).await?;
    // A missing output becomes an empty vector, whose length the report rejects.
    Ok([evaluation.loss, evaluation.gradient, evaluation.hessian].map(Option::unwrap_or_default))
}
