//! What moved since an earlier run.

use std::{collections::HashMap, fmt::Write, fs, path::Path, str::FromStr};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::model::{Report, Row, SCHEMA, size};
use crate::failure::fault;

/// How much slower is a regression, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold(pub f64);

impl FromStr for Threshold {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let number = word.trim().trim_end_matches('%').trim_end().parse().ok();
        number
            .filter(|percent: &f64| percent.is_finite() && *percent >= 0.0)
            .map(Threshold)
            .ok_or_else(|| "say a percentage, such as 10%".into())
    }
}

/// A row in two runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The device.
    pub device: String,
    /// What was computed.
    pub work: String,
    /// Values a batch.
    pub n: u64,
    /// Types of predictions and targets.
    pub inputs: String,
    /// Whether the batch lies on the device.
    pub resident: bool,
    /// Nanoseconds an element before.
    pub old_ns_per_elem: f64,
    /// Nanoseconds an element now.
    pub new_ns_per_elem: f64,
    /// How much longer it takes now, in percent; less than 0 if it is faster.
    pub percent: f64,
    /// How much longer the limit takes now, in percent: what moved with it is the machine's doing.
    pub limit_percent: f64,
    /// Whether that is a regression.
    pub regression: bool,
}

/// Two runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// When the earlier one was.
    pub old_date: String,
    /// What it was of.
    pub old_commit: Option<String>,
    /// How much slower is a regression.
    pub threshold_percent: f64,
    /// Rows that both have.
    pub compared: usize,
    /// Rows that only the earlier one has.
    pub only_old: usize,
    /// Rows that only this one has.
    pub only_new: usize,
    /// What makes the two hard to compare.
    pub notes: Vec<String>,
    /// What moved beyond the spread, the worst first.
    pub moved: Vec<Change>,
    /// How many of those are regressions.
    pub regressions: usize,
}

/// Reads the results of a run.
pub fn read(path: &Path) -> Result<Report> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let report: Report = serde_json::from_str(&text).map_err(|error| {
        fault(
            format_args!("{}: not results of `logloss bench --json`: {error}", path.display()),
            "`logloss bench --json > FILE` writes such a file",
        )
    })?;
    if report.schema != SCHEMA {
        return Err(fault(
            format_args!("{}: its schema is {}, this program knows {SCHEMA}", path.display(), report.schema),
            "measure again with this version",
        ));
    }
    Ok(report)
}

/// Compares two runs.
///
/// # Errors
/// If they have no row in common: then nothing can be said.
pub fn compare(old: &Report, new: &Report, threshold: Threshold) -> Result<Comparison> {
    let before: HashMap<_, &Row> = old.results.iter().map(|row| (key(row), row)).collect();
    let pairs: Vec<(&Row, &Row)> = new.results.iter().filter_map(|row| Some((*before.get(&key(row))?, row))).collect();
    if pairs.is_empty() {
        return Err(fault(
            "the two runs have no row in common",
            "compare runs of the same devices, sizes and work (the same options on the same machine)",
        ));
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

type Key<'a> = (&'a str, &'a str, u64, &'a str, &'a str, bool);

fn key(row: &Row) -> Key<'_> {
    (&row.device, &row.work, row.n, &row.predictions, &row.targets, row.resident)
}

/// Medians this many median deviations apart have moved, if their quartiles do not overlap.
const DEVIATIONS: f64 = 3.0;

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

impl Comparison {
    /// For people.
    pub fn plain(&self) -> String {
        let mut text = String::new();
        let commit = self.old_commit.as_deref().map(|commit| format!(" ({commit})")).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(text, "Against {}{commit}: {} rows compared.", self.old_date, self.compared);
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        if self.only_old + self.only_new > 0 {
            let _ = writeln!(text, "note: {} rows only before, {} only now", self.only_old, self.only_new);
        }
        for change in &self.moved {
            let word = match change {
                Change { regression: true, .. } => "REGRESSION",
                Change { percent: 0.0.., .. } => "slower",
                _ => "faster",
            };
            let _ = writeln!(
                text,
                "{word:<10}  {:>+7.1} %  {:.4} -> {:.4} ns/elem  {}{}, {} of {} {} (the limit {:+.1} %)",
                change.percent,
                change.old_ns_per_elem,
                change.new_ns_per_elem,
                change.device,
                if change.resident { ", resident" } else { "" },
                change.work,
                size(change.n),
                change.inputs,
                change.limit_percent,
            );
        }
        let _ = match (self.moved.len(), self.regressions) {
            (0, _) => writeln!(text, "Nothing moved beyond the spread."),
            (moved, 0) => {
                writeln!(
                    text,
                    "{moved} moved beyond the spread, none slower by more than {} %.",
                    self.threshold_percent
                )
            }
            (moved, regressions) => writeln!(
                text,
                "{moved} moved beyond the spread, {regressions} slower by more than {} %.",
                self.threshold_percent
            ),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::demo;

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
        assert!(same.plain().contains("Nothing moved"));
    }

    #[test]
    fn regression_is_seen() {
        let worse = compared(1.5, 10.0);
        assert_eq!((worse.moved.len(), worse.regressions), (1, 1));
        assert!((worse.moved[0].percent - 50.0).abs() < 1e-9);
        assert!(worse.plain().contains("REGRESSION"), "{}", worse.plain());
    }

    #[test]
    fn slower_below_the_threshold() {
        let worse = compared(1.5, 60.0);
        assert_eq!((worse.moved.len(), worse.regressions), (1, 0));
        assert!(worse.plain().contains("slower"));
    }

    #[test]
    fn faster_is_no_regression() {
        let better = compared(0.5, 0.0);
        assert_eq!((better.moved.len(), better.regressions), (1, 0));
        assert!(better.plain().contains("faster"));
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
