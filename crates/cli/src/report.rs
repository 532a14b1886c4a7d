//! The result of an evaluation, for people and for programs.

use std::{
    f64::consts::LN_2,
    fmt::{self, Write},
    time::Duration,
};

use anyhow::Result;
use indicatif::{DecimalBytes, HumanCount};
use logloss::{Compat, DeviceInfo, Evaluation, Form, Reduction};
use logloss_io::{ReducedValues, RunSpec, Severity, Summary};
use serde::Serialize;
use serde_json::{Map, Value};

/// The number of classes that the lines for people show.
const CLASSES_SHOWN: usize = 24;

/// The report on an evaluation.
pub(crate) struct Report<'a> {
    pub spec: &'a RunSpec,
    pub summary: &'a Summary,
    /// The time that finding and opening the device took.
    pub start: Duration,
}

/// The object that `--json` prints.
#[derive(Serialize)]
struct Json<'a> {
    value: JsonValue<'a>,
    reduction: Reduction,
    mean: f64,
    sum: f64,
    count: u64,
    ignored: u64,
    weight_sum: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    class_counts: Option<&'a [u64]>,
    shape: Vec<u64>,
    base_rate: Option<f64>,
    base_rate_loss: Option<f64>,
    from: Form,
    compat: Option<Compat>,
    #[serde(flatten)]
    device: &'a DeviceInfo,
    elapsed_s: f64,
    bytes: u64,
    bytes_per_element: f64,
    gb_per_s: f64,
    chunks: u64,
    phases: JsonPhases,
    outputs: Map<String, Value>,
    notes: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum JsonValue<'a> {
    None,
    One(f64),
    Each(&'a [f64]),
}

#[derive(Serialize)]
struct JsonPhases {
    start_s: f64,
    read_s: f64,
    prepare_s: f64,
    upload_s: f64,
    kernel_s: f64,
    readback_s: f64,
    write_s: f64,
    timestamps: bool,
}

impl Report<'_> {
    /// One JSON object and a line break. What is not finite is null, as JSON has no word for it.
    pub(crate) fn json(&self) -> Result<String> {
        let Self { spec, summary, start } = self;
        let Evaluation { sum, mean, count, partials, run, .. } = &summary.evaluation;
        let (phases, times, base_rate) = (run.phases, summary.times, summary.labels.base_rate());
        let json = Json {
            value: match &summary.values {
                ReducedValues::Scalar(value) => JsonValue::One(*value),
                ReducedValues::Classes { means, .. } => JsonValue::Each(means),
                ReducedValues::Rows(rows) if spec.outputs.value.is_none() => {
                    rows.all().map_or(JsonValue::None, JsonValue::Each)
                }
                _ => JsonValue::None,
            },
            reduction: summary.reduction,
            mean: *mean,
            sum: *sum,
            count: *count,
            ignored: summary.len - count,
            weight_sum: partials.weight.value(),
            class_counts: match &summary.values {
                ReducedValues::Classes { counts, .. } => Some(counts),
                _ => None,
            },
            shape: summary.shape.dimensions(),
            base_rate,
            base_rate_loss: summary.base_rate_loss(),
            from: spec.form,
            compat: spec.objective.compat,
            device: &run.device,
            elapsed_s: times.elapsed.as_secs_f64(),
            bytes: run.bytes,
            bytes_per_element: self.bytes_per_element(),
            gb_per_s: self.gb_per_s(),
            chunks: run.chunks,
            phases: JsonPhases {
                start_s: start.as_secs_f64(),
                read_s: times.read.as_secs_f64(),
                prepare_s: phases.prepare.as_secs_f64(),
                upload_s: phases.upload.as_secs_f64(),
                kernel_s: phases.kernel.as_secs_f64(),
                readback_s: phases.readback.as_secs_f64(),
                write_s: times.write.as_secs_f64(),
                timestamps: phases.timestamps,
            },
            outputs: summary
                .outputs
                .iter()
                .map(|output| (output.name.to_owned(), output.path.display().to_string().into()))
                .collect(),
            notes: summary.notes.iter().map(|note| note.text.as_str()).collect(),
        };
        Ok(serde_json::to_string_pretty(&json)? + "\n")
    }

    /// Lines of a word and what it is.
    pub(crate) fn plain(&self) -> String {
        let Summary { evaluation, reduction, len, is_plain, has_weights, times, .. } = self.summary;
        let Evaluation { sum, mean, count, partials, run, .. } = evaluation;
        let mut text = Lines::default();
        if *reduction == Reduction::Sum {
            text.line("sum", Nats(*sum));
        }
        if *reduction == Reduction::WeightedMean && (*has_weights || !is_plain) {
            text.line(
                "mean loss",
                format_args!("{}, over weights that sum to {}", Nats(*mean), partials.weight.value()),
            );
        } else {
            text.line("mean loss", Nats(*mean));
        }
        let of_all = if count == len { String::new() } else { format!(" of {}", HumanCount(*len)) };
        match *self.summary.shape.dimensions() {
            [rows, classes] => {
                text.line("count", format_args!("{}{of_all} ({} × {classes})", HumanCount(*count), HumanCount(rows)))
            }
            _ => text.line("count", format_args!("{}{of_all}", HumanCount(*count))),
        }
        if let Some(rate) = self.summary.labels.base_rate() {
            let compared = self.summary.base_rate_loss().map_or_else(String::new, |loss| against(loss, *mean));
            text.line("base rate", format_args!("{rate:.6}{compared}"));
        }
        self.values(&mut text);
        let device = &run.device;
        text.line("device", format_args!("{} ({}; {})", device.name, device.backend, device.driver));
        text.line("time", format_args!("{}: {}", Seconds(times.elapsed), self.phases()));
        if run.bytes > 0 {
            text.line(
                "traffic",
                format_args!(
                    "{}, {} bytes an element, {:.3} GB/s",
                    DecimalBytes(run.bytes),
                    round(self.bytes_per_element()),
                    self.gb_per_s()
                ),
            );
        }
        for output in &self.summary.outputs {
            text.line(output.name, output.path.display());
        }
        // Warnings are on stderr, which the same reader sees.
        for note in self.summary.notes.iter().filter(|note| note.severity < Severity::Warning) {
            text.line("note", note);
        }
        text.0
    }

    fn phases(&self) -> String {
        let (times, phases) = (&self.summary.times, &self.summary.evaluation.run.phases);
        let clock = if phases.timestamps { " (by the device's clock)" } else { "" };
        let parts = [
            ("read", times.read, ""),
            ("compile and prepare", phases.prepare, ""),
            ("upload", phases.upload, ""),
            ("kernel", phases.kernel, clock),
            ("readback", phases.readback, ""),
            ("write", times.write, ""),
        ];
        let shown = parts.iter().filter(|(_, time, _)| !time.is_zero());
        let shown: Vec<_> = shown.map(|(name, time, clock)| format!("{name} {}{clock}", Seconds(*time))).collect();
        format!("{}; before that, {} to open the device", shown.join(", "), Seconds(self.start))
    }

    /// The values of classes or rows.
    fn values(&self, text: &mut Lines) {
        match &self.summary.values {
            ReducedValues::Classes { means, counts } => {
                text.line("class", "       mean loss           count");
                for (class, (value, count)) in means.iter().zip(counts).enumerate().take(CLASSES_SHOWN) {
                    let name = self.summary.class_names.get(class).filter(|_| means.len() > 1);
                    let name = name.cloned().unwrap_or_else(|| class.to_string());
                    text.line(&name, format_args!("{value:>16.10} {:>15}", HumanCount(*count).to_string()));
                }
                if means.len() > CLASSES_SHOWN {
                    let more = means.len() - CLASSES_SHOWN;
                    text.line("…", format_args!("and {more} more: --json shows all, --value-out F.npy writes them"));
                }
            }
            ReducedValues::Rows(rows) => match (rows.range(), rows.median()) {
                (Some((min, max)), Some(median)) => {
                    text.line("rows", format_args!("min {min:.10}, median {median:.10}, max {max:.10} nats"));
                }
                (Some((min, max)), None) => {
                    text.line("rows", format_args!("min {min:.10}, max {max:.10} nats; too many to find their median"));
                }
                (None, _) => text.line("rows", "none of which anything counts"),
            },
            _ => {}
        }
    }

    fn bytes_per_element(&self) -> f64 {
        self.summary.evaluation.run.bytes as f64 / self.summary.len as f64
    }

    fn gb_per_s(&self) -> f64 {
        self.summary.evaluation.run.bytes as f64 / 1e9 / self.summary.times.elapsed.as_secs_f64()
    }
}

/// A comparison of a mean with that of a constant prediction, as text.
fn against(constant: f64, mean: f64) -> String {
    let share = 1.0 - mean / constant;
    if !share.is_finite() {
        return String::new();
    }
    let (percent, word) = (100.0 * share.abs(), if share < 0.0 { "more" } else { "less" });
    format!(" (always predicting it would cost {constant:.6} nats: this is {percent:.2} % {word})")
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, word: &str, what: impl fmt::Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{word:<10} {what}");
    }
}

/// A loss, in nats and in bits.
struct Nats(f64);

impl fmt::Display for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_finite() {
            write!(f, "{:.10} nats, {:.10} bits", self.0, self.0 / LN_2)
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// A time in the unit that suits it.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        match seconds {
            ..1e-3 => write!(f, "{:.0} µs", seconds * 1e6),
            ..1.0 => write!(f, "{:.1} ms", seconds * 1e3),
            _ => write!(f, "{seconds:.2} s"),
        }
    }
}

/// At most two decimals.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons() {
        assert_eq!(against(0.0, 0.1), "");
        assert_eq!(against(0.5, 0.25), " (always predicting it would cost 0.500000 nats: this is 50.00 % less)");
        assert_eq!(against(0.5, 1.0), " (always predicting it would cost 0.500000 nats: this is 100.00 % more)");
    }

    #[test]
    fn words_for_numbers() {
        assert_eq!(Nats(f64::NAN).to_string(), "NaN");
        assert_eq!(Nats(LN_2).to_string(), "0.6931471806 nats, 1.0000000000 bits");
        assert_eq!(Seconds(Duration::from_micros(12_345)).to_string(), "12.3 ms");
    }
}
