//! The options of an engine: the device, threads and limits.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use crate::Error;

/// The device that an engine runs on.
///
/// ```
/// use logloss::Device;
///
/// assert_eq!("gpu".parse::<Device>()?, Device::Gpu);
/// assert_eq!("1".parse::<Device>()?, Device::Index(1));
/// assert_eq!("radeon".parse::<Device>()?, Device::Name("radeon".into()));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The CPU or the best GPU: for each batch in host memory the faster one, according to measurements made when the
    /// engine is created. Without a GPU, the CPU, without measurements. Software adapters are not used unless they are
    /// allowed.
    #[default]
    Auto,
    /// The SIMD backend.
    Cpu,
    /// The best GPU: discrete before integrated before virtual.
    Gpu,
    /// The adapter at this index of [`devices`](crate::devices).
    Index(usize),
    /// The first adapter whose name contains this string, ignoring case. `cpu` is the SIMD backend.
    Name(String),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Gpu => f.write_str("gpu"),
            Device::Index(index) => write!(f, "{index}"),
            Device::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    /// Parses `auto`, `cpu`, `gpu` or an index; any other string is a part of an adapter's name.
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`] if the string is empty or white space.
    fn from_str(word: &str) -> Result<Self, Error> {
        Ok(match word.trim() {
            "" => {
                let found = "auto, cpu, gpu, an index or a part of a name".to_owned();
                return Err(Error::NoSuchDevice { wanted: String::new(), found });
            }
            "auto" => Device::Auto,
            "cpu" => Device::Cpu,
            "gpu" => Device::Gpu,
            word => word.parse().map_or_else(|_| Device::Name(word.into()), Device::Index),
        })
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Device {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Device {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}

/// The options with which an engine is created.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use logloss::{Device, Engine, EngineOptions};
///
/// let engine = Engine::new(EngineOptions::new(Device::Cpu).with_threads(NonZeroUsize::MIN))?;
/// # let _ = engine;
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The device.
    pub device: Device,
    /// Whether [`Device::Auto`] and [`Device::Gpu`] may choose a software adapter (llvmpipe, SwiftShader, WARP). An
    /// adapter given by index or name is used in either case.
    pub allow_software: bool,
    /// The number of threads of the SIMD backend, in a pool of its own; none for rayon's global pool.
    pub threads: Option<NonZeroUsize>,
    /// The limits to request from the adapter; none for the best that it supports. Every WebGPU implementation supports
    /// [`wgpu::Limits::default`].
    #[cfg(feature = "gpu")]
    pub limits: Option<wgpu::Limits>,
}

impl EngineOptions {
    /// The options for `device`, with every other option at its default.
    pub fn new(device: Device) -> Self {
        Self { device, ..Self::default() }
    }

    /// Sets whether [`Device::Auto`] and [`Device::Gpu`] may choose a software adapter.
    pub fn with_allow_software(mut self, allow_software: bool) -> Self {
        self.allow_software = allow_software;
        self
    }

    /// Sets the number of threads of the SIMD backend, which then has a thread pool of its own.
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets the limits to request from the adapter.
    #[cfg(feature = "gpu")]
    pub fn with_limits(mut self, limits: wgpu::Limits) -> Self {
        self.limits = Some(limits);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_parsed_as_they_are_printed() {
        for device in [Device::Auto, Device::Cpu, Device::Gpu, Device::Index(2), Device::Name("llvmpipe".into())] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert!(matches!(" ".parse::<Device>(), Err(Error::NoSuchDevice { .. })));
    }
}
