//! The reference values that both backends are compared with: loss, gradient and hessian of one element in f64.
//!
//! The oracle is slow and scalar, and implements the formulas directly with the f64 functions of std: it shares no
//! code, no constant and no approximation with the kernels. Compared with 60-digit arithmetic (`data/golden.csv` for
//! logits, `tests/golden_probabilities.csv` for probabilities), the relative error of its loss, its hessian and the
//! terms of its gradient is at most 1e-15, and the error of its gradient is at most 1e-15 of the sum of the magnitudes
//! of its terms. This is 29 bits better than the f32 results that it is compared with. Weights and conventions add one
//! or two roundings, the focal factor γ·|log(1 − p_t)| roundings.

use logloss::{Batch, Compat, Floats, Focal, Form};

/// One element: all arguments of the loss function, which is defined at [`Objective`](logloss::Objective).
///
/// ```
/// use logloss::Form;
/// use logloss_verify::oracle::Element;
///
/// let mut element = Element::new(Form::Logits, 0.0, 1.0);
/// element.weight = 2.0;
/// assert!((element.truth().loss() - 2.0 * 2f64.ln()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Element {
    /// The form of the prediction.
    pub form: Form,
    /// The logit x, ±inf included, or the probability p in [0, 1].
    pub prediction: f64,
    /// The ε of the type of the prediction, by which some systems clip: 2⁻²³ for f32, 2⁻⁵² for f64, 2⁻¹⁰ for f16.
    pub epsilon: f64,
    /// The target z in [0, 1].
    pub target: f64,
    /// The weight of the element, or of its sample.
    pub weight: f64,
    /// The weight of its class.
    pub class_weight: f64,
    /// The weight q of the positive term in its class.
    pub pos_weight: f64,
    /// The weights w₀ and w₁ of the labels.
    pub label_weights: [f64; 2],
    /// The label smoothing a.
    pub smoothing: f64,
    /// The focal factor, if any.
    pub focal: Option<Focal>,
    /// The system whose conventions apply, if any.
    pub compat: Option<Compat>,
}

/// The exact loss of an element and its derivatives, each as its two terms. The first term is that of the negative
/// class and is 0 at z = 1; the second is that of the positive class and is 0 at z = 0, where z is the smoothed target.
/// Both include weights and the focal factor; the formulas below are those of the plain loss.
///
/// The comparison of results needs the terms: where they cancel, f32 arithmetic cannot be accurate relative to the
/// result, and a term too small for a normal f32 may be flushed to 0. (With a focal factor each term is itself a sum,
/// and the terms of the hessian may cancel: see [`Element::sizes`].)
///
/// ```
/// use logloss::Form;
/// use logloss_verify::oracle::Element;
///
/// let truth = Element::new(Form::Logits, 0.0, 0.25).truth();
/// assert_eq!((truth.gradient(), truth.hessian()), (0.25, 0.25));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// (1 − z)·softplus(x) and z·softplus(−x); both ≥ 0.
    pub loss: [f64; 2],
    /// (1 − z)·σ(x) and −z·σ(−x).
    pub gradient: [f64; 2],
    /// (1 − z)·σ(x)·σ(−x) and z·σ(x)·σ(−x); both ≥ 0 without a focal factor.
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
    /// An element with this prediction, whose type is f32, and target, weights of 1, and no other parameters.
    pub fn new(form: Form, prediction: f64, target: f64) -> Self {
        Self {
            form,
            prediction,
            epsilon: f32::EPSILON.into(),
            target,
            weight: 1.0,
            class_weight: 1.0,
            pos_weight: 1.0,
            label_weights: [1.0, 1.0],
            smoothing: 0.0,
            focal: None,
            compat: None,
        }
    }

    /// An element with a prediction of this batch and its target, weights of 1, and no other parameters.
    ///
    /// # Panics
    /// If the batch has no value `index`.
    pub fn of(batch: &Batch<'_>, index: usize) -> Self {
        let epsilon = match batch.predictions() {
            Floats::F64(_) => f64::EPSILON,
            Floats::F16(_) => 2f64.powi(-10),
            _ => f32::EPSILON.into(),
        };
        Self { epsilon, ..Self::new(batch.form(), batch.predictions().get(index), batch.targets().get(index)) }
    }

    /// The loss of the element and its derivatives. All are NaN if the prediction, the target or the weight is invalid.
    ///
    /// At the ends of the range (x = ±inf, p = 0, p = 1) they are the limits: a class whose weight is 0 contributes 0,
    /// whatever the prediction.
    pub fn truth(&self) -> Truth {
        let addends = self.addends();
        Truth {
            loss: addends.map(|of_class| of_class.loss),
            gradient: addends.map(|of_class| of_class.gradient.iter().sum()),
            hessian: addends.map(|of_class| of_class.hessian.iter().sum()),
        }
    }

    /// The sums of the magnitudes of all addends of loss, gradient and hessian. Error bounds of f32 arithmetic are
    /// relative to these.
    pub fn sizes(&self) -> [f64; 3] {
        let size = |values: &[f64]| values.iter().map(|value| value.abs()).sum::<f64>();
        let [negative, positive] = self.addends();
        [
            negative.loss + positive.loss,
            size(&negative.gradient) + size(&positive.gradient),
            size(&negative.hessian) + size(&positive.hessian),
        ]
    }

    /// The weight of the loss. A weighted mean divides by the sum of these.
    pub fn total_weight(&self) -> f64 {
        // LightGBM's metric does not use the label weights.
        let of_label = if self.compat == Some(Compat::Lightgbm) { 1.0 } else { self.label_weight() };
        self.weight * self.class_weight * of_label
    }

    /// The weight of gradient and hessian. It differs from [`total_weight`](Self::total_weight) for the boosters whose
    /// metric uses fewer weights than their objective.
    pub fn derivative_weight(&self) -> f64 {
        let of_positive = if self.is_boosted() && self.label() == 1.0 { self.pos_weight } else { 1.0 };
        self.weight * self.class_weight * self.label_weight() * of_positive
    }

    /// The target before smoothing, as the system in `compat` interprets it; NaN if the target is invalid.
    pub fn label(&self) -> f64 {
        match self.compat {
            Some(Compat::Lightgbm) if self.target > 0.0 => 1.0,
            Some(Compat::Lightgbm) if self.target <= 0.0 => 0.0,
            _ if (0.0..=1.0).contains(&self.target) => self.target,
            _ => f64::NAN,
        }
    }

    /// The weight of the label, interpolated linearly for a soft target.
    fn label_weight(&self) -> f64 {
        let z = self.label();
        self.label_weights[0] * (1.0 - z) + self.label_weights[1] * z
    }

    /// Whether `pos_weight` multiplies the derivatives of positive elements, instead of the positive term.
    fn is_boosted(&self) -> bool {
        matches!(self.compat, Some(Compat::Xgboost | Compat::Lightgbm))
    }

    /// ε and δ, if the probability is clipped to [ε, 1 − δ].
    fn clip(&self) -> Option<[f64; 2]> {
        match (self.compat?, self.form) {
            (Compat::Keras, Form::Probabilities) if self.epsilon == f64::EPSILON => Some([1e-7; 2]),
            // In f32, 1 - 1e-7 is 1 - 2^-23.
            (Compat::Keras, Form::Probabilities) => Some([f64::from(1e-7f32), f64::from(f32::EPSILON)]),
            (Compat::Sklearn, _) => Some([self.epsilon; 2]),
            (Compat::Xgboost, _) => Some([1e-16; 2]),
            (Compat::Lightgbm, _) => Some([1e-15; 2]),
            _ => None,
        }
    }

    /// The addends of the negative and the positive class.
    fn addends(&self) -> [Addends; 2] {
        let valid = if self.form == Form::Probabilities {
            (0.0..=1.0).contains(&self.prediction)
        } else {
            !self.prediction.is_nan()
        };
        if !valid || self.label().is_nan() || !(0.0..f64::INFINITY).contains(&self.weight) {
            return [Addends { loss: f64::NAN, gradient: [f64::NAN; 2], hessian: [f64::NAN; 4] }; 2];
        }
        // The product with a weight of 0 is 0, even for infinite values.
        let [loss, derivatives] = [self.total_weight(), self.derivative_weight()];
        self.unweighted().map(|of_class| Addends {
            loss: times(loss, of_class.loss),
            gradient: of_class.gradient.map(|addend| times(derivatives, addend)),
            hessian: of_class.hessian.map(|addend| times(derivatives, addend)),
        })
    }

    /// The addends of both classes for a valid element of weight 1.
    fn unweighted(&self) -> [Addends; 2] {
        // The probability −0 is valid, and is treated as 0. XGBoost has probabilities in f32 only.
        let x = match (self.form, self.compat) {
            (Form::Logits, _) => self.prediction,
            (_, Some(Compat::Xgboost)) => f64::from(self.prediction.abs() as f32),
            _ => self.prediction.abs(),
        };
        let z = self.label();
        // The weights of the negative and of the positive class. 1 − z is exact for every f32 z above 2^-30, and
        // rounded once below.
        let half = 0.5 * self.smoothing;
        let targets = [(1.0 - z) * (1.0 - self.smoothing) + half, z * (1.0 - self.smoothing) + half];
        let q = if self.is_boosted() { 1.0 } else { self.pos_weight };
        // For logits, the gradient of the positive class is negated, because it is computed at −x. The formulas for
        // probabilities include the sign.
        let [n, mut p] =
            if self.form == Form::Probabilities { [if_zero(x), if_one(x)] } else { [if_negative(x), if_negative(-x)] };
        if self.form == Form::Logits {
            p.gradient = -p.gradient;
        }
        let [p_0, p_1] = if self.form == Form::Probabilities { [x, 1.0 - x] } else { [n.gradient, -p.gradient] };
        let (terms, flat) = self.by_convention([n, p], x);

        // m is 1 − p_t; m_1 and m_2 are its derivatives, divided by m.
        let gamma = self.focal.map_or(0.0, |focal| f64::from(focal.gamma()));
        let alpha = self.focal.and_then(|focal| focal.alpha()).map_or(1.0, |alpha| {
            let alpha = f64::from(alpha);
            targets[0] * (1.0 - alpha) + targets[1] * alpha
        });
        // The product with a weight of 0 is 0, even for infinite values.
        let weights = if alpha == 0.0 { [0.0; 2] } else { [targets[0], q * targets[1]] };
        let m = targets[0] * p_0 + targets[1] * p_1;
        let certain = |weight: f64, term: Certain| Certain {
            loss: times(weight, term.loss),
            gradient: times(weight, term.gradient),
            hessian: times(weight, term.hessian),
        };
        let plain = [certain(weights[0], terms[0]), certain(weights[1], terms[1])];
        if gamma == 0.0 {
            return plain.map(|term| term.scaled(alpha));
        }
        if m == 0.0 {
            // The prediction is exactly the target. The limit of every product with m^γ is 0, except, for a
            // probability, that of γ·(γ + 1)·m^(γ − 1) in the hessian.
            let limit = match self.form {
                Form::Probabilities if gamma < 1.0 => f64::INFINITY,
                Form::Probabilities if gamma == 1.0 => 2.0,
                _ => 0.0,
            };
            return plain.map(|term| Addends {
                loss: 0.0,
                gradient: [0.0; 2],
                hessian: [times(alpha, times(term.hessian, limit)), 0.0, 0.0, 0.0],
            });
        }
        let factor = alpha * m.powf(gamma);
        if flat || plain[0].loss + plain[1].loss == f64::INFINITY {
            // If the loss is infinite, only its own derivatives remain in the limit: the derivatives of m tend to 0
            // faster than the loss grows, or the derivatives of the loss grow faster than the loss.
            return plain.map(|term| term.scaled(factor));
        }
        let (m_1, m_2) = if self.form == Form::Probabilities {
            ((targets[0] - targets[1]) / m, 0.0)
        } else {
            let m_1 = (targets[0] - targets[1]) * (p_0 * p_1 / m);
            (m_1, m_1 * (p_1 - p_0))
        };
        plain.map(|term| Addends {
            loss: times(factor, term.loss),
            gradient: [gamma * m_1 * term.loss, term.gradient].map(|addend| times(factor, addend)),
            hessian: [
                gamma * (gamma - 1.0) * m_1 * m_1 * term.loss,
                gamma * m_2 * term.loss,
                2.0 * gamma * m_1 * term.gradient,
                term.hessian,
            ]
            .map(|addend| times(factor, addend)),
        })
    }

    /// The terms as the system in `compat` defines them, and whether it treats them as constant at this prediction.
    fn by_convention(&self, terms: [Certain; 2], x: f64) -> ([Certain; 2], bool) {
        let [mut n, mut p] = terms;
        let mut flat = false;
        if let Some([epsilon, delta]) = self.clip() {
            let least = |rest: f64| if self.compat == Some(Compat::Lightgbm) { 0.0 } else { -(-rest).ln_1p() };
            n.loss = n.loss.clamp(least(epsilon), -delta.ln());
            p.loss = p.loss.clamp(least(delta), -epsilon.ln());
            flat = self.compat == Some(Compat::Keras) && !(epsilon..=1.0 - delta).contains(&x);
        }
        if flat {
            (n.gradient, n.hessian, p.gradient, p.hessian) = (0.0, 0.0, 0.0, 0.0);
        }
        if self.compat == Some(Compat::Torch) && self.form == Form::Probabilities {
            (n.loss, p.loss) = (n.loss.min(100.0), p.loss.min(100.0));
            let floor = f64::from(1e-12f32);
            if x * (1.0 - x) < floor {
                let [over_n, over_p] = [x / floor, (1.0 - x) / floor];
                (n.gradient, n.hessian) = (over_n, over_n * over_n);
                (p.gradient, p.hessian) = (-over_p, over_p * over_p);
            }
        }
        if self.compat == Some(Compat::Xgboost) && self.form == Form::Logits {
            (n.hessian, p.hessian) = (n.hessian.max(1e-16), p.hessian.max(1e-16));
        }
        ([n, p], flat)
    }
}

/// The addends of loss, gradient and hessian of one class.
#[derive(Clone, Copy)]
struct Addends {
    loss: f64,
    gradient: [f64; 2],
    hessian: [f64; 4],
}

/// The loss and its first and second derivative for a target that is exactly one of the classes.
#[derive(Clone, Copy)]
struct Certain {
    loss: f64,
    gradient: f64,
    hessian: f64,
}

impl Certain {
    /// The addends of this term times a constant.
    fn scaled(self, factor: f64) -> Addends {
        Addends {
            loss: times(factor, self.loss),
            gradient: [times(factor, self.gradient), 0.0],
            hessian: [times(factor, self.hessian), 0.0, 0.0, 0.0],
        }
    }
}

/// The product of a weight and a value, which is 0 for a weight of 0 even if the value is infinite: this is the limit
/// for a weight that tends to 0, and means that the class does not contribute.
fn times(weight: f64, value: f64) -> f64 {
    if weight == 0.0 { 0.0 } else { weight * value }
}

/// softplus(x) = log(1 + eˣ), its derivative σ(x) = 1/(1 + e⁻ˣ), and σ(x)·σ(−x), at the logit x for class 0.
///
/// With e = exp(−|x|) in [0, 1], no operation overflows or cancels (see Mächler, "Accurately computing
/// log(1 − exp(−|a|))", 2012, for log1p, and NUMERICS.md of the project for the rest).
fn if_negative(x: f64) -> Certain {
    let e = (-x.abs()).exp();
    Certain {
        loss: x.max(0.0) + e.ln_1p(),
        gradient: if x > 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) },
        hessian: e / ((1.0 + e) * (1.0 + e)),
    }
}

/// −log(1 − p), 1/(1 − p) and 1/(1 − p)², at the probability p for class 0. 1 − p is exact for an f32 p ≥ 2⁻³⁰, and its
/// error below has no effect on the derivatives. The logarithm of 1 − p would lose digits, so log1p is used.
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

    /// The lines of a file of reference values: prediction, target, and loss, gradient and hessian.
    fn golden(text: &str) -> impl Iterator<Item = (f64, f64, [f64; 3])> {
        text.lines().skip(1).map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let bits = |i: usize| f64::from(f32::from_bits(u32::from_str_radix(fields[i], 16).expect("hexadecimal")));
            let number = |i: usize| fields[i].parse::<f64>().expect("a number");
            (bits(0), bits(1), [number(2), number(3), number(4)])
        })
    }

    /// The largest relative errors of loss, gradient (relative to its terms) and hessian, and the number of lines.
    fn worst(form: Form, text: &str) -> ([f64; 3], usize) {
        let (mut worst, mut count) = ([0.0f64; 3], 0);
        for (prediction, target, want) in golden(text) {
            let truth = Element::new(form, prediction, target).truth();
            let got = [truth.loss(), truth.gradient(), truth.hessian()];
            let size = [want[0], truth.gradient[0].abs() + truth.gradient[1].abs(), want[2]];
            for i in 0..3 {
                // Below the smallest normal f64, values have fewer digits; no f32 result is that small.
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
    fn logits_agree_with_sixty_digits() {
        let (worst, count) = worst(Form::Logits, include_str!("../../../data/golden.csv"));
        assert_eq!(count, 2594);
        assert!(worst.iter().all(|&error| error <= 1e-15), "{worst:?}");
    }

    #[test]
    fn probabilities_agree_with_sixty_digits() {
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

    /// With all parameters in use, the derivatives agree with central differences of the loss.
    #[test]
    fn derivatives_are_those_of_the_loss() {
        for form in [Form::Logits, Form::Probabilities] {
            for step in 1..20 {
                let prediction = if form == Form::Logits { f64::from(step) - 10.0 } else { f64::from(step) / 20.0 };
                for (target, gamma) in [(0.0, 0.5), (1.0, 0.5), (0.3, 1.0), (1.0, 2.0), (0.9, 5.0), (0.0, 2.0)] {
                    let element = |prediction| Element {
                        weight: 1.5,
                        pos_weight: 3.0,
                        label_weights: [0.5, 2.0],
                        smoothing: 0.1,
                        focal: Focal::new(gamma).and_then(|focal| focal.with_alpha(0.25)).ok(),
                        ..Element::new(form, prediction, target)
                    };
                    let h = 1e-5;
                    let (below, at, above) = (element(prediction - h), element(prediction), element(prediction + h));
                    let [_, gradient_size, hessian_size] = at.sizes();
                    let gradient = (above.truth().loss() - below.truth().loss()) / (2.0 * h);
                    let hessian = (above.truth().gradient() - below.truth().gradient()) / (2.0 * h);
                    let off = (gradient - at.truth().gradient()).abs() / gradient_size;
                    assert!(off <= 1e-6, "gradient {off} {form:?} {prediction} {target} {gamma}");
                    let off = (hessian - at.truth().hessian()).abs() / hessian_size;
                    assert!(off <= 1e-6, "hessian {off} {form:?} {prediction} {target} {gamma}");
                }
            }
        }
    }

    #[test]
    fn focal_limits() {
        let inf = f64::INFINITY;
        let at = |form, x, z, gamma| {
            let truth = Element { focal: Focal::new(gamma).ok(), ..Element::new(form, x, z) }.truth();
            [truth.loss(), truth.gradient(), truth.hessian()]
        };
        for gamma in [0.5, 1.0, 2.0] {
            assert_eq!(at(Form::Logits, inf, 1.0, gamma), [0.0, 0.0, 0.0]);
            assert_eq!(at(Form::Logits, inf, 0.0, gamma), [inf, 1.0, 0.0]);
            assert_eq!(at(Form::Probabilities, 1.0, 0.0, gamma), [inf, inf, inf]);
        }
        assert_eq!(at(Form::Probabilities, 1.0, 1.0, 0.5), [0.0, 0.0, inf]);
        assert_eq!(at(Form::Probabilities, 0.0, 0.0, 1.0), [0.0, 0.0, 2.0]);
        assert_eq!(at(Form::Probabilities, 1.0, 1.0, 2.0), [0.0, 0.0, 0.0]);
    }

    /// The values at the ends of the range are those of the systems themselves.
    #[test]
    fn conventions() {
        let at = |compat, form, x, z| Element { compat: Some(compat), ..Element::new(form, x, z) }.truth();
        let close = |got: f64, want: f64| assert!((got - want).abs() <= 1e-4, "{got} {want}");
        close(at(Compat::Torch, Form::Probabilities, 0.0, 1.0).loss(), 100.0);
        close(at(Compat::Torch, Form::Probabilities, 0.0, 1.0).gradient() * 1e-12, -1.0);
        close(at(Compat::Keras, Form::Probabilities, 1.0, 0.0).loss(), 15.9424);
        assert_eq!(at(Compat::Keras, Form::Probabilities, 1.0, 0.0).gradient(), 0.0);
        close(at(Compat::Xgboost, Form::Logits, 100.0, 0.0).loss(), 36.8414);
        assert_eq!(at(Compat::Xgboost, Form::Logits, 100.0, 0.0).hessian(), 1e-16);
        close(at(Compat::Lightgbm, Form::Logits, -100.0, 0.5).loss(), 34.5388);
        let plain = Element { pos_weight: 3.0, label_weights: [1.0, 5.0], ..Element::new(Form::Logits, 0.0, 1.0) };
        let [xgboost, lightgbm] =
            [Compat::Xgboost, Compat::Lightgbm].map(|compat| Element { compat: Some(compat), ..plain });
        let weights = |element: Element| [element.total_weight(), element.derivative_weight()];
        assert_eq!(weights(plain), [5.0, 5.0]);
        assert_eq!(weights(xgboost), [5.0, 15.0]);
        assert_eq!(weights(lightgbm), [1.0, 15.0]);
        let ln_2 = 2f64.ln();
        assert_eq!([lightgbm.truth().loss(), lightgbm.truth().gradient()], [ln_2, -7.5]);
        // For LightGBM every number is a label, positive if it is above 0.
        for (target, label) in [(-1.0, 0.0), (0.0, 0.0), (1e-300, 1.0), (7.0, 1.0), (f64::NEG_INFINITY, 0.0)] {
            assert_eq!(Element { target, ..lightgbm }.label(), label);
        }
        assert!(Element { target: f64::NAN, ..lightgbm }.truth().loss().is_nan());
        // An invalid element of weight 0 is invalid, too.
        let weightless = Element { weight: 0.0, prediction: f64::NAN, ..lightgbm };
        assert!(weightless.truth().loss().is_nan() && weightless.truth().hessian().is_nan());
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
