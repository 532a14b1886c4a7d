//! `logloss devices`.

use std::{fmt::Write, process::ExitCode};

use anyhow::Result;
use indicatif::{BinaryBytes, HumanCount};
use logloss::{Adapter, DeviceInfo, Devices};
use serde_json::{Value, json};

use crate::{args::DevicesArgs, terminal};

/// Runs the command.
pub fn run(args: &DevicesArgs) -> Result<ExitCode> {
    let devices = logloss::devices();
    terminal::print(&if args.json { as_json(&devices)? } else { plain(&devices) })?;
    Ok(ExitCode::SUCCESS)
}

fn plain(devices: &Devices) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "cpu    {}\n       {}", devices.cpu.name, devices.cpu.driver);
    for adapter in &devices.adapters {
        let Adapter { index, info, max_binding_bytes, max_buffer_bytes, max_workgroups, .. } = adapter;
        let _ = writeln!(text, "{index:<6} {}\n       {}: {}, {}", info.name, info.backend, info.kind, info.driver);
        let (binding, buffer) = (BinaryBytes(*max_binding_bytes), BinaryBytes(*max_buffer_bytes));
        let groups = HumanCount((*max_workgroups).into());
        let _ = writeln!(text, "       binds {binding} at once, buffers to {buffer}, {groups} workgroups a dimension");
        let features: Vec<_> = features(adapter).iter().map(|(name, has)| format!("{}{name}", no(*has))).collect();
        let _ = writeln!(text, "       {}", features.join(", "));
    }
    let _ = writeln!(text, "auto   {}: {}", devices.auto.info.name, devices.auto.why);
    text
}

fn features(adapter: &Adapter) -> [(&'static str, bool); 4] {
    [
        ("timestamps", adapter.timestamps),
        ("subgroups", adapter.subgroups),
        ("f16 in shaders", adapter.shader_f16),
        ("mappable buffers", adapter.mappable_primary_buffers),
    ]
}

fn no(has: bool) -> &'static str {
    if has { "" } else { "no " }
}

fn as_json(devices: &Devices) -> Result<String> {
    let adapters: Vec<Value> = devices.adapters.iter().map(adapter).collect();
    let auto = json!({ "device": info(&devices.auto.info), "why": devices.auto.why });
    let all = json!({ "cpu": info(&devices.cpu), "adapters": adapters, "auto": auto });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

/// A device as JSON.
pub fn info(info: &DeviceInfo) -> Value {
    json!({ "device": info.name, "backend": info.backend, "kind": info.kind.to_string(), "driver": info.driver })
}

fn adapter(adapter: &Adapter) -> Value {
    json!({
        "index": adapter.index,
        "device": adapter.info.name,
        "backend": adapter.info.backend,
        "kind": adapter.info.kind.to_string(),
        "driver": adapter.info.driver,
        "max_binding_bytes": adapter.max_binding_bytes,
        "max_buffer_bytes": adapter.max_buffer_bytes,
        "max_workgroups": adapter.max_workgroups,
        "timestamps": adapter.timestamps,
        "subgroups": adapter.subgroups,
        "shader_f16": adapter.shader_f16,
        "mappable_primary_buffers": adapter.mappable_primary_buffers,
    })
}
