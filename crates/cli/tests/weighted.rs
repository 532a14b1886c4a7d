//! Weights, masks, ignored labels and reductions: the same bits whatever file they come from, and the values of the
//! systems that `--compat` names.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod util;

use std::{fmt::Write, fs::File, path::Path, sync::Arc};

use logloss::half::{bf16, f16};
use parquet::{
    data_type::{DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use util::{Folder, data, le, read_npy};

const LOGITS: [f32; 6] = [-3.5, 0.0, 0.25, 2.0, -0.5, 7.0];
const LABELS: [u8; 6] = [0, 1, 1, 1, 0, 0];

/// Everything that does not depend on the clock or on the types in the files.
fn result(json: &Value) -> Value {
    ["value", "sum", "mean", "count", "ignored", "weight_sum", "class_counts", "shape", "base_rate"]
        .iter()
        .map(|&key| json[key].clone())
        .collect()
}

/// The result and the bytes of the gradient.
fn with_gradient(folder: &Folder, args: &str) -> (Value, Vec<u8>) {
    let json = folder.eval(&format!("{args} --grad-out grad.npy"));
    (result(&json), std::fs::read(folder.path("grad.npy")).unwrap())
}

#[test]
fn weights_of_every_type() {
    let folder = Folder::new();
    let weights = [1.0f32, 0.0, 2.0, 4.0, 3.0, 7.0];
    folder.pair(&LOGITS, &LABELS).npy("w.npy", "'<f4'", "(6,)", le(&weights, f32::to_le_bytes));
    let (plain, _) = with_gradient(&folder, "logits.npy labels.npy");
    for reduction in ["mean", "weighted-mean", "sum", "none", "per-class", "per-row"] {
        let run = |weights: &str| {
            with_gradient(&folder, &format!("logits.npy labels.npy --weight {weights} --reduction {reduction}"))
        };
        let expected = run("w.npy");
        assert_eq!(expected.0[5], 17.0);
        assert_ne!(expected.0, plain);
        let files: [(&str, Vec<u8>); 10] = [
            ("<f2", le(&weights, |w| f16::from_f32(w).to_le_bytes())),
            (">f2", le(&weights, |w| f16::from_f32(w).to_be_bytes())),
            (">f4", le(&weights, f32::to_be_bytes)),
            ("<f8", le(&weights, |w| f64::from(w).to_le_bytes())),
            (">f8", le(&weights, |w| f64::from(w).to_be_bytes())),
            ("|u1", le(&weights, |w| (w as u8).to_le_bytes())),
            ("|i1", le(&weights, |w| (w as i8).to_le_bytes())),
            ("<u2", le(&weights, |w| (w as u16).to_le_bytes())),
            ("<i4", le(&weights, |w| (w as i32).to_le_bytes())),
            (">i8", le(&weights, |w| (w as i64).to_be_bytes())),
        ];
        for (descr, bytes) in files {
            folder.npy("v.npy", &format!("'{descr}'"), "(6,)", bytes);
            assert_eq!(run("v.npy"), expected, "{descr} {reduction}");
        }
        folder.npy("v.npy", "'<f4'", "(6, 1)", le(&weights, f32::to_le_bytes));
        assert_eq!(run("v.npy"), expected, "[N, 1] {reduction}");
    }
    let logits = le(&LOGITS, f32::to_le_bytes);
    let expected = with_gradient(&folder, "logits.npy labels.npy --weight w.npy");
    for (dtype, bytes) in [
        (Dtype::BF16, le(&weights, |w| bf16::from_f32(w).to_le_bytes())),
        (Dtype::F16, le(&weights, |w| f16::from_f32(w).to_le_bytes())),
        (Dtype::U32, le(&weights, |w| (w as u32).to_le_bytes())),
        (Dtype::F64, le(&weights, |w| f64::from(w).to_le_bytes())),
    ] {
        let tensors = [
            ("x", TensorView::new(Dtype::F32, vec![6], &logits).unwrap()),
            ("y", TensorView::new(Dtype::U8, vec![6], &LABELS).unwrap()),
            ("w", TensorView::new(dtype, vec![6], &bytes).unwrap()),
        ];
        safetensors::serialize_to_file(tensors, None, &folder.path("t.safetensors")).unwrap();
        let seen = with_gradient(&folder, "t.safetensors --pred x --target y --weight w");
        assert_eq!(seen, expected, "{dtype:?}");
    }
}

#[test]
fn rounded_weights_are_noted() {
    let folder = Folder::new();
    folder.pair(&[1.0, 2.0], &[1, 0]).npy("w.npy", "'<f8'", "(2,)", le(&[0.1, 1.0], f64::to_le_bytes));
    let json = folder.eval("logits.npy labels.npy --weight w.npy --reduction weighted-mean");
    assert_eq!(json["notes"], json!(["weights were rounded to f32"]));
}

#[test]
fn what_a_mean_divides_by_is_noted() {
    let folder = Folder::new();
    folder.pair(&[1.0, 2.0], &[1, 0]).npy("w.npy", "'<f4'", "(2,)", le(&[0.5, 1.0], f32::to_le_bytes));
    let notes = |options: &str| folder.eval(&format!("logits.npy labels.npy {options}"))["notes"].clone();
    let note = "the mean is over the number of values: --reduction weighted-mean is over the sum of their weights";
    for surprised in ["--weight w.npy", "--label-weight 1,3"] {
        assert_eq!(notes(surprised), json!([note]), "{surprised}");
    }
    for unsurprised in ["", "--pos-weight 2", "--weight w.npy --reduction sum", "--weight w.npy --compat torch"] {
        assert_eq!(notes(unsurprised), json!([]), "{unsurprised}");
    }
}

/// Rows and classes, more than one block of them, in files of every format: `x.npy`, `y.npy`, `w.npy` (by element) and
/// `s.npy` (by sample), `t.safetensors` of the same, and `t.csv` and `t.parquet` with a column for each class.
const ROWS: usize = 5000;
const CLASSES: usize = 3;

fn matrix() -> Folder {
    let folder = Folder::new();
    let len = ROWS * CLASSES;
    let logits: Vec<f32> = (0..len).map(|i| ((i * 7919) % 4001) as f32 / 256.0 - 7.5).collect();
    let labels: Vec<u8> = (0..len).map(|i| u8::from((i * 104_729) % 7 < 3)).collect();
    let weights: Vec<f32> = (0..len).map(|i| ((i * 31) % 17) as f32 / 4.0).collect();
    let samples: Vec<f32> = (0..ROWS).map(|i| ((i * 13) % 11) as f32 / 8.0).collect();
    let (shape, rows) = (format!("({ROWS}, {CLASSES})"), format!("({ROWS},)"));
    let [x, w, s] = [&logits, &weights, &samples].map(|values| le(values, f32::to_le_bytes));
    folder
        .npy("x.npy", "'<f4'", &shape, &x)
        .npy("y.npy", "'|u1'", &shape, &labels)
        .npy("w.npy", "'<f4'", &shape, &w)
        .npy("s.npy", "'<f4'", &rows, &s);
    let tensors = [
        ("x", TensorView::new(Dtype::F32, vec![ROWS, CLASSES], &x).unwrap()),
        ("y", TensorView::new(Dtype::U8, vec![ROWS, CLASSES], &labels).unwrap()),
        ("w", TensorView::new(Dtype::F32, vec![ROWS, CLASSES], &w).unwrap()),
        ("s", TensorView::new(Dtype::F32, vec![ROWS], &s).unwrap()),
    ];
    safetensors::serialize_to_file(tensors, None, &folder.path("t.safetensors")).unwrap();

    let mut text = "x0,x1,x2,y0,y1,y2,w0,w1,w2,s\n".to_owned();
    for (row, sample) in samples.iter().enumerate() {
        let cells = row * CLASSES..(row + 1) * CLASSES;
        for value in &logits[cells.clone()] {
            write!(text, "{value},").unwrap();
        }
        for value in &labels[cells.clone()] {
            write!(text, "{value},").unwrap();
        }
        for value in &weights[cells] {
            write!(text, "{value},").unwrap();
        }
        writeln!(text, "{sample}").unwrap();
    }
    folder.file("t.csv", text);
    parquet(&folder.path("t.parquet"), &logits, &labels, &weights, &samples);
    folder
}

/// The same in two row groups, one class of predictions in f64, and the labels in i64.
fn parquet(path: &Path, logits: &[f32], labels: &[u8], weights: &[f32], samples: &[f32]) {
    let schema = "message m { required float x0; required float x1; required double x2; \
                  required int64 y0; required int64 y1; required int64 y2; \
                  required double w0; required double w1; required float w2; required float s; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    for rows in [0..1700, 1700..ROWS] {
        let cells = |values: &[f32], class: usize| -> Vec<f32> {
            rows.clone().map(|row| values[row * CLASSES + class]).collect()
        };
        let mut group = writer.next_row_group().unwrap();
        for at in 0..10 {
            let class = at % CLASSES;
            let mut column = group.next_column().unwrap().unwrap();
            let float = match at {
                0..3 => Some(cells(logits, class)),
                6..9 => Some(cells(weights, class)),
                9 => Some(samples[rows.clone()].to_vec()),
                _ => None,
            };
            match (at, float) {
                (2 | 6 | 7, Some(values)) => {
                    let values: Vec<f64> = values.into_iter().map(f64::from).collect();
                    column.typed::<DoubleType>().write_batch(&values, None, None).unwrap();
                }
                (_, Some(values)) => {
                    column.typed::<FloatType>().write_batch(&values, None, None).unwrap();
                }
                (_, None) => {
                    let values: Vec<i64> = rows.clone().map(|row| labels[row * CLASSES + class].into()).collect();
                    column.typed::<Int64Type>().write_batch(&values, None, None).unwrap();
                }
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn rows_and_classes_in_every_format() {
    let folder = matrix();
    let mask: Vec<u8> = (0..ROWS * CLASSES).map(|i| u8::from(i % 5 != 2) * 3).collect();
    folder.npy("m.npy", "'|u1'", &format!("({ROWS}, {CLASSES})"), mask);
    let sources = |weights: &str| {
        let [npy, tensor, columns] = match weights {
            "elements" => ["--weight w.npy", "--weight w", "--weight w0,w1,w2"],
            "samples" => ["--weight s.npy", "--weight s", "--weight s"],
            _ => [""; 3],
        };
        [
            format!("x.npy y.npy {npy}"),
            format!("t.safetensors --pred x --target y {tensor}"),
            format!("t.csv --pred x0,x1,x2 --target y0,y1,y2 {columns}"),
            format!("t.parquet --pred x0,x1,x2 --target y0,y1,y2 {columns}"),
        ]
    };
    for (weights, options) in [
        ("none", "--reduction per-class"),
        ("elements", "--reduction mean"),
        ("elements", "--reduction per-class --class-weight 1,0.5,2 --mask m.npy"),
        ("elements", "--reduction per-row --pos-weight 2,3,0.25 --value-out v.npy"),
        ("samples", "--reduction weighted-mean --mask m.npy --label-smoothing 0.1"),
        ("samples", "--reduction per-row --label-weight balanced"),
        ("samples", "--reduction sum --focal-gamma 2 --focal-alpha 0.25"),
        ("none", "--reduction weighted-mean --label-weight balanced --ignore-label 1 --compat torch"),
    ] {
        let [first, others @ ..] = sources(weights);
        if options.contains("balanced --ignore") {
            // Nothing is left to be balanced.
            assert_eq!(folder.run(&format!("eval {first} {options}")).status.code(), Some(1));
            continue;
        }
        let expected = with_gradient(&folder, &format!("{first} {options}"));
        assert_eq!(expected.0[7], json!([ROWS, CLASSES]));
        let values = std::fs::read(folder.path("v.npy")).ok();
        for source in others {
            let seen = with_gradient(&folder, &format!("{source} {options}"));
            assert!(seen.0 == expected.0, "{source} {options}: {} {}", seen.0, expected.0);
            assert!(seen.1 == expected.1, "{source} {options}: the gradients differ");
            assert!(std::fs::read(folder.path("v.npy")).ok() == values, "{source} {options}: the values differ");
        }
    }
}

#[test]
fn classes_are_called_as_their_columns() {
    let folder = matrix();
    let run = |args: &str| String::from_utf8(folder.run(&format!("eval {args} --reduction per-class")).stdout).unwrap();
    let text = run("t.csv --pred x0,x1,x2 --target y0,y1,y2 --device cpu");
    assert!(text.contains("\nclass ") && text.contains("\nx0 ") && text.contains("\nx2 "), "{text}");
    let text = run("x.npy y.npy --device cpu");
    assert!(text.contains("\n0 ") && text.contains("\n2 ") && text.contains("5,000 × 3"), "{text}");
}

#[test]
fn a_column_with_a_comma_in_its_name() {
    let folder = Folder::new();
    folder.file("t.csv", "\"a,b\",y\n1.5,0\n-2,1\n");
    let mut command = folder.command("eval t.csv --target y --device cpu --json --pred");
    let output = command.arg("a,b").output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["shape"], json!([2]));
}

#[test]
fn ignored_labels_of_every_type() {
    let folder = Folder::new();
    // What is left out may be anything.
    let logits = [-3.5, f32::NAN, 0.25, 2.0, -0.5, 7.0];
    let labels = [0, -1, 1, 1, -1, 0];
    folder.pair(&logits, &[0, 1, 1, 1, 0, 0]).npy("m.npy", "'|b1'", "(6,)", [1, 0, 1, 1, 0, 1]).npy(
        "n.npy",
        "'|u1'",
        "(6,)",
        [9, 0, 1, 255, 0, 2],
    );
    let options = "--reduction mean --hess-out h.npy --loss-out l.npy";
    let expected = with_gradient(&folder, &format!("logits.npy labels.npy --mask m.npy {options}"));
    assert_eq!((&expected.0[3], &expected.0[4], &expected.0[8]), (&json!(4), &json!(2), &json!(0.5)));
    let zeros = [false, true, false, false, true, false];
    for name in ["grad.npy", "h.npy", "l.npy"] {
        let values = read_npy(&folder.path(name)).1;
        assert_eq!(values.iter().map(|value| *value == 0.0).collect::<Vec<_>>(), zeros, "{name}");
    }
    assert_eq!(with_gradient(&folder, &format!("logits.npy labels.npy --mask n.npy {options}")), expected);

    let with = |label: i64| labels.map(|z| if z == -1 { label } else { i64::from(z) });
    let nan = labels.map(|z| if z == -1 { f64::NAN } else { f64::from(z) });
    let files: [(&str, &str, Vec<u8>); 11] = [
        ("-1", "|i1", le(&with(-1), |z| (z as i8).to_le_bytes())),
        ("255", "|u1", le(&with(255), |z| (z as u8).to_le_bytes())),
        ("7", "|u1", le(&with(7), |z| (z as u8).to_le_bytes())),
        ("-100", "<i2", le(&with(-100), |z| (z as i16).to_le_bytes())),
        ("254", "<i4", le(&with(254), |z| (z as i32).to_le_bytes())),
        ("256", ">i8", le(&with(256), |z| z.to_be_bytes())),
        ("-1", "<f2", le(&with(-1), |z| f16::from_f32(z as f32).to_le_bytes())),
        ("-1", "<f4", le(&with(-1), |z| (z as f32).to_le_bytes())),
        ("255", ">f8", le(&with(255), |z| (z as f64).to_be_bytes())),
        ("nan", "<f4", le(&nan, |z| (z as f32).to_le_bytes())),
        ("nan", "<f8", le(&nan, f64::to_le_bytes)),
    ];
    for (label, descr, bytes) in files {
        folder.npy("y.npy", &format!("'{descr}'"), "(6,)", bytes);
        let seen = with_gradient(&folder, &format!("logits.npy y.npy --ignore-label {label} {options}"));
        assert_eq!(seen, expected, "{label} {descr}");
    }
    for (label, text) in [("-1", "-1"), ("nan", "NaN"), ("nan", ""), ("255", "255.0")] {
        let rows = logits.iter().zip(labels).fold("x,y\n".to_owned(), |rows, (x, z)| match z {
            -1 => format!("{rows}{x},{text}\n"),
            z => format!("{rows}{x},{z}\n"),
        });
        folder.file("t.csv", rows);
        let seen = with_gradient(&folder, &format!("t.csv --pred x --target y --ignore-label {label} {options}"));
        assert_eq!(seen, expected, "{label} as text");
    }
    // Several, in one list or in several.
    let with = |a: i64, b: i64| [0, a, 1, 1, b, 0];
    let files: [(&str, Vec<u8>); 5] = [
        ("|u1", le(&with(255, 7), |z| (z as u8).to_le_bytes())),
        ("<i8", le(&with(255, 7), i64::to_le_bytes)),
        ("<f4", le(&with(7, 255), |z| (z as f32).to_le_bytes())),
        ("|i1", le(&with(-100, 7), |z| (z as i8).to_le_bytes())),
        (">f8", le(&with(7, -100), |z| (z as f64).to_be_bytes())),
    ];
    for (descr, bytes) in files {
        folder.npy("y.npy", &format!("'{descr}'"), "(6,)", bytes);
        for labels in ["--ignore-label=-100,7,255", "--ignore-label -100,255 --ignore-label 7"] {
            let seen = with_gradient(&folder, &format!("logits.npy y.npy {labels} {options}"));
            assert_eq!(seen, expected, "{labels} {descr}");
        }
    }
    folder.npy("y.npy", "'<f4'", "(6,)", le(&[0.0, f32::NAN, 1.0, 1.0, -1.0, 0.0], f32::to_le_bytes));
    assert_eq!(with_gradient(&folder, &format!("logits.npy y.npy --ignore-label nan,-1 {options}")), expected);
    // Predictions and weights that are missing there do not count either.
    folder.npy("w.npy", "'<f4'", "(6,)", le(&[1.0, 1.0, 2.0, 3.0, 1.0, 4.0], f32::to_le_bytes));
    let weighted = with_gradient(&folder, &format!("logits.npy y.npy --ignore-label nan,-1 --weight w.npy {options}"));
    folder.file("t.csv", "x,y,w\n-3.5,0,1\n,,\n0.25,1,2\n2,1,3\n,-1,\n7,0,4\n");
    let source = "t.csv --pred x --target y --ignore-label nan,-1";
    assert_eq!(with_gradient(&folder, &format!("{source} {options}")), expected);
    assert_eq!(with_gradient(&folder, &format!("{source} --weight w {options}")), weighted);
    // A number that no label is leaves nothing out.
    folder.pair(&LOGITS, &LABELS);
    let plain = folder.eval("logits.npy labels.npy");
    assert_eq!(result(&folder.eval("logits.npy labels.npy --ignore-label -100")), result(&plain));
}

/// As pandas writes labels that are NaN: Parquet files hold nothing in their place, which NaN leaves out.
#[test]
fn missing_labels_in_parquet() {
    // Several slices of a group, one that is all missing, and ends of both kinds.
    const LEN: usize = 70_001;
    const GROUP: usize = 50_000;
    let there = |i: usize| !(i % 7 == 3 || (16_000..34_000).contains(&i) || i == 0 || i == LEN - 1);
    let logits: Vec<f32> = (0..LEN).map(|i| (i % 1009) as f32 / 100.0 - 5.0).collect();
    let label = |i: usize| u8::from(i.is_multiple_of(3));
    let nan: Vec<f32> = (0..LEN).map(|i| if there(i) { label(i).into() } else { f32::NAN }).collect();
    let folder = Folder::new();
    folder.pair(&logits, &[]).npy("nan.npy", "'<f4'", &format!("({LEN},)"), le(&nan, f32::to_le_bytes));

    let half = "optional fixed_len_byte_array(2) h (FLOAT16);";
    let types =
        format!("message m {{ required float x; optional float f; optional double d; {half} optional int64 i; }}");
    let schema = Arc::new(parse_message_type(&types).unwrap());
    let mut writer =
        SerializedFileWriter::new(File::create(folder.path("t.parquet")).unwrap(), schema, Arc::default()).unwrap();
    for start in (0..LEN).step_by(GROUP) {
        let rows = start..LEN.min(start + GROUP);
        let levels: Vec<i16> = rows.clone().map(|i| there(i).into()).collect();
        let labels: Vec<u8> = rows.clone().filter(|&i| there(i)).map(label).collect();
        let mut group = writer.next_row_group().unwrap();
        for at in 0..5 {
            let mut column = group.next_column().unwrap().unwrap();
            let levels = Some(levels.as_slice());
            match at {
                0 => column.typed::<FloatType>().write_batch(&logits[rows.clone()], None, None),
                1 => {
                    let values: Vec<f32> = labels.iter().map(|&z| z.into()).collect();
                    column.typed::<FloatType>().write_batch(&values, levels, None)
                }
                2 => {
                    let values: Vec<f64> = labels.iter().map(|&z| z.into()).collect();
                    column.typed::<DoubleType>().write_batch(&values, levels, None)
                }
                3 => {
                    let value = |&z: &u8| f16::from_f32(z.into()).to_le_bytes().to_vec().into();
                    let values: Vec<FixedLenByteArray> = labels.iter().map(value).collect();
                    column.typed::<FixedLenByteArrayType>().write_batch(&values, levels, None)
                }
                _ => {
                    let values: Vec<i64> = labels.iter().map(|&z| z.into()).collect();
                    column.typed::<Int64Type>().write_batch(&values, levels, None)
                }
            }
            .unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();

    let wanted = with_gradient(&folder, "logits.npy nan.npy --ignore-label nan");
    assert_eq!(wanted.0[4], json!((0..LEN).filter(|&i| !there(i)).count()));
    for column in ["f", "d", "h", "i"] {
        let args = format!("t.parquet --pred x --target {column} --ignore-label nan");
        assert_eq!(with_gradient(&folder, &args), wanted, "{column}");
    }
    // Nothing else leaves them out.
    for args in ["--target f", "--target f --ignore-label 0", "--target f --label-weight balanced --ignore-label 0"] {
        let output = folder.run(&format!("eval t.parquet --pred x {args}"));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("index 0: the value is missing (null)"), "{args}: {message}");
    }
    missing_predictions(&folder, there, LEN);
}

/// In the same file: predictions and weights that are missing count where their label does.
fn missing_predictions(folder: &Folder, there: impl Fn(usize) -> bool, len: usize) {
    let ones: Vec<f32> = (0..len).map(|i| f32::from(u8::from(i.is_multiple_of(3)))).collect();
    let mask: Vec<u8> = (0..len).map(|i| there(i).into()).collect();
    let shape = format!("({len},)");
    folder.npy("ones.npy", "'<f4'", &shape, le(&ones, f32::to_le_bytes)).npy("m.npy", "'|b1'", &shape, mask);
    for options in ["", "--reduction weighted-mean"] {
        let wanted = with_gradient(folder, &format!("ones.npy ones.npy --mask m.npy --weight ones.npy {options}"));
        for skipped in ["--target f --ignore-label nan", "--target d --mask m.npy", "--target i --mask m.npy"] {
            for column in ["f", "d", "h"] {
                let args = format!("t.parquet --pred {column} {skipped} --weight {column} {options}");
                assert_eq!(with_gradient(folder, &args), wanted, "{args}");
            }
        }
        assert_eq!(
            with_gradient(folder, &format!("t.parquet --pred f --target f --weight i --mask m.npy {options}")),
            wanted
        );
    }
    // Where they count, and whatever else is propagated, they are errors.
    folder.npy("one.npy", "'|b1'", &shape, [vec![0; len - 1], vec![1]].concat());
    for args in ["--pred f --target i", "--pred d --target x", "--pred x --target x --weight h"] {
        let output = folder.run(&format!("eval t.parquet {args} --mask one.npy --non-finite propagate"));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(&format!("index {}: the value is missing (null)", len - 1)), "{args}: {message}");
    }
}

#[test]
fn everything_is_left_out() {
    let folder = Folder::new();
    folder.pair(&[1.0, 2.0], &[0, 1]).npy("m.npy", "'|b1'", "(2,)", [0, 0]);
    let json = folder.eval("logits.npy labels.npy --mask m.npy --grad-out g.npy");
    assert_eq!((&json["value"], &json["ignored"]), (&Value::Null, &json!(2)));
    assert_eq!(json["notes"], json!(["every value is left out: the sum is 0, the mean is NaN"]));
    assert_eq!(read_npy(&folder.path("g.npy")).1, [0.0, 0.0]);
    let json = folder.eval("logits.npy labels.npy --mask m.npy --compat keras");
    assert_eq!(json["value"], 0.0);
    let json = folder.eval("logits.npy labels.npy --mask m.npy --reduction per-row --compat keras");
    assert_eq!((&json["value"], &json["mean"]), (&json!([0.0, 0.0]), &json!(0.0)));
    folder.file("t.csv", "x,x2,y,y2\n");
    let source = "t.csv --pred x,x2 --target y,y2 --value-out v.npy --grad-out g.npy";
    let json = folder.eval(&format!("{source} --reduction per-class"));
    assert_eq!((&json["value"], &json["shape"]), (&json!([null, null]), &json!([0, 2])));
    assert_eq!((read_f64(&folder, "v.npy").0, read_npy(&folder.path("g.npy")).0), (vec![2], vec![0, 2]));
    let json = folder.eval(&format!("{source} --reduction per-row"));
    assert_eq!((&json["value"], read_f64(&folder, "v.npy").0), (&Value::Null, vec![0]));
}

fn read_f64(folder: &Folder, name: &str) -> (Vec<u64>, Vec<f64>) {
    let npy = npyz::NpyFile::new(File::open(folder.path(name)).unwrap()).unwrap();
    (npy.shape().to_vec(), npy.into_vec().unwrap())
}

/// −log of the probability that σ(x) gives to the label.
fn loss(x: f32, label: u8) -> f64 {
    let x = f64::from(x);
    if label == 1 { (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}

#[test]
fn values_of_every_reduction() {
    let folder = Folder::new();
    let weights = [1.0f32, 0.5, 2.0, 4.0, 0.0, 7.0];
    folder.npy("x.npy", "'<f4'", "(3, 2)", le(&LOGITS, f32::to_le_bytes)).npy("y.npy", "'|u1'", "(3, 2)", LABELS).npy(
        "w.npy",
        "'<f4'",
        "(3, 2)",
        le(&weights, f32::to_le_bytes),
    );
    let losses: Vec<f64> = (0..6).map(|i| f64::from(weights[i]) * loss(LOGITS[i], LABELS[i])).collect();
    let sum: f64 = losses.iter().sum();
    let close = |a: &Value, b: f64| assert!((a.as_f64().unwrap() / b - 1.0).abs() < 1e-6, "{a} {b}");
    let run = |reduction: &str| {
        let out = if reduction.starts_with("per") { "--value-out v.npy" } else { "" };
        folder.eval(&format!("x.npy y.npy --weight w.npy --grad-out g.npy --reduction {reduction} {out}"))
    };
    close(&run("sum")["value"], sum);
    close(&run("mean")["value"], sum / 6.0);
    let weighted = run("weighted-mean");
    close(&weighted["value"], sum / 14.5);
    assert_eq!(weighted["weight_sum"], 14.5);
    // (σ(2) − 1)·4/14.5
    let gradient = read_npy(&folder.path("g.npy")).1;
    assert!((f64::from(gradient[3]) / (-4.0 / 14.5 / (1.0 + 2f64.exp())) - 1.0).abs() < 1e-6);
    assert_eq!(run("none")["value"], Value::Null);
    let classes = run("per-class");
    for class in 0..2 {
        let mean = (losses[class] + losses[class + 2] + losses[class + 4]) / 3.0;
        close(&classes["value"][class], mean);
        assert_eq!(read_f64(&folder, "v.npy").1[class], classes["value"][class].as_f64().unwrap());
    }
    assert_eq!((&classes["class_counts"], read_f64(&folder, "v.npy").0), (&json!([3, 3]), vec![2]));
    assert_eq!(run("per-row")["value"], Value::Null);
    let (shape, rows) = read_f64(&folder, "v.npy");
    assert_eq!(shape, [3]);
    for (row, mean) in rows.iter().enumerate() {
        close(&json!(mean), (losses[2 * row] + losses[2 * row + 1]) / 2.0);
    }
    let json = folder.eval("x.npy y.npy --weight w.npy --reduction per-row");
    assert_eq!(json["value"], json!(rows));
}

#[test]
fn rows_across_parts() {
    // More than a part: the rows are taken from the stream after each, and its sums go on.
    let folder = Folder::new();
    let made = folder.run("generate 2_100_000 --out x.npy --targets-out y.npy --noise 1 --dtype f16");
    assert!(made.status.success());
    let sum = folder.eval("x.npy y.npy --reduction sum --loss-out l.npy");
    let rows = folder.eval("x.npy y.npy --reduction per-row --value-out v.npy --grad-out g.npy");
    assert_eq!((&rows["sum"], &rows["mean"], &rows["count"]), (&sum["sum"], &sum["mean"], &sum["count"]));
    let losses = read_npy(&folder.path("l.npy")).1;
    let (shape, values) = read_f64(&folder, "v.npy");
    assert_eq!(shape, [2_100_000]);
    assert!(values.iter().zip(&losses).all(|(value, loss)| *value == f64::from(*loss)));
    // An offender past the first part keeps its index.
    let mut bytes = std::fs::read(folder.path("y.npy")).unwrap();
    let at = bytes.len() - 7;
    bytes[at] = 9;
    folder.file("y.npy", bytes);
    let output = folder.run("eval x.npy y.npy --reduction per-row --value-out v.npy --device cpu");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("error: y.npy, index 2099993: the value is 9: "), "{message}");
}

#[test]
fn balanced_labels() {
    let folder = Folder::new();
    folder.pair(&LOGITS, &[0, 1, 0, 0, 0, 0]).npy("m.npy", "'|b1'", "(6,)", [1, 1, 1, 1, 1, 0]);
    let same = |a: &str, b: &str| {
        let run = |options: &str| with_gradient(&folder, &format!("logits.npy labels.npy {options}"));
        assert_eq!(run(a), run(b));
    };
    same("--label-weight balanced", "--label-weight 0.6,3");
    same("--label-weight balanced --mask m.npy", "--label-weight 0.625,2.5 --mask m.npy");
    same("--compat lightgbm --label-weight is-unbalance", "--compat lightgbm --label-weight 1,5");
    let json = folder.eval("logits.npy labels.npy --label-weight balanced");
    assert_eq!(json["notes"], json!(["5 labels are 0 and weigh 0.6, 1 are 1 and weigh 3"]));
    assert_eq!(json["base_rate_loss"], Value::Null);
    folder.pair(&LOGITS, &[1, 1, 1, 1, 0, 0]);
    same("--compat lightgbm --label-weight is-unbalance", "--compat lightgbm --label-weight 2,1");
    same("--compat lightgbm --label-weight balanced", "--compat lightgbm --label-weight 2,1");
}

/// A case of a table in `tests/compat` as files and options: the values expected, and those found.
fn case(mode: &str, name: &str) -> (Folder, String, Value) {
    let path = data(&format!("../tests/compat/{mode}.json"));
    let table: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = table["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("{mode} has no {name}")).clone();
    let folder = Folder::new();
    let classes = case["classes"].as_u64().unwrap();
    let array = |name: &str, values: &Value, by_sample: bool| {
        let values: Vec<f32> = values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
        let rows = values.len() as u64 / if by_sample { 1 } else { classes };
        let shape = if by_sample { format!("({rows},)") } else { format!("({rows}, {classes})") };
        folder.npy(name, "'<f4'", &shape, le(&values, f32::to_le_bytes));
    };
    array("p.npy", &case["predictions"], false);
    array("t.npy", &case["targets"], false);
    let mut args = format!("p.npy t.npy --compat {mode}");
    if !case["weights"].is_null() {
        array("w.npy", &case["weights"], case["weights_shape"] == "N");
        args += " --weight w.npy";
    }
    let options = &case["options"];
    let list = |values: &Value| {
        values.as_array().map(|values| values.iter().map(Value::to_string).collect::<Vec<_>>().join(","))
    };
    for (flag, value) in [
        ("--from", options["form"].as_str().map(str::to_owned)),
        ("--reduction", options["reduction"].as_str().map(str::to_owned)),
        ("--pos-weight", list(&options["pos_weight"])),
        ("--class-weight", list(&options["class_weights"])),
        ("--label-weight", options["label_weights"].as_str().map(|word| word.replace('_', "-"))),
        ("--label-smoothing", options["label_smoothing"].as_f64().map(|a| a.to_string())),
        ("--focal-gamma", options["focal_gamma"].as_f64().map(|gamma| gamma.to_string())),
        ("--focal-alpha", options["focal_alpha"].as_f64().map(|alpha| alpha.to_string())),
        ("--ignore-label", options["ignore_label"].as_f64().map(|label| label.to_string())),
    ] {
        if let Some(value) = value {
            write!(args, " {flag} {value}").unwrap();
        }
    }
    (folder, args, case["expected"].clone())
}

#[test]
fn values_of_other_systems() {
    for (mode, name) in [
        ("torch", "logits_pos_weight_per_class_mean"),
        ("torch", "logits_weight_per_sample_of_rows_mean"),
        ("torch", "logits_class_weights_mean"),
        ("torch", "probabilities_zero_and_one_weighted_mean"),
        ("keras", "probabilities_clipped_mean"),
        ("keras", "logits_soft_smoothed_weighted_weighted-mean"),
        ("keras", "focal_logits_smoothed_alpha_weighted_mean"),
        ("keras", "logits_zero_weights_weighted-mean"),
        ("tensorflow", "weighted_per_class_mean"),
        ("sklearn", "weighted_mean_float32"),
        ("sklearn", "clip_p0_y1_float32"),
        ("sklearn", "balanced_mean"),
        ("xgboost", "metric_probabilities_soft_weighted"),
        ("lightgbm", "metric_clip_p0_y1"),
        ("lightgbm", "metric_logits_weighted"),
        ("lightgbm", "objective_is_unbalance_weighted"),
        ("lightgbm", "objective_pos_weight"),
    ] {
        let (folder, args, expected) = case(mode, name);
        let json = folder.eval(&format!("{args} --grad-out g.npy"));
        if let Some(value) = expected["value"].as_f64() {
            let found = json["value"].as_f64().unwrap();
            assert!((found - value).abs() <= 1e-6 * value.abs(), "{mode} {name}: {found}, expected {value}");
        }
        let gradient = read_npy(&folder.path("g.npy")).1;
        for (found, value) in gradient.iter().zip(expected["gradient"].as_array().into_iter().flatten()) {
            let value = value.as_f64().unwrap();
            let error = (f64::from(*found) - value).abs();
            assert!(error <= 1e-6 * value.abs() + 1e-8, "{mode} {name}: gradient {found}, expected {value}");
        }
    }
}

#[test]
fn a_weighted_mean_by_convention() {
    let folder = Folder::new();
    folder.pair(&LOGITS, &LABELS).npy(
        "w.npy",
        "'<f4'",
        "(6,)",
        le(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], f32::to_le_bytes),
    );
    let run = |options: &str| folder.eval(&format!("logits.npy labels.npy --weight w.npy {options}"));
    let weighted = run("--reduction weighted-mean");
    for (system, reduction) in [("sklearn", "weighted-mean"), ("xgboost", "weighted-mean"), ("torch", "mean")] {
        let json = run(&format!("--compat {system}"));
        assert_eq!((&json["reduction"], &json["compat"]), (&json!(reduction), &json!(system)));
        assert_eq!(json["value"] == weighted["value"], reduction == "weighted-mean", "{system}");
    }
}

/// LightGBM's labels: above 0 or not, in whatever file and type; the one to be ignored is found before.
#[test]
fn labels_of_any_number() {
    let folder = Folder::new();
    let labels = [-1i64, 2, 1, 1 << 40, 0, i64::MIN];
    folder.pair(&LOGITS, &[0, 1, 1, 1, 0, 0]);
    folder.npy("i8.npy", "'|i1'", "(6,)", [255, 2, 1, 4, 0, 128]);
    folder.npy("i64.npy", "'<i8'", "(6,)", le(&labels, i64::to_le_bytes));
    folder.npy("u8.npy", "'|u1'", "(6,)", [0, 2, 1, 255, 0, 0]);
    let floats = [-1.0, 2.0, 1.0, 1e-300, -0.0, f64::NEG_INFINITY];
    folder.npy("f64.npy", "'<f8'", "(6,)", le(&floats, f64::to_le_bytes));
    folder.npy("f32.npy", "'<f4'", "(6,)", le(&[-1.0f32, 2.0, 1.0, 1e-45, -0.0, -1e-45], f32::to_le_bytes));
    folder.npy("m.npy", "'|b1'", "(6,)", [1, 0, 1, 1, 1, 1]);
    let mut csv = "x,y\n".to_owned();
    LOGITS.iter().zip(floats).for_each(|(x, y)| writeln!(csv, "{x},{y}").unwrap());
    folder.file("t.csv", csv);
    let schema = Arc::new(parse_message_type("message m { required float x; required int64 y; }").unwrap());
    let file = File::create(folder.path("t.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<FloatType>().write_batch(&LOGITS, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();

    let lightgbm = |args: &str| with_gradient(&folder, &format!("{args} --compat lightgbm --label-weight balanced"));
    let wanted = lightgbm("logits.npy labels.npy");
    assert_eq!(wanted.0[8], json!(0.5));
    let ignoring = lightgbm("logits.npy labels.npy --mask m.npy");
    for file in ["i8", "i64", "u8", "f64", "f32"].map(|name| format!("logits.npy {name}.npy")) {
        assert_eq!(lightgbm(&file), wanted, "{file}");
        assert_eq!(lightgbm(&format!("{file} --ignore-label 2")), ignoring, "{file}");
    }
    for file in ["t.csv --pred x --target y", "t.parquet --pred x --target y"] {
        assert_eq!(lightgbm(file), wanted, "{file}");
        assert_eq!(lightgbm(&format!("{file} --ignore-label 2")), ignoring, "{file}");
    }

    // NaN alone is none, unless it is what is ignored.
    let spoiled = floats.map(|z| if z == 2.0 { f64::NAN } else { z });
    folder.npy("f64.npy", "'<f8'", "(6,)", le(&spoiled, f64::to_le_bytes));
    assert_eq!(lightgbm("logits.npy f64.npy --ignore-label nan"), ignoring);
    for options in ["", "--ignore-label 7", "--label-weight balanced"] {
        let output = folder.run(&format!("eval logits.npy f64.npy --compat lightgbm {options}"));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with("error: f64.npy, index 1: the value is NaN: labels must not be NaN"), "{message}");
    }
    let json = folder.eval("logits.npy f64.npy --compat lightgbm --ignore-label 7 --non-finite propagate");
    assert_eq!((&json["value"], &json["count"]), (&Value::Null, &json!(6)));
}

/// A booster takes the derivatives of each element, whose files they are written to unless a reduction is given.
#[test]
fn derivatives_of_boosters() {
    let folder = Folder::new();
    let weights = [1.0f32, 0.5, 2.0, 4.0, 3.0, 7.0];
    folder.pair(&LOGITS, &LABELS).npy("w.npy", "'<f4'", "(6,)", le(&weights, f32::to_le_bytes));
    for system in ["xgboost", "lightgbm"] {
        for weight in ["", "--weight w.npy"] {
            let run = |reduction: &str| {
                let args = format!("logits.npy labels.npy {weight} --compat {system} {reduction}");
                let json = folder.eval(&format!("{args} --grad-out grad.npy --hess-out hess.npy"));
                let read = |name: &str| read_npy(&folder.path(name)).1;
                (json, read("grad.npy"), read("hess.npy"))
            };
            let (json, gradient, hessian) = run("");
            for (i, (&x, &z)) in LOGITS.iter().zip(&LABELS).enumerate() {
                let w = if weight.is_empty() { 1.0 } else { f64::from(weights[i]) };
                let p = 1.0 / (1.0 + (-f64::from(x)).exp());
                assert!((f64::from(gradient[i]) - w * (p - f64::from(z))).abs() <= 1e-6, "{system} {i}");
                assert!((f64::from(hessian[i]) - w * p * (1.0 - p)).abs() <= 1e-6, "{system} {i}");
            }
            let says = |json: &Value| json["notes"].to_string().contains("those of the sum");
            assert!(says(&json), "{json}");
            assert_eq!(json["reduction"], "weighted-mean");
            let (of_mean, divided, _) = run("--reduction mean");
            assert!(!says(&of_mean) && divided != gradient);
            assert_eq!(of_mean["value"], json["value"]);
            let (_, of_sum, _) = run("--reduction sum");
            assert_eq!(of_sum, gradient);
        }
    }
}

/// The base rate is that of the weighted labels, and its loss is over what the mean is over.
#[test]
fn weighted_base_rate() {
    let folder = Folder::new();
    let weights = [1.0f32, 0.5, 2.0, 4.0, 3.0, 7.0];
    folder.pair(&LOGITS, &LABELS).npy("w.npy", "'<f4'", "(6,)", le(&weights, f32::to_le_bytes));
    let rate = 6.5 / 17.5f64;
    let entropy = -rate * rate.ln() - (1.0 - rate) * (1.0 - rate).ln();
    for (reduction, divisor) in [("mean", 6.0), ("weighted-mean", 17.5), ("sum", 6.0)] {
        let json = folder.eval(&format!("logits.npy labels.npy --weight w.npy --reduction {reduction}"));
        assert_eq!(json["base_rate"], rate, "{reduction}");
        let loss = json["base_rate_loss"].as_f64().unwrap();
        assert!((loss - entropy * 17.5 / divisor).abs() <= 1e-12, "{reduction}: {loss}");
    }
    let json = folder.eval("logits.npy labels.npy");
    assert_eq!((&json["base_rate"], json["base_rate_loss"].is_number()), (&json!(0.5), true));
    // As scikit-learn's log_loss of that constant, with sample_weight.
    let constant = vec![rate; 6];
    folder.npy("p.npy", "'<f8'", "(6,)", le(&constant, f64::to_le_bytes));
    let json = folder.eval("p.npy labels.npy --from probabilities --weight w.npy --reduction weighted-mean");
    let (mean, loss) = (json["mean"].as_f64().unwrap(), json["base_rate_loss"].as_f64().unwrap());
    assert!((mean - loss).abs() <= 1e-7, "{mean} {loss}");
}
