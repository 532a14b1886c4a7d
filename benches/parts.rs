//! Benchmarks of the code around the kernels: accumulators, exact sums, and merging.

use std::hint::black_box;

use common::{Data, Types};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logloss::{BLOCK, Batch, Engine, ExactSum, Objective, Outputs, Partials};

mod common;

/// The same batch in parts of several sizes, which shows the cost of the division.
fn accumulator(criterion: &mut Criterion) {
    const LEN: usize = 1 << 20;
    let engine = Engine::cpu();
    let data = Data::new(LEN);
    let whole = data.batch(Types::F32F32, LEN);
    let mut group = common::group(criterion, "accumulator of 2^20");
    group.throughput(Throughput::Elements(LEN as u64));
    for part_len in [BLOCK, 8 * BLOCK, 64 * BLOCK, LEN] {
        let part = data.batch(Types::F32F32, part_len);
        // The data is periodic, so that all parts are the same.
        let parts: Vec<Batch<'_>> = vec![part; LEN / part_len];
        let run = || {
            let mut accumulator = engine.accumulator(&Objective::mean(), Some(LEN as u64));
            for part in black_box(&parts) {
                accumulator.push(part, Outputs::none()).expect("whole blocks");
            }
            accumulator.finish().expect("all of it")
        };
        if part_len >= 2 * BLOCK {
            common::assert_right(&whole, &run(), None);
        }
        group.bench_function(BenchmarkId::new("parts of", part_len), |bencher| bencher.iter(run));
    }
}

fn exact_sum(criterion: &mut Criterion) {
    let mut group = common::group(criterion, "exact sum");
    // Values like the sums of blocks: of one magnitude, with all digits of f64.
    let values: Vec<f64> = (0..8192u32).map(|i| 2856.0 + f64::from(i) / 7.0).collect();
    let want: f64 = values.iter().sum();
    assert!((ExactSum::of(values.iter().copied()).value() / want - 1.0).abs() < 1e-12);
    group.throughput(Throughput::Elements(values.len() as u64));
    group.bench_function("of 8192", |bencher| bencher.iter(|| ExactSum::of(black_box(&values).iter().copied())));
    group.finish();

    let parts: Vec<Partials> = values
        .chunks(64)
        .map(|part| {
            let mut partials = Partials::default();
            (partials.sum, partials.count) = (ExactSum::of(part.iter().copied()), 64 * BLOCK as u64);
            partials
        })
        .collect();
    let merge = || {
        let mut whole = Partials::default();
        black_box(&parts).iter().for_each(|part| whole.merge(part).expect("without a place"));
        whole
    };
    assert_eq!(merge().sum, ExactSum::of(values.iter().copied()));
    let mut group = common::group(criterion, "partials");
    group.throughput(Throughput::Elements(parts.len() as u64));
    group.bench_function("merge of 128", |bencher| bencher.iter(merge));
}

criterion_group!(benches, accumulator, exact_sum);
criterion_main!(benches);
