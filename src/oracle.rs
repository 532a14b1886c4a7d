//! The truth that both backends are compared with: loss, gradient and hessian of one element in f64.
//!
//! Slow, scalar, and written straight from the formulas with std's functions of f64: it shares no code, no
//! constant and no approximation with the kernels. Against 60-digit arithmetic (`data/golden.csv` for logits,
//! `tests/golden_probabilities.csv` for probabilities) its loss, hessian and the terms of its gradient are right
//! to 1e-15 relative, its gradient to 1e-15 of the sum of its terms' magnitudes: 29 bits better than any f32
//! result it judges.

use crate::Form;

/// One element: what the loss is a function of.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Element {
    /// What the prediction is.
    pub form: Form,
    /// The logit x, ±inf included, or the probability p in [0, 1].
    pub prediction: f64,
    /// The target z in [0, 1].
    pub target: f64,
}

/// What the loss of an element and its derivatives are, each as the two terms it is made of: the first belongs to
/// the negative class and vanishes at z = 1, the second to the positive class and vanishes at z = 0.
///
/// The terms matter for judging: where the two cancel, no f32 arithmetic can be exact relative to the result; and
/// a term too small for a normal f32 may be flushed to 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// (1 − z)·softplus(x) and z·softplus(−x); both ≥ 0.
    pub loss: [f64; 2],
    /// (1 − z)·σ(x) and −z·σ(−x).
    pub gradient: [f64; 2],
    /// (1 − z)·σ(x)·σ(−x) and z·σ(x)·σ(−x); both ≥ 0.
    pub hessian: [f64; 2],
}

impl Truth {
    /// The loss, in nats.
    pub fn loss(&self) -> f64 {
        self.loss[0] + self.loss[1]
    }

    /// The derivative of the loss with respect to the prediction.
    pub fn gradient(&self) -> f64 {
        self.gradient[0] + self.gradient[1]
    }

    /// The second derivative of the loss with respect to the prediction.
    pub fn hessian(&self) -> f64 {
        self.hessian[0] + self.hessian[1]
    }
}

impl Element {
    /// An element with prediction and target given, everything else at its default.
    pub fn new(form: Form, prediction: f64, target: f64) -> Self {
        Self { form, prediction, target }
    }

    /// Its loss and derivatives; NaN throughout if the prediction or the target is invalid.
    ///
    /// At the ends of the range (x = ±inf, p = 0, p = 1) these are the limits: a class whose weight is 0 adds 0
    /// however wrong the prediction is for it.
    pub fn truth(&self) -> Truth {
        let valid = match self.form {
            Form::Logits => !self.prediction.is_nan(),
            Form::Probabilities => (0.0..=1.0).contains(&self.prediction),
        };
        if !valid || !(0.0..=1.0).contains(&self.target) {
            return Truth { loss: [f64::NAN; 2], gradient: [f64::NAN; 2], hessian: [f64::NAN; 2] };
        }
        // The weights of the negative and of the positive class. 1 − z is exact for every f32 z above 2^-30, and
        // rounded once below.
        let (negative, positive) = (1.0 - self.target, self.target);
        let [n, p] = match self.form {
            Form::Logits => [if_negative(self.prediction), if_negative(-self.prediction)],
            // −0 is in [0, 1] and means 0.
            Form::Probabilities => [if_zero(self.prediction.abs()), if_one(self.prediction.abs())],
        };
        // The loss of the positive class falls with x; the formulas for p carry their own sign.
        let sign = if self.form == Form::Logits { -1.0 } else { 1.0 };
        Truth {
            loss: [times(negative, n.loss), times(positive, p.loss)],
            gradient: [times(negative, n.gradient), sign * times(positive, p.gradient)],
            hessian: [times(negative, n.hessian), times(positive, p.hessian)],
        }
    }
}

/// Loss, first and second derivative, if the class were certain.
struct Certain {
    loss: f64,
    gradient: f64,
    hessian: f64,
}

/// A weight of 0 wins over an infinite loss: the limit along the weight, and what leaving the class out means.
fn times(weight: f64, value: f64) -> f64 {
    if weight == 0.0 { 0.0 } else { weight * value }
}

/// softplus(x) = log(1 + eˣ), its derivative σ(x) = 1/(1 + e⁻ˣ), and σ(x)·σ(−x), at the logit x for class 0.
///
/// With e = exp(−|x|) in [0, 1] nothing overflows and nothing cancels (Mächler, "Accurately computing
/// log(1 − exp(−|a|))", 2012, for log1p; NUMERICS.md of the project for the rest).
fn if_negative(x: f64) -> Certain {
    let e = (-x.abs()).exp();
    Certain {
        loss: x.max(0.0) + e.ln_1p(),
        gradient: if x > 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) },
        hessian: e / ((1.0 + e) * (1.0 + e)),
    }
}

/// −log(1 − p), 1/(1 − p) and 1/(1 − p)², at the probability p for class 0. 1 − p is exact for f32 p ≥ 2⁻³⁰ and
/// indistinguishable from exact below; the logarithm would not be, hence log1p.
fn if_zero(p: f64) -> Certain {
    let q = 1.0 - p;
    Certain { loss: -(-p).ln_1p(), gradient: 1.0 / q, hessian: 1.0 / (q * q) }
}

/// −log p, −1/p and 1/p², at the probability p for class 1.
fn if_one(p: f64) -> Certain {
    Certain { loss: -p.ln(), gradient: -1.0 / p, hessian: 1.0 / (p * p) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line of a golden file: prediction and target, loss, gradient, hessian.
    fn golden(text: &str) -> impl Iterator<Item = (f64, f64, [f64; 3])> {
        text.lines().skip(1).map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let bits = |i: usize| f64::from(f32::from_bits(u32::from_str_radix(fields[i], 16).expect("hexadecimal")));
            let number = |i: usize| fields[i].parse::<f64>().expect("a number");
            (bits(0), bits(1), [number(2), number(3), number(4)])
        })
    }

    /// The worst relative errors of loss, gradient (to its terms) and hessian.
    fn worst(form: Form, text: &str) -> ([f64; 3], usize) {
        let (mut worst, mut count) = ([0.0f64; 3], 0);
        for (prediction, target, want) in golden(text) {
            let truth = Element::new(form, prediction, target).truth();
            let got = [truth.loss(), truth.gradient(), truth.hessian()];
            let size = [want[0], truth.gradient[0].abs() + truth.gradient[1].abs(), want[2]];
            for i in 0..3 {
                // Under f64's own smallest normal number digits go missing, and no f32 result is that small.
                let error = if got[i] == want[i] {
                    0.0
                } else {
                    (got[i] - want[i]).abs() / size[i].abs().max(f64::MIN_POSITIVE)
                };
                assert!(
                    error <= 1e-14,
                    "{form:?} {prediction:e} {target:e}: output {i} is {}, not {}",
                    got[i],
                    want[i]
                );
                worst[i] = worst[i].max(error);
            }
            count += 1;
        }
        (worst, count)
    }

    #[test]
    fn logits_against_sixty_digits() {
        let (worst, count) = worst(Form::Logits, include_str!("../data/golden.csv"));
        assert_eq!(count, 2594);
        assert!(worst.iter().all(|&error| error <= 1e-15), "{worst:?}");
    }

    #[test]
    fn probabilities_against_sixty_digits() {
        let (worst, count) = worst(Form::Probabilities, include_str!("../tests/golden_probabilities.csv"));
        assert_eq!(count, 1500);
        assert!(worst.iter().all(|&error| error <= 1e-15), "{worst:?}");
    }

    #[test]
    fn limits_at_infinite_logits() {
        let inf = f64::INFINITY;
        let at = |x, z| {
            let truth = Element::new(Form::Logits, x, z).truth();
            [truth.loss(), truth.gradient(), truth.hessian()]
        };
        assert_eq!(at(-inf, 0.0), [0.0, 0.0, 0.0]);
        assert_eq!(at(inf, 0.0), [inf, 1.0, 0.0]);
        assert_eq!(at(-inf, 1.0), [inf, -1.0, 0.0]);
        assert_eq!(at(inf, 1.0), [0.0, 0.0, 0.0]);
        assert_eq!(at(inf, 0.25), [inf, 0.75, 0.0]);
        assert_eq!(at(-inf, 0.25), [inf, -0.25, 0.0]);
    }

    #[test]
    fn limits_at_certain_probabilities() {
        let inf = f64::INFINITY;
        let at = |p, z| {
            let truth = Element::new(Form::Probabilities, p, z).truth();
            [truth.loss(), truth.gradient(), truth.hessian()]
        };
        assert_eq!(at(0.0, 0.0), [0.0, 1.0, 1.0]);
        assert_eq!(at(1.0, 0.0), [inf, inf, inf]);
        assert_eq!(at(0.0, 1.0), [inf, -inf, inf]);
        assert_eq!(at(-0.0, 1.0), [inf, -inf, inf]);
        assert_eq!(at(1.0, 1.0), [0.0, -1.0, 1.0]);
        assert_eq!(at(0.0, 0.25), [inf, -inf, inf]);
        assert_eq!(at(1.0, 0.25), [inf, inf, inf]);
    }

    #[test]
    fn invalid_is_nan() {
        for (form, prediction, target) in [
            (Form::Logits, f64::NAN, 0.0),
            (Form::Logits, 0.0, f64::NAN),
            (Form::Logits, 0.0, 1.5),
            (Form::Probabilities, -0.5, 0.0),
            (Form::Probabilities, 1.5, 0.0),
            (Form::Probabilities, 0.5, -1.0),
        ] {
            let truth = Element::new(form, prediction, target).truth();
            assert!(truth.loss().is_nan() && truth.gradient().is_nan() && truth.hessian().is_nan());
        }
    }
}
