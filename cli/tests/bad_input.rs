//! What goes wrong, each by its own hazard: the exit status, and a message that names the file, the column or index,
//! and how to mend it. No test here leaves a file behind: `refuses` looks.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod util;

use snapbox::str;
use util::{Folder, data, le, npy_header};

/// A folder with two small files that go together.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.pair(&[-3.5, 0.0, 0.25, 2.0], &[0, 1, 1, 0]);
    folder
}

/// A `.npy` file of labels, of one type.
fn labels<T: Copy, const N: usize>(descr: &str, values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Folder {
    let folder = folder();
    folder.npy("labels.npy", descr, &format!("({},)", values.len()), le(values, bytes));
    folder
}

const EVAL: &str = "eval logits.npy labels.npy --device cpu --loss-out loss.npy";

#[test]
fn missing() {
    folder().refuses(
        1,
        "eval logits.npy nowhere.npy",
        str![[r#"
error: nowhere.npy: cannot be read: No such file or directory (os error 2)
  help: check the name and the folder

"#]],
    );
    folder().refuses(
        1,
        "eval nowhere.parquet --pred a --target b",
        str![[r#"
error: nowhere.parquet: cannot be read: No such file or directory (os error 2)
  help: check the name and the folder

"#]],
    );
}

#[test]
fn empty() {
    let folder = folder();
    folder.file("labels.npy", "").file("a.csv", "").file("a.safetensors", "").file("a.parquet", "");
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy: is empty (0 bytes)
  help: write it again; it was perhaps cut short

"#]],
    );
    folder.refuses(
        1,
        "eval a.csv --pred x --target y",
        str![[r#"
error: a.csv: is empty (0 bytes)
  help: write it again; it was perhaps cut short

"#]],
    );
    folder.refuses(
        1,
        "eval a.safetensors --pred x --target y",
        str![[r#"
error: a.safetensors: is empty (0 bytes)
  help: write it again; it was perhaps cut short

"#]],
    );
    folder.refuses(
        1,
        "eval a.parquet --pred x --target y",
        str![[r#"
error: a.parquet: is empty (0 bytes)
  help: write it again; it was perhaps cut short

"#]],
    );
}

#[test]
fn folder_in_place_of_a_file() {
    folder().refuses(
        1,
        "eval . labels.npy",
        str![[r#"
error: .: is not a regular file
  help: save it to a file first: it is mapped into memory or read more than once

"#]],
    );
}

#[test]
fn truncated() {
    let folder = folder();
    let cut = |from: &str, to: &str, bytes: usize| {
        let whole = std::fs::read(if from.contains('/') { from.into() } else { folder.path(from) }).unwrap();
        folder.file(to, &whole[..bytes]);
    };
    cut("logits.npy", "short.npy", 140);
    folder.refuses(
        1,
        "eval short.npy labels.npy --grad-out grad.npy",
        str![[r#"
error: short.npy: is cut short: f32 values of shape [4] take 16 bytes, 12 are there
  help: write or copy the file again

"#]],
    );
    cut("logits.npy", "header.npy", 40);
    folder.refuses(
        1,
        "eval header.npy labels.npy",
        str![[r#"
error: header.npy: is cut short: the file ends inside its header
  help: write it with numpy.save

"#]],
    );
    cut("logits.npy", "magic.npy", 4);
    folder.refuses(
        1,
        "eval magic.npy labels.npy",
        str![[r#"
error: magic.npy: is no .npy file: magic not found for NPY file
  help: write it with numpy.save

"#]],
    );
    cut(&data("flights.parquet"), "short.parquet", 100_000);
    folder.refuses(
        1,
        "eval short.parquet --pred logit --target delayed",
        str![[r#"
error: short.parquet: is no Parquet file, or is cut short: Invalid Parquet file. Corrupt footer
  help: write or copy the file again

"#]],
    );

    assert!(folder.run("generate 100 --out whole.safetensors").status.success());
    cut("whole.safetensors", "short.safetensors", 300);
    folder.refuses(
        1,
        "eval short.safetensors --pred logit --target label",
        str![[r#"
error: short.safetensors: is cut short: its tensors do not end where the file does
  help: write or copy the file again

"#]],
    );
    cut("whole.safetensors", "header.safetensors", 30);
    folder.refuses(
        1,
        "eval header.safetensors --pred logit --target label",
        str![[r#"
error: header.safetensors: is cut short, or no .safetensors file: it ends inside its header
  help: write or copy the file again

"#]],
    );
    folder.file("short.csv", "x,y\n1,0\n2");
    folder.refuses(1, "eval short.csv --pred x --target y", str![[r#"
error: short.csv: CSV error: record 2 (line: 3, byte: 8): found record with 1 fields, but the previous record has 2 fields
  help: every record needs as many fields as the header line

"#]]);
}

#[test]
fn another_format() {
    let folder = folder();
    folder
        .file("a.npy", "PK\x03\x04 an archive, perhaps")
        .file("a.parquet", "x,y\n1,0\n")
        .file("a.safetensors", "x,y\n1,0\n");
    folder.refuses(
        1,
        "eval a.npy labels.npy",
        str![[r#"
error: a.npy: is no .npy file: magic not found for NPY file
  help: write it with numpy.save

"#]],
    );
    folder.refuses(
        1,
        "eval a.parquet --pred x --target y",
        str![[r#"
error: a.parquet: is no Parquet file, or is cut short: Invalid Parquet file. Corrupt footer
  help: write or copy the file again

"#]],
    );
    folder.refuses(
        1,
        "eval a.safetensors --pred x --target y",
        str![[r#"
error: a.safetensors: is no .safetensors file: header too large
  help: write or copy the file again

"#]],
    );
}

#[test]
fn wrong_dtype() {
    let folder = folder();
    folder.refuses(
        1,
        "eval labels.npy logits.npy --device cpu",
        str![[r#"
error: labels.npy: u8 values cannot be predictions
  help: logits.npy holds f32: are the two swapped?

"#]],
    );
    folder.npy("i.npy", "'<i8'", "(4,)", [0; 32]);
    folder.refuses(
        1,
        "eval i.npy labels.npy",
        str![[r#"
error: i.npy: i64 values cannot be predictions
  help: predictions are floats (f16, bf16, f32, f64): save them as such

"#]],
    );
    folder.npy("c.npy", "'<c8'", "(4,)", [0; 32]);
    folder.refuses(
        1,
        "eval c.npy labels.npy",
        str![[r#"
error: c.npy: '<c8' values cannot be evaluated
  help: save numbers: a.astype('float32'), labels as a.astype('uint8')

"#]],
    );
    folder.npy("l.npy", "'<f16'", "(4,)", [0; 64]);
    folder.refuses(
        1,
        "eval l.npy labels.npy",
        str![[r#"
error: l.npy: '<f16' values cannot be evaluated
  help: save a.astype('float64') or narrower

"#]],
    );
    folder.npy("u.npy", "'<U3'", "(4,)", [0; 48]);
    folder.refuses(
        1,
        "eval logits.npy u.npy",
        str![[r#"
error: u.npy: '<U3' values cannot be evaluated
  help: save numbers: a.astype('float32'), labels as a.astype('uint8')

"#]],
    );
    folder.npy("o.npy", "'|O'", "(4,)", [0; 48]);
    folder.refuses(
        1,
        "eval logits.npy o.npy",
        str![[r#"
error: o.npy: '|O' values cannot be evaluated
  help: they are pickled Python objects: save a.astype('float32')

"#]],
    );
    folder.npy("s.npy", "[('x', '<f4'), ('y', '|u1')]", "(4,)", [0; 20]);
    folder.refuses(
        1,
        "eval s.npy labels.npy",
        str![[r#"
error: s.npy: is a structured array of the fields x, y
  help: save one field of it, as a['name'].copy()

"#]],
    );
}

#[test]
fn wrong_dtype_of_a_column() {
    let folder = folder();
    std::fs::copy(data("flights.parquet"), folder.path("flights.parquet")).unwrap();
    folder.refuses(
        1,
        "eval flights.parquet --pred delayed --target logit",
        str![[r#"
error: flights.parquet: column 'delayed': bool values cannot be predictions
  help: predictions are floats (f16, f32, f64): are --pred and --target swapped?

"#]],
    );
    folder.file("words.csv", "x,y,note\n1.5,1,\"two\nlines\"\n-2,maybe,one\n");
    folder.refuses(
        1,
        "eval words.csv --pred x --target y",
        str![[r#"
error: words.csv: column 'y', index 1 (line 4): 'maybe' is no number
  help: write numbers as 0.5 or 5e-1, labels also as True and False; drop the rows that have none

"#]],
    );
    folder.refuses(
        1,
        "eval words.csv --pred y --target x",
        str![[r#"
error: words.csv: column 'y', index 1 (line 4): 'maybe' is no number
  help: write numbers as 0.5 or 5e-1, labels also as True and False; drop the rows that have none

"#]],
    );
}

#[test]
fn fortran_order() {
    let folder = folder();
    let bytes = le(&[0.0f32; 6], f32::to_le_bytes);
    folder.file("f.npy", [npy_header("'<f4'", "(3, 2)", true), bytes].concat());
    folder.npy("y.npy", "'|u1'", "(3, 2)", [0; 6]);
    folder.refuses(
        1,
        "eval f.npy y.npy",
        str![[r#"
error: f.npy: shape [3, 2] is stored in Fortran order (column by column)
  help: save it row by row: numpy.save(file, numpy.ascontiguousarray(a))

"#]],
    );
}

#[test]
fn zero_dimensions() {
    let folder = folder();
    folder.npy("zero.npy", "'<f4'", "()", [0; 4]);
    folder.refuses(
        1,
        "eval zero.npy labels.npy",
        str![[r#"
error: zero.npy: holds a single number (0-d)
  help: save an array: numpy.atleast_1d(a)

"#]],
    );
}

#[test]
fn three_dimensions() {
    let folder = folder();
    folder.npy("three.npy", "'<f4'", "(2, 2, 1)", [0; 16]);
    folder.refuses(
        1,
        "eval three.npy labels.npy",
        str![[r#"
error: three.npy: has 3 dimensions [2, 2, 1]
  help: save it as [N] or [N, C]: a.reshape(-1)

"#]],
    );
}

#[test]
fn absurd_dimensions() {
    let folder = folder();
    folder.npy("huge.npy", "'<f4'", "(4611686018427387904,)", [0; 16]);
    folder.refuses(
        1,
        "eval huge.npy labels.npy",
        str![[r#"
error: huge.npy: is cut short: f32 values of shape [4611686018427387904] take 18446744073709551616 bytes, 16 are there
  help: write or copy the file again

"#]],
    );
}

#[test]
fn mismatched_lengths() {
    let folder = folder();
    folder.npy("five.npy", "'|u1'", "(5,)", [0; 5]).npy("square.npy", "'|u1'", "(2, 2)", [0; 4]);
    folder.refuses(
        1,
        "eval logits.npy five.npy --device cpu --hess-out h.npy",
        str![[r#"
error: logits.npy has shape [4], five.npy has [5]
  help: every prediction needs one label: make the two the same shape, [N] or [N, C]

"#]],
    );
    folder.refuses(
        1,
        "eval logits.npy square.npy",
        str![[r#"
error: logits.npy has shape [4], square.npy has [2, 2]
  help: every prediction needs one label: make the two the same shape, [N] or [N, C]

"#]],
    );
    folder.npy("both.npy", "'<f4'", "(4, 2)", le(&[0.5; 8], f32::to_le_bytes));
    folder.refuses(
        1,
        "eval both.npy labels.npy --from probabilities",
        str![[r#"
error: both.npy has shape [4, 2], labels.npy has [4]
  help: every prediction needs one label: of the probabilities of two classes, save the second: p[:, 1]

"#]],
    );
    folder.file("ragged.csv", "x,y\n1,0\n1,0,7\n");
    folder.refuses(1, "eval ragged.csv --pred x --target y --device cpu", str![[r#"
error: ragged.csv: CSV error: record 2 (line: 3, byte: 8): found record with 3 fields, but the previous record has 2 fields
  help: every record needs as many fields as the header line

"#]]);
}

#[test]
fn unknown_column() {
    let folder = folder();
    std::fs::copy(data("flights.parquet"), folder.path("flights.parquet")).unwrap();
    folder.refuses(
        1,
        "eval flights.parquet --pred logits --target delayed",
        str![[r#"
error: flights.parquet: there is no column 'logits'
  help: there are: logit (f32), delayed (bool), distance (f32), month (i8)

"#]],
    );
    folder.file("a.csv", "x,y\n1,0\n").file("semi.csv", "x;y\n1;0\n");
    folder.refuses(
        1,
        "eval a.csv --pred x --target label",
        str![[r#"
error: a.csv: there is no column 'label'
  help: there are: x, y

"#]],
    );
    folder.refuses(
        1,
        "eval semi.csv --pred x --target y",
        str![[r#"
error: semi.csv: has a single column, 'x;y', and predictions and labels make two
  help: separate the fields by commas, and name them in the first line

"#]],
    );
    assert!(folder.run("generate 3 --out a.safetensors").status.success());
    folder.refuses(
        1,
        "eval a.safetensors --pred logit --target y",
        str![[r#"
error: a.safetensors: there is no tensor 'y'
  help: there are: label (U8 [3]), logit (F32 [3])

"#]],
    );
    folder.file("nameless.csv", "1.5,0\n-2,1\n");
    folder.refuses(
        1,
        "eval nameless.csv --pred x --target y",
        str![[r#"
error: nameless.csv: its first line holds numbers, and names of columns are read from there
  help: put a line of names before it, such as logit,label

"#]],
    );
    folder.file("twice.csv", "x,y,x\n1,0,1\n");
    folder.refuses(
        1,
        "eval twice.csv --pred x --target y",
        str![[r#"
error: twice.csv: more than one column is called 'x'
  help: rename one

"#]],
    );
}

/// However few values there are.
#[test]
fn shares_of_one_device() {
    let folder = folder();
    folder.refuses(
        2,
        "eval logits.npy labels.npy --shares 1,3",
        str![[r#"
error: --shares has 2 for 1 devices
  help: name as many shares as devices, as in `--device cpu,0 --shares 1,3`

"#]],
    );
}

#[test]
fn nulls() {
    let folder = folder();
    folder.file("b.csv", "x,y\n1,0\n2,\n").file("c.csv", "x,y\n,0\n");
    folder.refuses(
        1,
        "eval b.csv --pred x --target y",
        str![[r#"
error: b.csv: column 'y', index 1 (line 3): the value is missing (null)
  help: drop the rows that lack a value, or fill them in before evaluating: labels with a number to pass as --ignore-label

"#]],
    );
    folder.refuses(
        1,
        "eval c.csv --pred x --target y --grad-out grad.npy",
        str![[r#"
error: c.csv: column 'x', index 0 (line 2): the value is missing (null)
  help: drop the rows that lack a value, or fill them in before evaluating: labels with a number to pass as --ignore-label

"#]],
    );

    // The null is in the second row group.
    parquet_with_null(&folder.path("n.parquet"));
    folder.refuses(
        1,
        "eval n.parquet --pred x --target y",
        str![[r#"
error: n.parquet: column 'x', index 4: the value is missing (null)
  help: drop the rows that lack a value, or fill them in before evaluating: labels with a number to pass as --ignore-label

"#]],
    );
    folder.refuses(
        1,
        "eval n.parquet --pred x --target x --non-finite propagate",
        str![[r#"
error: n.parquet: column 'x', index 4: the value is missing (null)
  help: drop the rows that lack a value, or fill them in before evaluating: labels with a number to pass as --ignore-label

"#]],
    );
}

fn parquet_with_null(path: &std::path::Path) {
    use parquet::{
        data_type::{FloatType, Int64Type},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };
    let schema = parse_message_type("message m { optional float x; required int64 y; }").unwrap();
    let file = std::fs::File::create(path).unwrap();
    let properties = WriterProperties::builder().build();
    let mut writer = SerializedFileWriter::new(file, schema.into(), properties.into()).unwrap();
    for levels in [[1, 1, 1], [1, 0, 1]] {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values = [1.5f32; 3];
        let there = levels.iter().filter(|&&level| level == 1).count();
        column.typed::<FloatType>().write_batch(&values[..there], Some(&levels), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[0, 1, 0], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn nan() {
    let folder = folder();
    folder.pair(&[1.0, f32::NAN, 2.0], &[1, 0, 1]);
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: logits.npy, index 1: the value is NaN: logits must not be NaN
  help: drop that row; or pass --non-finite propagate to let NaN through to the results

"#]],
    );
    folder.npy("logits.npy", "'<f8'", "(3,)", le(&[1.0, 2.0, f64::NAN], f64::to_le_bytes));
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: logits.npy, index 2: the value is NaN: logits must not be NaN
  help: drop that row; or pass --non-finite propagate to let NaN through to the results

"#]],
    );
    folder.file("a.csv", "x,y\n1,0\n nan ,1\n").file("b.csv", "x,y\n1,0\n1,NaN\n");
    folder.refuses(
        1,
        "eval a.csv --pred x --target y --device cpu",
        str![[r#"
error: a.csv: column 'x', index 1 (line 3): the value is nan: logits must not be NaN
  help: drop that row; or pass --non-finite propagate to let NaN through to the results

"#]],
    );
    folder.refuses(
        1,
        "eval b.csv --pred x --target y --device cpu",
        str![[r#"
error: b.csv: column 'y', index 1 (line 3): the value is NaN: labels must be 0 or 1, or probabilities in between
  help: drop that row or mend its label; or leave it out with --ignore-label nan

"#]],
    );
    let folder = labels("'<f4'", &[0.0, 1.0, 0.5, f32::NAN], f32::to_le_bytes);
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 3: the value is NaN: labels must be 0 or 1, or probabilities in between
  help: drop that row or mend its label; or leave it out with --ignore-label nan

"#]],
    );
}

#[test]
fn label_of_two() {
    let folder = folder();
    folder.pair(&[0.0, 1.5, 3.0], &[0, 1, 2]).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
    labels("'<i8'", &[0i64, 1, 2, 1], i64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
    labels("'>i4'", &[0i32, 1, 2, 1], i32::to_be_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
    labels("'<f8'", &[0.0, 1.0, 2.0, 1.0], f64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
    folder.file("a.csv", "x,y\n1,0\n2,2\n").refuses(
        1,
        "eval a.csv --pred x --target y --device cpu",
        str![[r#"
error: a.csv: column 'y', index 1 (line 3): the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
}

#[test]
fn label_of_minus_one() {
    labels("'|i1'", &[1i8, 1, -1, 1], i8::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is -1: labels must be 0 or 1, or probabilities in between
  help: labels of -1 and 1 become 0 and 1 as (y + 1) / 2; -1 for 'unknown' is left out by --ignore-label -1

"#]],
    );
    labels("'<i8'", &[1i64, -1, -1, 1], i64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 1: the value is -1: labels must be 0 or 1, or probabilities in between
  help: labels of -1 and 1 become 0 and 1 as (y + 1) / 2; -1 for 'unknown' is left out by --ignore-label -1

"#]],
    );
    let folder = folder();
    folder
        .npy("y.npy", "'<i2'", "(2, 2)", le(&[1i16, 0, 1, -1], i16::to_le_bytes))
        .npy("x.npy", "'<f4'", "(2, 2)", [0; 16]);
    folder.refuses(
        1,
        "eval x.npy y.npy --device cpu",
        str![[r#"
error: y.npy, index [1, 1]: the value is -1: labels must be 0 or 1, or probabilities in between
  help: labels of -1 and 1 become 0 and 1 as (y + 1) / 2; -1 for 'unknown' is left out by --ignore-label -1

"#]],
    );
}

#[test]
fn labels_that_would_wrap() {
    labels("'<i8'", &[0i64, 256, 1, 1], i64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 1: the value is 256: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 256 for 'unknown' is left out by --ignore-label=256

"#]],
    );
    labels("'<u8'", &[0u64, 1, (1 << 32) + 1, 1], u64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 4294967297: labels must be 0 or 1, or probabilities in between
  help: drop that row or mend its label; or are predictions and labels swapped?

"#]],
    );
    labels("'<i8'", &[0i64, 1, 1, i64::MIN], i64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 3: the value is -9223372036854775808: labels must be 0 or 1, or probabilities in between
  help: drop that row or mend its label; or are predictions and labels swapped?

"#]],
    );
    labels("'<f8'", &[0.0, 1.0, 1.0 + f64::EPSILON, 1.0], f64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 1.0000000000000002: labels must be 0 or 1, or probabilities in between
  help: drop that row or mend its label; or are predictions and labels swapped?

"#]],
    );
}

#[test]
fn the_first_of_two_offenders_is_named() {
    let folder = labels("'<i8'", &[0i64, 0, 0, -7], i64::to_le_bytes);
    folder.npy("logits.npy", "'<f8'", "(4,)", le(&[0.0, 2.0, f64::NAN, f64::NAN], f64::to_le_bytes));
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: logits.npy, index 2: the value is NaN: logits must not be NaN
  help: drop that row; or pass --non-finite propagate to let NaN through to the results

"#]],
    );
}

#[test]
fn an_offender_far_into_a_file() {
    let folder = folder();
    let mut values = vec![0i64; 2_500_000];
    values[2_400_000] = 3;
    folder.npy("labels.npy", "'<i8'", "(2500000,)", le(&values, i64::to_le_bytes));
    folder.sparse("logits.npy", "'<f4'", 2_500_000, 4);
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2400000: the value is 3: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 3 for 'unknown' is left out by --ignore-label=3

"#]],
    );
}

#[test]
fn probability_above_one() {
    let folder = folder();
    folder.pair(&[0.5, 1.2, -0.1], &[0, 1, 1]);
    folder.refuses(
        1,
        &format!("{EVAL} --from probabilities"),
        str![[r#"
error: logits.npy, index 1: the value is 1.2: probabilities must lie in [0, 1]
  help: if these are logits, leave out --from probabilities; else clip them

"#]],
    );
    folder.npy("logits.npy", "'<f8'", "(3,)", le(&[0.5, 1.0, 1.0 + f64::EPSILON], f64::to_le_bytes));
    folder.refuses(
        1,
        &format!("{EVAL} --from probabilities"),
        str![[r#"
error: logits.npy, index 2: the value is 1.0000000000000002: probabilities must lie in [0, 1]
  help: if these are logits, leave out --from probabilities; else clip them

"#]],
    );
    folder.file("a.csv", "x,y\n0.5,0\n1.00000000001,1\n");
    folder.refuses(
        1,
        "eval a.csv --pred x --target y --device cpu --from probabilities",
        str![[r#"
error: a.csv: column 'x', index 1 (line 3): the value is 1.00000000001: probabilities must lie in [0, 1]
  help: if these are logits, leave out --from probabilities; else clip them

"#]],
    );
}

#[test]
fn unwritable_output() {
    let folder = folder();
    let eval = "eval logits.npy labels.npy --device cpu";
    folder.refuses(
        1,
        &format!("{eval} --loss-out nowhere/loss.npy"),
        str![[r#"
error: nowhere/loss.npy: cannot be written: its folder does not exist
  help: make sure that the folder 'nowhere' exists and that you may write to it

"#]],
    );
    std::fs::create_dir(folder.path("there.npy")).unwrap();
    folder.refuses(
        1,
        &format!("{eval} --loss-out there.npy"),
        str![[r#"
error: there.npy: cannot be written: it is not a regular file
  help: give the name of a file; what is not asked for is not written

"#]],
    );
    // The first output is begun before the second fails.
    folder.refuses(
        1,
        &format!("{eval} --loss-out loss.npy --grad-out nowhere/grad.npy"),
        str![[r#"
error: nowhere/grad.npy: cannot be written: its folder does not exist
  help: make sure that the folder 'nowhere' exists and that you may write to it

"#]],
    );
    folder.refuses(
        1,
        "generate 10 --out nowhere/a.parquet",
        str![[r#"
error: nowhere/a.parquet: cannot be written: its folder does not exist
  help: make sure that the folder 'nowhere' exists and that you may write to it

"#]],
    );
}

#[test]
fn output_that_makes_no_sense() {
    let folder = folder();
    let eval = "eval logits.npy labels.npy --device cpu";
    folder.refuses(
        2,
        &format!("{eval} --loss-out loss.csv"),
        str![[r#"
error: --loss-out loss.csv: outputs are NumPy files
  help: name it loss.npy

"#]],
    );
    folder.refuses(
        2,
        &format!("{eval} --loss-out a.npy --grad-out ./a.npy"),
        str![[r#"
error: --grad-out ./a.npy: this is --loss-out already
  help: give every file a name of its own

"#]],
    );
    folder.refuses(
        2,
        &format!("{eval} --loss-out ./logits.npy"),
        str![[r#"
error: --loss-out ./logits.npy: this is an input already
  help: give every file a name of its own

"#]],
    );
}

#[test]
fn command_line_that_makes_no_sense() {
    let folder = folder();
    std::fs::copy(data("flights.parquet"), folder.path("flights.parquet")).unwrap();
    folder.file("a.txt", "x,y\n1,0\n");
    folder.refuses(
        2,
        "eval logits.npy",
        str![[r#"
error: logits.npy: the labels are missing
  help: pass a second .npy file: logloss eval PREDICTIONS.npy TARGETS.npy

"#]],
    );
    folder.refuses(
        2,
        "eval logits.npy labels.npy --pred x",
        str![[r#"
error: logits.npy: a .npy file holds one array, which has no name
  help: leave out --pred and --target

"#]],
    );
    folder.refuses(
        2,
        "eval logits.npy flights.parquet",
        str![[r#"
error: flights.parquet: labels beside a .npy file must be one too
  help: save them with numpy.save, or put both into one .parquet, .csv or .safetensors file

"#]],
    );
    folder.refuses(
        2,
        "eval flights.parquet",
        str![[r#"
error: flights.parquet: which columns? --pred NAME and --target NAME are needed
  help: there are: logit (f32), delayed (bool), distance (f32), month (i8)

"#]],
    );
    folder.refuses(
        2,
        "eval flights.parquet labels.npy --pred logit --target delayed",
        str![[r#"
error: labels.npy: one file too many: flights.parquet holds the labels too
  help: leave it out and name the columns with --pred NAME --target NAME

"#]],
    );
    folder.refuses(
        2,
        "eval a.txt --pred x --target y",
        str![[r#"
error: a.txt: a file whose name ends in '.txt' cannot be read
  help: pass two .npy files, or a .parquet, .csv or .safetensors file

"#]],
    );
    folder.refuses(
        2,
        "eval logits.npy labels.npy --scale inf",
        str![[r#"
error: invalid value 'inf' for '--scale <FACTOR>': say a finite number

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        2,
        "generate many --out a.csv",
        str![[r#"
error: invalid value 'many' for '<N>': say a whole number, such as 1000000 or 1e6

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        2,
        "generate 5 --out a.npy",
        str![[r#"
error: a.npy: a .npy file has no room for the labels
  help: pass --targets-out LABELS.npy too

"#]],
    );
    folder.refuses(
        2,
        "generate 5 --out a.csv --dtype bf16",
        str![[r#"
error: a.csv: '.csv' has no bf16
  help: pass --dtype f16 or f32, or write a .safetensors file

"#]],
    );
    folder.refuses(
        2,
        "generate 5 --out a.txt",
        str![[r#"
error: a.txt: a file whose name ends in '.txt' cannot be written
  help: name it .npy, .parquet, .csv or .safetensors

"#]],
    );
    folder.refuses(
        2,
        "generate 5 --out a.csv --pred x --target x",
        str![[r#"
error: a.csv: predictions and labels are both called 'x'
  help: pass --pred NAME or --target NAME

"#]],
    );
}

#[test]
fn no_such_device() {
    let folder = folder();
    folder.refuses(
        1,
        "eval logits.npy labels.npy --device imaginary",
        str![[r#"
error: no device 'imaginary'; there are: cpu[..]
  help: `logloss devices` lists what there is; `--device cpu` always works

"#]],
    );
    folder.refuses(
        1,
        "eval logits.npy labels.npy --device 99 --loss-out loss.npy",
        str![[r#"
error: no device '99'; there are: cpu[..]
  help: `logloss devices` lists what there is; `--device cpu` always works

"#]],
    );
}

#[test]
fn weights_of_the_wrong_length_or_shape() {
    let folder = folder();
    folder
        .npy("w.npy", "'<f4'", "(5,)", [0; 20])
        .npy("x.npy", "'<f4'", "(2, 3)", [0; 24])
        .npy("y.npy", "'|u1'", "(2, 3)", [0; 6])
        .npy("v.npy", "'<f4'", "(3,)", [0; 12]);
    folder.refuses(1, &format!("{EVAL} --weight w.npy"), str![[r#"
error: logits.npy has shape [4], w.npy has [5]
  help: weights have the shape of the predictions, or [N], one for each sample; one for each class is --class-weight a,b,…

"#]]);
    folder.refuses(1, "eval x.npy y.npy --weight v.npy", str![[r#"
error: x.npy has shape [2, 3], v.npy has [3]
  help: weights have the shape of the predictions, or [N], one for each sample; one for each class is --class-weight a,b,…

"#]]);
    folder.refuses(
        1,
        &format!("{EVAL} --weight nowhere.npy"),
        str![[r#"
error: nowhere.npy: cannot be read: No such file or directory (os error 2)
  help: check the name and the folder

"#]],
    );
    folder.npy("c.npy", "'<c8'", "(4,)", [0; 32]);
    folder.refuses(
        1,
        &format!("{EVAL} --weight c.npy"),
        str![[r#"
error: c.npy: '<c8' values cannot be evaluated
  help: save numbers: a.astype('float32'), labels as a.astype('uint8')

"#]],
    );
}

#[test]
fn invalid_weights_are_named_by_file_and_index() {
    let folder = folder();
    let eval = format!("{EVAL} --weight w.npy");
    folder.npy("w.npy", "'<f4'", "(4,)", le(&[1.0, 0.0, -0.5, f32::NAN], f32::to_le_bytes));
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: w.npy, index 2: the value is -0.5: weights must be finite in f32, and at least 0
  help: mend it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    // f32 would have made it a valid 0.
    folder.npy("w.npy", "'<f8'", "(4,)", le(&[1.0, 0.0, 1.0, -1e-300], f64::to_le_bytes));
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: w.npy, index 3: the value is -1e-300: weights must be finite in f32, and at least 0
  help: mend it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.npy("w.npy", "'<f8'", "(4,)", le(&[1.0, 1e39, 1.0, 1.0], f64::to_le_bytes));
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: w.npy, index 1: the value is 1e39: weights must be finite in f32, and at least 0
  help: mend it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.npy("w.npy", "'<i8'", "(4,)", le(&[1i64, 1, 1, -3], i64::to_le_bytes));
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: w.npy, index 3: the value is -3: weights must be finite in f32, and at least 0
  help: mend it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.npy("w.npy", "'<f2'", "(4,)", [0, 0, 0, 0, 0, 0x7c, 0, 0]);
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: w.npy, index 2: the value is inf: weights must be finite in f32, and at least 0
  help: mend it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    // A sample's weight has the index of the sample.
    folder.npy("x.npy", "'<f4'", "(3, 2)", [0; 24]).npy("y.npy", "'|u1'", "(3, 2)", [0; 6]).npy(
        "w.npy",
        "'<f4'",
        "(3,)",
        le(&[1.0f32, 1.0, -2.0], f32::to_le_bytes),
    );
    folder.refuses(
        1,
        "eval x.npy y.npy --weight w.npy --device cpu",
        str![[r#"
error: w.npy, index 2: the value is -2: weights must be finite in f32, and at least 0
  help: mend it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.file("t.csv", "x,y,w,u\n1,0,1,1\n1,1,-1e-50,1\n");
    folder.refuses(
        1,
        "eval t.csv --pred x --target y --weight w --device cpu",
        str![[r#"
error: t.csv: column 'w', index 1 (line 3): the value is -1e-50: weights must be finite in f32, and at least 0
  help: mend it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.refuses(
        1,
        "eval t.csv --pred x,x --target y,y --weight u,w --device cpu",
        str![[r#"
error: t.csv: column 'w', index 1 (line 3): the value is -1e-50: weights must be finite in f32, and at least 0
  help: mend it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.refuses(
        1,
        "eval t.csv --pred x --target y --weight v --device cpu",
        str![[r#"
error: t.csv: there is no column 'v'
  help: there are: x, y, w, u

"#]],
    );
}

#[test]
fn masks_that_do_not_fit() {
    let folder = folder();
    folder.npy("m.npy", "'|b1'", "(5,)", [1; 5]).npy("f.npy", "'<f4'", "(4,)", [0; 16]).file("m.txt", "1");
    folder.refuses(
        1,
        &format!("{EVAL} --mask m.npy"),
        str![[r#"
error: m.npy has shape [5], the predictions have [4]
  help: a mask has the shape of the predictions; for a mask by sample, repeat it: numpy.broadcast_to(m[:, None], (N, C))

"#]],
    );
    folder.refuses(
        1,
        &format!("{EVAL} --mask f.npy"),
        str![[r#"
error: f.npy: f32 values cannot be a mask
  help: save it as m.astype(bool): true where an element counts

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --mask m.txt"),
        str![[r#"
error: --mask m.txt: a mask is a NumPy file
  help: save it with numpy.save, as bool or u8 of the predictions' shape

"#]],
    );
    folder.npy("x.npy", "'<f4'", "(2, 3)", [0; 24]).npy("y.npy", "'|u1'", "(2, 3)", [0; 6]);
    folder.npy("m.npy", "'|b1'", "(2,)", [1; 2]);
    folder.refuses(
        1,
        "eval x.npy y.npy --mask m.npy",
        str![[r#"
error: m.npy has shape [2], the predictions have [2, 3]
  help: a mask has the shape of the predictions; for a mask by sample, repeat it: numpy.broadcast_to(m[:, None], (N, C))

"#]],
    );
    // How many rows a .csv file has is known at its end.
    folder.file("t.csv", "x,y\n1,0\n1,1\n1,1\n");
    folder.refuses(
        1,
        "eval t.csv --pred x --target y --mask m.npy --grad-out g.npy --device cpu",
        str![[r#"
error: m.npy has shape [2], the predictions have more rows
  help: a mask has the shape of the predictions; for a mask by sample, repeat it: numpy.broadcast_to(m[:, None], (N, C))

"#]],
    );
    folder.npy("m.npy", "'|b1'", "(4,)", [1; 4]);
    folder.refuses(
        1,
        "eval t.csv --pred x --target y --mask m.npy --grad-out g.npy --device cpu",
        str![[r#"
error: m.npy has shape [4], the predictions have 3 rows
  help: a mask has the shape of the predictions; for a mask by sample, repeat it: numpy.broadcast_to(m[:, None], (N, C))

"#]],
    );
}

#[test]
fn an_offender_after_ones_that_are_left_out() {
    let folder = folder();
    folder.npy("logits.npy", "'<f8'", "(4,)", le(&[-1.5, 0.5, 1.0 + f64::EPSILON, 0.0], f64::to_le_bytes));
    folder.npy("m.npy", "'|b1'", "(4,)", [0, 1, 1, 1]);
    folder.refuses(
        1,
        &format!("{EVAL} --from probabilities --mask m.npy"),
        str![[r#"
error: logits.npy, index 2: the value is 1.0000000000000002: probabilities must lie in [0, 1]
  help: if these are logits, leave out --from probabilities; else clip them

"#]],
    );
    let folder = labels("'<f8'", &[0.0, -1.0, f64::NAN, 1.0], f64::to_le_bytes);
    folder.refuses(
        1,
        &format!("{EVAL} --ignore-label -1"),
        str![[r#"
error: labels.npy, index 2: the value is NaN: labels must be 0 or 1, or probabilities in between
  help: drop that row or mend its label; or leave it out with --ignore-label nan

"#]],
    );
    let folder = labels("'<i8'", &[0, 255, -1, 254], i64::to_le_bytes);
    folder.refuses(
        1,
        &format!("{EVAL} --ignore-label -1"),
        str![[r#"
error: labels.npy, index 1: the value is 255: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 255 for 'unknown' is left out by --ignore-label=255

"#]],
    );
}

#[test]
fn labels_that_cannot_be_balanced() {
    let folder = folder();
    folder.pair(&[1.0, 2.0], &[1, 1]);
    folder.refuses(
        1,
        &format!("{EVAL} --label-weight balanced"),
        str![[r#"
error: labels.npy: labels cannot be balanced: 0 are negative and 2 positive
  help: say what the labels weigh: --label-weight W0,W1

"#]],
    );
    let folder = labels("'<f4'", &[0.0f32, 0.25, 1.0, 0.5], f32::to_le_bytes);
    folder.refuses(
        1,
        &format!("{EVAL} --label-weight balanced"),
        str![[r#"
error: labels.npy, index 1: the value is 0.25: labels that are to be balanced must be 0 or 1
  help: say what the labels weigh: --label-weight W0,W1

"#]],
    );
    let folder = labels("'<i8'", &[0i64, 1, 2, 1], i64::to_le_bytes);
    folder.refuses(
        1,
        &format!("{EVAL} --label-weight balanced"),
        str![[r#"
error: labels.npy, index 2: the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
}

#[test]
fn what_scikit_learn_refuses() {
    let folder = folder();
    let eval = format!("{EVAL} --compat sklearn");
    folder.pair(&[1.0, 2.0], &[1, 1]);
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: labels.npy: every label is 1, and scikit-learn's log_loss needs both 0 and 1 to be there
  help: evaluate more of the data; or pass --non-finite propagate, which is log_loss(…, labels=[0, 1])

"#]],
    );
    folder.pair(&[], &[]);
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: labels.npy: there are no labels, and scikit-learn's log_loss needs one at least
  help: evaluate a file that has any; or pass --non-finite propagate, for a mean of NaN

"#]],
    );
    folder.pair(&[1.0, 2.0], &[1, 0]).npy("w.npy", "'<f4'", "(2,)", [0; 8]);
    folder.refuses(
        1,
        &format!("{eval} --weight w.npy"),
        str![[r#"
error: every weight is 0, and scikit-learn's log_loss needs one that is not
  help: mend the weights; or pass --non-finite propagate, for a weighted mean of NaN

"#]],
    );
    folder.npy("logits.npy", "'<f4'", "(3,)", le(&[0.5f32, 0.25, 1.0], f32::to_le_bytes));
    folder.npy("labels.npy", "'<f4'", "(3,)", le(&[1.0f32, 0.5, 0.0], f32::to_le_bytes));
    folder.refuses(
        1,
        &format!("{eval} --from probabilities"),
        str![[r#"
error: labels.npy, index 1: the value is 0.5: scikit-learn's log_loss takes labels of 0 and 1
  help: leave out --compat sklearn; or pass --non-finite propagate, for the loss of soft labels

"#]],
    );
    // By rows nothing is refused for one of them; and on request nothing is refused at all.
    folder.pair(&[1.0, 2.0], &[1, 0]);
    assert!(folder.run(&format!("{eval} --reduction per-row")).status.success());
    folder.pair(&[1.0, 2.0], &[1, 1]);
    assert!(folder.run(&format!("{eval} --non-finite propagate")).status.success());
}

#[test]
fn options_that_make_no_sense() {
    let folder = folder();
    std::fs::copy(data("flights.parquet"), folder.path("flights.parquet")).unwrap();
    let parquet = "eval flights.parquet --pred logit --target delayed";
    for options in [
        "--compat pytorch",
        "--reduction median",
        "--value-out v.npy",
        "--value-out v.npy --reduction none",
        "--label-weight is-unbalance",
        "--label-weight is-unbalance --compat lightgbm --pos-weight 2",
        "--label-weight 1,2 --compat lightgbm --pos-weight 2",
        "--label-weight 1",
        "--label-weight -1,1",
        "--pos-weight -1",
        "--pos-weight 1,2",
        "--class-weight 1,nan",
        "--class-weight 1,2",
        "--label-smoothing 1",
        "--focal-gamma -2",
        "--focal-gamma 2 --focal-alpha 1.5",
        "--focal-alpha 0.25",
        "--ignore-label 0.5",
        "--ignore-label nan",
        "--weight weights.parquet",
    ] {
        let output = folder.run(&format!("{EVAL} {options}"));
        assert_eq!(output.status.code(), Some(2), "{options}: {}", String::from_utf8_lossy(&output.stderr));
    }
    folder.refuses(
        2,
        &format!("{EVAL} --compat pytorch"),
        str![[r#"
error: invalid value 'pytorch' for '--compat <SYSTEM>'
  [possible values: torch, keras, tensorflow, sklearn, xgboost, lightgbm]

  tip: a similar value exists: 'torch'

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --value-out v.npy --reduction none"),
        str![[r#"
error: --value-out: nothing is reduced with --reduction none
  help: the loss of each element is what --loss-out writes

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --compat lightgbm --label-weight is-unbalance --pos-weight 2"),
        str![[r#"
error: --label-weight and --pos-weight at the same time, which LightGBM refuses too
  help: leave one out: is_unbalance is a weight of the positives that is counted, scale_pos_weight one that is given

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --class-weight 1,2"),
        str![[r#"
error: --class-weight: 2 values for 1 class
  help: give one value for each class

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --ignore-label nan"),
        str![[r#"
error: labels.npy: holds u8, which is never nan
  help: pass --ignore-label L with the number that marks what to leave out, or --mask M.npy

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --weight distance"),
        str![[r#"
error: --weight distance: weights beside a .npy file must be one too
  help: save them with numpy.save, as [N, C] or [N]; one for each class is --class-weight a,b,…

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --reduction per-row --value-out loss.npy"),
        str![[r#"
error: --value-out loss.npy: this is --loss-out already
  help: give every file a name of its own

"#]],
    );
    folder.refuses(
        2,
        &format!("{parquet} --weight labels.npy"),
        str![[r#"
error: --weight labels.npy: weights of flights.parquet are in one of its columns
  help: name it; there are: logit (f32), delayed (bool), distance (f32), month (i8)

"#]],
    );
    folder.refuses(
        2,
        &format!("{parquet},distance"),
        str![[r#"
error: --pred and --target name 1 and 2 columns
  help: name one column of labels for each of predictions, in the same order

"#]],
    );
    folder.refuses(
        2,
        "eval flights.parquet --pred logit,distance --target delayed",
        str![[r#"
error: --pred and --target name 2 and 1 columns
  help: name one column of labels for each of predictions, in the same order

"#]],
    );
    folder.refuses(
        2,
        "eval flights.parquet --pred logit,logit,logit --target delayed,delayed,delayed --weight distance,month",
        str![[r#"
error: --pred and --weight name 3 and 2 columns
  help: name one column of weights for all, or one for each column of predictions

"#]],
    );
}

#[cfg(unix)]
#[test]
fn too_many_classes() {
    let folder = folder();
    folder.sparse("x.npy", "'<f4'", 70_000_000, 4).sparse("y.npy", "'|u1'", 70_000_000, 1);
    let shaped = |name: &str, descr: &str, size: u64| {
        let header = npy_header(descr, "(2, 35000000)", false);
        let file = std::fs::File::options().write(true).open(folder.path(name)).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &header, 0).unwrap();
        file.set_len(header.len() as u64 + 70_000_000 * size).unwrap();
    };
    shaped("x.npy", "'<f4'", 4);
    shaped("y.npy", "'|u1'", 1);
    folder.refuses(2, "eval x.npy y.npy --reduction per-class", str![[r#"
error: shape [2, 35000000]: 35000000 classes are too many to be told apart
  help: evaluate some of them at a time; or leave out --class-weight, weights by sample, and --reduction per-class and per-row, which would hold 2048 rows at a time

"#]]);
}

#[test]
fn rows_too_many_for_json() {
    let folder = folder();
    folder.sparse("x.npy", "'<f4'", 20_000_000, 4).sparse("y.npy", "'|u1'", 20_000_000, 1);
    folder.refuses(
        2,
        "eval x.npy y.npy --reduction per-row --json",
        str![[r#"
error: --reduction per-row --json: more than 16777216 rows
  help: pass --value-out F.npy: their values go there, and not into the JSON

"#]],
    );
}
