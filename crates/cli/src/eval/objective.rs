//! What is to be computed, from what the command line says of it.

use anyhow::Result;
use logloss::{Focal, Objective};

use super::{facts::LabelCounts, input::Input};
use crate::{
    args::{EvalArgs, LabelWeight, Reduce, System},
    failure::{fault, usage},
    progress::Progress,
};

/// Refuses combinations that make no sense, before anything is opened.
pub fn check(args: &EvalArgs) -> Result<()> {
    if args.value_out.is_some() {
        match args.reduction {
            Reduce::PerClass | Reduce::PerRow => {}
            Reduce::None => {
                return Err(usage(
                    "--value-out: nothing is reduced with --reduction none",
                    "the loss of each element is what --loss-out writes",
                ));
            }
            Reduce::Mean | Reduce::Sum | Reduce::WeightedMean => {
                return Err(usage(
                    "--value-out: the value is a single number, which the report shows",
                    "leave it out, or pass --reduction per-class or per-row",
                ));
            }
        }
    }
    if args.label_weight == Some(LabelWeight::IsUnbalance) && args.compat != Some(System::Lightgbm) {
        return Err(usage(
            "--label-weight is-unbalance is a convention of LightGBM's",
            "pass --compat lightgbm too; or --label-weight balanced, which is scikit-learn's",
        ));
    }
    if args.compat == Some(System::Lightgbm) && args.label_weight.is_some() && args.pos_weight.is_some() {
        return Err(usage(
            "--label-weight and --pos-weight at the same time, which LightGBM refuses too",
            "leave one out: is_unbalance is a weight of the positives that is counted, scale_pos_weight one that is given",
        ));
    }
    Ok(())
}

/// The objective. Labels to be balanced are counted, in a pass over the input; `notes` are told what they weigh.
pub fn objective(
    args: &EvalArgs,
    input: &mut Input,
    notes: &mut Vec<String>,
    progress: &mut Progress,
) -> Result<Objective> {
    let compat = args.compat.map(System::compat);
    let mut objective = Objective::default()
        .with_reduction(args.reduction.reduction())
        .with_invalid(args.non_finite.invalid())
        .with_scale(args.scale)?;
    if let Some(compat) = compat {
        objective = objective.with_compat(compat);
    }
    if let Some(ignore) = input.source.ignore() {
        objective = objective.with_ignore(ignore);
    }
    if let Some(smoothing) = args.label_smoothing {
        objective = objective.with_label_smoothing(smoothing)?;
    }
    if let Some(gamma) = args.focal_gamma {
        let focal = Focal::new(gamma)?;
        objective = objective.with_focal(match args.focal_alpha {
            Some(alpha) => focal.with_alpha(alpha)?,
            None => focal,
        });
    }
    if let Some(weights) = &args.class_weight {
        objective = objective.with_class_weights(weights.as_slice())?;
    }
    if let Some(weights) = &args.pos_weight {
        objective = objective.with_pos_weight(weights.as_slice())?;
    }
    let Some(weight) = args.label_weight else { return Ok(objective) };
    if let LabelWeight::Given([negative, positive]) = weight {
        return Ok(objective.with_label_weights(negative, positive)?);
    }
    let LabelCounts { negatives, positives } = input.count_labels(args, progress)?;
    if negatives == 0 || positives == 0 {
        return Err(fault(
            format_args!(
                "{}: labels cannot be balanced: {negatives} are negative and {positives} positive",
                input.source.targets()
            ),
            "say what the labels weigh: --label-weight W0,W1",
        ));
    }
    // With --compat lightgbm, which is-unbalance needs, the library makes this LightGBM's.
    let objective = objective.with_balanced_labels(negatives, positives)?;
    if let Some([w0, w1]) = objective.label_weights() {
        let [zero, one] = if args.any_label() { ["negative", "positive"] } else { ["0", "1"] };
        notes.push(format!("{negatives} labels are {zero} and weigh {w0}, {positives} are {one} and weigh {w1}"));
    }
    Ok(objective)
}

/// Whether every element's weight is 1, and its loss the plain one, as far as the command line says.
pub fn is_plain(args: &EvalArgs) -> bool {
    args.weight.is_none()
        && args.class_weight.is_none()
        && args.pos_weight.is_none()
        && args.label_weight.is_none()
        && args.label_smoothing.is_none()
        && args.focal_gamma.is_none()
}
