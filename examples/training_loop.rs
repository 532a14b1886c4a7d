//! A training loop with resident data: it uploads the batch once and evaluates it many times.
//!
//! The model is a single bias, the same logit for all elements, whose optimum is the log-odds of the base rate.

#![expect(clippy::print_stdout, reason = "an example prints its results")]

use logloss::{Batch, Device, DeviceOutputs, Engine, EngineOptions, Objective, Result};

const N: usize = 1 << 20;

fn main() -> Result<()> {
    // Any adapter is sufficient, including a software one.
    let engine = Engine::new(EngineOptions::new(Device::Gpu).with_allow_software(true))?;
    let targets: Vec<bool> = (0..N).map(|i| i % 5 == 0).collect();
    let mut logits = vec![0.0f32; N];

    let batch = engine.upload(&Batch::logits(&logits, &targets)?)?;
    let evaluation = engine.prepare(&batch, &Objective::mean(), DeviceOutputs::gradient())?;
    let mut gradient = vec![0.0f32; N];
    let mut bias = 0.0f32;
    for step in 0..20 {
        let result = evaluation.evaluate()?;
        if let (Some(region), Some((_, queue))) = (evaluation.gradient(), engine.wgpu()) {
            // The gradient of the bias is the sum over the batch. A larger model would compute its gradient on the
            // device.
            engine.download(region, &mut gradient)?;
            bias -= 4.0 * gradient.iter().sum::<f32>();
            logits.fill(bias);
            queue.write_buffer(&batch.predictions().buffer, 0, bytemuck::cast_slice(&logits));
        }
        println!("step {step:2}: mean loss {:.6}, bias {bias:.4}", result.mean);
    }
    println!("optimum: bias {:.4}", (0.2f64 / 0.8).ln());
    Ok(())
}
