//! The shaders as text. Each file is plain WGSL; what they are composed with is derived: declarations of structs and
//! constants from [`layout`], of arrays from [`bindings`](super::bindings), and calls of
//! [`accumulators`](super::accumulators).

use crate::{
    gpu::{accumulators::Accumulators, bindings::Bindings, layout},
    job::Sums,
};

/// The parts that all kernels have: the arithmetic of an element, weights and parameters of the loss, and the pass over
/// a window.
const KERNEL: [&str; 3] = [
    include_str!("../../shaders/element.wgsl"),
    include_str!("../../shaders/weighted.wgsl"),
    include_str!("../../shaders/kernel.wgsl"),
];

/// The shaders for sums over all values, by class and by row, in the order of [`Sums`].
const SUMS: [&str; 3] = [
    include_str!("../../shaders/sums/all.wgsl"),
    include_str!("../../shaders/sums/per_class.wgsl"),
    include_str!("../../shaders/sums/per_row.wgsl"),
];

/// The shaders that write outputs: one value per word, or two halves per word for narrow outputs.
const OUTPUTS: [&str; 2] =
    [include_str!("../../shaders/outputs/words.wgsl"), include_str!("../../shaders/outputs/halves.wgsl")];

/// The passes that add up the windows.
const FINISH: &str = include_str!("../../shaders/finish.wgsl");

/// The properties of a kernel that its source depends on. All others are constants that are set when it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    /// What the sums are taken over.
    pub sums: Sums,
    /// Whether an output is narrower than f32.
    pub narrow: bool,
    /// The arrays bound.
    pub bindings: Bindings,
    /// The statistics taken beside the sums.
    pub accumulators: Accumulators,
}

impl Source {
    /// The source in WGSL.
    pub(crate) fn wgsl(&self) -> String {
        let derived = [layout::kernel_declarations(), self.bindings.wgsl(), self.accumulators.wgsl()];
        let parts = derived.iter().map(String::as_str).chain(KERNEL);
        let parts = parts.chain([SUMS[self.sums as usize], OUTPUTS[usize::from(self.narrow)]]);
        parts.collect::<Vec<_>>().join("\n")
    }
}

/// The source in WGSL of the passes that add up the windows.
pub(crate) fn finish() -> String {
    [layout::finish_declarations().as_str(), FINISH].join("\n")
}
