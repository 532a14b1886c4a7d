//! The result of a run, which serde writes as JSON and reads back.

use serde::{Deserialize, Serialize};

use crate::{
    Comparison,
    cell::FROM_MEMORY,
    error::{Error, Result},
};

/// The name of the schema. It changes when a reader of old reports would be misled by new ones.
pub const SCHEMA: &str = "logloss-bench/1";

/// Everything that was found in a run.
///
/// ```no_run
/// use logloss_bench::Report;
///
/// let text = std::fs::read_to_string("report.json").expect("what logloss bench --json printed");
/// let report = Report::from_json(&text)?;
/// assert!(report.failures.is_empty(), "{:?}", report.failures);
/// # Ok::<(), logloss_bench::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The schema of the report: [`SCHEMA`].
    pub schema: String,
    /// The program that was measured.
    pub program: Program,
    /// The date and time, in UTC, as RFC 3339 writes it.
    pub date: String,
    /// Whether it was a quick run.
    pub quick: bool,
    /// The time that the run took, in seconds.
    pub seconds: f64,
    /// The machine that it ran on.
    pub machine: Machine,
    /// The devices that were measured.
    pub devices: Vec<MeasuredDevice>,
    /// How it was measured, in sentences.
    pub method: Vec<String>,
    /// What was skipped, and why.
    pub notes: Vec<String>,
    /// The answers that were wrong, and so were not timed.
    pub failures: Vec<String>,
    /// The rows, by device, place, types, work and size.
    pub results: Vec<Row>,
    /// The comparison with an earlier run, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

impl Report {
    /// Reads a report from JSON.
    ///
    /// # Errors
    /// [`Error::NotAReport`] if the text is something else, [`Error::UnknownSchema`] if the report has another schema.
    pub fn from_json(text: &str) -> Result<Self> {
        let report: Self = serde_json::from_str(text).map_err(Error::NotAReport)?;
        if report.schema == SCHEMA { Ok(report) } else { Err(Error::UnknownSchema { found: report.schema }) }
    }

    /// The report as one JSON object over several lines.
    ///
    /// # Errors
    /// [`Error::Json`] if serde fails.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self).map_err(Error::Json)? + "\n")
    }
}

/// The program that was measured.
///
/// ```no_run
/// use logloss_bench::Report;
///
/// let text = std::fs::read_to_string("report.json").expect("what logloss bench --json printed");
/// let report = Report::from_json(&text)?;
/// println!("{} {}", report.program.version, report.program.commit.unwrap_or_default());
/// # Ok::<(), logloss_bench::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Program {
    /// The version of the program.
    pub version: String,
    /// The commit that it was built from, if that is known.
    pub commit: Option<String>,
    /// `release` or `debug`.
    pub build: String,
    /// The architecture and the system that it was built for.
    pub target: String,
}

/// The machine that a run ran on.
///
/// ```no_run
/// use logloss_bench::Report;
///
/// let text = std::fs::read_to_string("report.json").expect("what logloss bench --json printed");
/// let report = Report::from_json(&text)?;
/// println!("{}, {} cores, {}", report.machine.cpu, report.machine.cores, report.machine.simd);
/// # Ok::<(), logloss_bench::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Machine {
    /// The model of the CPU.
    pub cpu: String,
    /// The number of logical cores.
    pub cores: usize,
    /// The instruction sets of the CPU, of those that matter for the speed of evaluations.
    pub features: Vec<String>,
    /// The instruction set in use.
    pub simd: String,
    /// The size of the last-level caches in bytes, if the system tells it.
    pub cache_bytes: Option<u64>,
    /// The size of the memory in bytes.
    pub memory_bytes: u64,
    /// The number of bytes of memory that were free when the run began.
    pub memory_free_bytes: u64,
    /// The kind of memory pages under the arrays.
    pub pages: String,
    /// The operating system.
    pub os: String,
}

/// An adapter, or the CPU with some number of threads.
///
/// ```no_run
/// use logloss_bench::Report;
///
/// let text = std::fs::read_to_string("report.json").expect("what logloss bench --json printed");
/// let report = Report::from_json(&text)?;
/// for device in &report.devices {
///     println!("{} ({})", device.device, device.kind);
/// }
/// # Ok::<(), logloss_bench::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MeasuredDevice {
    /// The name of the device, as in the rows.
    pub device: String,
    /// The graphics API, or `cpu`.
    pub backend: String,
    /// The kind of the device, in words.
    pub kind: String,
    /// The driver and its version, or the instruction set of the CPU.
    pub driver: String,
    /// The index of the adapter in [`logloss::devices`].
    pub index: Option<usize>,
    /// The number of threads of the CPU.
    pub threads: Option<usize>,
    /// Whether kernels are timed by the device's own clock.
    pub timestamps: bool,
    /// The cost of the first call, on an adapter.
    pub first_call: Option<FirstCall>,
    /// The bandwidths of the device over large arrays.
    pub limits: Vec<Limit>,
}

/// The cost of the first call, in seconds.
///
/// ```no_run
/// use logloss_bench::Report;
///
/// let text = std::fs::read_to_string("report.json").expect("what logloss bench --json printed");
/// let report = Report::from_json(&text)?;
/// for call in report.devices.iter().filter_map(|device| device.first_call.as_ref()) {
///     println!("{} s, {} s when warm", call.first_s, call.warm_s);
/// }
/// # Ok::<(), logloss_bench::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FirstCall {
    /// The time to find and open the device.
    pub open_s: f64,
    /// The time of the first mean and gradient of 65,536 values from host memory, which compiles shaders and takes
    /// memory.
    pub first_s: f64,
    /// The time of the same evaluation afterwards.
    pub warm_s: f64,
}

/// A bandwidth.
///
/// ```no_run
/// use logloss_bench::Report;
///
/// let text = std::fs::read_to_string("report.json").expect("what logloss bench --json printed");
/// let report = Report::from_json(&text)?;
/// for limit in report.devices.iter().flat_map(|device| &device.limits) {
///     println!("{}: {} GB/s", limit.what, limit.gb_per_s);
/// }
/// # Ok::<(), logloss_bench::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limit {
    /// What moves the bytes, in words.
    pub what: String,
    /// The bandwidth in 10⁹ bytes per second; bytes read and bytes written both count.
    pub gb_per_s: f64,
}

/// One row: an evaluation on a device, how long it takes, and how long the device takes to move as many bytes.
///
/// ```no_run
/// use logloss_bench::Report;
///
/// let text = std::fs::read_to_string("report.json").expect("what logloss bench --json printed");
/// let report = Report::from_json(&text)?;
/// for row in &report.results {
///     println!("{} {}: {} ns, {} % of the limit", row.work, row.n, row.ns_per_elem, row.percent_of_limit);
/// }
/// # Ok::<(), logloss_bench::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Row {
    /// The name of the device.
    pub device: String,
    /// What is computed: `mean`, `mean+grad`, …
    pub work: String,
    /// The number of values in a batch.
    pub n: u64,
    /// The type of the predictions.
    pub predictions: String,
    /// The type of the targets.
    pub targets: String,
    /// Whether the batch lies in the memory of an adapter, and not in that of the host.
    pub resident: bool,
    /// The number of threads of the CPU.
    #[serde(default)]
    pub threads: Option<usize>,
    /// The median time per element by `clock`, in nanoseconds.
    pub ns_per_elem: f64,
    /// The bandwidth in 10⁹ bytes per second: `bytes_per_elem` over `ns_per_elem`.
    pub gb_per_s: f64,
    /// The bandwidth of the limit in 10⁹ bytes per second.
    pub limit_gb_per_s: f64,
    /// `gb_per_s` in percent of `limit_gb_per_s`.
    pub percent_of_limit: f64,
    /// What the limit does, in words.
    pub limit: String,
    /// The number of bytes that any device has to move for an element.
    pub bytes_per_elem: f64,
    /// The clock: `wall`, or `device` where the device's own clock timed the kernels.
    pub clock: String,
    /// The time of the whole call per element by the wall clock, in nanoseconds.
    pub call_ns_per_elem: f64,
    /// The time of the kernels per element by the device's clock, in nanoseconds.
    pub kernel_ns_per_elem: Option<f64>,
    /// The time of copying inputs to the device per element, in nanoseconds.
    pub upload_ns_per_elem: f64,
    /// The time of copying outputs to the host per element, in nanoseconds.
    pub readback_ns_per_elem: f64,
    /// The first quartile of the time per element, in nanoseconds.
    pub q1_ns_per_elem: f64,
    /// The third quartile of the time per element, in nanoseconds.
    pub q3_ns_per_elem: f64,
    /// The median deviation of the time per element, in nanoseconds.
    pub mad_ns_per_elem: f64,
    /// The shortest time per element, in nanoseconds.
    pub min_ns_per_elem: f64,
    /// The number of measurements.
    pub repeats: usize,
    /// The number of batches that calls cycled through.
    pub sets: usize,
    /// The number of bytes that these batches span.
    pub working_set_bytes: u64,
    /// The relative error of the sum, compared with a loop in f64.
    pub sum_error: f64,
}

impl Row {
    /// The types of predictions and targets: `f32/u8`.
    pub fn inputs(&self) -> String {
        format!("{}/{}", self.predictions, self.targets)
    }

    /// Where the batch lies, in words.
    pub fn place(&self) -> &'static str {
        match (self.resident, self.threads) {
            (true, _) => "resident",
            (false, None) => "from host",
            (false, Some(_)) if self.n < FROM_MEMORY as u64 => "in cache",
            (false, Some(_)) => "memory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo;

    #[test]
    fn json_is_read_back() {
        let report = demo::report();
        let json = report.json().unwrap();
        let read = Report::from_json(&json).unwrap();
        assert_eq!((read.machine, read.devices), (report.machine, report.devices));
        assert_eq!((read.results.len(), read.results[3].n), (report.results.len(), report.results[3].n));
        assert!(matches!(Report::from_json("{}"), Err(Error::NotAReport(_))));
        let other = json.replacen(SCHEMA, "logloss-bench/0", 1);
        assert!(matches!(Report::from_json(&other), Err(Error::UnknownSchema { found }) if found == "logloss-bench/0"));
    }
}
