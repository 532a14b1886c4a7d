//! The files that synthetic values go to, in each format.

use std::io::Write;

use anyhow::Result;
use logloss::half::f16;
use logloss_io::{NewFile, NpyFile, Shape, canonical_path, extension};

use super::{encode, parquet::Parquet, safetensors, values::Chunk};
use crate::{
    args::{FloatType, GenerateArgs, LabelType},
    failure::{fault, usage},
};

/// The formats, by the extension of a file's name.
const EXTENSIONS: [&str; 4] = ["npy", "parquet", "csv", "safetensors"];

/// Files in the making, in one of the formats.
pub(super) struct Files {
    dtype: FloatType,
    target_dtype: LabelType,
    format: Format,
    /// For the bytes of a chunk.
    bytes: Vec<u8>,
    written: u64,
}

enum Format {
    Npy {
        predictions: NpyFile,
        labels: NpyFile,
    },
    Csv(NewFile),
    Parquet(Parquet),
    /// Predictions lie from `predictions` on, labels from `labels` on.
    Safetensors {
        file: NewFile,
        predictions: u64,
        labels: u64,
    },
}

impl Files {
    /// Begins the files that the command line asks for.
    pub(super) fn create(args: &GenerateArgs) -> Result<Self> {
        let extension = extension(&args.out);
        let shown = args.out.display();
        if args.dtype == FloatType::Bf16 && extension != "safetensors" {
            return Err(usage(
                format_args!("{shown}: '.{extension}' has no bf16"),
                "pass --dtype f16 or f32, or write a .safetensors file",
            ));
        }
        if extension != "npy"
            && let Some(targets) = &args.targets_out
        {
            return Err(usage(
                format_args!("{}: one file too many: {shown} holds the labels too", targets.display()),
                "leave out --targets-out",
            ));
        }
        if extension != "npy" && args.pred == args.target {
            return Err(usage(
                format_args!("{shown}: predictions and labels are both called '{}'", args.pred),
                "pass --pred NAME or --target NAME",
            ));
        }
        if !EXTENSIONS.contains(&extension.as_str()) {
            return Err(usage(
                format_args!("{shown}: a file whose name ends in '.{extension}' cannot be written"),
                "name it .npy, .parquet, .csv or .safetensors",
            ));
        }
        if let Some(targets) = &args.targets_out
            && canonical_path(targets) == canonical_path(&args.out)
        {
            return Err(usage(
                format_args!("{shown}: predictions and labels would be the same file"),
                "give --targets-out another name",
            ));
        }
        if !args.force
            && let Some(there) =
                [Some(&args.out), args.targets_out.as_ref()].into_iter().flatten().find(|path| path.exists())
        {
            return Err(fault(
                format_args!("{}: exists already", there.display()),
                "pass --force to overwrite it, or give another name",
            ));
        }
        let format = match extension.as_str() {
            "npy" => npy(args)?,
            "csv" => csv(args)?,
            "parquet" => Format::Parquet(Parquet::create(args)?),
            _ => {
                let mut file = NewFile::create(&args.out)?;
                let (header, predictions, labels) = safetensors::header(args)?;
                file.write(&header)?;
                Format::Safetensors { file, predictions, labels }
            }
        };
        Ok(Self { dtype: args.dtype, target_dtype: args.target_dtype, format, bytes: Vec::new(), written: 0 })
    }

    /// Appends values.
    pub(super) fn write(&mut self, chunk: &Chunk) -> Result<()> {
        let Self { dtype, target_dtype, format, bytes, written } = self;
        match format {
            Format::Npy { predictions, labels } => {
                encode::predictions(*dtype, &chunk.predictions, bytes);
                predictions.write(bytes)?;
                encode::labels(*target_dtype, &chunk.labels, bytes);
                labels.write(bytes)?;
            }
            Format::Safetensors { file, predictions, labels } => {
                encode::predictions(*dtype, &chunk.predictions, bytes);
                file.write_at(*predictions + *written * encode::prediction_size(*dtype), bytes)?;
                encode::labels(*target_dtype, &chunk.labels, bytes);
                file.write_at(*labels + *written * encode::label_size(*target_dtype), bytes)?;
            }
            Format::Csv(file) => {
                bytes.clear();
                write_lines(*dtype, *target_dtype, chunk, bytes)?;
                file.write(bytes)?;
            }
            Format::Parquet(file) => file.write(*dtype, *target_dtype, chunk)?,
        }
        *written += chunk.labels.len() as u64;
        Ok(())
    }

    /// Puts the files in their places; their names.
    pub(super) fn finish(self) -> Result<Vec<String>> {
        match self.format {
            Format::Npy { mut predictions, mut labels } => {
                predictions.complete(self.written)?;
                labels.complete(self.written)?;
                let names = [predictions.path(), labels.path()].map(|path| path.display().to_string());
                predictions.finish(self.written)?;
                labels.finish(self.written)?;
                Ok(names.into())
            }
            Format::Csv(file) | Format::Safetensors { file, .. } => {
                let name = file.path().display().to_string();
                file.finish()?;
                Ok(vec![name])
            }
            Format::Parquet(file) => Ok(vec![file.finish()?]),
        }
    }
}

fn npy(args: &GenerateArgs) -> Result<Format> {
    let Some(targets) = &args.targets_out else {
        return Err(usage(
            format_args!("{}: a .npy file has no room for the labels", args.out.display()),
            "pass --targets-out LABELS.npy too",
        ));
    };
    if extension(targets) != "npy" || *targets == args.out {
        return Err(usage(
            format_args!("--targets-out {}: labels go to a .npy file of their own", targets.display()),
            "give it another name than --out, that ends in .npy",
        ));
    }
    let shape = Shape::flat(args.len);
    Ok(Format::Npy {
        predictions: NpyFile::create(&args.out, args.dtype.number(), shape)?,
        labels: NpyFile::create(targets, args.target_dtype.number(), shape)?,
    })
}

fn csv(args: &GenerateArgs) -> Result<Format> {
    let mut file = NewFile::create(&args.out)?;
    let mut header = csv::Writer::from_writer(Vec::new());
    header.write_record([&args.pred, &args.target])?;
    file.write(&header.into_inner()?)?;
    Ok(Format::Csv(file))
}

/// Numbers and words: nothing that needs quoting.
fn write_lines(dtype: FloatType, target_dtype: LabelType, chunk: &Chunk, into: &mut Vec<u8>) -> Result<()> {
    for (&prediction, &label) in chunk.predictions.iter().zip(&chunk.labels) {
        match dtype {
            FloatType::F16 | FloatType::Bf16 => write!(into, "{}", f16::from_f64(prediction))?,
            FloatType::F32 => write!(into, "{}", prediction as f32)?,
            FloatType::F64 => write!(into, "{prediction}")?,
        }
        match target_dtype {
            LabelType::Bool => writeln!(into, ",{}", if label { "True" } else { "False" })?,
            LabelType::U8 | LabelType::I32 | LabelType::I64 => writeln!(into, ",{}", u8::from(label))?,
            LabelType::F32 | LabelType::F64 => writeln!(into, ",{}.0", u8::from(label))?,
        }
    }
    Ok(())
}
