//! The command line of `logloss eval`.
#![expect(rustdoc::broken_intra_doc_links, reason = "the help text of options, where [N, C] is a shape")]

use std::path::PathBuf;

use clap::{ArgAction, Args as ArgGroup};
use logloss::{Compat, Focal, Form, NonFinite, Reduction};
use logloss_io::{IgnoredLabel, Inputs, LabelWeights, ObjectiveSpec, OutputPaths, RunSpec, Selection, extension};

use super::{
    DeviceArgs,
    choices::{FORMS, NON_FINITE, REDUCTIONS, SYSTEMS, parser},
    number,
};

/// Evaluate a file of predictions against its labels
///
/// Prints the loss and, on request, writes the loss, gradient and hessian of every element. Files of any size are read
/// in parts, in bounded memory.
#[derive(Debug, ArgGroup)]
#[command(after_help = EVAL_NOTES, disable_help_flag = true)]
pub(crate) struct EvalArgs {
    /// Predictions: a .npy file of shape [N] or [N, C]; or a .parquet, .csv or .safetensors file that holds the
    /// labels too
    pub predictions: PathBuf,

    /// Labels, beside a .npy file of predictions: a .npy file of the same shape
    pub targets: Option<PathBuf>,

    /// Column or tensor that holds the predictions; columns a,b,… are the classes of shape [N, C]
    #[arg(long, value_name = "NAME", help_heading = INPUT)]
    pub pred: Option<String>,

    /// Column or tensor that holds the labels; as many columns as --pred names
    #[arg(long, value_name = "NAME", help_heading = INPUT)]
    pub target: Option<String>,

    /// What the predictions are
    #[arg(long, value_parser = parser(FORMS, logloss::Form::name), default_value = "logits", help_heading = INPUT)]
    pub from: Form,

    /// Ignore the elements with these labels: integers such as 255 or -100, or nan, which includes missing labels. (Any
    /// other missing value, a null, is an error, unless its element is ignored or masked)
    #[arg(
        long, value_name = "LABEL,…", value_delimiter = ',', value_parser = ignore_label, allow_hyphen_values = true,
        help_heading = INPUT
    )]
    pub ignore_label: Vec<IgnoredLabel>,

    /// Ignore the elements where this mask is 0 or false: bool or u8, in the shape of the predictions
    #[arg(long, value_name = "M.npy", help_heading = INPUT)]
    pub mask: Option<PathBuf>,

    /// What to do about NaN, and about labels, probabilities and weights out of range: fail and name the first one, or
    /// make its results and the reduced results NaN
    #[arg(long, value_parser = parser(NON_FINITE, logloss::NonFinite::name), default_value = "error", help_heading = INPUT)]
    pub non_finite: NonFinite,

    /// Use the conventions of another system: how it clips and floors, and what it divides a mean by
    #[arg(long, value_name = "SYSTEM", value_parser = parser(SYSTEMS, logloss::Compat::name), help_heading = OBJECTIVE)]
    pub compat: Option<Compat>,

    /// How losses are reduced, and so what the gradient is the derivative of [default: mean; with --compat xgboost or
    /// lightgbm the value is their metric's mean, while gradient and hessian are those of the sum, as a booster takes
    /// them]
    #[arg(long, value_parser = parser(REDUCTIONS, logloss::Reduction::name), help_heading = OBJECTIVE)]
    pub reduction: Option<Reduction>,

    /// Smooth labels z towards 1/2: z·(1 − A) + A/2
    #[arg(long, value_name = "A", value_parser = smoothing, allow_hyphen_values = true, help_heading = OBJECTIVE)]
    pub label_smoothing: Option<f32>,

    /// Focal loss: multiply by (1 − p_t)^G, where p_t is the predicted probability of the true label
    #[arg(long, value_name = "G", value_parser = weight, allow_hyphen_values = true, help_heading = OBJECTIVE)]
    pub focal_gamma: Option<f32>,

    /// Focal loss: multiply by A for positives and 1 − A for negatives
    #[arg(
        long, value_name = "A", value_parser = unit, allow_hyphen_values = true, requires = "focal_gamma",
        help_heading = OBJECTIVE
    )]
    pub focal_alpha: Option<f32>,

    /// Multiply gradient and hessian by this
    #[arg(
        long, value_name = "FACTOR", default_value_t = 1.0, value_parser = finite, allow_negative_numbers = true,
        help_heading = OBJECTIVE
    )]
    pub scale: f32,

    /// A weight for each element, [N, C], or each sample, [N]: a .npy file beside .npy predictions; otherwise a column or
    /// tensor, or as many columns as --pred names
    #[arg(long, value_name = "W.npy|NAME", help_heading = WEIGHTS)]
    pub weight: Option<String>,

    /// A weight for each class, [C]
    #[arg(
        long, value_name = "A,B,…", value_delimiter = ',', value_parser = weight, allow_hyphen_values = true,
        help_heading = WEIGHTS
    )]
    pub class_weight: Option<Vec<f32>>,

    /// The weight of the positive term −z·log p: one, or one for each class (with --compat xgboost and lightgbm their
    /// scale_pos_weight, which applies to gradient and hessian alone)
    #[arg(
        long, value_name = "Q|Q,R,…", value_delimiter = ',', value_parser = weight, allow_hyphen_values = true,
        help_heading = WEIGHTS
    )]
    pub pos_weight: Option<Vec<f32>>,

    /// Weights of the labels 0 and 1; or `balanced`: n/(2·n₀) and n/(2·n₁), which takes a pass to count; with --compat
    /// lightgbm `is-unbalance`, or `balanced`: 1 for the more frequent label, and for the other how many times rarer it is
    #[arg(
        long, value_name = "W0,W1|balanced", value_parser = label_weight, allow_hyphen_values = true,
        help_heading = WEIGHTS
    )]
    pub label_weight: Option<LabelWeights>,

    /// Write the loss of each element
    #[arg(long, value_name = "F.npy", help_heading = OUTPUT)]
    pub loss_out: Option<PathBuf>,

    /// Write the gradient of the reduced loss with respect to each prediction
    #[arg(long, value_name = "F.npy", help_heading = OUTPUT)]
    pub grad_out: Option<PathBuf>,

    /// Write the diagonal of the hessian
    #[arg(long, value_name = "F.npy", help_heading = OUTPUT)]
    pub hess_out: Option<PathBuf>,

    /// Write the values of --reduction per-class or per-row, f64
    #[arg(long, value_name = "F.npy", help_heading = OUTPUT)]
    pub value_out: Option<PathBuf>,

    /// Print one JSON object and nothing else on stdout
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,

    // Clap's own would be a group of its own, before all others.
    #[arg(short, long, action = ArgAction::Help, help = "Print help (see more with '--help')",
        long_help = "Print help (see a summary with '-h')", help_heading = OUTPUT)]
    help: Option<bool>,

    #[command(flatten)]
    pub device: DeviceArgs,
}

impl EvalArgs {
    /// The specification of the run that the command line asks for.
    pub(crate) fn spec(&self) -> anyhow::Result<RunSpec> {
        // Beside a .npy file of predictions, --weight names a file; in any other, a column or tensor.
        let (weight_file, weight_column) =
            if extension(&self.predictions) == "npy" { (&self.weight, &None) } else { (&None, &self.weight) };
        let mut inputs = Inputs::new(&self.predictions);
        inputs.targets.clone_from(&self.targets);
        inputs.weights = weight_file.as_ref().map(PathBuf::from);
        inputs.mask.clone_from(&self.mask);
        let mut selection = Selection::default();
        selection.predictions.clone_from(&self.pred);
        selection.targets.clone_from(&self.target);
        selection.weights.clone_from(weight_column);
        let mut outputs = OutputPaths::default();
        outputs.loss.clone_from(&self.loss_out);
        outputs.gradient.clone_from(&self.grad_out);
        outputs.hessian.clone_from(&self.hess_out);
        outputs.value.clone_from(&self.value_out);
        let mut spec = RunSpec::new(inputs)
            .with_selection(selection)
            .with_form(self.from)
            .with_objective(self.objective()?)
            .with_outputs(outputs)
            .with_must_hold_rows(self.json && self.value_out.is_none());
        spec.ignored_labels.clone_from(&self.ignore_label);
        Ok(spec)
    }

    fn objective(&self) -> anyhow::Result<ObjectiveSpec> {
        let focal = |gamma| -> logloss::Result<Focal> {
            let focal = Focal::new(gamma)?;
            self.focal_alpha.map_or(Ok(focal), |alpha| focal.with_alpha(alpha))
        };
        let mut objective = ObjectiveSpec::default().with_non_finite(self.non_finite).with_scale(self.scale);
        objective.reduction = self.reduction;
        objective.compat = self.compat;
        objective.label_smoothing = self.label_smoothing;
        objective.focal = self.focal_gamma.map(focal).transpose()?;
        objective.class_weights.clone_from(&self.class_weight);
        objective.pos_weight.clone_from(&self.pos_weight);
        objective.label_weights = self.label_weight;
        Ok(objective)
    }
}

const INPUT: &str = "Input";
const OBJECTIVE: &str = "Objective";
const WEIGHTS: &str = "Weights (finite and at least 0; they multiply)";
const OUTPUT: &str = "Output";
const EVAL_NOTES: &str = "\
Examples:
  logloss eval logits.npy labels.npy
  logloss eval flights.parquet --pred logit --target delayed --json
  logloss eval probs.csv --pred p --target y --from probabilities --device cpu
  logloss eval logits.npy labels.npy --grad-out grad.npy --reduction sum
  logloss eval d.parquet --pred logit --target delayed --weight distance --reduction weighted-mean
  logloss eval logits.npy labels.npy --ignore-label -100 --mask valid.npy --pos-weight 3.2
  logloss eval tags.parquet --pred a,b,c --target x,y,z --reduction per-class --class-weight 1,1,0.5
  logloss eval logits.npy labels.npy --focal-gamma 2 --focal-alpha 0.25 --label-smoothing 0.1
  logloss eval probs.npy labels.npy --from probabilities --compat sklearn --label-weight balanced

With logit x and label z in [0, 1], the loss of an element is w·((1 − z)·softplus(x) + q·z·softplus(−x)): q is \
--pos-weight, w the product of all other weights, and z is smoothed after w was determined. An ignored or masked element \
contributes to no sum, and its loss, gradient and hessian are 0, whatever its prediction and weight.

Predictions may be f16, bf16, f32 or f64 (logits are converted to f32; probabilities keep their digits), labels of any integer, bool or float type: 0 and 1, or \
probabilities in between. Weights may be of any of these types; types other than f16 and f32 are converted to f32. \
Logits of plus and minus infinity are valid. Outputs are f32. An output file is complete, or it does not exist.

The gradient of a mean that ignores elements or is weighted, and labels that are to be balanced, take one more pass \
over the file. The time is that from the first value read to the last output in its place. GB/s are the bytes of \
predictions, labels, weights, mask and outputs as they are evaluated (f64 and text as f32, but probabilities as f64; integers as a byte, a mask as \
bits), each counted once, divided by that time. Memory-mapped files (.npy, .safetensors) are read from disk while they \
are evaluated.

In JSON, `value` is a number, an array for per-class and per-row, and null for none (--loss-out writes the loss of each \
element) and for per-row with --value-out. A number that is NaN (the mean of no values) or infinite is null; `notes` \
says which.";

fn finite(word: &str) -> Result<f32, String> {
    number(word, |value: f32| value.is_finite(), "a finite number")
}

fn weight(word: &str) -> Result<f32, String> {
    number(word, |value: f32| value >= 0.0 && value.is_finite(), "a finite number that is at least 0")
}

fn unit(word: &str) -> Result<f32, String> {
    number(word, |value: f32| (0.0..=1.0).contains(&value), "a number from 0 to 1")
}

fn smoothing(word: &str) -> Result<f32, String> {
    number(word, |value: f32| (0.0..1.0).contains(&value), "a number from 0 to below 1")
}

fn label_weight(word: &str) -> Result<LabelWeights, String> {
    match word {
        "balanced" => Ok(LabelWeights::Balanced),
        "is-unbalance" => Ok(LabelWeights::IsUnbalance),
        word => {
            let pair = word.split_once(',').and_then(|(w0, w1)| Some([weight(w0).ok()?, weight(w1).ok()?]));
            let what = "pass two finite numbers that are at least 0, as 1,3.5; or balanced; or is-unbalance";
            pair.map(LabelWeights::Given).ok_or_else(|| what.to_owned())
        }
    }
}

fn ignore_label(word: &str) -> Result<IgnoredLabel, String> {
    if word.eq_ignore_ascii_case("nan") {
        return Ok(IgnoredLabel::Nan);
    }
    let within = |label: &i128| (i64::MIN.into()..=u64::MAX.into()).contains(label);
    let label = word.parse().ok().filter(within);
    label.map(IgnoredLabel::Integer).ok_or_else(|| "pass an integer, or nan".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_to_ignore() {
        assert_eq!(ignore_label("-100"), Ok(IgnoredLabel::Integer(-100)));
        assert_eq!(ignore_label("18446744073709551615"), Ok(IgnoredLabel::Integer(u64::MAX.into())));
        assert_eq!(ignore_label("NaN"), Ok(IgnoredLabel::Nan));
        for wrong in ["", "0.5", "inf", "18446744073709551616"] {
            assert!(ignore_label(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn label_weights() {
        assert_eq!(label_weight("1,2.5"), Ok(LabelWeights::Given([1.0, 2.5])));
        assert_eq!(label_weight("balanced"), Ok(LabelWeights::Balanced));
        for wrong in ["", "1", "1,2,3", "1,-2", "nan,1", "inf,1"] {
            assert!(label_weight(wrong).is_err(), "{wrong}");
        }
    }
}
