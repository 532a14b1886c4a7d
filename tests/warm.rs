//! A warm call on an adapter creates nothing on the device: no buffer, no bind group, no pipeline.
//!
//! The calls of wgpu are read from its log. A write to a buffer through the queue counts as well, because it takes a
//! staging buffer.

use std::sync::{Mutex, PoisonError};

use logloss::{Batch, Device, DeviceOutputs, EngineOptions, Objective, Outputs, Reduction};

#[path = "suite/common.rs"]
#[expect(dead_code, reason = "used by other tests")]
mod common;

static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Calls;

impl log::Log for Calls {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("wgpu_core")
    }

    fn log(&self, record: &log::Record<'_>) {
        let call = record.args().to_string();
        let makes = call.starts_with("Device::create_") && !call.starts_with("Device::create_command_encoder");
        if self.enabled(record.metadata()) && (makes || call.starts_with("Queue::write_")) {
            CALLS.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        }
    }

    fn flush(&self) {}
}

/// The calls of `body` that create something on a device.
fn created(body: impl FnOnce()) -> Vec<String> {
    let calls = || std::mem::take(&mut *CALLS.lock().unwrap_or_else(PoisonError::into_inner));
    calls();
    body();
    calls()
}

/// This is a single test, because the process has only one log.
#[test]
fn a_warm_call_creates_nothing() {
    log::set_logger(&Calls).expect("no other");
    log::set_max_level(log::LevelFilter::Trace);
    // More chunks than slots, with a last chunk that fills a slot only partly.
    let len = (4 << 20) + 4099;
    let logits: Vec<f32> = (0..len).map(|i| (i as f32).sin()).collect();
    let targets: Vec<f32> = (0..len).map(|i| (i % 2) as f32).collect();
    let weights: Vec<f32> = (0..len).map(|i| (i % 5) as f32).collect();
    let mut gradient = vec![0.0f32; len];
    for index in common::adapters() {
        let engine = common::open(EngineOptions::new(Device::Index(*index)));
        let plain = Batch::logits(&logits, &targets).expect("as many");
        let weighted = plain.with_weights(&weights).expect("as many");
        let short = Batch::logits(&logits[..100_000], &targets[..100_000]).expect("as many");
        let short_weighted = short.with_weights(&weights[..100_000]).expect("as many");
        let mean = Objective::mean();
        let weighted_mean = Objective::mean().with_reduction(Reduction::WeightedMean);
        for (batch, short, objective) in [(plain, short, mean), (weighted, short_weighted, weighted_mean)] {
            let mut evaluate = |batch: &Batch<'_>| {
                created(|| {
                    let outputs = Outputs::none().with_gradient(&mut gradient[..batch.len()]);
                    engine.evaluate(batch, &objective, outputs).expect("valid values");
                })
            };
            let cold = evaluate(&batch);
            assert!(cold.iter().any(|call| call.contains("create_bind_group ")), "{cold:?}");
            assert_eq!(evaluate(&batch), [""; 0]);
            // A shorter batch uses the same buffers.
            assert_eq!(evaluate(&short), [""; 0]);

            let uploaded = engine.upload(&batch).expect("it fits");
            let mut prepared = None;
            let cold = created(|| {
                prepared = Some(engine.prepare(&uploaded, &objective, DeviceOutputs::gradient()).expect("it fits"));
            });
            assert!(cold.iter().any(|call| call.contains("create_bind_group ")), "{cold:?}");
            let prepared = prepared.expect("made above");
            // The first evaluation submits the writes of `prepare`.
            prepared.evaluate().expect("valid values");
            assert_eq!(created(|| drop(prepared.evaluate().expect("valid values"))), [""; 0]);
        }
    }
}
