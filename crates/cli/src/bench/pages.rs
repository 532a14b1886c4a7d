//! Arrays that begin with a page of memory of their own.

use std::marker::PhantomData;

use anyhow::{Context, Result};
use bytemuck::Pod;
use memmap2::MmapMut;

/// Memory of the system's, zero at first, not touched until it is used.
#[derive(Debug)]
pub struct Pages<T> {
    memory: MmapMut,
    len: usize,
    values: PhantomData<T>,
}

impl<T: Pod> Pages<T> {
    /// Room for `len` values, on huge pages if the system has some and `huge` is set.
    pub fn new(len: usize, huge: bool) -> Result<Self> {
        let bytes = (len * size_of::<T>()).max(1);
        let memory = MmapMut::map_anon(bytes).with_context(|| format!("no {bytes} bytes of memory could be had"))?;
        #[cfg(target_os = "linux")]
        if huge {
            memory.advise(memmap2::Advice::HugePage).context("huge pages could not be asked for")?;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = huge;
        Ok(Self { memory, len, values: PhantomData })
    }

    /// The values.
    pub fn as_slice(&self) -> &[T] {
        bytemuck::cast_slice(&self.memory[..self.len * size_of::<T>()])
    }

    /// The values.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.memory[..self.len * size_of::<T>()])
    }
}
