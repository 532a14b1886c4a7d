//! One evaluation from files to files: a source is read part by part, each part is evaluated by an engine, and its
//! outputs are written.

use std::time::Instant;

use logloss::{
    Accumulator, BLOCK, Compat, Costs, DeviceInfo, DeviceKind, Engine, Evaluation, Form, Objective, Reduction, Totals,
    Value,
};

use crate::{
    IgnoredLabel, Inputs, LabelStats, LabelWeights, Note, ObjectiveSpec, Observer, OutputPaths, ReadOptions,
    ReducedValues, Result, RowValues, Selection, Shape, Summary, Times,
    contradiction::Contradiction,
    dataset::Dataset,
    explain::explain,
    output::OutputFiles,
    statistics::{LabelCounts, all_in_unit_interval},
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
    /// The label whose elements are ignored.
    pub ignored_label: Option<IgnoredLabel>,
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
            ignored_label: None,
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

    /// Ignores the elements with this label.
    pub fn with_ignored_label(mut self, label: IgnoredLabel) -> Self {
        self.ignored_label = Some(label);
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
        match self.ignored_label {
            Some(label) => options.with_ignored_label(label),
            None => options,
        }
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

    fn has_weights(&self) -> bool {
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
        let Measured { evaluation, values, len, labels, mut notes, mut times } = self.measure(engine, observer)?;
        let Self { spec, dataset, outputs, .. } = self;
        let clock = Instant::now();
        let outputs = outputs.finish(len)?;
        if !outputs.is_empty() {
            times.write += clock.elapsed();
        }
        times.elapsed = started.elapsed();

        notes.splice(..0, dataset.notes().into_iter().map(Note::info));
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
        let mut looks_like_probabilities = spec.form == Form::Logits;
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

            let batch = read.batch()?;
            if let Err(error) = accumulator.push(&batch, outputs.sinks(batch.len())) {
                let unrepresentable = read.unrepresentable(&error, len);
                return Err(explain(error, any_number_is_label, dataset.source.as_ref(), unrepresentable));
            }
            len += batch.len() as u64;

            // After the evaluation, which waits for memory less than this would: what it has read is in the cache.
            let clock = Instant::now();
            looks_like_probabilities = looks_like_probabilities && all_in_unit_interval(read.part.predictions);
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
        let evaluation =
            accumulator.finish().map_err(|error| explain(error, any_number_is_label, dataset.source.as_ref(), None))?;
        let values = match rows.take() {
            Some(rows) => ReducedValues::Rows(rows),
            None => reduced_values(&evaluation, dataset.source.shape()),
        };
        if let ReducedValues::Classes { means, .. } = &values {
            outputs.write_values(means)?;
        }
        notes.extend(choice(engine, &evaluation));
        notes.extend(remarks(spec, &evaluation, len));
        if looks_like_probabilities && labels.count > 0 {
            let text = "every prediction lies in [0, 1]: if these are probabilities, pass --from probabilities";
            notes.push(Note::warning(text));
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

/// The weights that balance the labels.
fn balanced(counts: LabelCounts, objective: &Objective, any_number_is_label: bool) -> Option<Note> {
    let LabelCounts { negatives, positives } = counts;
    let [w0, w1] = objective.label_weights()?;
    let [zero, one] = if any_number_is_label { ["negative", "positive"] } else { ["0", "1"] };
    Some(Note::info(format!("{negatives} labels are {zero} and weigh {w0}, {positives} are {one} and weigh {w1}")))
}

/// Why an engine that chooses its device chose this one, where it had a choice.
fn choice(engine: &Engine, evaluation: &Evaluation) -> Option<Note> {
    let costs = engine.costs();
    let is_taken = |(info, _): &&(DeviceInfo, Costs)| *info == *evaluation.run.device;
    let (taken, left) = (costs.iter().find(is_taken)?, costs.iter().find(|device| !is_taken(device))?);
    Some(Note::info(format!(
        "auto took {}, where data in host memory costs {:.3} ns a value, not {}, where it costs {:.3}",
        taken.0.name,
        taken.1.gradient.per_value * 1e9,
        left.0.name,
        left.1.gradient.per_value * 1e9
    )))
}

/// Remarks on a result of `len` values.
fn remarks(spec: &RunSpec, evaluation: &Evaluation, len: u64) -> Vec<Note> {
    let mut notes = Vec::new();
    let mean = if evaluation.mean.is_nan() { "NaN".to_owned() } else { evaluation.mean.to_string() };
    if evaluation.count == 0 && len == 0 {
        notes.push(Note::info(format!("there are no values: the sum is 0, the mean is {mean}")));
    } else if evaluation.count == 0 {
        notes.push(Note::info(format!("every value is left out: the sum is 0, the mean is {mean}")));
    } else if !evaluation.sum.is_finite() {
        notes.push(Note::info(format!("the sum and the mean are {}", evaluation.sum)));
    } else if !evaluation.mean.is_finite() {
        notes.push(Note::info(format!("the weights sum to 0: the mean is {mean}")));
    }
    let ObjectiveSpec { compat, class_weights, label_weights, .. } = &spec.objective;
    let reduction = spec.objective.effective_reduction();
    if reduction == Reduction::None && spec.outputs.loss.is_none() {
        notes.push(Note::info("nothing is reduced: pass --loss-out F.npy for the loss of each element"));
    }
    let derivatives = spec.outputs.gradient.is_some() || spec.outputs.hessian.is_some();
    if derivatives && spec.objective.has_derivatives_of_sum() {
        let system = compat.map_or("", Compat::name);
        notes.push(Note::info(format!(
            "gradient and hessian are those of the sum, as {system}'s objective has them: --reduction weighted-mean divides \
             them by the sum of the weights"
        )));
    }
    let by_label = matches!(label_weights, Some(LabelWeights::Given(_)));
    let weighted = spec.has_weights() || class_weights.is_some() || by_label;
    if weighted && evaluation.count > 0 && reduction == Reduction::Mean && compat.is_none() {
        notes.push(Note::info(
            "the mean is over the number of values: --reduction weighted-mean is over the sum of their weights",
        ));
    }
    notes
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
