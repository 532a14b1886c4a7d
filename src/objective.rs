//! What is computed from a batch.

use crate::{Error, Result};

/// How the losses become one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Not at all: the value is the loss of each element, the gradient that of each element's own loss.
    None,
    /// Their sum.
    Sum,
    /// Their sum over their number.
    #[default]
    Mean,
}

/// What an invalid value does: NaN in the predictions, a probability or a target outside [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Invalid {
    /// The evaluation fails and names the first one.
    #[default]
    Error,
    /// Its loss, gradient and hessian are NaN, and so are the sum and the mean.
    Propagate,
}

/// Binary cross-entropy, reduced.
///
/// With x the logit and z the target, the loss of an element is (1 − z)·softplus(x) + z·softplus(−x), its
/// gradient and hessian the first and second derivative with respect to x. With p a probability in place of x
/// it is −(1 − z)·log(1 − p) − z·log p, exact to the ends of [0, 1] (+inf where the truth is), and the
/// derivatives are those with respect to p.
///
/// Gradient and hessian are those of the reduced value, times [`scale`](Self::with_scale).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    reduction: Reduction,
    scale: f32,
    invalid: Invalid,
}

impl Default for Objective {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, scale: 1.0, invalid: Invalid::Error }
    }
}

impl Objective {
    /// The mean, unscaled; invalid values are errors.
    pub fn mean() -> Self {
        Self::default()
    }

    /// The sum, unscaled; invalid values are errors.
    pub fn sum() -> Self {
        Self::default().with_reduction(Reduction::Sum)
    }

    /// Sets the reduction.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Multiplies gradient and hessian (and neither loss, sum nor mean): an upstream gradient, a loss scale.
    ///
    /// # Errors
    /// [`Error::Parameter`] if it is NaN or infinite.
    pub fn with_scale(mut self, scale: f32) -> Result<Self> {
        if !scale.is_finite() {
            return Err(Error::Parameter { name: "scale", value: scale.into(), must: "finite" });
        }
        self.scale = scale;
        Ok(self)
    }

    /// Sets what an invalid value does.
    pub fn with_invalid(mut self, invalid: Invalid) -> Self {
        self.invalid = invalid;
        self
    }

    /// The reduction.
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// What an invalid value does.
    pub fn invalid(&self) -> Invalid {
        self.invalid
    }

    /// What every element's gradient and hessian is multiplied by, in a batch of `count` values: rounded to f32
    /// once, here, so that every part of a batch and every device multiplies by the same number.
    pub(crate) fn coefficient(&self, count: u64) -> f32 {
        match self.reduction {
            Reduction::None | Reduction::Sum => self.scale,
            Reduction::Mean => (f64::from(self.scale) / count as f64) as f32,
        }
    }
}
