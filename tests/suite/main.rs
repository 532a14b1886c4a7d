//! Everything that must hold through the public API, on the CPU and on every adapter present.
//!
//! One binary, so that it is linked once and each engine is made once. Modules are named by what they hold, tests
//! by hazard. Adapters are those the machine has; `LOGLOSS_REQUIRE_GPU=1` makes it a failure to have none.

#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "a NaN must not pass for a small distance")]

mod common;
mod scenes;

mod comparers;
mod compat;
mod contract;
mod determinism;
mod devices;
mod ignored;
mod invalid;
mod lengths;
mod multi;
mod narrow;
mod options;
mod outputs;
mod properties;
mod recorded;
mod reductions;
mod resident;
mod shaders;
mod shards;
mod weights;
