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

use std::{path::Path, process::ExitCode};

use anyhow::Result;
pub use args::Args;

use crate::{
    failure::usage,
    output::{NewFile, same},
    terminal,
};

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    // What would go wrong at the end goes wrong before minutes have passed.
    let old = args.compare.as_deref().map(compare::read).transpose()?;
    let saved = args.saved.as_deref().map(compare::read).transpose()?;
    let html = args.html.as_deref().map(|path| page(path, args)).transpose()?;

    let mut report = match saved {
        Some(report) => report,
        None => sweep::measure(args)?,
    };
    // Where the two cannot be compared, what was measured is not lost.
    let comparison = old.map(|old| compare::compare(&old, &report, args.threshold)).transpose();
    let compared = comparison.map(|comparison| report.comparison = comparison);

    if let Some(mut file) = html {
        file.write(html::page(&report).as_bytes())?;
        file.finish()?;
    }
    show(args, &report)?;
    compared?;
    let regressions = report.comparison.as_ref().map_or(0, |comparison| comparison.regressions);
    Ok(if report.failures.is_empty() && regressions == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Begins the page, unless it would replace what is read.
fn page(path: &Path, args: &Args) -> Result<NewFile> {
    if [&args.saved, &args.compare].into_iter().flatten().any(|input| same(input) == same(path)) {
        return Err(usage(
            format_args!("--html {}: this is an input already", path.display()),
            "give the page a name of its own",
        ));
    }
    Ok(NewFile::create(path)?)
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
