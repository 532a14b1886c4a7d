//! Passes over memory: they read and write arrays as an evaluation does, and compute nothing.
//!
//! They are the limit that rows of the CPU are compared with. A pass runs over the arrays of the row itself, split over
//! the threads as the engine splits them, on the widest vectors of the machine.

use std::fmt;

use fearless_simd::{Level, dispatch, prelude::*};
use rayon::ThreadPool;

/// How a pass reads and writes. Which way is the fastest depends on the machine, on what else its memory is used for, and
/// on whether the caches hold the arrays. Its `Display` is what follows the name of a bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Whether values are prefetched, where the instruction set can (x86-64): what a processor prefetches by itself may
    /// end with a page.
    pub prefetch: bool,
    /// Whether outputs are written by streaming stores, where the instruction set can (x86-64): ordinary stores read
    /// each cache line before they change it.
    pub streaming: bool,
}

impl Way {
    /// The way of an ordinary loop.
    pub(crate) const PLAIN: Self = Self { prefetch: false, streaming: false };
    const PREFETCH: Self = Self { prefetch: true, streaming: false };
    const STREAMING: Self = Self { prefetch: false, streaming: true };
    const BOTH: Self = Self { prefetch: true, streaming: true };

    /// The ways that may be the fastest for passes that write something, or that only read.
    pub(crate) fn all(written: bool) -> &'static [Self] {
        match (cfg!(target_arch = "x86_64"), written) {
            (true, true) => &[Self::PLAIN, Self::STREAMING, Self::BOTH],
            (true, false) => &[Self::PLAIN, Self::PREFETCH],
            (false, _) => &[Self::PLAIN],
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefetch {
            write!(f, ", asked for ahead")?;
        }
        if self.streaming {
            write!(f, ", streaming stores")?;
        }
        Ok(())
    }
}

/// The threads that a pass runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Threads<'a> {
    /// The calling thread.
    One,
    /// The threads of rayon's global pool.
    Global,
    /// The threads of this pool.
    Pool(&'a ThreadPool),
}

/// What a pass reads and writes.
pub(crate) struct PassArrays<'a> {
    /// The bytes of predictions and targets.
    pub reads: [&'a [u8]; 2],
    /// Loss, gradient and hessian, empty where one is not written.
    pub writes: [&'a mut [f32]; 3],
}

/// The number of values of a step. They fill whole cache lines in every type, down to one bit each.
const STEP: usize = 512;
/// The distance in bytes over which values are prefetched: a page.
const PREFETCH_DISTANCE: usize = 4096;
/// The size of a cache line in bytes.
const LINE: usize = 64;
/// The number of values up to which a pass stays on the calling thread.
const INLINE: usize = 1 << 14;
/// The largest number of values that a thread takes at once.
const GRAIN_MAX: usize = 1 << 18;
/// The number of runs that each thread takes in a large pass, so that a slow thread takes fewer.
const RUNS_PER_THREAD: usize = 8;

/// Reads every byte and writes every value of a batch of `n`. The returned number means nothing, but depends on every
/// bit that was read, so that no read is optimised away.
pub(crate) fn pass(level: Level, threads: Threads<'_>, n: usize, arrays: PassArrays<'_>, way: Way) -> u32 {
    if n <= INLINE {
        return run(level, n, arrays, way);
    }
    let grain = |threads: usize| (n / (threads * RUNS_PER_THREAD)).clamp(INLINE, GRAIN_MAX);
    match threads {
        Threads::One => run(level, n, arrays, way),
        Threads::Global => halve(level, n, arrays, way, grain(rayon::current_num_threads())),
        Threads::Pool(pool) => pool.install(|| halve(level, n, arrays, way, grain(pool.current_num_threads()))),
    }
}

/// A pass whose halves go to two threads until they are `grain` values or fewer.
fn halve(level: Level, n: usize, arrays: PassArrays<'_>, way: Way, grain: usize) -> u32 {
    if n <= grain {
        return run(level, n, arrays, way);
    }
    let middle = (n / 2).next_multiple_of(STEP);
    let (head, tail) = split(arrays, n, middle);
    let halves = rayon::join(|| halve(level, middle, head, way, grain), || halve(level, n - middle, tail, way, grain));
    halves.0 ^ halves.1
}

/// The arrays of the first `at` of `n` values, and those of the others.
fn split(arrays: PassArrays<'_>, n: usize, at: usize) -> (PassArrays<'_>, PassArrays<'_>) {
    let reads = arrays.reads.map(|bytes| bytes.split_at(bytes.len() * at / n));
    let writes = arrays.writes.map(|values| {
        let at = at.min(values.len());
        values.split_at_mut(at)
    });
    let [(a, x), (b, y)] = reads;
    let [(c, u), (d, v), (e, w)] = writes;
    (PassArrays { reads: [a, b], writes: [c, d, e] }, PassArrays { reads: [x, y], writes: [u, v, w] })
}

/// A pass on the calling thread.
fn run(level: Level, n: usize, arrays: PassArrays<'_>, way: Way) -> u32 {
    dispatch!(level, simd => steps(simd, n, arrays, way))
}

#[inline(always)]
fn steps<S: Simd>(simd: S, n: usize, mut arrays: PassArrays<'_>, way: Way) -> u32 {
    let mut seen = [S::u32s::splat(simd, 0); 4];
    // A word that fills no vector is kept apart: copied to all lanes of one, it would cancel.
    let mut rest = 0;
    if !way.prefetch && arrays.writes.iter().all(|values| values.is_empty()) {
        // With nothing to prefetch or to write in between, each array is read in one go.
        for bytes in arrays.reads {
            rest ^= read(simd, bytes, &mut seen, way);
        }
    } else {
        for start in (0..n).step_by(STEP) {
            let end = n.min(start + STEP);
            for bytes in arrays.reads {
                rest ^= read(simd, &bytes[bytes.len() * start / n..bytes.len() * end / n], &mut seen, way);
            }
            for values in &mut arrays.writes {
                if !values.is_empty() {
                    write::<S>(seen[0], &mut values[start..end], way);
                }
            }
        }
    }
    #[cfg(target_arch = "x86_64")]
    if way.streaming {
        // SAFETY: SSE is part of x86-64.
        unsafe { core::arch::x86_64::_mm_sfence() };
    }
    let seen = (seen[0] ^ seen[1]) ^ (seen[2] ^ seen[3]);
    (0..S::u32s::LEN).fold(rest, |all, lane| all ^ seen[lane])
}

/// Reads bytes into the vectors `seen`, and returns the combination of those that fill no vector.
#[inline(always)]
fn read<S: Simd>(simd: S, bytes: &[u8], seen: &mut [S::u32s; 4], way: Way) -> u32 {
    // Arrays begin at a page and are split at whole steps: only the end of a short one is not whole words.
    let words: &[u32] = match bytemuck::try_cast_slice(bytes) {
        Ok(words) => words,
        Err(_) => return bytes.iter().fold(0, |all, byte| all ^ u32::from(*byte)),
    };
    let width = S::u32s::LEN;
    let mut rows = words.chunks_exact(4 * width);
    for row in &mut rows {
        if way.prefetch {
            for line in bytemuck::cast_slice::<_, u8>(row).chunks(LINE) {
                prefetch(line.as_ptr().wrapping_add(PREFETCH_DISTANCE));
            }
        }
        for (k, seen) in seen.iter_mut().enumerate() {
            *seen ^= S::u32s::from_slice(simd, &row[k * width..(k + 1) * width]);
        }
    }
    // A step of bits fills no row.
    let mut vectors = rows.remainder().chunks_exact(width);
    for vector in &mut vectors {
        seen[0] ^= S::u32s::from_slice(simd, vector);
    }
    vectors.remainder().iter().fold(0, |all, word| all ^ word)
}

/// Prefetches a cache line, which need not be mapped.
#[inline(always)]
fn prefetch(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch accesses nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// Fills values with the bits of `seen`.
#[inline(always)]
fn write<S: Simd>(seen: S::u32s, values: &mut [f32], way: Way) {
    // The bits are written as they are, whatever number they are.
    let values: &mut [u32] = bytemuck::cast_slice_mut(values);
    #[cfg(target_arch = "x86_64")]
    if way.streaming && values.as_ptr().addr().is_multiple_of(16) && values.len().is_multiple_of(4) {
        use core::arch::x86_64::{_mm_loadu_ps, _mm_stream_ps};
        let four = [seen[0], seen[1], seen[2], seen[3]];
        for values in values.chunks_exact_mut(4) {
            // SAFETY: SSE is part of x86-64; `four` and `values` are 16 bytes each, of which any are an f32, and the
            // latter begin at a multiple of 16 bytes, as the array was checked to do.
            unsafe { _mm_stream_ps(values.as_mut_ptr().cast(), _mm_loadu_ps(four.as_ptr().cast())) };
        }
        return;
    }
    let _ = way;
    let width = S::u32s::LEN;
    let mut rows = values.chunks_exact_mut(width);
    for row in &mut rows {
        seen.store_slice(row);
    }
    rows.into_remainder().fill(seen[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte matters to what is returned, and every value is written.
    #[test]
    fn nothing_is_left_out() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        for n in [1usize, 8, 100, 512, 1 << 15, (1 << 15) + 8] {
            let mut read = [vec![0u8; n * 4], vec![0u8; n.div_ceil(8)]];
            for way in [Way::PLAIN, Way::PREFETCH, Way::STREAMING, Way::BOTH] {
                for threads in [Threads::One, Threads::Pool(&pool)] {
                    for at in [0, n * 2, n * 4 - 1] {
                        let mut written = [vec![f32::NAN; n], Vec::new(), vec![f32::NAN; n]];
                        let mut look = |read: &[Vec<u8>; 2]| {
                            let [a, b, c] = &mut written;
                            let arrays = PassArrays { reads: [&read[0], &read[1]], writes: [a, b, c] };
                            pass(Level::new(), threads, n, arrays, way)
                        };
                        let before = look(&read);
                        read[0][at] ^= 1;
                        assert_ne!(look(&read), before, "{n} {at}");
                        read[0][at] ^= 1;
                        assert_eq!(look(&read), before);
                        assert!(written.iter().flatten().all(|value| !value.is_nan()), "{n} {way:?}");
                    }
                }
            }
        }
    }
}
