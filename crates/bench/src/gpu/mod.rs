//! Rows of an adapter. Batches that lie on it are compared with the bandwidth of its memory, batches that come from the
//! host with the bandwidth of the copies.

mod device;
mod links;
mod sweep;
mod traffic;

use std::{ops::Range, time::Instant};

use logloss::{
    Adapter, Batch, BufferRegion, DeviceBatch, DeviceKind, DeviceOutputs, DeviceSink, Engine, EngineOptions, Form,
    Objective, Outputs, Prepared,
};

use crate::{
    FirstCall, Inputs, Limit, MeasuredDevice, Row, Spoil,
    cell::Cell,
    check::{Checker, places},
    data::{Data, OutputArrays},
    error::{Error, Result},
    host::{self, PhaseTotals, SameBits},
    measured::{Measurement, RowLimit},
    sampling::{Pace, Sample, Task, rounds},
    stats::{median, rounded},
};
use device::Gpu;
use links::Links;
use traffic::{Traffic, Transfer};

/// The number of bytes that the batches of a row span: twice the largest last-level cache of a GPU.
const REACH: u64 = 512 << 20;
/// The number of values of the first call.
const FIRST: usize = 1 << 16;
/// The alignment of offsets in bytes, which suits every device.
const ALIGNMENT: u64 = 256;

/// An adapter that has been opened and measured.
pub(crate) struct GpuBench {
    engine: Engine,
    checker: Checker,
    traffic: Traffic,
    links: Links,
    software: bool,
    /// The entry of the report.
    pub entry: MeasuredDevice,
}

/// A batch on the device, with as many values as any row needs.
pub(crate) struct Resident {
    batch: DeviceBatch,
    /// The types of its values.
    pub inputs: Inputs,
}

impl GpuBench {
    /// Opens an adapter, and measures the cost of the first call and the bandwidths, with `bytes` bytes at a time.
    pub(crate) fn open(
        adapter: &Adapter,
        name: String,
        spoil: Option<Spoil>,
        bytes: u64,
        pace: Pace<'_>,
    ) -> Result<Self> {
        let begun = Instant::now();
        let engine = Engine::new(EngineOptions::new(logloss::Device::Index(adapter.index)))?;
        let open_s = begun.elapsed().as_secs_f64();
        let first_call = first_call(&engine, open_s)?;
        let (device, queue) = engine.wgpu().ok_or_else(|| Error::NotAnAdapter(name.clone()))?;
        let gpu = Gpu { device: device.clone(), queue: queue.clone() };
        let links = Links::measure(&gpu, bytes, pace)?;
        let traffic = Traffic::new(gpu, bytes, pace)?;
        let info = engine.device();
        let limit = |what: &str, gb_per_s| Limit { what: what.to_owned(), gb_per_s: rounded(gb_per_s) };
        let entry = MeasuredDevice {
            device: name,
            backend: info.backend.clone(),
            kind: info.kind.to_string(),
            driver: info.driver.clone(),
            index: Some(adapter.index),
            threads: None,
            timestamps: adapter.timestamps,
            first_call: Some(first_call),
            limits: vec![
                limit("copy, by a kernel", traffic.copy_gb_per_s),
                limit("read, by a kernel", traffic.read_gb_per_s),
                limit("upload, from a slice", links.upload),
                limit("upload, staging buffer to device", links.staging),
                limit("download, to a slice", links.download),
            ],
        };
        let checker = Checker::new(&info, spoil);
        Ok(Self { engine, checker, traffic, links, software: info.kind == DeviceKind::Software, entry })
    }

    /// The number of bytes that the batches of a row span. A software adapter reads through the caches of the CPU.
    pub(crate) fn reach(&self, cpu_reach: u64) -> u64 {
        if self.software { cpu_reach } else { REACH.max(cpu_reach) }
    }

    /// Copies the first `len` values to the device.
    pub(crate) fn upload(&self, data: &Data, inputs: Inputs, len: usize) -> Result<Resident> {
        Ok(Resident { batch: self.engine.upload(&data.batch(inputs, 0, len)?)?, inputs })
    }

    /// The number of resident batches that calls cycle through: 1 where their offsets would not be aligned.
    pub(crate) fn sets(&self, cell: Cell, reach: u64, available: usize) -> usize {
        let aligned = cell.inputs.bits().iter().all(|bits| (bits * cell.n as u64 / 8).is_multiple_of(ALIGNMENT));
        if aligned { cell.sets(reach, available) } else { 1 }
    }

    /// Checks and measures a row whose batch comes from the host.
    pub(crate) fn host_row(&self, data: &Data, results: &mut OutputArrays, cell: Cell, pace: Pace<'_>) -> Result<Row> {
        // In real use, what is uploaded comes from the memory of the host and not from its caches.
        let sets = cell.sets(REACH, data.len());
        let mut arrays = results.arrays(cell.work.outputs)?;
        let sum_error = host::check(&self.engine, &self.checker, data, cell, &mut arrays)
            .map_err(|error| error.of_row(&self.entry.device, cell))?;
        let mut tasks = [host::task(&self.engine, data, cell, sets)?];
        let samples = rounds(pace, sets, &mut arrays, &mut tasks)?;
        let [read, written] = cell.bytes().map(|bytes| bytes as f64 / 1e9);
        let (up, down) = (read / self.links.upload, written / self.links.download);
        // A link moves data in both directions at once.
        let what = if up >= down { "uploading the inputs" } else { "downloading the outputs" };
        let limit = RowLimit { what, seconds: up.max(down) };
        Ok(Measurement { device: &self.entry, cell, resident: false, sets, samples: &samples[0], limit, sum_error }
            .row())
    }

    /// Checks and measures a row whose batch lies on the device.
    pub(crate) fn resident_row(
        &self,
        data: &Data,
        resident: &Resident,
        cell: Cell,
        reach: u64,
        pace: Pace<'_>,
    ) -> Result<Row> {
        let sets = self.sets(cell, reach, resident.batch.len() as usize);
        let prepared: Vec<_> = (0..sets).map(|set| self.prepare(resident, cell, set)).collect::<Result<_>>()?;
        let sum_error = self.check(data, cell, &prepared[0]).map_err(|error| error.of_row(&self.entry.device, cell))?;
        let transfer = if cell.work.count() == 0 { Transfer::Read } else { Transfer::Copy };
        let bytes = cell.bytes().iter().sum();
        let mut seen = SameBits::new(sets);
        let row: Task<'_, ()> = Box::new(|(), calls: Range<usize>| {
            let mut phases = PhaseTotals::default();
            let begun = Instant::now();
            for set in calls.clone().map(|call| call % sets) {
                let got = prepared[set].evaluate()?;
                phases.add(&got.run.phases);
                seen.check(set, got.sum)?;
            }
            Ok(phases.sample(Sample::wall(begun.elapsed(), &calls), calls.len()))
        });
        let limit = self.traffic.task(transfer, bytes, sets > 1)?;
        let samples = rounds(pace, sets, &mut (), &mut [row, limit])?;
        let what = if transfer == Transfer::Read { "reading as many bytes" } else { "copying as many bytes" };
        let by_wall = samples[0].iter().any(|sample| !sample.timestamps || sample.kernel <= 0.0);
        let time = |sample: &Sample| if by_wall { sample.call } else { traffic::time(sample) };
        let limit = RowLimit { what, seconds: median(samples[1].iter().map(time)) };
        Ok(Measurement { device: &self.entry, cell, resident: true, sets, samples: &samples[0], limit, sum_error }
            .row())
    }

    /// Prepares the evaluation of batch number `set` of the resident ones.
    fn prepare(&self, resident: &Resident, cell: Cell, set: usize) -> Result<Prepared> {
        let at = |bits: u64, region: &BufferRegion| {
            BufferRegion::new(region.buffer.clone(), region.offset + bits * (cell.n * set) as u64 / 8)
        };
        let [prediction_bits, target_bits] = cell.inputs.bits();
        let batch = DeviceBatch::from_buffers(
            Form::Logits,
            cell.n as u64,
            (resident.inputs.prediction, at(prediction_bits, resident.batch.predictions())),
            (resident.inputs.target, at(target_bits, resident.batch.targets())),
        );
        let [loss, gradient, hessian] = cell.work.outputs.map(|on| if on { DeviceSink::New } else { DeviceSink::Skip });
        let outputs = DeviceOutputs::none().with_loss(loss).with_gradient(gradient).with_hessian(hessian);
        Ok(self.engine.prepare(&batch, &Objective::mean(), outputs)?)
    }

    /// Evaluates the first batch and checks its sum and every output. Returns the relative error of the sum.
    fn check(&self, data: &Data, cell: Cell, prepared: &Prepared) -> Result<f64> {
        let error = self.checker.sum(&prepared.evaluate()?, data.sum(cell.inputs.prediction, cell.n)?, cell.n)?;
        let batch = data.batch(cell.inputs, 0, cell.n)?;
        for (output, region) in [prepared.loss(), prepared.gradient(), prepared.hessian()].into_iter().enumerate() {
            let Some(region) = region else { continue };
            for place in places(cell.n) {
                let mut values = vec![0.0f32; place.len()];
                let region = BufferRegion::new(region.buffer.clone(), region.offset + 4 * place.start as u64);
                self.engine.download(&region, &mut values)?;
                self.checker.elements(output, &values, &batch, place.start)?;
            }
        }
        Ok(error)
    }
}

/// Measures the first call of an engine that took `open_s` seconds to open.
fn first_call(engine: &Engine, open_s: f64) -> Result<FirstCall> {
    let (x, z) = (vec![0.5f32; FIRST], vec![1.0f32; FIRST]);
    let mut gradient = vec![0.0f32; FIRST];
    let batch = Batch::logits(&x, &z)?;
    let mut call = || -> Result<f64> {
        let begun = Instant::now();
        engine.evaluate(&batch, &Objective::mean(), Outputs::none().with_gradient(&mut gradient))?;
        Ok(begun.elapsed().as_secs_f64())
    };
    let first_s = call()?;
    let warm: Vec<f64> = (0..9).map(|_| call()).collect::<Result<_>>()?;
    Ok(FirstCall { open_s: rounded(open_s), first_s: rounded(first_s), warm_s: rounded(median(warm)) })
}
