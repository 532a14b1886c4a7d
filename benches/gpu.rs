//! Benchmarks of the best adapter, or of a software adapter if there is no other: batches in host memory and resident
//! batches.
#![expect(clippy::print_stderr, reason = "names the adapter, or says that there is none")]

use std::{hint::black_box, time::Duration};

use common::{Data, Types};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logloss::{Device, DeviceOutputs, Engine, EngineOptions, Objective, Outputs};

mod common;

const SIZES: [usize; 4] = [1 << 12, 1 << 16, 1 << 20, 1 << 24];

fn gpu(criterion: &mut Criterion) {
    let engine = match Engine::new(EngineOptions::new(Device::Gpu).with_allow_software(true)) {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let info = engine.device();
    eprintln!("on {} ({}, {}; {})", info.name, info.backend, info.kind, info.driver);
    let data = Data::new(SIZES[SIZES.len() - 1]);
    host(criterion, &engine, &data);
    resident(criterion, &engine, &data);
}

fn host(criterion: &mut Criterion, engine: &Engine, data: &Data) {
    let mut group = common::group(criterion, "gpu, from host memory");
    let mut gradient = vec![0.0; SIZES[SIZES.len() - 1]];
    for (types, len) in [Types::F32F32, Types::F16U8].into_iter().flat_map(|types| SIZES.map(|len| (types, len))) {
        let batch = data.batch(types, len);
        group.throughput(Throughput::Elements(len as u64));
        for work in ["mean", "mean+grad"] {
            let wants = work == "mean+grad";
            let evaluate = |gradient: &mut [f32]| {
                let outputs = if wants { Outputs::none().with_gradient(gradient) } else { Outputs::none() };
                engine.evaluate(black_box(&batch), &Objective::mean(), outputs).expect("a valid batch")
            };
            let evaluation = evaluate(&mut gradient[..len]);
            common::assert_right(&batch, &evaluation, wants.then_some(&gradient[..len]));
            let id = BenchmarkId::new(format!("{work} {}", types.name()), common::power(len));
            group.bench_function(id, |bencher| bencher.iter(|| evaluate(&mut gradient[..len])));
        }
    }
}

fn resident(criterion: &mut Criterion, engine: &Engine, data: &Data) {
    let mut group = common::group(criterion, "gpu, on the device");
    for (types, len) in [Types::F32F32, Types::F32U8].into_iter().flat_map(|types| SIZES.map(|len| (types, len))) {
        let batch = data.batch(types, len);
        let uploaded = engine.upload(&batch).expect("it fits");
        group.throughput(Throughput::Elements(len as u64));
        for (work, outputs) in [("mean", DeviceOutputs::none()), ("mean+grad", DeviceOutputs::gradient())] {
            let prepared = engine.prepare(&uploaded, &Objective::mean(), outputs).expect("its own buffers");
            let evaluate = || prepared.evaluate().expect("a valid batch");
            let evaluation = evaluate();
            let gradient = prepared.gradient().map(|region| {
                let mut values = vec![0.0; len];
                engine.download(region, &mut values).expect("its own buffer");
                values
            });
            common::assert_right(&batch, &evaluation, gradient.as_deref());
            let id = |what| BenchmarkId::new(format!("{work} {}{what}", types.name()), common::power(len));
            group.bench_function(id(""), |bencher| bencher.iter(evaluate));
            if evaluation.run.phases.timestamps {
                group.bench_function(id(", kernel"), |bencher| {
                    bencher.iter_custom(|count| (0..count).map(|_| evaluate().run.phases.kernel).sum::<Duration>());
                });
            }
        }
    }
}

criterion_group!(benches, gpu);
criterion_main!(benches);
