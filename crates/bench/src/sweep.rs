//! Measures the rows of every device.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant, SystemTime},
};

use logloss::Engine;

use crate::{
    Machine, Observer, Report, Row, SCHEMA, Specification,
    cell::Cell,
    cpu::CpuBench,
    data::{Data, OutputArrays},
    devices::SelectedDevices,
    error::{Error, Result},
    machine,
    method::method,
    plan::Plan,
    stats::rounded,
    text::size,
};

/// Measures what a specification asks for.
///
/// An answer that is wrong is not timed: it is one of the [`failures`](Report::failures) of the report. A row or an
/// adapter that cannot be measured is one of its [`notes`](Report::notes).
///
/// # Errors
/// If the specification is out of range or selects a device that does not exist, if there is no memory for any size or
/// nothing can be measured at all, if the CPU fails, or if the observer ends the measurement.
pub fn measure(specification: &Specification, observer: &mut dyn Observer) -> Result<Report> {
    let begun = Instant::now();
    specification.check()?;
    let selected = SelectedDevices::new(specification)?;
    let machine = machine::machine(&Engine::cpu().device().name, specification.huge_pages);
    let copies = if selected.share_memory() { 2 } else { 1 };
    let plan = Plan::new(specification, machine.memory_free_bytes, machine.cache_bytes, copies);
    if plan.sizes.is_empty() {
        return Err(Error::OutOfMemory { notes: plan.notes });
    }
    observer.begin(selected.rows(&plan));
    let mut run = Run {
        data: Data::new(plan.len, specification.huge_pages),
        outputs: OutputArrays::new(plan.len.next_multiple_of(8), specification.huge_pages),
        report: empty_report(specification, machine, &plan),
        deadline: None,
        observer,
        plan,
        specification,
        begun,
    };
    run.devices(&selected)?;
    run.report.seconds = rounded(begun.elapsed().as_secs_f64());
    let Run { mut report, plan, .. } = run;
    if report.results.is_empty() && report.failures.is_empty() {
        return Err(Error::NothingMeasured { notes: report.notes });
    }
    sort(&mut report.results, &plan);
    Ok(report)
}

/// A run that is under way.
pub(crate) struct Run<'a> {
    pub specification: &'a Specification,
    pub observer: &'a mut dyn Observer,
    pub plan: Plan,
    /// The inputs of all rows.
    pub data: Data,
    /// The arrays that rows of batches in host memory write to.
    pub outputs: OutputArrays,
    pub begun: Instant,
    /// The time from the beginning after which no further row of the present device is measured.
    deadline: Option<Duration>,
    /// What was measured so far.
    pub report: Report,
}

impl Run<'_> {
    /// Measures all devices, first the CPU.
    fn devices(&mut self, selected: &SelectedDevices) -> Result<()> {
        let count = selected.len();
        for (index, threads) in selected.threads.iter().enumerate() {
            self.deadline = self.plan.deadline(index, count);
            self.cpu(*threads)?;
        }
        #[cfg(feature = "gpu")]
        for (index, adapter) in (selected.threads.len()..).zip(&selected.adapters) {
            self.deadline = self.plan.deadline(index, count);
            match self.adapter(adapter) {
                Err(error) if !matches!(error, Error::Interrupted) => self.report_error(&adapter.name, &error),
                done => done?,
            }
        }
        Ok(())
    }

    /// Measures the rows of the CPU with a number of threads.
    fn cpu(&mut self, threads: NonZeroUsize) -> Result<()> {
        self.observer.doing("cpu: opening");
        let mut cpu = CpuBench::new(threads, self.specification.spoil)?;
        let name = cpu.entry.device.clone();
        self.observer.doing(&format!("{name}: what its memory gives"));
        let pace = self.plan.pace(self.begun, &*self.observer);
        cpu.measure_limits(&self.data, &mut self.outputs, pace)?;
        self.report.devices.push(cpu.entry.clone());
        let mut skipped = 0;
        for cell in self.plan.cells(false) {
            if self.is_late() {
                skipped += 1;
            } else {
                self.observer.doing(&words(&name, cell, ""));
                let pace = self.plan.pace(self.begun, &*self.observer);
                let row = cpu.row(&self.data, &mut self.outputs, cell, self.plan.reach, pace);
                self.add(&name, cell, row)?;
            }
            self.observer.row_done();
        }
        self.note_skipped(&name, skipped);
        Ok(())
    }

    /// Adds a row to the report, or what went wrong with it.
    pub(crate) fn add(&mut self, name: &str, cell: Cell, row: Result<Row>) -> Result<()> {
        match row {
            Ok(row) => self.report.results.push(row),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => self.report_error(&words(name, cell, ""), &error),
        }
        Ok(())
    }

    /// Adds an error to the report: a wrong answer is a failure, anything else a note.
    fn report_error(&mut self, what: &str, error: &Error) {
        // The messages of drivers and compilers have several lines.
        let chain = error.chain();
        let line = format!("{what}: {}", chain.split_whitespace().collect::<Vec<_>>().join(" "));
        if error.is_wrong_answer() {
            self.report.failures.push(line);
        } else {
            self.note(line);
        }
    }

    /// Adds a note to the report, unless it is there already.
    pub(crate) fn note(&mut self, note: String) {
        if !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
    }

    /// Notes the number of rows of a device that were skipped.
    pub(crate) fn note_skipped(&mut self, name: &str, rows: usize) {
        if rows > 0 {
            self.note(format!("{name}: {rows} rows are left out for want of time"));
        }
    }

    /// Whether no further row of the present device is measured.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.begun.elapsed() > deadline)
    }
}

/// What is measured, in words. `place` says where the batch lies, and ends with a comma.
pub(crate) fn words(name: &str, cell: Cell, place: &str) -> String {
    format!("{name}: {place}{} of {} {}", cell.work, size(cell.n as u64), cell.inputs)
}

/// The report of a run that has not measured anything yet.
fn empty_report(specification: &Specification, machine: Machine, plan: &Plan) -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        program: machine::program(),
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        quick: specification.quick,
        seconds: 0.0,
        method: method(plan),
        machine,
        devices: Vec::new(),
        notes: plan.notes.clone(),
        failures: Vec::new(),
        results: Vec::new(),
        comparison: None,
    }
}

/// Sorts rows by device, place, types, work and size, each in the order of the plan.
fn sort(rows: &mut [Row], plan: &Plan) {
    let mut devices: Vec<String> = Vec::new();
    for row in rows.iter() {
        if !devices.contains(&row.device) {
            devices.push(row.device.clone());
        }
    }
    let work = |row: &Row| plan.works.iter().position(|work| work.to_string() == row.work);
    let inputs = |row: &Row| plan.inputs.iter().position(|inputs| inputs.to_string() == row.inputs());
    let device = |row: &Row| devices.iter().position(|device| *device == row.device);
    rows.sort_by_key(|row| (device(row), !row.resident, inputs(row), work(row), row.n));
}
