//! Remarks on a result, for its reader.

use logloss::{Compat, Costs, DeviceInfo, Engine, Evaluation, Floats, Form, Objective, Reduction};

use crate::{
    Inputs, LabelStats, LabelWeights, Note, ObjectiveSpec, RunSpec, Selection, canonical_path,
    infinite::Certain,
    statistics::{LabelCounts, all_in_unit_interval, all_zero_or_one},
};

/// The weights that balance the labels.
pub(crate) fn balanced(counts: LabelCounts, objective: &Objective, any_number_is_label: bool) -> Option<Note> {
    let LabelCounts { negatives, positives } = counts;
    let [w0, w1] = objective.label_weights()?;
    let [zero, one] = if any_number_is_label { ["negative", "positive"] } else { ["0", "1"] };
    Some(Note::info(format!("{negatives} labels are {zero} and weigh {w0}, {positives} are {one} and weigh {w1}")))
}

/// Why an engine that chooses its device chose this one, where it had a choice.
pub(crate) fn choice(engine: &Engine, evaluation: &Evaluation) -> Option<Note> {
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

/// Remarks on a result of `len` values. `certain` is the first element that made the loss infinite, if one did.
pub(crate) fn remarks(
    spec: &RunSpec,
    evaluation: &Evaluation,
    len: u64,
    labels: &LabelStats,
    certain: Option<Certain>,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let mean = if evaluation.mean.is_nan() { "NaN".to_owned() } else { evaluation.mean.to_string() };
    if evaluation.count == 0 && len == 0 {
        notes.push(Note::info(format!("there are no values: the sum is 0, the mean is {mean}")));
    } else if evaluation.count == 0 {
        notes.push(Note::info(format!("every value is left out: the sum is 0, the mean is {mean}")));
    } else if !evaluation.sum.is_finite() {
        let why = certain.map(|certain| why_infinite(spec, &certain)).unwrap_or_default();
        notes.push(Note::info(format!("the sum and the mean are {}{why}", evaluation.sum)));
    } else if !evaluation.mean.is_finite() || evaluation.partials.weight.value() == 0.0 {
        notes.push(Note::info(format!("the weights sum to 0: the mean is {mean}")));
    }
    notes.extend(one_label(labels, spec.objective.any_number_is_label()));
    let ObjectiveSpec { compat, class_weights, label_weights, .. } = &spec.objective;
    let reduction = spec.objective.effective_reduction();
    let derivatives = spec.outputs.gradient.is_some() || spec.outputs.hessian.is_some();
    if derivatives && spec.objective.has_derivatives_of_sum() {
        let system = compat.map_or("", Compat::name);
        notes.push(Note::info(format!(
            "gradient and hessian are those of the sum, as {system}'s objective has them: --reduction weighted-mean divides \
             them by the sum of the weights"
        )));
    }
    if reduction == Reduction::None && spec.outputs.loss.is_none() {
        notes.push(Note::info("nothing is reduced: pass --loss-out F.npy for the loss of each element"));
    }
    let by_label = matches!(label_weights, Some(LabelWeights::Given(_)));
    let weighted = spec.has_weights() || class_weights.is_some() || by_label;
    if weighted && evaluation.count > 0 && reduction == Reduction::Mean && compat.is_none() {
        notes.push(Note::info(
            "the mean is over the number of values: --reduction weighted-mean is over the sum of their weights",
        ));
    }
    notes.extend(same_array(&spec.inputs, &spec.selection).map(Note::warning));
    notes
}

/// Which element made a loss infinite, and how to avoid that.
fn why_infinite(spec: &RunSpec, Certain { place, prediction, label, is_coarse }: &Certain) -> String {
    match spec.form {
        Form::Probabilities => {
            let clip = if spec.objective.compat.is_none() { ", or clip them with --compat torch or keras" } else { "" };
            // f32 has no value between 1 and 1 - 6e-8.
            let rounded = if *is_coarse && *prediction == 1.0 { " (its type may have rounded it to that)" } else { "" };
            let instead = if rounded.is_empty() { "pass logits" } else { "pass probabilities in f64, or logits," };
            format!(
                ": {place}: the probability is {prediction}{rounded} and the label {label}; {instead} instead{clip}"
            )
        }
        _ => format!(": {place}: the logit is {prediction} and the label {label}; finite logits have finite losses"),
    }
}

/// That labels of one kind are absent.
fn one_label(labels: &LabelStats, any_number_is_label: bool) -> Option<Note> {
    let [negative, positive] = if any_number_is_label { ["negative", "positive"] } else { ["0", "1"] };
    let label = match labels {
        LabelStats { count: 0, .. } => return None,
        // Labels are not negative: only zeros sum to 0.
        LabelStats { label_sum: 0.0, .. } => negative,
        LabelStats { label_sum, count, .. } if *label_sum == *count as f64 => positive,
        _ => return None,
    };
    Some(Note::info(format!("every label is {label}: the result says nothing about the other label")))
}

/// That one array is given for two purposes, or that several columns of predictions have the same labels.
fn same_array(inputs: &Inputs, selection: &Selection) -> Option<String> {
    let files = [
        ("predictions", Some(&inputs.predictions)),
        ("labels", inputs.targets.as_ref()),
        ("weights", inputs.weights.as_ref()),
        ("mask", inputs.mask.as_ref()),
    ];
    let canonical = files.iter().filter_map(|(role, path)| Some((*role, vec![canonical_path((*path)?)])));
    if let Some((first, second, _)) = twice(&canonical.collect::<Vec<_>>()) {
        let given = files.iter().find_map(|(role, path)| path.filter(|_| *role == second))?;
        return Some(format!("{}: the same file is the {first} and the {second}", given.display()));
    }
    let names = [
        ("predictions", selection.predictions.as_deref()),
        ("labels", selection.targets.as_deref()),
        ("weights", selection.weights.as_deref()),
    ];
    let columns = names.into_iter().filter_map(|(role, names)| Some((role, names?.split(',').collect::<Vec<_>>())));
    if let Some((first, second, name)) = twice(&columns.collect::<Vec<_>>()) {
        return Some(format!("the {first} and the {second} are both '{name}'"));
    }
    let (predictions, targets) = (selection.predictions.as_deref()?, selection.targets.as_deref()?);
    let columns: Vec<_> = predictions.split(',').zip(targets.split(',')).collect();
    let shared = |(at, (prediction, target)): (usize, &(&str, &str))| {
        columns[..at]
            .iter()
            .any(|(other, labels)| labels == target && other != prediction)
            .then(|| (*target).to_owned())
    };
    let name = columns.iter().enumerate().find_map(shared)?;
    Some(format!(
        "several columns of predictions have the labels '{name}': of the probabilities of two classes, name the positive \
         class's column alone"
    ))
}

/// The first array that has two roles, and these.
fn twice<'a, T: PartialEq>(arrays: &'a [(&'static str, Vec<T>)]) -> Option<(&'static str, &'static str, &'a T)> {
    arrays.iter().enumerate().find_map(|(at, (second, names))| {
        arrays[..at].iter().find_map(|(first, others)| {
            let name = names.iter().find(|name| others.contains(name))?;
            Some((*first, *second, name))
        })
    })
}

/// What predictions look like, which may not be what they are said to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    form: Form,
    /// Whether each is 0 or 1.
    classes: bool,
    /// Whether one is 0, and whether one is 1.
    both: [bool; 2],
    /// Whether each lies in [0, 1].
    probabilities: bool,
}

impl Looks {
    /// No predictions yet, said to have this form.
    pub(crate) fn new(form: Form) -> Self {
        Self { form, classes: true, both: [false; 2], probabilities: form == Form::Logits }
    }

    /// Adds predictions. It stops at the first that does not look so, nearly always one of the first few.
    pub(crate) fn add(&mut self, predictions: Floats<'_>) {
        self.probabilities = self.probabilities && all_in_unit_interval(predictions);
        self.classes = self.classes && all_zero_or_one(predictions);
        if self.classes {
            let any = |class: f64| (0..predictions.len()).any(|index| predictions.get(index) == class);
            self.both = [self.both[0] || any(0.0), self.both[1] || any(1.0)];
        }
    }

    /// A warning, if they look like something else.
    pub(crate) fn warning(&self) -> Option<Note> {
        // All of them the same are those of a model that has learnt nothing, or of a single row.
        if self.classes && self.both == [true; 2] {
            let what = if self.form == Form::Probabilities { "probabilities" } else { "logits" };
            return Some(Note::warning(format!(
                "every prediction is 0 or 1: these look like classes, not {what}; pass what the model computed before it \
                 decided"
            )));
        }
        let text = "every prediction lies in [0, 1]: if these are probabilities, pass --from probabilities";
        self.probabilities.then(|| Note::warning(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_used_twice() {
        let of = |predictions: &str, targets: &str| {
            same_array(&Inputs::new("d.csv"), &Selection::default().with_predictions(predictions).with_targets(targets))
        };
        assert!(of("p", "y").is_none() && of("a,b", "x,y").is_none() && of("p,p", "y,y").is_none());
        assert!(of("p", "p").is_some_and(|text| text.contains("both 'p'")));
        assert!(of("p,q", "y,p").is_some_and(|text| text.contains("both 'p'")));
        let weighted = |weights: &str| {
            let selection = Selection::default().with_predictions("p").with_targets("y").with_weights(weights);
            same_array(&Inputs::new("d.csv"), &selection)
        };
        assert!(weighted("w").is_none() && weighted("y").is_some_and(|text| text.contains("labels and the weights")));
        assert!(of("a,b", "x,b").is_some_and(|text| text.contains("both 'b'")));
        assert!(of("p0,p1", "y,y").is_some_and(|text| text.contains("positive class")));
        let files = |targets: &str| same_array(&Inputs::new("a.npy").with_targets(targets), &Selection::default());
        assert!(files("./a.npy").is_some() && files("b.npy").is_none());
    }

    #[test]
    fn labels_of_one_kind() {
        let text = |count, sum, any| {
            one_label(&LabelStats { count, label_sum: sum, weight: count as f64, sum }, any).map(|note| note.text)
        };
        assert_eq!(
            text(3, 0.0, false).expect("one label"),
            "every label is 0: the result says nothing about the other label"
        );
        assert!(text(3, 3.0, true).expect("one label").starts_with("every label is positive"));
        assert!([(0, 0.0), (3, 1.5), (3, f64::NAN)].into_iter().all(|(count, sum)| text(count, sum, false).is_none()));
    }
}
