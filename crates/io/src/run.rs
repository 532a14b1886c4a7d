//! One evaluation from files to files: a source is read part by part, each part is evaluated by an engine, and its
//! outputs are written.

use std::time::Instant;

use logloss::{Accumulator, BLOCK, DeviceKind, Engine, Evaluation, Form, Objective, Reduction, Totals, Value};

use crate::{
    IgnoredLabel, Inputs, LabelStats, Note, ObjectiveSpec, Observer, OutputPaths, ReadOptions, ReducedValues, Result,
    RowValues, Selection, Shape, Summary, Times,
    contradiction::Contradiction,
    dataset::Dataset,
    explain::{Circumstances, explain},
    infinite,
    output::OutputFiles,
    remarks::{Looks, balanced, choice, remarks},
    seen::Seen,
};

/// The most values of a part where nothing is copied: enough to keep a GPU busy, few enough to be interrupted soon.
const MAPPED_PART: usize = 8192 * BLOCK;
/// The most values of a part where outputs are held until they are written.
const WRITTEN_PART: usize = 1024 * BLOCK;
/// The number of values of a part for each thread of a CPU: so few that the targets are still in its cache when their
/// statistics are added up after the evaluation, so many that waking the threads for a part costs little.
const PART_OF_A_THREAD: usize = 256 * BLOCK;

/// The number of values up to which a CPU is about done before a GPU is found.
const FEW_VALUES: u64 = 1 << 24;
/// The fewest bytes of text that a value and its label take, with what separates them.
const LEAST_TEXT: u64 = 4;

/// A specification of a run: the data that is read, the objective, and the files that are written.
///
/// ```
/// use logloss::{Form, Reduction};
/// use logloss_io::{Inputs, ObjectiveSpec, OutputPaths, RunSpec, Selection};
///
/// let spec = RunSpec::new(Inputs::new("d.parquet"))
///     .with_selection(Selection::default().with_predictions("p").with_targets("y"))
///     .with_form(Form::Probabilities)
///     .with_objective(ObjectiveSpec::default().with_reduction(Reduction::Sum))
///     .with_outputs(OutputPaths::default().with_gradient("gradient.npy"));
/// assert_eq!(spec.objective.scale, 1.0);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunSpec {
    /// The files to read.
    pub inputs: Inputs,
    /// The columns or tensors of a file that has several.
    pub selection: Selection,
    /// The form of the predictions.
    pub form: Form,
    /// The labels whose elements are ignored.
    pub ignored_labels: Vec<IgnoredLabel>,
    /// The objective.
    pub objective: ObjectiveSpec,
    /// The files to write.
    pub outputs: OutputPaths,
    /// Whether the [summary](Summary) must hold the values of all rows. If not, it holds them unless they are too many.
    pub must_hold_rows: bool,
}

impl RunSpec {
    /// The mean loss of all logits in these files, of which nothing is written.
    pub fn new(inputs: Inputs) -> Self {
        Self {
            inputs,
            selection: Selection::default(),
            form: Form::Logits,
            ignored_labels: Vec::new(),
            objective: ObjectiveSpec::default(),
            outputs: OutputPaths::default(),
            must_hold_rows: false,
        }
    }

    /// Sets the columns or tensors of a file that has several.
    pub fn with_selection(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Sets the form of the predictions.
    pub fn with_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Ignores the elements with this label too.
    pub fn with_ignored_label(mut self, label: IgnoredLabel) -> Self {
        self.ignored_labels.push(label);
        self
    }

    /// Sets the objective.
    pub fn with_objective(mut self, objective: ObjectiveSpec) -> Self {
        self.objective = objective;
        self
    }

    /// Sets the files to write.
    pub fn with_outputs(mut self, outputs: OutputPaths) -> Self {
        self.outputs = outputs;
        self
    }

    /// Sets whether the summary must hold the values of all rows.
    pub fn with_must_hold_rows(mut self, must_hold_rows: bool) -> Self {
        self.must_hold_rows = must_hold_rows;
        self
    }

    /// How values are read.
    fn read_options(&self) -> ReadOptions {
        let options = ReadOptions::new(self.form)
            .with_any_number_is_label(self.objective.any_number_is_label())
            .with_may_skip(self.inputs.mask.is_some());
        self.ignored_labels.iter().copied().fold(options, ReadOptions::with_ignored_label)
    }

    /// Refuses combinations that make no sense, before anything is opened.
    fn check(&self) -> Result<()> {
        if self.outputs.value.is_some() {
            match self.objective.effective_reduction() {
                Reduction::PerClass | Reduction::PerRow => {}
                Reduction::None => {
                    return Err(Contradiction::NothingReduced.into());
                }
                _ => {
                    return Err(Contradiction::SingleValue.into());
                }
            }
        }
        self.objective.check()
    }

    pub(crate) fn has_weights(&self) -> bool {
        self.inputs.weights.is_some() || self.selection.weights.is_some()
    }
}

/// Reads, evaluates and writes what a specification says. It is [`PreparedRun::new`] and [`PreparedRun::run`] in one,
/// for an engine that is chosen whatever the data.
///
/// # Errors
/// Any [`Error`](crate::Error). No output is left behind, and none that was there has changed.
pub fn run(spec: &RunSpec, engine: &Engine, observer: &mut dyn Observer) -> Result<Summary> {
    PreparedRun::new(spec)?.run(engine, observer)
}

/// A run whose inputs are open and whose outputs are begun: faults of a specification are found before an engine is opened
/// for it.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Inputs, PreparedRun, RunSpec, Selection};
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let inputs = Inputs::new(data.join("flights_head.csv"));
/// let selection = Selection::default().with_predictions("logit").with_targets("delayed");
/// let spec = RunSpec::new(inputs).with_selection(selection);
/// let prepared = PreparedRun::new(&spec)?; // what is wrong with the files is known here
/// assert!(prepared.is_small());
/// let summary = prepared.run(&Engine::cpu(), &mut ())?;
/// assert_eq!(summary.len, 20_000);
/// # Ok::<(), logloss_io::Error>(())
/// ```
pub struct PreparedRun<'a> {
    spec: &'a RunSpec,
    dataset: Dataset,
    outputs: OutputFiles,
    rows: Option<RowValues>,
}

impl<'a> PreparedRun<'a> {
    /// Checks a specification, opens its inputs and begins its outputs.
    ///
    /// # Errors
    /// Any [`Error`](crate::Error) but those of single values and of the engine.
    pub fn new(spec: &'a RunSpec) -> Result<Self> {
        spec.check()?;
        let dataset = Dataset::open(&spec.inputs, &spec.selection, spec.read_options(), &spec.objective)?;
        let shape = dataset.source.shape();
        let reduction = spec.objective.effective_reduction();
        let by_row = reduction == Reduction::PerRow;
        let rows = by_row.then(|| RowValues::new(spec.must_hold_rows, shape)).transpose()?;
        let outputs = OutputFiles::create(&spec.outputs, &spec.inputs, reduction, shape)?;
        Ok(Self { spec, dataset, outputs, rows })
    }

    /// The shape of the predictions, as far as it is known without reading them.
    pub fn shape(&self) -> Shape {
        self.dataset.source.shape()
    }

    /// Whether there are so few values that a CPU is about done before a GPU is found: at most 2^24, or 64 MiB of text.
    pub fn is_small(&self) -> bool {
        let (_, bytes) = self.dataset.source.position();
        is_small(self.shape().value_count(), bytes)
    }

    /// Reads every part, evaluates it and writes its outputs.
    ///
    /// # Errors
    /// Any [`Error`](crate::Error) of reading, evaluating and writing. No output is left behind, and none that was there
    /// has changed.
    pub fn run(mut self, engine: &Engine, observer: &mut dyn Observer) -> Result<Summary> {
        let started = Instant::now();
        self.dataset.source.set_mapped_part(mapped_part(&self.spec.outputs, engine));
        let Measured { evaluation, values, len, labels, notes, mut times } = self.measure(engine, observer)?;
        let Self { spec, dataset, outputs, .. } = self;
        let clock = Instant::now();
        let outputs = outputs.finish(len)?;
        if !outputs.is_empty() {
            times.write += clock.elapsed();
        }
        times.elapsed = started.elapsed();

        Ok(Summary {
            evaluation,
            reduction: spec.objective.effective_reduction(),
            values,
            class_names: dataset.source.class_names(),
            shape: dataset.source.shape().with_len(len),
            len,
            labels,
            is_plain: spec.objective.is_plain(),
            has_weights: spec.has_weights(),
            times,
            outputs,
            notes,
        })
    }

    /// Reads every part, evaluates it and writes its outputs, none of which is in its place yet.
    fn measure(&mut self, engine: &Engine, observer: &mut dyn Observer) -> Result<Measured> {
        let Self { spec, dataset, outputs, rows } = self;
        let any_number_is_label = spec.objective.any_number_is_label();
        let mut labels = LabelStats::default();
        let mut looks = Looks::new(spec.form);
        let mut notes = Vec::new();
        let mut times = Times::default();

        let clock = Instant::now();
        let ignore = dataset.source.ignore();
        let counts = spec.objective.counts_labels().then(|| dataset.count_labels(observer)).transpose()?;
        let objective = spec.objective.objective(ignore, counts)?;
        notes.extend(counts.and_then(|counts| balanced(counts, &objective, any_number_is_label)));
        let divisor = Divisor::find(engine, dataset, &objective, outputs.any_derivative(), observer)?;
        times.read += clock.elapsed();

        let mut accumulator = divisor.open(engine, &objective);
        let mut len = 0;
        loop {
            let clock = Instant::now();
            let Some(read) = dataset.next(observer)? else { break };
            times.read += clock.elapsed();

            if let Some(missing) = read.missing(ignore) {
                return Err(dataset.missing_value(len, missing));
            }
            let batch = read.batch()?;
            if let Err(error) = accumulator.push(&batch, outputs.sinks(batch.len())) {
                let circumstances = Circumstances {
                    any_number_is_label,
                    unrepresentable: read.unrepresentable(&error, len),
                    seen: Some(Seen::of(&read.part)),
                };
                return Err(explain(error, dataset.source.as_ref(), circumstances));
            }
            len += batch.len() as u64;

            // After the evaluation, which waits for memory less than this would: what it has read is in the cache.
            let clock = Instant::now();
            looks.add(read.part.predictions);
            labels.add(&read.part, read.mask, ignore, any_number_is_label);
            times.read += clock.elapsed();

            let clock = Instant::now();
            if let Some(rows) = rows {
                let values = accumulator.take_rows();
                rows.add(&values)?;
                outputs.write_values(&values)?;
            }
            outputs.write()?;
            if outputs.any() {
                times.write += clock.elapsed();
            }
            dataset.report(observer, len);
        }
        let explained = |error| {
            let circumstances = Circumstances { any_number_is_label, ..Circumstances::default() };
            explain(error, dataset.source.as_ref(), circumstances)
        };
        let evaluation = accumulator.finish().map_err(explained)?;
        let values = match rows.take() {
            Some(rows) => ReducedValues::Rows(rows),
            None => reduced_values(&evaluation, dataset.source.shape()),
        };
        if let ReducedValues::Classes { means, .. } = &values {
            outputs.write_values(means)?;
        }
        notes.extend(choice(engine, &evaluation));
        // Before another pass, which counts anew.
        notes.splice(..0, dataset.notes().into_iter().map(Note::info));
        let certain = if evaluation.sum == f64::INFINITY {
            infinite::first(dataset, spec.form, &spec.objective, observer)?
        } else {
            None
        };
        notes.extend(remarks(spec, &evaluation, len, &labels, certain));
        if labels.count > 0 {
            notes.extend(looks.warning());
        }
        Ok(Measured { evaluation, values, len, labels, notes, times })
    }
}

/// The results of the loop.
struct Measured {
    evaluation: Evaluation,
    values: ReducedValues,
    len: u64,
    labels: LabelStats,
    notes: Vec<Note>,
    times: Times,
}

/// Whether there are few values; where they were not counted, as many as fit in so many bytes of text.
fn is_small(len: Option<u64>, bytes: u64) -> bool {
    len.unwrap_or(bytes / LEAST_TEXT) <= FEW_VALUES
}

fn mapped_part(outputs: &OutputPaths, engine: &Engine) -> usize {
    let most = if outputs.any_by_element() { WRITTEN_PART } else { MAPPED_PART };
    if engine.device().kind == DeviceKind::Cpu {
        most.min(PART_OF_A_THREAD.saturating_mul(rayon::current_num_threads()))
    } else {
        most
    }
}

fn reduced_values(evaluation: &Evaluation, shape: Shape) -> ReducedValues {
    match (&evaluation.value, evaluation.partials.classes.as_slice()) {
        (Value::Scalar(value), _) => ReducedValues::Scalar(*value),
        (Value::Vector(_), []) => {
            let classes = shape.classes() as usize;
            ReducedValues::Classes { means: vec![evaluation.mean; classes], counts: vec![0; classes] }
        }
        (Value::Vector(means), classes) => {
            let counts = classes.iter().map(|class| class.count).collect();
            ReducedValues::Classes { means: means.clone(), counts }
        }
        _ => ReducedValues::Elements,
    }
}

/// The divisor of a gradient, as far as it is known before the evaluation.
#[derive(Debug)]
enum Divisor {
    /// The number of values; none if the gradient is not divided.
    Len(Option<u64>),
    /// The totals of a pass over the values.
    Totals(Totals),
}

impl Divisor {
    fn find(
        engine: &Engine,
        dataset: &mut Dataset,
        objective: &Objective,
        derivatives: bool,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        Ok(if derivatives && objective.needs_totals(dataset.has_mask()) {
            Divisor::Totals(dataset.totals(engine, objective, observer)?)
        } else if derivatives && objective.reduction() == Reduction::Mean {
            Divisor::Len(Some(dataset.source.count(observer)?))
        } else {
            Divisor::Len(None)
        })
    }

    fn open<'e>(self, engine: &'e Engine, objective: &Objective) -> Accumulator<'e> {
        match self {
            Divisor::Len(len) => engine.accumulator(objective, len),
            Divisor::Totals(totals) => engine.accumulator_with_totals(objective, totals),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values() {
        assert!(is_small(Some(0), 0) && is_small(Some(1 << 24), u64::MAX));
        assert!(!is_small(Some((1 << 24) + 1), 1));
        assert!(is_small(None, (64 << 20) + 3) && !is_small(None, (64 << 20) + 4));
    }
}
