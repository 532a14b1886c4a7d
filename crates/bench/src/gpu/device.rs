//! The parts of wgpu that are used here, with errors where wgpu would call a handler that panics.

use std::{
    error,
    sync::mpsc,
    time::{Duration, Instant},
};

use logloss::wgpu::{self, BufferUsages as Usage};

use crate::error::{Error, Result};

/// The error of a device that failed, and why it did.
pub(super) fn failed(cause: impl Into<Box<dyn error::Error + Send + Sync>>) -> Error {
    Error::Device(cause.into())
}

/// Whether a buffer was mapped.
pub(super) type Mapped = std::result::Result<(), wgpu::BufferAsyncError>;

/// A device and its queue.
#[derive(Clone, Debug)]
pub(super) struct Gpu {
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
}

/// Two timestamps of the device, and the buffers that they are read through.
#[derive(Debug)]
struct Timer {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readback: wgpu::Buffer,
    /// The length of a tick in nanoseconds.
    period: f64,
}

/// A clock for passes: that of the device where it has one, and the wall clock.
#[derive(Debug)]
pub(super) struct Clock {
    timer: Option<Timer>,
}

impl Gpu {
    /// Runs `make`, and fails with the error that the device reports of it.
    pub(super) fn scoped<T>(&self, make: impl FnOnce() -> T) -> Result<T> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        let errors = [pollster::block_on(validation.pop()), pollster::block_on(memory.pop())];
        match errors.into_iter().flatten().next() {
            Some(error) => Err(failed(error.to_string())),
            None => Ok(made),
        }
    }

    /// A new buffer of `size` bytes.
    pub(super) fn buffer(&self, size: u64, usage: Usage) -> Result<wgpu::Buffer> {
        self.scoped(|| {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("logloss bench"),
                size,
                usage,
                mapped_at_creation: false,
            })
        })
    }

    /// Submits commands and waits for their end.
    pub(super) fn finish(&self, encoder: wgpu::CommandEncoder) -> Result<()> {
        let submission = self.queue.submit([encoder.finish()]);
        self.wait(submission)
    }

    /// Waits for the end of a submission.
    pub(super) fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        self.device.poll(wait).map(drop).map_err(failed)
    }

    /// A new command encoder.
    pub(super) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Begins to map a buffer. The receiver gets a message once it is mapped.
    pub(super) fn map(buffer: &wgpu::Buffer, mode: wgpu::MapMode) -> mpsc::Receiver<Mapped> {
        let (sender, receiver) = mpsc::channel();
        buffer.map_async(mode, .., move |mapped| {
            // The receiver is gone where the caller has failed in the meantime.
            let _ = sender.send(mapped);
        });
        receiver
    }
}

impl Clock {
    /// The clock of a device.
    pub(super) fn new(gpu: &Gpu) -> Result<Self> {
        if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(Self { timer: None });
        }
        let queries = gpu.scoped(|| {
            gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("logloss bench"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            })
        })?;
        let timer = Timer {
            queries,
            resolved: gpu.buffer(16, Usage::QUERY_RESOLVE | Usage::COPY_SRC)?,
            readback: gpu.buffer(16, Usage::COPY_DST | Usage::MAP_READ)?,
            period: gpu.queue.get_timestamp_period().into(),
        };
        Ok(Self { timer: Some(timer) })
    }

    /// Runs one pass. Returns the time of recording, submission and completion by the wall clock, and the time of the
    /// pass by the clock of the device.
    pub(super) fn time(
        &self,
        gpu: &Gpu,
        record: impl FnOnce(&mut wgpu::ComputePass<'_>),
    ) -> Result<(Duration, Option<Duration>)> {
        let begun = Instant::now();
        let mut encoder = gpu.encoder();
        let timestamp_writes = self.timer.as_ref().map(|timer| wgpu::ComputePassTimestampWrites {
            query_set: &timer.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        record(
            &mut encoder
                .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("logloss bench"), timestamp_writes }),
        );
        let Some(timer) = &self.timer else {
            gpu.finish(encoder)?;
            return Ok((begun.elapsed(), None));
        };
        encoder.resolve_query_set(&timer.queries, 0..2, &timer.resolved, 0);
        encoder.copy_buffer_to_buffer(&timer.resolved, 0, &timer.readback, 0, 16);
        let submission = gpu.queue.submit([encoder.finish()]);
        let mapped = Gpu::map(&timer.readback, wgpu::MapMode::Read);
        gpu.wait(submission)?;
        mapped.recv().map_err(failed)?.map_err(failed)?;
        let elapsed = begun.elapsed();
        let ticks: [u64; 2] = bytemuck::pod_read_unaligned(&timer.readback.get_mapped_range(..).map_err(failed)?);
        timer.readback.unmap();
        let nanoseconds = ticks[1].saturating_sub(ticks[0]) as f64 * timer.period;
        Ok((elapsed, Some(Duration::from_secs_f64(nanoseconds * 1e-9))))
    }
}
