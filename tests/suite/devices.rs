//! Which device is taken, and what is said when there is none.

use logloss::{Device, DeviceKind, Engine, EngineOptions, Error};

use crate::common::{adapters, engines, gpu_engines, open};

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
        // Unless an adapter has it in its name.
        let kind = open(EngineOptions::new(Device::Name(name.into()))).device().kind;
        assert!(matches!(kind, DeviceKind::Cpu | DeviceKind::Software), "{kind}");
    }
}

#[test]
fn no_such_device() {
    for device in [Device::Index(1000), Device::Name("no such adapter".into())] {
        let error = Engine::new_blocking(EngineOptions::new(device)).expect_err("there is none");
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
        let engine = open(EngineOptions::new(Device::Gpu).allow_software());
        assert_ne!(engine.device().kind, DeviceKind::Cpu);
    }
    assert_eq!(engines()[0].device().kind, DeviceKind::Cpu);
    assert_eq!(engines()[0].device().backend, "cpu");
}
