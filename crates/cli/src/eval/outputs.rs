//! The output files of an evaluation: a part of each is held until it is written.

use std::path::{Path, PathBuf};

use anyhow::Result;
use logloss::{Outputs, Sink};

use crate::{
    args::{EvalArgs, Reduce},
    failure::usage,
    output::{NpyFile, same},
    source::{Shape, extension},
};

/// The files, none of which is in its place before all are written.
pub struct OutputFiles {
    loss: Option<Output>,
    gradient: Option<Output>,
    hessian: Option<Output>,
    /// Of a reduction that has more than one.
    values: Option<NpyFile>,
    classes: u64,
}

struct Output {
    file: NpyFile,
    values: Vec<f32>,
}

/// The outputs asked for that have a value for each element: their flag and path.
pub fn wanted(args: &EvalArgs) -> impl Iterator<Item = (&'static str, &Path)> {
    [("--loss-out", &args.loss_out), ("--grad-out", &args.grad_out), ("--hess-out", &args.hess_out)]
        .into_iter()
        .filter_map(|(flag, path)| Some((flag, path.as_deref()?)))
}

impl OutputFiles {
    /// Begins every file asked for, of the shape of the predictions.
    pub fn create(args: &EvalArgs, shape: Shape) -> Result<Self> {
        check_paths(args)?;
        let create = |path: &Option<PathBuf>| -> Result<Option<Output>> {
            let Some(path) = path else { return Ok(None) };
            Ok(Some(Output { file: NpyFile::create(path, "<f4", shape)?, values: Vec::new() }))
        };
        let rows = args.reduction == Reduce::PerRow;
        let value_shape = if rows { shape.by_row() } else { Shape::flat(shape.classes()) };
        Ok(Self {
            loss: create(&args.loss_out)?,
            gradient: create(&args.grad_out)?,
            hessian: create(&args.hess_out)?,
            values: args.value_out.as_deref().map(|path| NpyFile::create(path, "<f8", value_shape)).transpose()?,
            classes: shape.classes(),
        })
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.loss.is_some() || self.any_derivative() || self.values.is_some()
    }

    /// Whether there is a gradient or hessian.
    pub fn any_derivative(&self) -> bool {
        self.gradient.is_some() || self.hessian.is_some()
    }

    /// Where the outputs of a part of `len` values go.
    pub fn sinks(&mut self, len: usize) -> Outputs<'_> {
        fn sink(output: &mut Option<Output>, len: usize) -> Sink<'_> {
            let Some(output) = output else { return Sink::Skip };
            output.values.resize(len, 0.0);
            (&mut output.values).into()
        }
        Outputs::none()
            .with_loss(sink(&mut self.loss, len))
            .with_gradient(sink(&mut self.gradient, len))
            .with_hessian(sink(&mut self.hessian, len))
    }

    /// Writes what came into the sinks.
    pub fn write(&mut self) -> Result<()> {
        for output in [&mut self.loss, &mut self.gradient, &mut self.hessian].into_iter().flatten() {
            // NumPy's '<f4' is little-endian.
            if cfg!(target_endian = "big") {
                output.values.iter_mut().for_each(|value| *value = f32::from_bits(value.to_bits().swap_bytes()));
            }
            output.file.write(bytemuck::cast_slice(&output.values))?;
        }
        Ok(())
    }

    /// Writes values of classes or rows, if there is a file for them.
    pub fn write_values(&mut self, values: &[f64]) -> Result<()> {
        let Some(file) = &mut self.values else { return Ok(()) };
        if cfg!(target_endian = "big") {
            return values.iter().try_for_each(|value| file.write(&value.to_le_bytes()));
        }
        file.write(bytemuck::cast_slice(values))
    }

    /// Puts every file in its place; their names and paths. There were `len` values.
    pub fn finish(self, len: u64) -> Result<Vec<(&'static str, String)>> {
        let elements = [("loss", self.loss), ("gradient", self.gradient), ("hessian", self.hessian)];
        let elements = elements.into_iter().filter_map(|(name, output)| Some((name, output?.file, len)));
        let values = self.values.map(|file| ("value", file, len / self.classes.max(1)));
        let mut files: Vec<_> = elements.chain(values).collect();
        files.iter_mut().try_for_each(|(_, file, len)| file.complete(*len))?;
        let finish = |(name, file, len): (_, NpyFile, _)| {
            let path = file.path().display().to_string();
            file.finish(len).map(|()| (name, path))
        };
        files.into_iter().map(finish).collect()
    }
}

fn check_paths(args: &EvalArgs) -> Result<()> {
    let inputs = [Some(&args.predictions), args.targets.as_ref(), args.mask.as_ref()];
    // Names a file if the predictions are a .npy file. If not, there is none of that name, or it is best left alone.
    let weights = args.weight.as_deref().map(Path::new);
    let inputs = inputs.into_iter().flatten().map(PathBuf::as_path).chain(weights);
    let mut taken: Vec<_> = inputs.map(|path| (same(path), "an input")).collect();
    for (flag, path) in wanted(args).chain(args.value_out.iter().map(|path| ("--value-out", path.as_path()))) {
        if extension(path) != "npy" {
            return Err(usage(
                format_args!("{flag} {}: outputs are NumPy files", path.display()),
                format_args!("name it {}", path.with_extension("npy").display()),
            ));
        }
        let place = same(path);
        if let Some((_, other)) = taken.iter().find(|(there, _)| *there == place) {
            return Err(usage(
                format_args!("{flag} {}: this is {other} already", path.display()),
                "give every file a name of its own",
            ));
        }
        taken.push((place, flag));
    }
    Ok(())
}
