//! A run of whole blocks on one thread, with the loss parameters that are in use.
//!
//! Weights, classes and what is left out become arrays of one tile each ([`Staging`]), so that one kernel serves
//! every shape and type of them. An element that is left out is staged as one that is valid and weighs 0: the
//! kernel knows nothing of it.

use fearless_simd::prelude::*;

use super::{
    blocks::{copy_back, destination, write_past},
    decode,
    lanes::{F32s, K, Mask},
    memory::{Beyond, ask_ahead},
    tile::{Formula, LANES, Logits, ONE_BITS, Probabilities, TILE, add_losses, sum_lanes},
    weighted::{Weight, element_weight, label, weighted_element},
};
use crate::{
    Batch, ClassPartials, Form, Ignore, Partials, WeightShape,
    batch::{is_target, is_weight},
    exact_sum::Adder,
    job::{self, Sums},
    loss_parameters::LossParameters,
    outputs::Slices,
    partials::BLOCK,
};

const WORDS: usize = TILE / 64;

/// What there is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub job: &'a job::Job,
    pub parameters: &'a LossParameters,
    /// Whether every element weighs 1: the sum of the weights is then not taken.
    pub all_ones: bool,
    /// Whether the part, of which a thread evaluates a run, is [beyond the cache](super::memory).
    pub beyond_cache: bool,
}

/// What a tile is computed from.
struct Values<'a> {
    x: &'a [f32; TILE],
    z: &'a [f32; TILE],
    v: &'a [f32; TILE],
    class_weight: &'a [f32; TILE],
    pos_weight: &'a [f32; TILE],
}

/// Where the results of a tile go. The derivatives are written where the kernel computes them.
struct Results<'a> {
    loss: &'a mut [f32; TILE],
    gradient: &'a mut [f32; TILE],
    hessian: &'a mut [f32; TILE],
    weight: &'a mut [f32; TILE],
}

/// The elements of a tile that are left out, a bit each, and those past its end.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ignored([u64; WORDS]);

impl Ignored {
    fn at(&self, i: usize) -> bool {
        self.0[i / 64] >> (i % 64) & 1 != 0
    }

    fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Those of the `len` elements from `start` on with targets `z`.
    #[inline(always)]
    fn find<S: Simd>(
        simd: S,
        part: &Batch<'_>,
        ignore: Option<Ignore>,
        start: usize,
        len: usize,
        z: &[f32; TILE],
    ) -> Self {
        let mut words = [0; WORDS];
        if let Some(mask) = part.mask() {
            let mask = &mask[start / 8..(start + len).div_ceil(8)];
            for (word, bytes) in words.iter_mut().zip(mask.chunks(8)) {
                let mut eight = [0; 8];
                eight[..bytes.len()].copy_from_slice(bytes);
                *word = !u64::from_le_bytes(eight);
            }
        }
        if let Some(ignore) = ignore {
            let width = S::f32s::LEN;
            for i in (0..TILE).step_by(width) {
                let z = S::f32s::from_slice(simd, &z[i..i + width]);
                let bits = match ignore {
                    Ignore::Label(label) => z.simd_eq(f32::from(label)).to_bitmask(),
                    // NaN alone differs from itself.
                    Ignore::Nan => !z.simd_eq(z).to_bitmask() & ((1 << width) - 1),
                };
                words[i / 64] |= bits << (i % 64);
            }
        }
        for (i, word) in words.iter_mut().enumerate() {
            let used = len.saturating_sub(64 * i);
            *word |= if used < 64 { u64::MAX << used } else { 0 };
        }
        Self(words)
    }
}

/// Memory in which tiles are staged.
struct Staging {
    x: [f32; TILE],
    z: [f32; TILE],
    v: [f32; TILE],
    class_weight: [f32; TILE],
    pos_weight: [f32; TILE],
    /// The class of the first element that the two above are of.
    class: Option<usize>,
    /// x, z and v again, without what is left out.
    kept: [[f32; TILE]; 3],
}

impl Staging {
    fn new(parameters: &LossParameters) -> Self {
        let [class_weight, pos_weight] = parameters.classes[0];
        Self {
            x: [0.0; TILE],
            z: [0.0; TILE],
            // Of a batch without weights; any other overwrites it.
            v: [1.0; TILE],
            class_weight: [class_weight; TILE],
            pos_weight: [pos_weight; TILE],
            class: None,
            kept: [[0.0; TILE]; 3],
        }
    }

    /// The tile of `len` values from `start` on, and what is left out of it. Its predictions are read if they are
    /// `wanted`.
    #[inline(always)]
    fn tile<'a, S: Simd>(
        &'a mut self,
        simd: S,
        part: &Batch<'a>,
        parameters: &LossParameters,
        start: usize,
        len: usize,
        wanted: bool,
    ) -> (Values<'a>, Ignored) {
        let (predictions, targets) = (part.predictions(), part.targets());
        let x = match (wanted, len == TILE) {
            (false, _) => &self.x,
            (true, true) => decode::predictions(simd, &predictions, start, &mut self.x),
            (true, false) => decode::short(len, |i| predictions.get(start + i), &mut self.x),
        };
        let z = if len == TILE {
            decode::targets(simd, &targets, start, &mut self.z)
        } else {
            decode::short(len, |i| targets.get(start + i), &mut self.z)
        };
        let v = match part.weights() {
            None => &self.v,
            Some((weights, WeightShape::Elements)) if len == TILE => {
                decode::weights(simd, &weights, start, &mut self.v)
            }
            Some((_, WeightShape::Elements)) => decode::short(len, |i| part.weight(start + i), &mut self.v),
            Some((_, WeightShape::Samples)) => {
                let mut filled = 0;
                while filled < len {
                    let index = start + filled;
                    let end = len.min(filled + part.classes() - part.class(index));
                    self.v[filled..end].fill(part.weight(index) as f32);
                    filled = end;
                }
                &self.v
            }
        };
        if parameters.uses.classes {
            stage_classes(part.class(start), parameters, &mut self.class, &mut self.class_weight, &mut self.pos_weight);
        }
        let ignored = Ignored::find(simd, part, parameters.ignore, start, len, z);
        let mut values = Values { x, z, v, class_weight: &self.class_weight, pos_weight: &self.pos_weight };
        if ignored.count() > 0 {
            let [x, z, v] = &mut self.kept;
            keep(simd, &values, &ignored, (x, z, v));
            (values.x, values.z, values.v) = (x, z, v);
        }
        (values, ignored)
    }
}

/// Class weights and pos_weights of a tile whose first element has the class `first`, unless they are there already.
fn stage_classes(
    first: usize,
    parameters: &LossParameters,
    staged: &mut Option<usize>,
    class_weight: &mut [f32; TILE],
    pos_weight: &mut [f32; TILE],
) {
    if staged.replace(first) == Some(first) {
        return;
    }
    let (mut filled, mut class) = (0, first);
    while filled < TILE {
        let entries = &parameters.classes[class..parameters.classes.len().min(class + TILE - filled)];
        let end = filled + entries.len();
        for ((class_weight, pos_weight), entry) in
            class_weight[filled..end].iter_mut().zip(&mut pos_weight[filled..end]).zip(entries)
        {
            [*class_weight, *pos_weight] = *entry;
        }
        (filled, class) = (end, 0);
    }
}

/// A copy of prediction, target and weight; ½, which is both a logit and a probability, 0 and 0 for what is left out.
#[inline(always)]
fn keep<S: Simd>(
    simd: S,
    values: &Values<'_>,
    ignored: &Ignored,
    (x, z, v): (&mut [f32; TILE], &mut [f32; TILE], &mut [f32; TILE]),
) {
    let width = K * S::f32s::LEN;
    for i in (0..TILE).step_by(width) {
        let mask = Mask::from_bits(simd, ignored.0[i / 64] >> (i % 64));
        let lanes = i..i + width;
        mask.select(0.5, F32s::load(simd, &values.x[lanes.clone()])).store(&mut x[lanes.clone()]);
        mask.select(0.0, F32s::load(simd, &values.z[lanes.clone()])).store(&mut z[lanes.clone()]);
        mask.select(0.0, F32s::load(simd, &values.v[lanes.clone()])).store(&mut v[lanes]);
    }
}

/// Computes a tile, asking for those ahead if they are beyond the cache (the last argument). Returns whether any of its
/// values may be invalid.
type Kernel<S> = fn(S, &Values<'_>, &mut Results<'_>, &LossParameters, f32, bool) -> bool;

/// The kernel for what is in use. There is one for the losses alone, and for the gradient alone, of what is used
/// most; every other computes all there is.
fn kernel<S: Simd, F: Formula>(parameters: &LossParameters, gradient: bool, hessian: bool) -> Kernel<S> {
    match (parameters.uses.focal, parameters.uses.conventions, gradient, hessian) {
        (false, false, false, false) => compute::<S, F, false, false, false, false>,
        (false, false, true, false) => compute::<S, F, false, false, true, false>,
        (false, false, _, true) => compute::<S, F, false, false, true, true>,
        (false, true, ..) => compute::<S, F, false, true, true, true>,
        (true, false, ..) => compute::<S, F, true, false, true, true>,
        (true, true, ..) => compute::<S, F, true, true, true, true>,
    }
}

/// The largest bits of a valid weight, but for those of -0.
const WEIGHT_MAX_BITS: u32 = f32::MAX.to_bits();

#[inline(never)]
fn compute<
    S: Simd,
    F: Formula,
    const FOCAL: bool,
    const CONVENTIONS: bool,
    const GRADIENT: bool,
    const HESSIAN: bool,
>(
    simd: S,
    values: &Values<'_>,
    results: &mut Results<'_>,
    parameters: &LossParameters,
    coefficient: f32,
    beyond_cache: bool,
) -> bool {
    simd.vectorize(
        #[inline(always)]
        || {
            let width = K * S::f32s::LEN;
            let [mut x_max, mut z_max, mut v_max] = [S::u32s::splat(simd, 0); 3];
            for i in (0..TILE).step_by(width) {
                let lanes = i..i + width;
                let x = F32s::load(simd, &values.x[lanes.clone()]);
                let z = label::<S, CONVENTIONS>(simd, F32s::load(simd, &values.z[lanes.clone()]), parameters);
                let v = F32s::load(simd, &values.v[lanes.clone()]);
                let class_weight = F32s::load(simd, &values.class_weight[lanes.clone()]);
                let pos_weight = F32s::load(simd, &values.pos_weight[lanes.clone()]);
                if beyond_cache {
                    ask_ahead(&values.x[lanes.clone()]);
                    ask_ahead(&values.z[lanes.clone()]);
                }
                x_max = F::magnitude(x).max_into(x_max);
                z_max = z.bitcast_u32().max_into(z_max);
                v_max = v.bitcast_u32().max_into(v_max);
                let weighted =
                    weighted_element::<S, F, FOCAL, CONVENTIONS>(simd, x, z, v, class_weight, pos_weight, parameters);
                weighted.element.loss.store(&mut results.loss[lanes.clone()]);
                weighted.weight.store(&mut results.weight[lanes.clone()]);
                if GRADIENT {
                    (weighted.element.gradient * coefficient).store(&mut results.gradient[lanes.clone()]);
                }
                if HESSIAN {
                    (weighted.element.hessian * coefficient).store(&mut results.hessian[lanes]);
                }
            }
            x_max.reduce_max() > F::MAX_BITS || z_max.reduce_max() > ONE_BITS || v_max.reduce_max() > WEIGHT_MAX_BITS
        },
    )
}

/// Evaluates `part`, whose first value has the index `first` in the whole batch.
#[inline(always)]
pub(crate) fn evaluate<S: Simd>(
    simd: S,
    part: &Batch<'_>,
    job: &Job<'_>,
    first: u64,
    mut outputs: Slices<'_>,
) -> Partials {
    let Job { job, parameters, all_ones, beyond_cache } = *job;
    let [_, gradient, hessian] = outputs.wanted();
    let kernel = match part.form() {
        Form::Logits => kernel::<S, Logits>(parameters, gradient, hessian),
        Form::Probabilities => kernel::<S, Probabilities>(parameters, gradient, hessian),
    };
    let mut beyond = beyond_cache.then(|| Beyond::new(part, &outputs));
    let mut staging = Staging::new(parameters);
    let [mut loss, mut gradient, mut hessian, mut weight] = [[0.0; TILE]; 4];
    let mut adders = [Adder::default(), Adder::default()];
    let mut lanes = [[0.0; LANES]; 2];
    let mut classes = (job.sums == Sums::PerClass).then(|| ClassSums::new(part.classes()));
    let mut rows = outputs.rows.take().map(|means| RowMeans::new(means, part.classes(), job.empty_mean));
    let mut partials = Partials::default();
    for start in (0..part.len()).step_by(TILE) {
        let len = TILE.min(part.len() - start);
        if let Some(beyond) = &beyond {
            beyond.ask_for_pages(start / TILE);
        }
        let (values, ignored) = staging.tile(simd, part, parameters, start, len, true);
        partials.count += (TILE - ignored.count()) as u64;
        let mut results = Results {
            loss: destination(&mut outputs.loss, start, !beyond_cache, &mut loss),
            gradient: destination(&mut outputs.gradient, start, !beyond_cache, &mut gradient),
            hessian: destination(&mut outputs.hessian, start, !beyond_cache, &mut hessian),
            weight: &mut weight,
        };
        let suspicious = kernel(simd, &values, &mut results, parameters, job.coefficient, beyond_cache);
        if !job.coefficient.is_finite() {
            settle(&mut results);
        }
        if suspicious {
            let found = poison(part, parameters, start, len, &ignored, &mut results);
            partials.first_invalid = partials.first_invalid.or(found.map(|index| first + index as u64));
        }
        add_losses(simd, results.loss, &mut lanes[0]);
        if !all_ones {
            add_losses(simd, results.weight, &mut lanes[1]);
        }
        if let Some(classes) = &mut classes {
            classes.add(part.class(start), &results.loss[..len], &ignored);
        }
        if let Some(rows) = &mut rows {
            rows.add(&results.loss[..len], &ignored);
        }
        let buffers = [&loss, &gradient, &hessian];
        if len < TILE {
            copy_back(&mut outputs, start, buffers);
        } else if let Some(beyond) = &mut beyond {
            write_past(simd, beyond, &mut outputs, start, buffers);
        }
        if (start + TILE).is_multiple_of(BLOCK) || start + TILE >= part.len() {
            for (adder, lanes) in adders.iter_mut().zip(&lanes) {
                adder.add(sum_lanes(lanes));
            }
            lanes = [[0.0; LANES]; 2];
            if let Some(classes) = &mut classes {
                let block = start / BLOCK * BLOCK;
                classes.end_block(part.class(block), start + len - block);
            }
        }
    }
    let [sum, weight] = adders.map(Adder::finish);
    Partials { sum, weight, classes: classes.map_or_else(Vec::new, ClassSums::finish), ..partials }
}

/// Count and weight of `part`, whose values are not validated.
#[inline(always)]
pub(crate) fn totals<S: Simd>(simd: S, part: &Batch<'_>, parameters: &LossParameters, all_ones: bool) -> Partials {
    let mut staging = Staging::new(parameters);
    let mut weight = [0.0; TILE];
    let mut adder = Adder::default();
    let mut lanes = [0.0; LANES];
    let mut count = 0;
    for start in (0..part.len()).step_by(TILE) {
        let len = TILE.min(part.len() - start);
        let (values, ignored) = staging.tile(simd, part, parameters, start, len, false);
        count += (TILE - ignored.count()) as u64;
        if all_ones {
            continue;
        }
        let suspicious = if parameters.uses.conventions {
            tile_weights::<S, true>(simd, &values, &mut weight, parameters)
        } else {
            tile_weights::<S, false>(simd, &values, &mut weight, parameters)
        };
        if suspicious {
            drop_invalid(part, parameters, start, len, &mut weight);
        }
        add_losses(simd, &weight, &mut lanes);
        if (start + TILE).is_multiple_of(BLOCK) || start + TILE >= part.len() {
            adder.add(sum_lanes(&lanes));
            lanes = [0.0; LANES];
        }
    }
    Partials { weight: adder.finish(), count, ..Partials::default() }
}

/// The weights of a tile. Returns whether a target or a weight may be invalid.
#[inline(always)]
fn tile_weights<S: Simd, const CONVENTIONS: bool>(
    simd: S,
    values: &Values<'_>,
    weight: &mut [f32; TILE],
    parameters: &LossParameters,
) -> bool {
    let width = K * S::f32s::LEN;
    let [mut z_max, mut v_max] = [S::u32s::splat(simd, 0); 2];
    for i in (0..TILE).step_by(width) {
        let lanes = i..i + width;
        let z = label::<S, CONVENTIONS>(simd, F32s::load(simd, &values.z[lanes.clone()]), parameters);
        let v = F32s::load(simd, &values.v[lanes.clone()]);
        let class_weight = F32s::load(simd, &values.class_weight[lanes.clone()]);
        let pos_weight = F32s::load(simd, &values.pos_weight[lanes.clone()]);
        z_max = z.bitcast_u32().max_into(z_max);
        v_max = v.bitcast_u32().max_into(v_max);
        let Weight { weight: w, .. } =
            element_weight::<S, CONVENTIONS>(simd, z, v, class_weight, pos_weight, parameters);
        w.store(&mut weight[lanes]);
    }
    z_max.reduce_max() > ONE_BITS || v_max.reduce_max() > WEIGHT_MAX_BITS
}

/// Gradients and hessians where the coefficient is not finite: a mean over weights whose sum is next to nothing. What
/// is 0 stays 0: 0 times infinity is the NaN that is meant (products of weights that overflow aside).
#[cold]
#[inline(never)]
fn settle(results: &mut Results<'_>) {
    for values in [&mut *results.gradient, &mut *results.hessian] {
        for value in values.iter_mut().filter(|value| value.is_nan()) {
            *value = 0.0;
        }
    }
}

/// Makes the outputs of the invalid values of a tile NaN. Returns the index in `part` of the first.
#[cold]
#[inline(never)]
fn poison(
    part: &Batch<'_>,
    parameters: &LossParameters,
    start: usize,
    len: usize,
    ignored: &Ignored,
    results: &mut Results<'_>,
) -> Option<usize> {
    let any_number = parameters.conventions.binarize;
    let invalid = |i: &usize| !ignored.at(*i) && part.invalid_input(start + i, any_number).is_some();
    let mut first = None;
    for i in (0..len).filter(invalid) {
        first = first.or(Some(start + i));
        (results.loss[i], results.gradient[i], results.hessian[i]) = (f32::NAN, f32::NAN, f32::NAN);
    }
    drop_invalid(part, parameters, start, len, results.weight);
    first
}

/// What has an invalid target or weight weighs nothing. (An invalid prediction takes nothing from the weight, which
/// does not depend on it. What is left out weighs nothing anyway.)
#[cold]
#[inline(never)]
fn drop_invalid(part: &Batch<'_>, parameters: &LossParameters, start: usize, len: usize, weight: &mut [f32; TILE]) {
    for (i, weight) in weight[..len].iter_mut().enumerate() {
        let (z, v) = (part.targets().get(start + i), part.weight(start + i));
        if !(is_target(z, parameters.conventions.binarize) && is_weight(v)) {
            *weight = 0.0;
        }
    }
}

/// The sums of each class: over the elements of a block in f64, in the order of their indices, then exactly.
struct ClassSums {
    block: Vec<f64>,
    adders: Vec<Adder>,
    counts: Vec<u64>,
}

impl ClassSums {
    fn new(classes: usize) -> Self {
        Self {
            block: vec![0.0; classes],
            adders: (0..classes).map(|_| Adder::default()).collect(),
            counts: vec![0; classes],
        }
    }

    /// Adds a tile whose first element has the class `class`.
    fn add(&mut self, mut class: usize, losses: &[f32], ignored: &Ignored) {
        for (i, loss) in losses.iter().enumerate() {
            self.block[class] += f64::from(*loss);
            self.counts[class] += u64::from(!ignored.at(i));
            class += 1;
            if class == self.block.len() {
                class = 0;
            }
        }
    }

    /// Ends a block of `len` elements, the first of which has the class `class`.
    fn end_block(&mut self, class: usize, len: usize) {
        let classes = self.block.len();
        for class in (class..classes).chain(0..class).take(len) {
            self.adders[class].add(std::mem::take(&mut self.block[class]));
        }
    }

    fn finish(self) -> Vec<ClassPartials> {
        let adders = self.adders.into_iter().zip(self.counts);
        adders.map(|(adder, count)| ClassPartials { sum: adder.finish(), count }).collect()
    }
}

/// The means of rows, each summed in f64 in the order of its columns.
struct RowMeans<'a> {
    means: std::slice::IterMut<'a, f64>,
    classes: usize,
    /// The mean of a row of which nothing is counted.
    empty: f64,
    column: usize,
    sum: f64,
    count: u64,
}

impl<'a> RowMeans<'a> {
    fn new(means: &'a mut [f64], classes: usize, empty: f64) -> Self {
        Self { means: means.iter_mut(), classes, empty, column: 0, sum: 0.0, count: 0 }
    }

    /// Goes on with a tile.
    fn add(&mut self, losses: &[f32], ignored: &Ignored) {
        for (i, loss) in losses.iter().enumerate() {
            self.sum += f64::from(*loss);
            self.count += u64::from(!ignored.at(i));
            self.column += 1;
            if self.column == self.classes {
                let mean = if self.count == 0 { self.empty } else { self.sum / self.count as f64 };
                if let Some(slot) = self.means.next() {
                    *slot = mean;
                }
                (self.column, self.sum, self.count) = (0, 0.0, 0);
            }
        }
    }
}
