//! Rates devices: how fast they evaluate binary cross-entropy, compared with what their memory allows.
//!
//! [`measure`] times evaluations over a sweep of sizes, input types and outputs on every device that a
//! [`Specification`] names. Each answer is checked before it is timed, and each time stands beside the time that the
//! same device takes to move as many bytes and compute nothing. The [`Report`] is written as a table, as CSV, as JSON or
//! as a page with plots ([`html::page`]), and two reports are compared with [`compare()`].
//!
//! ```no_run
//! use logloss_bench::{DeviceSelection, Specification, measure};
//!
//! let mut specification = Specification::default();
//! specification.devices = vec![DeviceSelection::Cpu];
//! specification.quick = true;
//! let report = measure(&specification, &mut ())?;
//! println!("{}", report.table());
//! # Ok::<(), logloss_bench::Error>(())
//! ```
//!
//! Features: `gpu` (default) measures the adapters that wgpu reaches; without it the CPU is the only device.

mod cell;
mod check;
mod compare;
mod cpu;
mod data;
#[cfg(test)]
mod demo;
mod devices;
mod error;
#[cfg(feature = "gpu")]
mod gpu;
mod host;
pub mod html;
mod machine;
mod measured;
mod method;
mod observer;
mod pages;
mod plan;
pub mod plot;
mod report;
mod sampling;
mod specification;
mod stats;
mod sweep;
mod table;
mod text;
mod traffic;

pub use cell::{Inputs, Work};
pub use compare::{Change, Comparison, Threshold, compare};
pub use error::{Error, ParseError};
pub use observer::Observer;
pub use report::{FirstCall, Limit, Machine, MeasuredDevice, Program, Report, Row, SCHEMA};
pub use specification::{DeviceSelection, Specification, Spoil};
pub use sweep::measure;
