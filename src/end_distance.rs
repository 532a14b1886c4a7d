//! Probabilities as f32 words that keep the digits of both p and 1 − p: the distance q = min(p, 1 − p) from the nearer
//! end of [0, 1], taken in f64, with the sign bit set where that end is 1.
//!
//! f32 resolves 2⁻¹⁴⁹ near 0, but only 2⁻²⁴ below 1, so an f64 probability of 1 − 10⁻¹² would become 1, and its loss
//! infinite. −log p and −log(1 − p) are functions of q and the end alone, and so are the derivatives.
//!
//! q is at most ½. Words of larger magnitude are free, and stand for distances that are too small for f32: where
//! p < 2⁻¹²⁶, the smallest normal f32, the magnitude is −log p, from 87.3 to 745. NaN stands for an invalid probability.

/// The smallest distance that is stored as itself.
const SMALLEST: f64 = f32::MIN_POSITIVE as f64;

/// The bits of ½, the largest distance.
pub(crate) const LARGEST_BITS: u32 = 0.5f32.to_bits();

/// The bits of the largest magnitude of a valid word: −log of the smallest f64 is 744.4.
pub(crate) const VALID_MAX_BITS: u32 = 745.0f32.to_bits();

/// The word of probability `p`; NaN if it is invalid.
pub(crate) fn encode(p: f64) -> f32 {
    let distance = encode_ordinary(p);
    if is_tiny(p) { -p.ln() as f32 } else { distance }
}

/// The word of probability `p` unless it is [tiny](is_tiny).
#[inline(always)]
pub(crate) fn encode_ordinary(p: f64) -> f32 {
    // (-0 is a valid probability, and its end is 0.)
    let distance = if p <= 0.5 { p.abs() } else { -(1.0 - p) };
    if (0.0..=1.0).contains(&p) { distance as f32 } else { f32::NAN }
}

/// Whether the distance of `p` is too small for f32, and its word −log p.
#[inline(always)]
pub(crate) fn is_tiny(p: f64) -> bool {
    p > 0.0 && p < SMALLEST
}

/// A number that orders words as the probabilities that they stand for are ordered. (Those below 2⁻¹²⁶ are equal to 0.)
pub(crate) fn key(word: f32) -> u32 {
    let bits = word.to_bits() & (u32::MAX >> 1);
    let distance = if bits > LARGEST_BITS { 0 } else { bits };
    if word.is_sign_negative() { 2 * LARGEST_BITS - distance } else { distance }
}

/// The key that is compared with those of predictions, for a threshold that may lie outside of [0, 1].
pub(crate) fn threshold_key(threshold: f32) -> u32 {
    if threshold > 1.0 { u32::MAX } else { key(encode(threshold.max(0.0).into())) }
}
