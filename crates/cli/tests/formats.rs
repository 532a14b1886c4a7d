//! The same values give the same bits, whatever file they come from.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod util;

use std::collections::HashMap;

use logloss::half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use util::{FLIGHTS_MEAN, Folder, LOGLOSS, data, le, npy_header, read_npy};

/// The mean, to the bit.
fn mean(json: &Value) -> u64 {
    json["mean"].as_f64().unwrap().to_bits()
}

fn flights(folder: &Folder) -> Value {
    folder.eval(&format!("{} {}", data("flights_logits.npy"), data("flights_delayed.npy")))
}

#[test]
fn known_answer() {
    let json = flights(&Folder::new());
    let mean = json["mean"].as_f64().unwrap();
    assert!((mean / FLIGHTS_MEAN - 1.0).abs() <= 1e-7, "{mean}");
    assert_eq!(json["value"], json["mean"]);
    assert_eq!(json["count"], 327_346);
    assert_eq!(json["shape"], json!([327_346]));
    assert_eq!(json["bytes"], 327_346 * 5);
    assert_eq!(json["backend"], "cpu");
    assert_eq!(json["base_rate"], 77_630.0 / 327_346.0);
    assert_eq!(json["notes"], json!([]));
}

#[test]
fn flights_in_every_format() {
    let folder = Folder::new();
    let expected = mean(&flights(&folder));
    let parquet = folder.eval(&format!("{} --pred logit --target delayed", data("flights.parquet")));
    assert_eq!(mean(&parquet), expected);

    let (_, logits) = read_npy(data("flights_logits.npy").as_ref());
    let logits = le(&logits, f32::to_le_bytes);
    let labels = &std::fs::read(data("flights_delayed.npy")).unwrap()[128..];
    let tensors = [
        ("logit", TensorView::new(Dtype::F32, vec![327_346], &logits).unwrap()),
        ("delayed", TensorView::new(Dtype::BOOL, vec![327_346], labels).unwrap()),
    ];
    safetensors::serialize_to_file(tensors, None, &folder.path("f.safetensors")).unwrap();
    assert_eq!(mean(&folder.eval("f.safetensors --pred logit --target delayed")), expected);
}

/// As pandas names columns that were given no name.
#[test]
fn columns_called_by_numbers() {
    let folder = Folder::new();
    folder.file("a.csv", "0,1\n1.5,1\n-2,0\n").file("b.csv", "x,y\n1.5,1\n-2,0\n");
    let [numbers, words] = ["a.csv --pred 0 --target 1", "b.csv --pred x --target y"].map(|args| folder.eval(args));
    assert_eq!((&numbers["count"], mean(&numbers)), (&json!(2), mean(&words)));
}

#[test]
fn unaligned_tensors() {
    let folder = Folder::new();
    let logits = le(&[1.5f32, -2.0, 0.25], f32::to_le_bytes);
    let header = json!({
        "y": { "dtype": "U8", "shape": [3], "data_offsets": [0, 3] },
        "x": { "dtype": "F32", "shape": [3], "data_offsets": [3, 15] },
    })
    .to_string();
    for pad in 0..4 {
        let header = format!("{header}{}", " ".repeat(pad));
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[1, 0, 1], &logits].concat();
        folder.file("t.safetensors", bytes).pair(&[1.5, -2.0, 0.25], &[1, 0, 1]);
        let (a, b) = (folder.eval("t.safetensors --pred x --target y"), folder.eval("logits.npy labels.npy"));
        assert_eq!(mean(&a), mean(&b), "{pad}");
    }
}

#[test]
fn head_of_the_flights() {
    let folder = Folder::new();
    let csv = folder.eval(&format!("{} --pred logit --target delayed", data("flights_head.csv")));
    let (_, logits) = read_npy(data("flights_logits.npy").as_ref());
    let labels = &std::fs::read(data("flights_delayed.npy")).unwrap()[128..];
    folder.pair(&logits[..20_000], &labels[..20_000]);
    assert_eq!(mean(&csv), mean(&folder.eval("logits.npy labels.npy")));
    assert_eq!(csv["count"], 20_000);
}

/// Values that every type of prediction holds exactly.
const LOGITS: [f32; 6] = [-3.5, 0.0, 0.25, 2.0, -0.5, 7.0];
const LABELS: [u8; 6] = [0, 1, 1, 1, 0, 0];

#[test]
fn every_type_and_byte_order() {
    let folder = Folder::new();
    let expected = mean(&folder.pair(&LOGITS, &LABELS).eval("logits.npy labels.npy"));
    let predictions: [(&str, Vec<u8>); 6] = [
        ("<f2", le(&LOGITS, |x| f16::from_f32(x).to_le_bytes())),
        (">f2", le(&LOGITS, |x| f16::from_f32(x).to_be_bytes())),
        ("<f4", le(&LOGITS, f32::to_le_bytes)),
        (">f4", le(&LOGITS, f32::to_be_bytes)),
        ("<f8", le(&LOGITS, |x| f64::from(x).to_le_bytes())),
        (">f8", le(&LOGITS, |x| f64::from(x).to_be_bytes())),
    ];
    for (descr, bytes) in predictions {
        folder.npy("p.npy", &format!("'{descr}'"), "(6,)", bytes);
        let json = folder.eval("p.npy labels.npy");
        assert_eq!(mean(&json), expected, "{descr}");
        let notes = if descr.ends_with("f8") { json!(["f64 predictions were narrowed to f32"]) } else { json!([]) };
        assert_eq!(json["notes"], notes, "{descr}");
    }
    let labels: [(&str, Vec<u8>); 15] = [
        ("|b1", LABELS.to_vec()),
        ("|u1", LABELS.to_vec()),
        ("|i1", LABELS.to_vec()),
        ("<u2", le(&LABELS, |z| u16::from(z).to_le_bytes())),
        (">u2", le(&LABELS, |z| u16::from(z).to_be_bytes())),
        ("<i2", le(&LABELS, |z| i16::from(z).to_le_bytes())),
        ("<u4", le(&LABELS, |z| u32::from(z).to_le_bytes())),
        ("<i4", le(&LABELS, |z| i32::from(z).to_le_bytes())),
        ("<u8", le(&LABELS, |z| u64::from(z).to_le_bytes())),
        ("<i8", le(&LABELS, |z| i64::from(z).to_le_bytes())),
        (">i8", le(&LABELS, |z| i64::from(z).to_be_bytes())),
        ("<f2", le(&LABELS, |z| f16::from(z).to_le_bytes())),
        ("<f4", le(&LABELS, |z| f32::from(z).to_le_bytes())),
        (">f4", le(&LABELS, |z| f32::from(z).to_be_bytes())),
        ("<f8", le(&LABELS, |z| f64::from(z).to_le_bytes())),
    ];
    for (descr, bytes) in labels {
        folder.npy("l.npy", &format!("'{descr}'"), "(6,)", bytes);
        assert_eq!(mean(&folder.eval("logits.npy l.npy")), expected, "{descr}");
    }
    let bf16s = le(&LOGITS, |x| bf16::from_f32(x).to_le_bytes());
    let tensors = HashMap::from([
        ("x", TensorView::new(Dtype::BF16, vec![6], &bf16s).unwrap()),
        ("y", TensorView::new(Dtype::U8, vec![6], &LABELS).unwrap()),
    ]);
    safetensors::serialize_to_file(tensors, None, &folder.path("b.safetensors")).unwrap();
    assert_eq!(mean(&folder.eval("b.safetensors --pred x --target y")), expected);
}

#[test]
fn generated_files_of_every_type() {
    let folder = Folder::new();
    for (dtype, suffixes) in [
        ("f16", vec!["npy", "parquet", "csv", "safetensors"]),
        ("bf16", vec!["safetensors"]),
        ("f32", vec!["npy", "parquet", "csv", "safetensors"]),
        ("f64", vec!["npy", "parquet", "safetensors"]),
    ] {
        let mut seen = Vec::new();
        for suffix in suffixes {
            for target in ["bool", "u8", "i32", "i64", "f32", "f64"] {
                let out = if suffix == "npy" { "a.npy --targets-out z.npy".to_owned() } else { format!("a.{suffix}") };
                let args = "generate 5000 --seed 7 --noise 1 --force";
                let made = folder.run(&format!("{args} --dtype {dtype} --target-dtype {target} --out {out}"));
                assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
                let read =
                    if suffix == "npy" { "a.npy z.npy" } else { &format!("a.{suffix} --pred logit --target label") };
                let json = folder.eval(read);
                assert_eq!(json["count"], 5000);
                seen.push((suffix, target, mean(&json)));
            }
        }
        // Text has no f16: what it holds is read as f32, which has every f16.
        assert!(seen.iter().all(|(_, _, bits)| *bits == seen[0].2), "{dtype}: {seen:?}");
    }
}

#[test]
fn generate_is_reproducible() {
    let folder = Folder::new();
    let generate = |args: &str| assert!(folder.run(&format!("generate {args}")).status.success());
    let read = |name: &str| std::fs::read(folder.path(name)).unwrap();
    // A longer file begins with the values of a shorter one, past the first chunk too; another seed gives others.
    generate("1_060_000 --seed 5 --out a.safetensors");
    generate("1.05e6 --seed 5 --out b.npy --targets-out z.npy");
    generate("1000 --seed 6 --out c.npy --targets-out d.npy");
    let (long, short) = (read("a.safetensors"), read("b.npy"));
    let start = long.len() - 5 * 1_060_000;
    assert!(long[start..][..4 * 1_050_000] == short[128..]);
    assert!(read("c.npy")[128..] != short[128..][..4000]);
    let rate = folder.eval("b.npy z.npy")["base_rate"].as_f64().unwrap();
    assert!((rate - 0.25).abs() < 0.002, "{rate}");
}

#[test]
fn soft_labels_and_probabilities() {
    let folder = Folder::new();
    folder.file("p.csv", "p,y,z\n0.25,1,0.75\n0.5,0,0.5\n").file("l.csv", "x,z\n0,0.75\n0.0,5e-1\n");
    let hard = folder.eval("p.csv --pred p --target y --from probabilities")["sum"].as_f64().unwrap();
    assert!((hard - (4f64.ln() + 2f64.ln())).abs() < 1e-6, "{hard}");
    let soft = folder.eval("l.csv --pred x --target z");
    assert!((soft["mean"].as_f64().unwrap() - 2f64.ln()).abs() < 1e-7);
    assert_eq!(soft["base_rate"], 0.625);
}

#[test]
fn rows_and_classes() {
    let folder = Folder::new();
    let logits = le(&LOGITS, f32::to_le_bytes);
    folder.npy("x.npy", "'<f4'", "(3, 2)", &logits).npy("y.npy", "'|u1'", "(3, 2)", LABELS);
    let flat = folder.pair(&LOGITS, &LABELS).eval("logits.npy labels.npy");
    let json = folder.eval("x.npy y.npy --grad-out g.npy");
    assert_eq!(mean(&json), mean(&flat));
    assert_eq!(json["shape"], json!([3, 2]));
    assert_eq!(read_npy(&folder.path("g.npy")).0, [3, 2]);
    // A column goes with a flat array; Fortran order is the same order where there is one column.
    let header = npy_header("'<f4'", "(6, 1)", true);
    folder.file("c.npy", [header, logits].concat());
    assert_eq!(mean(&folder.eval("c.npy labels.npy")), mean(&flat));
}

#[test]
fn outputs_of_every_kind() {
    let folder = Folder::new();
    folder
        .pair(&LOGITS, &LABELS)
        .file("t.csv", LOGITS.iter().zip(LABELS).fold("y,x\n".to_owned(), |text, (x, z)| format!("{text}{z},{x}\n")));
    let outs = "--loss-out loss.npy --grad-out grad.npy --hess-out hess.npy --scale -2";
    for (source, reduction) in [
        ("logits.npy labels.npy", "mean"),
        ("logits.npy labels.npy", "sum"),
        ("t.csv --pred x --target y", "mean"),
        ("t.csv --pred x --target y", "sum"),
    ] {
        let json = folder.eval(&format!("{source} {outs} --reduction {reduction}"));
        assert_eq!(json["outputs"], json!({ "gradient": "grad.npy", "hessian": "hess.npy", "loss": "loss.npy" }));
        assert_eq!(json["bytes"], 6 * (5 + 12));
        let factor = if reduction == "mean" { -2.0 / 6.0 } else { -2.0 };
        let [loss, grad, hess] = ["loss.npy", "grad.npy", "hess.npy"].map(|name| read_npy(&folder.path(name)));
        for (i, (x, z)) in LOGITS.into_iter().zip(LABELS).enumerate() {
            let (x, z) = (f64::from(x), f64::from(z));
            let p = 1.0 / (1.0 + (-x).exp());
            let close = |got: f32, truth: f64| assert!((f64::from(got) - truth).abs() <= 1e-6, "{got} {truth}");
            close(loss.1[i], (1.0 + x.exp()).ln() - z * x);
            close(grad.1[i], factor * (p - z));
            close(hess.1[i], factor * p * (1.0 - p));
        }
        assert_eq!((loss.0, grad.0, hess.0), (vec![6], vec![6], vec![6]));
    }
}

#[test]
fn an_output_replaces_what_was_there() {
    let folder = Folder::new();
    folder.pair(&LOGITS, &LABELS).file("loss.npy", "something else");
    folder.eval("logits.npy labels.npy --loss-out loss.npy");
    assert_eq!(read_npy(&folder.path("loss.npy")).0, [6]);
    assert_eq!(folder.names(), ["labels.npy", "logits.npy", "loss.npy"]);
}

#[cfg(unix)]
#[test]
fn outputs_are_for_everyone_that_the_umask_lets() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.pair(&LOGITS, &LABELS).eval("logits.npy labels.npy --loss-out loss.npy");
    let mode = |name: &str| folder.path(name).metadata().unwrap().permissions().mode();
    assert_eq!(mode("loss.npy"), mode("logits.npy"));
}

#[test]
fn no_values_at_all() {
    let folder = Folder::new();
    folder.pair(&[], &[]).file("t.csv", "x,y\n");
    for source in ["logits.npy labels.npy", "t.csv --pred x --target y"] {
        let json = folder.eval(&format!("{source} --grad-out grad.npy"));
        assert_eq!((&json["count"], &json["sum"]), (&json!(0), &json!(0.0)));
        assert_eq!((&json["mean"], &json["value"], &json["base_rate"]), (&Value::Null, &Value::Null, &Value::Null));
        assert_eq!(json["notes"], json!(["there are no values: the sum is 0, the mean is NaN"]));
        assert_eq!(read_npy(&folder.path("grad.npy")), (vec![0], vec![]));
    }
}

#[test]
fn any_number_of_threads() {
    let folder = Folder::new();
    let one = folder.eval(&format!("{} {} --threads 1", data("flights_logits.npy"), data("flights_delayed.npy")));
    assert_eq!(mean(&one), mean(&flights(&folder)));

    // Parquet is decoded on the threads that evaluate, be it a single one.
    assert!(folder.run("generate 3e6 --out d.parquet").status.success());
    let all = folder.eval("d.parquet --pred logit --target label");
    for threads in 1..=3 {
        let some = folder.eval(&format!("d.parquet --pred logit --target label --threads {threads}"));
        assert_eq!(some["driver"], if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") });
        assert_eq!((mean(&some), &some["base_rate"]), (mean(&all), &all["base_rate"]));
    }
}

#[test]
fn infinite_logits_are_valid() {
    let folder = Folder::new();
    folder.pair(&[f32::INFINITY, f32::NEG_INFINITY, 0.0], &[1, 0, 0]);
    assert!((folder.eval("logits.npy labels.npy")["sum"].as_f64().unwrap() - 2f64.ln()).abs() < 1e-7);
    folder.pair(&[f32::INFINITY], &[0]);
    let json = folder.eval("logits.npy labels.npy");
    let notes = [
        "the sum and the mean are inf: logits.npy, index 0: the logit is inf and the label 0; finite logits have finite losses",
        "every label is 0: the result says nothing about the other label",
    ];
    assert_eq!((&json["mean"], &json["notes"]), (&Value::Null, &json!(notes)));
}

#[test]
fn probabilities_taken_for_logits() {
    let folder = Folder::new();
    let run = |args: &str| folder.run(&format!("eval logits.npy labels.npy --device cpu --json {args}"));
    folder.pair(&[0.5, 0.0, 1.0], &[1, 0, 1]);
    let warned = run("");
    assert!(warned.status.success());
    let warning = "every prediction lies in [0, 1]: if these are probabilities, pass --from probabilities";
    assert_eq!(String::from_utf8(warned.stderr).unwrap(), format!("warning: {warning}\n"));
    let json: Value = serde_json::from_slice(&warned.stdout).unwrap();
    assert_eq!(json["notes"], json!([warning]));
    assert!(run("--from probabilities").stderr.is_empty());
    folder.pair(&[0.5, 0.0, -1.0], &[1, 0, 1]);
    assert!(run("").stderr.is_empty());
}

#[test]
fn non_finite_propagates_on_request() {
    let folder = Folder::new();
    folder.pair(&[1.0, f32::NAN, 2.0, 3.0], &[1, 0, 1, 2]);
    let json = folder.eval("logits.npy labels.npy --non-finite propagate --loss-out loss.npy");
    assert_eq!((&json["mean"], &json["count"], &json["base_rate"]), (&Value::Null, &json!(4), &Value::Null));
    let nan: Vec<_> = read_npy(&folder.path("loss.npy")).1.into_iter().map(f32::is_nan).collect();
    assert_eq!(nan, [false, true, false, true]);
    // Converted labels and predictions too.
    folder.file("t.csv", "x,y\n1,1\n2,-1\nnan,0\n3,257\n");
    let json = folder.eval("t.csv --pred x --target y --non-finite propagate --loss-out loss.npy");
    assert_eq!(json["notes"], json!(["the sum and the mean are NaN"]));
    let nan: Vec<_> = read_npy(&folder.path("loss.npy")).1.into_iter().map(f32::is_nan).collect();
    assert_eq!(nan, [false, true, true, true]);
}

#[test]
fn every_adapter_agrees_with_the_cpu_and_stderr_stays_clean() {
    let devices = std::process::Command::new(LOGLOSS).args(["devices", "--json"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&devices.stderr), "");
    let devices: Value = serde_json::from_slice(&devices.stdout).unwrap();
    let adapters = devices["adapters"].as_array().unwrap();
    let required = std::env::var_os("LOGLOSS_REQUIRE_GPU").is_some_and(|value| value == "1");
    assert!(!required || !adapters.is_empty(), "LOGLOSS_REQUIRE_GPU is set and there is no adapter");
    for adapter in adapters {
        let folder = Folder::new();
        let (logits, labels) = (data("flights_logits.npy"), data("flights_delayed.npy"));
        let output = folder.run(&format!("eval {logits} {labels} --json --device {}", adapter["index"]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mean = json["mean"].as_f64().unwrap();
        assert!((mean / FLIGHTS_MEAN - 1.0).abs() <= 1e-7, "{adapter}: {mean}");
        assert_eq!(json["device"], adapter["device"]);
    }
}

/// The notes of an evaluation as `--json` prints them.
fn notes(folder: &Folder, args: &str) -> Vec<String> {
    let json = folder.eval(args);
    json["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_an_infinite_loss_comes_from() {
    let folder = Folder::new();
    folder.pair(&[0.5, 1.0, 0.0, 1.0], &[1, 1, 1, 0]);
    let of = |args: &str| notes(&folder, &format!("logits.npy labels.npy --from probabilities {args}"));
    assert_eq!(
        of(""),
        [
            "the sum and the mean are inf: logits.npy, index 2: the probability is 0 and the label 1; pass logits instead, \
          or clip them with --compat torch or keras"
        ]
    );
    assert!(of("--compat keras").is_empty() && of("--compat torch").is_empty());
    folder.npy("m.npy", "'|b1'", "(4,)", [1, 1, 0, 1]);
    assert!(
        of("--mask m.npy")[0]
            .contains("index 3: the probability is 1 (its type may have rounded it to that) and the label 0")
    );
    assert!(
        of("--label-smoothing 0.1")[0]
            .contains("index 1: the probability is 1 (its type may have rounded it to that) and the label 1")
    );
    folder.file("t.csv", "p,y\n1e400,1\n0.5,0\n-1e39,1\n");
    assert_eq!(
        notes(&folder, "t.csv --pred p --target y"),
        [
            "2 finite predictions are too large for f32 and became infinite",
            "the sum and the mean are inf: t.csv: column 'p', index 2: the logit is -inf and the label 1; finite logits have \
          finite losses"
        ]
    );
}

#[test]
fn what_looks_like_something_else() {
    let folder = Folder::new();
    let only = |args: &str| -> String {
        let notes = notes(&folder, args);
        assert_eq!(notes.len(), 1, "{args}: {notes:?}");
        notes[0].clone()
    };
    folder.pair(&[0.0, 1.0, 1.0], &[0, 1, 1]);
    let classes = "every prediction is 0 or 1: these look like classes, not";
    assert!(only("logits.npy labels.npy").starts_with(&format!("{classes} logits")));
    assert!(only("logits.npy labels.npy --from probabilities").starts_with(&format!("{classes} probabilities")));
    folder.pair(&[0.5, -1.0, 1.5], &[1, 1, 1]);
    assert_eq!(only("logits.npy labels.npy"), "every label is 1: the result says nothing about the other label");
    folder.pair(&[0.5, -1.0, 1.5], &[0, 0, 1]);
    assert!(only("logits.npy labels.npy --ignore-label 1").starts_with("every label is 0"));
    folder.file("t.csv", "p,q,y\n0.25,0.75,1\n0.5,0.5,0\n");
    let same = only("t.csv --pred p --target p --from probabilities");
    assert_eq!(same, "the predictions and the labels are both 'p'");
    let two = only("t.csv --pred p,q --target y,y --from probabilities");
    assert!(two.starts_with("several columns of predictions have the labels 'y'"), "{two}");
    folder.npy("p.npy", "'<f4'", "(2,)", le(&[0.25, 0.5], f32::to_le_bytes));
    let same = only("p.npy ./p.npy --from probabilities");
    assert_eq!(same, "./p.npy: the same file is the predictions and the labels");
}

#[test]
fn a_warning_is_told_once() {
    let folder = Folder::new();
    folder.pair(&[0.25, 0.5], &[0, 1]);
    let output = folder.run("eval logits.npy labels.npy --device cpu --label-weight balanced --grad-out g.npy");
    let told = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8(told).unwrap().matches("every prediction lies in [0, 1]").count(), 1);
}

#[test]
fn text_is_rounded_as_f64_is() {
    let folder = Folder::new();
    folder.file("t.csv", "x,y,w\n0.30000000000000004,0,1.0000000001\n-2.5,1,1\n").file("u.csv", "x,y\n0.3,0\n-2.5,1\n");
    let notes = notes(&folder, "t.csv --pred x --target y --weight w --reduction weighted-mean");
    assert_eq!(
        notes,
        ["predictions with more digits than f32 keeps were rounded to f32", "weights were rounded to f32"]
    );
    assert_eq!(folder.eval("u.csv --pred x --target y")["notes"], json!([]));
}
