//! Probabilities in f64 keep their digits from every format, and what is said of results follows the weights.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod util;

use std::{fs::File, path::Path, sync::Arc};

use parquet::{
    data_type::{DoubleType, Int32Type},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};
use util::{Folder, le, read_npy};

const P: [f64; 6] = [1.0 - 1e-7, 0.999_999_999, 1.0 - 2e-16, 1e-300, 0.3, 0.0];
const Y: [u8; 6] = [0, 0, 0, 1, 1, 0];
const LOSSES: [f64; 6] = [16.118_095_65, 20.723_265_87, 36.043_653_39, 690.775_527_9, 1.203_972_804, 0.0];

fn parquet(path: &Path) {
    let schema = Arc::new(parse_message_type("message m { required double p; required int32 y; }").unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&P, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&Y.map(i32::from), None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn from_every_format() {
    let folder = Folder::new();
    folder.npy("p.npy", "'<f8'", "(6,)", le(&P, f64::to_le_bytes)).npy("y.npy", "'|u1'", "(6,)", Y);
    folder.npy("b.npy", "'>f8'", "(6,)", le(&P, f64::to_be_bytes));
    folder.file("t.csv", P.iter().zip(Y).fold("p,y\n".to_owned(), |text, (p, y)| text + &format!("{p:e},{y}\n")));
    parquet(&folder.path("t.parquet"));
    for input in ["p.npy y.npy", "b.npy y.npy", "t.csv --pred p --target y", "t.parquet --pred p --target y"] {
        let json =
            folder.eval(&format!("{input} --from probabilities --loss-out l.npy --grad-out g.npy --reduction sum"));
        let (losses, gradients) = (read_npy(&folder.path("l.npy")).1, read_npy(&folder.path("g.npy")).1);
        for (i, (&loss, wanted)) in losses.iter().zip(LOSSES).enumerate() {
            assert!((f64::from(loss) - wanted).abs() <= 2e-7 * wanted, "{input}: {i}: {loss}, not {wanted}");
            let wanted = if Y[i] == 1 { -1.0 / P[i] } else { 1.0 / (1.0 - P[i]) };
            let gradient = f64::from(gradients[i]);
            let fits =
                (gradient - wanted).abs() <= 3e-7 * wanted.abs() || wanted < -3.5e38 && gradient == f64::NEG_INFINITY;
            assert!(fits, "{input}: gradient {i}: {gradient}, not {wanted}");
        }
        let sum = json["sum"].as_f64().unwrap();
        assert!((sum - LOSSES.iter().sum::<f64>()).abs() <= 1e-4, "{input}: {sum}");
        assert!(!json["notes"].to_string().contains("f32"), "{input}: {json}");
    }
    // The columns of a row may have different types.
    folder.file("two.csv", "a,b,x,y\n0.999999999,0.5,0,1\n0.25,1e-300,1,1\n");
    let json = folder.eval("two.csv --pred a,b --target x,y --from probabilities --reduction per-class");
    let values: Vec<f64> = json["value"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    assert!((values[0] - (20.723_266 + 1.386_294) / 2.0).abs() <= 1e-5, "{values:?}");
    assert!((values[1] - (std::f64::consts::LN_2 + 690.775_528) / 2.0).abs() <= 1e-4, "{values:?}");
}

/// scikit-learn 1.9.1 clips by the ε of the type of the array.
#[test]
fn clipped_by_the_type_of_the_file() {
    let folder = Folder::new();
    let p = [0.0, 0.7, 0.6, 0.2, 0.3];
    folder.npy("p.npy", "'<f8'", "(5,)", le(&p, f64::to_le_bytes)).npy("y.npy", "'|u1'", "(5,)", [1u8, 1, 1, 0, 0]);
    folder.npy("s.npy", "'<f4'", "(5,)", le(&p.map(|p| p as f32), f32::to_le_bytes));
    for (file, wanted) in [("p.npy", 7.498_194), ("s.npy", 3.477_941)] {
        let json = folder.eval(&format!("{file} y.npy --from probabilities --compat sklearn"));
        assert!((json["mean"].as_f64().unwrap() - wanted).abs() <= 1e-5, "{file}: {json}");
    }
}

/// An element that weighs nothing neither made the sum infinite, nor hides that there are two labels.
#[test]
fn notes_follow_the_weights() {
    let folder = Folder::new();
    folder.npy("p.npy", "'<f8'", "(3,)", le(&[0.0, 0.5, 0.0], f64::to_le_bytes)).npy(
        "y.npy",
        "'|u1'",
        "(3,)",
        [1, 0, 1],
    );
    let weighted = |weights: [f32; 3]| {
        folder.npy("w.npy", "'<f4'", "(3,)", le(&weights, f32::to_le_bytes));
        folder.eval("p.npy y.npy --from probabilities --weight w.npy")["notes"].to_string()
    };
    let notes = weighted([0.0, 1.0, 2.0]);
    assert!(notes.contains("index 2") && !notes.contains("index 0") && !notes.contains("rounded"), "{notes}");
    let notes = weighted([0.0, 1.0, 0.0]);
    assert!(!notes.contains("every label") && !notes.contains("infinite") && !notes.contains("index"), "{notes}");
}

/// A number that text has beyond what f64 has is said.
#[test]
fn text_beyond_f64() {
    let folder = Folder::new();
    folder.file("t.csv", "p,y\n0.99999999999999999999,1\n1e-400,0\n0.5,1\n");
    let json = folder.eval("t.csv --pred p --target y --from probabilities");
    assert!(json["notes"].to_string().contains("2 probabilities between 0 and 1 became 0 or 1 in f64"), "{json}");
    // One that is outside of [0, 1] by less than f64 sees is invalid.
    folder.file("v.csv", "p,y\n0.5,1\n1.00000000000000000001,0\n");
    let output = folder.run("eval v.csv --pred p --target y --from probabilities --device cpu");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("(line 3): the value is 1.00000000000000000001"), "{stderr}");
    // An invalid one is named as it is written.
    folder.file("u.csv", "p,y\n0.5,1\n1.0000000000000002,0\n");
    folder.refuses(
        1,
        "eval u.csv --pred p --target y --from probabilities --device cpu",
        "error: u.csv: column 'p', index 1 (line 3): the value is 1.0000000000000002: probabilities must lie in [0, 1]\n  help: clip them: numpy.clip(p, 0, 1)\n",
    );
}

/// Weights that are all 0 are said; a small invalid value is written with an exponent.
#[test]
fn small_things() {
    let folder = Folder::new();
    folder.npy("p.npy", "'<f8'", "(2,)", le(&[0.5, 0.25], f64::to_le_bytes)).npy("y.npy", "'|u1'", "(2,)", [1, 0]);
    folder.npy("w.npy", "'<f4'", "(2,)", le(&[0.0f32; 2], f32::to_le_bytes));
    let notes = folder.eval("p.npy y.npy --from probabilities --weight w.npy")["notes"].to_string();
    assert!(notes.contains("the weights sum to 0"), "{notes}");
    let notes = folder.eval("p.npy y.npy --from probabilities --weight y.npy")["notes"].to_string();
    assert!(notes.contains("the same file is the labels and the weights"), "{notes}");
    folder.npy("n.npy", "'<f8'", "(2,)", le(&[0.5, -5e-324], f64::to_le_bytes));
    let output = folder.run("eval n.npy y.npy --from probabilities --device cpu");
    assert!(String::from_utf8(output.stderr).unwrap().contains("the value is -5e-324"));
    // No file is both of what is generated.
    let output = folder.run("generate 10 --out g.npy --targets-out ./g.npy");
    assert!(!output.status.success() && !folder.path("g.npy").exists());
    // Classes of no rows are not allocated.
    folder.npy("e.npy", "'<f4'", "(0, 4294967296)", []).npy("z.npy", "'|u1'", "(0, 4294967296)", []);
    assert!(!folder.run("eval e.npy z.npy --reduction per-class --device cpu").status.success());
}
