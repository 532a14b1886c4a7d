//! A sum of f64 values that no order of adding or merging can change.

use std::cell::Cell;

use smallvec::SmallVec;
use xsum::{Xsum, XsumSmall};

/// The exact sum of any number of f64 values.
///
/// Held as the shortest list of f64 values whose exact sum it is, largest first, each the rest that the ones
/// before it leave, rounded to nearest. The same sum always gives the same list, so equal sums are equal to the
/// bit, and merging is associative and commutative. (Neal, "Fast exact summation using small and large
/// superaccumulators", 2015, does the adding.)
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExactSum {
    /// (Four reach over 212 bits: sums of f32 rarely need more.)
    terms: SmallVec<[f64; 4]>,
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

thread_local! {
    /// An accumulator, empty, so that a call which adds up does not have to allocate one.
    static SPARE: Cell<Option<XsumSmall>> = const { Cell::new(None) };
}

/// A sum in the making.
#[derive(Default)]
pub(crate) struct Adder {
    /// The first value: all there is of a small batch, whose sum should cost nothing.
    first: Option<f64>,
    sum: Option<XsumSmall>,
}

impl Adder {
    pub fn add(&mut self, value: f64) {
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

    pub fn finish(self) -> ExactSum {
        // One quiet NaN for every NaN: which one came first must not show.
        let quiet = |term: f64| if term.is_nan() { f64::NAN } else { term };
        let Some(mut sum) = self.sum else {
            return ExactSum { terms: self.first.filter(|first| *first != 0.0).map(quiet).into_iter().collect() };
        };
        let mut terms = SmallVec::new();
        loop {
            let mut term = sum.sum();
            if term == 0.0 {
                // Nothing is left in it.
                let _ = SPARE.try_with(|spare| spare.set(Some(sum)));
                return ExactSum { terms };
            }
            if !term.is_finite() {
                terms.push(quiet(term));
                return ExactSum { terms };
            }
            sum.add(-term);
            if term < 0.0 {
                // xsum 0.1 rounds a negative sum away from 0 also where it is a number of 53 bits.
                let rest = sum.sum();
                let whole = term + rest;
                if whole - term == rest {
                    sum.add(-rest);
                    let exact = sum.sum() == 0.0;
                    if exact {
                        term = whole;
                    } else {
                        sum.add(rest);
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
    fn ties_are_told_by_what_is_far_below() {
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
