//! `logloss eval`.

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use logloss::Engine;
use logloss_io::{PreparedRun, Severity};

use crate::{
    args::{DeviceArgs, EvalArgs},
    interrupt,
    progress::Progress,
    report::Report,
    terminal,
};

/// Runs the command.
pub(crate) fn run(args: &EvalArgs) -> Result<ExitCode> {
    args.device.on_threads(|| evaluate(args))
}

fn evaluate(args: &EvalArgs) -> Result<ExitCode> {
    let spec = args.spec()?;
    let prepared = PreparedRun::new(&spec)?;
    interrupt::watch()?;
    let clock = Instant::now();
    let engine = open(&args.device, &prepared)?;
    let start = clock.elapsed();
    let summary = prepared.run(&engine, &mut Progress::new())?;
    for warning in summary.notes.iter().filter(|note| note.severity == Severity::Warning) {
        terminal::complain("warning", warning);
    }
    let report = Report { spec: &spec, summary: &summary, start };
    terminal::print(&if args.json { report.json()? } else { report.plain() })?;
    Ok(ExitCode::SUCCESS)
}

/// The engine asked for. Where that is left open and there are few values, it is the CPU.
fn open(device: &DeviceArgs, run: &PreparedRun<'_>) -> Result<Engine> {
    if device.is_auto() && run.is_small() { Ok(Engine::cpu()) } else { device.engine() }
}
