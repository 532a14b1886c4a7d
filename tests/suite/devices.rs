//! The choice of the device, and the errors if there is none.

use logloss::{Device, DeviceKind, Engine, EngineOptions, Error, Form, Objective, Outputs};

use crate::common::{Random, adapters, all, assert_same, batch, engines, gpu_engines, open};

#[test]
fn automatic_never_fails() {
    let choice = logloss::devices().auto;
    let engine = Engine::auto();
    assert_eq!(engine.device(), choice.info);
    assert_ne!(engine.device().kind, DeviceKind::Software);
    assert!(!choice.why.is_empty());
}

#[test]
fn by_index_and_by_name() {
    for (&index, engine) in adapters().iter().zip(gpu_engines()) {
        let info = engine.device();
        assert_eq!(info, logloss::devices().adapters[index].info);
        let part: String = info.name.chars().take(8).collect::<String>().to_uppercase();
        let named = open(EngineOptions::new(Device::Name(part.clone()))).device().name;
        assert!(named.to_uppercase().contains(&part), "{named} for {part}");
    }
    for name in ["cpu", "CPU"] {
        // An adapter may have this string in its name.
        let kind = open(EngineOptions::new(Device::Name(name.into()))).device().kind;
        assert!(matches!(kind, DeviceKind::Cpu | DeviceKind::Software), "{kind}");
    }
}

#[test]
fn no_such_device() {
    for device in [Device::Index(1000), Device::Name("no such adapter".into())] {
        let error = Engine::new(EngineOptions::new(device)).expect_err("there is none");
        assert!(matches!(error, Error::NoSuchDevice { .. }) && error.to_string().contains("cpu"), "{error}");
    }
}

#[test]
fn a_gpu_is_no_software() {
    let hardware = gpu_engines().iter().any(|engine| engine.device().kind != DeviceKind::Software);
    match Engine::gpu() {
        Ok(engine) => assert!(hardware && engine.device().kind != DeviceKind::Software),
        Err(error) => assert!(!hardware && matches!(error, Error::NoGpu { .. }), "{error}"),
    }
    if !adapters().is_empty() {
        let engine = open(EngineOptions::new(Device::Gpu).with_allow_software(true));
        assert_ne!(engine.device().kind, DeviceKind::Cpu);
    }
    assert_eq!(engines()[0].device().kind, DeviceKind::Cpu);
    assert_eq!(engines()[0].device().backend, "cpu");
}

/// If there is a choice, the costs decide, and the results are those of the chosen device.
#[test]
fn automatic_takes_the_cheaper() {
    if adapters().is_empty() {
        return;
    }
    let mut engine = open(EngineOptions::new(Device::Auto).with_allow_software(true));
    assert_ne!(engine.device().kind, DeviceKind::Cpu);
    let mut random = Random(221);
    for round in 0..2 {
        let costs = engine.costs();
        assert_eq!(costs.len(), 2);
        for len in [1, 5000, 300_000] {
            let cheaper = |outputs: bool| {
                let seconds = |i: usize| {
                    let (_, costs) = &costs[i];
                    if outputs { costs.gradient.of(len) } else { costs.mean.of(len) }
                };
                costs[usize::from(seconds(0) >= seconds(1))].0.clone()
            };
            let (x, z) = (random.predictions(Form::Logits, len as usize), random.labels(len as usize));
            let batch = batch(Form::Logits, &x, &z);
            let got = all(&engine, &batch, &Objective::mean());
            assert_eq!(*got.run.device, cheaper(true));
            let alone = engines().iter().find(|one| one.device() == cheaper(true)).expect("one of them");
            assert_same(&got, &all(alone, &batch, &Objective::mean()), "chosen");
            let mean = engine.evaluate(&batch, &Objective::mean(), Outputs::none()).expect("valid");
            assert_eq!(*mean.run.device, cheaper(false));
            let mut accumulator = engine.accumulator(&Objective::mean(), Some(len));
            accumulator.push(&batch, Outputs::none()).expect("valid");
            assert_eq!(*accumulator.finish().expect("all of it").run.device, cheaper(true));
        }
        if round == 0 {
            engine.calibrate().expect("both work");
        }
    }
    // Resident batches are on the GPU.
    let (x, z) = (random.predictions(Form::Logits, 100), random.labels(100));
    assert!(engine.wgpu().is_some() && engine.upload(&batch(Form::Logits, &x, &z)).is_ok());
}

#[test]
fn a_single_device_is_not_measured() {
    for engine in engines() {
        assert!(engine.costs().is_empty());
    }
    let fixed = Engine::multi_with_shares([(Engine::cpu(), 1.0), (Engine::cpu(), 2.0)]).expect("shares");
    assert!(fixed.costs().is_empty());
    let measured = Engine::multi([Engine::cpu(), Engine::cpu()]).expect("it works").costs();
    assert!(measured.len() == 2 && measured[0].0 == engines()[0].device());
    assert!(measured.iter().all(|(_, costs)| costs.mean.of(1 << 20) > 0.0 && costs.gradient.of(1 << 20) > 0.0));
}
