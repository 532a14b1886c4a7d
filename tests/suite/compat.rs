//! The values that PyTorch, Keras, TensorFlow, scikit-learn, XGBoost and LightGBM compute (tests/compat), on every
//! backend.

use std::{collections::BTreeMap, fs, path::Path};

use logloss::{
    Batch, Compat, Engine, Evaluation, Focal, Form, Ignore, Objective, Outputs, Reduction, Targets, contract,
};
use serde_json::Value as Json;

use crate::{
    common::{each, results},
    scenes::element,
};

const TABLES: [(&str, Option<Compat>); 7] = [
    ("torch", Some(Compat::Torch)),
    ("keras", Some(Compat::Keras)),
    ("tensorflow", Some(Compat::TensorFlow)),
    ("sklearn", Some(Compat::Sklearn)),
    ("xgboost", Some(Compat::Xgboost)),
    ("lightgbm", Some(Compat::Lightgbm)),
    ("focal", None),
];

/// What is not as the library has it, and why.
const DEPARTURES: &[(&str, &str, &str)] = &[
    ("sklearn", "clip_p0_y1_float64", "the ε is that of f32, which is what is computed in"),
    ("sklearn", "clip_p1_y0_float64", "the ε is that of f32"),
    ("sklearn", "clip_below_eps_y1_float64", "the ε is that of f32"),
    ("sklearn", "clip_above_one_less_eps_y0_float64", "the ε is that of f32"),
    ("sklearn", "empty", "NaN, no error"),
    ("sklearn", "zero_weights", "NaN, no error"),
    ("sklearn", "zero_weights_sum", "0, no error"),
    ("sklearn", "one_label_present", "a loss, no error: a shard may well hold one label"),
    ("sklearn", "soft_label", "a loss, no error"),
];

fn table(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat").join(name).with_extension("json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn number(value: &Json) -> f64 {
    match value.as_str() {
        Some("nan") => f64::NAN,
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        _ => value.as_f64().unwrap_or_else(|| panic!("{value} is no number")),
    }
}

fn numbers(value: &Json) -> Option<Vec<f64>> {
    value.as_array().map(|values| values.iter().map(number).collect())
}

fn floats(value: &Json) -> Vec<f32> {
    numbers(value).unwrap_or_default().into_iter().map(|v| v as f32).collect()
}

/// A case, with the arrays it borrows from.
struct Case<'a> {
    name: &'a str,
    json: &'a Json,
    predictions: Vec<f32>,
    targets: Vec<f32>,
    labels: Vec<u8>,
    weights: Vec<f32>,
    classes: usize,
    form: Form,
}

impl<'a> Case<'a> {
    fn new(json: &'a Json) -> Self {
        let targets = floats(&json["targets"]);
        Self {
            name: json["name"].as_str().expect("a name"),
            json,
            predictions: floats(&json["predictions"]),
            labels: targets.iter().map(|&z| z as u8).collect(),
            targets,
            weights: floats(&json["weights"]),
            classes: json["classes"].as_u64().expect("a number") as usize,
            form: match json["options"]["form"].as_str() {
                Some("logits") => Form::Logits,
                _ => Form::Probabilities,
            },
        }
    }

    fn batch(&self) -> logloss::Result<Batch<'_>> {
        let ignores = !self.json["options"]["ignore_label"].is_null();
        let targets = if ignores { Targets::U8(&self.labels) } else { Targets::F32(&self.targets) };
        let batch = Batch::new(self.form, &self.predictions, targets)?.with_classes(self.classes)?;
        match self.json["weights_shape"].as_str() {
            Some("N") => batch.with_sample_weights(&self.weights),
            Some(_) => batch.with_weights(&self.weights),
            None => Ok(batch),
        }
    }

    fn objective(&self, compat: Option<Compat>) -> logloss::Result<Objective> {
        let options = &self.json["options"];
        let mut objective = Objective::default().with_reduction(match options["reduction"].as_str() {
            Some("none") => Reduction::None,
            Some("sum") => Reduction::Sum,
            Some("mean") => Reduction::Mean,
            Some("weighted-mean") => Reduction::WeightedMean,
            other => panic!("reduction {other:?}"),
        });
        objective = objective.with_label_smoothing(number(&options["label_smoothing"]) as f32)?;
        if options["pos_weight"].is_array() {
            objective = objective.with_pos_weight(floats(&options["pos_weight"]))?;
        }
        if options["class_weights"].is_array() {
            objective = objective.with_class_weights(floats(&options["class_weights"]))?;
        }
        let counts = [0.0, 1.0].map(|label| self.targets.iter().filter(|&&z| z == label).count() as u64);
        match options["label_weights"].as_str() {
            Some("balanced" | "is_unbalance") => objective = objective.with_balanced_labels(counts[0], counts[1])?,
            _ => {}
        }
        // The metric is computed by a booster that has them.
        match self.name {
            "metric_ignores_scale_pos_weight" => objective = objective.with_pos_weight([5.0])?,
            "metric_ignores_is_unbalance" => objective = objective.with_balanced_labels(counts[0], counts[1])?,
            _ => {}
        }
        if !options["focal_gamma"].is_null() || !options["focal_alpha"].is_null() {
            let mut focal = Focal::new(options["focal_gamma"].as_f64().unwrap_or(0.0) as f32)?;
            if let Some(alpha) = options["focal_alpha"].as_f64() {
                focal = focal.with_alpha(alpha as f32)?;
            }
            objective = objective.with_focal(focal);
        }
        if let Some(label) = options["ignore_label"].as_u64() {
            objective = objective.with_ignore(Ignore::Label(label as u8));
        }
        Ok(match compat {
            Some(compat) => objective.with_compat(compat),
            None => objective,
        })
    }

    /// How far a result may be off: what the table says of the library, and our own error, which is relative to the
    /// size of what is added up.
    fn tolerance(&self, file: &Json, output: &str, wanted: f64, size: f64, steep: f64) -> f64 {
        let tolerance = [&self.json["tolerance"], &file["tolerance"]].into_iter().find(|t| t.is_object()).expect("one");
        let tolerance = &tolerance[output];
        let ours = 2e-6 + 4e-7 * steep;
        number(&tolerance["relative"]) * wanted.abs() + number(&tolerance["absolute"]) + ours * size + 1e-37
    }

    /// Compares, and says what differs.
    fn compare(&self, file: &Json, engine: &Engine, compat: Option<Compat>) -> Result<(), String> {
        let expected = &self.json["expected"];
        let outcome = self.batch().and_then(|batch| {
            let objective = self.objective(compat)?;
            Ok((engine.evaluate(&batch, &objective, Outputs::all())?, batch, objective))
        });
        let (found, batch, objective) = match (outcome, expected["value"].as_str()) {
            (Err(_), Some("error")) => return Ok(()),
            (Ok(_), Some("error")) => return Err(format!("no error: {}", self.json["expected"]["message"])),
            (Err(error), _) => return Err(error.to_string()),
            (Ok(found), _) => found,
        };
        self.compare_found(file, &found, &batch, &objective)
    }

    fn compare_found(
        &self,
        file: &Json,
        found: &Evaluation,
        batch: &Batch<'_>,
        objective: &Objective,
    ) -> Result<(), String> {
        let expected = &self.json["expected"];
        // Keras takes the mean of a row first: its losses are one a row, and where they are added up, 1/C of the sum.
        let rows = self.json["loss_shape"].as_str() == Some("N") && self.classes > 1;
        let per_row = if rows { self.classes as f64 } else { 1.0 };
        let adds = matches!(objective.reduction(), Reduction::None | Reduction::Sum);
        let scale = if adds { 1.0 / per_row } else { 1.0 };
        let whole = crate::scenes::whole(batch, objective, 1.0);
        let elements: Vec<_> = (0..batch.len()).map(|i| element(batch, objective, i)).collect();
        let steep = elements.iter().flatten().map(contract::steepness).fold(0.0, f64::max);
        let mut checked = 0;
        if !expected["value"].is_null() {
            let wanted = number(&expected["value"]);
            let got = found.value.scalar().expect("one value") * scale;
            let fits = (got - wanted).abs() <= self.tolerance(file, "value", wanted, wanted.abs(), steep);
            if !(fits || got.is_nan() && wanted.is_nan()) {
                return Err(format!("value {got}, not {wanted}"));
            }
            checked += 1;
        }
        for (o, name) in ["loss", "gradient", "hessian"].into_iter().enumerate() {
            let Some(wanted) = numbers(&expected[name]) else { continue };
            let got = results(found)[o];
            let size = |i: usize| elements[i].as_ref().map_or(0.0, |element| element.sizes()[o]);
            let (got, sizes): (Vec<f64>, Vec<f64>) = if o == 0 && rows {
                let mean = |of: &dyn Fn(usize) -> f64, row: usize| {
                    (0..self.classes).map(|c| of(row * self.classes + c)).sum::<f64>() / per_row
                };
                (0..wanted.len()).map(|row| (mean(&|i| got[i].into(), row), mean(&size, row))).unzip()
            } else {
                let k = if o == 0 { 1.0 } else { whole.coefficient };
                let scale = if o == 0 { 1.0 } else { scale };
                (0..got.len()).map(|i| (f64::from(got[i]) * scale, size(i) * k * scale)).unzip()
            };
            if got.len() != wanted.len() {
                return Err(format!("{} of {name}, not {}", got.len(), wanted.len()));
            }
            for (i, (&got, &wanted)) in got.iter().zip(&wanted).enumerate() {
                let tolerance = self.tolerance(file, name, wanted, sizes[i], steep);
                if !((got - wanted).abs() <= tolerance) {
                    return Err(format!("{name} {i} is {got:e}, not {wanted:e} (± {tolerance:e})"));
                }
            }
            checked += 1;
        }
        if checked == 0 { Err("nothing to compare".into()) } else { Ok(()) }
    }
}

/// What departs from each table on an engine, and how many cases were compared.
fn departures(engine: &Engine) -> (BTreeMap<(String, String), String>, usize) {
    let mut found = BTreeMap::new();
    let mut compared = 0;
    for (name, compat) in TABLES {
        let file = table(name);
        for json in file["cases"].as_array().expect("cases") {
            if json["tails"].as_bool() == Some(true) {
                continue;
            }
            let case = Case::new(json);
            compared += 1;
            if let Err(why) = case.compare(&file, engine, compat) {
                found.insert((name.to_owned(), case.name.to_owned()), why);
            }
        }
    }
    (found, compared)
}

#[test]
fn as_the_libraries_compute() {
    each(|engine| {
        let (mut found, compared) = departures(engine);
        assert!(compared > 150, "{compared} cases");
        let mut gone = Vec::new();
        for (file, case, _) in DEPARTURES {
            if found.remove(&((*file).to_owned(), (*case).to_owned())).is_none() {
                gone.push(format!("{file}: {case}"));
            }
        }
        assert!(found.is_empty(), "{}: of {compared} cases {} depart: {found:#?}", engine.device().name, found.len());
        assert!(gone.is_empty(), "no longer departs: {gone:#?}");
    });
}

/// Every number of the tables that is changed is found.
#[test]
fn the_comparison_can_fail() {
    let engine = Engine::cpu();
    for (name, compat) in TABLES {
        let file = table(name);
        let mut caught = 0;
        for json in file["cases"].as_array().expect("cases") {
            let original = Case::new(json);
            if json["tails"].as_bool() == Some(true) || original.compare(&file, &engine, compat).is_err() {
                continue;
            }
            for key in ["value", "loss", "gradient", "hessian"] {
                let mut changed = json.clone();
                let slot = &mut changed["expected"][key];
                let slot = match slot {
                    Json::Array(values) => match values.iter_mut().find(|v| v.as_f64().is_some_and(|v| v.abs() > 1e-3))
                    {
                        Some(slot) => slot,
                        None => continue,
                    },
                    Json::Number(_) => slot,
                    _ => continue,
                };
                let right = number(slot);
                *slot = Json::from(right * 1.001 + 1e-5);
                let case = Case::new(&changed);
                assert!(case.compare(&file, &engine, compat).is_err(), "{name}: {}: {key}", case.name);
                caught += 1;
            }
        }
        assert!(caught > 10, "{name}: {caught}");
    }
}
