//! Benchmarks of the SIMD backend: calls on slices, by outputs, types, sizes and threads.

use std::{hint::black_box, num::NonZeroUsize};

use common::{Data, Types};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logloss::{Batch, Device, Engine, EngineOptions, Objective, Outputs};

mod common;

const SIZES: [usize; 5] = [1 << 10, 1 << 13, 1 << 16, 1 << 20, 1 << 24];
/// A size that fits the cache and one that does not.
const FEW_SIZES: [usize; 2] = [1 << 16, 1 << 24];

#[derive(Clone, Copy)]
enum Work {
    Mean,
    MeanGrad,
    All,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::MeanGrad => "mean+grad",
            Self::All => "mean+loss+grad+hess",
        }
    }

    fn outputs<'a>(self, [loss, gradient, hessian]: &'a mut [Vec<f32>; 3], len: usize) -> Outputs<'a> {
        match self {
            Self::Mean => Outputs::none(),
            Self::MeanGrad => Outputs::none().with_gradient(&mut gradient[..len]),
            Self::All => Outputs::none()
                .with_loss(&mut loss[..len])
                .with_gradient(&mut gradient[..len])
                .with_hessian(&mut hessian[..len]),
        }
    }
}

fn evaluate(engine: &Engine, batch: &Batch<'_>, work: Work, made: &mut [Vec<f32>; 3]) -> logloss::Evaluation {
    engine.evaluate(batch, &Objective::mean(), work.outputs(made, batch.len())).expect("a valid batch")
}

fn cpu(criterion: &mut Criterion) {
    let most = SIZES[SIZES.len() - 1];
    let data = Data::new(most);
    let mut made = [const { Vec::new() }; 3].map(|_: Vec<f32>| vec![0.0; most]);
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    for threads in (0..).map(|i| 1 << i).take_while(|&threads| threads < cores).chain([cores]) {
        let options = EngineOptions::new(Device::Cpu).with_threads(NonZeroUsize::new(threads).expect("not 0"));
        let engine = Engine::new(options).expect("threads");
        let mut group = common::group(criterion, &format!("cpu, threads: {threads}"));
        let f32s = SIZES.map(|len| (Types::F32F32, len));
        let others = Types::ALL[1..].iter().flat_map(|&types| FEW_SIZES.map(|len| (types, len)));
        for (types, len) in f32s.into_iter().chain(others) {
            let batch = data.batch(types, len);
            group.throughput(Throughput::Elements(len as u64));
            for work in [Work::Mean, Work::MeanGrad, Work::All] {
                let evaluation = evaluate(&engine, &batch, work, &mut made);
                let gradient = (!matches!(work, Work::Mean)).then(|| &made[1][..len]);
                common::assert_right(&batch, &evaluation, gradient);
                let id = BenchmarkId::new(format!("{} {}", work.name(), types.name()), common::power(len));
                group.bench_function(id, |bencher| {
                    bencher.iter(|| evaluate(&engine, black_box(&batch), work, &mut made));
                });
            }
        }
    }
}

criterion_group!(benches, cpu);
criterion_main!(benches);
