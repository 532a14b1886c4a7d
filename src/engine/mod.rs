//! The front door: picks a device, cuts batches, runs, merges.

mod accumulator;
mod auto;
mod backend;
mod cost;
mod device;
#[cfg(feature = "gpu")]
mod gpu;
mod label_check;
mod multi;
mod options;
mod part;
mod processor;
mod wait;

pub use accumulator::Accumulator;
pub use cost::{Cost, Costs};
pub use device::{Adapter, AutoChoice, DeviceInfo, DeviceKind, Devices};
pub use options::{Device, EngineOptions};

use std::num::NonZeroUsize;

use backend::Backend;
use multi::Multi;
use part::EvaluatePart;
use wait::block_on;

use crate::{
    Batch, Error, Evaluation, Objective, Outputs, Reduction, Result, Totals, cpu::Cpu, loss_parameters::LossParameters,
    outputs::Made,
};

/// Evaluates batches on one device, or on [several](Engine::multi) at once. Making an engine is costly (a device,
/// pipelines), evaluating is not: keep it. Engines are `Send` and `Sync`; several threads may evaluate on one engine at
/// the same time.
///
/// # Determinism
/// The same values on the same device give the same bits: run to run, for any number of threads, for any cut
/// into parts, and whether they come from host memory or lie on the device. Devices differ: an engine of several
/// gives bits that depend on which values went where, see [`Engine::multi`]; and one of [`Device::Auto`] where there is a
/// GPU gives those of the device it takes. Which it takes follows from the number of values, from whether there are
/// per-element outputs, and from what was measured when the engine was made, and so may differ between engines: name a
/// device for the same bits always.
#[derive(Debug)]
pub struct Engine {
    backend: Backend,
}

impl Engine {
    /// An engine on the device that `options` name.
    ///
    /// # Errors
    /// [`Error::NoGpu`] or [`Error::NoSuchDevice`] if there is no such device, [`Error::Device`] if it could not
    /// be opened. `Device::Auto` falls back to the CPU instead; it and `Device::Cpu` fail only if a thread pool
    /// cannot be made ([`Error::Threads`]).
    pub fn new(options: EngineOptions) -> Result<Self> {
        pollster::block_on(Self::new_async(options))
    }

    /// [`Engine::new`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub async fn new_async(options: EngineOptions) -> Result<Self> {
        #[cfg(feature = "gpu")]
        if options.device != Device::Cpu {
            return Self::on_adapter(options).await;
        }
        #[cfg(not(feature = "gpu"))]
        device::choose(&options.device, options.allow_software, &[])?;
        Self::on_cpu(options.threads)
    }

    /// An engine on the CPU, and on a GPU where there is one that opens: batches in host memory go where they are
    /// evaluated faster, as measured here ([`Engine::costs`] tells), those of an accumulator all to the same, and
    /// [`Run::device`](crate::Run::device) says where. Batches are uploaded to the GPU.
    pub fn auto() -> Self {
        Self::new(EngineOptions::new(Device::Auto)).unwrap_or_else(|_| Self::cpu())
    }

    /// An engine on the CPU, with rayon's global thread pool.
    pub fn cpu() -> Self {
        Self { backend: Cpu::global().into() }
    }

    /// An engine on the best GPU.
    ///
    /// # Errors
    /// [`Error::NoGpu`] if there is none but software adapters, [`Error::Device`] if it could not be opened.
    pub fn gpu() -> Result<Self> {
        Self::new(EngineOptions::new(Device::Gpu))
    }

    /// An engine of several, of which the CPU may be one: a batch in host memory is cut in proportion to their speed,
    /// and evaluated on all at the same time. The speed of each is [measured](Engine::measure) here, one by one, and
    /// kept until [`Engine::calibrate`]. The time before a device's first value counts too: a small batch may go to some
    /// of them, or to one. In a browser they take turns, which saves no time.
    ///
    /// # Determinism
    /// The same batch gives the same bits on the same engine, run to run. But devices differ in bits, and where a
    /// batch is cut is measured: another engine, though of the same devices, may give other ones, within the
    /// accuracy contract. So may an accumulator, each of whose parts is cut on its own. Name the shares to have
    /// the same bits always: [`Engine::multi_with_shares`].
    ///
    /// # Errors
    /// [`Error::Parameter`] if there is no engine, [`Error::Device`] if one fails.
    pub fn multi(engines: impl IntoIterator<Item = Engine>) -> Result<Self> {
        pollster::block_on(Self::multi_async(engines))
    }

    /// [`Engine::multi`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::multi`].
    pub async fn multi_async(engines: impl IntoIterator<Item = Engine>) -> Result<Self> {
        let mut parts = Vec::new();
        for engine in engines {
            let costs = engine.measure_async().await?;
            parts.push((engine.backend, costs));
        }
        Ok(Self { backend: Backend::Multi(Multi::new(parts, true)?) })
    }

    /// An engine of several, each of which takes a fixed share of every batch: shares of 1 and 3 are a quarter and
    /// three quarters. Cuts are made at whole [blocks](crate::BLOCK) (of whole rows, where sums are taken per class or
    /// row), the nearest ones, in the order of the engines.
    ///
    /// # Determinism
    /// The bits are a function of the values, the devices and the shares: those of each piece on its device, merged.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a share is negative, NaN or infinite, or none is above 0.
    pub fn multi_with_shares(engines: impl IntoIterator<Item = (Engine, f64)>) -> Result<Self> {
        let parts = engines.into_iter().map(|(engine, share)| match share {
            0.0..f64::INFINITY => Ok((engine.backend, Costs::of_share(share))),
            _ => Err(Error::Parameter { name: "share", value: share, must: "finite and at least 0" }),
        });
        Ok(Self { backend: Backend::Multi(Multi::new(parts.collect::<Result<_>>()?, false)?) })
    }

    fn on_cpu(threads: Option<NonZeroUsize>) -> Result<Self> {
        Ok(Self { backend: Cpu::new(threads)?.into() })
    }

    /// The device this engine runs on; of several the names, joined; the GPU where one of two is chosen for each batch.
    pub fn device(&self) -> DeviceInfo {
        (**self.backend.info()).clone()
    }

    /// Evaluates a batch in host memory. On a GPU it is cut into chunks, with a bounded amount of memory on either side;
    /// copying and computing overlap.
    ///
    /// # Errors
    /// [`Error::Length`] if an output is not as long as the batch, [`Error::InvalidValue`] for the first invalid
    /// value (unless the objective propagates them), [`Error::Unsupported`] for what the system in
    /// [`Compat`](crate::Compat) does not compute, [`Error::Device`] if the device failed.
    pub fn evaluate(&self, batch: &Batch<'_>, objective: &Objective, outputs: Outputs<'_>) -> Result<Evaluation> {
        block_on(self.evaluate_async(batch, objective, outputs))
    }

    /// [`Engine::evaluate`], asynchronous. Natively the future waits for the device where it is polled.
    ///
    /// # Errors
    /// As [`Engine::evaluate`].
    pub async fn evaluate_async(
        &self,
        batch: &Batch<'_>,
        objective: &Objective,
        outputs: Outputs<'_>,
    ) -> Result<Evaluation> {
        let len = batch.len() as u64;
        let totals = if objective.needs_totals(batch.mask().is_some()) && outputs.want_derivatives() {
            self.totals(batch, objective)?
        } else {
            Totals::of_ones(len)
        };
        let backend = self.backend.pick(Some(len), outputs.want_any());
        let mut accumulator = Accumulator::new(backend, objective, Some(len), Some(totals));
        let mut made = Made::default();
        accumulator.push_views(batch, outputs.open(&mut made, batch.len())?).await?;
        let mut evaluation = accumulator.finish()?;
        (evaluation.loss, evaluation.gradient, evaluation.hessian) = (made.loss, made.gradient, made.hessian);
        Ok(evaluation)
    }

    /// Begins the evaluation of a batch that comes in parts, in order.
    ///
    /// `len` is the number of values of the whole batch, which [`Accumulator::finish`] checks. The gradient of a mean is
    /// divided by it: without it, a push that wants a gradient or hessian of a mean fails. So does one whose mean
    /// divides by something else, see [`accumulator_with_totals`](Self::accumulator_with_totals).
    pub fn accumulator(&self, objective: &Objective, len: Option<u64>) -> Accumulator<'_> {
        let totals = len.filter(|_| objective.reduction() != Reduction::WeightedMean).map(Totals::of_ones);
        Accumulator::new(self.backend.pick(len, true), objective, len, totals)
    }

    /// Begins the evaluation of a batch in parts whose gradient is divided by what a pass before has found: with an
    /// ignored label, a mask or a weighted mean that is not the number of values. The totals are those of
    /// [`totals`](Self::totals), merged over all parts.
    pub fn accumulator_with_totals(&self, objective: &Objective, totals: Totals) -> Accumulator<'_> {
        Accumulator::with_totals(self.backend.pick(None, true), objective, totals)
    }

    /// The number of elements of a batch that are counted, and the sum of their weights: what its mean divides by. Reads
    /// targets, mask and weights in host memory, not predictions, and runs on the CPU whatever the device. Nothing is
    /// validated: an element with an invalid target or weight is counted, and weighs nothing.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::IgnoreType`] if the objective does not fit the batch.
    pub fn totals(&self, batch: &Batch<'_>, objective: &Objective) -> Result<Totals> {
        objective.check(batch.classes(), &batch.targets())?;
        let global;
        let cpu = match self.backend.cpu() {
            Some(cpu) => cpu,
            None => {
                global = Cpu::global();
                &global
            }
        };
        let parameters = LossParameters::of(batch.form(), batch.weights().is_some(), batch.mask().is_some(), objective);
        let (count, weight) = cpu.totals(batch, &parameters);
        Ok(Totals { count, weight })
    }

    /// Measures what evaluations of host memory cost on this engine: the mean, and the mean with the gradient, of f32
    /// logits with u8 labels, 2¹⁴ and 2²² of them. Takes some tens of milliseconds on a fast device, and 36 MiB.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub fn measure(&self) -> Result<Costs> {
        pollster::block_on(self.measure_async())
    }

    /// [`Engine::measure`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::measure`].
    pub async fn measure_async(&self) -> Result<Costs> {
        cost::measure(&self.backend).await
    }

    /// The measured costs of each device that this engine chooses from ([`Device::Auto`]) or cuts batches for
    /// ([`Engine::multi`]), in seconds; none for any other engine.
    pub fn costs(&self) -> Vec<(DeviceInfo, Costs)> {
        self.backend.measured().into_iter().map(|(device, costs)| ((**device.info()).clone(), *costs)).collect()
    }

    /// Measures the [costs](Engine::costs) again, one device after the other: the machine may be busier than it was,
    /// or less so. From then on other batches may run on other devices, with other bits.
    ///
    /// # Errors
    /// [`Error::Device`] if a device failed: it and those behind it keep the costs they had.
    pub fn calibrate(&mut self) -> Result<()> {
        pollster::block_on(self.calibrate_async())
    }

    /// [`Engine::calibrate`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::calibrate`].
    pub async fn calibrate_async(&mut self) -> Result<()> {
        for (device, costs) in self.backend.measured_mut() {
            *costs = cost::measure(device).await?;
        }
        Ok(())
    }
}

/// Every device an engine can run on, and the choice of [`Device::Auto`].
pub fn devices() -> Devices {
    pollster::block_on(devices_async())
}

/// [`devices`], asynchronous.
pub async fn devices_async() -> Devices {
    let cpu = Cpu::global().info();
    #[cfg(feature = "gpu")]
    let adapters = crate::gpu::adapters::list().await;
    #[cfg(not(feature = "gpu"))]
    let adapters = Vec::new();
    Devices::new(cpu, adapters)
}
