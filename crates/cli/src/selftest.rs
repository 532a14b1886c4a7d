//! `logloss selftest`.

use std::{fmt::Write, process::ExitCode};

use anyhow::Result;
use logloss_verify::{SelfTest, selftest};
use serde_json::json;

use crate::{args::SelftestArgs, terminal};

/// Runs the command.
pub(crate) fn run(args: &SelftestArgs) -> Result<ExitCode> {
    let test = args.device.on_threads(|| Ok(selftest(&args.device.engine()?)?))?;
    terminal::print(&if args.json { as_json(&test)? } else { plain(&test) })?;
    Ok(if test.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plain(test: &SelfTest) -> String {
    let device = &test.device;
    let mut text = format!("{} ({}; {})\n\n", device.name, device.backend, device.driver);
    let header = ["", "worst", "ceiling", "", "at"].map(str::to_owned);
    let rows = test.rows.iter().map(|row| {
        let at = if row.holds { row.at.clone() } else { format!("BROKEN {}", row.at) };
        [row.name.clone(), digits(row.worst), digits(row.ceiling), row.unit.to_owned(), at]
    });
    let table: Vec<_> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let [names, worsts, ceilings, units] = [0, 1, 2, 3].map(width);
    // Writing to a string does not fail.
    for [name, worst, ceiling, unit, at] in &table {
        let line = format!("{name:names$}  {worst:>worsts$}  {ceiling:>ceilings$} {unit:units$}  {at}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = match test.rows.iter().filter(|row| !row.holds).count() {
        0 => writeln!(text, "\nThe contract holds."),
        broken => writeln!(text, "\nThe contract is broken in {broken} of {} rows.", test.rows.len()),
    };
    text
}

/// Few digits, whatever the size.
fn digits(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.01 { format!("{value:.1e}") } else { format!("{value:.2}") }
}

fn as_json(test: &SelfTest) -> Result<String> {
    let all = json!({ "passed": test.passed(), "device": test.device, "rows": test.rows });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}
