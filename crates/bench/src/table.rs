//! The report as text, for people and for spreadsheets.

use std::fmt::Write;

use crate::{
    FirstCall, MeasuredDevice, Report, Row,
    error::Result,
    text::{binary_bytes, digits, size},
};

/// The headings of the columns.
pub(crate) const HEAD: [&str; 9] = ["work", "n", "inputs", "data", "ns/elem", "±", "GB/s", "limit", "%"];
/// Which columns hold words; numbers are aligned to the right.
const WORDS: [bool; 9] = [true, true, true, true, false, false, false, false, false];

impl Report {
    /// The report as text: a table for each device, and what is to be known of the machine and of the method.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (name, what) in facts(self) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<9} {what}");
        }
        for device in &self.devices {
            let _ = writeln!(text, "\n{} ({})", device.device, about(device));
            for line in more_about(device) {
                let _ = writeln!(text, "  {line}");
            }
            let rows = rows_of(self, device);
            if !rows.is_empty() {
                text += &aligned(rows.iter().map(|row| cells(row)));
            }
        }
        text.push('\n');
        for line in &self.method {
            let _ = writeln!(text, "{line}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        for failure in &self.failures {
            let _ = writeln!(text, "WRONG: {failure}");
        }
        text
    }

    /// The rows as CSV, in fields that are named as in JSON.
    ///
    /// # Errors
    /// [`Error::Csv`](crate::Error::Csv) if the writer fails.
    pub fn csv(&self) -> Result<String> {
        let mut text = Vec::new();
        let mut writer = csv::Writer::from_writer(&mut text);
        for row in &self.results {
            writer.serialize(row)?;
        }
        writer.flush().map_err(csv::Error::from)?;
        drop(writer);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The rows of a device.
pub(crate) fn rows_of<'a>(report: &'a Report, device: &MeasuredDevice) -> Vec<&'a Row> {
    report.results.iter().filter(|row| row.device == device.device).collect()
}

/// What is to be known of the program and the machine, each with its name.
pub(crate) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let (program, machine) = (&report.program, &report.machine);
    let commit = program.commit.as_deref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
    let cache = machine.cache_bytes.map(|bytes| format!(", {} of cache", binary_bytes(bytes))).unwrap_or_default();
    vec![
        ("logloss", format!("{}{commit}, {} build, {}", program.version, program.build, program.target)),
        ("date", report.date.clone()),
        ("CPU", format!("{}, {} cores{cache}, {} in use", machine.cpu, machine.cores, machine.simd)),
        ("features", machine.features.join(" ")),
        (
            "memory",
            format!(
                "{}, {} of it free; pages: {}",
                binary_bytes(machine.memory_bytes),
                binary_bytes(machine.memory_free_bytes),
                machine.pages
            ),
        ),
        ("system", machine.os.clone()),
    ]
}

/// What a device is, in one line.
pub(crate) fn about(device: &MeasuredDevice) -> String {
    let threads = device.threads.map(|threads| match threads {
        1 => "1 thread".to_owned(),
        threads => format!("{threads} threads"),
    });
    let backend = (device.threads.is_none()).then(|| device.backend.clone());
    let parts = [backend, Some(device.kind.clone()), Some(device.driver.clone()), threads];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What was measured of a device besides its rows, in lines.
pub(crate) fn more_about(device: &MeasuredDevice) -> Vec<String> {
    let mut lines = Vec::new();
    if !device.limits.is_empty() {
        let limits = device.limits.iter().map(|limit| format!("{} {}", limit.what, digits(limit.gb_per_s)));
        lines.push(format!("GB/s in bulk: {}", limits.collect::<Vec<_>>().join("; ")));
    }
    if let Some(FirstCall { open_s, first_s, warm_s }) = device.first_call {
        lines.push(format!(
            "opening takes {:.0} ms, the first call {:.1} ms, the same again {:.2} ms \
             (mean+grad of 2^16 from the host)",
            open_s * 1e3,
            first_s * 1e3,
            warm_s * 1e3
        ));
    }
    lines
}

/// The cells of a row.
pub(crate) fn cells(row: &Row) -> [String; 9] {
    let spread = 100.0 * row.mad_ns_per_elem / row.ns_per_elem;
    [
        row.work.clone(),
        size(row.n),
        row.inputs(),
        row.place().to_owned(),
        digits(row.ns_per_elem),
        format!("{spread:.1}%"),
        digits(row.gb_per_s),
        digits(row.limit_gb_per_s),
        format!("{:.0}", row.percent_of_limit),
    ]
}

/// Rows of text whose columns are aligned, below a row of headings.
fn aligned(rows: impl Iterator<Item = [String; 9]>) -> String {
    let rows: Vec<[String; 9]> = std::iter::once(HEAD.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for ((cell, width), words) in row.iter().zip(widths).zip(WORDS) {
            let _ = if words { write!(line, "  {cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo;

    #[test]
    fn columns_are_aligned() {
        let text = demo::report().table();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("f32/f32")).collect();
        assert!(lines.len() > 3);
        let at = |line: &str| line.find("f32/f32");
        assert!(lines.iter().all(|line| at(line) == at(lines[0])), "{text}");
    }

    #[test]
    fn csv_has_every_row() {
        let report = demo::report();
        let text = report.csv().unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert!(reader.headers().unwrap().iter().any(|name| name == "ns_per_elem"));
        let rows: Vec<Row> = reader.deserialize().collect::<std::result::Result<_, _>>().unwrap();
        assert_eq!(rows, report.results);
    }
}
