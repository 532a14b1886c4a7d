//! The report of a self-test: the rows of the contract and the largest error found for each.

use super::SelfTestRow;
use logloss::{Batch, Floats, PredictionType};

use crate::{
    contract::{self, DeviceClass, Input, Kind, Output, Row},
    oracle::Element,
};

/// The loss, gradient and hessian of each element, as computed by the engine.
pub(super) type Results = [Vec<f32>; 3];

pub(super) const NAMES: [&str; 3] = ["loss", "gradient", "hessian"];
pub(super) const LIMITS: &str = "limits at the ends of the range";
pub(super) const SAME_BITS: &str = "same values in another type, same bits";
pub(super) const INVALID: &str = "invalid values found at their index";

/// The rows of a self-test that is in progress.
pub(super) struct Report {
    class: DeviceClass,
    rows: Vec<SelfTestRow>,
}

impl Report {
    pub(super) fn new(class: DeviceClass) -> Self {
        let empty = |name: String, unit, ceiling| SelfTestRow {
            name,
            unit,
            ceiling,
            worst: 0.0,
            at: String::new(),
            count: 0,
            holds: false,
        };
        let rows = contract::TABLE.iter().filter(|row| row.class == class).map(|row| {
            let beyond = if row.focal > 0.0 {
                format!(", beyond {}·γ·(1 + |ln(1 − p_t)|)", row.focal)
            } else {
                String::new()
            };
            let name = format!("{}, {}, {}{beyond}", row.output, row.input, row.kind);
            empty(name, row.unit.name(), row.ceiling)
        });
        let exact = [LIMITS, SAME_BITS, INVALID].map(|name| empty(name.into(), "differences", 0.0));
        Self { class, rows: rows.chain(exact).collect() }
    }

    /// The row of the contract, and the row of the report for it.
    fn row(&mut self, input: Input, kind: Kind, output: Output) -> (&'static Row, &mut SelfTestRow) {
        let class = self.class;
        let mut rows = contract::TABLE.iter().filter(|row| row.class == class).zip(&mut self.rows);
        rows.find(|(row, _)| (row.input, row.kind, row.output) == (input, kind, output))
            .expect("the table has a row for every output")
    }

    /// Compares each result of hard and soft targets with the oracle.
    pub(super) fn judge(&mut self, batch: &Batch<'_>, got: &Results) {
        let elements: Vec<_> = (0..batch.len()).map(|i| Element::of(batch, i)).collect();
        self.judge_elements(batch, &elements, &[Kind::Hard, Kind::Soft], got);
    }

    /// Compares the results of the elements of a batch that are of these kinds with the oracle.
    pub(super) fn judge_elements(&mut self, batch: &Batch<'_>, elements: &[Element], kinds: &[Kind], got: &Results) {
        let (input, stored) = (Input::of(batch), stored(&batch.predictions()));
        let truths: Vec<_> = elements.iter().map(|element| (Kind::of_element(element), element.truth())).collect();
        for (got, output) in got.iter().zip([Output::Loss, Output::Gradient, Output::Hessian]) {
            for &kind in kinds {
                let (rule, row) = self.row(input, kind, output);
                if got.len() != truths.len() {
                    row.record(f64::INFINITY, || format!("{} results for {} values", got.len(), truths.len()));
                    continue;
                }
                for (i, (_, truth)) in truths.iter().enumerate().filter(|(_, (k, _))| *k == kind) {
                    row.record(rule.judge(got[i], &elements[i], truth), || {
                        let Element { prediction, target, .. } = elements[i];
                        let (value, [a, b]) = match output {
                            Output::Loss => (truth.loss(), truth.loss),
                            Output::Gradient => (truth.gradient(), truth.gradient),
                            _ => (truth.hessian(), truth.hessian),
                        };
                        let terms = if kind == Kind::Hard { String::new() } else { format!(" ({a:e} + {b:e})") };
                        format!("{stored} {prediction:e}, target {target:e}: {:e} for {value:e}{terms}", got[i])
                    });
                }
            }
        }
    }

    /// Records the relative error of a sum of `length` values.
    pub(super) fn sum(&mut self, input: Input, kind: Kind, error: f64, length: u64) {
        self.row(input, kind, Output::Sum).1.record(error, || format!("{length} values"));
    }

    /// Records whether both results have the same bits.
    pub(super) fn same_bits(&mut self, got: &Results, wanted: &Results, what: &str) {
        for ((name, got), wanted) in NAMES.into_iter().zip(got).zip(wanted) {
            let first = got.iter().zip(wanted).position(|(a, b)| a.to_bits() != b.to_bits());
            self.exact(SAME_BITS, got.len() == wanted.len() && first.is_none(), || match first {
                Some(i) => format!("{name} of element {i} with {what}: {:e}, not {:e}", got[i], wanted[i]),
                None => format!("{name} with {what}: {} results, not {}", got.len(), wanted.len()),
            });
        }
    }

    /// Records the result of one check in a row that counts differences.
    pub(super) fn exact(&mut self, name: &str, holds: bool, at: impl FnOnce() -> String) {
        let row = self.rows.iter_mut().find(|row| row.name == name).expect("one of the exact rows");
        let differences = row.worst + f64::from(u8::from(!holds));
        row.record(differences, at);
    }

    /// The rows of the finished self-test.
    pub(super) fn finish(mut self) -> Vec<SelfTestRow> {
        for row in &mut self.rows {
            row.holds = row.count > 0 && row.worst <= row.ceiling;
        }
        self.rows
    }
}

/// The name of the type of predictions.
fn stored(predictions: &Floats<'_>) -> &'static str {
    match predictions {
        Floats::F64(_) => "f64",
        predictions => PredictionType::from(predictions).name(),
    }
}

impl SelfTestRow {
    /// Records one error, and its position if it is the largest so far.
    fn record(&mut self, error: f64, at: impl FnOnce() -> String) {
        self.count += 1;
        // NaN counts as the largest error.
        let error = if error.is_nan() { f64::INFINITY } else { error };
        if error > self.worst {
            self.worst = error;
            self.at = at();
        }
    }
}

/// Tests that the comparison detects each kind of wrong result.
#[cfg(test)]
mod tests {
    use logloss::Form;

    use super::{
        super::{SelfTest, cross, wide},
        *,
    };

    const FORMS: [Form; 2] = [Form::Logits, Form::Probabilities];

    fn inputs(form: Form) -> (Vec<f32>, Vec<f32>) {
        cross(&wide(form, 4, 64), &[0.0, 1.0, 0.3])
    }

    /// The results of the oracle, rounded to f32.
    fn right(form: Form) -> Results {
        let (predictions, targets) = inputs(form);
        let truths: Vec<_> =
            predictions.iter().zip(&targets).map(|(&x, &z)| Element::new(form, x.into(), z.into()).truth()).collect();
        [
            truths.iter().map(|t| t.loss() as f32).collect(),
            truths.iter().map(|t| t.gradient() as f32).collect(),
            truths.iter().map(|t| t.hessian() as f32).collect(),
        ]
    }

    /// The names of the rows that do not hold for these results.
    fn broken(form: Form, got: &Results) -> Vec<String> {
        let (predictions, targets) = inputs(form);
        let mut report = Report::new(DeviceClass::Wgsl);
        report.judge(&Batch::new(form, &predictions, &targets).expect("as many"), got);
        report.finish().into_iter().filter(|row| row.count > 0 && !row.holds).map(|row| row.name).collect()
    }

    #[test]
    fn right_results_pass() {
        for form in FORMS {
            assert_eq!(broken(form, &right(form)), [""; 0], "{form:?}");
        }
    }

    #[test]
    fn one_wrong_value_fails() {
        for form in FORMS {
            let right = right(form);
            let (_, targets) = inputs(form);
            for output in 0..3 {
                // Only normal results are changed: results that are flushed, infinite or 0 have other rules.
                let normal: Vec<usize> = (0..right[0].len()).filter(|&i| right[output][i].is_normal()).collect();
                for &index in normal.iter().step_by(normal.len() / 20) {
                    let value = right[output][index];
                    let eight_up = f32::from_bits(value.to_bits() + 8);
                    for wrong in [f32::NAN, -f32::NAN, f32::INFINITY, -value, eight_up, value * 1.001] {
                        let mut got = right.clone();
                        got[output][index] = wrong;
                        let soft_gradient = output == 1 && Kind::of(targets[index].into()) == Kind::Soft;
                        if soft_gradient && (wrong - value).abs() < 0.01 * value.abs() {
                            continue; // the error of this gradient is relative to its terms
                        }
                        let rows = broken(form, &got);
                        assert_eq!(rows.len(), 1, "{form:?} {index}: {wrong:e} passes for {value:e}: {rows:?}");
                        assert!(rows[0].starts_with(NAMES[output]), "{rows:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn swapped_shifted_and_missing_outputs_fail() {
        for form in FORMS {
            for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                let mut got = right(form);
                got.swap(a, b);
                assert!(broken(form, &got).len() >= 4, "{form:?} with outputs {a} and {b} swapped");
            }
            for output in 0..3 {
                for shift in [1, 2, 3] {
                    let mut got = right(form);
                    got[output].rotate_right(shift);
                    assert!(!broken(form, &got).is_empty(), "{form:?} shifted by {shift}");
                }
                let mut got = right(form);
                got[output].pop();
                assert_eq!(broken(form, &got).len(), 2, "{form:?} one short");
                got[output].clear();
                assert_eq!(broken(form, &got).len(), 2, "{form:?} missing");
                let mut got = right(form);
                got[output].fill(0.0);
                assert_eq!(broken(form, &got).len(), 2, "{form:?} never written");
            }
        }
    }

    type Formula = fn(f32, f32) -> f32;

    /// The usual textbook formulas, computed in f32, do not meet the contract.
    #[test]
    fn textbook_formulas_fail() {
        let (predictions, targets) = inputs(Form::Logits);
        let each = |f: Formula| -> Vec<f32> { predictions.iter().zip(&targets).map(|(&x, &z)| f(x, z)).collect() };
        let attempts: [(usize, Formula); 4] = [
            (0, |x, z| x.max(0.0) - x * z + (1.0 + (-x.abs()).exp()).ln()),
            (0, |x, z| x.max(0.0) - x * z + (-x.abs()).exp().ln_1p()),
            (1, |x, z| 1.0 / (1.0 + (-x).exp()) - z),
            (2, |x, _| {
                let s = 1.0 / (1.0 + (-x).exp());
                s * (1.0 - s)
            }),
        ];
        for (output, formula) in attempts {
            let mut got = right(Form::Logits);
            got[output] = each(formula);
            assert!(!broken(Form::Logits, &got).is_empty(), "output {output}");
        }
    }

    #[test]
    fn differing_bits_fail() {
        let right = right(Form::Logits);
        let differs = |got: &Results| {
            let mut report = Report::new(DeviceClass::Cpu);
            report.same_bits(got, &right, "a test");
            report.finish().into_iter().any(|row| row.name == SAME_BITS && !row.holds)
        };
        assert!(!differs(&right));
        for output in 0..3 {
            let mut got = right.clone();
            let last = got[output].len() - 1;
            got[output][last] = -got[output][last];
            assert!(differs(&got), "a sign");
            got[output].pop();
            assert!(differs(&got), "one short");
        }
    }

    #[test]
    fn rows_without_results_do_not_hold() {
        let rows = Report::new(DeviceClass::Cpu).finish();
        assert!(rows.iter().all(|row| !row.holds));
        let device = logloss::Engine::cpu().device();
        assert!(!SelfTest { device: device.clone(), rows }.passed());
        assert!(!SelfTest { device, rows: Vec::new() }.passed());
    }

    #[test]
    fn the_largest_error_is_kept() {
        let mut report = Report::new(DeviceClass::Cpu);
        for error in [1e-9, f64::NAN, 1e-9] {
            report.sum(Input::Logits, Kind::Hard, error, 7);
        }
        report.exact(LIMITS, false, || "here".into());
        report.exact(LIMITS, true, || "there".into());
        report.exact(SAME_BITS, true, || "nowhere".into());
        let rows = report.finish();
        let row = |name: &str| rows.iter().find(|row| row.name == name).expect("there");
        let sum = row("sum, logits, targets 0 or 1");
        assert!(sum.worst.is_infinite() && !sum.holds && sum.count == 3);
        assert_eq!((row(LIMITS).worst, row(LIMITS).at.as_str(), row(LIMITS).holds), (1.0, "here", false));
        assert!(row(SAME_BITS).holds);
    }
}
