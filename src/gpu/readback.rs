//! Reading results back from a device: the result block, timestamps, counts, and the sums of classes.

use std::time::Duration;

use crate::{
    ClassPartials, ExactSum, Partials, Result,
    gpu::{
        Gpu,
        accumulators::Accumulators,
        buffers,
        dispatch::Pass,
        layout::ClassSum,
        result::{self, ResultBlock},
    },
};

/// The offset in bytes of the counts of accumulators in a readback buffer, after the result block and two timestamps.
const COUNTS: u64 = 512;

/// The number of bytes at the beginning of a readback buffer for the result block, two timestamps, and the counts of
/// `windows` windows. Outputs and sums by class or row follow.
pub(crate) fn head_bytes(accumulators: Accumulators, windows: u64) -> u64 {
    COUNTS + windows * accumulators.stride()
}

/// Records the copies to the beginning of `readback` that [`Head::read`] reads.
pub(crate) fn copy_head(
    pass: &Pass,
    timer: Option<&Timer>,
    encoder: &mut wgpu::CommandEncoder,
    readback: &wgpu::Buffer,
) {
    encoder.copy_buffer_to_buffer(pass.result(), 0, readback, 0, ResultBlock::SIZE);
    if let Some(timer) = timer {
        timer.resolve(encoder, readback, ResultBlock::SIZE);
    }
    if let Some(counts) = &pass.counts {
        encoder.copy_buffer_to_buffer(counts, 0, readback, COUNTS, counts.size());
    }
}

/// The contents of the beginning of a readback buffer.
#[derive(Debug)]
pub(crate) struct Head {
    /// The sums and counts, without those of classes.
    pub partials: Partials,
    /// The status of the result block.
    pub status: u32,
    ticks: [u64; 2],
}

impl Head {
    /// Reads the first [`head_bytes`] bytes of a buffer.
    pub(super) fn read(bytes: &[u8], accumulators: Accumulators) -> Self {
        let (head, counts) = bytes.split_at(COUNTS as usize);
        let (block, ticks) = head.split_at(ResultBlock::SIZE as usize);
        let block: ResultBlock = bytemuck::pod_read_unaligned(block);
        let mut partials = block.partials();
        accumulators.add(counts, &mut partials);
        Self { partials, status: block.status, ticks: bytemuck::pod_read_unaligned(&ticks[..16]) }
    }

    /// The time that the kernels took by the device's clock; none if it has no clock.
    pub(super) fn kernel_time(&self, gpu: &Gpu) -> Option<Duration> {
        let [begin, end] = self.ticks;
        let ticks = end.saturating_sub(begin);
        Some(Duration::from_secs_f64(ticks as f64 * f64::from(gpu.timestamp_period?) * 1e-9))
    }
}

/// The sums of classes; NaN where a value was invalid, whatever its class.
pub(crate) fn class_partials(bytes: &[u8], invalid: bool) -> Vec<ClassPartials> {
    let read = |class| {
        let class: ClassSum = bytemuck::pod_read_unaligned(class);
        let (limbs, infinite) = class.losses();
        let sum = if invalid { ExactSum::of([f64::NAN]) } else { result::exact(limbs, infinite) };
        ClassPartials { sum, count: class.count.0.into() }
    };
    bytes.chunks_exact(ClassSum::SIZE as usize).map(read).collect()
}

/// The means of rows.
pub(crate) fn row_means(bytes: &[u8]) -> impl Iterator<Item = f64> {
    bytes.chunks_exact(4).map(|mean| bytemuck::pod_read_unaligned::<f32>(mean).into())
}

/// The first `bytes` bytes of a mapped buffer.
pub(crate) fn view(buffer: &wgpu::Buffer, bytes: u64) -> Result<wgpu::BufferView> {
    buffer.get_mapped_range(..bytes).map_err(|error| crate::Error::Device(error.to_string()))
}

/// Two ticks of the device's clock, around a pass.
#[derive(Debug)]
pub(crate) struct Timer {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

impl Timer {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        use wgpu::BufferUsages as Usage;
        Self {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("logloss"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: buffers::make(device, "logloss timestamps", 256, Usage::QUERY_RESOLVE | Usage::COPY_SRC),
        }
    }

    /// Where a pass writes the ticks at its beginning and its end.
    pub(super) fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    /// Copies both ticks, 16 bytes, to `offset` of `buffer`.
    fn resolve(&self, encoder: &mut wgpu::CommandEncoder, buffer: &wgpu::Buffer, offset: u64) {
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, buffer, offset, 16);
    }
}
