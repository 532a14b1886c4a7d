//! Evaluates a small batch: the mean loss, and its gradient for a training step.

#![expect(clippy::print_stdout, reason = "an example prints its results")]

use logloss::{Batch, Engine, Objective, Outputs, Result};

fn main() -> Result<()> {
    let logits = [2.0f32, -1.0, 0.5, -30.0];
    let targets = [1u8, 0, 1, 0];

    let engine = Engine::auto();
    let batch = Batch::logits(&logits, &targets)?;
    let evaluation = engine.evaluate(&batch, &Objective::mean(), Outputs::gradient())?;

    println!("mean loss {:.6} nats on {}", evaluation.mean, evaluation.run.device.name);
    println!("gradient  {:?}", evaluation.gradient.unwrap_or_default());
    Ok(())
}
