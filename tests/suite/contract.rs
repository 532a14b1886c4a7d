//! The accuracy contract.

use std::{fs, path::Path};

use logloss::{Engine, Form, Objective, Outputs};
use logloss_verify::{
    contract::{self, Kind},
    oracle::Element,
};

use crate::common::{FORMS, Random, all, batch, each, judge, judge_sum, none, results, true_sum};

fn read(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_text(path: &str) -> String {
    String::from_utf8(read(path)).expect("UTF-8")
}

/// The values of a one-dimensional .npy file, each `N` bytes.
fn read_npy<const N: usize>(path: &str, descr: &str) -> Vec<[u8; N]> {
    let bytes = read(path);
    let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    assert!(String::from_utf8_lossy(&bytes[10..10 + header]).contains(descr));
    bytes[10 + header..].chunks_exact(N).map(|value| value.try_into().expect("N bytes")).collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "what a run has measured")]
fn selftest() {
    each(|engine| {
        let report = logloss_verify::selftest(engine).expect("the device works");
        assert_eq!(report.device, engine.device());
        for row in &report.rows {
            eprintln!(
                "measured: {}: {}: {:.3e} of {} {}, {}",
                report.device.name, row.name, row.worst, row.ceiling, row.unit, row.at
            );
        }
        let broken: Vec<_> = report.rows.iter().filter(|row| !row.holds).collect();
        assert!(report.passed() && broken.is_empty(), "{broken:#?}");
    });
}

/// New random values in every run. `LOGLOSS_SEED` repeats a run.
#[test]
#[expect(clippy::print_stderr, reason = "shown when the test fails")]
fn fresh_random_values() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = std::env::var("LOGLOSS_SEED").map_or(now, |seed| seed.parse().expect("LOGLOSS_SEED is a number"));
    eprintln!("LOGLOSS_SEED={seed}");
    let mut random = Random(seed);
    for form in FORMS {
        let predictions: Vec<f32> = (0..150_000)
            .map(|i| match (form, i % 3) {
                (_, 0) => random.prediction(form),
                (Form::Logits, 1) => (220.0 * random.uniform() - 110.0) as f32,
                (_, 1) => random.uniform() as f32,
                (Form::Logits, _) => loop {
                    let value = f32::from_bits(random.next() as u32);
                    if !value.is_nan() {
                        break value;
                    }
                },
                (_, _) => f32::from_bits(random.below(0x3f80_0001) as u32),
            })
            .collect();
        let hard: Vec<f32> = random.labels(predictions.len()).into_iter().map(f32::from).collect();
        let soft: Vec<f32> = (0..predictions.len())
            .map(|i| match i % 4 {
                0 | 1 => random.uniform() as f32,
                2 => f32::from_bits(random.below(0x3f80_0000) as u32),
                _ => 1.0 - 0.5f32.powi(1 + random.below(24) as i32),
            })
            .collect();
        for targets in [&hard, &soft] {
            let batch = batch(form, &predictions, targets);
            each(|engine| judge(engine, &batch, results(&all(engine, &batch, &none()))));
        }
    }
}

/// Reference values from 60-digit arithmetic, compared directly with the results of the engines.
#[test]
fn golden_points() {
    let text = read_text("data/golden.csv");
    let lines: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 2594);
    let bits = |field: &str| f32::from_bits(u32::from_str_radix(field, 16).expect("hexadecimal"));
    let xs: Vec<f32> = lines.iter().map(|line| bits(line[0])).collect();
    let zs: Vec<f32> = lines.iter().map(|line| bits(line[1])).collect();
    each(|engine| {
        let class = contract::DeviceClass::of(&engine.device());
        let evaluation = all(engine, &batch(Form::Logits, &xs, &zs), &none());
        let outputs = [contract::Output::Loss, contract::Output::Gradient, contract::Output::Hessian];
        for ((got, output), column) in results(&evaluation).into_iter().zip(outputs).zip(2..) {
            for (i, line) in lines.iter().enumerate() {
                let truth: f64 = line[column].parse().expect("a number");
                let kind = Kind::of(zs[i].into());
                let row = contract::find(class, Form::Logits, kind, output).expect("a row");
                let unit = match row.unit {
                    contract::Unit::Ulp => contract::ulp(truth),
                    _ => {
                        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
                        let (x, z) = (f64::from(xs[i]), f64::from(zs[i]));
                        2f64.powi(-24) * ((1.0 - z) * sigmoid(x) + z * sigmoid(-x))
                    }
                };
                let flushed = truth.abs() < f64::from(f32::MIN_POSITIVE) && got[i] == 0.0;
                assert!(
                    flushed || (f64::from(got[i]) - truth).abs() <= row.ceiling * unit,
                    "{}: {output} of x = {}, z = {} is {:e}, not {truth:e}",
                    engine.device().name,
                    xs[i],
                    zs[i],
                    got[i]
                );
            }
        }
    });
}

/// The mean of the bundled data set of flights.
#[test]
fn flights() {
    let logits: Vec<f32> = read_npy("data/flights_logits.npy", "<f4").into_iter().map(f32::from_le_bytes).collect();
    let delayed: Vec<u8> = read_npy("data/flights_delayed.npy", "|u1").into_iter().map(|[z]| z).collect();
    assert_eq!(logits.len(), 327_346);
    let batch = batch(Form::Logits, &logits, &delayed);
    each(|engine| {
        let evaluation = engine.evaluate(&batch, &Objective::mean(), Outputs::none()).expect("valid");
        assert_eq!(evaluation.count, 327_346);
        let error = (evaluation.mean / 0.490_231_466_860_880_6 - 1.0).abs();
        assert!(error <= 1e-7, "{}: {} is off by {error:e}", engine.device().name, evaluation.mean);
        assert_eq!(evaluation.value.scalar(), Some(evaluation.mean));
    });
}

#[test]
fn sums_of_random_values() {
    let mut random = Random(3);
    for form in FORMS {
        for len in [1000, 2048, 5000, 100_000] {
            let predictions = random.predictions(form, len);
            let (hard, soft) = (random.labels(len), random.soft(len));
            for batch in [batch(form, &predictions, &hard), batch(form, &predictions, &soft)] {
                each(|engine| {
                    let evaluation = engine.evaluate(&batch, &Objective::sum(), Outputs::none()).expect("valid");
                    judge_sum(engine, &batch, evaluation.sum);
                });
            }
        }
    }
}

/// Equal errors do not average out.
#[test]
fn sums_of_few_and_of_equal_values() {
    let mut random = Random(5);
    for form in FORMS {
        for len in [1, 2, 3, 10, 63, 2048, 2049, 10_000] {
            for label in [0.0f32, 1.0, 0.3] {
                let predictions = vec![random.prediction(form); len];
                let targets = vec![label; len];
                let batch = batch(form, &predictions, &targets);
                let truth = true_sum(&batch);
                each(|engine| {
                    let sum = engine.evaluate(&batch, &Objective::sum(), Outputs::none()).expect("valid").sum;
                    let class = contract::DeviceClass::of(&engine.device());
                    let kind = Kind::of(label.into());
                    let row = contract::find(class, form, kind, contract::Output::Loss).expect("a row");
                    let error = contract::relative(sum, truth, len as u64);
                    let allowed = row.ceiling * 2f64.powi(-23) + contract::SUM_OF_EQUALS;
                    assert!(error <= allowed, "{len} times {}: {error:e}", predictions[0]);
                });
            }
        }
    }
}

/// A single f32 accumulator would lose small values.
#[test]
fn sums_of_values_of_very_different_size() {
    let mut random = Random(4);
    for small in [1e-3f32, 1e-7, 1e-20] {
        let len = 200_000;
        let predictions: Vec<f32> = (0..len)
            .map(|i| if i == 0 { 16_777_216.0 } else { (f64::from(small) * (1.0 + random.uniform())).ln() as f32 })
            .collect();
        let targets = vec![0u8; len];
        let batch = batch(Form::Logits, &predictions, &targets);
        each(|engine| {
            let evaluation = engine.evaluate(&batch, &Objective::sum(), Outputs::none()).expect("valid");
            judge_sum(engine, &batch, evaluation.sum);
        });
    }
}

/// Losses within the range of f32 whose sum exceeds it.
#[test]
fn sums_past_the_largest_f32() {
    let predictions = vec![3e36f32; 5000];
    let batch = batch(Form::Logits, &predictions, &[0u8; 5000]);
    each(|engine| {
        let evaluation = engine.evaluate(&batch, &Objective::mean(), Outputs::none()).expect("valid");
        judge_sum(engine, &batch, evaluation.sum);
    });
}

/// In the tails, where a direct computation in f32 loses all digits, the results are accurate.
#[test]
fn tails_are_not_rounded_away() {
    let at = |engine: &Engine, x: f32, z: u8| {
        let evaluation = all(engine, &batch(Form::Logits, &[x], &[z]), &none());
        results(&evaluation).map(|output| output[0])
    };
    each(|engine| {
        for x in [17.0f32, 20.0, 40.0, 80.0] {
            for (x, z) in [(x, 1), (-x, 0)] {
                let truth = Element::new(Form::Logits, x.into(), z.into()).truth();
                let got = at(engine, x, z);
                for (got, truth) in got.into_iter().zip([truth.loss(), truth.gradient(), truth.hessian()]) {
                    assert!((f64::from(got) / truth - 1.0).abs() <= 1e-6, "{x} {z}: {got:e} for {truth:e}");
                }
            }
        }
        assert_eq!(at(engine, 0.0, 0)[1].abs(), 0.5);
        assert_eq!(at(engine, -0.0, 1)[1].abs(), 0.5);
    });
}

/// The text between the markers of a document.
fn between<'a>(text: &'a str, path: &str) -> &'a str {
    let inside = text.split_once("<!-- contract -->").and_then(|(_, rest)| rest.split_once("<!-- /contract -->"));
    inside.unwrap_or_else(|| panic!("{path} has no `<!-- contract -->` … `<!-- /contract -->`")).0
}

/// The tables in the documents are the one that the tests read.
#[test]
fn documents_show_the_table() {
    for (path, prefix) in [("docs/accuracy.md", ""), ("crates/verify/src/contract.rs", "//! ")] {
        let text = read_text(path);
        let shown: String = between(&text, path)
            .lines()
            .map(|line| line.strip_prefix(prefix).unwrap_or(line))
            .filter(|line| line.starts_with('|'))
            .map(|line| format!("{line}\n"))
            .collect();
        let table = contract::markdown();
        let lines: String = table.lines().map(|line| format!("{prefix}{line}\n")).collect();
        assert!(shown == table, "between its markers {path} must have\n\n{lines}");
    }
}
