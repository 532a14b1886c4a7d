//! The run: every device, every cell.

use std::{
    num::NonZeroUsize,
    time::{Instant, SystemTime},
};

use anyhow::Result;
use logloss::{Adapter, DeviceKind, Engine, Error};

use super::{
    args::{Args, Wanted},
    check::Wrong,
    cpu::{Cpu, all_threads},
    data::{Data, Results},
    gpu::{Gpus, Resident},
    machine,
    model::{Machine, Report, Row, SCHEMA, size},
    plan::Plan,
    progress::Progress,
    rows::{Cell, FROM_MEMORY, Inputs},
    sampling::Pace,
    stats::rounded,
};
use crate::{
    failure::{Failure, fault},
    interrupt,
};

/// What a device is before it is opened.
enum Target {
    Cpu(NonZeroUsize),
    Adapter { adapter: Adapter, name: String },
}

/// Everything that is shared by the rows.
struct Run<'a> {
    args: &'a Args,
    plan: Plan,
    data: Data,
    results: Results,
    begun: Instant,
    progress: Progress,
    report: Report,
}

/// Measures.
pub fn measure(args: &Args) -> Result<Report> {
    let begun = Instant::now();
    interrupt::watch()?;
    let targets = targets(args)?;
    let machine = machine::machine(&Engine::cpu().device().name, args.huge_pages);
    let shared = targets.iter().any(Target::shares_memory);
    let plan = Plan::new(args, machine.memory_free_bytes, machine.cache_bytes, if shared { 2 } else { 1 });
    if plan.sizes.is_empty() {
        return Err(fault(plan.notes.join("; "), "ask for smaller ones: --sizes 16,20"));
    }
    let steps = targets.iter().map(|target| target.rows(&plan)).sum();
    let mut run = Run {
        data: Data::new(plan.len, args.huge_pages),
        results: Results::new(plan.len.next_multiple_of(8), args.huge_pages),
        report: empty_report(args, machine, &plan),
        progress: Progress::new(steps),
        plan,
        args,
        begun,
    };
    let count = targets.len();
    for (index, target) in targets.iter().enumerate() {
        run.device(target, index, count)?;
    }
    run.report.seconds = rounded(begun.elapsed().as_secs_f64());
    let Run { mut report, plan, .. } = run;
    if report.results.is_empty() && report.failures.is_empty() {
        return Err(fault(
            format_args!("nothing was measured: {}", report.notes.join("; ")),
            "`logloss devices` lists what there is; `--device cpu` always works",
        ));
    }
    sort(&mut report.results, &plan);
    Ok(report)
}

impl Run<'_> {
    /// Measures a device: number `index` of `count`.
    fn device(&mut self, target: &Target, index: usize, count: usize) -> Result<()> {
        self.progress.say(format!("{}: opening", target.name()));
        match target {
            Target::Cpu(threads) => self.cpu(*threads, index, count),
            Target::Adapter { adapter, name } => match self.adapter(adapter, name, index, count) {
                Err(error) if !error.is::<Failure>() => {
                    self.excuse(format!("{name}: {error:#}"), &error);
                    Ok(())
                }
                done => done,
            },
        }
    }

    fn cpu(&mut self, threads: NonZeroUsize, index: usize, count: usize) -> Result<()> {
        let mut cpu = Cpu::new(threads, self.args.spoil)?;
        let name = cpu.facts.device.clone();
        self.progress.say(format!("{name}: what its memory gives"));
        let pace = self.pace();
        cpu.measure_limits(&self.data, &mut self.results, pace)?;
        self.report.devices.push(cpu.facts.clone());
        let mut left_out = 0;
        for cell in self.plan.cells(false) {
            if self.late(index, count) {
                left_out += 1;
            } else {
                self.progress.say(what(&name, cell, ""));
                let row = cpu.row(&self.data, &mut self.results, cell, self.plan.reach, pace);
                self.take(&name, cell, row)?;
            }
            self.progress.step();
        }
        self.note_left_out(&name, left_out);
        Ok(())
    }

    fn adapter(&mut self, adapter: &Adapter, name: &str, index: usize, count: usize) -> Result<()> {
        let software = adapter.info.kind == DeviceKind::Software;
        let bulk = self.plan.bulk(software);
        let gpu = Gpus::open(adapter, name.to_owned(), self.args.spoil, bulk, self.pace())?;
        self.report.devices.push(gpu.facts.clone());
        if let (true, Some(note)) = (software, self.plan.spared()) {
            self.note(note);
        }
        let reach = gpu.reach(self.plan.reach);
        let cells = self.plan.cells(software);
        let mut resident: Option<Resident> = None;
        let mut left_out = 0;
        for &cell in &cells {
            if self.late(index, count) {
                left_out += 2;
            } else {
                if resident.as_ref().is_none_or(|resident| resident.inputs != cell.inputs) {
                    // What was there before makes room first.
                    drop(resident.take());
                    self.progress.say(format!("{name}: uploading {}", cell.inputs));
                    resident = self.upload(&gpu, &cells, cell.inputs, reach);
                }
                if let Some(resident) = &resident {
                    self.progress.say(what(name, cell, "resident, "));
                    let row = gpu.resident_row(&self.data, resident, cell, reach, self.pace());
                    self.take(name, cell, row)?;
                }
                self.progress.say(what(name, cell, "from host, "));
                let pace = self.pace();
                let row = gpu.host_row(&self.data, &mut self.results, cell, pace);
                self.take(name, cell, row)?;
            }
            self.progress.step();
            self.progress.step();
        }
        self.note_left_out(name, left_out);
        Ok(())
    }

    /// Uploads as many values as the device's rows need, or as it takes.
    fn upload(&mut self, gpu: &Gpus, cells: &[Cell], inputs: Inputs, reach: u64) -> Option<Resident> {
        let cells = || cells.iter().filter(|cell| cell.inputs == inputs);
        let len = cells().map(|cell| cell.n * gpu.sets(*cell, reach, self.data.len())).max()?;
        // Where the device does not take all of it, one batch each must do; then the largest go.
        let lens = [len].into_iter().chain(self.plan.sizes.iter().rev().copied().filter(|n| *n < len));
        let mut trouble = None;
        for len in lens {
            match gpu.upload(&self.data, inputs, len) {
                Ok(resident) => return Some(resident),
                Err(error) => trouble = Some(error),
            }
        }
        if let Some(error) = trouble {
            self.note(format!("{}: {inputs} is not measured on the device: {error:#}", gpu.facts.device));
        }
        None
    }

    /// Takes a row, or what went wrong with it.
    fn take(&mut self, name: &str, cell: Cell, row: Result<Row>) -> Result<()> {
        match row {
            Ok(row) => self.report.results.push(row),
            Err(error) if error.is::<Failure>() => return Err(error),
            Err(error) => self.excuse(format!("{}: {error:#}", what(name, cell, "")), &error),
        }
        Ok(())
    }

    /// A wrong answer is a failure, a device that cannot is not.
    fn excuse(&mut self, what: String, error: &anyhow::Error) {
        // Messages of drivers and compilers have many lines.
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        let wrong = error.is::<Wrong>() || matches!(error.downcast_ref(), Some(Error::InvalidValue { .. }));
        if wrong {
            self.report.failures.push(what);
        } else {
            self.note(what);
        }
    }

    fn note(&mut self, note: String) {
        if !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
    }

    fn note_left_out(&mut self, name: &str, rows: usize) {
        if rows > 0 {
            self.note(format!("{name}: {rows} rows are left out for want of time"));
        }
    }

    fn pace(&self) -> Pace {
        self.plan.pace(self.begun)
    }

    fn late(&self, index: usize, count: usize) -> bool {
        self.plan.deadline(index, count).is_some_and(|deadline| self.begun.elapsed() > deadline)
    }
}

fn what(name: &str, cell: Cell, place: &str) -> String {
    format!("{name}: {place}{} of {} {}", cell.work, size(cell.n as u64), cell.inputs)
}

impl Target {
    fn name(&self) -> &str {
        match self {
            Target::Cpu(_) => "cpu",
            Target::Adapter { name, .. } => name,
        }
    }

    /// Whether what lies on it lies in the host's memory.
    fn shares_memory(&self) -> bool {
        let shared = [DeviceKind::Software, DeviceKind::IntegratedGpu, DeviceKind::Other];
        matches!(self, Target::Adapter { adapter, .. } if shared.contains(&adapter.info.kind))
    }

    fn rows(&self, plan: &Plan) -> usize {
        match self {
            Target::Cpu(_) => plan.cells(false).len(),
            Target::Adapter { adapter, .. } => 2 * plan.cells(adapter.info.kind == DeviceKind::Software).len(),
        }
    }
}

/// The devices asked for.
fn targets(args: &Args) -> Result<Vec<Target>> {
    let (mut cpu, mut chosen) = (false, Vec::new());
    // Looking for adapters starts their drivers: not where none is asked for.
    let devices = args.device.iter().any(|wanted| *wanted != Wanted::Cpu).then(logloss::devices);
    let adapters = devices.as_ref().map(|devices| devices.adapters.as_slice()).unwrap_or_default();
    let auto = devices.as_ref().map(|devices| &devices.auto.info);
    let names = names(adapters);
    for wanted in &args.device {
        let wants_cpu = match wanted {
            Wanted::All | Wanted::Cpu => true,
            Wanted::Auto => auto.is_some_and(|info| info.kind == DeviceKind::Cpu),
            Wanted::Gpus | Wanted::Index(_) | Wanted::Name(_) => false,
        };
        let fits = |adapter: &Adapter| match wanted {
            Wanted::All => true,
            Wanted::Auto => auto == Some(&adapter.info),
            Wanted::Cpu => false,
            Wanted::Gpus => adapter.info.kind != DeviceKind::Software,
            Wanted::Index(index) => adapter.index == *index,
            Wanted::Name(name) => adapter.info.name.to_lowercase().contains(name),
        };
        let found: Vec<usize> = (0..adapters.len()).filter(|&at| fits(&adapters[at])).collect();
        if found.is_empty() && !wants_cpu {
            let there = if names.is_empty() { "no adapter".to_owned() } else { names.join(", ") };
            return Err(fault(
                format_args!("no such device: there is the CPU, and {there}"),
                "`logloss devices` lists what there is; a software adapter is to be named",
            ));
        }
        cpu |= wants_cpu;
        chosen.extend(found);
    }
    let mut targets = Vec::new();
    if cpu {
        let all = [all_threads(), NonZeroUsize::MIN];
        let threads = if args.threads.is_empty() { &all[..] } else { &args.threads };
        for &threads in threads {
            if !targets.iter().any(|target| matches!(target, Target::Cpu(other) if *other == threads)) {
                targets.push(Target::Cpu(threads));
            }
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    targets.extend(
        chosen.into_iter().map(|at| Target::Adapter { adapter: adapters[at].clone(), name: names[at].clone() }),
    );
    Ok(targets)
}

/// Names that tell adapters apart: two of the same model have their indices too, and one that several APIs reach has
/// the API's.
fn names(adapters: &[Adapter]) -> Vec<String> {
    let same = |a: &Adapter| adapters.iter().filter(|b| b.info.name == a.info.name).count();
    let same_api = |a: &Adapter| {
        adapters.iter().filter(|b| (&b.info.name, &b.info.backend) == (&a.info.name, &a.info.backend)).count()
    };
    adapters
        .iter()
        .map(|adapter| match (same(adapter), same_api(adapter)) {
            (1, _) => adapter.info.name.clone(),
            (_, 1) => format!("{} ({})", adapter.info.name, adapter.info.backend),
            _ => format!("{} #{}", adapter.info.name, adapter.index),
        })
        .collect()
}

fn empty_report(args: &Args, machine: Machine, plan: &Plan) -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        program: machine::program(),
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        quick: args.quick,
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

/// How it was measured, for those who want to trust it.
fn method(plan: &Plan) -> Vec<String> {
    let reach = indicatif::BinaryBytes(plan.reach);
    vec![
        "Logits from N(0, 3), as many labels of 1 as of 0, the same in every run; every row's sum, and elements of \
         every output, were checked before it was timed."
            .to_owned(),
        format!(
            "ns/elem is a median and ± the median deviation from it, over at least {} measurements taken in turn with \
             those of the limit.",
            plan.repeats()
        ),
        format!(
            "From {} values on, calls go round through batches that span {reach} (512 MiB on a GPU) as far as there \
             are so many, so that caches do not hold them; smaller batches are the same each time, and so are their \
             limits.",
            size(FROM_MEMORY as u64)
        ),
        "The limit of a CPU or of data on a GPU is a pass that moves as many bytes in the same way and computes \
         nothing, on the CPU over the same arrays with the same threads (the fastest of some ways: values asked for \
         ahead or not, ordinary or streaming stores), on a GPU a copy (a read, where nothing is written) by a kernel; that of data from the host is the \
         slower of uploading the inputs and downloading the outputs."
            .to_owned(),
        "Data on a GPU are timed by its own clock where it has one, everything else by the wall clock of whole calls."
            .to_owned(),
    ]
}

/// By device, then as people read: where the data are, types, work, size.
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
