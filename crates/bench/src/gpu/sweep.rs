//! Measures the rows of an adapter.

use super::{GpuBench, Resident};
use crate::{
    Inputs,
    cell::Cell,
    devices::NamedAdapter,
    error::Result,
    sweep::{Run, words},
};

impl Run<'_> {
    /// Measures the rows of an adapter: for each point of the sweep one of resident batches and one of batches of the
    /// host.
    pub(crate) fn adapter(&mut self, selected: &NamedAdapter) -> Result<()> {
        let NamedAdapter { adapter, name } = selected;
        self.observer.doing(&format!("{name}: opening"));
        let software = selected.is_software();
        let bulk = self.plan.bulk(software);
        let pace = self.plan.pace(self.begun, &*self.observer);
        let gpu = GpuBench::open(adapter, name.clone(), self.specification.spoil, bulk, pace)?;
        self.report.devices.push(gpu.entry.clone());
        if let (true, Some(note)) = (software, self.plan.skipped_on_software()) {
            self.note(note);
        }
        let reach = gpu.reach(self.plan.reach);
        let cells = self.plan.cells(software);
        let mut resident: Option<Resident> = None;
        let mut skipped = 0;
        for &cell in &cells {
            if self.is_late() {
                skipped += 2;
            } else {
                if resident.as_ref().is_none_or(|resident| resident.inputs != cell.inputs) {
                    // The memory of the previous batch is needed for the next one.
                    drop(resident.take());
                    self.observer.doing(&format!("{name}: uploading {}", cell.inputs));
                    resident = self.upload(&gpu, &cells, cell.inputs, reach);
                }
                if let Some(resident) = &resident {
                    self.observer.doing(&words(name, cell, "resident, "));
                    let pace = self.plan.pace(self.begun, &*self.observer);
                    let row = gpu.resident_row(&self.data, resident, cell, reach, pace);
                    self.add(name, cell, row)?;
                }
                self.observer.doing(&words(name, cell, "from host, "));
                let pace = self.plan.pace(self.begun, &*self.observer);
                let row = gpu.host_row(&self.data, &mut self.outputs, cell, pace);
                self.add(name, cell, row)?;
            }
            self.observer.row_done();
            self.observer.row_done();
        }
        self.note_skipped(name, skipped);
        Ok(())
    }

    /// Uploads as many values as the rows of the device need, or as many as the device takes.
    fn upload(&mut self, gpu: &GpuBench, cells: &[Cell], inputs: Inputs, reach: u64) -> Option<Resident> {
        let cells = cells.iter().filter(|cell| cell.inputs == inputs);
        let len = cells.map(|cell| cell.n * gpu.sets(*cell, reach, self.data.len())).max()?;
        // A device with less memory gets a single batch of each size, or only the smaller sizes.
        let smaller = self.plan.sizes.iter().rev().copied().filter(|n| *n < len);
        let mut failure = None;
        for len in [len].into_iter().chain(smaller) {
            match gpu.upload(&self.data, inputs, len) {
                Ok(resident) => return Some(resident),
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = failure {
            self.note(format!("{}: {inputs} is not measured on the device: {}", gpu.entry.device, error.chain()));
        }
        None
    }
}
