//! Benchmarks of the fixed cost of a call: batches of 1 to 4,096 elements, in time and in allocations.
#![expect(clippy::print_stderr, reason = "prints the number of allocations beside Criterion's figures")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use common::{Data, Types};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use logloss::{Device, Engine, EngineOptions, Objective, Outputs};

mod common;

const SIZES: [usize; 7] = [1, 16, 64, 512, 1000, 2048, 4096];

/// The system's allocator, which counts allocations.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the contract of the caller is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn overhead(criterion: &mut Criterion) {
    let data = Data::new(SIZES[SIZES.len() - 1]);
    let mut gradient = vec![0.0; SIZES[SIZES.len() - 1]];
    let one = EngineOptions::new(Device::Cpu).with_threads(NonZeroUsize::MIN);
    let engines = [("one thread", Engine::new(one).expect("no thread is started")), ("pool", Engine::cpu())];
    for (name, engine) in &engines {
        let mut group = common::group(criterion, &format!("overhead, {name}"));
        for (work, len) in ["mean", "mean+grad"].into_iter().flat_map(|work| SIZES.map(|len| (work, len))) {
            let batch = data.batch(Types::F32F32, len);
            let mut evaluate = || {
                let mut outputs = Outputs::none();
                if work == "mean+grad" {
                    outputs = outputs.with_gradient(&mut gradient[..len]);
                }
                engine.evaluate(black_box(&batch), &Objective::mean(), outputs).expect("a valid batch")
            };
            let evaluation = evaluate();
            let before = ALLOCATIONS.load(Relaxed);
            black_box(evaluate());
            let allocations = ALLOCATIONS.load(Relaxed) - before;
            eprintln!("{name}, {work} of {len}: {allocations} allocations a call");
            common::assert_right(&batch, &evaluation, None);
            group.bench_function(BenchmarkId::new(work, len), |bencher| bencher.iter(&mut evaluate));
        }
    }
}

criterion_group!(benches, overhead);
criterion_main!(benches);
