//! A warm call on the CPU allocates nothing, because a trainer makes millions of small calls.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    num::NonZeroUsize,
};

use logloss::{Batch, Device, Engine, EngineOptions, Objective, Outputs, Targets};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts the allocations of each thread.
struct Counting;

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the contract of the caller is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(body: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    body();
    COUNT.with(Cell::get) - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(vec![0u8; 10])), 1);
}

#[test]
fn none_on_one_thread() {
    let one = EngineOptions::new(Device::Cpu).with_threads(NonZeroUsize::MIN);
    let engine = Engine::new(one).expect("a CPU");
    let objective = Objective::mean();
    for len in [0, 1, 7, 512, 4096, 100_000] {
        let logits: Vec<f32> = (0..len).map(|i| (i as f32).sin()).collect();
        let targets: Vec<f32> = (0..len).map(|i| (i % 2) as f32).collect();
        let bytes: Vec<u8> = (0..len).map(|i| (i % 2) as u8).collect();
        let mut gradient = vec![0.0f32; len];
        for targets in [Targets::F32(&targets), Targets::U8(&bytes)] {
            let batch = Batch::logits(&logits, targets).expect("as many");
            // The first call of a thread allocates memory that later calls reuse.
            let counts = [(); 2].map(|()| {
                allocations(|| {
                    let outputs = Outputs::none().with_gradient(&mut gradient);
                    engine.evaluate(&batch, &objective, outputs).expect("valid values");
                })
            });
            assert_eq!(counts[1], 0, "{len} values");
        }
    }
}

/// Up to this number of values no other thread is woken, which would take one allocation per thread.
#[test]
fn none_for_small_batches_on_all_threads() {
    let engine = Engine::cpu();
    let (logits, targets) = (vec![0.5f32; 4096], vec![1u8; 4096]);
    let batch = Batch::logits(&logits, &targets).expect("as many");
    let evaluate = || allocations(|| drop(engine.evaluate(&batch, &Objective::mean(), Outputs::none())));
    evaluate();
    assert_eq!(evaluate(), 0);
}
