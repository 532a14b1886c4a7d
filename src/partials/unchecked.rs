//! Partials and totals as texts have them, before it is checked that a device may have made them.

use serde::Deserialize;

use super::{ClassPartials, Partials, Pieces, Totals};
use crate::{ThresholdCounts, exact_sum::ExactSum};

/// The fields of [`Partials`].
#[derive(Deserialize)]
pub(super) struct UncheckedPartials {
    sum: ExactSum,
    weight: ExactSum,
    count: u64,
    classes: Vec<ClassPartials>,
    first_invalid: Option<u64>,
    #[serde(default)]
    threshold: Option<ThresholdCounts>,
    #[serde(default)]
    pieces: Pieces,
}

/// The fields of [`Totals`].
#[derive(Deserialize)]
pub(super) struct UncheckedTotals {
    count: u64,
    weight: ExactSum,
    #[serde(default)]
    pieces: Pieces,
}

const COUNTS: &str = "partials that count more values than were merged";
const NEGATIVE: &str = "partials whose sums are negative";

impl TryFrom<UncheckedPartials> for Partials {
    type Error = &'static str;

    fn try_from(unchecked: UncheckedPartials) -> Result<Self, Self::Error> {
        let UncheckedPartials { sum, weight, count, classes, first_invalid, threshold, pieces } = unchecked;
        let add = |sum: u64, count: u64| sum.checked_add(count);
        let of_classes = classes.iter().try_fold(0, |sum, class| add(sum, class.count));
        let sides = threshold.map_or(Some(0), |counts| add(counts.below, counts.at_or_above));
        let within = |counts: Option<u64>| counts.is_some_and(|counts| counts <= count);
        if !pieces.may_count(count) || !within(of_classes) || !within(sides) {
            return Err(COUNTS);
        }
        if first_invalid.is_some_and(|index| !pieces.may_contain(index)) {
            return Err("partials with an invalid value that was not merged");
        }
        if [&sum, &weight].into_iter().chain(classes.iter().map(|class| &class.sum)).any(is_negative) {
            return Err(NEGATIVE);
        }
        Ok(Self { sum, weight, count, classes, first_invalid, threshold, pieces })
    }
}

impl TryFrom<UncheckedTotals> for Totals {
    type Error = &'static str;

    fn try_from(UncheckedTotals { count, weight, pieces }: UncheckedTotals) -> Result<Self, Self::Error> {
        match (pieces.may_count(count), is_negative(&weight)) {
            (false, _) => Err(COUNTS),
            (_, true) => Err(NEGATIVE),
            _ => Ok(Self { count, weight, pieces }),
        }
    }
}

fn is_negative(sum: &ExactSum) -> bool {
    sum.value() < 0.0
}
