//! Files that are not what they should be.

use super::*;

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
error: magic.npy: is not a .npy file: magic not found for NPY file
  help: write it with numpy.save

"#]],
    );
    cut(&data("flights.parquet"), "short.parquet", 100_000);
    folder.refuses(
        1,
        "eval short.parquet --pred logit --target delayed",
        str![[r#"
error: short.parquet: is not a Parquet file, or is cut short: Invalid Parquet file. Corrupt footer
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
error: header.safetensors: is cut short, or not a .safetensors file: it ends inside its header
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
error: a.npy: is not a .npy file: magic not found for NPY file
  help: write it with numpy.save

"#]],
    );
    folder.refuses(
        1,
        "eval a.parquet --pred x --target y",
        str![[r#"
error: a.parquet: is not a Parquet file, or is cut short: Invalid Parquet file. Corrupt footer
  help: write or copy the file again

"#]],
    );
    folder.refuses(
        1,
        "eval a.safetensors --pred x --target y",
        str![[r#"
error: a.safetensors: is not a .safetensors file: header too large
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
  help: save one field of it: numpy.ascontiguousarray(a['name'])

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
error: words.csv: column 'y', index 1 (line 4): 'maybe' is not a number
  help: write numbers as 0.5 or 5e-1, labels also as True and False; drop the rows that have none

"#]],
    );
    folder.refuses(
        1,
        "eval words.csv --pred y --target x",
        str![[r#"
error: words.csv: column 'y', index 1 (line 4): 'maybe' is not a number
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
  help: reshape predictions and labels alike, with their axes in the same order: a.reshape(-1), or a.reshape(-1, C) where the last axis is the classes

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
  help: every prediction needs one label: of the probabilities of two classes, save the second: numpy.ascontiguousarray(p[:, 1])

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

#[test]
fn nulls() {
    let folder = folder();
    folder.file("b.csv", "x,y\n1,0\n2,\n").file("c.csv", "x,y\n,0\n");
    folder.refuses(
        1,
        "eval b.csv --pred x --target y",
        str![[r#"
error: b.csv: column 'y', index 1 (line 3): the value is missing (null)
  help: drop the rows that lack a value, or fill them in before evaluating; --ignore-label nan leaves out labels that are missing

"#]],
    );
    folder.refuses(
        1,
        "eval c.csv --pred x --target y --grad-out grad.npy",
        str![[r#"
error: c.csv: column 'x', index 0 (line 2): the value is missing (null)
  help: drop the rows that lack a value, or fill them in before evaluating; --ignore-label nan leaves out labels that are missing

"#]],
    );

    // The null is in the second row group.
    parquet_with_null(&folder.path("n.parquet"));
    folder.refuses(
        1,
        "eval n.parquet --pred x --target y",
        str![[r#"
error: n.parquet: column 'x', index 4: the value is missing (null)
  help: drop the rows that lack a value, or fill them in before evaluating; --ignore-label nan leaves out labels that are missing

"#]],
    );
    folder.refuses(
        1,
        "eval n.parquet --pred x --target x --non-finite propagate",
        str![[r#"
error: n.parquet: column 'x', index 4: the value is missing (null)
  help: drop the rows that lack a value, or fill them in before evaluating; --ignore-label nan leaves out labels that are missing

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

/// Advice on shapes keeps every label with its prediction.
#[test]
fn shapes_of_classes() {
    let folder = folder();
    folder.npy("z.npy", "'<f4'", "(4, 2)", [0; 32]).npy("y4.npy", "'|u1'", "(4,)", [0; 4]);
    folder.refuses(1, "eval z.npy y4.npy", str![[r#"
error: z.npy has shape [4, 2], y4.npy has [4]
  help: every prediction needs one label: of the logits of two classes, save their difference: numpy.ascontiguousarray(z[:, 1] - z[:, 0]); of their probabilities, numpy.ascontiguousarray(p[:, 1]), with --from probabilities

"#]]);
    folder.refuses(1, "eval z.npy y4.npy --from probabilities", str![[r#"
error: z.npy has shape [4, 2], y4.npy has [4]
  help: every prediction needs one label: of the probabilities of two classes, save the second: numpy.ascontiguousarray(p[:, 1])

"#]]);
    folder.npy("c.npy", "'<f4'", "(4, 3)", [0; 48]).refuses(
        1,
        "eval c.npy y4.npy",
        str![[r#"
error: c.npy has shape [4, 3], y4.npy has [4]
  help: every prediction needs one label: of class numbers, save a column for each class: y[:, None] == numpy.arange(3)

"#]],
    );
    folder.npy("t.npy", "'|u1'", "(3, 4)", [0; 12]).refuses(
        1,
        "eval c.npy t.npy",
        str![[r#"
error: c.npy has shape [4, 3], t.npy has [3, 4]
  help: every prediction needs one label: the axes are swapped, save numpy.ascontiguousarray(y.T)

"#]],
    );
    folder.npy("s.npy", "'<f4'", "(3, 4, 2)", [0; 96]).refuses(1, "eval s.npy t.npy", str![[r#"
error: s.npy: has 3 dimensions [3, 4, 2]
  help: of two classes in the last axis, save numpy.ascontiguousarray(p[..., 1]) of probabilities, or z[..., 1] - z[..., 0] of logits, with the axes in the order of the labels; else reshape predictions and labels alike: a.reshape(-1)

"#]]);
    folder.npy("f.npy", "'<f4'", "(3, 4, 5)", [0; 240]).refuses(1, "eval f.npy t.npy", str![[r#"
error: f.npy: has 3 dimensions [3, 4, 5]
  help: reshape predictions and labels alike, with their axes in the same order: a.reshape(-1), or a.reshape(-1, C) where the last axis is the classes

"#]]);
}
