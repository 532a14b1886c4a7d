//! Tests that run in a browser: the contract on the CPU and on WebGPU, and the main functions of the library. They fail
//! in a browser without an adapter.
#![cfg(test)]

use logloss::{Batch, Device, DeviceOutputs, Engine, EngineOptions, Objective, Outputs};
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

/// A length of more chunks than a ring has slots, and not a multiple of a block.
const LEN: usize = 4_000_001;

fn value(i: usize) -> (f32, u8) {
    ((i % 4099) as f32 / 256.0 - 8.0, u8::from(i % 3 == 0))
}

fn values() -> (Vec<f32>, Vec<u8>) {
    (0..LEN).map(value).unzip()
}

/// The mean loss of [`values`], computed with the formula in f64.
fn mean() -> f64 {
    let loss = |(x, z): (f32, u8)| {
        let away = if z == 1 { -f64::from(x) } else { x.into() };
        away.max(0.0) + (-away.abs()).exp().ln_1p()
    };
    (0..LEN).map(value).map(loss).sum::<f64>() / LEN as f64
}

/// The gradient of the mean for element `i` of [`values`].
fn gradient(i: usize) -> f64 {
    let (x, z) = value(i);
    (1.0 / (1.0 + (-f64::from(x)).exp()) - f64::from(z)) / LEN as f64
}

/// Compares a mean and a gradient with the formulas.
fn check(what: &str, got: f64, gradients: &[f32]) {
    let truth = mean();
    assert!((got - truth).abs() <= 1e-7 * truth, "{what}: mean {got}, not {truth}");
    assert_eq!(gradients.len(), LEN, "{what}");
    for i in [0, 1, 2047, 2048, 123_456, LEN - 1] {
        let truth = gradient(i);
        assert!((f64::from(gradients[i]) - truth).abs() <= 1e-5 * truth.abs(), "{what}: {} at {i}", gradients[i]);
    }
}

async fn gpu() -> Engine {
    let options = EngineOptions::new(Device::Gpu).with_allow_software(true);
    Engine::new_async(options).await.expect("the browser gives an adapter")
}

/// Evaluates [`values`] from host memory, and checks the results.
async fn evaluate(what: &str, engine: &Engine) {
    let (logits, labels) = values();
    let batch = Batch::logits(&logits, &labels).expect("of one length");
    let evaluation = engine.evaluate_async(&batch, &Objective::mean(), Outputs::gradient()).await.expect("valid");
    check(what, evaluation.mean, &evaluation.gradient.expect("asked for"));
}

async fn contract(engine: &Engine) {
    let report = logloss_verify::selftest_async(&engine).await.expect("the device works");
    for row in &report.rows {
        console_log!("{}: {:.3e} of {:.1e} {}", row.name, row.worst, row.ceiling, row.unit);
    }
    assert!(report.passed(), "{:?}", report.rows.iter().find(|row| !row.holds));
}

#[wasm_bindgen_test]
async fn contract_on_the_cpu() {
    let engine = Engine::cpu();
    console_log!("{:?}", engine.device());
    contract(&engine).await;
}

#[wasm_bindgen_test]
async fn contract_on_webgpu() {
    let engine = gpu().await;
    console_log!("{:?}", engine.device());
    contract(&engine).await;
}

#[wasm_bindgen_test]
async fn host_memory() {
    for engine in [Engine::cpu(), gpu().await] {
        evaluate(&engine.device().backend, &engine).await;
    }
}

#[wasm_bindgen_test]
async fn auto() {
    let engine =
        Engine::new_async(EngineOptions::new(Device::Auto).with_allow_software(true)).await.expect("the CPU at least");
    console_log!("{:?}", engine.costs());
    assert_eq!(engine.costs().len(), 2, "both were measured");
    evaluate("auto", &engine).await;
}

#[wasm_bindgen_test]
async fn several_devices() {
    let engine = Engine::multi_with_shares([(Engine::cpu(), 1.0), (gpu().await, 2.0)]).expect("two shares");
    evaluate("both", &engine).await;
}

#[wasm_bindgen_test]
async fn on_the_device() {
    let engine = gpu().await;
    let (logits, labels) = values();
    let batch = Batch::logits(&logits, &labels).expect("of one length");
    let batch = engine.upload_async(&batch).await.expect("it fits");
    let prepared = engine.prepare_async(&batch, &Objective::mean(), DeviceOutputs::gradient()).await.expect("valid");
    for _ in 0..2 {
        let mut gradients = vec![f32::NAN; LEN];
        let evaluation = prepared.evaluate_async().await.expect("valid");
        engine.download_async(prepared.gradient().expect("asked for"), &mut gradients).await.expect("of its length");
        check("resident", evaluation.mean, &gradients);
    }
}

#[wasm_bindgen_test]
async fn parts() {
    let (logits, labels) = values();
    for engine in [Engine::cpu(), gpu().await] {
        let mut gradients = vec![f32::NAN; LEN];
        let mut accumulator = engine.accumulator(&Objective::mean(), Some(LEN as u64));
        for (at, out) in (0..).step_by(1 << 20).zip(gradients.chunks_mut(1 << 20)) {
            let part = at..at + out.len();
            let part = Batch::logits(&logits[part.clone()], &labels[part]).expect("of one length");
            accumulator.push_async(&part, Outputs::none().with_gradient(out)).await.expect("valid");
        }
        check("parts", accumulator.finish().expect("all of it").mean, &gradients);
    }
}
