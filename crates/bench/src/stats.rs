//! Medians and their spread.

/// The summary of several measurements of one quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// The median.
    pub median: f64,
    /// The first quartile: a quarter of the values lies below it.
    pub q1: f64,
    /// The third quartile: a quarter of the values lies above it.
    pub q3: f64,
    /// The median deviation: the median of the distances from the median.
    pub mad: f64,
    /// The smallest value.
    pub min: f64,
    /// The number of values.
    pub count: usize,
}

impl Summary {
    /// The summary of at least one value; all of it is NaN if there is none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let median = quantile(&values, 0.5);
        let mut distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        distances.sort_by(f64::total_cmp);
        Self {
            median,
            q1: quantile(&values, 0.25),
            q3: quantile(&values, 0.75),
            mad: quantile(&distances, 0.5),
            min: values.first().copied().unwrap_or(f64::NAN),
            count: values.len(),
        }
    }
}

/// The median; NaN if there is no value.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    Summary::of(values).median
}

/// The value that the share `q` of sorted values lies below, interpolated.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = q * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// The value rounded to five significant digits: no clock is more exact.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    format!("{value:.4e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let summary = Summary::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(summary, Summary { median: 3.0, q1: 2.0, q3: 4.0, mad: 1.0, min: 1.0, count: 5 });
        assert_eq!(Summary::of([1.0, 2.0]).median, 1.5);
        let one = Summary::of([7.0]);
        assert_eq!((one.median, one.q1, one.q3, one.mad), (7.0, 7.0, 7.0, 0.0));
    }

    #[test]
    fn outliers_do_not_count() {
        let summary = Summary::of([1.0, 1.0, 1.0, 1.0, 1000.0]);
        assert_eq!((summary.median, summary.mad, summary.q3), (1.0, 0.0, 1.0));
    }

    #[test]
    fn empty() {
        assert!(median([]).is_nan());
    }

    #[test]
    fn digits() {
        assert_eq!(rounded(0.123_456_789), 0.12346);
        assert_eq!(rounded(123_456.789), 123_460.0);
        assert_eq!(rounded(0.0), 0.0);
        assert!(rounded(f64::NAN).is_nan());
    }
}
