//! Compares two runs: which rows became slower or faster by more than their spread.

use std::{collections::HashMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ParseError, Report, Row,
    error::{Error, Result},
    text::size,
};

/// The slowdown in percent above which a row counts as a regression. It is written `10%` or `10`.
///
/// ```
/// use logloss_bench::Threshold;
///
/// assert_eq!("10%".parse(), Ok(Threshold(10.0)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold(pub f64);

impl FromStr for Threshold {
    type Err = ParseError;

    fn from_str(word: &str) -> Result<Self, ParseError> {
        let number = word.trim().trim_end_matches('%').trim_end().parse().ok();
        number
            .filter(|percent: &f64| percent.is_finite() && *percent >= 0.0)
            .map(Threshold)
            .ok_or_else(|| ParseError::new("pass a percentage, such as 10%"))
    }
}

/// A row that both runs have, and how its time changed.
///
/// ```no_run
/// use logloss_bench::{Report, Threshold, compare};
///
/// let text = std::fs::read_to_string("report.json").expect("what logloss bench --json printed");
/// let report = Report::from_json(&text)?;
/// let comparison = compare(&report, &report, Threshold(10.0))?;
/// assert!(comparison.moved.iter().all(|change| !change.regression));
/// # Ok::<(), logloss_bench::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The name of the device.
    pub device: String,
    /// What was computed.
    pub work: String,
    /// The number of values in a batch.
    pub n: u64,
    /// The types of predictions and targets.
    pub inputs: String,
    /// Whether the batch lies on the device.
    pub resident: bool,
    /// The time per element in the earlier run, in nanoseconds.
    pub old_ns_per_elem: f64,
    /// The time per element in this run, in nanoseconds.
    pub new_ns_per_elem: f64,
    /// The change of the time in percent; negative where this run is faster.
    pub percent: f64,
    /// The change of the limit's time in percent: a row that changed with its limit owes it to the machine.
    pub limit_percent: f64,
    /// Whether the change is a regression.
    pub regression: bool,
}

/// A comparison of this run with an earlier one. Its `Display` is the text that people read, a line for each change.
///
/// ```no_run
/// use logloss_bench::{Report, Threshold, compare};
///
/// let text = std::fs::read_to_string("report.json").expect("what logloss bench --json printed");
/// let report = Report::from_json(&text)?;
/// let comparison = compare(&report, &report, Threshold(10.0))?;
/// assert_eq!(comparison.regressions, 0);
/// # Ok::<(), logloss_bench::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The date of the earlier run.
    pub old_date: String,
    /// The commit that the earlier run measured.
    pub old_commit: Option<String>,
    /// The slowdown in percent above which a row counts as a regression.
    pub threshold_percent: f64,
    /// The number of rows that both runs have.
    pub compared: usize,
    /// The number of rows that only the earlier run has.
    pub only_old: usize,
    /// The number of rows that only this run has.
    pub only_new: usize,
    /// What makes the two runs hard to compare, in sentences.
    pub notes: Vec<String>,
    /// The rows that changed by more than their spread, the largest slowdown first.
    pub moved: Vec<Change>,
    /// The number of regressions among them.
    pub regressions: usize,
}

/// Compares a run with an earlier one.
///
/// # Errors
/// [`Error::NothingInCommon`] if the two have no row in common.
pub fn compare(old: &Report, new: &Report, threshold: Threshold) -> Result<Comparison> {
    let before: HashMap<_, &Row> = old.results.iter().map(|row| (key(row), row)).collect();
    let pairs: Vec<(&Row, &Row)> = new.results.iter().filter_map(|row| Some((*before.get(&key(row))?, row))).collect();
    if pairs.is_empty() {
        return Err(Error::NothingInCommon);
    }
    let mut moved: Vec<Change> = pairs.iter().filter_map(|(old, new)| change(old, new, threshold)).collect();
    moved.sort_by(|a, b| b.percent.total_cmp(&a.percent));
    Ok(Comparison {
        old_date: old.date.clone(),
        old_commit: old.program.commit.clone(),
        threshold_percent: threshold.0,
        compared: pairs.len(),
        only_old: old.results.len() - pairs.len(),
        only_new: new.results.len() - pairs.len(),
        notes: differences(old, new),
        regressions: moved.iter().filter(|change| change.regression).count(),
        moved,
    })
}

/// What identifies a row within a run: device, work, size, types, place.
type Key<'a> = (&'a str, &'a str, u64, &'a str, &'a str, bool);

fn key(row: &Row) -> Key<'_> {
    (&row.device, &row.work, row.n, &row.predictions, &row.targets, row.resident)
}

/// The number of median deviations between two medians above which a row has changed, if the quartiles do not overlap.
const DEVIATIONS: f64 = 3.0;

/// How a row changed; none if it did so within its spread.
fn change(old: &Row, new: &Row, threshold: Threshold) -> Option<Change> {
    let apart = (new.ns_per_elem - old.ns_per_elem).abs();
    let overlap = new.q1_ns_per_elem <= old.q3_ns_per_elem && old.q1_ns_per_elem <= new.q3_ns_per_elem;
    if overlap || apart <= DEVIATIONS * old.mad_ns_per_elem.max(new.mad_ns_per_elem) {
        return None;
    }
    let percent = 100.0 * (new.ns_per_elem / old.ns_per_elem - 1.0);
    Some(Change {
        device: new.device.clone(),
        work: new.work.clone(),
        n: new.n,
        inputs: new.inputs(),
        resident: new.resident,
        old_ns_per_elem: old.ns_per_elem,
        new_ns_per_elem: new.ns_per_elem,
        percent,
        limit_percent: 100.0 * (old.limit_gb_per_s / new.limit_gb_per_s - 1.0),
        regression: percent > threshold.0,
    })
}

/// What differs between the two runs besides their rows.
fn differences(old: &Report, new: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    let mut differ = |what: &str, old: &str, new: &str| {
        if old != new {
            notes.push(format!("{what} differs: {old} before, {new} now"));
        }
    };
    differ("CPU", &old.machine.cpu, &new.machine.cpu);
    differ("cores", &old.machine.cores.to_string(), &new.machine.cores.to_string());
    differ("pages", &old.machine.pages, &new.machine.pages);
    differ("build", &old.program.build, &new.program.build);
    for device in &new.devices {
        if let Some(before) = old.devices.iter().find(|before| before.device == device.device) {
            differ(&format!("driver of {}", device.device), &before.driver, &device.driver);
        }
    }
    notes
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commit = self.old_commit.as_deref().map(|commit| format!(" ({commit})")).unwrap_or_default();
        writeln!(f, "Against {}{commit}: {} rows compared.", self.old_date, self.compared)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        if self.only_old + self.only_new > 0 {
            writeln!(f, "note: {} rows only before, {} only now", self.only_old, self.only_new)?;
        }
        for change in &self.moved {
            writeln!(f, "{change}")?;
        }
        let threshold = self.threshold_percent;
        match (self.moved.len(), self.regressions) {
            (0, _) => writeln!(f, "Nothing moved beyond the spread."),
            (moved, 0) => writeln!(f, "{moved} moved beyond the spread, none slower by more than {threshold} %."),
            (moved, regressions) => {
                writeln!(f, "{moved} moved beyond the spread, {regressions} slower by more than {threshold} %.")
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self { regression: true, .. } => "REGRESSION",
            Self { percent: 0.0.., .. } => "slower",
            _ => "faster",
        };
        write!(
            f,
            "{word:<10}  {:>+7.1} %  {:.4} -> {:.4} ns/elem  {}{}, {} of {} {} (the limit {:+.1} %)",
            self.percent,
            self.old_ns_per_elem,
            self.new_ns_per_elem,
            self.device,
            if self.resident { ", resident" } else { "" },
            self.work,
            size(self.n),
            self.inputs,
            self.limit_percent,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo;

    fn faster_by(factor: f64) -> Report {
        let mut report = demo::report();
        let row = &mut report.results[1];
        for ns in [&mut row.ns_per_elem, &mut row.q1_ns_per_elem, &mut row.q3_ns_per_elem] {
            *ns *= factor;
        }
        report
    }

    fn compared(factor: f64, percent: f64) -> Comparison {
        compare(&demo::report(), &faster_by(factor), Threshold(percent)).unwrap()
    }

    #[test]
    fn same_is_same() {
        let same = compared(1.0, 0.0);
        assert_eq!((same.moved.len(), same.regressions, same.compared), (0, 0, demo::report().results.len()));
        assert!(same.to_string().contains("Nothing moved"));
    }

    #[test]
    fn regression_is_seen() {
        let worse = compared(1.5, 10.0);
        assert_eq!((worse.moved.len(), worse.regressions), (1, 1));
        assert!((worse.moved[0].percent - 50.0).abs() < 1e-9);
        assert!(worse.to_string().contains("REGRESSION"), "{}", worse.to_string());
    }

    #[test]
    fn slower_below_the_threshold() {
        let worse = compared(1.5, 60.0);
        assert_eq!((worse.moved.len(), worse.regressions), (1, 0));
        assert!(worse.to_string().contains("slower"));
    }

    #[test]
    fn faster_is_no_regression() {
        let better = compared(0.5, 0.0);
        assert_eq!((better.moved.len(), better.regressions), (1, 0));
        assert!(better.to_string().contains("faster"));
    }

    #[test]
    fn within_the_spread() {
        let mut new = faster_by(1.5);
        new.results[1].q1_ns_per_elem = 0.0;
        assert!(compare(&demo::report(), &new, Threshold(10.0)).unwrap().moved.is_empty());
        let mut new = faster_by(1.5);
        new.results[1].mad_ns_per_elem = new.results[1].ns_per_elem;
        assert!(compare(&demo::report(), &new, Threshold(10.0)).unwrap().moved.is_empty());
    }

    #[test]
    fn nothing_in_common() {
        let mut new = demo::report();
        new.results.iter_mut().for_each(|row| row.n += 1);
        assert!(compare(&demo::report(), &new, Threshold(10.0)).is_err());
    }

    #[test]
    fn other_machine_is_said() {
        let mut new = demo::report();
        new.machine.cpu = "another".into();
        let notes = compare(&demo::report(), &new, Threshold(10.0)).unwrap().notes;
        assert_eq!(notes.len(), 1, "{notes:?}");
    }

    #[test]
    fn thresholds() {
        assert_eq!("10%".parse(), Ok(Threshold(10.0)));
        assert_eq!("2.5".parse(), Ok(Threshold(2.5)));
        assert!(["", "-1", "NaN", "ten"].iter().all(|word| word.parse::<Threshold>().is_err()));
    }
}
