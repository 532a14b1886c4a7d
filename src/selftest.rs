//! Whether a device keeps the contract: a fixed sweep through the engine's own door, held against the oracle.

use half::{bf16, f16};

use crate::{
    Batch, DeviceInfo, Engine, Error, Floats, Focal, Form, Objective, Outputs, Reduction, Result, Targets,
    contract::{self, Class, Kind, Output, Row},
    oracle::Element,
};

/// What a self-test found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SelfTest {
    /// The device tested.
    pub device: DeviceInfo,
    /// Each promise, and how far the device stays within it: the rows of the [contract](crate::contract::TABLE)
    /// for this class of device, then what must hold exactly.
    pub rows: Vec<SelfTestRow>,
}

/// One promise, and the worst that was found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SelfTestRow {
    /// What was promised.
    pub name: String,
    /// What `ceiling` and `worst` count.
    pub unit: &'static str,
    /// The largest error allowed.
    pub ceiling: f64,
    /// The largest error found; infinite where a result was NaN or infinite without cause.
    pub worst: f64,
    /// Where it was found.
    pub at: String,
    /// How many results were judged.
    pub count: u64,
    /// Whether the promise was kept: something was judged, and nothing was worse than the ceiling.
    pub holds: bool,
}

impl SelfTest {
    /// Whether every promise was kept.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.holds)
    }
}

impl Engine {
    /// Compares this engine's device with the [oracle](crate::oracle) over a fixed sweep of some two million
    /// elements (every exponent of f32 and every value of f16 and bf16 as logits and as probabilities, hard and
    /// soft targets in every type, the ends of each range), and reports the worst of each row of the
    /// [contract](crate::contract). Takes about a second, on a software adapter too. Of an engine that chooses between
    /// devices ([`Device::Auto`](crate::Device::Auto)) it tests the GPU.
    ///
    /// That the contract is broken is no error: see [`SelfTest::passed`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub async fn selftest_async(&self) -> Result<SelfTest> {
        let engine = self.resident();
        let device = engine.device();
        let mut report = Report::new(Class::of(&device));
        hard(engine, &mut report).await?;
        soft(engine, &mut report).await?;
        weighted(engine, &mut report).await?;
        focal(engine, &mut report).await?;
        limits(engine, &mut report).await?;
        sums(engine, &mut report).await?;
        invalid(engine, &mut report).await?;
        Ok(SelfTest { device, rows: report.finish() })
    }

    /// [`Engine::selftest_async`], blocking.
    ///
    /// # Errors
    /// As [`Engine::selftest_async`].
    pub fn selftest(&self) -> Result<SelfTest> {
        pollster::block_on(self.selftest_async())
    }
}

/// Hard targets with predictions of every type: everything is judged, and what has the same values must have the
/// same bits.
async fn hard(engine: &Engine, report: &mut Report) -> Result<()> {
    for form in [Form::Logits, Form::Probabilities] {
        let (predictions, labels) = cross(&wide(form, 160, 1 << 16), &[0u8, 1]);
        let zs: Vec<f32> = labels.iter().map(|&z| z.into()).collect();
        let bools: Vec<bool> = labels.iter().map(|&z| z == 1).collect();
        let bits: Vec<u8> = labels.chunks(8).map(|c| c.iter().rev().fold(0, |byte, z| byte << 1 | z)).collect();
        let wanted = evaluate(engine, form, Floats::F32(&predictions), Targets::F32(&zs)).await?;
        report.judge(form, Floats::F32(&predictions), Targets::F32(&zs), &wanted);
        for (targets, what) in [
            (Targets::U8(&labels), "targets as u8"),
            (Targets::Bool(&bools), "targets as bool"),
            (Targets::Bits(&bits), "targets as bits"),
        ] {
            let got = evaluate(engine, form, Floats::F32(&predictions), targets).await?;
            report.same_bits(&got, &wanted, what);
        }
        // Two vectors of every value there is.
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
            let got = evaluate(engine, form, narrow, Targets::U8(labels)).await?;
            report.judge(form, narrow, Targets::U8(labels), &got);
            let wanted = evaluate(engine, form, Floats::F32(widened), Targets::U8(labels)).await?;
            report.same_bits(&got, &wanted, what);
        }
    }
    Ok(())
}

/// Soft targets, near to 0 and to 1 too.
async fn soft(engine: &Engine, report: &mut Report) -> Result<()> {
    let small = (1..=24).chain([30, 40, 60, 90, 120, 126, 127, 140, 149]).map(|k| 0.5f32.powi(k));
    let targets: Vec<f32> = small.chain((2..=24).map(|k| 1.0 - 0.5f32.powi(k))).chain([0.1, 0.3, 0.7, 0.9]).collect();
    for form in [Form::Logits, Form::Probabilities] {
        let (predictions, targets) = cross(&wide(form, 12, 1 << 13), &targets);
        let (predictions, targets) = (Floats::F32(&predictions), Targets::F32(&targets));
        let got = evaluate(engine, form, predictions, targets).await?;
        report.judge(form, predictions, targets, &got);
    }
    Ok(())
}

/// Weights, pos_weight, label weights and smoothing, all at once.
async fn weighted(engine: &Engine, report: &mut Report) -> Result<()> {
    let objective = Objective::default().with_pos_weight([3.7])?.with_label_weights(0.3, 2.7)?;
    let smoothed = objective.clone().with_label_smoothing(0.1)?;
    family(engine, report, Kind::Weighted, &[objective, smoothed]).await
}

/// A focal factor that sharpens, and one that does not, with balance and without.
async fn focal(engine: &Engine, report: &mut Report) -> Result<()> {
    let plain = Objective::default();
    let sharp = plain.clone().with_focal(Focal::new(2.0)?.with_alpha(0.25)?);
    let blunt = plain.with_focal(Focal::new(0.5)?).with_pos_weight([3.7])?;
    family(engine, report, Kind::Focal, &[sharp, blunt]).await
}

/// What the family makes of targets of all kinds, each element with a weight of its own.
async fn family(engine: &Engine, report: &mut Report, kind: Kind, objectives: &[Objective]) -> Result<()> {
    let mut random = Random(20_261_123);
    for form in [Form::Logits, Form::Probabilities] {
        let (predictions, targets) = cross(&wide(form, 6, 1 << 12), &[0.0, 1.0, 0.3, 0.5f32.powi(20)]);
        let weights: Vec<f32> = predictions.iter().map(|_| (0.25 + 3.0 * random.uniform()) as f32).collect();
        for objective in objectives {
            let batch = Batch::new(form, &predictions, &targets)?.with_weights(&weights)?;
            let objective = objective.clone().with_reduction(Reduction::None);
            let evaluation = engine.evaluate_async(&batch, &objective, Outputs::all()).await?;
            let got = [evaluation.loss, evaluation.gradient, evaluation.hessian].map(Option::unwrap_or_default);
            let elements = elements(&batch, &objective);
            report.judge_elements(form, "f32", &elements, &[kind], &got);
        }
    }
    Ok(())
}

/// The elements of a batch with weights of its own and an objective without classes.
fn elements(batch: &Batch<'_>, objective: &Objective) -> Vec<Element> {
    (0..batch.len())
        .map(|i| Element {
            weight: batch.weight(i),
            pos_weight: objective.pos_weight().map_or(1.0, |weights| weights[0].into()),
            label_weights: objective.label_weights().unwrap_or([1.0; 2]).map(f64::from),
            smoothing: objective.label_smoothing().into(),
            focal: objective.focal(),
            ..Element::new(batch.form(), batch.predictions().get(i), batch.targets().get(i))
        })
        .collect()
}

/// The ends of the range with hard targets, where every result is known exactly.
async fn limits(engine: &Engine, report: &mut Report) -> Result<()> {
    for (form, ends) in
        [(Form::Logits, [f32::NEG_INFINITY, f32::INFINITY, f32::INFINITY]), (Form::Probabilities, [0.0, 1.0, -0.0])]
    {
        let (predictions, labels) = cross(&ends, &[0u8, 1]);
        let got = evaluate(engine, form, Floats::F32(&predictions), Targets::U8(&labels)).await?;
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

/// Sums over random values, of lengths on both sides of a block's and of a few blocks'.
async fn sums(engine: &Engine, report: &mut Report) -> Result<()> {
    let mut random = Random(20_261_122);
    for form in [Form::Logits, Form::Probabilities] {
        for kind in [Kind::Hard, Kind::Soft, Kind::Weighted, Kind::Focal] {
            let objective = match kind {
                Kind::Weighted => Objective::sum().with_label_smoothing(0.1)?,
                Kind::Focal => Objective::sum().with_focal(Focal::new(2.0)?),
                _ => Objective::sum(),
            };
            for length in [100, 2047, 2048, 2049, 10_000, 65_537, 300_000] {
                let predictions: Vec<f32> = (0..length)
                    .map(|_| match form {
                        Form::Logits => (random.normal() * 3.0) as f32,
                        Form::Probabilities => (1.0 / (1.0 + (-3.0 * random.normal()).exp())) as f32,
                    })
                    .collect();
                let targets: Vec<f32> = (0..length)
                    .map(|_| match kind {
                        Kind::Hard => random.uniform().round() as f32,
                        _ => random.uniform() as f32,
                    })
                    .collect();
                let weights: Vec<f32> = (0..length).map(|_| random.uniform() as f32).collect();
                let mut batch = Batch::new(form, &predictions, &targets)?;
                if kind == Kind::Weighted {
                    batch = batch.with_weights(&weights)?;
                }
                let got = engine.evaluate_async(&batch, &objective, Outputs::none()).await?;
                let truth = sum(elements(&batch, &objective).iter().map(|element| element.truth().loss()));
                report.sum(form, kind, contract::relative(got.sum, truth, length), length);
                let all = engine.evaluate_async(&batch, &objective, Outputs::all()).await?;
                report.exact(SAME_BITS, all.sum.to_bits() == got.sum.to_bits(), || {
                    format!("the sum over {length} {} is {} with outputs, {} without", name(form), all.sum, got.sum)
                });
            }
        }
    }
    Ok(())
}

/// Values that must be refused, wherever they lie and whatever else is invalid behind them.
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
                        let array = if in_targets { "target" } else { name(form) };
                        format!("{array} {value} ({:#010x}) at index {index}: {result:?}", value.to_bits())
                    });
                }
            }
        }
    }
    Ok(())
}

/// Loss, gradient and hessian of each element, as they come from the engine.
type Results = [Vec<f32>; 3];

async fn evaluate(engine: &Engine, form: Form, predictions: Floats<'_>, targets: Targets<'_>) -> Result<Results> {
    let batch = Batch::new(form, predictions, targets)?;
    let objective = Objective::default().with_reduction(Reduction::None);
    let evaluation = engine.evaluate_async(&batch, &objective, Outputs::all()).await?;
    // An output that is missing has the wrong length, which the report judges.
    Ok([evaluation.loss, evaluation.gradient, evaluation.hessian].map(Option::unwrap_or_default))
}

const NAMES: [&str; 3] = ["loss", "gradient", "hessian"];
const LIMITS: &str = "limits at the ends of the range";
const SAME_BITS: &str = "same values in another type, same bits";
const INVALID: &str = "invalid values found at their index";

fn name(form: Form) -> &'static str {
    contract::form_name(form)
}

/// The rows in the making.
struct Report {
    class: Class,
    rows: Vec<SelfTestRow>,
}

impl Report {
    fn new(class: Class) -> Self {
        let empty = |name: String, unit, ceiling| SelfTestRow {
            name,
            unit,
            ceiling,
            worst: 0.0,
            at: String::new(),
            count: 0,
            holds: false,
        };
        let promised = contract::TABLE.iter().filter(|row| row.class == class).map(|row| {
            let beyond = if row.focal > 0.0 {
                format!(", beyond {}·γ·(1 + |ln(1 − p_t)|)", row.focal)
            } else {
                String::new()
            };
            let name = format!("{}, {}, {}{beyond}", row.output, name(row.form), row.kind);
            empty(name, row.unit.name(), row.ceiling)
        });
        let exact = [LIMITS, SAME_BITS, INVALID].map(|name| empty(name.into(), "differences", 0.0));
        Self { class, rows: promised.chain(exact).collect() }
    }

    /// The promise, and the row that reports on it.
    fn promise(&mut self, form: Form, kind: Kind, output: Output) -> (&'static Row, &mut SelfTestRow) {
        let class = self.class;
        let mut promised = contract::TABLE.iter().filter(|row| row.class == class).zip(&mut self.rows);
        promised
            .find(|(row, _)| (row.form, row.kind, row.output) == (form, kind, output))
            .expect("the table has a row for every output")
    }

    /// Holds each result against the oracle.
    fn judge(&mut self, form: Form, predictions: Floats<'_>, targets: Targets<'_>, got: &Results) {
        let stored = match predictions {
            Floats::F32(_) => "f32",
            Floats::F16(_) => "f16",
            Floats::Bf16(_) => "bf16",
        };
        let elements: Vec<_> =
            (0..predictions.len()).map(|i| Element::new(form, predictions.get(i), targets.get(i))).collect();
        self.judge_elements(form, stored, &elements, &[Kind::Hard, Kind::Soft], got);
    }

    /// Holds each result against the oracle; the elements are of these kinds.
    fn judge_elements(&mut self, form: Form, stored: &str, elements: &[Element], kinds: &[Kind], got: &Results) {
        let truths: Vec<_> = elements.iter().map(|element| (Kind::of_element(element), element.truth())).collect();
        for (got, output) in got.iter().zip([Output::Loss, Output::Gradient, Output::Hessian]) {
            for &kind in kinds {
                let (rule, row) = self.promise(form, kind, output);
                if got.len() != truths.len() {
                    row.note(f64::INFINITY, || format!("{} results for {} values", got.len(), truths.len()));
                    continue;
                }
                for (i, (_, truth)) in truths.iter().enumerate().filter(|(_, (k, _))| *k == kind) {
                    row.note(rule.judge(got[i], &elements[i], truth), || {
                        let Element { prediction, target, .. } = elements[i];
                        let (value, [a, b]) = match output {
                            Output::Loss => (truth.loss(), truth.loss),
                            Output::Gradient => (truth.gradient(), truth.gradient),
                            _ => (truth.hessian(), truth.hessian),
                        };
                        let terms = if kind == Kind::Hard { String::new() } else { format!(" ({a:e} + {b:e})") };
                        format!("{stored} {prediction:e}, target {target:e}: {:e} for {value:e}{terms}", got[i])
                    });
                }
            }
        }
    }

    fn sum(&mut self, form: Form, kind: Kind, error: f64, length: u64) {
        self.promise(form, kind, Output::Sum).1.note(error, || format!("{length} values"));
    }

    fn same_bits(&mut self, got: &Results, wanted: &Results, what: &str) {
        for ((name, got), wanted) in NAMES.into_iter().zip(got).zip(wanted) {
            let first = got.iter().zip(wanted).position(|(a, b)| a.to_bits() != b.to_bits());
            self.exact(SAME_BITS, got.len() == wanted.len() && first.is_none(), || match first {
                Some(i) => format!("{name} of element {i} with {what}: {:e}, not {:e}", got[i], wanted[i]),
                None => format!("{name} with {what}: {} results, not {}", got.len(), wanted.len()),
            });
        }
    }

    /// Notes one check of a row that counts differences.
    fn exact(&mut self, name: &str, holds: bool, at: impl FnOnce() -> String) {
        let row = self.rows.iter_mut().find(|row| row.name == name).expect("one of the exact rows");
        let differences = row.worst + f64::from(u8::from(!holds));
        row.note(differences, at);
    }

    fn finish(mut self) -> Vec<SelfTestRow> {
        for row in &mut self.rows {
            row.holds = row.count > 0 && row.worst <= row.ceiling;
        }
        self.rows
    }
}

impl SelfTestRow {
    fn note(&mut self, error: f64, at: impl FnOnce() -> String) {
        self.count += 1;
        // What cannot be compared is as bad as can be.
        let error = if error.is_nan() { f64::INFINITY } else { error };
        if error > self.worst {
            self.worst = error;
            self.at = at();
        }
    }
}

/// Every pair of a prediction and a target.
fn cross<P: Copy, T: Copy>(predictions: &[P], targets: &[T]) -> (Vec<P>, Vec<T>) {
    predictions.iter().flat_map(|&p| targets.iter().map(move |&t| (p, t))).unzip()
}

/// Every valid prediction of a 16-bit type.
fn every<P: Copy>(form: Form, from_bits: fn(u16) -> P, to_f64: fn(P) -> f64) -> Vec<P> {
    (0..=u16::MAX).map(from_bits).filter(|&p| valid(form, to_f64(p))).collect()
}

fn valid(form: Form, prediction: f64) -> bool {
    match form {
        Form::Logits => !prediction.is_nan(),
        Form::Probabilities => (0.0..=1.0).contains(&prediction),
    }
}

/// f32 predictions: every exponent with this many mantissas and both signs, this many values evenly over the
/// range where results are neither 0 nor certain, and what is special. Those that are not valid are left out.
fn wide(form: Form, mantissas: u32, linear: u32) -> Vec<f32> {
    let mut values = Vec::new();
    for exponent in 0..=0xff {
        // An odd step, so that the low bits vary; the first and the last one always.
        let step = ((1 << 23) / mantissas) | 1;
        let fractions = (0..mantissas).map(|i| i * step % (1 << 23)).chain([1, (1 << 23) - 1]);
        values.extend(fractions.map(|fraction| f32::from_bits(exponent << 23 | fraction)));
    }
    match form {
        Form::Logits => {
            values.extend((0..=linear).map(|i| (110.0 * f64::from(i) / f64::from(linear)) as f32));
            // Where an argument reduction changes over, and its neighbours.
            let ln2 = std::f64::consts::LN_2;
            values.extend((0..320).flat_map(|n| around((f64::from(n) * 0.5 * ln2) as f32)));
            values.extend([f32::INFINITY, f32::MAX, f32::MIN_POSITIVE]);
            let negated: Vec<f32> = values.iter().map(|&x| -x).collect();
            values.extend(negated);
        }
        Form::Probabilities => {
            values.extend((0..=linear).map(|i| (f64::from(i) / f64::from(linear)) as f32));
            values.extend((0..=4096).map(|i| f32::from_bits(1f32.to_bits() - i)));
            values.extend((1..=24).flat_map(|k| around(1.0 - 0.5f32.powi(k))));
            values.extend((1..=148).flat_map(|k| around(0.5f32.powi(k))));
            values.push(-0.0);
        }
    }
    values.retain(|&p| valid(form, p.into()));
    values
}

/// A value and the four nearest to it on each side, as far as they are of the same sign.
fn around(value: f32) -> impl Iterator<Item = f32> {
    let bits = value.to_bits();
    (bits.saturating_sub(4)..=bits + 4).map(f32::from_bits)
}

/// The sum of values that are not negative, to nearly twice the digits of f64 (Neumaier, "Rundungsfehleranalyse
/// einiger Verfahren zur Summation endlicher Summen", 1974).
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut high, mut low) = (0.0f64, 0.0f64);
    for value in values {
        let total = high + value;
        low += if high >= value { high - total + value } else { value - total + high };
        high = total;
    }
    // Past infinity the rest is NaN.
    if high.is_finite() { high + low } else { high }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): the same sweep
/// everywhere, with no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) * 2f64.powi(-53)
    }

    /// Close enough to standard normal (Irwin–Hall).
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// The comparer must be able to fail: each kind of wrong result is fed to it.
#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [Form; 2] = [Form::Logits, Form::Probabilities];

    fn inputs(form: Form) -> (Vec<f32>, Vec<f32>) {
        cross(&wide(form, 4, 64), &[0.0, 1.0, 0.3])
    }

    /// The oracle's own results, rounded.
    fn right(form: Form) -> Results {
        let (predictions, targets) = inputs(form);
        let truths: Vec<_> =
            predictions.iter().zip(&targets).map(|(&x, &z)| Element::new(form, x.into(), z.into()).truth()).collect();
        [
            truths.iter().map(|t| t.loss() as f32).collect(),
            truths.iter().map(|t| t.gradient() as f32).collect(),
            truths.iter().map(|t| t.hessian() as f32).collect(),
        ]
    }

    /// The names of the rows that results break.
    fn broken(form: Form, got: &Results) -> Vec<String> {
        let (predictions, targets) = inputs(form);
        let mut report = Report::new(Class::Wgsl);
        report.judge(form, Floats::F32(&predictions), Targets::F32(&targets), got);
        report.finish().into_iter().filter(|row| row.count > 0 && !row.holds).map(|row| row.name).collect()
    }

    #[test]
    fn right_results_pass() {
        for form in FORMS {
            assert_eq!(broken(form, &right(form)), [""; 0], "{form:?}");
        }
    }

    #[test]
    fn one_wrong_value_fails() {
        for form in FORMS {
            let right = right(form);
            let (_, targets) = inputs(form);
            for output in 0..3 {
                // A result of ordinary size: one in the sweep is flushed, infinite or 0 and would hide nothing.
                let normal: Vec<usize> = (0..right[0].len()).filter(|&i| right[output][i].is_normal()).collect();
                for &index in normal.iter().step_by(normal.len() / 20) {
                    let value = right[output][index];
                    let eight_up = f32::from_bits(value.to_bits() + 8);
                    for wrong in [f32::NAN, -f32::NAN, f32::INFINITY, -value, eight_up, value * 1.001] {
                        let mut got = right.clone();
                        got[output][index] = wrong;
                        let soft_gradient = output == 1 && Kind::of(targets[index].into()) == Kind::Soft;
                        if soft_gradient && (wrong - value).abs() < 0.01 * value.abs() {
                            continue; // its unit is that of the terms
                        }
                        let rows = broken(form, &got);
                        assert_eq!(rows.len(), 1, "{form:?} {index}: {wrong:e} passes for {value:e}: {rows:?}");
                        assert!(rows[0].starts_with(NAMES[output]), "{rows:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn swapped_shifted_and_missing_outputs_fail() {
        for form in FORMS {
            for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                let mut got = right(form);
                got.swap(a, b);
                assert!(broken(form, &got).len() >= 4, "{form:?} with outputs {a} and {b} swapped");
            }
            for output in 0..3 {
                for shift in [1, 2, 3] {
                    let mut got = right(form);
                    got[output].rotate_right(shift);
                    assert!(!broken(form, &got).is_empty(), "{form:?} shifted by {shift}");
                }
                let mut got = right(form);
                got[output].pop();
                assert_eq!(broken(form, &got).len(), 2, "{form:?} one short");
                got[output].clear();
                assert_eq!(broken(form, &got).len(), 2, "{form:?} missing");
                let mut got = right(form);
                got[output].fill(0.0);
                assert_eq!(broken(form, &got).len(), 2, "{form:?} never written");
            }
        }
    }

    type Formula = fn(f32, f32) -> f32;

    /// What the formulas that everybody starts with give, in f32.
    #[test]
    fn textbook_formulas_fail() {
        let (predictions, targets) = inputs(Form::Logits);
        let each = |f: Formula| -> Vec<f32> { predictions.iter().zip(&targets).map(|(&x, &z)| f(x, z)).collect() };
        let attempts: [(usize, Formula); 4] = [
            (0, |x, z| x.max(0.0) - x * z + (1.0 + (-x.abs()).exp()).ln()),
            (0, |x, z| x.max(0.0) - x * z + (-x.abs()).exp().ln_1p()),
            (1, |x, z| 1.0 / (1.0 + (-x).exp()) - z),
            (2, |x, _| {
                let s = 1.0 / (1.0 + (-x).exp());
                s * (1.0 - s)
            }),
        ];
        for (output, formula) in attempts {
            let mut got = right(Form::Logits);
            got[output] = each(formula);
            assert!(!broken(Form::Logits, &got).is_empty(), "output {output}");
        }
    }

    #[test]
    fn differing_bits_fail() {
        let right = right(Form::Logits);
        let differs = |got: &Results| {
            let mut report = Report::new(Class::Cpu);
            report.same_bits(got, &right, "a test");
            report.finish().into_iter().any(|row| row.name == SAME_BITS && !row.holds)
        };
        assert!(!differs(&right));
        for output in 0..3 {
            let mut got = right.clone();
            let last = got[output].len() - 1;
            got[output][last] = -got[output][last];
            assert!(differs(&got), "a sign");
            got[output].pop();
            assert!(differs(&got), "one short");
        }
    }

    #[test]
    fn what_was_never_judged_does_not_hold() {
        let rows = Report::new(Class::Cpu).finish();
        assert!(rows.iter().all(|row| !row.holds));
        let device = crate::DeviceInfo {
            name: String::new(),
            backend: String::new(),
            kind: crate::DeviceKind::Cpu,
            driver: String::new(),
        };
        assert!(!SelfTest { device: device.clone(), rows }.passed());
        assert!(!SelfTest { device, rows: Vec::new() }.passed());
    }

    #[test]
    fn the_worst_stays() {
        let mut report = Report::new(Class::Cpu);
        for error in [1e-9, f64::NAN, 1e-9] {
            report.sum(Form::Logits, Kind::Hard, error, 7);
        }
        report.exact(LIMITS, false, || "here".into());
        report.exact(LIMITS, true, || "there".into());
        report.exact(SAME_BITS, true, || "nowhere".into());
        let rows = report.finish();
        let row = |name: &str| rows.iter().find(|row| row.name == name).expect("there");
        let sum = row("sum, logits, targets 0 or 1");
        assert!(sum.worst.is_infinite() && !sum.holds && sum.count == 3);
        assert_eq!((row(LIMITS).worst, row(LIMITS).at.as_str(), row(LIMITS).holds), (1.0, "here", false));
        assert!(row(SAME_BITS).holds);
    }

    #[test]
    fn sums_to_twice_the_digits() {
        assert_eq!(sum([1.0, 1e-20, 1e20, 1e-20].into_iter()), 1e20 + 1.0);
        assert_eq!(sum((0..1000).map(|_| 0.1)), 100.0);
        assert_eq!(sum([f64::INFINITY, 1.0].into_iter()), f64::INFINITY);
    }

    #[test]
    fn the_sweep_reaches_every_exponent() {
        for form in FORMS {
            let values = wide(form, 160, 1 << 10);
            let of = |exponent: u32| values.iter().filter(|v| v.to_bits() >> 23 & 0xff == exponent).count();
            let last = if form == Form::Logits { 254 } else { 126 };
            assert!((0..=last).all(|exponent| of(exponent) >= 160), "{form:?}");
        }
        assert_eq!(every(Form::Logits, f16::from_bits, f16::to_f64).len(), 65536 - 2 * 1023);
        assert_eq!(every(Form::Logits, bf16::from_bits, bf16::to_f64).len(), 65536 - 2 * 127);
    }
}
