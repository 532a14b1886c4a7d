//! The output files of an evaluation: a part of each is held until it is written.

use std::path::{Path, PathBuf};

use logloss::{Outputs, Reduction, Sink};

use super::{NpyFile, canonical_path};
use crate::{Inputs, Number, Result, Shape, contradiction::Contradiction, inputs::extension};

/// The `.npy` files that the outputs of an evaluation are written to, of the shape of the predictions if not said
/// otherwise. An output without a path is not computed.
///
/// ```
/// use logloss_io::OutputPaths;
///
/// let outputs = OutputPaths::default().with_gradient("gradient.npy").with_hessian("hessian.npy");
/// assert!(outputs.loss.is_none() && outputs.value.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputPaths {
    /// The loss of each element, f32.
    pub loss: Option<PathBuf>,
    /// The gradient of the reduced loss with respect to each prediction, f32.
    pub gradient: Option<PathBuf>,
    /// The diagonal of the hessian, f32.
    pub hessian: Option<PathBuf>,
    /// The values of [`Reduction::PerClass`] or [`Reduction::PerRow`], f64, of shape `[C]` or `[N]`.
    pub value: Option<PathBuf>,
}

/// An output that was written.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Inputs, OutputPaths, RunSpec, Selection, run};
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let inputs = Inputs::new(data.join("flights_head.csv"));
/// let selection = Selection::default().with_predictions("logit").with_targets("delayed");
/// let spec = RunSpec::new(inputs).with_selection(selection);
/// let path = std::env::temp_dir().join(format!("loss-{}.npy", std::process::id()));
/// let spec = spec.with_outputs(OutputPaths::default().with_loss(&path));
/// let summary = run(&spec, &Engine::cpu(), &mut ())?;
/// let [written] = &summary.outputs[..] else { panic!("one output") };
/// assert!(written.path.exists());
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenOutput {
    /// "loss", "gradient", "hessian" or "value".
    pub name: &'static str,
    /// The file, as it was given.
    pub path: PathBuf,
}

impl OutputPaths {
    /// Sets the file of the losses.
    pub fn with_loss(mut self, loss: impl Into<PathBuf>) -> Self {
        self.loss = Some(loss.into());
        self
    }

    /// Sets the file of the gradient.
    pub fn with_gradient(mut self, gradient: impl Into<PathBuf>) -> Self {
        self.gradient = Some(gradient.into());
        self
    }

    /// Sets the file of the hessian.
    pub fn with_hessian(mut self, hessian: impl Into<PathBuf>) -> Self {
        self.hessian = Some(hessian.into());
        self
    }

    /// Sets the file of the reduced values.
    pub fn with_value(mut self, value: impl Into<PathBuf>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// The outputs with a value for each element: their option and path.
    fn by_element(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        [("--loss-out", &self.loss), ("--grad-out", &self.gradient), ("--hess-out", &self.hessian)]
            .into_iter()
            .filter_map(|(option, path)| Some((option, path.as_deref()?)))
    }

    /// Whether there is an output with a value for each element.
    pub(crate) fn any_by_element(&self) -> bool {
        self.by_element().next().is_some()
    }

    /// Refuses names that are not of `.npy` files, or that are of a file already taken.
    fn check(&self, inputs: &Inputs) -> Result<()> {
        let mut taken: Vec<_> = inputs.paths().map(|path| (canonical_path(path), "an input")).collect();
        let value = self.value.iter().map(|path| ("--value-out", path.as_path()));
        for (option, path) in self.by_element().chain(value) {
            if extension(path) != "npy" {
                return Err(Contradiction::OutputFormat { option, path: path.to_owned() }.into());
            }
            let place = canonical_path(path);
            if let Some((_, other)) = taken.iter().find(|(there, _)| *there == place) {
                return Err(Contradiction::SameFile { option, path: path.to_owned(), other }.into());
            }
            taken.push((place, option));
        }
        Ok(())
    }
}

/// The files that are being written. None is in its place before all are complete.
#[derive(Debug)]
pub(crate) struct OutputFiles {
    loss: Option<ElementFile>,
    gradient: Option<ElementFile>,
    hessian: Option<ElementFile>,
    /// The values of a reduction that has more than one.
    values: Option<NpyFile>,
    classes: u64,
}

/// A file with a value for each element.
#[derive(Debug)]
struct ElementFile {
    file: NpyFile,
    /// The values of the current part.
    values: Vec<f32>,
}

impl OutputFiles {
    /// Begins every file that has a path; `shape` is that of the predictions.
    pub(crate) fn create(paths: &OutputPaths, inputs: &Inputs, reduction: Reduction, shape: Shape) -> Result<Self> {
        paths.check(inputs)?;
        let create = |path: &Option<PathBuf>| -> Result<Option<ElementFile>> {
            let Some(path) = path else { return Ok(None) };
            Ok(Some(ElementFile { file: NpyFile::create(path, Number::F32, shape)?, values: Vec::new() }))
        };
        let value_shape = if reduction == Reduction::PerRow { shape.by_row() } else { Shape::flat(shape.classes()) };
        let create_values = |path: &PathBuf| NpyFile::create(path, Number::F64, value_shape);
        Ok(Self {
            loss: create(&paths.loss)?,
            gradient: create(&paths.gradient)?,
            hessian: create(&paths.hessian)?,
            values: paths.value.as_ref().map(create_values).transpose()?,
            classes: shape.classes(),
        })
    }

    /// Whether there is any file.
    pub(crate) fn any(&self) -> bool {
        self.loss.is_some() || self.any_derivative() || self.values.is_some()
    }

    /// Whether there is a gradient or hessian.
    pub(crate) fn any_derivative(&self) -> bool {
        self.gradient.is_some() || self.hessian.is_some()
    }

    /// The sinks for the outputs of a part of `len` values.
    pub(crate) fn sinks(&mut self, len: usize) -> Outputs<'_> {
        fn sink(output: &mut Option<ElementFile>, len: usize) -> Sink<'_> {
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
    pub(crate) fn write(&mut self) -> Result<()> {
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
    pub(crate) fn write_values(&mut self, values: &[f64]) -> Result<()> {
        let Some(file) = &mut self.values else { return Ok(()) };
        if cfg!(target_endian = "big") {
            return values.iter().try_for_each(|value| file.write(&value.to_le_bytes()));
        }
        file.write(bytemuck::cast_slice(values))
    }

    /// Puts every file in its place. The predictions were `len` values.
    pub(crate) fn finish(self, len: u64) -> Result<Vec<WrittenOutput>> {
        let elements = [("loss", self.loss), ("gradient", self.gradient), ("hessian", self.hessian)];
        let elements = elements.into_iter().filter_map(|(name, output)| Some((name, output?.file, len)));
        let values = self.values.map(|file| ("value", file, len / self.classes.max(1)));
        let mut files: Vec<_> = elements.chain(values).collect();
        files.iter_mut().try_for_each(|(_, file, len)| file.complete(*len))?;
        let finish = |(name, file, len): (_, NpyFile, _)| {
            let path = file.path().to_owned();
            file.finish(len).map(|()| WrittenOutput { name, path })
        };
        files.into_iter().map(finish).collect()
    }
}
