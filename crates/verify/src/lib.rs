//! The accuracy of [`logloss`]: the [oracle] in f64 that results are compared with, the accuracy
//! [contract] as one table, and a [self-test](selftest()) that measures a device against it.
//!
//! The oracle shares no code, no constant and no approximation with the kernels. A program that runs on an unknown GPU
//! can test the GPU before it uses it:
//!
//! ```
//! let engine = logloss::Engine::cpu();
//! let found = logloss_verify::selftest(&engine)?;
//! for row in &found.rows {
//!     assert!(row.holds, "{}: {} {} at {}", row.name, row.worst, row.unit, row.at);
//! }
//! # Ok::<(), logloss::Error>(())
//! ```

pub mod contract;
pub mod oracle;
mod selftest;

pub use logloss;
pub use selftest::{SelfTest, SelfTestRow, selftest, selftest_async};
