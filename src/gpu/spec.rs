//! The specialisation of a kernel: types of arrays, outputs and sums.

use crate::{
    Ignore, OutputType, PredictionType, TargetType, WeightShape, WeightType,
    gpu::{
        Gpu,
        accumulators::Accumulators,
        bindings::{Binding, Bindings, OUTPUTS},
        codes,
        source::Source,
    },
    job::{Job, Sums},
    loss_parameters::Uses,
    prediction_kind::Encoding,
};

/// The specialisation of a kernel. It determines the source, the bindings and the constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spec {
    pub encoding: Encoding,
    pub prediction: PredictionType,
    pub target: TargetType,
    /// The types of loss, gradient and hessian; none for those that are not written.
    pub outputs: [Option<OutputType>; 3],
    /// Whether the kernel only stores outputs, and adds to no sum.
    pub stores_alone: bool,
    /// Whether losses and gradients are what elements add to the sums: their losses and weights.
    pub stores_addends: bool,
    /// The number of blocks that a workgroup sums, an even number if an output is narrower than f32.
    pub blocks: u32,
    /// What the sums are taken over.
    pub sums: Sums,
    /// The statistics taken beside the sums.
    pub accumulators: Accumulators,
    /// Weights, mask, ignored targets and parameters of the loss; none if the loss is plain and every element counts.
    pub weighted: Option<WeightedSpec>,
}

/// How weights, a mask, ignored targets and the parameters of the loss specialise a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WeightedSpec {
    pub uses: Uses,
    pub weight: Option<(WeightType, WeightShape)>,
    pub mask: bool,
    /// The code of which targets are ignored.
    pub ignore: u32,
    /// Whether the pass only counts and weighs.
    pub weights_alone: bool,
}

impl WeightedSpec {
    fn new(uses: Uses, weight: Option<(WeightType, WeightShape)>, mask: bool, ignore: Option<Ignore>) -> Self {
        Self { uses, weight, mask, ignore: codes::ignore(ignore), weights_alone: false }
    }
}

impl Spec {
    /// The kernel of an evaluation on arrays of these types, which also stores its outputs.
    pub(crate) fn new(
        gpu: &Gpu,
        job: &Job,
        encoding: Encoding,
        (prediction, target): (PredictionType, TargetType),
        weight: Option<(WeightType, WeightShape)>,
        mask: bool,
        outputs: [Option<OutputType>; 3],
    ) -> Self {
        let narrow = outputs.into_iter().flatten().any(OutputType::is_narrow);
        Self {
            blocks: gpu.blocks(job, narrow),
            encoding,
            prediction,
            target,
            outputs,
            stores_alone: false,
            stores_addends: job.stores_addends,
            sums: job.sums,
            accumulators: Accumulators::of(job),
            weighted: job
                .parameters
                .as_ref()
                .map(|parameters| WeightedSpec::new(parameters.uses, weight, mask, parameters.ignore)),
        }
    }

    /// The same evaluation, only counting and weighing.
    pub(crate) fn weights_alone(self) -> Self {
        let weighted = self.weighted.map(|weighted| WeightedSpec { weights_alone: true, ..weighted });
        Self { outputs: [None; 3], sums: Sums::All, accumulators: Accumulators::default(), weighted, ..self }
    }

    /// Whether an output is narrower than f32.
    pub(crate) fn narrow(&self) -> bool {
        self.outputs.into_iter().flatten().any(OutputType::is_narrow)
    }

    /// The evaluation as one kernel; or as two, one that sums and one that only stores.
    ///
    /// There are two where one would bind more than `max_buffers` storage buffers; and for narrow outputs beside sums by
    /// class or row: two neighbours share a word, and they are of one lane only where the sum is over all.
    pub(crate) fn split(self, max_buffers: u32) -> (Self, Option<Self>) {
        let sums_of_all = self.sums == Sums::All;
        let together = self.outputs.map(|output| output.filter(|ty| sums_of_all || !ty.is_narrow()));
        let mut summing = Self { outputs: together, ..self };
        if summing.bindings().len() > max_buffers {
            summing.outputs = [None; 3];
        }
        if summing.outputs == self.outputs {
            return (self, None);
        }
        let mut outputs = self.outputs;
        for (output, stored) in outputs.iter_mut().zip(summing.outputs) {
            *output = output.filter(|_| stored.is_none());
        }
        let (sums, accumulators) = (Sums::All, Accumulators::default());
        (summing, Some(Self { outputs, stores_alone: true, sums, accumulators, ..self }))
    }

    /// The arrays that the kernel binds.
    pub(crate) fn bindings(&self) -> Bindings {
        let weighted = self.weighted;
        let outputs = OUTPUTS.into_iter().zip(self.outputs).map(|(binding, output)| (binding, output.is_some()));
        [
            (Binding::Window, true),
            (Binding::Predictions, !weighted.is_some_and(|weighted| weighted.weights_alone)),
            (Binding::Targets, true),
            (Binding::Weights, weighted.is_some_and(|weighted| weighted.weight.is_some())),
            (Binding::Mask, weighted.is_some_and(|weighted| weighted.mask)),
            (Binding::ClassSums, self.sums == Sums::PerClass),
            (Binding::RowMeans, self.sums == Sums::PerRow),
            (Binding::Counts, !self.accumulators.is_empty()),
        ]
        .into_iter()
        .chain(outputs)
        .filter_map(|(binding, bound)| bound.then_some(binding))
        .collect()
    }

    /// The source of the kernel, which many specialisations share.
    pub(crate) fn source(&self) -> Source {
        Source { sums: self.sums, narrow: self.narrow(), bindings: self.bindings(), accumulators: self.accumulators }
    }

    /// The entry point of the kernel.
    pub(crate) fn entry_point(&self) -> &'static str {
        if self.stores_alone { "store_alone" } else { "main" }
    }

    /// The names and values that kernel.wgsl is compiled with.
    pub(crate) fn constants(&self) -> Vec<(&'static str, f64)> {
        let flag = |on: bool| f64::from(u8::from(on));
        // Where addends are stored, they are the only outputs.
        let outputs = self.outputs.map(|output| output.filter(|_| !self.stores_addends));
        let [loss, gradient, hessian] = outputs.map(|output| f64::from(codes::output(output)));
        let mut constants = vec![
            ("FORM", f64::from(self.encoding as u8)),
            ("PREDICTION", f64::from(self.prediction as u8)),
            ("TARGET", f64::from(self.target as u8)),
            ("LOSS", loss),
            ("GRADIENT", gradient),
            ("HESSIAN", hessian),
            ("BLOCKS", f64::from(self.blocks)),
            ("ADDENDS", flag(self.stores_addends)),
        ];
        if let Some(parameters) = self.weighted {
            let weight = codes::weight(parameters.weight.map(|(ty, _)| ty));
            let samples = parameters.weight.is_some_and(|(_, shape)| shape == WeightShape::Samples);
            constants.extend([
                ("WEIGHTED", 1.0),
                ("SERIES", 2.0),
                ("WEIGHT", f64::from(weight)),
                ("SAMPLE_WEIGHTS", flag(samples)),
                ("MASK", flag(parameters.mask)),
                ("IGNORE", f64::from(parameters.ignore)),
                ("CLASSES", flag(parameters.uses.classes)),
                ("FOCAL", flag(parameters.uses.focal)),
                ("CONVENTIONS", flag(parameters.uses.conventions)),
                ("WEIGHTS_ALONE", flag(parameters.weights_alone)),
            ]);
        }
        constants
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every set of arrays that an evaluation may use: by outputs, sums, weights, mask and accumulators.
    pub(crate) fn every_use() -> Vec<Spec> {
        let mut all = Vec::new();
        for bits in 0..16u8 {
            let bit = |place: u8| bits >> place & 1 == 1;
            let weighted = WeightedSpec {
                uses: Uses::default(),
                weight: bit(0).then_some((WeightType::F32, WeightShape::Elements)),
                mask: bit(1),
                ignore: 0,
                weights_alone: false,
            };
            for (sums, outputs) in [Sums::All, Sums::PerClass, Sums::PerRow].into_iter().flat_map(|sums| {
                let (f32, f16) = (Some(OutputType::F32), Some(OutputType::F16));
                [[None; 3], [None, f32, None], [f32; 3], [f16; 3], [f32, f16, None]].map(|outputs| (sums, outputs))
            }) {
                all.push(Spec {
                    encoding: Encoding::Logits,
                    prediction: PredictionType::F32,
                    target: TargetType::U8,
                    outputs,
                    stores_alone: false,
                    stores_addends: false,
                    blocks: 2,
                    sums,
                    accumulators: Accumulators::all(bit(2)),
                    weighted: (bits & 3 != 0 || bit(3) || sums != Sums::All).then_some(weighted),
                });
            }
        }
        all
    }

    #[test]
    fn kernels_fit_the_limit() {
        for spec in every_use() {
            for limit in 8..12 {
                let (summing, storing) = spec.split(limit);
                let kernels = [Some(summing), storing, spec.weighted.map(|_| spec.weights_alone())];
                for kernel in kernels.into_iter().flatten() {
                    assert!(kernel.bindings().len() <= limit, "{kernel:?}");
                }
                // Every output is stored once, and sums and counts are taken once.
                let stored = storing.map_or([None; 3], |storing| storing.outputs);
                for ((output, first), second) in spec.outputs.into_iter().zip(summing.outputs).zip(stored) {
                    assert!(first.is_none() || second.is_none());
                    assert_eq!(output, first.or(second));
                }
                assert!(!summing.stores_alone && storing.is_none_or(|storing| storing.stores_alone));
                assert_eq!((summing.sums, summing.accumulators), (spec.sums, spec.accumulators));
            }
            let (_, storing) = spec.split(11);
            assert_eq!(storing.is_some(), spec.sums != Sums::All && spec.narrow(), "{spec:?}");
        }
    }
}
