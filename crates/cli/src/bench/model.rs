//! The result of a run, as `--json` prints it and `--compare` reads it.

use serde::{Deserialize, Serialize};

use super::{compare::Comparison, rows::FROM_MEMORY};

/// Changes when a reader of old results would be misled by new ones.
pub const SCHEMA: &str = "logloss-bench/1";

/// Everything that was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What this is.
    pub schema: String,
    /// What was measured.
    pub program: Program,
    /// When, in UTC.
    pub date: String,
    /// Whether it was a run of `--quick`.
    pub quick: bool,
    /// Seconds it took.
    pub seconds: f64,
    /// Where.
    pub machine: Machine,
    /// On which devices.
    pub devices: Vec<Device>,
    /// How, in sentences.
    pub method: Vec<String>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// Answers that were wrong, and so were not timed.
    pub failures: Vec<String>,
    /// The rows.
    pub results: Vec<Row>,
    /// With an earlier run, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// The program that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// The commit it was built from, as far as it knows.
    pub commit: Option<String>,
    /// `release` or `debug`.
    pub build: String,
    /// Architecture and system it was built for.
    pub target: String,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the CPU.
    pub cpu: String,
    /// Logical cores.
    pub cores: usize,
    /// Instruction sets it has, of those that matter here.
    pub features: Vec<String>,
    /// The one in use.
    pub simd: String,
    /// Bytes of the largest cache, if the system says.
    pub cache_bytes: Option<u64>,
    /// Bytes of memory, and how many of them were free.
    pub memory_bytes: u64,
    /// Bytes free when the run began.
    pub memory_free_bytes: u64,
    /// The kind of memory pages under the arrays.
    pub pages: String,
    /// The operating system.
    pub os: String,
}

/// A device, or a number of threads of the CPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its name, as in the rows.
    pub device: String,
    /// `cpu`, or the graphics API.
    pub backend: String,
    /// Its kind, in words.
    pub kind: String,
    /// The driver and its version; for the CPU the instruction set.
    pub driver: String,
    /// Its index in `logloss devices`.
    pub index: Option<usize>,
    /// Threads, for the CPU.
    pub threads: Option<usize>,
    /// Whether kernels are timed by the device's own clock.
    pub timestamps: bool,
    /// What the first call costs.
    pub first_call: Option<FirstCall>,
    /// What the device can move, in bulk.
    pub limits: Vec<Limit>,
}

/// What it costs to begin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstCall {
    /// Finding and opening the device.
    pub open_s: f64,
    /// The first mean and gradient of 65,536 values from host memory: shaders are compiled, memory is taken.
    pub first_s: f64,
    /// The same again.
    pub warm_s: f64,
}

/// A bandwidth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Of what.
    pub what: String,
    /// In 10⁹ bytes a second, read and written bytes both counted.
    pub gb_per_s: f64,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The device.
    pub device: String,
    /// `mean`, `mean+grad`, …
    pub work: String,
    /// Values a batch.
    pub n: u64,
    /// Type of the predictions.
    pub predictions: String,
    /// Type of the targets.
    pub targets: String,
    /// Whether the batch lies in the memory of a GPU; else it comes from the host's.
    pub resident: bool,
    /// Threads, for the CPU.
    #[serde(default)]
    pub threads: Option<usize>,
    /// Nanoseconds an element, the median, by `clock`.
    pub ns_per_elem: f64,
    /// 10⁹ bytes a second: `bytes_per_elem` over `ns_per_elem`.
    pub gb_per_s: f64,
    /// What the device can move.
    pub limit_gb_per_s: f64,
    /// `gb_per_s` in percent of it.
    pub percent_of_limit: f64,
    /// What that limit is.
    pub limit: String,
    /// Bytes that any device has to move for an element.
    pub bytes_per_elem: f64,
    /// `wall`, or `device` where the device's own clock timed the kernels.
    pub clock: String,
    /// Nanoseconds an element of the whole call, by the wall clock.
    pub call_ns_per_elem: f64,
    /// Nanoseconds an element of the kernels, by the device's clock.
    pub kernel_ns_per_elem: Option<f64>,
    /// Copying inputs in, nanoseconds an element.
    pub upload_ns_per_elem: f64,
    /// Copying results out, likewise.
    pub readback_ns_per_elem: f64,
    /// A quarter of the measurements was faster than this many nanoseconds an element.
    pub q1_ns_per_elem: f64,
    /// A quarter was slower.
    pub q3_ns_per_elem: f64,
    /// The median distance from the median.
    pub mad_ns_per_elem: f64,
    /// The fastest.
    pub min_ns_per_elem: f64,
    /// How many measurements.
    pub repeats: usize,
    /// How many batches were gone round through.
    pub sets: usize,
    /// Bytes those span.
    pub working_set_bytes: u64,
    /// The relative error of the sum against a loop in f64.
    pub sum_error: f64,
}

impl Row {
    /// The types of the inputs.
    pub fn inputs(&self) -> String {
        format!("{}/{}", self.predictions, self.targets)
    }

    /// Where the data lie, for people.
    pub fn place(&self) -> &'static str {
        match (self.resident, self.threads) {
            (true, _) => "resident",
            (false, None) => "from host",
            (false, Some(_)) if self.n < FROM_MEMORY as u64 => "in cache",
            (false, Some(_)) => "memory",
        }
    }
}

/// A size, for people.
pub fn size(n: u64) -> String {
    if n.is_power_of_two() { format!("2^{}", n.ilog2()) } else { n.to_string() }
}
