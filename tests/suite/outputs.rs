//! Outputs: any subset of them, in the caller's memory or in new vectors.

use logloss::{BLOCK, Error, Form, Objective, Outputs};

use crate::common::{Random, all, batch, each, results};

const LEN: usize = 3 * BLOCK + 17;

/// A requested output is written completely; other memory is not changed.
#[test]
fn prefilled_memory() {
    let mut random = Random(21);
    let predictions = random.predictions(Form::Logits, LEN);
    let targets = random.soft(LEN);
    let batch = batch(Form::Logits, &predictions, &targets);
    each(|engine| {
        let wanted = all(engine, &batch, &Objective::mean());
        for subset in 0..8u8 {
            // A NaN that no arithmetic produces.
            let filler = f32::from_bits(0x7fc1_2345);
            let mut memory = [(); 3].map(|()| vec![filler; LEN]);
            let [loss, gradient, hessian] = &mut memory;
            let mut outputs = Outputs::none();
            if subset & 1 != 0 {
                outputs = outputs.with_loss(loss);
            }
            if subset & 2 != 0 {
                outputs = outputs.with_gradient(gradient);
            }
            if subset & 4 != 0 {
                outputs = outputs.with_hessian(hessian);
            }
            let evaluation = engine.evaluate(&batch, &Objective::mean(), outputs).expect("valid");
            assert!(evaluation.loss.is_none() && evaluation.gradient.is_none() && evaluation.hessian.is_none());
            assert_eq!(evaluation.partials, wanted.partials);
            for (output, (got, wanted)) in memory.iter().zip(results(&wanted)).enumerate() {
                let asked = subset >> output & 1 == 1;
                for (i, (got, wanted)) in got.iter().zip(wanted).enumerate() {
                    let wanted = if asked { wanted.to_bits() } else { filler.to_bits() };
                    assert_eq!(got.to_bits(), wanted, "subset {subset}, output {output}, element {i}");
                }
            }
        }
    });
}

#[test]
fn memory_of_another_length() {
    let batch = batch(Form::Logits, &[0.5f32; 8], &[1u8; 8]);
    each(|engine| {
        for len in [0, 7, 9] {
            let mut memory = vec![0.0f32; len];
            for (which, name) in ["loss", "gradient", "hessian"].into_iter().enumerate() {
                let outputs = match which {
                    0 => Outputs::none().with_loss(&mut memory),
                    1 => Outputs::none().with_gradient(&mut memory),
                    _ => Outputs::none().with_hessian(&mut memory),
                };
                let error = engine.evaluate(&batch, &Objective::mean(), outputs).expect_err("another length");
                assert!(matches!(error, Error::Length { actual, expected: 8, .. } if actual == len as u64));
                assert_eq!(error.to_string(), format!("{name} has {len} values, predictions has 8"));
            }
        }
        // The same holds for the parts of an accumulator, and the engine can be used after the error.
        let mut accumulator = engine.accumulator(&Objective::sum(), None);
        let mut memory = vec![0.0f32; 9];
        assert!(matches!(accumulator.push(&batch, Outputs::none().with_loss(&mut memory)), Err(Error::Length { .. })));
        assert_eq!(engine.evaluate(&batch, &Objective::mean(), Outputs::none()).expect("valid").count, 8);
    });
}

#[test]
fn targets_of_another_length() {
    use logloss::{Batch, Targets};
    let predictions = [0.5f32; 9];
    for (targets, len) in [(Targets::U8(&[1; 8]), 8), (Targets::F32(&[1.0; 10]), 10), (Targets::Bool(&[]), 0)] {
        let error = Batch::logits(&predictions, targets).expect_err("another length");
        assert_eq!(error.to_string(), format!("targets has {len} values, predictions has 9"));
    }
    for bytes in [&[1][..], &[1, 1, 1]] {
        let error = Batch::logits(&predictions, Targets::Bits(bytes)).expect_err("another length").to_string();
        let given = bytes.len();
        assert_eq!(error, format!("targets is packed, one bit a value: 2 bytes expected, {given} given"));
    }
    assert_eq!(Batch::logits(&predictions, Targets::Bits(&[1, 1])).expect("two bytes").len(), 9);
    let batch = batch(Form::Logits, &predictions, &[1u8; 9]);
    for classes in [0, 2, 10] {
        assert!(matches!(batch.with_classes(classes), Err(Error::Shape { .. })), "{classes}");
    }
    assert_eq!(batch.with_classes(3).expect("divides").classes(), 3);
}

/// The report of a run has the device, and the number of bytes that any device has to move.
#[test]
fn report_of_the_run() {
    let predictions = vec![0.5f32; LEN];
    let labels = vec![1u8; LEN];
    each(|engine| {
        let batch = batch(Form::Logits, &predictions, &labels);
        let run = engine.evaluate(&batch, &Objective::mean(), Outputs::gradient()).expect("valid").run;
        assert_eq!(*run.device, engine.device());
        assert_eq!(run.bytes, (LEN * (4 + 1 + 4)) as u64);
        assert!(run.chunks >= 1);
        assert!(!run.phases.elapsed.is_zero() && !run.phases.kernel.is_zero());
        assert!(run.phases.prepare <= run.phases.elapsed);
        assert!(run.phases.upload <= run.phases.elapsed && run.phases.readback <= run.phases.elapsed);
    });
}
