//! `logloss eval`.

mod facts;
mod outputs;

use std::{process::ExitCode, time::Duration, time::Instant};

use anyhow::Result;
use facts::Facts;
use logloss::{Array, BLOCK, Batch, Engine, Error, Evaluation, Form, Objective, Reduction};
use outputs::OutputFiles;

use crate::{
    args::EvalArgs,
    failure::fault,
    interrupt,
    progress::Progress,
    report::Report,
    source::{self, Odd, Source, Wish},
    terminal,
};

/// Values a part where nothing is copied on the way: enough to keep a GPU busy, few enough to heed Ctrl-C soon.
const MAPPED_PART: usize = 8192 * BLOCK;
/// The same where outputs are held until they are written.
const WRITTEN_PART: usize = 1024 * BLOCK;

/// Wall-clock times that the library does not know of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Finding and opening the device.
    pub start: Duration,
    /// Reading, decoding and converting values, and looking at them for the report. What is mapped is read from
    /// disk only when it is evaluated.
    pub read: Duration,
    /// Writing outputs.
    pub write: Duration,
    /// From the first value read to the last output in its place.
    pub elapsed: Duration,
}

/// Runs the command.
pub fn run(args: &EvalArgs) -> Result<ExitCode> {
    let form = args.from.form();
    let mut source = source::open(args, Wish { form, mapped_part: mapped_part(args) })?;
    let mut outputs = OutputFiles::create(args, source.shape())?;
    interrupt::watch()?;
    let mut times = Times::default();
    let started = Instant::now();
    let engine = args.device.engine()?;
    times.start = started.elapsed();

    let started = Instant::now();
    let (evaluation, facts) = measure(args, &engine, source.as_mut(), &mut outputs, &mut times)?;
    let outputs = outputs.finish(evaluation.count)?;
    times.elapsed = started.elapsed();

    let notes = notes(form, source.as_ref(), &facts, &evaluation);
    let shape = source.shape();
    let base_rate = facts.base_rate();
    let report = Report { args, evaluation: &evaluation, shape, base_rate, times, outputs, notes };
    terminal::print(&if args.json { report.json()? } else { report.plain() })?;
    Ok(ExitCode::SUCCESS)
}

fn mapped_part(args: &EvalArgs) -> usize {
    if outputs::wanted(args).next().is_some() { WRITTEN_PART } else { MAPPED_PART }
}

fn measure(
    args: &EvalArgs,
    engine: &Engine,
    source: &mut dyn Source,
    outputs: &mut OutputFiles,
    times: &mut Times,
) -> Result<(Evaluation, Facts)> {
    let form = args.from.form();
    let reduction = args.reduction.reduction();
    let objective = Objective::default()
        .with_reduction(reduction)
        .with_invalid(args.non_finite.invalid())
        .with_scale(args.scale)?;
    let mut facts = Facts::new(form);
    let mut progress = Progress::new();

    let clock = Instant::now();
    // A mean's derivatives are divided by its count, which must be known before the first of them.
    let total = if outputs.any_derivative() && reduction == Reduction::Mean { Some(source.count()?) } else { None };
    times.read += clock.elapsed();

    let mut stream = engine.stream(&objective, total);
    loop {
        interrupt::check()?;
        let clock = Instant::now();
        let Some(part) = source.next_part()? else { break };
        facts.look_at(&part);
        times.read += clock.elapsed();

        let batch = Batch::new(form, part.predictions, part.targets)?;
        let first = stream.pushed();
        if let Err(error) = stream.push(&batch, outputs.sinks(batch.len())) {
            let odd = [part.odd_prediction.cloned(), part.odd_target.cloned()];
            return Err(explain(error, source, first, odd));
        }

        if outputs.any() {
            let clock = Instant::now();
            outputs.write()?;
            times.write += clock.elapsed();
        }
        progress.show(source.position(), stream.pushed());
    }
    Ok((stream.finish()?, facts))
}

/// Says where in the files an invalid value is, and what to do about it.
fn explain(
    error: Error,
    source: &dyn Source,
    first: u64,
    [odd_prediction, odd_target]: [Option<Odd>; 2],
) -> anyhow::Error {
    let Error::InvalidValue { array, index, value } = error else { return error.into() };
    let (column, odd) = match array {
        Array::Targets => (source.targets(), odd_target),
        Array::Predictions | Array::Probabilities => (source.predictions(), odd_prediction),
    };
    let odd = odd.filter(|odd| first + odd.index as u64 == index);
    let line = odd.as_ref().and_then(|odd| odd.line).map(|line| format!(" (line {line})")).unwrap_or_default();
    // Every type that the library reads is exact in f32, whose digits are those that were written.
    let shown = odd.map_or_else(|| (value as f32).to_string(), |odd| odd.shown);
    let (must, help) = match array {
        Array::Predictions => (
            "logits must not be NaN",
            "drop that row; or pass --non-finite propagate to let NaN through to the results",
        ),
        Array::Probabilities => {
            ("probabilities must lie in [0, 1]", "if these are logits, leave out --from probabilities; else clip them")
        }
        Array::Targets if shown.trim().starts_with("-1") => (
            "labels must be 0 or 1, or probabilities in between",
            "labels of -1 and 1 become 0 and 1 as (y + 1) / 2; -1 for 'unknown' is a row to drop",
        ),
        Array::Targets => (
            "labels must be 0 or 1, or probabilities in between",
            "drop that row or mend its label; class numbers become 0 and 1 as y == CLASS",
        ),
    };
    fault(format_args!("{column}, {}{line}: the value is {shown}: {must}", source.shape().place(index)), help)
}

/// What a reader of the result should know.
fn notes(form: Form, source: &dyn Source, facts: &Facts, evaluation: &Evaluation) -> Vec<String> {
    let mut notes = source.notes();
    if evaluation.count == 0 {
        notes.push("there are no values: the sum is 0, the mean is NaN".to_owned());
    } else if !evaluation.sum.is_finite() {
        notes.push(format!("the sum and the mean are {}", evaluation.sum));
    }
    if form == Form::Logits && facts.all_in_unit_interval() {
        let warning = "every prediction lies in [0, 1]: if these are probabilities, pass --from probabilities";
        terminal::complain("warning", warning);
        notes.push(warning.to_owned());
    }
    notes
}
