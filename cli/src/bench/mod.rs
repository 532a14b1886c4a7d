//! `logloss bench`: how fast, against what the hardware gives.

mod args;
mod check;
mod compare;
mod cpu;
mod data;
#[cfg(test)]
mod demo;
mod gpu;
mod host;
mod html;
mod machine;
mod measured;
mod model;
mod pages;
mod plan;
mod progress;
mod rows;
mod sampling;
mod stats;
mod sweep;
mod table;
mod traffic;

use std::process::ExitCode;

use anyhow::Result;
pub use args::Args;

use crate::{output::NewFile, terminal};

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    // What would go wrong at the end goes wrong before minutes have passed.
    let old = args.compare.as_deref().map(compare::read).transpose()?;
    let html = args.html.as_deref().map(NewFile::create).transpose()?;

    let mut report = match &args.saved {
        Some(path) => compare::read(path)?,
        None => sweep::measure(args)?,
    };
    report.comparison = old.map(|old| compare::compare(&old, &report, args.threshold)).transpose()?;

    if let Some(mut file) = html {
        file.write(html::page(&report).as_bytes())?;
        file.finish()?;
    }
    show(args, &report)?;
    let regressions = report.comparison.as_ref().map_or(0, |comparison| comparison.regressions);
    Ok(if report.failures.is_empty() && regressions == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(args: &Args, report: &model::Report) -> Result<()> {
    let comparison = report.comparison.as_ref().map(compare::Comparison::plain).unwrap_or_default();
    if args.json {
        terminal::print(&(serde_json::to_string_pretty(report)? + "\n"))?;
    } else if args.csv {
        terminal::print(&table::csv(report)?)?;
        for line in comparison.lines() {
            terminal::complain("compared", line);
        }
    } else {
        terminal::print(&table::plain(report))?;
        if !comparison.is_empty() {
            terminal::print(&format!("\n{comparison}"))?;
        }
    }
    for failure in report.failures.iter().filter(|_| args.json || args.csv) {
        terminal::complain("error", failure);
    }
    Ok(())
}
