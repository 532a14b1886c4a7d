//! Accumulators: statistics of the predictions that kernels take in the same pass as the losses, as integer counts.
//!
//! Another accumulator, a histogram say, is
//!
//! - a file `shaders/accumulators/NAME.wgsl` with the two functions that the head of
//!   `shaders/accumulators/threshold.wgsl` describes, which add to its words of the array `counts`;
//! - an entry in [`ACCUMULATORS`]: that file, the number of its words, when it is requested, and what its words become
//!   in [`Partials`];
//! - where it has parameters, a field in [`WindowParameters`](super::layout::WindowParameters), read as
//!   `window.parameters.…`.
//!
//! Everything else follows: kernels of objectives that request it are composed with it, each window has a place for its
//! counts, which are cleared before and copied back after each evaluation, and counts of windows and chunks are added up.

use crate::{Partials, ThresholdCounts, end_distance, gpu::layout, job::Job, prediction_kind::Encoding};

/// An accumulator.
struct Accumulator {
    /// The name that its functions and constants have in WGSL.
    name: &'static str,
    /// Its shader.
    source: &'static str,
    /// The number of its counts.
    words: u32,
    /// Whether a job requests it.
    requested: fn(&Job) -> bool,
    /// Adds the counts of one window to partials.
    add: fn(&[u32], &mut Partials),
}

/// All accumulators, at most 8.
const ACCUMULATORS: [Accumulator; 1] = [Accumulator {
    name: "threshold",
    source: include_str!("../../shaders/accumulators/threshold.wgsl"),
    words: 2,
    requested: |job| job.threshold.is_some(),
    add: |counts, partials| {
        let counts = ThresholdCounts::new(counts[0].into(), counts[1].into());
        partials.threshold.get_or_insert_default().merge(&counts);
    },
}];

/// The accumulators that an evaluation requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Accumulators(u8);

impl Accumulators {
    /// The accumulators that `job` requests.
    pub(crate) fn of(job: &Job) -> Self {
        Self((0..).zip(&ACCUMULATORS).fold(0, |set, (bit, other)| set | u8::from((other.requested)(job)) << bit))
    }

    /// All, or none.
    #[cfg(test)]
    pub(crate) fn all(requested: bool) -> Self {
        if requested { Self((1 << ACCUMULATORS.len()) - 1) } else { Self::default() }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each accumulator, and the index of its first count in a window.
    fn iter(self) -> impl Iterator<Item = (&'static Accumulator, u32)> {
        let requested = (0..).zip(&ACCUMULATORS).filter(move |(bit, _)| self.0 >> bit & 1 == 1);
        requested.scan(0, |next, (_, accumulator)| {
            let first = *next;
            *next += accumulator.words;
            Some((accumulator, first))
        })
    }

    /// The number of bytes of a window's counts.
    pub(crate) fn bytes(self) -> u64 {
        self.iter().map(|(accumulator, _)| u64::from(accumulator.words) * 4).sum()
    }

    /// The number of bytes from the counts of a window to those of the next; 0 if there are no counts.
    pub(crate) fn stride(self) -> u64 {
        self.bytes().next_multiple_of(layout::ALIGNMENT)
    }

    /// Adds the counts of windows, each [`stride`](Self::stride) bytes from the next, to partials.
    pub(crate) fn add(self, windows: &[u8], partials: &mut Partials) {
        if self.is_empty() {
            return;
        }
        for window in windows.chunks_exact(self.stride() as usize) {
            let words: Vec<u32> = bytemuck::pod_collect_to_vec(&window[..self.bytes() as usize]);
            for (accumulator, first) in self.iter() {
                (accumulator.add)(&words[first as usize..][..accumulator.words as usize], partials);
            }
        }
    }

    /// Their shaders, and the functions that kernels call for all of them.
    pub(crate) fn wgsl(self) -> String {
        let (mut sources, mut each, mut end) = (String::new(), String::new(), String::new());
        for (accumulator, first) in self.iter() {
            let name = accumulator.name;
            sources += &layout::constants(&[(&format!("{}_COUNTS", name.to_uppercase()), first)]);
            sources += accumulator.source;
            each += &format!("    {name}_accumulate(i, x, z, v);\n");
            end += &format!("    {name}_end(lane);\n");
        }
        let accumulate = format!("fn accumulate(i: u32, x: f32, z: f32, v: f32) {{\n{each}}}\n");
        let end = format!("fn end_accumulators(lane: u32) {{\n{end}}}\n");
        [sources, accumulate, end].join("\n")
    }
}

/// What threshold.wgsl compares with the keys of predictions.
pub(crate) fn threshold_key(threshold: f32, encoding: Encoding) -> u32 {
    match encoding {
        Encoding::Logits | Encoding::Probabilities => float_key(threshold),
        Encoding::EndDistances => end_distance::threshold_key(threshold),
    }
}

/// A number that orders floats as they are ordered, with −0 as 0.
fn float_key(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_floats() {
        let (tiny, inf) = (f32::from_bits(1), f32::INFINITY);
        let ordered =
            [-inf, f32::MIN, -1.0, -f32::MIN_POSITIVE, -tiny, 0.0, tiny, f32::MIN_POSITIVE, 1.0, f32::MAX, inf];
        assert!(ordered.is_sorted_by(|a, b| float_key(*a) < float_key(*b)));
        assert_eq!(float_key(-0.0), float_key(0.0));
    }
}
