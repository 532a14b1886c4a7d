//! Rows of an adapter: batches that lie on it, held against what its memory gives, and batches that come from the
//! host, held against what the way there gives.

mod device;
mod links;
mod traffic;

use std::{ops::Range, time::Instant};

use anyhow::{Context, Result, anyhow};
use logloss::{
    Adapter, Batch, BufferRegion, DeviceBatch, DeviceKind, DeviceOutputs, DeviceSink, Engine, EngineOptions, Form,
    Objective, Outputs, Prepared,
};

use super::{
    args::Spoil,
    check::{Judge, places},
    data::{Data, Results},
    host::{self, SameBits, Total},
    measured::{Limited, Measured},
    model,
    rows::{Cell, Inputs},
    sampling::{Pace, Sample, Task, rounds},
    stats::{median, rounded},
};
use device::Gpu;
use links::Links;
use traffic::{Kind, Traffic};

/// No last-level cache of a GPU known is larger than half of this.
const REACH: u64 = 512 << 20;
/// Values of the first call that is timed.
const FIRST: usize = 1 << 16;
/// No device wants an offset to be a multiple of more.
const ALIGNMENT: u64 = 256;

/// An adapter that has been opened and measured.
pub struct Gpus {
    engine: Engine,
    judge: Judge,
    traffic: Traffic,
    links: Links,
    software: bool,
    /// What is said of it.
    pub facts: model::Device,
}

/// A batch on the device, of as many values as any row needs.
pub struct Resident {
    batch: DeviceBatch,
    /// Their types.
    pub inputs: Inputs,
}

impl Gpus {
    /// Opens an adapter and measures what it takes to begin, and what it can move: `bytes` bytes at a time.
    pub fn open(adapter: &Adapter, name: String, spoil: Option<Spoil>, bytes: u64, pace: Pace) -> Result<Self> {
        let begun = Instant::now();
        let engine = Engine::new_blocking(EngineOptions::new(logloss::Device::Index(adapter.index)))?;
        let open_s = begun.elapsed().as_secs_f64();
        let first_call = first_call(&engine, open_s)?;
        let (device, queue) = engine.wgpu().ok_or_else(|| anyhow!("{name} is not an adapter"))?;
        let gpu = Gpu { device: device.clone(), queue: queue.clone() };
        let links = Links::measure(&gpu, bytes)?;
        let traffic = Traffic::new(gpu, bytes, pace)?;
        let info = engine.device();
        let limit = |what: &str, gb_per_s| model::Limit { what: what.to_owned(), gb_per_s: rounded(gb_per_s) };
        let facts = model::Device {
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
        let judge = Judge::new(&info, spoil);
        Ok(Self { engine, judge, traffic, links, software: info.kind == DeviceKind::Software, facts })
    }

    /// Whether it computes in the host's memory, out of the CPU's caches.
    pub fn reach(&self, cpu_reach: u64) -> u64 {
        if self.software { cpu_reach } else { REACH.max(cpu_reach) }
    }

    /// Copies the first `len` values to the device.
    pub fn upload(&self, data: &Data, inputs: Inputs, len: usize) -> Result<Resident> {
        Ok(Resident { batch: self.engine.upload(&data.batch(inputs, 0, len)?)?, inputs })
    }

    /// How many batches on the device a row goes round through: where they begin must suit the device.
    pub fn sets(&self, cell: Cell, reach: u64, available: usize) -> usize {
        let aligned = cell.inputs.bits().iter().all(|bits| (bits * cell.n as u64 / 8).is_multiple_of(ALIGNMENT));
        if aligned { cell.sets(reach, available) } else { 1 }
    }

    /// Checks and measures a row whose batch comes from the host.
    pub fn host_row(&self, data: &Data, results: &mut Results, cell: Cell, pace: Pace) -> Result<model::Row> {
        // What is uploaded comes from the host's memory, as it would in earnest.
        let sets = cell.sets(REACH, data.len());
        let mut arrays = results.arrays(cell.work.outputs)?;
        let sum_error = host::check(&self.engine, &self.judge, data, cell, &mut arrays)
            .with_context(|| format!("{}: {} of {} values is wrong", self.facts.device, cell.work, cell.n))?;
        let mut tasks = [host::task(&self.engine, data, cell, sets)?];
        let samples = rounds(pace, sets, &mut arrays, &mut tasks)?;
        let [read, written] = cell.bytes().map(|bytes| bytes as f64 / 1e9);
        let (up, down) = (read / self.links.upload, written / self.links.download);
        // Both directions at once, as a link has them.
        let what = if up >= down { "uploading the inputs" } else { "downloading the outputs" };
        let limit = Limited { what, seconds: up.max(down) };
        Ok(Measured { device: &self.facts, cell, resident: false, sets, samples: &samples[0], limit, sum_error }.row())
    }

    /// Checks and measures a row whose batch lies on the device.
    pub fn resident_row(
        &self,
        data: &Data,
        resident: &Resident,
        cell: Cell,
        reach: u64,
        pace: Pace,
    ) -> Result<model::Row> {
        let sets = self.sets(cell, reach, resident.batch.len() as usize);
        let prepared: Vec<_> = (0..sets).map(|set| self.prepare(resident, cell, set)).collect::<Result<_>>()?;
        let sum_error = self
            .check(data, cell, &prepared[0])
            .with_context(|| format!("{}: {} of {} values is wrong", self.facts.device, cell.work, cell.n))?;
        let kind = if cell.work.count() == 0 { Kind::Read } else { Kind::Copy };
        let bytes = cell.bytes().iter().sum();
        let mut seen = SameBits::new(sets);
        let row: Task<'_, ()> = Box::new(|(), calls: Range<usize>| {
            let mut phases = Total::default();
            let begun = Instant::now();
            for set in calls.clone().map(|call| call % sets) {
                let got = prepared[set].evaluate()?;
                phases.add(&got.run.phases);
                seen.check(set, got.sum)?;
            }
            Ok(phases.sample(Sample::wall(begun.elapsed(), &calls), calls.len()))
        });
        let limit = self.traffic.task(kind, bytes, sets > 1)?;
        let samples = rounds(pace, sets, &mut (), &mut [row, limit])?;
        let what = if kind == Kind::Read { "reading as many bytes" } else { "copying as many bytes" };
        let by_wall = samples[0].iter().any(|sample| !sample.timestamps || sample.kernel <= 0.0);
        let time = |sample: &Sample| if by_wall { sample.call } else { traffic::time(sample) };
        let limit = Limited { what, seconds: median(samples[1].iter().map(time)) };
        Ok(Measured { device: &self.facts, cell, resident: true, sets, samples: &samples[0], limit, sum_error }.row())
    }

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
        Ok(self.engine.prepare(&batch, &Objective::mean(), DeviceOutputs { loss, gradient, hessian })?)
    }

    fn check(&self, data: &Data, cell: Cell, prepared: &Prepared) -> Result<f64> {
        let error = self.judge.sum(&prepared.evaluate()?, data.sum(cell.inputs.prediction, cell.n)?, cell.n)?;
        let batch = data.batch(cell.inputs, 0, cell.n)?;
        for (output, region) in [prepared.loss(), prepared.gradient(), prepared.hessian()].into_iter().enumerate() {
            let Some(region) = region else { continue };
            for place in places(cell.n) {
                let mut values = vec![0.0f32; place.len()];
                let region = BufferRegion::new(region.buffer.clone(), region.offset + 4 * place.start as u64);
                self.engine.download(&region, &mut values)?;
                self.judge.elements(output, &values, &batch, place.start)?;
            }
        }
        Ok(error)
    }
}

fn first_call(engine: &Engine, open_s: f64) -> Result<model::FirstCall> {
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
    Ok(model::FirstCall { open_s: rounded(open_s), first_s: rounded(first_s), warm_s: rounded(median(warm)) })
}
