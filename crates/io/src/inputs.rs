//! The files that hold predictions, labels, weights and a mask.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Contradiction, Error, Result, Selection,
    error::{malformed, unreadable},
};

/// The files to read.
///
/// ```
/// use logloss_io::Inputs;
///
/// let inputs = Inputs::new("logits.npy").with_targets("labels.npy").with_mask("valid.npy");
/// assert_eq!(inputs.paths().count(), 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inputs {
    /// The predictions: a `.npy` file of shape `[N]` or `[N, C]`; or a file of several columns or tensors, which holds
    /// the labels and weights too, and whose names are in a [`Selection`].
    pub predictions: PathBuf,
    /// The labels beside a `.npy` file of predictions: a `.npy` file of the same shape.
    pub targets: Option<PathBuf>,
    /// The weights beside a `.npy` file of predictions: a `.npy` file of the same shape, or of shape `[N]`.
    pub weights: Option<PathBuf>,
    /// The mask: a `.npy` file of bool or u8 of the predictions' shape, 0 or false where an element is masked.
    pub mask: Option<PathBuf>,
}

/// The extension of a file's name, in lower case; empty if it has none.
pub fn extension(path: &Path) -> String {
    path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase()
}

impl Inputs {
    /// This file of predictions, alone.
    pub fn new(predictions: impl Into<PathBuf>) -> Self {
        Self { predictions: predictions.into(), ..Self::default() }
    }

    /// Sets the file of labels.
    pub fn with_targets(mut self, targets: impl Into<PathBuf>) -> Self {
        self.targets = Some(targets.into());
        self
    }

    /// Sets the file of weights.
    pub fn with_weights(mut self, weights: impl Into<PathBuf>) -> Self {
        self.weights = Some(weights.into());
        self
    }

    /// Sets the file of the mask.
    pub fn with_mask(mut self, mask: impl Into<PathBuf>) -> Self {
        self.mask = Some(mask.into());
        self
    }

    /// Every file there is.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let others = [&self.targets, &self.mask, &self.weights].into_iter().flatten();
        [&self.predictions].into_iter().chain(others).map(PathBuf::as_path)
    }

    /// The labels and the weights beside a `.npy` file of predictions.
    pub(crate) fn beside_npy(&self, selection: &Selection) -> Result<(&Path, Option<&Path>)> {
        if *selection != Selection::default() {
            return Err(Contradiction::NamedArray(self.predictions.clone()).into());
        }
        let Some(targets) = &self.targets else {
            return Err(Contradiction::MissingTargets(self.predictions.clone()).into());
        };
        check_is_file(targets)?;
        if extension(targets) != "npy" {
            return Err(Contradiction::TargetsFormat(targets.clone()).into());
        }
        let weights = self.weights.as_deref();
        if let Some(weights) = weights {
            if extension(weights) != "npy" {
                return Err(Contradiction::WeightsFormat(weights.to_owned()).into());
            }
            check_is_file(weights)?;
        }
        Ok((targets, weights))
    }

    /// Refuses files beside one that holds everything.
    pub(crate) fn check_alone(&self) -> Result<()> {
        if let Some(targets) = &self.targets {
            return Err(Contradiction::ExtraTargets { extra: targets.clone(), holder: self.predictions.clone() }.into());
        }
        if let Some(weights) = &self.weights {
            return Err(Contradiction::ExtraWeights { extra: weights.clone(), holder: self.predictions.clone() }.into());
        }
        Ok(())
    }

    /// The mask, if there is one.
    pub(crate) fn checked_mask(&self) -> Result<Option<&Path>> {
        let Some(mask) = &self.mask else { return Ok(None) };
        if extension(mask) != "npy" {
            return Err(Contradiction::MaskFormat(mask.to_owned()).into());
        }
        check_is_file(mask)?;
        Ok(Some(mask))
    }
}

/// Checks that there is a regular file, and something in it.
pub(crate) fn check_is_file(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Err(error) => Err(unreadable(path, &error, "check the name and the folder")),
        Ok(there) if !there.is_file() => Err(Error::Io {
            path: path.to_owned(),
            reason: "is not a regular file".to_owned(),
            kind: std::io::ErrorKind::InvalidInput,
            help: Some("save it to a file first: it is mapped into memory or read more than once"),
        }),
        Ok(there) if there.len() == 0 => {
            Err(malformed(path, "is empty (0 bytes)", "write it again; it was perhaps cut short"))
        }
        Ok(_) => Ok(()),
    }
}
