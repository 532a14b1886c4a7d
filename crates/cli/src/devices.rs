//! `logloss devices`.

use std::{fmt::Write, process::ExitCode};

use anyhow::Result;
use indicatif::{BinaryBytes, HumanCount};
use logloss::{Adapter, Cost, Costs, Device, Devices, Engine, EngineOptions};
use serde_json::{Value, json};

use crate::{args::DevicesArgs, terminal};

/// The costs that were measured.
struct Measured {
    cpu: Costs,
    /// Of each adapter, or why not.
    adapters: Vec<logloss::Result<Costs>>,
}

/// Runs the command.
pub(crate) fn run(args: &DevicesArgs) -> Result<ExitCode> {
    let devices = logloss::devices();
    let measured = args.measure.then(|| measure(&devices)).transpose()?;
    let measured = measured.as_ref();
    terminal::print(&if args.json { as_json(&devices, measured)? } else { plain(&devices, measured) })?;
    Ok(ExitCode::SUCCESS)
}

fn measure(devices: &Devices) -> Result<Measured> {
    let of = |adapter: &Adapter| Engine::new(EngineOptions::new(Device::Index(adapter.index)))?.measure();
    Ok(Measured { cpu: Engine::cpu().measure()?, adapters: devices.adapters.iter().map(of).collect() })
}

/// The mean and the gradient, of one device or two.
fn both<T>(costs: &Costs, other: &Costs, of: impl Fn(&Cost, &Cost) -> T) -> [(&'static str, T); 2] {
    [("mean", of(&costs.mean, &other.mean)), ("gradient", of(&costs.gradient, &other.gradient))]
}

fn plain(devices: &Devices, measured: Option<&Measured>) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "cpu    {}\n       {}", devices.cpu.name, devices.cpu.driver);
    if let Some(measured) = measured {
        for (what, line) in both(&measured.cpu, &measured.cpu, |cost, _| spent(cost)) {
            let _ = writeln!(text, "       {what} of host data: {line}");
        }
    }
    for adapter in &devices.adapters {
        let Adapter { index, info, max_binding_bytes, max_buffer_bytes, max_workgroups, .. } = adapter;
        let _ = writeln!(text, "{index:<6} {}\n       {}: {}, {}", info.name, info.backend, info.kind, info.driver);
        let (binding, buffer) = (BinaryBytes(*max_binding_bytes), BinaryBytes(*max_buffer_bytes));
        let groups = HumanCount((*max_workgroups).into());
        let _ = writeln!(text, "       binds {binding} at once, buffers to {buffer}, {groups} workgroups a dimension");
        let features: Vec<_> = features(adapter).iter().map(|(name, has)| format!("{}{name}", no(*has))).collect();
        let _ = writeln!(text, "       {}", features.join(", "));
        match measured.map(|measured| (&measured.cpu, &measured.adapters[*index])) {
            None => {}
            Some((_, Err(error))) => {
                let _ = writeln!(text, "       not measured: {error}");
            }
            Some((cpu, Ok(costs))) => {
                for (what, line) in both(costs, cpu, |cost, cpu| format!("{}; {}", spent(cost), against(cost, cpu))) {
                    let _ = writeln!(text, "       {what} of host data: {line}");
                }
            }
        }
    }
    let _ = writeln!(text, "auto   {}: {}", devices.auto.info.name, devices.auto.why);
    text
}

/// A cost as text.
fn spent(cost: &Cost) -> String {
    format!("{:.1} µs and {:.3} ns a value", cost.fixed * 1e6, cost.per_value * 1e9)
}

/// The number of values from which on an adapter is faster than the CPU, as text.
fn against(cost: &Cost, cpu: &Cost) -> String {
    match cost.crossover(cpu) {
        Some(from) => format!("faster than the CPU from {} on", HumanCount(from)),
        None => "never faster than the CPU".to_owned(),
    }
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

fn as_json(devices: &Devices, measured: Option<&Measured>) -> Result<String> {
    let mut cpu = serde_json::to_value(&devices.cpu)?;
    let mut adapters: Vec<Value> = devices.adapters.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    if let Some(measured) = measured {
        let alone = |cost: &Cost, _: &Cost| json!({ "fixed_s": cost.fixed, "per_value_s": cost.per_value });
        cpu["host_data"] = both(&measured.cpu, &measured.cpu, alone).into_iter().collect();
        for (adapter, costs) in adapters.iter_mut().zip(&measured.adapters) {
            let beside = |cost: &Cost, cpu: &Cost| {
                let from = cost.crossover(cpu);
                json!({ "fixed_s": cost.fixed, "per_value_s": cost.per_value, "faster_than_cpu_from": from })
            };
            adapter["host_data"] = match costs {
                Ok(costs) => both(costs, &measured.cpu, beside).into_iter().collect(),
                Err(error) => json!({ "error": error.to_string() }),
            };
        }
    }
    let auto = json!({ "device": devices.auto.info, "why": devices.auto.why });
    let all = json!({ "cpu": cpu, "adapters": adapters, "auto": auto });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}
