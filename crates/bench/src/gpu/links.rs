//! The bandwidth of copies between host and device, in both directions, with nothing computed.

use std::time::Instant;

use logloss::wgpu::{self, BufferUsages as Usage};

use super::device::{Gpu, failed};
use crate::{error::Result, sampling::Pace, stats};

/// The number of bytes that a step transfers.
const STEP: u64 = 16 << 20;
/// The number of staging buffers in a ring: one is filled while another is transferred.
const SLOTS: usize = 3;
/// The number of measurements.
const REPEATS: usize = 5;

/// Bandwidths in 10⁹ bytes per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    /// The bandwidth from a slice of the host to the device, by the faster of two ways: a ring of mapped staging
    /// buffers, or `Queue::write_buffer`.
    pub upload: f64,
    /// The bandwidth from the device to a slice of the host, through a ring of mapped buffers.
    pub download: f64,
    /// The bandwidth from full staging buffers to the device: the CPU has no part in it.
    pub staging: f64,
}

impl Links {
    /// Measures the bandwidths, with about `bytes` bytes at a time.
    pub(super) fn measure(gpu: &Gpu, bytes: u64, pace: Pace<'_>) -> Result<Self> {
        let bytes = bytes.min(gpu.device.limits().max_buffer_size).next_multiple_of(STEP);
        let mut host = vec![1u8; bytes as usize];
        let on_device = gpu.buffer(bytes, Usage::COPY_DST | Usage::COPY_SRC | Usage::STORAGE)?;
        let up = ring(gpu, Usage::MAP_WRITE | Usage::COPY_SRC)?;
        let down = ring(gpu, Usage::MAP_READ | Usage::COPY_DST)?;
        // The first repeat is not counted: it takes and touches memory, and fills the staging buffers.
        let mut seconds = [const { Vec::new() }; 4];
        for repeat in 0..=REPEATS {
            pace.check()?;
            let times = [
                timed(|| upload(gpu, &up, &host, &on_device))?,
                timed(|| write(gpu, &host, &on_device))?,
                timed(|| download(gpu, &down, &mut host, &on_device))?,
                timed(|| staging(gpu, &up, bytes, &on_device))?,
            ];
            for (seconds, time) in seconds.iter_mut().zip(times).filter(|_| repeat > 0) {
                seconds.push(time);
            }
        }
        let [upload, write, download, staging] = seconds.map(|seconds| bytes as f64 / stats::median(seconds) / 1e9);
        Ok(Self { upload: upload.max(write), download, staging })
    }
}

/// The time that `run` takes, in seconds.
fn timed(run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    run()?;
    Ok(begun.elapsed().as_secs_f64())
}

/// The staging buffers of a ring.
fn ring(gpu: &Gpu, usage: Usage) -> Result<Vec<wgpu::Buffer>> {
    (0..SLOTS).map(|_| gpu.buffer(STEP, usage)).collect()
}

/// The submitted transfer of a slot, if there is one.
type Flying = Option<wgpu::SubmissionIndex>;

/// Uploads a slice through a ring.
fn upload(gpu: &Gpu, ring: &[wgpu::Buffer], host: &[u8], device: &wgpu::Buffer) -> Result<()> {
    let mut flying: Vec<Flying> = vec![None; ring.len()];
    for (step, bytes) in host.chunks(STEP as usize).enumerate() {
        let slot = step % ring.len();
        if let Some(submission) = flying[slot].take() {
            gpu.wait(submission)?;
        }
        map_now(gpu, &ring[slot], wgpu::MapMode::Write)?;
        ring[slot].get_mapped_range_mut(..).map_err(failed)?.slice(..bytes.len()).copy_from_slice(bytes);
        ring[slot].unmap();
        let mut encoder = gpu.encoder();
        encoder.copy_buffer_to_buffer(&ring[slot], 0, device, step as u64 * STEP, bytes.len() as u64);
        flying[slot] = Some(gpu.queue.submit([encoder.finish()]));
    }
    flying.into_iter().flatten().try_for_each(|submission| gpu.wait(submission))
}

/// Uploads a slice by `Queue::write_buffer`.
fn write(gpu: &Gpu, host: &[u8], device: &wgpu::Buffer) -> Result<()> {
    for (step, bytes) in host.chunks(STEP as usize).enumerate() {
        gpu.queue.write_buffer(device, step as u64 * STEP, bytes);
        gpu.queue.submit([]);
    }
    gpu.wait(gpu.queue.submit([]))
}

/// Downloads into a slice through a ring.
fn download(gpu: &Gpu, ring: &[wgpu::Buffer], host: &mut [u8], device: &wgpu::Buffer) -> Result<()> {
    let mut flying: Vec<Option<(wgpu::SubmissionIndex, &mut [u8])>> = ring.iter().map(|_| None).collect();
    for (step, bytes) in host.chunks_mut(STEP as usize).enumerate() {
        let slot = step % ring.len();
        if let Some(done) = flying[slot].take() {
            land(gpu, &ring[slot], done)?;
        }
        let mut encoder = gpu.encoder();
        encoder.copy_buffer_to_buffer(device, step as u64 * STEP, &ring[slot], 0, bytes.len() as u64);
        flying[slot] = Some((gpu.queue.submit([encoder.finish()]), bytes));
    }
    for (buffer, done) in ring.iter().zip(flying) {
        if let Some(done) = done {
            land(gpu, buffer, done)?;
        }
    }
    Ok(())
}

/// Waits for the download of a slot and copies it into the slice.
fn land(gpu: &Gpu, buffer: &wgpu::Buffer, (submission, bytes): (wgpu::SubmissionIndex, &mut [u8])) -> Result<()> {
    gpu.wait(submission)?;
    map_now(gpu, buffer, wgpu::MapMode::Read)?;
    bytes.copy_from_slice(&buffer.get_mapped_range(..bytes.len() as u64).map_err(failed)?);
    buffer.unmap();
    Ok(())
}

/// Copies `bytes` bytes from full staging buffers.
fn staging(gpu: &Gpu, ring: &[wgpu::Buffer], bytes: u64, device: &wgpu::Buffer) -> Result<()> {
    let mut encoder = gpu.encoder();
    for (step, slot) in (0..bytes / STEP).zip(ring.iter().cycle()) {
        encoder.copy_buffer_to_buffer(slot, 0, device, step * STEP, STEP);
    }
    gpu.finish(encoder)
}

/// Maps a buffer that no command uses.
fn map_now(gpu: &Gpu, buffer: &wgpu::Buffer, mode: wgpu::MapMode) -> Result<()> {
    let mapped = Gpu::map(buffer, mode);
    loop {
        // To wait for a submission would be to wait for the later ones too, which are to overlap.
        gpu.device.poll(wgpu::PollType::Poll).map_err(failed)?;
        if let Ok(mapped) = mapped.try_recv() {
            return mapped.map_err(failed);
        }
        std::hint::spin_loop();
    }
}
