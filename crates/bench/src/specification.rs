//! What is to be measured.

use std::{num::NonZeroUsize, str::FromStr};

use crate::{
    Inputs, ParseError, Work,
    error::{Error, Result},
};

/// The largest binary logarithm of a size.
const MAX_SIZE: u32 = 34;

/// What is to be measured: on which devices, at which sizes, and for how long. The default is a full sweep over all
/// devices.
///
/// ```
/// use logloss_bench::{DeviceSelection, Error, Specification, Work, measure};
///
/// let mut specification = Specification::default();
/// specification.devices = vec![DeviceSelection::Cpu];
/// (specification.work, specification.sizes, specification.quick) = (vec![Work::MEAN], vec![16, 24], true);
/// specification.seconds = Some(0.0); // less than is allowed
/// assert!(matches!(measure(&specification, &mut ()), Err(Error::OutOfRange(_))));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Specification {
    /// The devices. One that several selections name is measured once.
    pub devices: Vec<DeviceSelection>,
    /// The numbers of threads of the CPU, each measured as a device of its own. Empty stands for all threads and one.
    pub threads: Vec<NonZeroUsize>,
    /// Whether few sizes, types and outputs are measured, with few repeats, so that the run ends within 30 seconds.
    pub quick: bool,
    /// The binary logarithms of the numbers of values in a batch, at most 34 each. Empty stands for a sweep.
    pub sizes: Vec<u32>,
    /// The outputs that are computed. Empty stands for a selection.
    pub work: Vec<Work>,
    /// The types of predictions and targets. Empty stands for a selection.
    pub inputs: Vec<Inputs>,
    /// The time that is spent on each row, in seconds from 0.001 to 600. None stands for 0.4 s, or 0.06 s in a quick run.
    pub seconds: Option<f64>,
    /// Whether the system is asked for huge pages under the arrays (Linux only).
    pub huge_pages: bool,
    /// The answer that is made wrong on purpose before it is checked, to see that the check notices.
    pub spoil: Option<Spoil>,
}

impl Default for Specification {
    fn default() -> Self {
        Self {
            devices: vec![DeviceSelection::All],
            threads: Vec::new(),
            quick: false,
            sizes: Vec::new(),
            work: Vec::new(),
            inputs: Vec::new(),
            seconds: None,
            huge_pages: false,
            spoil: None,
        }
    }
}

impl Specification {
    /// Fails if a number is out of its range.
    pub(crate) fn check(&self) -> Result<()> {
        if self.sizes.iter().any(|size| *size > MAX_SIZE) {
            return Err(Error::OutOfRange("sizes are powers of two from 0 to 34"));
        }
        if self.seconds.is_some_and(|seconds| !(0.001..=600.0).contains(&seconds)) {
            return Err(Error::OutOfRange("the seconds of a row are a number from 0.001 to 600"));
        }
        Ok(())
    }
}

/// One or several devices, as a user names them.
///
/// ```
/// use logloss_bench::DeviceSelection;
///
/// assert_eq!("gpu".parse(), Ok(DeviceSelection::Gpus));
/// assert_eq!("Radeon".parse(), Ok(DeviceSelection::Name("radeon".into())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceSelection {
    /// The CPU and every adapter.
    All,
    /// The device that [`logloss::Device::Auto`] chooses.
    Auto,
    /// The CPU.
    Cpu,
    /// Every adapter that is not a software one.
    Gpus,
    /// The adapter at this index in [`logloss::devices`].
    Index(usize),
    /// Every adapter whose name contains this text, in lower case.
    Name(String),
}

impl FromStr for DeviceSelection {
    type Err = ParseError;

    /// Reads `all`, `auto`, `cpu`, `gpu`, an index, or a part of a name in any case.
    fn from_str(word: &str) -> Result<Self, ParseError> {
        Ok(match word.trim() {
            "" => return Err(ParseError::new("pass all, auto, cpu, gpu, an index or a part of a name")),
            "all" => Self::All,
            "auto" => Self::Auto,
            "cpu" => Self::Cpu,
            "gpu" => Self::Gpus,
            word => word.parse().map_or_else(|_| Self::Name(word.to_lowercase()), Self::Index),
        })
    }
}

/// An answer that is made wrong on purpose.
///
/// ```
/// use logloss_bench::{Specification, Spoil};
///
/// // A run with this must end with failures in its report: the check of answers can fail.
/// let mut specification = Specification::default();
/// specification.spoil = Some(Spoil::Sum);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spoil {
    /// The sum of the losses.
    Sum,
    /// The first element of every output that is looked at.
    Element,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        assert_eq!("all".parse(), Ok(DeviceSelection::All));
        assert_eq!("2".parse(), Ok(DeviceSelection::Index(2)));
        assert_eq!("LLVMpipe".parse(), Ok(DeviceSelection::Name("llvmpipe".into())));
        assert!(" ".parse::<DeviceSelection>().is_err());
    }

    #[test]
    fn ranges() {
        let check = |change: fn(&mut Specification)| {
            let mut specification = Specification::default();
            change(&mut specification);
            specification.check()
        };
        assert!(check(|_| ()).is_ok() && check(|s| s.seconds = Some(0.5)).is_ok());
        assert!(check(|s| s.sizes = vec![10, 35]).is_err());
        assert!(check(|s| s.seconds = Some(0.0)).is_err() && check(|s| s.seconds = Some(f64::NAN)).is_err());
    }
}
