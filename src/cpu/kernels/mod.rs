//! The kernels: each decodes a tile, computes it, and checks again what may be invalid. The loop that they share is in
//! [`run`](super::run).

use fearless_simd::prelude::*;

use super::tile::{TILE, Values};
use crate::Batch;

pub(crate) mod formula;
pub(crate) mod plain;
mod staging;
pub(crate) mod totals;
pub(crate) mod weighted;

/// What computes the tiles of a run.
pub(crate) trait Kernel<S: Simd> {
    /// Computes the `len` elements of `part` from `start` on. Returns the values that accumulators add up beside the
    /// losses, and the index in `part` of the first invalid element, whose results are NaN.
    fn compute<'a>(
        &'a mut self,
        simd: S,
        part: &Batch<'a>,
        start: usize,
        len: usize,
        results: &mut Results<'_>,
    ) -> (Values<'a>, Option<usize>);
}

/// The memory that the results of a tile are written to. A derivative that is not requested need not be written.
pub(crate) struct Results<'a> {
    pub loss: &'a mut [f32; TILE],
    pub gradient: &'a mut [f32; TILE],
    pub hessian: &'a mut [f32; TILE],
}

impl Results<'_> {
    /// Makes the results of element `i`, which is invalid, NaN.
    fn write_nan(&mut self, i: usize) {
        (self.loss[i], self.gradient[i], self.hessian[i]) = (f32::NAN, f32::NAN, f32::NAN);
    }
}
