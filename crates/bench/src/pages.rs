//! Arrays that begin at a page of memory of their own.

use std::marker::PhantomData;

use bytemuck::Pod;
use memmap2::MmapMut;

use crate::error::{Error, Result};

/// An array that the system maps: zero at first, and backed by memory only once it is used.
#[derive(Debug)]
pub(crate) struct Pages<T> {
    memory: MmapMut,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Pod> Pages<T> {
    /// An array of `len` values, on huge pages if `huge` is set and the system has some.
    ///
    /// # Errors
    /// If the system has no memory or refuses huge pages.
    pub(crate) fn new(len: usize, huge: bool) -> Result<Self> {
        let bytes = (len * size_of::<T>()).max(1);
        let memory = MmapMut::map_anon(bytes).map_err(|source| Error::Memory { bytes, source })?;
        #[cfg(target_os = "linux")]
        if huge {
            memory.advise(memmap2::Advice::HugePage).map_err(Error::HugePages)?;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = huge;
        Ok(Self { memory, len, element: PhantomData })
    }

    /// The values.
    pub(crate) fn as_slice(&self) -> &[T] {
        bytemuck::cast_slice(&self.memory[..self.len * size_of::<T>()])
    }

    /// The values.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.memory[..self.len * size_of::<T>()])
    }
}
