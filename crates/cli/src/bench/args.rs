//! The command line of `logloss bench`.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::ValueEnum;
use logloss_bench::{DeviceSelection, Inputs, Specification, Threshold, Work};

use crate::args::{number, threads};

/// Measure how fast the devices are, against their own limits
///
/// Times evaluations over a sweep of sizes, input types and outputs on every device. Each result is checked before it is
/// timed, and compared with the time that the same device takes to only move as many bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// all, auto, cpu, gpu (every adapter that is not a software one), or indices and parts of names as in
    /// `logloss devices`, separated by commas
    #[arg(long, value_name = "DEVICES", default_value = "all", value_delimiter = ',')]
    pub device: Vec<DeviceSelection>,

    /// Numbers of threads for the CPU, such as 1,8; by default all and 1
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = threads)]
    pub threads: Vec<NonZeroUsize>,

    /// End within 30 seconds: few sizes, types and outputs, few repeats
    #[arg(long)]
    pub quick: bool,

    /// Sizes, as powers of two: 16,20,24 is 65,536, 1,048,576 and 16,777,216 values
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = size)]
    pub sizes: Vec<u32>,

    /// What to compute: of mean, mean+loss, mean+grad, mean+grad+hess, mean+loss+grad+hess
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub work: Vec<Work>,

    /// Types of predictions and targets: f32, f16 or bf16 with f32, u8 or bits, as in f32/f32,f16/u8
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub inputs: Vec<Inputs>,

    /// Seconds to spend on each row
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: Option<f64>,

    /// Ask the system for huge pages for the arrays (Linux)
    #[arg(long)]
    pub huge_pages: bool,

    /// Print one JSON object
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,

    /// Print the rows as CSV
    #[arg(long)]
    pub csv: bool,

    /// Write a report with plots as one self-contained file
    #[arg(long, value_name = "F.html")]
    pub html: Option<PathBuf>,

    /// Compare with the JSON of an earlier run: print what changed by more than the spread, and exit with 1 if a
    /// row became slower by more than the threshold
    #[arg(long, value_name = "OLD.json")]
    pub compare: Option<PathBuf>,

    /// What counts as a regression
    #[arg(long, value_name = "PERCENT", default_value = "10%", requires = "compare")]
    pub threshold: Threshold,

    /// Measure nothing: take the results from the JSON of an earlier run
    #[arg(long, value_name = "NEW.json", conflicts_with_all = MEASURING)]
    pub saved: Option<PathBuf>,

    /// Spoil an answer on its way to the check, to see that the check notices
    #[arg(long, value_enum, hide = true)]
    pub spoil: Option<Spoil>,
}

impl Args {
    /// What is to be measured.
    pub(crate) fn specification(&self) -> Specification {
        let mut specification = Specification::default();
        specification.devices = self.device.clone();
        specification.threads = self.threads.clone();
        specification.quick = self.quick;
        specification.sizes = self.sizes.clone();
        specification.work = self.work.clone();
        specification.inputs = self.inputs.clone();
        specification.seconds = self.seconds;
        specification.huge_pages = self.huge_pages;
        specification.spoil = self.spoil.map(|spoil| match spoil {
            Spoil::Sum => logloss_bench::Spoil::Sum,
            Spoil::Element => logloss_bench::Spoil::Element,
        });
        specification
    }
}

/// The options that only a run that measures understands.
const MEASURING: [&str; 9] =
    ["device", "threads", "quick", "sizes", "work", "inputs", "seconds", "huge_pages", "spoil"];

const NOTES: &str = "\
ns/element and GB/s count the bytes that any device has to move: the predictions and targets once, each output once. The \
limit is the time that the same device takes, in the same run and alternating with the row, to move as many bytes and \
compute nothing. Rows of 2^20 values and more cycle through so many arrays that no cache holds them; smaller rows use \
the same arrays again. More than 100 % of the limit means that the memory was less busy during the row, or used better, \
than during the pass that computes nothing.

A row has changed by more than the spread if its quartiles do not overlap those of the earlier run, and its median has \
changed by more than three times the median deviation of either run.

Exit status 1 if a result is wrong, or slower than in OLD.json by more than the threshold.";

/// An answer that is made wrong on purpose.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Spoil {
    Sum,
    Element,
}

fn size(word: &str) -> Result<u32, String> {
    number(word, |size: u32| size <= 34, "powers of two from 0 to 34, as in 16,20,24: 20 is 1,048,576 values")
}

fn seconds(word: &str) -> Result<f64, String> {
    number(word, |s: f64| (0.001..=600.0).contains(&s), "a number from 0.001 to 600")
}
