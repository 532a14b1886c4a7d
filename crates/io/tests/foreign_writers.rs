//! Files as other libraries write them, byte for byte where the bytes are unusual. The scripts in `findings/` show that
//! the libraries write them so.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::PathBuf};

use logloss::{
    Batch, Engine, Floats, Form, Objective, Outputs,
    half::{bf16, f16},
};
use logloss_io::{Error, Inputs, Note, OutputPaths, Place, RunSpec, Selection, run};
use parquet::{
    data_type::{DataType, DoubleType, FloatType},
    file::{
        properties::{EnabledStatistics, WriterProperties},
        reader::{FileReader, SerializedFileReader},
        statistics::Statistics,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};
use tempfile::TempDir;

/// Values that bf16 holds exactly, and whose losses all differ.
const LOGITS: [f32; 5] = [-3.5, 0.25, 2.0, -0.5, 7.0];
const LABELS: [u8; 5] = [0, 1, 1, 0, 1];

fn logit_bytes() -> Vec<u8> {
    LOGITS.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A `.npy` file of a format version, with this header as its writer pads it.
fn npy(version: u8, header: &str, values: &[u8]) -> Vec<u8> {
    let len = (header.len() as u32).to_le_bytes();
    let len = if version == 1 { &len[..2] } else { &len[..] };
    [b"\x93NUMPY", &[version, 0][..], len, header.as_bytes(), values].concat()
}

/// A `.npy` file of two one-byte values of a type, as NumPy writes it.
fn npy_of_bytes(descr: &str, values: [u8; 2]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,), }}");
    npy(1, &format!("{header:<117}\n"), &values)
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Writes a file.
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The specification for two `.npy` files.
    fn pair(&self, predictions: &[u8], targets: &[u8]) -> RunSpec {
        let predictions = self.file("p.npy", predictions);
        RunSpec::new(Inputs::new(predictions).with_targets(self.file("y.npy", targets)))
    }

    /// The specification for the arrays `p`, `y` and perhaps `w` of one file.
    fn arrays(&self, path: PathBuf, weights: bool) -> RunSpec {
        let selection = Selection::default().with_predictions("p").with_targets("y");
        let selection = if weights { selection.with_weights("w") } else { selection };
        RunSpec::new(Inputs::new(path)).with_selection(selection)
    }

    /// Asserts that files hold these predictions and labels, in this order: their losses have the same bits.
    fn assert_holds<'a>(&self, mut spec: RunSpec, predictions: impl Into<Floats<'a>>, labels: &'a [u8]) {
        let path = self.0.path().join("loss.npy");
        spec.outputs = OutputPaths::default().with_loss(path.clone());
        let summary = run(&spec, &Engine::cpu(), &mut ()).unwrap();
        let batch = Batch::logits(predictions, labels).unwrap();
        let mut wanted = vec![0.0f32; batch.len()];
        let outputs = Outputs::none().with_loss(&mut wanted);
        let evaluation = Engine::cpu().evaluate(&batch, &Objective::mean(), outputs).unwrap();
        let got = npyz::NpyFile::new(fs::File::open(path).unwrap()).unwrap().into_vec::<f32>().unwrap();
        assert_eq!(got, wanted);
        assert_eq!(summary.evaluation.mean.to_bits(), evaluation.mean.to_bits());
        // Nothing about how they were read; some hold labels of one kind alone.
        let about_reading = |note: &&Note| !note.text.starts_with("every label is ");
        assert_eq!(summary.notes.iter().find(about_reading), None);
    }
}

fn refused(spec: &RunSpec) -> Error {
    run(spec, &Engine::cpu(), &mut ()).expect_err("it cannot be evaluated")
}

/// MLX says that one dimension is in Fortran order, and does not align what follows the header.
#[test]
fn npy_of_mlx() {
    let folder = Folder::new();
    let logits = npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (5, )}    \n", &logit_bytes());
    assert_eq!(logits.len() - logit_bytes().len(), 70);
    let labels = npy(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (5, )}    \n", &LABELS);
    folder.assert_holds(folder.pair(&logits, &labels), &LOGITS, &LABELS);
}

/// ClickHouse writes version 3.0 without spaces, and bytes as `<u1` where NumPy has `|u1`.
#[test]
fn npy_of_clickhouse() {
    let folder = Folder::new();
    let file = |descr: &str, values: &[u8]| {
        let file = npy(3, &format!("{{'descr':'{descr}','fortran_order':False,'shape':(5,),}}\n"), values);
        assert_eq!(file.len() - values.len(), 64);
        file
    };
    for labels in ["<u1", "|u1"] {
        folder.assert_holds(folder.pair(&file("<f4", &logit_bytes()), &file(labels, &LABELS)), &LOGITS, &LABELS);
    }
}

/// MLX writes metadata of null, and values of any size at any byte.
#[test]
fn safetensors_of_mlx() {
    let folder = Folder::new();
    let brains = LOGITS.map(bf16::from_f32);
    let brain_bytes: Vec<u8> = brains.iter().flat_map(|value| value.to_le_bytes()).collect();
    for (dtype, bytes) in [("F32", logit_bytes()), ("BF16", brain_bytes)] {
        let mut starts = Vec::new();
        for len in 1..=LABELS.len() {
            let (labels, bytes) = (&LABELS[..len], &bytes[..len * bytes.len() / LABELS.len()]);
            let end = len + bytes.len();
            let p = format!(r#""p":{{"data_offsets":[{len},{end}],"dtype":"{dtype}","shape":[{len}]}}"#);
            let y = format!(r#""y":{{"data_offsets":[0,{len}],"dtype":"BOOL","shape":[{len}]}}"#);
            let header = format!(r#"{{"__metadata__":null,{p},{y}}}"#);
            let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), labels, bytes].concat();
            starts.push(file.len() - bytes.len());
            let spec = folder.arrays(folder.file("a.safetensors", &file), false);
            match dtype {
                "F32" => folder.assert_holds(spec, &LOGITS[..len], labels),
                _ => folder.assert_holds(spec, &brains[..len], labels),
            }
        }
        assert!(starts.iter().any(|start| start % 2 == 1), "{dtype} at an odd byte: {starts:?}");
    }
}

/// `safetensors.numpy` writes bf16, which it does not read back.
#[test]
fn safetensors_of_safetensors_numpy() {
    let header = r#"{"p":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}     "#;
    let file = [&112u64.to_le_bytes(), header.as_bytes(), b"\x00?\x80?\x00\x01"].concat();
    let folder = Folder::new();
    let spec = folder.arrays(folder.file("a.safetensors", &file), false);
    // Every value lies in [0, 1], as few logits do, which is noted.
    let summary = run(&spec.with_form(Form::Probabilities), &Engine::cpu(), &mut ()).unwrap();
    // The label 0 of the probability 0.5, and the label 1 of the probability 1.
    assert!((summary.evaluation.sum / 2f64.ln() - 1.0).abs() < 1e-7, "{}", summary.evaluation.sum);
}

/// The types that ml_dtypes adds to NumPy are refused, whichever array has them.
#[test]
fn npy_of_ml_dtypes() {
    let folder = Folder::new();
    let labels = npy_of_bytes("|u1", [0, 1]);
    let logits = npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", &logit_bytes()[..8]);
    for (descr, values, named) in [("<f1", [0x38, 0x3c], "float8_e5m2 ('<f1')"), ("<V1", [0x30, 0x38], "'<V1'")] {
        let small = npy_of_bytes(descr, values);
        assert_eq!(small.len(), 130);
        for (predictions, targets, name) in [(&small, &labels, "p.npy"), (&logits, &small, "y.npy")] {
            let error = refused(&folder.pair(predictions, targets));
            assert!(matches!(&error, Error::UnsupportedType { found, .. } if found == named), "{error}");
            assert_eq!(error.path(), Some(folder.0.path().join(name).as_path()));
            assert!(error.to_string().ends_with(&format!("{name}: {named} values cannot be evaluated")), "{error}");
            assert!(error.help().unwrap().contains("a.astype('float"), "{error}");
        }
    }
    // The type that the help advises has the same values: float8_e5m2 is the high byte of f16.
    assert_eq!([0x3800, 0x3c00].map(f16::from_bits), [0.5, 1.0].map(f16::from_f32));
}

/// The row that a fault is in, and the number of rows.
const AT: usize = 5;
const ROWS: usize = 8;

/// A value of row [`AT`] that is not to be evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nan,
    Null,
}

/// Writes predictions, labels and weights of which one column has a fault, in two row groups.
fn parquet(path: &PathBuf, column: &str, fault: Option<Fault>, statistics: EnabledStatistics) {
    let schema = parse_message_type("message m { optional float p; optional double y; optional float w; }").unwrap();
    let properties = WriterProperties::builder().set_statistics_enabled(statistics).build();
    let file = fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema.into(), properties.into()).unwrap();
    for first in [0, ROWS / 2] {
        let mut group = writer.next_row_group().unwrap();
        let rows = first..first + ROWS / 2;
        let fault = |name: &str| fault.filter(|_| name == column);
        let levels = |name: &str| -> Vec<i16> {
            rows.clone().map(|row| i16::from(!(row == AT && fault(name) == Some(Fault::Null)))).collect()
        };
        let values = |name: &str, value: fn(usize) -> f64| -> Vec<f64> {
            let of_rows = rows.clone().filter(|&row| row != AT || fault(name) != Some(Fault::Null));
            of_rows.map(|row| if row == AT && fault(name).is_some() { f64::NAN } else { value(row) }).collect()
        };
        let predictions = values("p", |row| [0.25, 0.375][row % 2]);
        write::<FloatType>(&mut group, &predictions.iter().map(|&p| p as f32).collect::<Vec<_>>(), &levels("p"));
        write::<DoubleType>(&mut group, &values("y", |row| (row % 2) as f64), &levels("y"));
        let weights = values("w", |row| 1.0 + row as f64);
        write::<FloatType>(&mut group, &weights.iter().map(|&w| w as f32).collect::<Vec<_>>(), &levels("w"));
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// Writes the next column.
fn write<T: DataType>(group: &mut SerializedRowGroupWriter<'_, fs::File>, values: &[T::T], levels: &[i16]) {
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, Some(levels), None).unwrap();
    column.close().unwrap();
}

/// The smallest and the largest value of the row group with the fault, as the file says, column by column.
fn bounds(path: &PathBuf) -> Vec<Option<(f64, f64)>> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let columns = reader.metadata().row_group(1).columns().iter();
    let bounds = columns.map(|column| match column.statistics()? {
        Statistics::Float(s) => Some(((*s.min_opt()?).into(), (*s.max_opt()?).into())),
        Statistics::Double(s) => Some((*s.min_opt()?, *s.max_opt()?)),
        other => panic!("{other}"),
    });
    bounds.collect()
}

/// PyArrow and Polars leave NaN out of the statistics of a column, so that a file may look clean; fastparquet writes NaN
/// as null. Either is refused, at the same row.
#[test]
fn parquet_with_nan_or_null() {
    let folder = Folder::new();
    let path = folder.0.path().join("a.parquet");
    let spec = folder.arrays(path.clone(), true).with_form(Form::Probabilities);
    let clean = [Some((0.25, 0.375)), Some((0.0, 1.0)), Some((5.0, 8.0))];
    for column in ["p", "y", "w"] {
        for statistics in [EnabledStatistics::Page, EnabledStatistics::Chunk, EnabledStatistics::None] {
            parquet(&path, column, None, statistics);
            assert_eq!(run(&spec, &Engine::cpu(), &mut ()).unwrap().len, ROWS as u64);
            let mut places: Vec<Place> = Vec::new();
            for fault in [Fault::Nan, Fault::Null] {
                parquet(&path, column, Some(fault), statistics);
                let shown = bounds(&path);
                let is_off = statistics == EnabledStatistics::None;
                assert!(if is_off { shown == [None; 3] } else { is_within(&shown, &clean) }, "{shown:?}");
                let error = refused(&spec);
                let is_told = match fault {
                    Fault::Nan => matches!(&error, Error::InvalidValue { value, .. } if value == "NaN"),
                    Fault::Null => matches!(&error, Error::MissingValue { .. }),
                };
                assert!(is_told, "{column}, {fault:?}: {error}");
                places.extend(error.place().cloned());
            }
            let [nan, null] = places.as_slice() else { panic!("{places:?}") };
            assert_eq!((nan, null.column.name(), null.row), (null, Some(column), AT as u64), "{statistics:?}");
        }
    }
}

/// Whether all columns have bounds, which lie within others.
fn is_within(bounds: &[Option<(f64, f64)>], others: &[Option<(f64, f64)>]) -> bool {
    let within = |inner: &(f64, f64), outer: &(f64, f64)| outer.0 <= inner.0 && inner.1 <= outer.1;
    bounds.iter().zip(others).all(|pair| matches!(pair, (Some(inner), Some(outer)) if within(inner, outer)))
}
