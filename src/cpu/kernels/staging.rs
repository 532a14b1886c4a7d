//! Weights, classes and ignored elements as arrays of one tile each, so that one kernel serves every shape and type of
//! them. An ignored element is staged as a valid one of weight 0: the kernel need not know of it.

use fearless_simd::prelude::*;

use crate::{
    Batch, WeightShape,
    cpu::{
        decode,
        ignored::Ignored,
        lanes::{F32s, K, Mask},
        tile::TILE,
    },
    loss_parameters::LossParameters,
};

/// What a tile is computed from.
pub(super) struct Staged<'a> {
    /// The predictions.
    pub x: &'a [f32; TILE],
    /// The targets.
    pub z: &'a [f32; TILE],
    /// The data weights.
    pub v: &'a [f32; TILE],
    pub class_weight: &'a [f32; TILE],
    pub pos_weight: &'a [f32; TILE],
    pub ignored: &'a Ignored,
    /// The number of elements that are not ignored.
    pub counted: usize,
}

/// Memory in which tiles are staged.
#[repr(align(64))]
pub(super) struct Staging {
    x: [f32; TILE],
    z: [f32; TILE],
    v: [f32; TILE],
    class_weight: [f32; TILE],
    pos_weight: [f32; TILE],
    /// The class of the first element that the two above are of.
    class: Option<usize>,
    /// x, z and v again, without what is ignored.
    kept: [[f32; TILE]; 3],
    ignored: Ignored,
}

impl Staging {
    #[inline(always)]
    pub(super) fn new(parameters: &LossParameters) -> Self {
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
            ignored: Ignored::NONE,
        }
    }

    /// Stages the `len` elements of `part` from `start` on. Predictions are read only if `read_predictions`.
    #[inline(always)]
    pub(super) fn stage<'a, S: Simd>(
        &'a mut self,
        simd: S,
        part: &Batch<'a>,
        parameters: &LossParameters,
        start: usize,
        len: usize,
        read_predictions: bool,
    ) -> Staged<'a> {
        let x = if read_predictions { decode::predictions(simd, part, start, len, &mut self.x) } else { &self.x };
        let z = decode::targets(simd, &part.targets(), start, len, &mut self.z);
        let v = match part.weights() {
            None => &self.v,
            Some((weights, WeightShape::Elements)) => decode::weights(simd, &weights, start, len, &mut self.v),
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
        let counted = TILE - ignored.count();
        self.ignored = ignored;
        let mut staged = Staged {
            x,
            z,
            v,
            class_weight: &self.class_weight,
            pos_weight: &self.pos_weight,
            ignored: &self.ignored,
            counted,
        };
        if counted < TILE {
            let [x, z, v] = &mut self.kept;
            keep(simd, &staged, (x, z, v));
            (staged.x, staged.z, staged.v) = (x, z, v);
        }
        staged
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

/// Copies prediction, target and weight; of an ignored element they become ½, which is both a logit and a probability,
/// 0 and 0.
#[inline(always)]
fn keep<S: Simd>(simd: S, staged: &Staged<'_>, (x, z, v): (&mut [f32; TILE], &mut [f32; TILE], &mut [f32; TILE])) {
    let width = K * S::f32s::LEN;
    for i in (0..TILE).step_by(width) {
        let mask = Mask::from_bits(simd, staged.ignored.0[i / 64] >> (i % 64));
        let lanes = i..i + width;
        mask.select(0.5, F32s::load(simd, &staged.x[lanes.clone()])).store(&mut x[lanes.clone()]);
        mask.select(0.0, F32s::load(simd, &staged.z[lanes.clone()])).store(&mut z[lanes.clone()]);
        mask.select(0.0, F32s::load(simd, &staged.v[lanes.clone()])).store(&mut v[lanes]);
    }
}
