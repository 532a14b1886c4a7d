//! A sum of f64 values whose bits do not depend on the order of adding or merging.

use std::cell::Cell;

use smallvec::SmallVec;
use xsum::{Xsum, XsumSmall};

/// The exact sum of any number of f64 values.
///
/// The sum is represented as the shortest list of f64 values whose exact sum it is, largest first: each value is the
/// remainder after the values before it, rounded to nearest. Equal sums have the same list, so they are equal to the
/// bit, and merging is associative and commutative. The addition is that of Neal, "Fast exact summation using small and
/// large superaccumulators", 2015.
///
/// ```
/// use logloss::ExactSum;
///
/// let mut sum = ExactSum::of([1e300, 1.0]);
/// sum.merge(&ExactSum::of([-1e300]));
/// assert_eq!(sum.value(), 1.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExactSum {
    /// The list of values. Four values cover 212 bits; sums of f32 rarely need more.
    terms: SmallVec<[f64; 4]>,
}

impl ExactSum {
    /// The sum of `values`.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut adder = Adder::default();
        values.into_iter().for_each(|value| adder.add(value));
        adder.finish()
    }

    /// The sum, rounded to nearest once. It is NaN if a value is NaN or if infinities of both signs were added, ±inf if
    /// values of one infinity were added, and 0 for no values.
    pub fn value(&self) -> f64 {
        self.terms.first().copied().unwrap_or(0.0)
    }

    /// The list of values whose exact sum this is.
    pub fn terms(&self) -> &[f64] {
        &self.terms
    }

    /// Adds the values of `other`.
    pub fn merge(&mut self, other: &Self) {
        if self.terms.is_empty() {
            self.terms.clone_from(&other.terms);
        } else if !other.terms.is_empty() {
            *self = Self::of(self.terms.iter().chain(&other.terms).copied());
        }
    }
}

/// Serialises the bits of each term as an integer, which is exact also in formats that write floats as text or cannot
/// represent infinity.
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
        // The terms are added again so that the list is the shortest one, whatever was deserialised.
        Ok(Self::of(terms.into_iter().map(f64::from_bits)))
    }
}

thread_local! {
    /// An empty accumulator that is reused, so that a call need not allocate one.
    static SPARE: Cell<Option<XsumSmall>> = const { Cell::new(None) };
}

/// An accumulator of f64 values, which becomes an [`ExactSum`].
#[derive(Default)]
pub(crate) struct Adder {
    /// The first value. A small batch has only one, and needs no accumulator.
    first: Option<f64>,
    /// The accumulator, from the second value on.
    sum: Option<XsumSmall>,
}

impl Adder {
    pub(crate) fn add(&mut self, value: f64) {
        match (&mut self.sum, self.first) {
            (Some(sum), _) => sum.add(value),
            (None, None) => self.first = Some(value),
            (None, Some(first)) => {
                let sum = self.sum.insert(SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default());
                sum.add(first);
                sum.add(value);
            }
        }
    }

    pub(crate) fn finish(self) -> ExactSum {
        // Every NaN becomes the same quiet NaN, so that the bits do not depend on the order.
        let quiet = |term: f64| if term.is_nan() { f64::NAN } else { term };
        let Some(mut sum) = self.sum else {
            return ExactSum { terms: self.first.filter(|first| *first != 0.0).map(quiet).into_iter().collect() };
        };
        let mut terms = SmallVec::new();
        loop {
            let mut term = sum.sum();
            if term == 0.0 {
                // The accumulator is empty again.
                let _ = SPARE.try_with(|spare| spare.set(Some(sum)));
                return ExactSum { terms };
            }
            if !term.is_finite() {
                terms.push(quiet(term));
                return ExactSum { terms };
            }
            sum.add(-term);
            if term < 0.0 {
                // xsum 0.1 rounds a negative sum away from 0 even if the sum has at most 53 significant bits.
                let remainder = sum.sum();
                let corrected = term + remainder;
                if corrected - term == remainder {
                    sum.add(-remainder);
                    let exact = sum.sum() == 0.0;
                    if exact {
                        term = corrected;
                    } else {
                        sum.add(remainder);
                    }
                }
            }
            terms.push(term);
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
    fn negative_sums_are_rounded_to_nearest() {
        for value in [-3.177196522870745e-194, -1.0, -1.0 - f64::EPSILON, -5e-324] {
            assert_eq!(ExactSum::of([1.0, value, -1.0]).terms(), [value]);
        }
        assert_eq!(ExactSum::of([-1e300, -1.0, 1e-300]).terms(), [-1e300, -1.0, 1e-300]);
    }

    #[test]
    fn ties_are_decided_by_much_smaller_terms() {
        let above = 1.0 + f64::EPSILON;
        assert_eq!(ExactSum::of([above, f64::EPSILON / 2.0, -1e-60]).value(), above);
        assert_eq!(ExactSum::of([f64::MAX, 2f64.powi(970), -1.0]).value(), f64::MAX);
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
