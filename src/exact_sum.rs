//! A sum of f64 values that no order of adding or merging can change.

use xsum::{Xsum, XsumSmall};

/// The exact sum of any number of f64 values.
///
/// Held as the shortest list of f64 values whose exact sum it is, largest first, each the rest that the ones
/// before it leave, rounded to nearest. The same sum always gives the same list, so equal sums are equal to the
/// bit, and merging is associative and commutative. (Neal, "Fast exact summation using small and large
/// superaccumulators", 2015, does the adding.)
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExactSum {
    terms: Vec<f64>,
}

impl ExactSum {
    /// The sum of `values`.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut adder = Adder::default();
        values.into_iter().for_each(|value| adder.add(value));
        adder.finish()
    }

    /// The sum, rounded to nearest once. NaN if a NaN is in it, +inf if +inf is; 0 for no value.
    pub fn value(&self) -> f64 {
        self.terms.first().copied().unwrap_or(0.0)
    }

    /// The list that is the sum.
    pub fn terms(&self) -> &[f64] {
        &self.terms
    }

    /// Adds everything `other` holds.
    pub fn merge(&mut self, other: &Self) {
        if self.terms.is_empty() {
            self.terms.clone_from(&other.terms);
        } else if !other.terms.is_empty() {
            *self = Self::of(self.terms.iter().chain(&other.terms).copied());
        }
    }
}

/// The terms, as the bits of each: formats that write floats as text, or have no infinity, carry them as they are.
#[cfg(feature = "serde")]
impl serde::Serialize for ExactSum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.terms.iter().map(|term| term.to_bits()))
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for ExactSum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let terms = Vec::<u64>::deserialize(deserializer)?;
        // Added up anew, so that the terms are the shortest list whatever was sent.
        Ok(Self::of(terms.into_iter().map(f64::from_bits)))
    }
}

/// A sum in the making.
pub(crate) struct Adder(XsumSmall);

impl Default for Adder {
    fn default() -> Self {
        Self(XsumSmall::new())
    }
}

impl Adder {
    pub fn add(&mut self, value: f64) {
        self.0.add(value);
    }

    pub fn finish(mut self) -> ExactSum {
        let mut terms = Vec::new();
        loop {
            let term = self.0.sum();
            if term == 0.0 {
                return ExactSum { terms };
            }
            // One quiet NaN for every NaN: which one came first must not show.
            terms.push(if term.is_nan() { f64::NAN } else { term });
            if !term.is_finite() {
                return ExactSum { terms };
            }
            self.0.add(-term);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty() {
        assert_eq!(ExactSum::default().value().to_bits(), 0.0f64.to_bits());
        assert_eq!(ExactSum::of([0.0, -0.0]), ExactSum::default());
    }

    #[test]
    fn cancels_exactly() {
        assert_eq!(ExactSum::of([1e300, 1.0, -1e300]).value(), 1.0);
        assert_eq!(ExactSum::of([1e300, 1.0, 1e-300]).terms(), [1e300, 1.0, 1e-300]);
    }

    #[test]
    fn non_finite() {
        assert_eq!(ExactSum::of([1.0, f64::INFINITY, 2.0]).terms(), [f64::INFINITY]);
        assert!(ExactSum::of([1.0, f64::INFINITY, f64::NAN]).value().is_nan());
        let mut sum = ExactSum::of([f64::INFINITY]);
        sum.merge(&ExactSum::of([1.0]));
        assert_eq!(sum.value(), f64::INFINITY);
    }

    proptest::proptest! {
        #[test]
        fn any_order_and_any_split(values: Vec<f64>, cut: proptest::sample::Index) {
            let cut = if values.is_empty() { 0 } else { cut.index(values.len()) };
            let whole = ExactSum::of(values.iter().copied());
            let (head, tail) = values.split_at(cut);
            let mut merged = ExactSum::of(tail.iter().rev().copied());
            merged.merge(&ExactSum::of(head.iter().copied()));
            let bits = |sum: &ExactSum| sum.terms().iter().map(|t| t.to_bits()).collect::<Vec<_>>();
            proptest::prop_assert_eq!(bits(&whole), bits(&merged));
        }
    }
}
