//! Why something could not be measured, read or compared.

use std::{error, iter};

use crate::{SCHEMA, Work, cell::Cell};

/// What this crate's functions return.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be measured, read or compared. [`Error::help`] says how to correct it where that is known.
///
/// ```
/// use logloss_bench::Report;
///
/// let error = Report::from_json("{}").unwrap_err();
/// println!("{error}: {:?}", error.help());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number of the specification is out of its range.
    #[error("{0}")]
    OutOfRange(&'static str),
    /// No device fits one of the selections.
    #[error("no such device: there is the CPU, and {}", listed(adapters))]
    NoSuchDevice {
        /// The names of the adapters that exist.
        adapters: Vec<String>,
    },
    /// The memory that is free holds the arrays of none of the sizes.
    #[error("{}", notes.join("; "))]
    OutOfMemory {
        /// For each size, how much memory it takes.
        notes: Vec<String>,
    },
    /// There are no values of a type to measure with.
    #[error("there are no values of the type {what} to measure with")]
    Unmeasured {
        /// The name of the type.
        what: &'static str,
    },
    /// No row could be measured, and none was wrong.
    #[error("nothing was measured: {}", notes.join("; "))]
    NothingMeasured {
        /// Why the rows were skipped.
        notes: Vec<String>,
    },
    /// The observer ended the measurement.
    #[error("interrupted")]
    Interrupted,
    /// The text is not a report as JSON.
    #[error("not results of `logloss bench --json`: {0}")]
    NotAReport(serde_json::Error),
    /// The report has a schema that this version does not know.
    #[error("its schema is {found}, this program knows {SCHEMA}")]
    UnknownSchema {
        /// The schema that the report names.
        found: String,
    },
    /// The reports have no row in common, so that nothing can be compared.
    #[error("the two runs have no row in common")]
    NothingInCommon,
    /// The report could not be written as JSON.
    #[error(transparent)]
    Json(serde_json::Error),
    /// The rows could not be written as CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The first evaluation of a row failed, or its answer is wrong.
    #[error("{device}: {work} of {n} values is wrong")]
    Row {
        /// The name of the device.
        device: String,
        /// What was computed.
        work: Work,
        /// The number of values in the batch.
        n: usize,
        /// Why it failed, or what is wrong with the answer.
        source: Box<Self>,
    },
    /// An answer is wrong.
    #[error("{0}")]
    WrongAnswer(String),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] logloss::Error),
    /// The threads of a device could not be started.
    #[error(transparent)]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The system does not give the memory of an array.
    #[error("{bytes} bytes of memory could not be allocated")]
    Memory {
        /// The size of the array in bytes.
        bytes: usize,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system refuses to be asked for huge pages.
    #[error("huge pages could not be requested")]
    HugePages(#[source] std::io::Error),
    /// A device fails to allocate, to compute or to move data.
    #[error("the device failed")]
    Device(#[source] Box<dyn error::Error + Send + Sync>),
    /// The engine of an adapter has no wgpu device.
    #[error("{0} is not an adapter")]
    NotAnAdapter(String),
}

impl Error {
    /// How to correct it, in a sentence without a full stop.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoSuchDevice { .. } => "`logloss devices` lists what there is; a software adapter is to be named",
            Self::OutOfMemory { .. } => "ask for smaller ones: --sizes 16,20",
            Self::NothingMeasured { .. } => "`logloss devices` lists what there is; `--device cpu` always works",
            Self::NotAReport(_) => "`logloss bench --json > FILE` writes such a file",
            Self::UnknownSchema { .. } => "measure again with this version",
            Self::NothingInCommon => {
                "compare runs of the same devices, sizes and work (the same options on the same machine)"
            }
            _ => return None,
        })
    }

    /// The error of a row: of the evaluation `cell` on a device.
    pub(crate) fn of_row(self, device: &str, cell: Cell) -> Self {
        Self::Row { device: device.to_owned(), work: cell.work, n: cell.n, source: Box::new(self) }
    }

    /// The error and everything that caused it, joined by colons.
    pub(crate) fn chain(&self) -> String {
        let causes = iter::successors(Some(self as &dyn error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    /// Whether an answer is wrong, in contrast to a device that is not able to give one.
    pub(crate) fn is_wrong_answer(&self) -> bool {
        match self {
            Self::Row { source, .. } => source.is_wrong_answer(),
            Self::WrongAnswer(_) | Self::Engine(logloss::Error::InvalidValue { .. }) => true,
            _ => false,
        }
    }
}

/// The names of the adapters, or that there is none.
fn listed(adapters: &[String]) -> String {
    if adapters.is_empty() { "no adapter".to_owned() } else { adapters.join(", ") }
}

/// A word that names no device, work, pair of types or threshold.
///
/// ```
/// use logloss_bench::Threshold;
///
/// let error = "much".parse::<Threshold>().unwrap_err();
/// assert_eq!(error.to_string(), "pass a percentage, such as 10%");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

impl ParseError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told() {
        let error = Error::Row {
            device: "cpu".into(),
            work: Work::MEAN,
            n: 8,
            source: Box::new(Error::Memory { bytes: 9, source: std::io::Error::other("full") }),
        };
        assert_eq!(error.chain(), "cpu: mean of 8 values is wrong: 9 bytes of memory could not be allocated: full");
        assert!(!error.is_wrong_answer() && Error::WrongAnswer("the mean".into()).is_wrong_answer());
    }
}
