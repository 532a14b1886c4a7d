//! `logloss eval`.

mod explain;
mod facts;
mod input;
mod objective;
mod outputs;
mod values;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use explain::explain;
use facts::Facts;
use input::{Input, odd};
use logloss::{
    BLOCK, Costs, DeviceInfo, DeviceKind, Engine, Evaluation, Form, Objective, Reduction, Stream, Totals, Value,
};
use outputs::OutputFiles;
use values::Rows;
pub use values::Values;

use crate::{
    args::{EvalArgs, LabelWeight, Reduce},
    interrupt,
    progress::Progress,
    report::Report,
    source::Source,
    terminal,
};

/// The most values a part where nothing is copied on the way: enough to keep a GPU busy, few enough to heed Ctrl-C soon.
const MAPPED_PART: usize = 8192 * BLOCK;
/// The same where outputs are held until they are written.
const WRITTEN_PART: usize = 1024 * BLOCK;
/// Values for each thread of a CPU: so few that the targets are in its cache still when they are looked at after the
/// evaluation, so many that waking the threads for a part costs little.
const PART_OF_A_THREAD: usize = 256 * BLOCK;

/// Up to so many values, a CPU is about done before a GPU is as much as found.
const SOON_DONE: u64 = 1 << 24;
/// The fewest bytes of text that a value and its label take, with what separates them.
const LEAST_TEXT: u64 = 4;

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

/// What was found.
struct Found {
    evaluation: Evaluation,
    values: Values,
    /// Values read, counted or not.
    len: u64,
    facts: Facts,
    notes: Vec<String>,
}

/// Runs the command.
pub fn run(args: &EvalArgs) -> Result<ExitCode> {
    args.device.on_threads(|| evaluate(args))
}

fn evaluate(args: &EvalArgs) -> Result<ExitCode> {
    objective::check(args)?;
    let form = args.from.form();
    let mut input = Input::open(args)?;
    if args.reduction == Reduce::PerRow {
        Rows::check(args, input.source.shape())?;
    }
    let mut outputs = OutputFiles::create(args, input.source.shape())?;
    interrupt::watch()?;
    let mut times = Times::default();
    let started = Instant::now();
    let engine = open(args, input.source.as_ref())?;
    times.start = started.elapsed();
    input.source.set_mapped_part(mapped_part(args, &engine));

    let started = Instant::now();
    let mut found = measure(args, &engine, &mut input, &mut outputs, &mut times)?;
    let clock = Instant::now();
    let outputs = outputs.finish(found.len)?;
    if !outputs.is_empty() {
        times.write += clock.elapsed();
    }
    times.elapsed = started.elapsed();

    found.notes.splice(..0, input.notes());
    found.notes.extend(choice(&engine, &found.evaluation));
    add_notes(args, form, &mut found);
    let report = Report {
        args,
        evaluation: &found.evaluation,
        values: &found.values,
        classes: input.source.classes(),
        shape: input.source.shape().with_len(found.len),
        len: found.len,
        base_rate: found.facts.base_rate(),
        is_plain: objective::is_plain(args),
        times,
        outputs,
        notes: found.notes,
    };
    terminal::print(&if args.json { report.json()? } else { report.plain() })?;
    Ok(ExitCode::SUCCESS)
}

fn open(args: &EvalArgs, source: &dyn Source) -> Result<Engine> {
    let soon_done = is_soon_done(source.shape().len(), source.position().1);
    if args.device.is_auto() && soon_done { Ok(Engine::cpu()) } else { args.device.engine() }
}

/// Whether so many values are, or, where they were not counted, what so many bytes of text can hold.
fn is_soon_done(len: Option<u64>, bytes: u64) -> bool {
    len.unwrap_or(bytes / LEAST_TEXT) <= SOON_DONE
}

fn mapped_part(args: &EvalArgs, engine: &Engine) -> usize {
    let most = if outputs::wanted(args).next().is_some() { WRITTEN_PART } else { MAPPED_PART };
    if engine.device().kind == DeviceKind::Cpu {
        most.min(PART_OF_A_THREAD.saturating_mul(rayon::current_num_threads()))
    } else {
        most
    }
}

fn measure(
    args: &EvalArgs,
    engine: &Engine,
    input: &mut Input,
    outputs: &mut OutputFiles,
    times: &mut Times,
) -> Result<Found> {
    let mut facts = Facts::new(args.from.form(), args.any_label());
    let mut progress = Progress::new();
    let mut notes = Vec::new();

    let clock = Instant::now();
    let objective = objective::objective(args, input, &mut notes, &mut progress)?;
    let divisor = Divisor::find(engine, input, &objective, outputs.any_derivative(), &mut progress)?;
    times.read += clock.elapsed();

    let ignore = input.source.ignore();
    let by_row = args.reduction == Reduce::PerRow;
    let mut rows = Rows::default();
    let mut stream = divisor.open(engine, &objective);
    let mut len = 0;
    loop {
        interrupt::check()?;
        let clock = Instant::now();
        let Some(read) = input.next()? else { break };
        times.read += clock.elapsed();

        let batch = read.batch()?;
        if let Err(error) = stream.push(&batch, outputs.sinks(batch.len())) {
            let odd = odd(&error, &read.part, len);
            return Err(explain(error, args, input.source.as_ref(), odd));
        }
        len += batch.len() as u64;

        // After the evaluation, which waits for memory less than this would: what it has read is in the cache.
        let clock = Instant::now();
        facts.look_at(&read.part, read.mask, ignore);
        times.read += clock.elapsed();

        let clock = Instant::now();
        if by_row {
            let values = stream.take_rows();
            rows.add(args, &values)?;
            outputs.write_values(&values)?;
        }
        outputs.write()?;
        if outputs.any() {
            times.write += clock.elapsed();
        }
        progress.show(input.source.position(), len);
    }
    let evaluation = stream.finish().map_err(|error| explain(error, args, input.source.as_ref(), None))?;
    let values = match (&evaluation.value, evaluation.partials.classes.as_slice()) {
        _ if by_row => Values::Rows(rows),
        (Value::Scalar(value), _) => Values::Scalar(*value),
        (Value::Vector(_), []) => {
            let classes = input.source.shape().classes() as usize;
            Values::Classes(vec![evaluation.mean; classes], vec![0; classes])
        }
        (Value::Vector(values), classes) => {
            Values::Classes(values.clone(), classes.iter().map(|class| class.count).collect())
        }
        _ => Values::Elements,
    };
    if let Values::Classes(values, _) = &values {
        outputs.write_values(values)?;
    }
    Ok(Found { evaluation, values, len, facts, notes })
}

/// What is known before of what a gradient is divided by.
#[derive(Debug)]
enum Divisor {
    /// Nothing, or the number of values.
    Len(Option<u64>),
    /// What was added up in a pass over them.
    Totals(Totals),
}

impl Divisor {
    fn find(
        engine: &Engine,
        input: &mut Input,
        objective: &Objective,
        derivatives: bool,
        progress: &mut Progress,
    ) -> Result<Self> {
        Ok(if derivatives && objective.needs_totals(input.has_mask()) {
            Divisor::Totals(input.totals(engine, objective, progress)?)
        } else if derivatives && objective.reduction() == Reduction::Mean {
            Divisor::Len(Some(input.count()?))
        } else {
            Divisor::Len(None)
        })
    }

    fn open<'e>(self, engine: &'e Engine, objective: &Objective) -> Stream<'e> {
        match self {
            Divisor::Len(len) => engine.stream(objective, len),
            Divisor::Totals(totals) => engine.stream_with_totals(objective, totals),
        }
    }
}

/// Why `auto` took the device it took, where it had a choice.
fn choice(engine: &Engine, evaluation: &Evaluation) -> Option<String> {
    let costs = engine.costs();
    let is_taken = |(info, _): &&(DeviceInfo, Costs)| *info == *evaluation.run.device;
    let (taken, left) = (costs.iter().find(is_taken)?, costs.iter().find(|device| !is_taken(device))?);
    Some(format!(
        "auto took {}, where data in host memory costs {:.3} ns a value, not {}, where it costs {:.3}",
        taken.0.name,
        taken.1.gradient.per_value * 1e9,
        left.0.name,
        left.1.gradient.per_value * 1e9
    ))
}

/// What a reader of the result should know.
fn add_notes(args: &EvalArgs, form: Form, found: &mut Found) {
    let Found { evaluation, facts, notes, .. } = found;
    let mean = if evaluation.mean.is_nan() { "NaN".to_owned() } else { evaluation.mean.to_string() };
    if evaluation.count == 0 && found.len == 0 {
        notes.push(format!("there are no values: the sum is 0, the mean is {mean}"));
    } else if evaluation.count == 0 {
        notes.push(format!("every value is left out: the sum is 0, the mean is {mean}"));
    } else if !evaluation.sum.is_finite() {
        notes.push(format!("the sum and the mean are {}", evaluation.sum));
    } else if !evaluation.mean.is_finite() {
        notes.push(format!("the weights sum to 0: the mean is {mean}"));
    }
    if args.reduction == Reduce::None && args.loss_out.is_none() {
        notes.push("nothing is reduced: pass --loss-out F.npy for the loss of each element".to_owned());
    }
    let by_label = matches!(args.label_weight, Some(LabelWeight::Given(_)));
    let weighted = args.weight.is_some() || args.class_weight.is_some() || by_label;
    if weighted && evaluation.count > 0 && args.reduction == Reduce::Mean && args.compat.is_none() {
        let note = "the mean is over the number of values: --reduction weighted-mean is over the sum of their weights";
        notes.push(note.to_owned());
    }
    if form == Form::Logits && facts.all_in_unit_interval() {
        let warning = "every prediction lies in [0, 1]: if these are probabilities, pass --from probabilities";
        terminal::complain("warning", warning);
        notes.push(warning.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soon_done() {
        assert!(is_soon_done(Some(0), 0) && is_soon_done(Some(1 << 24), u64::MAX));
        assert!(!is_soon_done(Some((1 << 24) + 1), 1));
        assert!(is_soon_done(None, (64 << 20) + 3) && !is_soon_done(None, (64 << 20) + 4));
    }
}
