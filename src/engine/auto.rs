//! The choice between a GPU and the CPU: each batch runs on the device with the lower estimated time.

use super::{cost::Costs, part::EvaluatePart};

/// A GPU and the CPU, and the measured costs of both.
#[derive(Debug)]
pub(crate) struct Auto<D> {
    pub gpu: (D, Costs),
    pub cpu: (D, Costs),
}

impl<D: EvaluatePart> Auto<D> {
    /// The device with the lower estimated time for `len` values, with or without per-element outputs.
    pub(super) fn cheaper(&self, len: u64, outputs: bool) -> &D {
        let seconds = |costs: &Costs| if outputs { costs.gradient } else { costs.mean }.of(len);
        if seconds(&self.gpu.1) < seconds(&self.cpu.1) { &self.gpu.0 } else { &self.cpu.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{cost::Cost, processor::Processor},
        *,
    };
    use crate::cpu::Cpu;

    /// The GPU has a high fixed cost, and with outputs a low cost per value.
    #[test]
    fn chooses_the_lower_cost() {
        let cost = |fixed, per_value| Cost { fixed, per_value };
        let gpu = Costs { mean: cost(1e-3, 2e-9), gradient: cost(1e-3, 1e-9) };
        let cpu = Costs { mean: cost(0.0, 1e-9), gradient: cost(0.0, 2e-9) };
        // Neither device evaluates anything, so both can be the CPU.
        let device = || Processor::from(Cpu::global());
        let auto = Auto { gpu: (device(), gpu), cpu: (device(), cpu) };
        let on_gpu = |len, outputs| std::ptr::eq(auto.cheaper(len, outputs), &auto.gpu.0);
        assert!(!on_gpu(0, true) && !on_gpu(999_000, true));
        assert!(on_gpu(1_001_000, true) && on_gpu(u64::MAX, true));
        assert!(!on_gpu(1_001_000, false) && !on_gpu(u64::MAX, false));
    }
}
