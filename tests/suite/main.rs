//! Tests of the public API, on the CPU and on every adapter of the machine.
//!
//! All tests are in one binary, so that it is linked once and each engine is created once. A module is named after the
//! feature that it tests, a test after the hazard. With `LOGLOSS_REQUIRE_GPU=1`, the tests fail if the machine has no
//! adapter.

#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "a NaN must not pass for a small distance")]

mod common;
mod scenes;

mod any_cut;
mod comparers;
mod compat;
mod contract;
mod counts;
mod default_limits;
mod determinism;
mod devices;
mod examples;
mod f64_probabilities;
mod ignored;
mod invalid;
mod lengths;
mod metrics;
mod multi;
mod narrow;
mod options;
mod outputs;
mod peers;
mod properties;
mod recorded;
mod reductions;
mod resident;
mod shaders;
mod shards;
mod weights;
