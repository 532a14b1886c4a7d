//! Binary cross-entropy of files: predictions, labels and weights are read part by part, evaluated with an engine of
//! [`logloss`], and the results written.
//!
//! [`RunSpec`] says what is read, computed and written, [`run`] does it, and [`Summary`] is the result. An [`Observer`]
//! sees the progress and may interrupt. [`Error`] says what is wrong, where it is and how to correct it.
//!
//! The files may be of any size. They are `.npy` files, one for the predictions and one for the labels; or a
//! `.parquet`, `.csv` or `.safetensors` file that holds both in its columns or tensors, which a [`Selection`] names.
//!
//! ```
//! use logloss::Engine;
//! use logloss_io::{Inputs, RunSpec, run};
//!
//! # fn main() -> logloss_io::Result<()> {
//! # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
//! let inputs = Inputs::new(data.join("flights_logits.npy")).with_targets(data.join("flights_delayed.npy"));
//! let summary = run(&RunSpec::new(inputs), &Engine::cpu(), &mut ())?;
//! println!("{} nats", summary.evaluation.mean);
//! # assert!((summary.evaluation.mean - 0.4902314668608806).abs() < 1e-9);
//! # Ok(())
//! # }
//! ```

mod contradiction;
mod convert;
mod dataset;
mod error;
mod explain;
mod infinite;
mod inputs;
mod mismatch;
mod number;
mod objective;
mod observer;
mod options;
mod output;
mod place;
mod reduced;
mod remarks;
mod run;
mod seen;
mod selection;
mod shape;
mod source;
mod statistics;
mod summary;

pub use contradiction::Contradiction;
pub use convert::{Missing, Unrepresentable, UnrepresentableValues};
pub use error::{Error, ErrorClass, Result};
pub use inputs::{Inputs, extension};
pub use mismatch::{Layout, ShapeOf};
pub use number::Number;
pub use objective::{LabelWeights, ObjectiveSpec};
pub use observer::Observer;
pub use options::{IgnoredLabel, ReadOptions};
pub use output::{NewFile, NpyFile, OutputPaths, WrittenOutput, canonical_path, remove_unfinished};
pub use place::{Column, Place};
pub use reduced::{ReducedValues, RowValues};
pub use run::{PreparedRun, RunSpec, run};
pub use selection::Selection;
pub use shape::Shape;
pub use source::{Part, PartUnrepresentable, Source, open_source};
pub use statistics::LabelStats;
pub use summary::{Note, Severity, Summary, Times};
