//! Which devices are measured.

use std::num::NonZeroUsize;

use logloss::{Adapter, DeviceKind};

use crate::{
    DeviceSelection, Specification,
    cpu::all_threads,
    error::{Error, Result},
    plan::Plan,
};

/// The devices that a specification selects.
pub(crate) struct SelectedDevices {
    /// The numbers of threads of the CPU, each without duplicates; empty if the CPU is not selected.
    pub threads: Vec<NonZeroUsize>,
    /// The adapters, by index.
    pub adapters: Vec<NamedAdapter>,
}

/// An adapter that is not opened yet.
pub(crate) struct NamedAdapter {
    /// The adapter.
    pub adapter: Adapter,
    /// Its name in the report.
    #[cfg(feature = "gpu")]
    pub name: String,
}

impl NamedAdapter {
    /// Whether the adapter computes on the CPU.
    pub(crate) fn is_software(&self) -> bool {
        self.adapter.info.kind == DeviceKind::Software
    }

    /// Whether the memory of the adapter is that of the host.
    fn shares_memory(&self) -> bool {
        [DeviceKind::Software, DeviceKind::IntegratedGpu, DeviceKind::Other].contains(&self.adapter.info.kind)
    }
}

impl SelectedDevices {
    /// Finds the devices that a specification selects.
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`] if one of its selections fits none.
    pub(crate) fn new(specification: &Specification) -> Result<Self> {
        let (mut cpu, mut chosen) = (false, Vec::new());
        // To look for adapters is to start their drivers, which the CPU alone does not need.
        let needs_adapters = specification.devices.iter().any(|selection| *selection != DeviceSelection::Cpu);
        let devices = needs_adapters.then(logloss::devices);
        let adapters = devices.as_ref().map(|devices| devices.adapters.as_slice()).unwrap_or_default();
        let auto = devices.as_ref().map(|devices| &devices.auto.info);
        let names = names(adapters);
        for selection in &specification.devices {
            let fits_cpu = match selection {
                DeviceSelection::All | DeviceSelection::Cpu => true,
                DeviceSelection::Auto => auto.is_some_and(|info| info.kind == DeviceKind::Cpu),
                DeviceSelection::Gpus | DeviceSelection::Index(_) | DeviceSelection::Name(_) => false,
            };
            let fits = |adapter: &Adapter| match selection {
                DeviceSelection::All => true,
                DeviceSelection::Auto => auto == Some(&adapter.info),
                DeviceSelection::Cpu => false,
                DeviceSelection::Gpus => adapter.info.kind != DeviceKind::Software,
                DeviceSelection::Index(index) => adapter.index == *index,
                DeviceSelection::Name(name) => adapter.info.name.to_lowercase().contains(name),
            };
            let found: Vec<usize> = (0..adapters.len()).filter(|&at| fits(&adapters[at])).collect();
            if found.is_empty() && !fits_cpu {
                return Err(Error::NoSuchDevice { adapters: names });
            }
            cpu |= fits_cpu;
            chosen.extend(found);
        }
        chosen.sort_unstable();
        chosen.dedup();
        let named = |at: usize| NamedAdapter {
            adapter: adapters[at].clone(),
            #[cfg(feature = "gpu")]
            name: names[at].clone(),
        };
        Ok(Self {
            threads: if cpu { threads(&specification.threads) } else { Vec::new() },
            adapters: chosen.into_iter().map(named).collect(),
        })
    }

    /// The number of devices; each number of threads of the CPU is one.
    pub(crate) fn len(&self) -> usize {
        self.threads.len() + self.adapters.len()
    }

    /// The number of rows that are planned for all of them. An adapter has two for each point of the sweep: one of
    /// resident batches and one of batches of the host.
    pub(crate) fn rows(&self, plan: &Plan) -> usize {
        let of_adapters = self.adapters.iter().map(|adapter| 2 * plan.cells(adapter.is_software()).len());
        self.threads.len() * plan.cells(false).len() + of_adapters.sum::<usize>()
    }

    /// Whether an adapter keeps its batches in the memory of the host.
    pub(crate) fn share_memory(&self) -> bool {
        self.adapters.iter().any(NamedAdapter::shares_memory)
    }
}

/// The numbers of threads that are named, without duplicates; all threads and one if none is named.
fn threads(named: &[NonZeroUsize]) -> Vec<NonZeroUsize> {
    let all = [all_threads(), NonZeroUsize::MIN];
    let mut threads = Vec::new();
    for &number in if named.is_empty() { &all[..] } else { named } {
        if !threads.contains(&number) {
            threads.push(number);
        }
    }
    threads
}

/// Names that tell adapters apart: two of the same model have their indices added, and one that several APIs reach has
/// the API added.
fn names(adapters: &[Adapter]) -> Vec<String> {
    let same = |a: &Adapter| adapters.iter().filter(|b| b.info.name == a.info.name).count();
    let same_api = |a: &Adapter| {
        adapters.iter().filter(|b| (&b.info.name, &b.info.backend) == (&a.info.name, &a.info.backend)).count()
    };
    adapters
        .iter()
        .map(|adapter| match (same(adapter), same_api(adapter)) {
            (1, _) => adapter.info.name.clone(),
            (_, 1) => format!("{} ({})", adapter.info.name, adapter.info.backend),
            _ => format!("{} #{}", adapter.info.name, adapter.index),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_measured_once() {
        let number = |n| NonZeroUsize::new(n).unwrap();
        assert_eq!(threads(&[2, 1, 2].map(number)), [2, 1].map(number));
        assert!(threads(&[]).contains(&NonZeroUsize::MIN) && threads(&[]).contains(&all_threads()));
    }
}
