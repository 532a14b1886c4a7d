//! The arrays that are evaluated: logits from N(0, 3), and as many labels of 1 as of 0. They are the same on every
//! machine.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
};

use bytemuck::Pod;
use logloss::{
    Batch, Floats, Form, PredictionType, TargetType, Targets,
    half::{bf16, f16},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use crate::{Inputs, error::Result, pages::Pages};

/// The number of values in a chunk. Each chunk has random streams of its own, so that threads fill them apart.
const CHUNK: usize = 1 << 16;
const SEED: u64 = 12_345;
/// The standard deviation of the logits.
const DEVIATION: f32 = 3.0;

/// The inputs in every type, the same in each but for rounding. Each array is made when it is first asked for.
pub(crate) struct Data {
    len: usize,
    huge_pages: bool,
    x_f32: OnceCell<Pages<f32>>,
    x_f16: OnceCell<Pages<f16>>,
    x_bf16: OnceCell<Pages<bf16>>,
    z_f32: OnceCell<Pages<f32>>,
    z_u8: OnceCell<Pages<u8>>,
    z_bits: OnceCell<Pages<u8>>,
    /// The sum of the losses of the first values, by type and number of values.
    sums: RefCell<HashMap<(PredictionType, usize), f64>>,
}

impl Data {
    /// `len` values, or a few more.
    pub(crate) fn new(len: usize, huge_pages: bool) -> Self {
        Self {
            // Bits fill whole bytes.
            len: len.next_multiple_of(8),
            huge_pages,
            x_f32: OnceCell::new(),
            x_f16: OnceCell::new(),
            x_bf16: OnceCell::new(),
            z_f32: OnceCell::new(),
            z_u8: OnceCell::new(),
            z_bits: OnceCell::new(),
            sums: RefCell::default(),
        }
    }

    /// The number of values in each array.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The predictions as one type.
    pub(crate) fn floats(&self, kind: PredictionType) -> Result<Floats<'_>> {
        Ok(match kind {
            PredictionType::F32 => Floats::F32(self.predictions(&self.x_f32, |x| x)?),
            PredictionType::F16 => Floats::F16(self.predictions(&self.x_f16, f16::from_f32)?),
            PredictionType::Bf16 => Floats::Bf16(self.predictions(&self.x_bf16, bf16::from_f32)?),
            other => return Err(crate::Error::Unmeasured { what: other.name() }),
        })
    }

    /// The labels as one type.
    pub(crate) fn targets(&self, kind: TargetType) -> Result<Targets<'_>> {
        Ok(match kind {
            TargetType::F32 => Targets::F32(self.make(&self.z_f32, self.len, CHUNK, |chunk, values| {
                each_label(chunk, values, |word, i| (word >> i & 1) as f32);
            })?),
            TargetType::U8 => Targets::U8(self.make(&self.z_u8, self.len, CHUNK, |chunk, values| {
                each_label(chunk, values, |word, i| (word >> i & 1) as u8);
            })?),
            TargetType::Bits => Targets::Bits(self.make(&self.z_bits, self.len / 8, CHUNK / 8, |chunk, values| {
                let mut random = stream(2 * chunk as u64 + 1);
                for bytes in values.chunks_mut(8) {
                    bytes.copy_from_slice(&random.random::<u64>().to_le_bytes()[..bytes.len()]);
                }
            })?),
            other => return Err(crate::Error::Unmeasured { what: other.name() }),
        })
    }

    /// A batch of `len` values from number `start` on, which is a multiple of 8 where targets are bits.
    pub(crate) fn batch(&self, inputs: Inputs, start: usize, len: usize) -> Result<Batch<'_>> {
        let range = start..start + len;
        let predictions = match self.floats(inputs.prediction)? {
            Floats::F32(x) => Floats::F32(&x[range.clone()]),
            Floats::F16(x) => Floats::F16(&x[range.clone()]),
            Floats::Bf16(x) => Floats::Bf16(&x[range.clone()]),
            _ => return Err(crate::Error::Unmeasured { what: inputs.prediction.name() }),
        };
        let targets = match self.targets(inputs.target)? {
            Targets::F32(z) => Targets::F32(&z[range]),
            Targets::U8(z) => Targets::U8(&z[range]),
            Targets::Bits(z) => Targets::Bits(&z[start / 8..(start + len).div_ceil(8)]),
            _ => return Err(crate::Error::Unmeasured { what: inputs.target.name() }),
        };
        Ok(Batch::new(Form::Logits, predictions, targets)?)
    }

    /// The sum of the losses of the first `n` values, by a plain loop in f64 that shares no code with the engine.
    pub(crate) fn sum(&self, prediction: PredictionType, n: usize) -> Result<f64> {
        if let Some(sum) = self.sums.borrow().get(&(prediction, n)) {
            return Ok(*sum);
        }
        let (x, z) = (self.floats(prediction)?, self.targets(TargetType::U8)?);
        // With labels of 0 and 1 the difference is exactly 0 or the absolute logit: nothing cancels.
        let loss = |i: usize| {
            let (x, z) = (x.get(i), z.get(i));
            x.max(0.0) - x * z + (-x.abs()).exp().ln_1p()
        };
        let sums: Vec<f64> = (0..n.div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| (chunk * CHUNK..n.min((chunk + 1) * CHUNK)).map(loss).sum())
            .collect();
        let sum = sums.iter().sum();
        self.sums.borrow_mut().insert((prediction, n), sum);
        Ok(sum)
    }

    fn predictions<'a, T: Pod + Send>(
        &self,
        cell: &'a OnceCell<Pages<T>>,
        narrow: impl Fn(f32) -> T + Sync,
    ) -> Result<&'a [T]> {
        self.make(cell, self.len, CHUNK, |chunk, values| {
            let mut random = stream(2 * chunk as u64);
            values.fill_with(|| narrow(DEVIATION * random.sample::<f32, _>(StandardNormal)));
        })
    }

    fn make<'a, T: Pod + Send>(
        &self,
        cell: &'a OnceCell<Pages<T>>,
        len: usize,
        chunk: usize,
        fill: impl Fn(usize, &mut [T]) + Sync,
    ) -> Result<&'a [T]> {
        if cell.get().is_none() {
            let mut pages = Pages::new(len, self.huge_pages)?;
            pages.as_mut_slice().par_chunks_mut(chunk).enumerate().for_each(|(index, values)| fill(index, values));
            // The cell is empty: it belongs to one thread.
            let _ = cell.set(pages);
        }
        Ok(cell.get().map(Pages::as_slice).unwrap_or_default())
    }
}

/// The random stream of a chunk: an even number for its logits, an odd one for its labels.
fn stream(index: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    random.set_stream(index);
    random
}

/// Fills a chunk with labels, each made from a random word and the number of its bit.
fn each_label<T>(chunk: usize, values: &mut [T], label: impl Fn(u64, usize) -> T) {
    let mut random = stream(2 * chunk as u64 + 1);
    for values in values.chunks_mut(64) {
        let word = random.random::<u64>();
        for (i, value) in values.iter_mut().enumerate() {
            *value = label(word, i);
        }
    }
}

/// The arrays that outputs are written to.
pub(crate) struct OutputArrays {
    arrays: [Option<Pages<f32>>; 3],
    len: usize,
    huge_pages: bool,
}

impl OutputArrays {
    /// Arrays of `len` values each. The memory of each is taken when it is first asked for.
    pub(crate) fn new(len: usize, huge_pages: bool) -> Self {
        Self { arrays: [None, None, None], len, huge_pages }
    }

    /// The arrays of loss, gradient and hessian, empty where one is not wanted.
    pub(crate) fn arrays(&mut self, wanted: [bool; 3]) -> Result<[&mut [f32]; 3]> {
        for (array, _) in self.arrays.iter_mut().zip(wanted).filter(|(array, on)| *on && array.is_none()) {
            *array = Some(Pages::new(self.len, self.huge_pages)?);
        }
        let [loss, gradient, hessian] = &mut self.arrays;
        Ok([slice(loss, wanted[0]), slice(gradient, wanted[1]), slice(hessian, wanted[2])])
    }
}

fn slice(array: &mut Option<Pages<f32>>, wanted: bool) -> &mut [f32] {
    match array {
        Some(pages) if wanted => pages.as_mut_slice(),
        _ => &mut [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_agree() {
        let data = Data::new(CHUNK + 1000, false);
        let [zf, zb, zi] = [TargetType::F32, TargetType::U8, TargetType::Bits].map(|kind| data.targets(kind).unwrap());
        let [xf, xh] = [PredictionType::F32, PredictionType::F16].map(|kind| data.floats(kind).unwrap());
        let mut ones = 0.0;
        for i in 0..data.len() {
            assert_eq!(zf.get(i), zb.get(i));
            assert_eq!(zf.get(i), zi.get(i));
            assert!((xf.get(i) - xh.get(i)).abs() <= 1e-3 * xf.get(i).abs() + 1e-7);
            ones += zf.get(i);
        }
        assert!((ones / data.len() as f64 - 0.5).abs() < 0.01);
    }

    #[test]
    fn mean_loss_is_as_expected() {
        let data = Data::new(1 << 18, false);
        let mean = data.sum(PredictionType::F32, data.len()).unwrap() / data.len() as f64;
        // The expectation of softplus(x) - x z over these logits and labels.
        assert!((mean - 1.3946).abs() < 0.02, "{mean}");
    }

    #[test]
    fn results_are_apart() {
        let mut results = OutputArrays::new(10, false);
        let [loss, gradient, hessian] = results.arrays([false, true, true]).unwrap();
        assert_eq!((loss.len(), gradient.len(), hessian.len()), (0, 10, 10));
        let [loss, gradient, hessian] = results.arrays([false, true, false]).unwrap();
        assert_eq!((loss.len(), gradient.len(), hessian.len()), (0, 10, 0));
    }
}
