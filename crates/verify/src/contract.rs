//! The accuracy contract: the table of error ceilings that the documentation, the [self-test](crate::selftest()) and
//! the tests read, and the comparison of results with it.
//!
//! <!-- contract -->
//! | | loss | gradient | hessian | sum, mean |
//! |---|---|---|---|---|
//! | CPU, logits, targets 0 or 1 | 1.5 ULP | 2 ULP | 3 ULP | 1e-7 relative |
//! | CPU, logits, soft targets | 3 ULP | 4·2⁻²⁴ of the terms | 3 ULP | 1e-7 relative |
//! | CPU, probabilities, targets 0 or 1 | 1.5 ULP | 2 ULP | 3 ULP | 1e-7 relative |
//! | CPU, f64 probabilities, targets 0 or 1 | 2 ULP | 2.5 ULP | 3.5 ULP | 1e-7 relative |
//! | CPU, probabilities, soft targets | 3 ULP | 4·2⁻²⁴ of the terms | 3 ULP | 1e-7 relative |
//! | CPU, f64 probabilities, soft targets | 3 ULP | 4·2⁻²⁴ of the terms | 4 ULP | 1e-7 relative |
//! | any GPU adapter, logits, targets 0 or 1 | 2 ULP | 3 ULP | 4 ULP | 1e-7 relative |
//! | any GPU adapter, logits, soft targets | 3 ULP | 4·2⁻²⁴ of the terms | 4 ULP | 1e-7 relative |
//! | any GPU adapter, probabilities, targets 0 or 1 | 2 ULP | 3 ULP | 4 ULP | 1e-7 relative |
//! | any GPU adapter, f64 probabilities, targets 0 or 1 | 2.5 ULP | 3 ULP | 4.5 ULP | 1e-7 relative |
//! | any GPU adapter, probabilities, soft targets | 3 ULP | 4·2⁻²⁴ of the terms | 4 ULP | 1e-7 relative |
//! | any GPU adapter, f64 probabilities, soft targets | 3 ULP | 5·2⁻²⁴ of the terms | 5 ULP | 1e-7 relative |
//! | CPU, logits, weighted | 6 ULP | 8·2⁻²⁴ of the terms | 7 ULP | 4e-7 relative |
//! | CPU, logits, focal | 8 + 3t ULP | (16 + 6t)·2⁻²⁴ of the terms | (16 + 6t)·2⁻²⁴ of the terms | 4e-7 relative |
//! | CPU, probabilities, weighted | 6 ULP | 8·2⁻²⁴ of the terms | 7 ULP | 4e-7 relative |
//! | CPU, f64 probabilities, weighted | 6 ULP | 8·2⁻²⁴ of the terms | 7 ULP | 4e-7 relative |
//! | CPU, probabilities, focal | 8 + 3t ULP | (16 + 6t)·2⁻²⁴ of the terms | (16 + 6t)·2⁻²⁴ of the terms | 4e-7 relative |
//! | CPU, f64 probabilities, focal | 8 + 3t ULP | (16 + 6t)·2⁻²⁴ of the terms | (16 + 6t)·2⁻²⁴ of the terms | 4e-7 relative |
//! | any GPU adapter, logits, weighted | 7 ULP | 10·2⁻²⁴ of the terms | 8 ULP | 4e-7 relative |
//! | any GPU adapter, logits, focal | 9 + 3t ULP | (18 + 6t)·2⁻²⁴ of the terms | (18 + 6t)·2⁻²⁴ of the terms | 4e-7 relative |
//! | any GPU adapter, probabilities, weighted | 7 ULP | 10·2⁻²⁴ of the terms | 8 ULP | 4e-7 relative |
//! | any GPU adapter, f64 probabilities, weighted | 7 ULP | 10·2⁻²⁴ of the terms | 8 ULP | 4e-7 relative |
//! | any GPU adapter, probabilities, focal | 9 + 3t ULP | (18 + 6t)·2⁻²⁴ of the terms | (18 + 6t)·2⁻²⁴ of the terms | 4e-7 relative |
//! | any GPU adapter, f64 probabilities, focal | 9 + 3t ULP | (18 + 6t)·2⁻²⁴ of the terms | (18 + 6t)·2⁻²⁴ of the terms | 4e-7 relative |
//! <!-- /contract -->
//!
//! - **weighted**: any weights, pos_weight, label weights, smoothing, or another system's conventions, alone or
//!   together, with any target. **focal**: a focal factor, with or without these. All inputs are the f32 values given:
//!   a smoothing of 0.1 is 0.1f32.
//! - **t**: γ·(1 + |ln(1 − p_t)|). A power has γ times the relative error of its base, 1 − p_t, and the absolute error
//!   of its exponent, γ·ln(1 − p_t).
//! - **ULP**: the distance of the result from the exact value, in units of the last place of the exact value as an f32,
//!   2^(max(⌊log₂|exact|⌋, −126) − 23).
//! - **2⁻²⁴ of the terms**: the distance from the exact value divided by 2⁻²⁴·(|a| + |b|), where the gradient is a + b
//!   with one term for each class. For a target strictly between 0 and 1 the two terms have opposite signs, and f32
//!   arithmetic cannot be accurate relative to their sum. With a focal factor, gradient and hessian have more terms,
//!   those of the product rule: see [`Element::sizes`].
//! - **relative**: the distance of a sum from the exact sum of the exact losses, less 2⁻¹²⁶ for each element, divided
//!   by the exact sum. This bound holds if the errors of the losses average out, which they do from some hundred
//!   different values on, at any length. The relative error of the sum of fewer values, or of one value repeated many
//!   times, is at most the ceiling of the losses, 2⁻²³ for each ULP, plus [`SUM_OF_EQUALS`]. If many elements share
//!   weights, the rounding errors of the products of weights do not average out either, so the ceiling for weighted
//!   sums is higher. If the losses of a [block](logloss::BLOCK) sum to more than the largest f32, 3.4e38, the sum may
//!   be infinite.
//!
//! Domain: every valid prediction and target. The ceilings of gradient and hessian apply to a coefficient of 1. (The
//! coefficient is the scale, divided by the count if the reduction is a mean.) For other coefficients they increase by
//! [`COEFFICIENT_FACTOR`] and [`COEFFICIENT_ULP`].
//!
//! A result below 2⁻¹²⁶, the smallest normal f32, may lie anywhere between the exact value and 0, because GPUs may
//! flush it to 0. The same applies to a term of a result (the loss, gradient or hessian of one class, times the weight
//! of that class). Beyond the largest f32 the result is ±inf. If the exact value is infinite, the result is equal to
//! it; if it is 0, the result is 0 of either sign. A value may be flushed before it is multiplied by weights, or by the
//! loss in the derivatives of a focal factor: the error then is up to 2⁻¹²⁶ times these factors. A value that exceeds
//! the largest f32 before it is multiplied by weights, a focal factor or the coefficient may remain ±inf. Products of weights are
//! assumed to be in the normal range. An adapter may read a target below 2⁻¹²⁶ as 0, and for gradient and hessian also
//! a probability. For gradient and hessian an f64 probability below 2⁻¹²⁶ may be read as 0 on every device.
//!
//! The table applies to results in f32. A result in f16 or bf16 is the f32 result rounded once more, see
//! [`FloatsMut`](logloss::FloatsMut).

use std::fmt;

use logloss::{Batch, Compat, Floats, Form};

use crate::oracle::{Element, Truth};

/// The result that a ceiling applies to.
///
/// ```
/// use logloss::Form;
/// use logloss_verify::contract::{DeviceClass, Kind, Output, find};
///
/// let row = find(DeviceClass::Cpu, Form::Logits, Kind::Hard, Output::Gradient).expect("a row");
/// assert_eq!(row.ceiling, 2.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Output {
    /// The loss of an element.
    Loss,
    /// The gradient of an element.
    Gradient,
    /// The hessian of an element.
    Hessian,
    /// The sum of the losses, and therefore also the mean.
    Sum,
}

/// The kind of an element, by its target and the parameters in use.
///
/// ```
/// use logloss_verify::contract::Kind;
///
/// assert_eq!((Kind::of(1.0), Kind::of(0.25)), (Kind::Hard, Kind::Soft));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The loss is plain, and the target is 0 or 1.
    Hard,
    /// The loss is plain, and the target lies strictly between 0 and 1.
    Soft,
    /// The element is weighted or smoothed, or another system's conventions apply.
    Weighted,
    /// The element has a focal factor, with or without other parameters.
    Focal,
}

/// The predictions that a ceiling applies to.
///
/// ```
/// use logloss::Batch;
/// use logloss_verify::contract::Input;
///
/// let batch = Batch::probabilities(&[0.999_999_999f64], &[0u8])?;
/// assert_eq!(Input::of(&batch), Input::F64Probabilities);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Input {
    /// Logits of any type. Those in f64 are rounded to f32.
    Logits,
    /// Probabilities in f32, f16 or bf16.
    Probabilities,
    /// Probabilities in f64.
    F64Probabilities,
}

/// The class of devices that a ceiling applies to.
///
/// ```
/// use logloss::Engine;
/// use logloss_verify::contract::DeviceClass;
///
/// assert_eq!(DeviceClass::of(&Engine::cpu().device()), DeviceClass::Cpu);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceClass {
    /// The SIMD backend.
    Cpu,
    /// Any adapter of wgpu, which runs the WGSL shaders.
    Wgsl,
}

/// The unit of a ceiling.
///
/// ```
/// use logloss_verify::contract::Unit;
///
/// assert_eq!(Unit::Ulp.name(), "ULP");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Units in the last place of the exact value.
    Ulp,
    /// 2⁻²⁴ of the sum of the magnitudes of the terms of the exact value.
    Terms,
    /// The error relative to the exact value.
    Relative,
}

/// One ceiling of the contract.
///
/// ```
/// use logloss::Form;
/// use logloss_verify::{contract::{DeviceClass, Kind, Output, find}, oracle::Element};
///
/// let row = find(DeviceClass::Cpu, Form::Logits, Kind::Hard, Output::Loss).expect("a row");
/// let truth = Element::new(Form::Logits, 0.0, 1.0).truth();
/// assert!(row.allows(row.error(2f32.ln(), &truth)) && !row.allows(row.error(0.693, &truth)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// The result that the ceiling applies to.
    pub output: Output,
    /// The predictions that the ceiling applies to.
    pub input: Input,
    /// The kind of elements that the ceiling applies to.
    pub kind: Kind,
    /// The class of devices that the ceiling applies to.
    pub class: DeviceClass,
    /// The largest allowed error, in `unit`.
    pub ceiling: f64,
    /// The unit of the ceiling.
    pub unit: Unit,
    /// The increase of the ceiling for each γ·(1 + |ln(1 − p_t)|), in `unit`.
    pub focal: f64,
}

/// The factor of a ceiling of gradient and hessian for a coefficient other than 1. A ceiling of c ULP becomes
/// `COEFFICIENT_FACTOR`·c + [`COEFFICIENT_ULP`], because the same relative error is up to twice as many units in the
/// last place if the product is just below a power of two.
pub const COEFFICIENT_FACTOR: f64 = 2.0;

/// The error that a coefficient adds, in ULP: the coefficient is rounded once, which is up to 1 ULP of the product, and
/// the product is rounded once.
pub const COEFFICIENT_ULP: f64 = 1.5;

/// The relative error that the summation adds in a batch whose errors do not average out: f32 additions in a tree of
/// six levels, each rounded once.
pub const SUM_OF_EQUALS: f64 = 6.0 / (1 << 24) as f64;

/// All ceilings of the contract, one per row.
pub const TABLE: &[Row] = &{
    use {DeviceClass::*, Input::*, Kind::*, Output::*, Unit::*};
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
        row(Cpu, F64Probabilities, Hard, Loss, 2.0, Ulp),
        row(Cpu, F64Probabilities, Hard, Gradient, 2.5, Ulp),
        row(Cpu, F64Probabilities, Hard, Hessian, 3.5, Ulp),
        row(Cpu, F64Probabilities, Hard, Sum, 1e-7, Relative),
        row(Cpu, Probabilities, Soft, Loss, 3.0, Ulp),
        row(Cpu, Probabilities, Soft, Gradient, 4.0, Terms),
        row(Cpu, Probabilities, Soft, Hessian, 3.0, Ulp),
        row(Cpu, Probabilities, Soft, Sum, 1e-7, Relative),
        row(Cpu, F64Probabilities, Soft, Loss, 3.0, Ulp),
        row(Cpu, F64Probabilities, Soft, Gradient, 4.0, Terms),
        row(Cpu, F64Probabilities, Soft, Hessian, 4.0, Ulp),
        row(Cpu, F64Probabilities, Soft, Sum, 1e-7, Relative),
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
        row(Wgsl, F64Probabilities, Hard, Loss, 2.5, Ulp),
        row(Wgsl, F64Probabilities, Hard, Gradient, 3.0, Ulp),
        row(Wgsl, F64Probabilities, Hard, Hessian, 4.5, Ulp),
        row(Wgsl, F64Probabilities, Hard, Sum, 1e-7, Relative),
        row(Wgsl, Probabilities, Soft, Loss, 3.0, Ulp),
        row(Wgsl, Probabilities, Soft, Gradient, 4.0, Terms),
        row(Wgsl, Probabilities, Soft, Hessian, 4.0, Ulp),
        row(Wgsl, Probabilities, Soft, Sum, 1e-7, Relative),
        row(Wgsl, F64Probabilities, Soft, Loss, 3.0, Ulp),
        row(Wgsl, F64Probabilities, Soft, Gradient, 5.0, Terms),
        row(Wgsl, F64Probabilities, Soft, Hessian, 5.0, Ulp),
        row(Wgsl, F64Probabilities, Soft, Sum, 1e-7, Relative),
        row(Cpu, Logits, Weighted, Loss, 6.0, Ulp),
        row(Cpu, Logits, Weighted, Gradient, 8.0, Terms),
        row(Cpu, Logits, Weighted, Hessian, 7.0, Ulp),
        row(Cpu, Logits, Weighted, Sum, 4e-7, Relative),
        row(Cpu, Logits, Focal, Loss, 8.0, Ulp).growing(3.0),
        row(Cpu, Logits, Focal, Gradient, 16.0, Terms).growing(6.0),
        row(Cpu, Logits, Focal, Hessian, 16.0, Terms).growing(6.0),
        row(Cpu, Logits, Focal, Sum, 4e-7, Relative),
        row(Cpu, Probabilities, Weighted, Loss, 6.0, Ulp),
        row(Cpu, Probabilities, Weighted, Gradient, 8.0, Terms),
        row(Cpu, Probabilities, Weighted, Hessian, 7.0, Ulp),
        row(Cpu, Probabilities, Weighted, Sum, 4e-7, Relative),
        row(Cpu, F64Probabilities, Weighted, Loss, 6.0, Ulp),
        row(Cpu, F64Probabilities, Weighted, Gradient, 8.0, Terms),
        row(Cpu, F64Probabilities, Weighted, Hessian, 7.0, Ulp),
        row(Cpu, F64Probabilities, Weighted, Sum, 4e-7, Relative),
        row(Cpu, Probabilities, Focal, Loss, 8.0, Ulp).growing(3.0),
        row(Cpu, Probabilities, Focal, Gradient, 16.0, Terms).growing(6.0),
        row(Cpu, Probabilities, Focal, Hessian, 16.0, Terms).growing(6.0),
        row(Cpu, Probabilities, Focal, Sum, 4e-7, Relative),
        row(Cpu, F64Probabilities, Focal, Loss, 8.0, Ulp).growing(3.0),
        row(Cpu, F64Probabilities, Focal, Gradient, 16.0, Terms).growing(6.0),
        row(Cpu, F64Probabilities, Focal, Hessian, 16.0, Terms).growing(6.0),
        row(Cpu, F64Probabilities, Focal, Sum, 4e-7, Relative),
        row(Wgsl, Logits, Weighted, Loss, 7.0, Ulp),
        row(Wgsl, Logits, Weighted, Gradient, 10.0, Terms),
        row(Wgsl, Logits, Weighted, Hessian, 8.0, Ulp),
        row(Wgsl, Logits, Weighted, Sum, 4e-7, Relative),
        row(Wgsl, Logits, Focal, Loss, 9.0, Ulp).growing(3.0),
        row(Wgsl, Logits, Focal, Gradient, 18.0, Terms).growing(6.0),
        row(Wgsl, Logits, Focal, Hessian, 18.0, Terms).growing(6.0),
        row(Wgsl, Logits, Focal, Sum, 4e-7, Relative),
        row(Wgsl, Probabilities, Weighted, Loss, 7.0, Ulp),
        row(Wgsl, Probabilities, Weighted, Gradient, 10.0, Terms),
        row(Wgsl, Probabilities, Weighted, Hessian, 8.0, Ulp),
        row(Wgsl, Probabilities, Weighted, Sum, 4e-7, Relative),
        row(Wgsl, F64Probabilities, Weighted, Loss, 7.0, Ulp),
        row(Wgsl, F64Probabilities, Weighted, Gradient, 10.0, Terms),
        row(Wgsl, F64Probabilities, Weighted, Hessian, 8.0, Ulp),
        row(Wgsl, F64Probabilities, Weighted, Sum, 4e-7, Relative),
        row(Wgsl, Probabilities, Focal, Loss, 9.0, Ulp).growing(3.0),
        row(Wgsl, Probabilities, Focal, Gradient, 18.0, Terms).growing(6.0),
        row(Wgsl, Probabilities, Focal, Hessian, 18.0, Terms).growing(6.0),
        row(Wgsl, Probabilities, Focal, Sum, 4e-7, Relative),
        row(Wgsl, F64Probabilities, Focal, Loss, 9.0, Ulp).growing(3.0),
        row(Wgsl, F64Probabilities, Focal, Gradient, 18.0, Terms).growing(6.0),
        row(Wgsl, F64Probabilities, Focal, Hessian, 18.0, Terms).growing(6.0),
        row(Wgsl, F64Probabilities, Focal, Sum, 4e-7, Relative),
    ]
};

const fn row(class: DeviceClass, input: Input, kind: Kind, output: Output, ceiling: f64, unit: Unit) -> Row {
    Row { output, input, kind, class, ceiling, unit, focal: 0.0 }
}

/// The row for an output of a class of devices, if the table has one.
pub fn find(class: DeviceClass, input: impl Into<Input>, kind: Kind, output: Output) -> Option<&'static Row> {
    let input = input.into();
    TABLE.iter().find(|row| (row.class, row.input, row.kind, row.output) == (class, input, kind, output))
}

/// The table in Markdown, as docs/accuracy.md and this module's documentation show it.
pub fn markdown() -> String {
    let columns = [Output::Loss, Output::Gradient, Output::Hessian, Output::Sum];
    let mut text = String::from("| | loss | gradient | hessian | sum, mean |\n|---|---|---|---|---|\n");
    for head in TABLE.iter().filter(|row| row.output == columns[0]) {
        text += &format!("| {}, {}, {} |", head.class, head.input, head.kind);
        for output in columns {
            match find(head.class, head.input, head.kind, output) {
                Some(Row { ceiling, unit: Unit::Relative, .. }) => text += &format!(" {ceiling:e} relative |"),
                Some(row) => {
                    let Row { ceiling, focal, .. } = row;
                    let ceiling = match (*focal == 0.0, row.unit) {
                        (true, _) => ceiling.to_string(),
                        (false, Unit::Terms) => format!("({ceiling} + {focal}t)"),
                        (false, _) => format!("{ceiling} + {focal}t"),
                    };
                    let unit = if row.unit == Unit::Terms { "·2⁻²⁴ of the terms" } else { " ULP" };
                    text += &format!(" {ceiling}{unit} |");
                }
                None => text += " |",
            }
        }
        text += "\n";
    }
    text
}

impl Row {
    /// The row with a ceiling that increases by `focal` for each γ·(1 + |ln(1 − p_t)|).
    const fn growing(mut self, focal: f64) -> Self {
        self.focal = focal;
        self
    }

    /// The distance of the result `got` of an element from the exact value, in the unit of this row. It is infinite if
    /// either value is NaN, or if the exact value is infinite and `got` is not equal to it, so that no comparison with a
    /// ceiling passes. If the exact value is finite, an infinite `got` counts as ±2¹²⁸.
    ///
    /// For a row of [`Output::Sum`], which applies to many elements, it is always infinite: see [`relative`].
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
            // Where the terms are subnormal, 2^-24 of them is less than the spacing of f32, so half the smallest
            // subnormal is the unit.
            Unit::Terms => distance(got, terms) / (size * 2f64.powi(-24)).max(2f64.powi(-150)),
            Unit::Relative => f64::INFINITY,
        }
    }

    /// [`Row::error`] for the result of `element`, whose exact value is `truth`, less the error that the row's `focal`
    /// allows. If the devices of this row may read the prediction or the target as 0, it is the smallest error of all
    /// readings.
    pub fn judge(&self, got: f32, element: &Element, truth: &Truth) -> f64 {
        self.judge_scaled(got, element, truth, 1.0)
    }

    /// [`Row::judge`] for a gradient and hessian that are multiplied by a coefficient.
    pub fn judge_scaled(&self, got: f32, element: &Element, truth: &Truth, coefficient: f64) -> f64 {
        let judge = |element: &Element, truth: &Truth| match self.kind {
            Kind::Hard | Kind::Soft => self.error(got, &truth.times(coefficient)),
            Kind::Weighted | Kind::Focal => self.weighted_error(got, element, truth, coefficient),
        };
        let error = judge(element, truth);
        // The value, or 0 if it may be read as that.
        let read = |value: f64, smallest: f64| if value.abs() < smallest { 0.0 } else { value };
        let prediction = match (self.class, self.input) {
            _ if self.output == Output::Loss => element.prediction,
            (_, Input::Logits) => element.prediction,
            (DeviceClass::Cpu, Input::Probabilities) => element.prediction,
            _ => read(element.prediction, SMALLEST),
        };
        let target = if self.class == DeviceClass::Wgsl { read(element.target, SMALLEST) } else { element.target };
        if (prediction, target) == (element.prediction, element.target) {
            return error;
        }
        let readings = [(prediction, target), (prediction, element.target), (element.prediction, target)];
        readings.into_iter().fold(error, |error, (prediction, target)| {
            let element = Element { prediction, target, ..*element };
            error.min(judge(&element, &element.truth()))
        })
    }

    /// [`Row::error`] for weighted and focal elements, less the error that the row's `focal` allows.
    fn weighted_error(&self, got: f32, element: &Element, truth: &Truth, coefficient: f64) -> f64 {
        let [loss, gradient, hessian] = element.sizes();
        let k = if self.output == Output::Loss { 1.0 } else { coefficient };
        let (truth, size) = match self.output {
            Output::Loss => (truth.loss(), loss),
            Output::Gradient => (truth.gradient() * k, gradient * k.abs()),
            Output::Hessian => (truth.hessian() * k, hessian * k.abs()),
            Output::Sum => return f64::INFINITY,
        };
        let unweighted = Element { weight: 1.0, class_weight: 1.0, label_weights: [1.0; 2], focal: None, ..*element };
        // A pos_weight of the positive term is part of the value before the weights; the pos_weight of boosters is one
        // of the weights that multiply it.
        let alone = match element.compat {
            Some(Compat::Xgboost | Compat::Lightgbm) => Element { pos_weight: 1.0, ..unweighted },
            _ => unweighted,
        };
        let overflows = alone.sizes()[self.output as usize] >= f64::from(f32::MAX) * (1.0 - 1e-6);
        if overflows && got.is_infinite() && f64::from(got) * truth > 0.0 {
            return 0.0;
        }
        // A flushed value may be multiplied afterwards by the weights and the coefficient, and by the loss in the
        // derivatives of the focal factor.
        let gamma = element.focal.map_or(0.0, |focal| f64::from(focal.gamma()));
        let steep = 1.0 + gamma * (gamma + 2.0) * alone.sizes()[0].clamp(1.0, 128.0);
        let weight = if self.output == Output::Loss { element.total_weight() } else { element.derivative_weight() };
        let weights = (weight * (1.0 + element.pos_weight)).max(1.0) * k.abs();
        let flushed = SMALLEST * (1.0 + 8.0 * 2f64.powi(-23)) * weights.max(1.0) * steep;
        let apart = distance(got, [truth, 0.0]);
        let apart = if apart.is_finite() { (apart - flushed).max(0.0) } else { apart };
        let unit = match self.unit {
            Unit::Ulp => ulp(truth),
            Unit::Terms => (size * 2f64.powi(-24)).max(2f64.powi(-150)),
            Unit::Relative => return f64::INFINITY,
        };
        let factor = if coefficient == 1.0 { 1.0 } else { COEFFICIENT_FACTOR };
        let allowed = if self.focal == 0.0 { 0.0 } else { factor * self.focal * steepness(element) };
        (apart / unit - allowed).max(0.0)
    }

    /// Whether an error in the unit of this row is within its ceiling. NaN is not.
    pub fn allows(&self, error: f64) -> bool {
        error <= self.ceiling
    }
}

/// γ·(1 + |ln(1 − p_t)|), by which the `focal` of a row is multiplied. It is 0 without a focal factor, and if p_t is 1.
pub fn steepness(element: &Element) -> f64 {
    let Some(focal) = element.focal else { return 0.0 };
    let [p, r] = if element.form == Form::Probabilities {
        [element.prediction, 1.0 - element.prediction]
    } else {
        [1.0 / (1.0 + (-element.prediction).exp()), 1.0 / (1.0 + element.prediction.exp())]
    };
    let half = 0.5 * element.smoothing;
    let [n, z] = [1.0 - element.label(), element.label()].map(|z| z * (1.0 - element.smoothing) + half);
    let m = z * r + n * p;
    if m > 0.0 { f64::from(focal.gamma()) * (1.0 + m.ln().abs()) } else { 0.0 }
}

/// The smallest normal f32, 2⁻¹²⁶. Smaller results may be flushed to 0.
const SMALLEST: f64 = f32::MIN_POSITIVE as f64;

/// One unit in the last place of `truth` as an f32. Beyond the range of f32, it is that of the largest exponent.
pub fn ulp(truth: f64) -> f64 {
    let exponent = (truth.abs().max(SMALLEST).to_bits() >> 52) as i32 - 1023;
    2f64.powi(exponent.min(127) - 23)
}

/// The relative distance of a sum from the exact sum of `count` exact losses; infinite for NaN.
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

/// The distance of `got` from the interval of results that are allowed for the sum of the terms, whose small terms may
/// have been flushed to 0.
fn distance(got: f32, terms: [f64; 2]) -> f64 {
    let truth = terms[0] + terms[1];
    if got.is_nan() || truth.is_nan() {
        return f64::INFINITY;
    }
    if truth.is_infinite() {
        return if f64::from(got) == truth { 0.0 } else { f64::INFINITY };
    }
    // The f32 after the largest finite one is inf, whose place in the sequence is that of 2^128. With this value for
    // inf, a result that just overflowed, or just did not, has the same distance as any other.
    let beyond = 2f64.powi(128);
    let truth = truth.clamp(-beyond, beyond);
    let got = f64::from(got).clamp(-beyond, beyond);
    // A result is flushed if it is subnormal after rounding: the exact value may lie a few units above the limit.
    let flushed = |value: f64| if value.abs() < SMALLEST * (1.0 + 8.0 * 2f64.powi(-23)) { value } else { 0.0 };
    // The result may lie anywhere between the sum with and without the flushed terms, or between the sum and 0 if the
    // sum itself is flushed.
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

impl DeviceClass {
    /// The class of a device.
    pub fn of(device: &logloss::DeviceInfo) -> Self {
        if device.kind == logloss::DeviceKind::Cpu { DeviceClass::Cpu } else { DeviceClass::Wgsl }
    }
}

impl Truth {
    /// Gradient and hessian times a coefficient.
    fn times(&self, coefficient: f64) -> Self {
        let scaled = |terms: [f64; 2]| terms.map(|term| term * coefficient);
        Self { loss: self.loss, gradient: scaled(self.gradient), hessian: scaled(self.hessian) }
    }
}

impl Kind {
    /// The kind of an element with this target and the plain loss.
    pub fn of(target: f64) -> Self {
        if target == 0.0 || target == 1.0 { Kind::Hard } else { Kind::Soft }
    }

    /// The kind of an element.
    pub fn of_element(element: &Element) -> Self {
        let plain =
            Element { epsilon: element.epsilon, ..Element::new(element.form, element.prediction, element.target) };
        if element.focal.is_some() {
            Kind::Focal
        } else if *element != plain {
            Kind::Weighted
        } else {
            Kind::of(element.target)
        }
    }
}

impl fmt::Display for DeviceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceClass::Cpu => "CPU",
            DeviceClass::Wgsl => "any GPU adapter",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Hard => "targets 0 or 1",
            Kind::Soft => "soft targets",
            Kind::Weighted => "weighted",
            Kind::Focal => "focal",
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

impl Input {
    /// The input of a batch.
    pub fn of(batch: &Batch<'_>) -> Self {
        match (batch.form(), batch.predictions()) {
            (Form::Probabilities, Floats::F64(_)) => Input::F64Probabilities,
            (form, _) => form.into(),
        }
    }

    /// The form of the predictions.
    pub fn form(self) -> Form {
        if self == Input::Logits { Form::Logits } else { Form::Probabilities }
    }
}

impl From<Form> for Input {
    fn from(form: Form) -> Self {
        if form == Form::Probabilities { Input::Probabilities } else { Input::Logits }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Input::Logits => "logits",
            Input::Probabilities => "probabilities",
            Input::F64Probabilities => "f64 probabilities",
        })
    }
}

impl Unit {
    /// The name of the unit.
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

    fn get(output: Output, targets: Kind) -> &'static Row {
        find(DeviceClass::Wgsl, Form::Logits, targets, output).expect("a row")
    }

    fn truth(x: f64, z: f64) -> Truth {
        Element::new(Form::Logits, x, z).truth()
    }

    #[test]
    fn one_row_for_each_case() {
        assert_eq!(TABLE.len(), 2 * 3 * 4 * 4);
        for row in TABLE {
            let key = |row: &Row| (row.class, row.input, row.kind, row.output);
            assert_eq!(TABLE.iter().filter(|other| key(other) == key(row)).count(), 1, "{row:?}");
            let sum = row.output == Output::Sum;
            assert_eq!(sum, row.unit == Unit::Relative);
            let cancels = match row.output {
                Output::Gradient => row.kind != Kind::Hard,
                Output::Hessian => row.kind == Kind::Focal,
                _ => false,
            };
            assert_eq!(cancels, row.unit == Unit::Terms, "{row:?}");
            assert_eq!(row.focal > 0.0, row.kind == Kind::Focal && !sum);
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
        let row = get(Output::Loss, Kind::Hard);
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
    fn wrong_results_do_not_pass() {
        for output in [Output::Loss, Output::Gradient, Output::Hessian] {
            for targets in [Kind::Hard, Kind::Soft] {
                let row = get(output, targets);
                for x in [-1e30, -100.0, -90.0, -20.0, -1.0, 0.0, 1.0, 20.0, 90.0, 100.0, 1e30] {
                    let truth = truth(x, if targets == Kind::Hard { 1.0 } else { 0.25 });
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
        let sum = get(Output::Sum, Kind::Hard);
        assert!(!sum.allows(sum.error(0.0, &truth(0.0, 0.0))));
    }

    #[test]
    fn flushed_results_pass_and_others_do_not() {
        let row = get(Output::Gradient, Kind::Hard);
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
        let row = get(Output::Loss, Kind::Soft);
        // The term of the negative class is 8e-40, that of the positive class 7e-35.
        let truth = truth(-90.0, 2f64.powi(-120));
        assert!(truth.loss[0] < SMALLEST && truth.loss[1] > SMALLEST);
        assert!(row.allows(row.error(truth.loss() as f32, &truth)));
        assert!(row.allows(row.error(truth.loss[1] as f32, &truth)));
        assert!(!row.allows(row.error(truth.loss[0] as f32, &truth)));
        assert!(!row.allows(row.error((truth.loss[1] - truth.loss[0]) as f32, &truth)));
        // Neither term is flushed, but their sum may be.
        let row = get(Output::Gradient, Kind::Soft);
        let gradient = [2.0 * SMALLEST, -1.5 * SMALLEST];
        let truth = Truth { loss: [0.0; 2], gradient, hessian: [0.0; 2] };
        for (got, allowed) in [(0.5 * SMALLEST, true), (0.0, true), (-0.1 * SMALLEST, false), (0.6 * SMALLEST, false)] {
            assert_eq!(row.allows(row.error(got as f32, &truth)), allowed, "{got:e}");
        }
    }

    #[test]
    fn subnormal_inputs_may_be_zero() {
        let row = |class, form, output| find(class, form, Kind::Soft, output).expect("a row");
        let allowed = |row: &Row, got: f32, prediction: f64, target: f64| {
            let element = Element::new(row.input.form(), prediction, target);
            row.allows(row.judge(got, &element, &element.truth()))
        };
        let (inf, tiny) = (f64::INFINITY, 1e-40);
        let loss = row(DeviceClass::Wgsl, Form::Logits, Output::Loss);
        assert!(allowed(loss, 0.0, -inf, tiny) && allowed(loss, f32::INFINITY, -inf, tiny));
        assert!(!allowed(loss, f32::NAN, -inf, tiny) && !allowed(loss, 1.0, -inf, tiny));
        assert!(!allowed(loss, 0.0, -inf, 1e-37), "a normal target");
        assert!(!allowed(row(DeviceClass::Cpu, Form::Logits, Output::Loss), 0.0, -inf, tiny), "no adapter");
        let gradient = row(DeviceClass::Wgsl, Form::Probabilities, Output::Gradient);
        assert!(allowed(gradient, f32::NEG_INFINITY, tiny, 0.5));
        assert!(!allowed(gradient, f32::INFINITY, tiny, 0.5) && !allowed(gradient, f32::NEG_INFINITY, 1e-37, 0.5));
        assert!(!allowed(row(DeviceClass::Wgsl, Form::Probabilities, Output::Loss), f32::INFINITY, tiny, 0.5));
    }

    #[test]
    fn overflow_is_infinite() {
        let row = get(Output::Hessian, Kind::Hard);
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
