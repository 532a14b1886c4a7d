//! Random batches with weights, masks, classes and options of every kind, and their exact results.

use logloss::{
    Batch, Compat, Engine, Evaluation, Floats, Focal, Form, Ignore, Objective, Reduction, Targets, Value, WeightShape,
    Weights,
    half::{bf16, f16},
};
use logloss_verify::{
    contract::{self, DeviceClass, Kind, Output},
    oracle::Element,
};

use crate::common::{Random, pack};

/// The storage type of predictions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stored {
    F32,
    F16,
    Bf16,
    F64,
}

/// The kind and storage type of targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Labels {
    Soft,
    Hard,
    U8,
    Bool,
    Bits,
    I64,
}

/// The shape and storage type of weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Weighing {
    None,
    Elements,
    ElementsF16,
    Samples,
    SamplesF16,
}

/// All options of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recipe {
    pub form: Form,
    pub stored: Stored,
    pub labels: Labels,
    pub weighing: Weighing,
    pub mask: bool,
    pub ignore: bool,
    pub class_weights: bool,
    /// 0 for none, 1 for one value for all classes, 2 for one value per class.
    pub pos_weight: u8,
    pub label_weights: bool,
    pub smoothing: f32,
    pub gamma: Option<f32>,
    pub alpha: Option<f32>,
    pub reduction: Reduction,
    pub compat: Option<Compat>,
    pub scale: f32,
}

impl Recipe {
    pub(crate) fn plain(form: Form) -> Self {
        Self {
            form,
            stored: Stored::F32,
            labels: Labels::Soft,
            weighing: Weighing::None,
            mask: false,
            ignore: false,
            class_weights: false,
            pos_weight: 0,
            label_weights: false,
            smoothing: 0.0,
            gamma: None,
            alpha: None,
            reduction: Reduction::Mean,
            compat: None,
            scale: 1.0,
        }
    }

    /// Random options.
    pub(crate) fn random(random: &mut Random) -> Self {
        let labels = pick(random, &[Labels::Soft, Labels::Hard, Labels::U8, Labels::Bool, Labels::Bits, Labels::I64]);
        Self {
            form: pick(random, &crate::common::FORMS),
            stored: pick(random, &[Stored::F32, Stored::F32, Stored::F16, Stored::Bf16, Stored::F64]),
            labels,
            weighing: pick(
                random,
                &[Weighing::None, Weighing::Elements, Weighing::ElementsF16, Weighing::Samples, Weighing::SamplesF16],
            ),
            mask: random.below(2) == 0,
            ignore: matches!(labels, Labels::Soft | Labels::Hard | Labels::U8 | Labels::I64) && random.below(2) == 0,
            class_weights: random.below(2) == 0,
            pos_weight: random.below(3) as u8,
            label_weights: random.below(2) == 0,
            smoothing: pick(random, &[0.0, 0.0, 0.1, 1e-3, 0.5]),
            gamma: pick(random, &[None, None, Some(0.0), Some(0.3), Some(0.5), Some(1.0), Some(2.0), Some(5.0)]),
            alpha: pick(random, &[None, Some(0.25), Some(0.0), Some(1.0)]),
            reduction: pick(random, &REDUCTIONS),
            compat: None,
            scale: pick(random, &[1.0, -0.5, 0.1]),
        }
    }

    pub(crate) fn objective(&self, random: &mut Random, classes: usize) -> Objective {
        let mut objective = Objective::default().with_reduction(self.reduction).with_scale(self.scale).expect("finite");
        if self.class_weights {
            objective = objective.with_class_weights(some_weights(random, classes)).expect("valid");
        }
        if self.pos_weight > 0 {
            let count = if self.pos_weight == 1 { 1 } else { classes };
            let weights: Vec<f32> = (0..count).map(|_| (4.0 * random.uniform()) as f32).collect();
            objective = objective.with_pos_weight(weights).expect("valid");
        }
        if self.label_weights {
            objective = objective.with_label_weights(0.3, 2.7).expect("valid");
        }
        objective = objective.with_label_smoothing(self.smoothing).expect("valid");
        if self.gamma.is_some() || self.alpha.is_some() {
            let mut focal = Focal::new(self.gamma.unwrap_or(0.0)).expect("valid");
            if let Some(alpha) = self.alpha {
                focal = focal.with_alpha(alpha).expect("valid");
            }
            objective = objective.with_focal(focal);
        }
        if self.ignore {
            objective = objective.with_ignore(match self.labels {
                Labels::U8 => Ignore::Label(255),
                Labels::I64 => Ignore::Label(IGNORED),
                _ => Ignore::Nan,
            });
        }
        if let Some(compat) = self.compat {
            objective = objective.with_compat(compat);
        }
        objective
    }

    /// A batch of `rows` rows, with its objective.
    pub(crate) fn scene(&self, random: &mut Random, rows: usize, classes: usize) -> Scene {
        let len = rows * classes;
        let objective = self.objective(random, classes);
        let mut predictions = random.predictions(self.form, len);
        let mut soft: Vec<f32> = match self.labels {
            Labels::Soft => (0..len)
                .map(|_| match random.below(4) {
                    0 => 0.0,
                    1 => 1.0,
                    _ => random.uniform() as f32,
                })
                .collect(),
            _ => random.labels(len).into_iter().map(f32::from).collect(),
        };
        let mut labels: Vec<u8> = soft.iter().map(|&z| z.round() as u8).collect();
        let count = match self.weighing {
            Weighing::None => 0,
            Weighing::Elements | Weighing::ElementsF16 => len,
            Weighing::Samples | Weighing::SamplesF16 => rows,
        };
        let mut weights = some_weights(random, count);
        let mask: Vec<u8> = (0..len).map(|_| u8::from(random.below(4) != 0)).collect();
        for i in 0..len {
            let labelled = self.ignore && random.below(5) == 0;
            if labelled {
                (soft[i], labels[i]) = (f32::NAN, 255);
            }
            // The prediction of an ignored or masked element may be any value.
            if labelled || self.mask && mask[i] == 0 {
                predictions[i] = pick(random, &[f32::NAN, f32::INFINITY, -7.0, 1e30]);
                if count == len && classes > 0 && matches!(self.weighing, Weighing::Elements | Weighing::ElementsF16) {
                    weights[i] = pick(random, &[f32::NAN, -1.0, f32::INFINITY]);
                }
                if !labelled && !self.ignore && matches!(self.labels, Labels::Soft | Labels::Hard) {
                    soft[i] = pick(random, &[f32::NAN, -3.0, 1e9]);
                }
            }
        }
        let doubles = predictions.iter().map(|&x| double(random, self.form, x)).collect();
        Scene {
            form: self.form,
            classes,
            stored: self.stored,
            halves: predictions.iter().map(|&x| f16::from_f32(x)).collect(),
            brains: predictions.iter().map(|&x| bf16::from_f32(x)).collect(),
            doubles,
            predictions,
            labels: self.labels,
            longs: labels.iter().map(|&z| if z == 255 { IGNORED } else { z.into() }).collect(),
            bools: labels.iter().map(|&z| z == 1).collect(),
            bits: pack(&labels.iter().map(|&z| z & 1).collect::<Vec<_>>()),
            soft,
            bytes: labels,
            weighing: self.weighing,
            weight_halves: weights.iter().map(|&w| f16::from_f32(w)).collect(),
            weights,
            mask: self.mask.then(|| pack(&mask)),
            objective,
        }
    }
}

/// The label of ignored elements whose targets are i64.
const IGNORED: i64 = -100;

/// An f64 prediction: a probability that is not an f32, at times closer to 0 or 1 than f32 can tell; or the same logit.
fn double(random: &mut Random, form: Form, x: f32) -> f64 {
    let x = f64::from(x);
    if form == Form::Logits || !(0.0..=1.0).contains(&x) {
        return x;
    }
    let distance = 10f64.powf(-15.0 * random.uniform());
    match random.below(4) {
        0 => 1.0 - distance,
        1 => distance,
        _ => x * (1.0 - 1e-9 * random.uniform()),
    }
}

pub(crate) const REDUCTIONS: [Reduction; 6] =
    [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::WeightedMean, Reduction::PerClass, Reduction::PerRow];

pub(crate) fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())]
}

/// Weights of all magnitudes, including 0.
pub(crate) fn some_weights(random: &mut Random, count: usize) -> Vec<f32> {
    (0..count).map(|_| if random.below(8) == 0 { 0.0 } else { (3.0 * random.uniform()) as f32 }).collect()
}

/// A batch that owns its arrays, and an objective.
#[derive(Clone)]
pub(crate) struct Scene {
    pub form: Form,
    pub classes: usize,
    pub stored: Stored,
    pub predictions: Vec<f32>,
    pub halves: Vec<f16>,
    pub brains: Vec<bf16>,
    pub doubles: Vec<f64>,
    pub labels: Labels,
    pub soft: Vec<f32>,
    pub bytes: Vec<u8>,
    pub bools: Vec<bool>,
    pub bits: Vec<u8>,
    pub longs: Vec<i64>,
    pub weighing: Weighing,
    pub weights: Vec<f32>,
    pub weight_halves: Vec<f16>,
    pub mask: Option<Vec<u8>>,
    pub objective: Objective,
}

impl Scene {
    pub(crate) fn batch(&self) -> Batch<'_> {
        self.part(0..self.predictions.len())
    }

    /// A part of the batch that consists of whole rows, and whose first value has an index that is a multiple of 8.
    pub(crate) fn part(&self, range: std::ops::Range<usize>) -> Batch<'_> {
        let predictions = match self.stored {
            Stored::F32 => Floats::F32(&self.predictions[range.clone()]),
            Stored::F16 => Floats::F16(&self.halves[range.clone()]),
            Stored::Bf16 => Floats::Bf16(&self.brains[range.clone()]),
            Stored::F64 => Floats::F64(&self.doubles[range.clone()]),
        };
        let bytes = range.start / 8..range.end.div_ceil(8);
        let rows = range.start / self.classes..range.end / self.classes;
        let targets = match self.labels {
            Labels::Soft | Labels::Hard => Targets::F32(&self.soft[range.clone()]),
            Labels::U8 => Targets::U8(&self.bytes[range.clone()]),
            Labels::Bool => Targets::Bool(&self.bools[range.clone()]),
            Labels::Bits => Targets::Bits(&self.bits[bytes.clone()]),
            Labels::I64 => Targets::I64(&self.longs[range.clone()]),
        };
        let batch = Batch::new(self.form, predictions, targets).and_then(|batch| batch.with_classes(self.classes));
        let batch = batch.expect("the lengths match");
        let batch = match self.weighing {
            Weighing::None => Ok(batch),
            Weighing::Elements => batch.with_weights(Weights::F32(&self.weights[range])),
            Weighing::ElementsF16 => batch.with_weights(Weights::F16(&self.weight_halves[range])),
            Weighing::Samples => batch.with_sample_weights(Weights::F32(&self.weights[rows])),
            Weighing::SamplesF16 => batch.with_sample_weights(Weights::F16(&self.weight_halves[rows])),
        };
        let batch = batch.expect("the lengths match");
        match &self.mask {
            Some(mask) => batch.with_mask(&mask[bytes]).expect("as many bits"),
            None => batch,
        }
    }
}

impl Scene {
    /// The rows of `range`, with bits that start with a byte.
    pub(crate) fn shard(&self, rows: std::ops::Range<usize>) -> Scene {
        let range = rows.start * self.classes..rows.end * self.classes;
        let bits = |bytes: &[u8]| {
            let bits = range.clone().map(|i| bytes[i / 8] >> (i % 8) & 1);
            pack(&bits.collect::<Vec<_>>())
        };
        let of_weights = match self.weighing {
            Weighing::None => 0..0,
            Weighing::Elements | Weighing::ElementsF16 => range.clone(),
            Weighing::Samples | Weighing::SamplesF16 => rows,
        };
        Scene {
            predictions: self.predictions[range.clone()].to_vec(),
            halves: self.halves[range.clone()].to_vec(),
            brains: self.brains[range.clone()].to_vec(),
            doubles: self.doubles[range.clone()].to_vec(),
            longs: self.longs[range.clone()].to_vec(),
            soft: self.soft[range.clone()].to_vec(),
            bytes: self.bytes[range.clone()].to_vec(),
            bools: self.bools[range.clone()].to_vec(),
            bits: bits(&self.bits),
            weights: self.weights[of_weights.clone()].to_vec(),
            weight_halves: self.weight_halves[of_weights].to_vec(),
            mask: self.mask.as_deref().map(bits),
            objective: self.objective.clone(),
            form: self.form,
            classes: self.classes,
            stored: self.stored,
            labels: self.labels,
            weighing: self.weighing,
        }
    }
}

/// Element `i` for the oracle; none if it is ignored or masked.
pub(crate) fn element(batch: &Batch<'_>, objective: &Objective, i: usize) -> Option<Element> {
    let target = batch.targets().get(i);
    let masked = batch.mask().is_some_and(|bits| bits[i / 8] >> (i % 8) & 1 == 0);
    let ignored = match objective.ignore() {
        None => false,
        Some(Ignore::Label(label)) => target == label as f64,
        Some(Ignore::Nan) => target.is_nan(),
        Some(other) => panic!("{other:?} is not known here"),
    };
    if masked || ignored {
        return None;
    }
    let class = i % batch.classes();
    let mut element = Element::of(batch, i);
    element.weight = match batch.weights() {
        None => 1.0,
        Some((weights, WeightShape::Elements)) => weights.get(i),
        Some((weights, WeightShape::Samples)) => weights.get(i / batch.classes()),
        Some((_, other)) => panic!("{other:?} is not known here"),
    };
    if let Some(weights) = objective.class_weights() {
        element.class_weight = weights[class].into();
    }
    element.pos_weight = match objective.pos_weight() {
        None => 1.0,
        Some([one]) => (*one).into(),
        Some(weights) => weights[class].into(),
    };
    element.label_weights = objective.label_weights().unwrap_or([1.0, 1.0]).map(f64::from);
    element.smoothing = objective.label_smoothing().into();
    element.focal = objective.focal();
    element.compat = objective.compat();
    Some(element)
}

/// The exact results of a whole batch.
pub(crate) struct Whole {
    pub sum: f64,
    pub weight: f64,
    pub count: u64,
    /// The factor of gradient and hessian.
    pub coefficient: f64,
    pub value: Value,
}

/// A sum that is computed with twice the digits of f64.
#[derive(Clone, Copy, Default)]
struct Sum(f64, f64);

impl Sum {
    fn add(&mut self, value: f64) {
        let total = self.0 + value;
        self.1 += if self.0.abs() >= value.abs() { self.0 - total + value } else { value - total + self.0 };
        self.0 = total;
    }

    fn value(self) -> f64 {
        if self.0.is_finite() { self.0 + self.1 } else { self.0 }
    }
}

pub(crate) fn whole(batch: &Batch<'_>, objective: &Objective, scale: f32) -> Whole {
    let (mut sum, mut weight, mut count) = (Sum::default(), Sum::default(), 0u64);
    let classes = batch.classes();
    let mut of_class = vec![(Sum::default(), 0u64); classes];
    let mut of_row = vec![(Sum::default(), 0u64); batch.len() / classes];
    for i in 0..batch.len() {
        let Some(element) = element(batch, objective, i) else { continue };
        let loss = element.truth().loss();
        sum.add(loss);
        weight.add(element.total_weight());
        count += 1;
        for (sum, count) in [&mut of_class[i % classes], &mut of_row[i / classes]] {
            sum.add(loss);
            *count += 1;
        }
    }
    let empty = if matches!(objective.compat(), Some(Compat::Keras | Compat::Xgboost)) { 0.0 } else { f64::NAN };
    let over = |sum: Sum, divisor: f64| if divisor == 0.0 { empty } else { sum.value() / divisor };
    let vector = |of: Vec<(Sum, u64)>| of.into_iter().map(|(sum, count)| over(sum, count as f64)).collect::<Vec<_>>();
    let (value, divisor) = match objective.reduction() {
        Reduction::None => (None, 1.0),
        Reduction::Sum => (Some(vec![sum.value()]), 1.0),
        Reduction::Mean => (Some(vec![over(sum, count as f64)]), count as f64),
        Reduction::WeightedMean => (Some(vec![over(sum, weight.value())]), weight.value()),
        Reduction::PerClass => (Some(vector(of_class)), 1.0),
        Reduction::PerRow => (Some(vector(of_row)), 1.0),
        other => panic!("{other:?} is new"),
    };
    let value = match (value, objective.reduction()) {
        (None, _) => Value::Elements,
        (Some(values), Reduction::PerClass | Reduction::PerRow) => Value::Vector(values),
        (Some(values), _) => Value::Scalar(values[0]),
    };
    Whole {
        sum: sum.value(),
        weight: weight.value(),
        count,
        coefficient: f64::from(scale) / if divisor == 0.0 { 1.0 } else { divisor },
        value,
    }
}

/// The largest errors found: those of loss, gradient and hessian in ULP of the sum of the magnitudes of the addends,
/// those of sums relative.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Worst {
    pub elements: [f64; 3],
    /// The errors of loss, gradient and hessian as defined by the contract, divided by their ceilings.
    pub of_ceiling: [f64; 3],
    pub sum: f64,
    pub weight: f64,
    pub value: f64,
    /// The number of results compared: losses, gradients, hessians, values, and sums of the weights with counts.
    pub compared: [u64; 5],
}

impl Worst {
    pub(crate) fn merge(&mut self, other: &Self) {
        for o in 0..3 {
            self.elements[o] = self.elements[o].max(other.elements[o]);
            self.of_ceiling[o] = self.of_ceiling[o].max(other.of_ceiling[o]);
        }
        self.sum = self.sum.max(other.sum);
        self.weight = self.weight.max(other.weight);
        self.value = self.value.max(other.value);
        for o in 0..5 {
            self.compared[o] += other.compared[o];
        }
    }
}

/// The relative distance of two values; 0 if they are equal or both NaN, infinite if only one of them is NaN.
pub(crate) fn apart(got: f64, wanted: f64) -> f64 {
    if got == wanted || got.is_nan() && wanted.is_nan() || (got - wanted).abs() <= 1e-36 {
        return 0.0;
    }
    let off = (got - wanted).abs() / wanted.abs();
    if off.is_finite() { off } else { f64::INFINITY }
}

/// Asserts that an evaluation with all outputs meets the contract, that the outputs of ignored and masked elements are
/// 0, and that counts and values are right. Returns the largest errors.
pub(crate) fn judge_scene(
    engine: &Engine,
    batch: &Batch<'_>,
    objective: &Objective,
    scale: f32,
    got: &Evaluation,
) -> Worst {
    let name = engine.device().name;
    let class = DeviceClass::of(&engine.device());
    let whole = whole(batch, objective, scale);
    let mut worst = Worst::default();
    let outputs = crate::common::results(got);
    let mut steepest = 0.0f64;
    for output in outputs {
        assert_eq!(output.len(), batch.len());
    }
    for i in 0..batch.len() {
        let Some(element) = element(batch, objective, i) else {
            for output in outputs {
                assert!(output[i] == 0.0, "{name}: element {i} is ignored or masked, and is {}", output[i]);
            }
            continue;
        };
        let truth = element.truth();
        let sizes = element.sizes();
        steepest = steepest.max(contract::steepness(&element));
        for (o, output) in [Output::Loss, Output::Gradient, Output::Hessian].into_iter().enumerate() {
            let kind = Kind::of_element(&element);
            let row = contract::find(class, contract::Input::of(batch), kind, output).expect("a row");
            let k = if o == 0 { 1.0 } else { whole.coefficient };
            let error = row.judge_scaled(outputs[o][i], &element, &truth, k);
            let ceiling = match k {
                1.0 => row.ceiling,
                _ => contract::COEFFICIENT_FACTOR * row.ceiling + contract::COEFFICIENT_ULP,
            };
            assert!(
                error <= ceiling,
                "{name}: {output} {i} is {:e}: {error} {}, not {ceiling}; {element:?}, {truth:?}, times {k:e}",
                outputs[o][i],
                row.unit
            );
            worst.compared[o] += 1;
            worst.of_ceiling[o] = worst.of_ceiling[o].max(error / ceiling);
            let wanted = [truth.loss(), truth.gradient(), truth.hessian()][o] * k;
            let off = (f64::from(outputs[o][i]) - wanted).abs() / contract::ulp(sizes[o] * k.abs());
            if wanted.abs() > 1e-30 {
                worst.elements[o] = worst.elements[o].max(off);
            }
        }
    }
    assert_eq!(got.count, whole.count, "{name}: count");
    assert_eq!(got.partials.count, whole.count, "{name}: count");
    // The errors of a few values do not average out. On a GPU the mean of a row is an f32 sum of a few values.
    let few = 3e-6 + 3e-7 * steepest;
    let many = contract::find(class, contract::Input::of(batch), Kind::Weighted, Output::Sum).expect("a row").ceiling;
    let bound = |count: u64| if count >= 1000 { many } else { few };
    worst.sum = apart(got.sum, whole.sum);
    assert!(worst.sum <= bound(whole.count), "{name}: sum {}, not {}", got.sum, whole.sum);
    worst.weight = apart(got.partials.weight.value(), whole.weight);
    assert!(worst.weight <= bound(whole.count), "{name}: weight {:?}, not {}", got.partials.weight, whole.weight);
    worst.compared[4] += 1;
    // Without a reduction, the value is the losses.
    worst.compared[3] += match &whole.value {
        Value::Elements => worst.compared[0],
        value => value.vector().map_or(1, |values| values.len() as u64),
    };
    worst.value = match (&got.value, &whole.value) {
        (Value::Elements, Value::Elements) => 0.0,
        (Value::Scalar(got), Value::Scalar(wanted)) => {
            let off = apart(*got, *wanted);
            assert!(off <= 2.0 * bound(whole.count), "{name}: value {got}, not {wanted}");
            off
        }
        (Value::Vector(got), Value::Vector(wanted)) => {
            assert_eq!(got.len(), wanted.len(), "{name}: values");
            let off = got.iter().zip(wanted).map(|(got, wanted)| apart(*got, *wanted)).fold(0.0, f64::max);
            assert!(off <= few, "{name}: values are off by {off}");
            off
        }
        (got, wanted) => panic!("{name}: {got:?}, not {wanted:?}"),
    };
    worst
}
