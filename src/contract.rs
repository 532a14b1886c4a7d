//! How exact the results are: the one table that documentation, [self-test](crate::Engine::selftest) and tests read.
//!
//! <!-- contract -->
//! | | loss | gradient | hessian | sum, mean |
//! |---|---|---|---|---|
//! | CPU, logits, targets 0 or 1 | 1.5 ULP | 2 ULP | 3 ULP | 1e-7 relative |
//! | CPU, logits, soft targets | 3 ULP | 4·2⁻²⁴ of the terms | 3 ULP | 1e-7 relative |
//! | CPU, probabilities, targets 0 or 1 | 1.5 ULP | 2 ULP | 3 ULP | 1e-7 relative |
//! | CPU, probabilities, soft targets | 3 ULP | 4·2⁻²⁴ of the terms | 3 ULP | 1e-7 relative |
//! | any GPU adapter, logits, targets 0 or 1 | 2 ULP | 3 ULP | 4 ULP | 1e-7 relative |
//! | any GPU adapter, logits, soft targets | 3 ULP | 4·2⁻²⁴ of the terms | 4 ULP | 1e-7 relative |
//! | any GPU adapter, probabilities, targets 0 or 1 | 2 ULP | 3 ULP | 4 ULP | 1e-7 relative |
//! | any GPU adapter, probabilities, soft targets | 3 ULP | 4·2⁻²⁴ of the terms | 4 ULP | 1e-7 relative |
//! <!-- /contract -->
//!
//! - **ULP**: the distance from the truth in units of the truth's last place as an f32,
//!   2^(max(⌊log₂|truth|⌋, −126) − 23).
//! - **2⁻²⁴ of the terms**: the distance from the truth over 2⁻²⁴·(|a| + |b|), where the gradient is a + b with one
//!   term for each class. With a target strictly between 0 and 1 the two have opposite signs, and no f32 arithmetic
//!   can be exact relative to a difference.
//! - **relative**: the distance of a sum from the exact sum of the true losses, over that sum, the distance being
//!   reduced by 2⁻¹²⁶ for each element. It holds where the errors of the losses average out, which takes some hundred
//!   different values, of any length from there on. The sum of fewer, or of one value many times over, is as good as
//!   the losses are: within their ceiling, 2⁻²³ for each ULP, and [`SUM_OF_EQUALS`].
//!
//! Domain: every valid prediction and target. Gradient and hessian are held to the ceiling where their coefficient
//! (the scale, over the count where the reduction is a mean) is 1. Any other costs [`COEFFICIENT_FACTOR`] and
//! [`COEFFICIENT_ULP`].
//!
//! A result under 2⁻¹²⁶, the smallest normal f32, may be anywhere from the truth to 0, for GPUs may flush it; so may
//! a term of a result (the loss, gradient or hessian of one class, times that class's weight). Past the largest f32
//! the result is ±inf. Where the truth is infinite the result is equal to it; where it is 0, the result is 0 of
//! either sign. An adapter may read a target under 2⁻¹²⁶ as 0, and for gradient and hessian also a probability.

use std::fmt;

use crate::{
    Form,
    oracle::{Element, Truth},
};

/// What is held to a ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Output {
    /// The loss of an element.
    Loss,
    /// The gradient of an element.
    Gradient,
    /// The hessian of an element.
    Hessian,
    /// The sum of the losses, and so the mean.
    Sum,
}

/// What the targets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// 0 or 1.
    Hard,
    /// Strictly between 0 and 1.
    Soft,
}

/// Which promise a device gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The SIMD backend.
    Cpu,
    /// Any adapter that wgpu reaches.
    Wgsl,
}

/// What a ceiling counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Units in the last place of the truth.
    Ulp,
    /// 2⁻²⁴ of the sum of the magnitudes of the gradient's two terms.
    Terms,
    /// Relative to the truth.
    Relative,
}

/// One promise.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// What it is about.
    pub output: Output,
    /// The predictions it is about.
    pub form: Form,
    /// The targets it is about.
    pub targets: TargetKind,
    /// The devices that give it.
    pub class: Class,
    /// The largest error allowed, in `unit`s.
    pub ceiling: f64,
    /// What the ceiling counts.
    pub unit: Unit,
}

/// With a coefficient other than 1 on gradient and hessian, a ceiling of c ULP becomes `COEFFICIENT_FACTOR`·c +
/// [`COEFFICIENT_ULP`]: the same relative error is up to twice as many units in the last place where the product
/// falls just under a power of two.
pub const COEFFICIENT_FACTOR: f64 = 2.0;

/// What a coefficient adds: itself rounded once, up to 1 ULP of the product, and the product rounded once.
pub const COEFFICIENT_ULP: f64 = 1.5;

/// What summing itself may add in a batch whose errors do not average out: f32 additions in a tree of six levels, each
/// rounded once.
pub const SUM_OF_EQUALS: f64 = 6.0 / (1 << 24) as f64;

/// Every promise, a row each.
pub const TABLE: &[Row] = &{
    use {Class::*, Form::*, Output::*, TargetKind::*, Unit::*};
    [
        row(Cpu, Logits, Hard, Loss, 1.5, Ulp),
        row(Cpu, Logits, Hard, Gradient, 2.0, Ulp),
        row(Cpu, Logits, Hard, Hessian, 3.0, Ulp),
        row(Cpu, Logits, Hard, Sum, 1e-7, Relative),
        row(Cpu, Logits, Soft, Loss, 3.0, Ulp),
        row(Cpu, Logits, Soft, Gradient, 4.0, Terms),
        row(Cpu, Logits, Soft, Hessian, 3.0, Ulp),
        row(Cpu, Logits, Soft, Sum, 1e-7, Relative),
        row(Cpu, Probabilities, Hard, Loss, 1.5, Ulp),
        row(Cpu, Probabilities, Hard, Gradient, 2.0, Ulp),
        row(Cpu, Probabilities, Hard, Hessian, 3.0, Ulp),
        row(Cpu, Probabilities, Hard, Sum, 1e-7, Relative),
        row(Cpu, Probabilities, Soft, Loss, 3.0, Ulp),
        row(Cpu, Probabilities, Soft, Gradient, 4.0, Terms),
        row(Cpu, Probabilities, Soft, Hessian, 3.0, Ulp),
        row(Cpu, Probabilities, Soft, Sum, 1e-7, Relative),
        row(Wgsl, Logits, Hard, Loss, 2.0, Ulp),
        row(Wgsl, Logits, Hard, Gradient, 3.0, Ulp),
        row(Wgsl, Logits, Hard, Hessian, 4.0, Ulp),
        row(Wgsl, Logits, Hard, Sum, 1e-7, Relative),
        row(Wgsl, Logits, Soft, Loss, 3.0, Ulp),
        row(Wgsl, Logits, Soft, Gradient, 4.0, Terms),
        row(Wgsl, Logits, Soft, Hessian, 4.0, Ulp),
        row(Wgsl, Logits, Soft, Sum, 1e-7, Relative),
        row(Wgsl, Probabilities, Hard, Loss, 2.0, Ulp),
        row(Wgsl, Probabilities, Hard, Gradient, 3.0, Ulp),
        row(Wgsl, Probabilities, Hard, Hessian, 4.0, Ulp),
        row(Wgsl, Probabilities, Hard, Sum, 1e-7, Relative),
        row(Wgsl, Probabilities, Soft, Loss, 3.0, Ulp),
        row(Wgsl, Probabilities, Soft, Gradient, 4.0, Terms),
        row(Wgsl, Probabilities, Soft, Hessian, 4.0, Ulp),
        row(Wgsl, Probabilities, Soft, Sum, 1e-7, Relative),
    ]
};

const fn row(class: Class, form: Form, targets: TargetKind, output: Output, ceiling: f64, unit: Unit) -> Row {
    Row { output, form, targets, class, ceiling, unit }
}

/// The row for an output of a device, if the table has one.
pub fn find(class: Class, form: Form, targets: TargetKind, output: Output) -> Option<&'static Row> {
    TABLE.iter().find(|row| (row.class, row.form, row.targets, row.output) == (class, form, targets, output))
}

/// The table in Markdown, as README and this module's documentation show it.
pub fn markdown() -> String {
    let columns = [Output::Loss, Output::Gradient, Output::Hessian, Output::Sum];
    let mut text = String::from("| | loss | gradient | hessian | sum, mean |\n|---|---|---|---|---|\n");
    for head in TABLE.iter().filter(|row| row.output == columns[0]) {
        text += &format!("| {}, {}, {} |", head.class, form_name(head.form), head.targets);
        for output in columns {
            match find(head.class, head.form, head.targets, output) {
                Some(Row { ceiling, unit: Unit::Ulp, .. }) => text += &format!(" {ceiling} ULP |"),
                Some(Row { ceiling, unit: Unit::Terms, .. }) => text += &format!(" {ceiling}·2⁻²⁴ of the terms |"),
                Some(Row { ceiling, unit: Unit::Relative, .. }) => text += &format!(" {ceiling:e} relative |"),
                None => text += " |",
            }
        }
        text += "\n";
    }
    text
}

impl Row {
    /// How far an element's result `got` lies from the truth, in this row's unit. Infinite for a NaN, for a result
    /// of the wrong sign or one that is infinite without cause, so that no comparison lets it pass.
    ///
    /// Not for rows of a [`Output::Sum`], which are about many elements: see [`relative`].
    pub fn error(&self, got: f32, truth: &Truth) -> f64 {
        let terms = match self.output {
            Output::Loss => truth.loss,
            Output::Gradient => truth.gradient,
            Output::Hessian => truth.hessian,
            Output::Sum => return f64::INFINITY,
        };
        let size = terms[0].abs() + terms[1].abs();
        match self.unit {
            Unit::Ulp => distance(got, terms) / ulp(terms[0] + terms[1]),
            // The gradient's own ULP where the terms are subnormal: 2^-24 of them is nothing an f32 can show.
            Unit::Terms => distance(got, terms) / (size * 2f64.powi(-24)).max(2f64.powi(-150)),
            Unit::Relative => f64::INFINITY,
        }
    }

    /// [`Row::error`] for the result of an element whose truth this is, from the nearest truth that this row's devices
    /// may read the element as.
    pub fn judge(&self, got: f32, element: &Element, truth: &Truth) -> f64 {
        let error = self.error(got, truth);
        let read = |value: f64, may_be_zero: bool| {
            if may_be_zero && self.class == Class::Wgsl && value.abs() < SMALLEST { 0.0 } else { value }
        };
        let derivative_of_probability = self.form == Form::Probabilities && self.output != Output::Loss;
        let prediction = read(element.prediction, derivative_of_probability);
        let target = read(element.target, true);
        if (prediction, target) == (element.prediction, element.target) {
            return error;
        }
        let readings = [(prediction, target), (prediction, element.target), (element.prediction, target)];
        readings.into_iter().fold(error, |error, (prediction, target)| {
            error.min(self.error(got, &Element { prediction, target, ..*element }.truth()))
        })
    }

    /// Whether an error in this row's unit is within its ceiling. A NaN is not.
    pub fn allows(&self, error: f64) -> bool {
        error <= self.ceiling
    }
}

/// The smallest normal f32, 2⁻¹²⁶, under which results may be flushed.
const SMALLEST: f64 = f32::MIN_POSITIVE as f64;

/// One unit in the last place of `truth` as an f32; that of the largest exponent beyond it.
pub fn ulp(truth: f64) -> f64 {
    let exponent = (truth.abs().max(SMALLEST).to_bits() >> 52) as i32 - 1023;
    2f64.powi(exponent.min(127) - 23)
}

/// How far a sum lies from the exact sum of `count` true losses, relative to it; infinite for a NaN.
pub fn relative(got: f64, truth: f64, count: u64) -> f64 {
    let allowed = count as f64 * SMALLEST;
    let distance = (got - truth).abs();
    if got == truth || distance <= allowed {
        0.0
    } else if distance.is_finite() && truth != 0.0 {
        (distance - allowed) / truth.abs()
    } else {
        f64::INFINITY
    }
}

/// How far `got` lies from the sum of the terms, allowing for those that may have been flushed.
fn distance(got: f32, terms: [f64; 2]) -> f64 {
    let truth = terms[0] + terms[1];
    if got.is_nan() || truth.is_nan() {
        return f64::INFINITY;
    }
    if truth.is_infinite() {
        return if f64::from(got) == truth { 0.0 } else { f64::INFINITY };
    }
    // Past the largest f32 lies inf, and the next number there would be 2^128: measured from it, a result that
    // just overflowed, or just did not, is judged as any other.
    let beyond = 2f64.powi(128);
    let truth = truth.clamp(-beyond, beyond);
    let got = f64::from(got).clamp(-beyond, beyond);
    // What is flushed is a rounded result that is subnormal: it may lie a few units above the limit before.
    let flushed = |value: f64| if value.abs() < SMALLEST * (1.0 + 8.0 * 2f64.powi(-23)) { value } else { 0.0 };
    // The result lies anywhere between all such terms counted and none, or between the whole and 0.
    let slack = [flushed(terms[0]), flushed(terms[1])];
    let [low, high] = slack.iter().fold([truth; 2], |[low, high], s| [low - s.max(0.0), high - s.min(0.0)]);
    let slack = flushed(truth);
    let [low, high] = [low.min(truth - slack), high.max(truth - slack)];
    if got < low {
        low - got
    } else if got > high {
        got - high
    } else {
        0.0
    }
}

impl Class {
    /// The promise that a device gives.
    pub fn of(device: &crate::DeviceInfo) -> Self {
        if device.kind == crate::DeviceKind::Cpu { Class::Cpu } else { Class::Wgsl }
    }
}

impl TargetKind {
    /// The kind of a target.
    pub fn of(target: f64) -> Self {
        if target == 0.0 || target == 1.0 { TargetKind::Hard } else { TargetKind::Soft }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Cpu => "CPU",
            Class::Wgsl => "any GPU adapter",
        })
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetKind::Hard => "targets 0 or 1",
            TargetKind::Soft => "soft targets",
        })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Output::Loss => "loss",
            Output::Gradient => "gradient",
            Output::Hessian => "hessian",
            Output::Sum => "sum",
        })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

pub(crate) fn form_name(form: Form) -> &'static str {
    match form {
        Form::Logits => "logits",
        Form::Probabilities => "probabilities",
    }
}

impl Unit {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Ulp => "ULP",
            Unit::Terms => "2⁻²⁴ of the terms",
            Unit::Relative => "relative",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Element;

    fn get(output: Output, targets: TargetKind) -> &'static Row {
        find(Class::Wgsl, Form::Logits, targets, output).expect("a row")
    }

    fn truth(x: f64, z: f64) -> Truth {
        Element::new(Form::Logits, x, z).truth()
    }

    #[test]
    fn one_row_for_each_case() {
        assert_eq!(TABLE.len(), 2 * 2 * 2 * 4);
        for row in TABLE {
            let key = |row: &Row| (row.class, row.form, row.targets, row.output);
            assert_eq!(TABLE.iter().filter(|other| key(other) == key(row)).count(), 1, "{row:?}");
            let sum = row.output == Output::Sum;
            assert_eq!(sum, row.unit == Unit::Relative);
            let soft_gradient = (row.output, row.targets) == (Output::Gradient, TargetKind::Soft);
            assert_eq!(soft_gradient, row.unit == Unit::Terms);
        }
    }

    #[test]
    fn unit_in_the_last_place() {
        assert_eq!(ulp(1.0), f64::from(f32::EPSILON));
        assert_eq!(ulp(-1.999_999_999), f64::from(f32::EPSILON));
        assert_eq!(ulp(2.0), 2.0 * f64::from(f32::EPSILON));
        assert_eq!(ulp(1e-40), 2f64.powi(-149));
        assert_eq!(ulp(SMALLEST), 2f64.powi(-149));
        assert_eq!(ulp(1e300), 2f64.powi(104));
        assert_eq!(ulp(0.0), 2f64.powi(-149));
    }

    #[test]
    fn counts_units() {
        let row = get(Output::Loss, TargetKind::Hard);
        let truth = truth(-3.0, 0.0);
        let near = truth.loss() as f32;
        assert!(row.error(near, &truth) <= 0.5);
        for steps in 1..100u32 {
            let off = f32::from_bits(near.to_bits() + steps);
            let error = row.error(off, &truth);
            assert!((error - f64::from(steps)).abs() <= 0.5, "{steps} steps are {error} ULP");
            assert_eq!(row.allows(error), error <= 2.0);
        }
    }

    #[test]
    fn nothing_wrong_passes() {
        for output in [Output::Loss, Output::Gradient, Output::Hessian] {
            for targets in [TargetKind::Hard, TargetKind::Soft] {
                let row = get(output, targets);
                for x in [-1e30, -100.0, -90.0, -20.0, -1.0, 0.0, 1.0, 20.0, 90.0, 100.0, 1e30] {
                    let truth = truth(x, if targets == TargetKind::Hard { 1.0 } else { 0.25 });
                    let right = match output {
                        Output::Loss => truth.loss(),
                        Output::Gradient => truth.gradient(),
                        _ => truth.hessian(),
                    } as f32;
                    assert!(row.allows(row.error(right, &truth)), "{row:?} {x}");
                    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, right + 1e-3 + right.abs() * 1e-3, -1e-30]
                    {
                        if wrong != right {
                            assert!(!row.allows(row.error(wrong, &truth)), "{row:?} {x}: {wrong} passes for {right}");
                        }
                    }
                }
            }
        }
        let sum = get(Output::Sum, TargetKind::Hard);
        assert!(!sum.allows(sum.error(0.0, &truth(0.0, 0.0))));
    }

    #[test]
    fn may_be_flushed_but_not_invented() {
        let row = get(Output::Gradient, TargetKind::Hard);
        let tiny = truth(-100.0, 0.0);
        assert!(tiny.gradient() < SMALLEST && tiny.gradient() > 0.0);
        for right in [0.0, -0.0, tiny.gradient() as f32, tiny.gradient() as f32 / 2.0] {
            assert!(row.allows(row.error(right, &tiny)));
        }
        for wrong in [f32::MIN_POSITIVE, 2.0 * tiny.gradient() as f32, -(tiny.gradient() as f32)] {
            assert!(!row.allows(row.error(wrong, &tiny)), "{wrong} passes for {}", tiny.gradient());
        }
        // A normal result is not flushed.
        let small = truth(-87.0, 0.0);
        assert!(small.gradient() > SMALLEST);
        assert!(!row.allows(row.error(0.0, &small)));
    }

    #[test]
    fn flushed_terms_of_a_normal_sum() {
        let row = get(Output::Loss, TargetKind::Soft);
        // The negative class adds 8e-40, the positive one 7e-35.
        let truth = truth(-90.0, 2f64.powi(-120));
        assert!(truth.loss[0] < SMALLEST && truth.loss[1] > SMALLEST);
        assert!(row.allows(row.error(truth.loss() as f32, &truth)));
        assert!(row.allows(row.error(truth.loss[1] as f32, &truth)));
        assert!(!row.allows(row.error(truth.loss[0] as f32, &truth)));
        assert!(!row.allows(row.error((truth.loss[1] - truth.loss[0]) as f32, &truth)));
        // Neither term is flushed, but what is left of them is.
        let row = get(Output::Gradient, TargetKind::Soft);
        let gradient = [2.0 * SMALLEST, -1.5 * SMALLEST];
        let truth = Truth { loss: [0.0; 2], gradient, hessian: [0.0; 2] };
        for (got, allowed) in [(0.5 * SMALLEST, true), (0.0, true), (-0.1 * SMALLEST, false), (0.6 * SMALLEST, false)] {
            assert_eq!(row.allows(row.error(got as f32, &truth)), allowed, "{got:e}");
        }
    }

    #[test]
    fn subnormal_inputs_may_be_zero() {
        let row = |class, form, output| find(class, form, TargetKind::Soft, output).expect("a row");
        let allowed = |row: &Row, got: f32, prediction: f64, target: f64| {
            let element = Element::new(row.form, prediction, target);
            row.allows(row.judge(got, &element, &element.truth()))
        };
        let (inf, tiny) = (f64::INFINITY, 1e-40);
        let loss = row(Class::Wgsl, Form::Logits, Output::Loss);
        assert!(allowed(loss, 0.0, -inf, tiny) && allowed(loss, f32::INFINITY, -inf, tiny));
        assert!(!allowed(loss, f32::NAN, -inf, tiny) && !allowed(loss, 1.0, -inf, tiny));
        assert!(!allowed(loss, 0.0, -inf, 1e-37), "a normal target");
        assert!(!allowed(row(Class::Cpu, Form::Logits, Output::Loss), 0.0, -inf, tiny), "no adapter");
        let gradient = row(Class::Wgsl, Form::Probabilities, Output::Gradient);
        assert!(allowed(gradient, f32::NEG_INFINITY, tiny, 0.5));
        assert!(!allowed(gradient, f32::INFINITY, tiny, 0.5) && !allowed(gradient, f32::NEG_INFINITY, 1e-37, 0.5));
        assert!(!allowed(row(Class::Wgsl, Form::Probabilities, Output::Loss), f32::INFINITY, tiny, 0.5));
    }

    #[test]
    fn overflow_is_infinite() {
        let row = get(Output::Hessian, TargetKind::Hard);
        let at = |value: f64| Truth { loss: [0.0; 2], gradient: [0.0; 2], hessian: [value, 0.0] };
        assert!(row.allows(row.error(f32::INFINITY, &at(1e60))));
        assert!(!row.allows(row.error(1e30, &at(1e60))));
        assert!(!row.allows(row.error(f32::NEG_INFINITY, &at(1e60))));
        let largest = f64::from(f32::MAX);
        assert!(row.allows(row.error(f32::MAX, &at(largest))));
        assert!(row.allows(row.error(f32::INFINITY, &at(largest))), "one unit beyond it");
        assert!(!row.allows(row.error(f32::INFINITY, &at(largest * 0.999))));
        assert!(row.allows(row.error(f32::INFINITY, &at(f64::INFINITY))));
        assert!(!row.allows(row.error(f32::MAX, &at(f64::INFINITY))));
    }

    #[test]
    fn sums() {
        assert_eq!(relative(1.0, 1.0, 5), 0.0);
        assert_eq!(relative(f64::INFINITY, f64::INFINITY, 5), 0.0);
        assert_eq!(relative(0.0, 0.0, 0), 0.0);
        assert_eq!(relative(0.0, 1e-38, 1), 0.0);
        assert!((relative(1.0 + 1e-6, 1.0, 5) - 1e-6).abs() < 1e-12);
        for (got, truth) in [(f64::NAN, 1.0), (1.0, f64::NAN), (f64::INFINITY, 1.0), (1.0, f64::INFINITY), (1.0, 0.0)] {
            assert_eq!(relative(got, truth, 5), f64::INFINITY, "{got} for {truth}");
        }
    }
}
