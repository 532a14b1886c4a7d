//! A made-up report, for tests.

use crate::{FirstCall, Limit, Machine, MeasuredDevice, Program, Report, Row, SCHEMA};

/// A CPU if the name begins with `cpu`, else an adapter.
pub(crate) fn device(name: &str) -> MeasuredDevice {
    let cpu = name.starts_with("cpu");
    MeasuredDevice {
        device: name.to_owned(),
        backend: if cpu { "cpu" } else { "vulkan" }.to_owned(),
        kind: "a <kind> & more".to_owned(),
        driver: "driver 1.2".to_owned(),
        index: if cpu { None } else { Some(0) },
        threads: cpu.then_some(2),
        timestamps: !cpu,
        first_call: Some(FirstCall { open_s: 0.1, first_s: 0.02, warm_s: 0.001 }),
        limits: vec![Limit { what: "read".to_owned(), gb_per_s: 40.0 }],
    }
}

/// A row of `2^log2` values.
pub(crate) fn row(device: &str, work: &str, log2: u32, resident: bool) -> Row {
    let ns = 0.3 + 1000.0 / f64::from(1u32 << log2);
    Row {
        device: device.to_owned(),
        work: work.to_owned(),
        n: 1 << log2,
        predictions: "f32".to_owned(),
        targets: "f32".to_owned(),
        resident,
        threads: device.starts_with("cpu").then_some(2),
        ns_per_elem: ns,
        gb_per_s: 12.0 / ns,
        limit_gb_per_s: 50.0,
        percent_of_limit: 24.0 / ns,
        limit: "copying as many bytes".to_owned(),
        bytes_per_elem: 12.0,
        clock: "wall".to_owned(),
        call_ns_per_elem: ns,
        kernel_ns_per_elem: (!device.starts_with("cpu")).then_some(ns * 0.7),
        upload_ns_per_elem: ns * 0.2,
        readback_ns_per_elem: ns * 0.1,
        q1_ns_per_elem: ns * 0.98,
        q3_ns_per_elem: ns * 1.03,
        mad_ns_per_elem: ns * 0.01,
        min_ns_per_elem: ns * 0.9,
        repeats: 9,
        sets: 3,
        working_set_bytes: 36 << log2,
        sum_error: 1e-9,
    }
}

/// A report of a CPU and an adapter whose name needs escaping.
pub(crate) fn report() -> Report {
    let devices = ["cpu", "A \"GPU\" <1> & co"];
    let mut results = Vec::new();
    for name in devices {
        for work in ["mean", "mean+grad"] {
            for log2 in [8, 16, 20, 24] {
                for resident in [false, true] {
                    if !(resident && name == "cpu") {
                        results.push(row(name, work, log2, resident));
                    }
                }
            }
        }
    }
    Report {
        schema: SCHEMA.to_owned(),
        program: Program {
            version: "0.1.0".to_owned(),
            commit: Some("abc".to_owned()),
            build: "release".to_owned(),
            target: "x86_64-linux".to_owned(),
        },
        date: "2026-01-01T00:00:00Z".to_owned(),
        quick: false,
        seconds: 1.5,
        machine: Machine {
            cpu: "A CPU".to_owned(),
            cores: 2,
            features: vec!["avx2".to_owned()],
            simd: "AVX2".to_owned(),
            cache_bytes: Some(32 << 20),
            memory_bytes: 8 << 30,
            memory_free_bytes: 4 << 30,
            pages: "ordinary".to_owned(),
            os: "an OS".to_owned(),
        },
        devices: devices.map(device).to_vec(),
        method: vec!["how & why".to_owned()],
        notes: vec!["what was <left> out".to_owned()],
        failures: Vec::new(),
        results,
        comparison: None,
    }
}
