//! The values of a resident batch that lie in a block which the batch does not end, kept for the partials.

use crate::{
    OutputType, Result,
    gpu::{
        Gpu,
        buffers::{self, BufferRegion},
        dispatch::{Arrays, Pass},
    },
    job::{Job, Sums},
    partials::{Kept, Tree, TreeKind},
    plan,
};

/// A second evaluation, of the last values alone, which stores what they add to the sums.
#[derive(Debug)]
pub(crate) struct KeptTail {
    pass: Pass,
    tree: Tree,
    /// The number of values kept, the last ones of those evaluated.
    len: u64,
    /// What is stored: the losses, and the weights if the job has parameters. Each is of as many bytes.
    stored: Vec<wgpu::Buffer>,
    bytes: u64,
    readback: wgpu::Buffer,
}

impl KeptTail {
    /// The evaluation for a batch whose first value has index `first`, that of a block, in the whole; none if its last
    /// block is complete. It is to be called in an error scope.
    pub(super) fn new(gpu: &Gpu, arrays: &Arrays, job: &Job, first: u64) -> Result<Option<Self>> {
        use wgpu::BufferUsages as Usage;
        let classes = arrays.classes as usize;
        let tree = Tree::new(TreeKind::Gpu, job.sums, classes);
        let [_, len] = plan::ends(first, arrays.len, tree.unit());
        if len == 0 {
            return Ok(None);
        }
        // From where every array can be bound.
        let start = arrays.len - arrays.len % plan::unit(job.sums, classes);
        let bytes = OutputType::F32.bytes(arrays.len - start);
        let series = if job.parameters.is_some() { 2 } else { 1 };
        let usage = Usage::STORAGE | Usage::COPY_SRC;
        let stored: Vec<_> =
            (0..series).map(|_| buffers::make(&gpu.device, "logloss kept values", bytes, usage)).collect();
        let output = |which: usize| {
            let buffer: Option<&wgpu::Buffer> = stored.get(which);
            buffer.map(|buffer| (OutputType::F32, BufferRegion::from(buffer.clone())))
        };
        let arrays = Arrays { start, outputs: [output(0), output(1), None], ..arrays.clone() };
        let job = Job { sums: Sums::All, threshold: None, divide: None, stores_addends: true, ..job.clone() };
        let pass = Pass::new(gpu, &arrays, &job)?;
        let usage = Usage::MAP_READ | Usage::COPY_DST;
        let readback = buffers::make(&gpu.device, "logloss readback", series * bytes, usage);
        Ok(Some(Self { pass, tree, len, stored, bytes, readback }))
    }

    /// The number of values kept.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Records the evaluation and the copy of what it stores.
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        self.pass.record(encoder, None);
        for (at, buffer) in (0..).zip(&self.stored) {
            encoder.copy_buffer_to_buffer(buffer, 0, &self.readback, at * self.bytes, self.bytes);
        }
    }

    /// The buffer that it is copied to, and the number of its bytes.
    pub(super) fn readback(&self) -> (&wgpu::Buffer, u64) {
        (&self.readback, self.readback.size())
    }

    /// What was copied.
    pub(super) fn read(&self, bytes: &[u8]) -> Kept {
        let mut series = bytes.chunks_exact(self.bytes as usize).map(|bytes| {
            let last = &bytes[(self.bytes - OutputType::F32.bytes(self.len)) as usize..];
            last.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect()
        });
        Kept { tree: self.tree, losses: series.next().unwrap_or_default(), weights: series.next() }
    }
}
