//! The memory bandwidth: the speed of reading two arrays, and of reading two arrays and writing a third, with
//! negligible computation. It is a plain sweep with a contiguous share for each thread, as in STREAM.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder, prelude::*};

/// The number of values per iteration: a multiple of every vector width, and enough sums that no addition waits for
/// another.
const STEP: usize = 32;

/// Outputs of more bytes than this are written with streaming stores.
const STREAMED: usize = 8 << 20;

/// The threads of a sweep.
pub(crate) struct Limits {
    pool: Option<ThreadPool>,
    threads: usize,
}

impl Limits {
    /// Sweeps on `threads` threads; a single thread is that of the caller.
    pub(crate) fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let pool = (threads > 1).then(|| ThreadPoolBuilder::new().num_threads(threads).build()).transpose()?;
        Ok(Self { pool, threads })
    }

    /// Reads 8 bytes per value.
    pub(crate) fn read(&self, x: &[f32], z: &[f32]) {
        let share = self.share(x.len());
        let sweep = |(x, z): (&[f32], &[f32])| read(x, z);
        match &self.pool {
            Some(pool) => pool.install(|| x.par_chunks(share).zip(z.par_chunks(share)).for_each(sweep)),
            None => sweep((x, z)),
        }
    }

    /// Reads 8 bytes per value and writes 4, with streaming stores if the output does not fit the cache.
    pub(crate) fn read_write(&self, x: &[f32], z: &[f32], out: &mut [f32]) {
        let share = self.share(x.len());
        let sweep = if size_of_val(out) > STREAMED { stream } else { write };
        let sweep = |((x, z), out): ((&[f32], &[f32]), &mut [f32])| sweep(x, z, out);
        match &self.pool {
            Some(pool) => pool.install(|| {
                x.par_chunks(share).zip(z.par_chunks(share)).zip(out.par_chunks_mut(share)).for_each(sweep);
            }),
            None => sweep(((x, z), out)),
        }
    }

    fn share(&self, len: usize) -> usize {
        len.div_ceil(self.threads).next_multiple_of(STEP).max(STEP)
    }
}

/// Compiles a plain loop for each level of x86-64, and runs the best one that the processor supports.
macro_rules! levels {
    ($name:ident($($argument:ident: $type:ty),*) $body:block) => {
        fn $name($($argument: $type),*) {
            #[inline(always)]
            fn plain($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512($($argument: $type),*) {
                    plain($($argument),*);
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $type),*) {
                    plain($($argument),*);
                }
                if is_x86_feature_detected!("avx512f") {
                    // SAFETY: the processor has this feature, as checked above.
                    return unsafe { avx512($($argument),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has this feature, as checked above.
                    return unsafe { avx2($($argument),*) };
                }
            }
            plain($($argument),*);
        }
    };
}

levels!(read(x: &[f32], z: &[f32]) {
    let (mut sum_x, mut sum_z) = ([0.0f32; STEP], [0.0f32; STEP]);
    for (x, z) in x.chunks_exact(STEP).zip(z.chunks_exact(STEP)) {
        for i in 0..STEP {
            sum_x[i] += x[i];
            sum_z[i] += z[i];
        }
    }
    std::hint::black_box((sum_x, sum_z));
});

levels!(write(x: &[f32], z: &[f32], out: &mut [f32]) {
    for ((x, z), out) in x.iter().zip(z).zip(out) {
        *out = x + z;
    }
});

/// [`write`] with streaming stores, if the architecture has them.
fn stream(x: &[f32], z: &[f32], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if out.as_ptr().addr().is_multiple_of(64) {
        let whole = out.len() - out.len() % STEP;
        assert!(x.len() >= whole && z.len() >= whole);
        let sweep = if is_x86_feature_detected!("avx512f") {
            x86::avx512
        } else if is_x86_feature_detected!("avx2") {
            x86::avx2
        } else {
            x86::sse
        };
        // SAFETY: the processor has this level, as checked above; each array has `whole` values, a multiple of every
        // vector width, and the output starts at a cache line.
        unsafe { sweep(x.as_ptr(), z.as_ptr(), out.as_mut_ptr(), whole) };
        return write(&x[whole..], &z[whole..], &mut out[whole..]);
    }
    write(x, z, out);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    macro_rules! sweep {
        ($name:ident, $feature:literal, $width:literal, $load:ident, $add:ident, $stream:ident) => {
            #[target_feature(enable = $feature)]
            pub(super) unsafe fn $name(x: *const f32, z: *const f32, out: *mut f32, len: usize) {
                for i in (0..len).step_by($width) {
                    // SAFETY: each array has `len` values, a multiple of the width, and the output is aligned.
                    unsafe { $stream(out.add(i).cast(), $add($load(x.add(i)), $load(z.add(i)))) };
                }
                _mm_sfence();
            }
        };
    }
    sweep!(avx512, "avx512f", 16, _mm512_loadu_ps, _mm512_add_ps, _mm512_stream_ps);
    sweep!(avx2, "avx2", 8, _mm256_loadu_ps, _mm256_add_ps, _mm256_stream_ps);
    sweep!(sse, "sse", 4, _mm_loadu_ps, _mm_add_ps, _mm_stream_ps);
}
