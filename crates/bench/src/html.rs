//! The report as a page: one file that needs no other, in light and in dark colours.

use std::fmt::Write;

use crate::{
    MeasuredDevice, Report, Row,
    plot::{self, Bar, Line, Point, escape},
    table,
    text::{digits, size},
};

/// The style sheet of the page and of its plots.
pub const STYLE: &str = include_str!("html/style.css");

/// The number of colours of lines, and so of lines in a plot.
const COLOURS: usize = 6;
/// The names of the parts of a bar.
const PHASES: [&str; 4] = ["upload", "kernel", "readback", "rest of the call"];

/// The report as a page. It is well-formed XML, so that programs can take figures out of it.
pub fn page(report: &Report) -> String {
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n");
    let title = format!("logloss bench: {}", report.machine.cpu);
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escape(&title)
    );
    let mode = if report.quick { " (a quick one)" } else { "" };
    let _ = write!(
        page,
        "<h1>logloss bench</h1>\n\
         <p class=\"soft\">Binary cross-entropy over large batches, {} rows in {:.0} s{mode}.</p>\n",
        report.results.len(),
        report.seconds
    );
    facts(&mut page, report);
    for failure in &report.failures {
        let _ = writeln!(page, "<p class=\"bad\">Wrong, and so not timed: {}</p>", escape(failure));
    }
    summary(&mut page, report);
    if let Some(comparison) = &report.comparison {
        let _ = writeln!(page, "<h2>Against an earlier run</h2>");
        for line in comparison.to_string().lines() {
            let class = if line.starts_with("REGRESSION") { " class=\"bad\"" } else { "" };
            let _ = writeln!(page, "<p{class}>{}</p>", escape(line));
        }
    }
    for device in &report.devices {
        section(&mut page, report, device);
    }
    let _ = writeln!(page, "<h2>How it was measured</h2>");
    for line in &report.method {
        let _ = writeln!(page, "<p>{}</p>", escape(line));
    }
    if !report.notes.is_empty() {
        let notes = report.notes.iter().map(|note| format!("<li>{}</li>", escape(note)));
        let _ = writeln!(page, "<p>Left out:</p><ul class=\"notes\">{}</ul>", notes.collect::<String>());
    }
    page + "</body>\n</html>\n"
}

/// What is to be known of the program and the machine.
fn facts(page: &mut String, report: &Report) {
    page.push_str("<dl>");
    for (name, what) in table::facts(report) {
        let _ = write!(page, "<dt>{name}</dt><dd>{}</dd>", escape(&what));
    }
    page.push_str("</dl>\n");
}

/// A table of the largest batch of each device and each work.
fn summary(page: &mut String, report: &Report) {
    let mut best: Vec<&Row> = Vec::new();
    for device in &report.devices {
        for group in groups(&table::rows_of(report, device)) {
            let Some(inputs) = group.first().map(|row| row.inputs()) else { continue };
            for work in distinct(&group, |row| row.work.clone()) {
                let of_work = group.iter().filter(|row| row.work == work && row.inputs() == inputs);
                best.extend(of_work.max_by_key(|row| row.n));
            }
        }
    }
    page.push_str("<div class=\"scroll\"><table><thead><tr><th>device</th>");
    header(page);
    page.push_str("</tr></thead><tbody>\n");
    for row in best {
        let _ = write!(page, "<tr><td>{}</td>", escape(&row.device));
        cells(page, row);
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}

/// The plots and the rows of a device.
fn section(page: &mut String, report: &Report, device: &MeasuredDevice) {
    let rows = table::rows_of(report, device);
    let _ =
        writeln!(page, "<h2>{}</h2>\n<p class=\"soft\">{}</p>", escape(&device.device), escape(&table::about(device)));
    for line in table::more_about(device) {
        let _ = writeln!(page, "<p class=\"soft\">{}</p>", escape(&line));
    }
    page.push_str("<div class=\"plots\">\n");
    for group in groups(&rows) {
        by_work(page, &group);
        by_inputs(page, &group);
    }
    phases(page, &rows);
    page.push_str("</div>\n");
    if rows.is_empty() {
        return;
    }
    let _ = write!(page, "<details><summary>All {} rows</summary><div class=\"scroll\"><table><thead><tr>", rows.len());
    header(page);
    page.push_str("</tr></thead><tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        cells(page, row);
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div></details>\n");
}

/// A plot of the bandwidth over the size, with a line for each work.
fn by_work(page: &mut String, rows: &[&Row]) {
    let Some(inputs) = rows.first().map(|row| row.inputs()) else { return };
    let rows: Vec<&Row> = rows.iter().copied().filter(|row| row.inputs() == inputs).collect();
    let title = format!("GB/s, {}, {inputs}", place(&rows));
    figure(page, &title, "GB/s", &rows, |row| row.work.clone(), |row, ns| row.bytes_per_elem / ns);
}

/// A plot of the values per second over the size, with a line for each pair of types: narrow ones move fewer bytes for
/// as many values.
fn by_inputs(page: &mut String, rows: &[&Row]) {
    if distinct(rows, |row| row.inputs()).len() < 2 {
        return;
    }
    let works = distinct(rows, |row| row.work.clone());
    let Some(work) = works.iter().find(|work| *work == "mean+grad").or(works.first()) else { return };
    let rows: Vec<&Row> = rows.iter().copied().filter(|row| row.work == *work).collect();
    let title = format!("Values a second, {}, {work}", place(&rows));
    figure(page, &title, "10⁹ values/s", &rows, |row| row.inputs(), |_, ns| 1.0 / ns);
}

/// A plot with a line for each `name` and one for its limit. `value` turns nanoseconds per element into what is shown.
fn figure(
    page: &mut String,
    title: &str,
    unit: &str,
    rows: &[&Row],
    name: impl Fn(&Row) -> String,
    value: impl Fn(&Row, f64) -> f64,
) {
    let mut lines = Vec::new();
    let names = distinct(rows, &name);
    for (colour, wanted) in names.iter().enumerate().take(COLOURS) {
        let rows: Vec<&&Row> = rows.iter().filter(|row| name(row) == *wanted).collect();
        let points = |ns: fn(&Row) -> [f64; 3]| {
            let point = |row: &&&Row| {
                let [y, low, high] = ns(row).map(|ns| value(row, ns));
                Point { x: (row.n as f64).log2(), y, low, high, tooltip: tooltip(row) }
            };
            rows.iter().map(point).collect()
        };
        let measured = points(|row| [row.ns_per_elem, row.q3_ns_per_elem, row.q1_ns_per_elem]);
        let limit = points(|row| [row.bytes_per_elem / row.limit_gb_per_s; 3]);
        lines.push(Line { name: wanted.clone(), colour, limit: false, points: measured });
        lines.push(Line { name: wanted.clone(), colour, limit: true, points: limit });
    }
    let svg = plot::lines(title, ["values a batch", unit], &lines);
    let _ = write!(page, "<figure><h3>{}</h3><ul class=\"legend\">", escape(title));
    for line in lines.iter().filter(|line| !line.limit) {
        let _ = write!(page, "<li class=\"c{}\"><span></span>{}</li>", line.colour, escape(&line.name));
    }
    let _ = writeln!(page, "<li class=\"dash\"><span></span>the limit of each</li></ul>{svg}</figure>");
}

/// A plot of the phases of the largest batches on an adapter.
fn phases(page: &mut String, rows: &[&Row]) {
    let Some(largest) = rows.iter().map(|row| row.n).max() else { return };
    let Some(inputs) = rows.first().map(|row| row.inputs()) else { return };
    let shown = rows.iter().filter(|row| row.n == largest && row.threads.is_none() && row.inputs() == inputs);
    let bars: Vec<Bar> = shown
        .map(|row| {
            let kernel = row.kernel_ns_per_elem.unwrap_or_default();
            let known = [row.upload_ns_per_elem, kernel, row.readback_ns_per_elem];
            let rest = (row.call_ns_per_elem - known.iter().sum::<f64>()).max(0.0);
            let parts: Vec<f64> = known.into_iter().chain([rest]).collect();
            let said = PHASES.iter().zip(&parts).map(|(name, part)| format!("{name} {}", digits(*part)));
            let tooltip =
                format!("{}; the call {} ns/elem", said.collect::<Vec<_>>().join(", "), digits(row.call_ns_per_elem));
            Bar { name: format!("{}, {}", row.place(), row.work), parts, mark: row.call_ns_per_elem, tooltip }
        })
        .collect();
    if bars.is_empty() {
        return;
    }
    let title = format!("Time by phase, {} values, {inputs}", size(largest));
    let svg = plot::bars(&title, "ns/elem", &bars);
    let _ = write!(page, "<figure><h3>{}</h3><ul class=\"legend\">", escape(&title));
    for (part, name) in PHASES.iter().enumerate() {
        let _ = write!(page, "<li class=\"p{part}\"><span></span>{name}</li>");
    }
    let _ = writeln!(page, "<li class=\"tick\"><span></span>the call, whose phases overlap</li></ul>{svg}</figure>");
}

/// The rows of resident batches and those of batches of the host, where there are some.
fn groups<'a>(rows: &[&'a Row]) -> Vec<Vec<&'a Row>> {
    let of = |resident: bool| rows.iter().copied().filter(|row| row.resident == resident).collect::<Vec<_>>();
    [of(true), of(false)].into_iter().filter(|group| !group.is_empty()).collect()
}

/// Where the batches of a plot lie, in words.
fn place(rows: &[&Row]) -> &'static str {
    match rows.first().map(|row| row.place()) {
        Some("resident") => "data on the device",
        Some("from host") => "data from the host",
        _ => "data in memory and caches",
    }
}

/// The distinct values of `get`, in the order of their first rows.
fn distinct(rows: &[&Row], get: impl Fn(&Row) -> String) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        let value = get(row);
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

/// The text that is shown when the pointer is over a row.
fn tooltip(row: &Row) -> String {
    let [work, n, inputs, place, ns, spread, gb, limit, percent] = table::cells(row);
    format!("{work}, {n}, {inputs}, {place}: {ns} ns/elem ± {spread}, {gb} GB/s, {percent} % of {limit}")
}

/// The heading cells of a table of rows.
fn header(page: &mut String) {
    for (column, name) in table::HEAD.iter().enumerate() {
        let class = if column < 4 { "" } else { " class=\"right\"" };
        let name = if *name == "%" { "% of the limit" } else { name };
        let _ = write!(page, "<th{class}>{name}</th>");
    }
}

/// The cells of a row.
fn cells(page: &mut String, row: &Row) {
    for (column, cell) in table::cells(row).iter().enumerate() {
        let _ = match column {
            1 => write!(page, "<td>{}</td>", raised(cell)),
            0..4 => write!(page, "<td>{}</td>", escape(cell)),
            8 => {
                let share = row.percent_of_limit.clamp(0.0, 100.0);
                write!(page, "<td class=\"right share\" style=\"--share: {share:.0}%\">{cell}</td>")
            }
            _ => write!(page, "<td class=\"right\">{cell}</td>"),
        };
    }
}

/// A size with its exponent raised.
fn raised(size: &str) -> String {
    size.split_once('^').map_or_else(|| escape(size), |(base, power)| format!("{base}<sup>{power}</sup>"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Threshold, compare, demo};

    #[test]
    fn well_formed_and_on_its_own() {
        let mut report = demo::report();
        report.failures.push("<wrong>".into());
        report.comparison = Some(compare(&report, &report, Threshold(10.0)).unwrap());
        let page = page(&report);
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(&page, options).unwrap();
        let count = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
        // One of the CPU, two of the adapter by place, and one of its phases.
        assert_eq!(count("svg"), 4);
        assert_eq!(count("script") + count("link") + count("img"), 0);
        let links = page.matches("http").count();
        assert_eq!(links, page.matches("http://www.w3.org/").count(), "nothing is fetched");
    }

    #[test]
    fn empty() {
        let mut report = demo::report();
        report.results.clear();
        page(&report);
        report.devices.clear();
        page(&report);
    }
}
