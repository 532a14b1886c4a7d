//! The layout of what host and shaders share: each struct is described once, and the shaders' declarations, constants
//! and offsets are derived from that description.
//!
//! Structs are `Pod`, which allows no implicit padding: where WGSL would pad, a field says so, and so the offsets of
//! the two languages are the same. A test compares them in the compiled module.

use std::mem::offset_of;

use crate::{
    BLOCK, Ignore,
    gpu::{accumulators::threshold_key, codes},
    job::Job,
    loss_parameters,
};

/// Offsets at which any device binds a storage buffer, in bytes.
pub(crate) const ALIGNMENT: u64 = 256;
/// Lanes of a workgroup.
pub(crate) const LANES: u32 = 256;
/// The groups of lanes of a block: the sums of a group are added in f32, those of different groups as integers.
const GROUPS: u32 = LANES / 8;
/// The power of two that the lowest bit of the lowest limb of a sum stands for: limb l counts units of 2^(16 l − 173).
pub(crate) const UNIT_EXPONENT: i32 = -173;
/// The number of limbs of a window's sum.
const LIMBS: usize = 22;
/// The number of limbs of the sum of a whole batch, in the result block.
pub(crate) const RESULT_LIMBS: usize = LIMBS + 2;
/// The words of a window's sum: its limbs, and the number of infinities.
const SERIES_LIMBS: usize = LIMBS + 1;

/// The validity of an element in kernels: valid, or the array whose value is invalid. The latter is the `status` of a
/// [`ResultBlock`](crate::ResultBlock).
const VALID: u32 = 0;
pub(crate) const BAD_PREDICTION: u32 = 1;
pub(crate) const BAD_TARGET: u32 = 2;
pub(crate) const BAD_WEIGHT: u32 = 3;

/// The flags of [`LossParameters`], as in weighted.wgsl.
pub(crate) const CLIPPED_IS_FLAT: u32 = 1;
pub(crate) const BINARIZE: u32 = 2;
pub(crate) const WEIGH_POSITIVES: u32 = 4;
pub(crate) const UNLABELLED_LOSS: u32 = 8;
pub(crate) const ROUNDS: u32 = 16;

/// A type that Rust and WGSL both have.
pub(crate) trait Wgsl {
    /// Its name in WGSL.
    fn wgsl() -> String;
}

/// A struct that Rust and WGSL both have.
pub(crate) trait Declared: Wgsl {
    /// The lines that declare its fields in WGSL.
    fn fields() -> String;

    /// The names of its fields and their offsets in bytes.
    #[cfg(test)]
    fn offsets() -> Vec<(&'static str, usize)>;

    /// Its declaration in WGSL; `tail` declares further fields behind those of Rust.
    fn declaration(tail: &str) -> String {
        format!("struct {} {{\n{}{tail}}}\n", Self::wgsl(), Self::fields())
    }
}

/// A word that shaders access atomically.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub(crate) struct Atomic(pub u32);

/// Two floats, aligned as WGSL does.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(8))]
pub(crate) struct Vec2(pub [f32; 2]);

impl Wgsl for u32 {
    fn wgsl() -> String {
        "u32".into()
    }
}

impl Wgsl for f32 {
    fn wgsl() -> String {
        "f32".into()
    }
}

impl Wgsl for Atomic {
    fn wgsl() -> String {
        "atomic<u32>".into()
    }
}

impl Wgsl for Vec2 {
    fn wgsl() -> String {
        "vec2<f32>".into()
    }
}

impl<T: Wgsl, const N: usize> Wgsl for [T; N] {
    fn wgsl() -> String {
        format!("array<{}, {N}>", T::wgsl())
    }
}

/// Declares structs for both languages; what documents a field is a comment in WGSL.
macro_rules! shared {
    ($($(#[doc = $doc:literal])* struct $name:ident {
        $($(#[doc = $field_doc:literal])* $field:ident: $ty:ty,)*
    })*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        pub(crate) struct $name {
            $($(#[doc = $field_doc])* pub $field: $ty,)*
        }

        impl Wgsl for $name {
            fn wgsl() -> String {
                stringify!($name).into()
            }
        }

        impl Declared for $name {
            fn fields() -> String {
                let mut lines = String::new();
                $(
                    $(lines += concat!("    //", $field_doc, "\n");)*
                    lines += &format!("    {}: {},\n", stringify!($field), <$ty as Wgsl>::wgsl());
                )*
                lines
            }

            #[cfg(test)]
            fn offsets() -> Vec<(&'static str, usize)> {
                vec![$((stringify!($field), offset_of!($name, $field)),)*]
            }
        }
    )*};
}

shared! {
    /// The sums and parameters of one window. Class weights, as `Vec2`, follow it in memory.
    struct Window {
        /// 0 between evaluations.
        sums: WindowSums,
        /// Written by the host.
        parameters: WindowParameters,
    }

    /// The sums of one window.
    struct WindowSums {
        /// The sums of the losses and, behind them, of the weights, in fixed point, exact over the whole range of f32: limb
        /// l counts units of 2^(16 l - 173). A block adds 16 bits to a limb twice at most, so the 32,768 blocks of a window
        /// cannot overflow one. The last word of each sum is no limb: it is not 0 if a block's sum was +inf.
        limbs: [Atomic; 2 * SERIES_LIMBS],
        /// 0, or the complement of 4·index + array for the first invalid element.
        invalid: Atomic,
        /// The number of elements counted. Taken, as the weights are, where WEIGHTED is set.
        count: Atomic,
    }

    /// The parameters of one window.
    struct WindowParameters {
        /// The number of elements, at most 2^26.
        len: u32,
        /// The factor on every gradient and hessian.
        coefficient: f32,
        /// The number of classes.
        classes: u32,
        /// The class of the first element, plus a whole number of rows where the weights of samples begin before it.
        class_offset: u32,
        /// The label whose elements are ignored.
        ignored: f32,
        /// The mean of a row in which no element is counted, as bits.
        empty: u32,
        /// For shaders/accumulators/threshold.wgsl: the key of the threshold.
        threshold: u32,
        /// Not used.
        padding: u32,
        /// The parameters of the loss.
        loss: LossParameters,
    }

    /// The parameters of the loss, declared in weighted.wgsl, which others may use without the rest.
    struct LossParameters {
        /// w0 and w1.
        label_weights: Vec2,
        /// α_t of a negative and of a positive.
        alpha: Vec2,
        /// a.
        smoothing: f32,
        /// γ.
        gamma: f32,
        /// The ends of what −log(1 − p) is clipped to.
        negative_term: Vec2,
        /// The ends of what −log p is clipped to.
        positive_term: Vec2,
        /// The least p·(1 − p) in derivatives with respect to a probability.
        denominator: f32,
        /// The least σ(x)·σ(−x) in the hessian.
        hessian: f32,
        /// The flags above.
        flags: u32,
        /// Not used.
        padding: u32,
    }

    /// The sums of one class in a window.
    struct ClassSum {
        /// The sum of its losses: limbs, and the number of infinities, as in a window.
        limbs: [Atomic; SERIES_LIMBS],
        /// The number of its elements counted.
        count: Atomic,
    }

    /// The parameters of finish.wgsl, which runs over all windows.
    struct BatchParameters {
        /// The number of windows.
        windows: u32,
        /// The number of elements in every window but the last, at most 2^26.
        window: u32,
        /// The number of elements in all, low and high half.
        count_low: u32,
        count_high: u32,
        /// The number of words between the beginnings of two windows.
        stride: u32,
        /// 1 if the windows have counted, and weighed, their elements; 0 if every element counts with weight 1.
        counted: u32,
        /// 1 if the mean divides by the weights.
        weighted: u32,
        /// The mean if no element is counted, as bits.
        empty: u32,
        /// The coefficient before it is divided.
        scale: f32,
    }
}

impl Window {
    /// The offset of the parameters, in bytes.
    pub(super) const PARAMETERS: u64 = offset_of!(Window, parameters) as u64;
    /// The offset of the class weights, in bytes.
    pub(super) const CLASS_WEIGHTS: u64 = size_of::<Window>() as u64;

    /// Bytes between the beginnings of two windows that have `entries` class weights each.
    pub(super) fn stride(entries: u64) -> u64 {
        (Self::CLASS_WEIGHTS + size_of::<Vec2>() as u64 * entries).next_multiple_of(ALIGNMENT)
    }
}

impl ClassSum {
    /// Bytes of the sum of a class.
    pub(super) const SIZE: u64 = size_of::<Self>() as u64;

    /// The words of the sum of its losses: limbs, and the number of infinities.
    pub(super) fn losses(&self) -> (&[u32], u32) {
        let words: &[u32; SERIES_LIMBS] = bytemuck::cast_ref(&self.limbs);
        (&words[..LIMBS], words[LIMBS])
    }
}

impl WindowParameters {
    /// The parameters of any window, but for the number of its elements and its class offset, which are 0.
    pub(super) fn new(job: &Job, classes: u32) -> Self {
        let plain = loss_parameters::LossParameters::plain();
        let parameters = job.parameters.as_ref().unwrap_or(&plain);
        Self {
            len: 0,
            coefficient: job.coefficient,
            classes,
            class_offset: 0,
            ignored: match parameters.ignore {
                Some(Ignore::Label(label)) => label as f32,
                _ => 0.0,
            },
            empty: (job.empty_mean as f32).to_bits(),
            threshold: job.threshold.map_or(0, |threshold| threshold_key(threshold, job.encoding)),
            padding: 0,
            loss: LossParameters::new(parameters),
        }
    }
}

impl LossParameters {
    fn new(parameters: &loss_parameters::LossParameters) -> Self {
        let conventions = &parameters.conventions;
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        Self {
            label_weights: Vec2(parameters.label_weights),
            alpha: Vec2(parameters.alpha),
            smoothing: parameters.smoothing,
            gamma: parameters.gamma,
            negative_term: Vec2(conventions.negative_term),
            positive_term: Vec2(conventions.positive_term),
            denominator: conventions.denominator,
            hessian: conventions.hessian,
            flags: flag(conventions.clipped_is_flat, CLIPPED_IS_FLAT)
                | flag(conventions.binarize, BINARIZE)
                | flag(conventions.weigh_positives, WEIGH_POSITIVES)
                | flag(conventions.unlabelled_loss, UNLABELLED_LOSS)
                | flag(conventions.rounds, ROUNDS),
            padding: 0,
        }
    }
}

/// The declarations that every kernel begins with.
pub(crate) fn kernel_declarations() -> String {
    let constants = constants(&[
        ("LANES", LANES),
        ("BLOCK", BLOCK as u32),
        ("GROUPS", GROUPS),
        ("SERIES_LIMBS", SERIES_LIMBS as u32),
        ("INFINITE", LIMBS as u32),
        ("VALID", VALID),
        ("BAD_PREDICTION", BAD_PREDICTION),
        ("BAD_TARGET", BAD_TARGET),
        ("BAD_WEIGHT", BAD_WEIGHT),
    ]);
    let class_weights = "    // Class weight and pos_weight: of each class, or of all.\n    \
                         class_weights: array<vec2<f32>>,\n";
    [
        constants,
        codes::declarations(),
        WindowSums::declaration(""),
        WindowParameters::declaration(""),
        Window::declaration(class_weights),
        ClassSum::declaration(""),
    ]
    .join("\n")
}

/// The declarations that finish.wgsl begins with. It sees windows as words, and offsets in words.
pub(crate) fn finish_declarations() -> String {
    let parameters = offset_of!(Window, parameters);
    let word = |bytes: usize| bytes as u32 / 4;
    let constants = constants(&[
        ("BLOCK_BITS", BLOCK.trailing_zeros()),
        ("LIMBS", LIMBS as u32),
        ("RESULT_LIMBS", RESULT_LIMBS as u32),
        ("SERIES_LIMBS", SERIES_LIMBS as u32),
        ("INFINITE", LIMBS as u32),
        ("INVALID", word(offset_of!(WindowSums, invalid))),
        ("COUNT", word(offset_of!(WindowSums, count))),
        ("COEFFICIENT", word(parameters + offset_of!(WindowParameters, coefficient))),
    ]);
    let unit = format!("const UNIT_EXPONENT: i32 = {UNIT_EXPONENT}i;\n");
    [constants, unit, BatchParameters::declaration("")].join("\n")
}

/// Declares constants in WGSL.
pub(crate) fn constants(constants: &[(&str, u32)]) -> String {
    constants.iter().map(|(name, value)| format!("const {name}: u32 = {value}u;\n")).collect()
}
