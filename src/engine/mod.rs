//! The engine: it selects the device, divides batches, evaluates the parts and merges their results.

mod accumulator;
#[cfg(feature = "gpu")]
mod auto;
mod backend;
mod choose;
mod cost;
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
pub use options::{Device, EngineOptions};

use std::num::NonZeroUsize;

use backend::Backend;
use multi::Multi;
use part::EvaluatePart;
use wait::block_on;

use crate::{
    Batch, DeviceInfo, Devices, Error, Evaluation, Objective, Outputs, Reduction, Result, Totals, cpu::Cpu,
    loss_parameters::LossParameters, outputs::Made,
};

/// Evaluates batches on one device, or on [several](Engine::multi) at the same time. Creating an engine is expensive,
/// because it opens a device and compiles pipelines, so reuse it. Engines are `Send` and `Sync`; several threads may
/// evaluate on one engine at the same time.
///
/// # Determinism
/// The same values on the same device give the same bits: in every run, for any number of threads, for any division
/// into parts, and both from host memory and resident on the device. Devices differ in bits. The bits of an engine of
/// several devices depend on the division of the batch between them, see [`Engine::multi`]. The bits of an engine of
/// [`Device::Auto`] are those of the device that it chooses, if there is a GPU. The choice depends on the number of
/// values, on whether there are per-element outputs, and on the costs measured when the engine was created, so it may
/// differ between engines: name a device to always get the same bits.
///
/// ```
/// use logloss::{Batch, Engine, Objective, Outputs};
///
/// let engine = Engine::auto(); // once
/// for logits in [[2.0f32, -1.0], [3.0, -2.0]] {
///     let batch = Batch::logits(&logits, &[1u8, 0])?;
///     let evaluation = engine.evaluate(&batch, &Objective::mean(), Outputs::none())?;
///     assert!(evaluation.mean < 0.5);
/// }
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Debug)]
pub struct Engine {
    backend: Backend,
}

impl Engine {
    /// Creates an engine on the device that `options` specify.
    ///
    /// # Errors
    /// [`Error::NoGpu`] or [`Error::NoSuchDevice`] if there is no such device, [`Error::Device`] if it could not
    /// be opened. [`Device::Auto`] uses the CPU instead; it and [`Device::Cpu`] fail only if the thread pool cannot be
    /// started ([`Error::Threads`]).
    pub fn new(options: EngineOptions) -> Result<Self> {
        block_on(Self::new_async(options))
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
        choose::choose(&options.device, options.allow_software, &[])?;
        Self::on_cpu(options.threads)
    }

    /// Creates an engine on the CPU, and on a GPU if there is one that can be opened. Each batch in host memory is
    /// evaluated on the faster of the two, according to the [costs](Engine::costs) measured in this call; all parts of
    /// an accumulator run on the same device. [`Run::device`](crate::Run::device) is the device used. Resident batches
    /// are on the GPU.
    pub fn auto() -> Self {
        Self::new(EngineOptions::new(Device::Auto)).unwrap_or_else(|_| Self::cpu())
    }

    /// Creates an engine on the CPU that uses rayon's global thread pool.
    pub fn cpu() -> Self {
        Self { backend: Cpu::global().into() }
    }

    /// Creates an engine on the best GPU.
    ///
    /// # Errors
    /// [`Error::NoGpu`] if there are no adapters except software ones, [`Error::Device`] if the GPU could not be
    /// opened.
    pub fn gpu() -> Result<Self> {
        Self::new(EngineOptions::new(Device::Gpu))
    }

    /// Creates an engine of several engines, of which the CPU may be one. A batch in host memory is divided in
    /// proportion to their speed and evaluated on all of them at the same time. The speed of each engine is
    /// [measured](Engine::measure) in this call, one engine after the other, and kept until [`Engine::calibrate`]. The
    /// fixed cost of a device is included, so a small batch may be evaluated on only some of the devices. In a browser
    /// the devices run one after the other, which saves no time.
    ///
    /// # Determinism
    /// The same batch gives the same bits on the same engine in every run. But devices differ in bits, and the division
    /// of a batch depends on measurements: another engine of the same devices may give different bits, within the
    /// accuracy contract. So may an accumulator, which divides each part separately. To always get the same bits,
    /// specify the shares: [`Engine::multi_with_shares`].
    ///
    /// # Errors
    /// [`Error::Parameter`] if there are no engines, [`Error::Device`] if a device fails.
    pub fn multi(engines: impl IntoIterator<Item = Engine>) -> Result<Self> {
        block_on(Self::multi_async(engines))
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

    /// Creates an engine of several engines, each of which evaluates a fixed share of every batch: shares of 1 and 3
    /// are a quarter and three quarters. A batch is divided in the order of the engines, at the nearest multiples of
    /// [`BLOCK`](crate::BLOCK) values (of `BLOCK` rows, if sums are taken per class or row).
    ///
    /// # Determinism
    /// The bits are a function of the values, the devices and the shares: those of each piece on its device, merged.
    /// Parts of a batch ([`Batch::with_first_row`]) merge if they are cut between blocks, because a block that is begun
    /// on one device is not completed by another.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a share is negative, NaN or infinite, or if no share is above 0.
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

    /// The device of this engine. For several devices, the names are joined; for an engine that chooses between two
    /// devices, it is the GPU.
    pub fn device(&self) -> DeviceInfo {
        (**self.backend.info()).clone()
    }

    /// Evaluates a batch in host memory. On a GPU the batch is divided into chunks whose copies and computations
    /// overlap, with a bounded amount of memory on host and device.
    ///
    /// # Errors
    /// [`Error::Length`] if an output is not as long as the batch, [`Error::InvalidValue`] for the first invalid value
    /// (unless the objective propagates them), [`Error::Unsupported`] for what the system in [`Compat`](crate::Compat)
    /// does not support, [`Error::IgnoreType`] if the type of the targets cannot represent the ignored target,
    /// [`Error::Device`] if the device failed.
    pub fn evaluate(&self, batch: &Batch<'_>, objective: &Objective, outputs: Outputs<'_>) -> Result<Evaluation> {
        block_on(self.evaluate_async(batch, objective, outputs))
    }

    /// [`Engine::evaluate`], asynchronous. Except in a browser, polling the future blocks until the device has
    /// finished.
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

    /// Creates an accumulator, which evaluates a batch in parts, in order.
    ///
    /// `len` is the number of values of the whole batch, which [`Accumulator::finish`] checks. The gradient of a mean
    /// is divided by it, so a push that requests the gradient or hessian of a mean fails without it. Such a push also
    /// fails if the divisor of the mean is not the number of values, see
    /// [`accumulator_with_totals`](Self::accumulator_with_totals).
    pub fn accumulator(&self, objective: &Objective, len: Option<u64>) -> Accumulator<'_> {
        let totals = len.filter(|_| objective.reduction() != Reduction::WeightedMean).map(Totals::of_ones);
        Accumulator::new(self.backend.pick(len, true), objective, len, totals)
    }

    /// Creates an accumulator for a batch whose gradient is divided by counted totals instead of the number of values,
    /// which is necessary for ignored targets, a mask or a weighted mean. `totals` are those of
    /// [`totals`](Self::totals), merged over all parts.
    pub fn accumulator_with_totals(&self, objective: &Objective, totals: Totals) -> Accumulator<'_> {
        Accumulator::with_totals(self.backend.pick(None, true), objective, totals)
    }

    /// The divisors of the mean of a batch: the number of elements counted, and the sum of their weights. This reads
    /// targets, mask and weights in host memory, but not predictions, and always runs on the CPU. Values are not
    /// validated: an element with an invalid target or weight is counted with weight 0.
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
        let parameters = LossParameters::of(batch.kind(), batch.weights().is_some(), batch.mask().is_some(), objective);
        match batch.first_index()? {
            None => Ok(cpu.totals(batch, &parameters)),
            Some(first) => Ok(cpu.totals_from(batch, &parameters, first)),
        }
    }

    /// Measures the time of evaluations of host memory on this engine: the mean, and the mean with the gradient, of 2¹⁴
    /// and of 2²² f32 logits with u8 labels. This takes some tens of milliseconds on a fast device, and 36 MiB of
    /// memory.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub fn measure(&self) -> Result<Costs> {
        block_on(self.measure_async())
    }

    /// [`Engine::measure`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::measure`].
    pub async fn measure_async(&self) -> Result<Costs> {
        cost::measure(&self.backend).await
    }

    /// The measured costs, in seconds, of each device that this engine chooses from ([`Device::Auto`]) or divides
    /// batches between ([`Engine::multi`]); empty for other engines.
    pub fn costs(&self) -> Vec<(DeviceInfo, Costs)> {
        self.backend.measured().into_iter().map(|(device, costs)| ((**device.info()).clone(), *costs)).collect()
    }

    /// Measures the [costs](Engine::costs) again, one device after the other, for example after the load of the machine
    /// has changed. Later batches may run on other devices than before, and then give different bits.
    ///
    /// # Errors
    /// [`Error::Device`] if a device failed: it and the devices after it keep their previous costs.
    pub fn calibrate(&mut self) -> Result<()> {
        block_on(self.calibrate_async())
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

/// All devices that an engine can run on, and the choice of [`Device::Auto`].
pub fn devices() -> Devices {
    block_on(devices_async())
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
