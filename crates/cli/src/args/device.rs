//! Which devices a command runs on.

use std::num::NonZeroUsize;

use anyhow::Context;
use clap::Args as ArgGroup;
use logloss::{Device, Engine, EngineOptions, Error};

use super::number;
use crate::failure::{fault, usage};

const DEVICE: &str = "Device";

/// The devices to run on.
#[derive(Debug, ArgGroup)]
pub(crate) struct DeviceArgs {
    /// auto, cpu, gpu, an index from `logloss devices`, or part of an adapter's name (which may be a software
    /// adapter: llvmpipe); several, as in cpu,0,1, share the work. With auto, `eval` uses the CPU for at most 2^24 values
    /// (64 MiB of text), which it evaluates in about the time that finding a GPU takes
    #[arg(
        long, value_name = "DEVICE,…", default_value = "auto", value_delimiter = ',', value_parser = device,
        help_heading = DEVICE
    )]
    pub device: Vec<Device>,

    /// The share of each of several devices: 1,3 is a quarter and three quarters. By default by their speed, which is
    /// measured at the start. Other shares give other last bits
    #[arg(
        long, value_name = "A,B,…", value_delimiter = ',', value_parser = share_of_work, allow_hyphen_values = true,
        help_heading = DEVICE
    )]
    pub shares: Option<Vec<f64>>,

    /// Threads that evaluate on the CPU and decode Parquet; by default one for each core
    #[arg(long, value_name = "N", value_parser = threads, help_heading = DEVICE)]
    pub threads: Option<NonZeroUsize>,
}

impl DeviceArgs {
    /// Runs a command on the threads asked for, if a number was named: on one of them, so that they are all there are.
    pub(crate) fn on_threads<R: Send>(&self, command: impl FnOnce() -> anyhow::Result<R> + Send) -> anyhow::Result<R> {
        let Some(threads) = self.threads else { return command() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
        pool.build_global().with_context(|| format!("{threads} threads could not be started"))?;
        rayon::scope(|_| command())
    }

    /// Whether it is left open where to run.
    pub(crate) fn is_auto(&self) -> bool {
        self.shares.is_none() && matches!(self.device.as_slice(), [Device::Auto])
    }

    /// The engine asked for.
    pub(crate) fn engine(&self) -> anyhow::Result<Engine> {
        if let Some(shares) = self.shares.as_ref().filter(|shares| shares.len() != self.device.len()) {
            return Err(usage(
                format_args!("--shares has {} for {} devices", shares.len(), self.device.len()),
                "name as many shares as devices, as in `--device cpu,0 --shares 1,3`",
            ));
        }
        if let [device] = self.device.as_slice() {
            return self.open(device);
        }
        let engines = self.device.iter().map(|device| self.open(device)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(match &self.shares {
            Some(shares) => Engine::multi_with_shares(engines.into_iter().zip(shares.iter().copied()))?,
            None => Engine::multi(engines)?,
        })
    }

    fn open(&self, device: &Device) -> anyhow::Result<Engine> {
        Engine::new(EngineOptions::new(device.clone())).map_err(|error| match error {
            // The library's message ends in an option of its own.
            Error::NoGpu { .. } if !logloss::devices().adapters.is_empty() => fault(
                "no GPU: there are only software adapters, which must be named",
                "name one that `logloss devices` lists, as in `--device llvmpipe`; `--device cpu` always works",
            ),
            Error::NoGpu { .. } | Error::NoSuchDevice { .. } => {
                fault(error, "`logloss devices` lists what there is; `--device cpu` always works")
            }
            error => error.into(),
        })
    }
}

/// A part of the work, in proportion to others.
fn share_of_work(word: &str) -> Result<f64, String> {
    let share = word.trim().parse().ok().filter(|share| *share > 0.0 && *share < f64::INFINITY);
    share.ok_or_else(|| "pass a number above 0".into())
}

/// The device that a word names.
fn device(word: &str) -> Result<Device, String> {
    word.parse().map_err(|_| "pass auto, cpu, gpu, an index or a part of a name".into())
}

pub(crate) fn threads(word: &str) -> Result<NonZeroUsize, String> {
    // More than any machine has: each is started, and takes memory.
    number(word, |threads: NonZeroUsize| threads.get() <= 1024, "a whole number from 1 to 1024")
}
