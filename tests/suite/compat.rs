//! Comparison with the values that PyTorch, Keras, TensorFlow, scikit-learn, XGBoost and LightGBM compute
//! (tests/compat), on every backend.

use std::{collections::BTreeMap, fs, path::Path};

use logloss::{
    Array, BLOCK, Batch, Compat, Engine, Error, Evaluation, Floats, Focal, Form, Ignore, NonFinite, Objective, Outputs,
    Reduction, Targets, Totals, Unsupported,
};
use logloss_verify::contract;
use serde_json::Value as Json;

use crate::{
    common::{FORMS, Random, all, assert_same, batch, each, engines, pack, results, seed},
    options::{judge, resident},
    resident::every_output,
    scenes::{Labels, REDUCTIONS, Recipe, Weighing, element, pick},
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

/// The cases that differ from the library, with the reason.
const DEPARTURES: &[(&str, &str, &str)] = &[];

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

/// A case of a table, with the arrays that its batch borrows.
struct Case<'a> {
    name: &'a str,
    json: &'a Json,
    predictions: Vec<f64>,
    /// The predictions in f32, if the library computes in f32, or all of them are f32.
    narrow: Option<Vec<f32>>,
    targets: Vec<f32>,
    labels: Vec<u8>,
    weights: Vec<f32>,
    /// A mask of the weights that are not 0, if only those elements are counted.
    mask: Option<Vec<u8>>,
    classes: usize,
    form: Form,
}

impl<'a> Case<'a> {
    fn new(json: &'a Json) -> Self {
        let targets = floats(&json["targets"]);
        let weights = floats(&json["weights"]);
        let classes = json["classes"].as_u64().expect("a number") as usize;
        let predictions = numbers(&json["predictions"]).unwrap_or_default();
        let form = match json["options"]["form"].as_str() {
            Some("logits") => Form::Logits,
            _ => Form::Probabilities,
        };
        let nonzero = || {
            let each = if json["weights_shape"].as_str() == Some("N") { classes } else { 1 };
            pack(&(0..targets.len()).map(|i| u8::from(weights[i / each] != 0.0)).collect::<Vec<_>>())
        };
        Self {
            mask: (json["options"]["reduction"].as_str() == Some("sum-by-nonzero-weights")).then(nonzero),
            name: json["name"].as_str().expect("a name"),
            json,
            narrow: {
                let narrow = floats(&json["predictions"]);
                let exact =
                    narrow.iter().zip(&predictions).all(|(&x, &y)| f64::from(x).to_bits() == y.to_bits() || y.is_nan());
                let single = json["dtype"].as_str() != Some("float64") || form == Form::Logits;
                (exact && single).then_some(narrow)
            },
            predictions,
            labels: targets.iter().map(|&z| z as u8).collect(),
            targets,
            weights,
            classes,
            form,
        }
    }

    fn batch(&self) -> logloss::Result<Batch<'_>> {
        let ignores = !self.json["options"]["ignore_label"].is_null();
        let targets = if ignores { Targets::U8(&self.labels) } else { Targets::F32(&self.targets) };
        let predictions = self.narrow.as_deref().map_or(Floats::F64(&self.predictions), Floats::F32);
        let batch = Batch::new(self.form, predictions, targets)?.with_classes(self.classes)?;
        let batch = match self.json["weights_shape"].as_str() {
            Some("N") => batch.with_sample_weights(&self.weights)?,
            Some(_) => batch.with_weights(&self.weights)?,
            None => batch,
        };
        match &self.mask {
            Some(mask) => batch.with_mask(mask),
            None => Ok(batch),
        }
    }

    fn objective(&self, compat: Option<Compat>) -> logloss::Result<Objective> {
        let options = &self.json["options"];
        let mut objective = Objective::default().with_reduction(match options["reduction"].as_str() {
            Some("none") => Reduction::None,
            Some("sum") => Reduction::Sum,
            Some("mean" | "sum-by-nonzero-weights") => Reduction::Mean,
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
        if options["label_weights"].is_string() {
            objective = objective.with_balanced_labels(counts[0], counts[1])?;
        }
        // The metric is computed by a booster that has these weights.
        match self.name {
            "metric_ignores_scale_pos_weight" => objective = objective.with_pos_weight([5.0])?,
            "metric_ignores_is_unbalance" => objective = objective.with_balanced_labels(counts[0], counts[1])?,
            // In this case `log_loss` gets the argument `labels=[0, 1]`.
            "one_label_present_but_both_named" => objective = objective.with_non_finite(NonFinite::Propagate),
            _ => {}
        }
        if !options["focal_gamma"].is_null() || !options["focal_alpha"].is_null() {
            let mut focal = Focal::new(options["focal_gamma"].as_f64().unwrap_or(0.0) as f32)?;
            if let Some(alpha) = options["focal_alpha"].as_f64() {
                focal = focal.with_alpha(alpha as f32)?;
            }
            objective = objective.with_focal(focal);
        }
        if let Some(label) = options["ignore_label"].as_i64() {
            objective = objective.with_ignore(Ignore::Label(label));
        }
        Ok(match compat {
            Some(compat) => objective.with_compat(compat),
            None => objective,
        })
    }

    /// The allowed difference of a result: the error of the library, from the table, plus our own error, which is
    /// relative to the sum of the magnitudes of the addends.
    fn tolerance(&self, file: &Json, output: &str, wanted: f64, size: f64, steep: f64) -> f64 {
        let tolerance = [&self.json["tolerance"], &file["tolerance"]].into_iter().find(|t| t.is_object()).expect("one");
        let tolerance = &tolerance[output];
        let ours = 2e-6 + 4e-7 * steep;
        number(&tolerance["relative"]) * wanted.abs() + number(&tolerance["absolute"]) + ours * size + 1e-37
    }

    /// Compares the results of an engine with the case. The error is a description of the difference.
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
        // Keras takes the mean of each row first: it has one loss per row, and its sums are 1/C of the sum.
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

/// The cases of all tables that differ on an engine, and the number of cases compared.
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

/// All losses of TensorFlow 1 can be expressed: they are those of Keras for logits, with a mean of 0 for an empty
/// batch. `SUM_BY_NONZERO_WEIGHTS` is a mean with a mask of the weights that are not 0.
#[test]
fn as_tensorflow_1_computes() {
    let file = table("tensorflow");
    let cases = file["extra_cases"].as_array().expect("cases");
    assert!(cases.len() >= 12);
    each(|engine| {
        for json in cases {
            let case = Case::new(json);
            if let Err(why) = case.compare(&file, engine, Some(Compat::Keras)) {
                panic!("{}: {}: {why}", engine.device().name, case.name);
            }
        }
    });
}

const SYSTEMS: [Compat; 6] =
    [Compat::Torch, Compat::Keras, Compat::TensorFlow, Compat::Sklearn, Compat::Xgboost, Compat::Lightgbm];

/// The conventions of every system with random reductions, on predictions of all magnitudes. `LOGLOSS_SEED` repeats a
/// run.
#[test]
fn far_out_by_convention() {
    let mut random = Random(seed());
    for compat in SYSTEMS {
        for form in FORMS {
            for reduction in REDUCTIONS {
                let mut recipe = Recipe::plain(form);
                (recipe.compat, recipe.reduction, recipe.weighing) = (Some(compat), reduction, Weighing::Elements);
                recipe.labels = pick(&mut random, &[Labels::Soft, Labels::Hard]);
                recipe.smoothing = pick(&mut random, &[0.0, 0.1, 1e-3]);
                recipe.pos_weight = pick(&mut random, &[0, 1, 2]);
                // LightGBM does not support both.
                recipe.label_weights = (compat != Compat::Lightgbm || recipe.pos_weight == 0) && random.below(2) == 0;
                recipe.class_weights = random.below(2) == 0;
                let mut scene = recipe.scene(&mut random, 700, 3);
                scene.objective = scene.objective.with_non_finite(NonFinite::Propagate);
                // Weights are so small that products and sums of 64 losses stay within f32. Only some scenes have
                // infinite losses, because the sum of an infinite loss tests nothing else.
                scene.weights.iter_mut().for_each(|w| *w *= 0.5f32.powi(12));
                let infinite = random.below(4) == 0;
                for x in &mut scene.predictions {
                    *x = far_out(&mut random, form);
                    if x.is_infinite() && !infinite {
                        *x = x.signum() * 8e37;
                    }
                }
                if compat == Compat::Lightgbm {
                    for z in &mut scene.soft {
                        let any = [-1.0, 2.0, 7.5, -1e38, f32::INFINITY, f32::NEG_INFINITY, 1e-20, -0.0];
                        *z = if random.below(3) == 0 { pick(&mut random, &any) } else { *z };
                    }
                }
                each(|engine| {
                    judge(engine, &scene, 1.0, &format!("{recipe:?}"));
                });
            }
        }
    }
}

/// A prediction from the middle to the ends of the range, including the ends.
fn far_out(random: &mut Random, form: Form) -> f32 {
    let ends: &[f32] = match form {
        Form::Logits => &[0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -1e-40, 8e37, -8e37],
        _ => &[0.0, -0.0, 1.0, 1.0 - 0.5 * f32::EPSILON, f32::EPSILON, f32::MIN_POSITIVE, 1e-45, 1e-40],
    };
    match (random.below(4), form) {
        (0, _) => pick(random, ends),
        (1, _) => random.prediction(form),
        (2, Form::Logits) => (200.0 * random.uniform() - 100.0) as f32,
        (_, Form::Logits) => (10f64.powf(83.0 * random.uniform() - 45.0) * (random.uniform() - 0.5)) as f32,
        (2, _) => 0.5f32.powf(149.0 * random.uniform() as f32),
        (_, _) => 1.0 - 0.5f32.powf(24.0 * random.uniform() as f32),
    }
}

/// LightGBM's labels are the signs of targets of any type; the ignored target is compared with the target itself.
#[test]
fn labels_of_any_number() {
    let mut random = Random(401);
    let len = BLOCK + 77;
    let x = random.predictions(Form::Logits, len);
    let z: Vec<f32> = (0..len)
        .map(|_| {
            pick(
                &mut random,
                &[-1.0, 0.0, 1.0, 2.0, 0.25, 255.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -1e-45],
            )
        })
        .collect();
    let bytes: Vec<u8> = (0..len).map(|_| pick(&mut random, &[0, 0, 0, 1, 2, 7, 255])).collect();
    let signs: Vec<f32> = z.iter().map(|&z| f32::from(u8::from(z > 0.0))).collect();
    let ones: Vec<u8> = bytes.iter().map(|&z| u8::from(z > 0)).collect();
    let keep = |ignored: &dyn Fn(usize) -> bool| pack(&(0..len).map(|i| u8::from(!ignored(i))).collect::<Vec<_>>());
    let (floats_kept, bytes_kept) = (keep(&|i| z[i] == 255.0), keep(&|i| bytes[i] == 255));
    let plain = Objective::mean().with_compat(Compat::Lightgbm).with_balanced_labels(1000, 10).expect("both");
    let ignoring = plain.clone().with_ignore(Ignore::Label(255));
    each(|engine| {
        let same = |signed: &Batch<'_>, hard: &Batch<'_>, objective: &Objective| {
            let wanted = all(engine, hard, &plain);
            assert_same(&all(engine, signed, objective), &wanted, "signs");
            let [got, wanted] = [(signed, objective), (hard, &plain)].map(|(batch, o)| engine.totals(batch, o));
            assert_eq!(got.expect("it fits"), wanted.expect("it fits"));
            if engine.wgpu().is_some() {
                let [got, wanted] = [(signed, objective), (hard, &plain)].map(|(batch, o)| resident(engine, batch, o));
                assert_same(&got, &wanted, "signs on the device");
            }
        };
        same(&batch(Form::Logits, &x, &z), &batch(Form::Logits, &x, &signs), &plain);
        same(&batch(Form::Logits, &x, &bytes), &batch(Form::Logits, &x, &ones), &plain);
        let masked = batch(Form::Logits, &x, &signs).with_mask(&floats_kept).expect("as many");
        same(&batch(Form::Logits, &x, &z), &masked, &ignoring);
        let masked = batch(Form::Logits, &x, &ones).with_mask(&bytes_kept).expect("as many");
        same(&batch(Form::Logits, &x, &bytes), &masked, &ignoring);

        // Only NaN is not a label.
        let mut with_nan = z.clone();
        with_nan[BLOCK + 3] = f32::NAN;
        let with_nan = batch(Form::Logits, &x, &with_nan);
        let named = |error: Error| {
            assert!(error.to_string().ends_with("is NaN: targets must not be NaN"), "{error}");
            assert!(
                matches!(error, Error::InvalidValue { array: Array::Targets, index, .. } if index == BLOCK as u64 + 3)
            );
        };
        named(engine.evaluate(&with_nan, &plain, Outputs::none()).expect_err("NaN"));
        if engine.wgpu().is_some() {
            let there = engine.upload(&with_nan).expect("it fits");
            let prepared = engine.prepare(&there, &plain, every_output()).expect("valid");
            named(prepared.evaluate().expect_err("NaN"));
        }
        let propagated = all(engine, &with_nan, &plain.clone().with_non_finite(NonFinite::Propagate));
        assert!(results(&propagated).iter().all(|output| output[BLOCK + 3].is_nan() && !output[BLOCK + 2].is_nan()));
        assert!(propagated.mean.is_nan() && propagated.count == len as u64);
        // Other systems do not accept these labels.
        let other = Objective::mean().with_compat(Compat::Xgboost);
        assert!(engine.evaluate(&batch(Form::Logits, &x, &z), &other, Outputs::none()).is_err());
    });
}

#[test]
fn balanced_labels() {
    let weights = |negatives, positives, compat: Option<Compat>| {
        let objective = Objective::mean().with_balanced_labels(negatives, positives).expect("both are there");
        match compat {
            Some(compat) => objective.with_compat(compat).label_weights(),
            None => objective.label_weights(),
        }
    };
    assert_eq!(weights(6, 2, None), Some([8.0 / 12.0, 8.0 / 4.0]));
    assert_eq!(weights(6, 2, Some(Compat::Sklearn)), Some([8.0 / 12.0, 8.0 / 4.0]));
    assert_eq!(weights(6, 2, Some(Compat::Lightgbm)), Some([1.0, 3.0]));
    assert_eq!(weights(2, 5, Some(Compat::Lightgbm)), Some([2.5, 1.0]));
    let both = Objective::mean().with_balanced_labels(6, 2).and_then(|objective| objective.with_pos_weight([2.0]));
    let both = both.expect("valid").with_compat(Compat::Lightgbm);
    let batch = batch(Form::Logits, &[0.5f32, 1.0], &[0u8, 1]);
    each(|engine| {
        let assert_unsupported =
            |error: Error| assert!(matches!(error, Error::Unsupported(Unsupported::BalancedTwice)), "{error}");
        assert_unsupported(engine.evaluate(&batch, &both, Outputs::none()).expect_err("both"));
        assert_unsupported(engine.totals(&batch, &both).expect_err("both"));
        if engine.wgpu().is_some() {
            let there = engine.upload(&batch).expect("it fits");
            assert_unsupported(engine.prepare(&there, &both, every_output()).expect_err("both"));
        }
    });
}

/// The evaluations that scikit-learn does not support, of a batch and in parts, and similar ones that it supports.
#[test]
fn unsupported_by_scikit_learn() {
    let len = 3 * BLOCK;
    let (x, mut z) = (vec![0.25f32; len], vec![1.0f32; len]);
    let unsupported = |engine: &Engine, batch: &Batch<'_>, objective: &Objective| {
        let whole = engine.evaluate(batch, objective, Outputs::all());
        let propagated = objective.clone().with_non_finite(NonFinite::Propagate);
        engine.evaluate(batch, &propagated, Outputs::all()).expect("propagated");
        if engine.wgpu().is_some() && !batch.is_empty() {
            let there = engine.upload(batch).expect("it fits");
            let prepared = engine.prepare(&there, objective, every_output()).expect("valid");
            prepared.evaluate().expect("nobody looks at targets on the device");
        }
        match whole {
            Ok(_) => None,
            Err(Error::Unsupported(unsupported)) => Some(unsupported),
            Err(error) => panic!("{error}"),
        }
    };
    let sklearn = |reduction| Objective::default().with_reduction(reduction).with_compat(Compat::Sklearn);
    let last = len - 1;
    each(|engine| {
        for form in FORMS {
            for reduction in REDUCTIONS {
                let objective = sklearn(reduction);
                let of = |batch: Batch<'_>, objective: &Objective| unsupported(engine, &batch, objective);
                let nothing: [f32; 0] = [];
                assert_eq!(of(batch(form, &nothing, &nothing), &objective), Some(Unsupported::NoSamples));
                let one = Some(Unsupported::OneLabel { label: 1 });
                assert_eq!(of(batch(form, &x, &z), &objective), one);
                let bytes = vec![0u8; len];
                assert_eq!(of(batch(form, &x, &bytes), &objective), Some(Unsupported::OneLabel { label: 0 }));
                z[last] = 0.0;
                assert_eq!(of(batch(form, &x, &z), &objective), None);
                let zeros = vec![0.0f32; len];
                let weightless = batch(form, &x, &z).with_weights(&zeros).expect("as many");
                assert_eq!(of(weightless, &objective), Some(Unsupported::ZeroWeights));
                let only = |bit: usize| {
                    let mut mask = vec![0; len / 8];
                    mask[bit / 8] = 1 << (bit % 8);
                    mask
                };
                let mask = only(last);
                let masked = batch(form, &x, &z).with_mask(&mask).expect("as many");
                assert_eq!(of(masked, &objective), Some(Unsupported::OneLabel { label: 0 }));
                let ignoring = objective.clone().with_ignore(Ignore::Label(0));
                assert_eq!(of(batch(form, &x, &z), &ignoring), one);
                z[last - 1] = 0.5;
                let soft = Unsupported::SoftLabel { index: last as u64 - 1, value: 0.5 };
                let wanted = (form == Form::Probabilities).then_some(soft);
                assert_eq!(of(batch(form, &x, &z), &objective), wanted);
                let mask = only(last);
                let masked = batch(form, &x, &z).with_mask(&mask).expect("as many");
                assert_eq!(of(masked, &objective), Some(Unsupported::OneLabel { label: 0 }));
                (z[last - 1], z[last]) = (1.0, 1.0);
            }
            // The parts of a batch may each have only one label.
            let parts = [vec![1u8; BLOCK], vec![0u8; BLOCK]];
            let in_parts = |parts: &[Vec<u8>]| {
                let mut accumulator = engine.accumulator(&sklearn(Reduction::Sum), None);
                for part in parts {
                    accumulator.push(&batch(form, &x[..BLOCK], part), Outputs::none()).expect("valid");
                }
                accumulator.finish()
            };
            assert!(in_parts(&parts).is_ok());
            assert!(matches!(in_parts(&parts[..1]), Err(Error::Unsupported(Unsupported::OneLabel { label: 1 }))));
            assert!(matches!(in_parts(&[]), Err(Error::Unsupported(Unsupported::NoSamples))));
        }
    });
}

/// The totals of parts merge to the bits of the whole in any order.
#[test]
fn totals_of_parts() {
    let mut random = Random(402);
    let len = 40 * BLOCK + 5;
    let (x, labels) = (random.predictions(Form::Logits, len), random.labels(len));
    let weights: Vec<f32> = (0..len).map(|_| 10f64.powf(40.0 * random.uniform() - 20.0) as f32).collect();
    let objective = Objective::default().with_reduction(Reduction::WeightedMean);
    assert!(
        objective.needs_totals(false) && !Objective::mean().needs_totals(false) && Objective::mean().needs_totals(true)
    );
    let part = |range: std::ops::Range<usize>| {
        let batch = batch(Form::Logits, &x[range.clone()], &labels[range.clone()]);
        batch.with_weights(&weights[range]).expect("as many")
    };
    for engine in engines() {
        let totals = |range| engine.totals(&part(range), &objective).expect("it fits");
        let whole = totals(0..len);
        let mut merged = Totals::default();
        for (from, to) in [(7, 31), (31, 41), (0, 1), (1, 7)] {
            merged.merge(&totals(from * BLOCK..(to * BLOCK).min(len))).expect("whole blocks");
        }
        assert_eq!(merged, whole);
        assert!(whole.weight.terms().len() > 1, "not just one f64");
    }
}

/// A change of any number of the tables is detected.
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

/// Without a reduction, the value of a booster's conventions is its metric's mean, while gradient and hessian are those of
/// its objective: of each element, divided by nothing. They need no totals, so an accumulator needs no length.
#[test]
fn boosters_have_the_derivatives_of_the_sum() {
    let mut random = Random(seed());
    let len = 2 * BLOCK + 77;
    let (x, z) = (random.predictions(Form::Logits, len), random.labels(len));
    let weights: Vec<f32> = (0..len).map(|_| random.uniform() as f32).collect();
    let batch = batch(Form::Logits, &x, &z).with_weights(&weights).expect("as many");
    for compat in [Compat::Xgboost, Compat::Lightgbm] {
        let unset = Objective::default().with_compat(compat);
        let mean = Objective::mean().with_reduction(Reduction::Mean).with_compat(compat);
        let sum = Objective::sum().with_compat(compat);
        assert_eq!(Objective::mean().with_compat(compat), unset);
        assert!(unset.has_derivatives_of_sum() && !mean.has_derivatives_of_sum() && !sum.has_derivatives_of_sum());
        assert!(!unset.needs_totals(true) && mean.needs_totals(false));
        assert_eq!(unset.reduction(), Reduction::WeightedMean);
        each(|engine| {
            let got = all(engine, &batch, &unset);
            let [of_mean, of_sum] = [&mean, &sum].map(|objective| all(engine, &batch, objective));
            assert_eq!((&got.value, got.mean), (&of_mean.value, of_mean.mean));
            assert_eq!((&got.gradient, &got.hessian), (&of_sum.gradient, &of_sum.hessian));
            assert_ne!(got.gradient, of_mean.gradient);
            let mut gradient = vec![f32::NAN; len];
            let mut accumulator = engine.accumulator(&unset, None);
            accumulator.push(&batch, Outputs::none().with_gradient(&mut gradient)).expect("no totals are needed");
            assert_eq!(accumulator.finish().expect("all of it").value, got.value);
            assert_eq!(Some(gradient), got.gradient);
            if engine.wgpu().is_some() {
                assert_same(&resident(engine, &batch, &unset), &got, "resident");
            }
        });
    }
    assert!(!Objective::default().has_derivatives_of_sum());
}
