//! Predictions, targets and weights become f32, a tile at a time. What is narrower is widened exactly, f64 and i64 are
//! rounded, and f64 probabilities encoded. A tile of fewer than [`TILE`] values, which the end of the batch cuts short, is
//! padded with 0.

use fearless_simd::prelude::*;

use super::tile::TILE;
use crate::{Batch, Floats, Targets, Weights, end_distance, prediction_kind::Encoding};

/// The tile of `len` predictions of `part` that starts at `start`: in place where they are f32, else decoded into
/// `buffer`.
#[inline(always)]
pub(crate) fn predictions<'a, S: Simd>(
    simd: S,
    part: &Batch<'a>,
    start: usize,
    len: usize,
    buffer: &'a mut [f32; TILE],
) -> &'a [f32; TILE] {
    floats(simd, &part.predictions(), part.kind().encoding, start, len, buffer)
}

#[inline(always)]
fn floats<'a, S: Simd>(
    simd: S,
    values: &Floats<'a>,
    encoding: Encoding,
    start: usize,
    len: usize,
    buffer: &'a mut [f32; TILE],
) -> &'a [f32; TILE] {
    if len < TILE {
        return short(len, |i| encoding.encode(values.get(start + i)), buffer);
    }
    match values {
        Floats::F32(v) => return whole(&v[start..]),
        Floats::F16(v) => widen(
            simd,
            bytemuck::cast_ref::<_, [u16; TILE]>(whole(&v[start..])),
            buffer,
            #[inline(always)]
            |bits| decode_f16(simd, bits),
        ),
        Floats::Bf16(v) => widen(
            simd,
            bytemuck::cast_ref::<_, [u16; TILE]>(whole(&v[start..])),
            buffer,
            #[inline(always)]
            |bits| decode_bf16(simd, bits),
        ),
        Floats::F64(v) => match encoding {
            Encoding::Logits | Encoding::Probabilities => narrow(whole(&v[start..]), |x| x as f32, buffer),
            Encoding::EndDistances => end_distances(whole(&v[start..]), buffer),
        },
    }
    buffer
}

/// The tile of `len` targets that starts at `start`, likewise. An integer that is not 0 or 1 becomes another number that is
/// not in [0, 1].
#[inline(always)]
pub(crate) fn targets<'a, S: Simd>(
    simd: S,
    values: &Targets<'a>,
    start: usize,
    len: usize,
    buffer: &'a mut [f32; TILE],
) -> &'a [f32; TILE] {
    if len < TILE {
        return short(len, |i| values.get(start + i) as f32, buffer);
    }
    match values {
        Targets::F32(v) => return whole(&v[start..]),
        Targets::U8(v) => bytes(simd, whole(&v[start..]), buffer),
        Targets::Bool(v) => bytes(simd, whole(bytemuck::cast_slice(&v[start..])), buffer),
        Targets::Bits(v) => bits(simd, &v[start / 8..][..TILE / 8], buffer),
        Targets::I64(v) => narrow(whole(&v[start..]), |z| z as f32, buffer),
    }
    buffer
}

/// The tile of `len` weights that starts at `start`, likewise.
#[inline(always)]
pub(crate) fn weights<'a, S: Simd>(
    simd: S,
    values: &Weights<'a>,
    start: usize,
    len: usize,
    buffer: &'a mut [f32; TILE],
) -> &'a [f32; TILE] {
    match values {
        // (The encoding is that of numbers as they are.)
        Weights::F32(v) => floats(simd, &Floats::F32(v), Encoding::Logits, start, len, buffer),
        Weights::F16(v) => floats(simd, &Floats::F16(v), Encoding::Logits, start, len, buffer),
    }
}

/// The first `len` values of a tile, padded with 0.
fn short(len: usize, value: impl Fn(usize) -> f32, buffer: &mut [f32; TILE]) -> &[f32; TILE] {
    let (values, padding) = buffer.split_at_mut(len);
    for (i, slot) in values.iter_mut().enumerate() {
        *slot = value(i);
    }
    padding.fill(0.0);
    buffer
}

/// The first `TILE` values. (Callers have as many; an empty slice is not reached.)
#[inline(always)]
fn whole<T>(values: &[T]) -> &[T; TILE] {
    values.first_chunk().expect("a whole tile")
}

#[inline(always)]
fn narrow<T: Copy>(values: &[T; TILE], convert: impl Fn(T) -> f32, buffer: &mut [f32; TILE]) {
    for (slot, &value) in buffer.iter_mut().zip(values) {
        *slot = convert(value);
    }
}

/// Probabilities as distances from the nearer end of [0, 1].
#[inline(always)]
fn end_distances(values: &[f64; TILE], buffer: &mut [f32; TILE]) {
    narrow(values, end_distance::encode_ordinary, buffer);
    // Few batches have any of these, and a logarithm would keep the loop from being vectorized.
    if values.iter().fold(false, |any, &p| any | end_distance::is_tiny(p)) {
        narrow(values, end_distance::encode, buffer);
    }
}

#[inline(always)]
fn widen<S: Simd>(simd: S, values: &[u16; TILE], buffer: &mut [f32; TILE], decode: impl Fn(S::u32s) -> S::f32s) {
    let width = S::f32s::LEN;
    for i in (0..TILE).step_by(S::u16s::LEN) {
        let (low, high) = S::u16s::from_slice(simd, &values[i..i + S::u16s::LEN]).widen();
        decode(low).store_slice(&mut buffer[i..i + width]);
        decode(high).store_slice(&mut buffer[i + width..i + 2 * width]);
    }
}

/// IEEE binary16 in the low 16 bits of each lane, the others 0.
///
/// Twin of the function of that name in `shaders/element.wgsl`, which may not multiply a subnormal: a driver may
/// flush it.
#[inline(always)]
pub(crate) fn decode_f16<S: Simd>(simd: S, bits: S::u32s) -> S::f32s {
    let magnitude = (bits & 0x7fff) << 13;
    let sign = (bits & 0x8000) << 16;
    // The exponent is rebiased by a product, which is exact for subnormals too.
    let finite = magnitude.bitcast::<S::f32s>() * f32::from_bits((127 + 112) << 23);
    let special = magnitude | 0x7f80_0000;
    let is_special = magnitude.simd_ge(S::u32s::splat(simd, 0x7c00 << 13));
    (is_special.select(special, finite.bitcast()) | sign).bitcast()
}

/// bfloat16 in the low 16 bits of each lane, the others 0. Twin of the function of that name in
/// `shaders/element.wgsl`.
#[inline(always)]
pub(crate) fn decode_bf16<S: Simd>(_: S, bits: S::u32s) -> S::f32s {
    (bits << 16).bitcast()
}

#[inline(always)]
fn bytes<S: Simd>(simd: S, values: &[u8; TILE], buffer: &mut [f32; TILE]) {
    let width = S::f32s::LEN;
    for i in (0..TILE).step_by(S::u8s::LEN) {
        let (low, high) = S::u8s::from_slice(simd, &values[i..i + S::u8s::LEN]).widen();
        let ((a, b), (c, d)) = (low.widen(), high.widen());
        for (j, quarter) in [a, b, c, d].into_iter().enumerate() {
            let start = i + j * width;
            quarter.to_float::<S::f32s>().store_slice(&mut buffer[start..start + width]);
        }
    }
}

#[inline(always)]
fn bits<S: Simd>(simd: S, values: &[u8], buffer: &mut [f32; TILE]) {
    let width = S::f32s::LEN;
    let (zero, one) = (S::f32s::splat(simd, 0.0), S::f32s::splat(simd, 1.0));
    for (i, quad) in values.chunks_exact(4).enumerate() {
        let word = u32::from_le_bytes([quad[0], quad[1], quad[2], quad[3]]);
        for j in (0..32).step_by(width) {
            let mask = S::mask32s::from_bitmask(simd, u64::from(word >> j) & ((1 << width) - 1));
            let start = 32 * i + j;
            mask.select(one, zero).store_slice(&mut buffer[start..start + width]);
        }
    }
}
