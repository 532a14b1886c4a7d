//! `logloss bench`.

mod args;
mod progress;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result};
pub(crate) use args::Args;
use logloss_bench::{Error, Report, compare, html, measure};
use logloss_io::{NewFile, canonical_path};
use progress::Progress;

use crate::{
    failure::{Failure, fault, usage},
    interrupt, terminal,
};

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    // Files that cannot be read or written are errors now, before minutes have passed.
    let old = args.compare.as_deref().map(read).transpose()?;
    let saved = args.saved.as_deref().map(read).transpose()?;
    let html = args.html.as_deref().map(|path| create(path, args)).transpose()?;

    let mut report = match saved {
        Some(report) => report,
        None => {
            interrupt::watch()?;
            measure(&args.specification(), &mut Progress::default()).map_err(|error| explained(error, ""))?
        }
    };
    // Reports that cannot be compared are an error only after the new one has been shown.
    let comparison = old.map(|old| compare(&old, &report, args.threshold)).transpose();
    let compared = comparison.map(|comparison| report.comparison = comparison);

    if let Some(mut file) = html {
        file.write(html::page(&report).as_bytes())?;
        file.finish()?;
    }
    show(args, &report)?;
    if let Some(path) = &args.html {
        written(path, args)?;
    }
    compared.map_err(|error| explained(error, ""))?;
    let regressions = report.comparison.as_ref().map_or(0, |comparison| comparison.regressions);
    Ok(if report.failures.is_empty() && regressions == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads the JSON of an earlier run.
fn read(path: &Path) -> Result<Report> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    Report::from_json(&text).map_err(|error| explained(error, &format!("{}: ", path.display())))
}

/// Begins the page, unless it would replace a file that is read.
fn create(path: &Path, args: &Args) -> Result<NewFile> {
    if [&args.saved, &args.compare].into_iter().flatten().any(|input| canonical_path(input) == canonical_path(path)) {
        return Err(usage(
            format_args!("--html {}: this is an input already", path.display()),
            "give the page a name of its own",
        ));
    }
    Ok(NewFile::create(path)?)
}

/// Says that the page was written: beside the table, but not among what programs read.
fn written(path: &Path, args: &Args) -> Result<()> {
    if args.json || args.csv {
        terminal::complain("page", path.display());
        return Ok(());
    }
    terminal::print(&format!("\npage written to {}\n", path.display()))
}

fn show(args: &Args, report: &Report) -> Result<()> {
    let comparison = report.comparison.as_ref().map(ToString::to_string).unwrap_or_default();
    if args.json {
        terminal::print(&report.json()?)?;
    } else if args.csv {
        terminal::print(&report.csv()?)?;
        for line in comparison.lines() {
            terminal::complain("compared", line);
        }
    } else {
        terminal::print(&report.table())?;
        if !comparison.is_empty() {
            terminal::print(&format!("\n{comparison}"))?;
        }
    }
    for failure in report.failures.iter().filter(|_| args.json || args.csv) {
        terminal::complain("error", failure);
    }
    Ok(())
}

/// An error with its help, after the place where it occurred.
fn explained(error: Error, place: &str) -> anyhow::Error {
    match (error.help(), error) {
        (_, Error::Interrupted) => Failure::Interrupted.into(),
        (Some(help), error) => fault(format_args!("{place}{error}"), help),
        (None, error) => error.into(),
    }
}
