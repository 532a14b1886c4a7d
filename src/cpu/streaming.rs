//! Stores that go around the caches.
//!
//! An ordinary store reads the line it writes into the cache first, and what is written there pushes out what
//! will be read. Where more is written than the cache holds, memory moves 4 bytes in 16 for nothing.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_mm_loadu_ps, _mm_sfence, _mm_stream_ps, _mm_stream_si32};

/// Copies `from` to `to`, as long as it. Other threads see it after [`fence`].
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn copy(from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len(), "as long as each other");
    let head = to.as_ptr().align_offset(16).min(to.len());
    let (head_from, from) = from.split_at(head);
    let (head_to, to) = to.split_at_mut(head);
    let (quads_from, tail_from) = from.as_chunks::<4>();
    let (quads_to, tail_to) = to.as_chunks_mut::<4>();
    let one = |from: &f32, to: &mut f32| {
        // SAFETY: SSE2 is there on every x86-64. The reference is valid to write an i32 to, of the same size and
        // alignment, and whoever reads it from another thread has synchronised with one that called `fence`.
        unsafe { _mm_stream_si32(std::ptr::from_mut(to).cast(), from.to_bits().cast_signed()) }
    };
    head_from.iter().zip(head_to).for_each(|(from, to)| one(from, to));
    for (from, to) in quads_from.iter().zip(quads_to) {
        // SAFETY: as above; four values lie behind each pointer, and `to` starts where 16 divides the address: the
        // head ends at such a place, unless nothing follows it.
        unsafe { _mm_stream_ps(to.as_mut_ptr(), _mm_loadu_ps(from.as_ptr())) }
    }
    tail_from.iter().zip(tail_to).for_each(|(from, to)| one(from, to));
}

/// Copies `from` to `to`, as long as it.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn copy(from: &[f32], to: &mut [f32]) {
    to.copy_from_slice(from);
}

/// Makes what this thread has copied visible to whoever synchronises with it from here on.
#[inline]
pub(crate) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is there on every x86-64.
    unsafe {
        _mm_sfence();
    }
}

/// Bytes in the largest cache that this processor reaches; where there are no such stores, or that is not known, more
/// than any call touches.
pub(crate) fn cache_bytes() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let bytes = |cache: raw_cpuid::CacheParameter| {
            cache.associativity() * cache.physical_line_partitions() * cache.coherency_line_size() * cache.sets()
        };
        let caches = raw_cpuid::CpuId::new().get_cache_parameters();
        caches.and_then(|caches| caches.map(bytes).max()).unwrap_or(usize::MAX)
    }
    #[cfg(not(target_arch = "x86_64"))]
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_alignment() {
        let from: Vec<f32> = (0..70).map(|i| i as f32).collect();
        for start in 0..8 {
            for len in 0..40 {
                let mut to = vec![-1.0; 70];
                copy(&from[start..start + len], &mut to[start + 3..start + 3 + len]);
                fence();
                for (i, value) in to.iter().enumerate() {
                    let inside = (start + 3..start + 3 + len).contains(&i);
                    assert_eq!(*value, if inside { (i - 3) as f32 } else { -1.0 }, "{start}, {len}, {i}");
                }
            }
        }
    }
}
