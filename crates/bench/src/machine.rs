//! What the report says of the machine and of the program.

use std::{collections::BTreeMap, fs};

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::{Machine, Program, cpu::cores};

/// Describes the machine. `simd` is the instruction set in use.
pub(crate) fn machine(simd: &str, huge_pages: bool) -> Machine {
    let what =
        RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()).with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what);
    let brand = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()).filter(|brand| !brand.is_empty());
    let (memory_bytes, memory_free_bytes) = match system.cgroup_limits() {
        Some(limits) => (limits.total_memory, limits.free_memory.min(system.available_memory())),
        None => (system.total_memory(), system.available_memory()),
    };
    Machine {
        cpu: brand.unwrap_or_else(|| "unknown".to_owned()),
        cores: cores(),
        features: features(),
        simd: simd.to_owned(),
        cache_bytes: cache_bytes(),
        memory_bytes,
        memory_free_bytes,
        pages: pages(huge_pages),
        os: System::long_os_version().unwrap_or_else(|| std::env::consts::OS.to_owned()),
    }
}

/// The instruction sets of the processor, of those that matter for the speed of evaluations.
fn features() -> Vec<String> {
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        expect(unused_mut, reason = "nothing to look for")
    )]
    let mut found: Vec<&str> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    macro_rules! look {
        ($($name:tt)*) => { $( if std::is_x86_feature_detected!($name) { found.push($name); } )* };
    }
    #[cfg(target_arch = "x86_64")]
    look!("sse4.2" "avx" "avx2" "fma" "f16c");
    #[cfg(target_arch = "x86_64")]
    look!("avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vbmi" "avx512bf16" "avx512fp16");
    #[cfg(target_arch = "aarch64")]
    macro_rules! look {
        ($($name:tt)*) => { $( if std::arch::is_aarch64_feature_detected!($name) { found.push($name); } )* };
    }
    #[cfg(target_arch = "aarch64")]
    look!("neon" "fp16" "bf16" "sve" "sve2");
    found.into_iter().map(str::to_owned).collect()
}

/// The size in bytes of all caches of the last level together. Only Linux tells it.
fn cache_bytes() -> Option<u64> {
    let mut levels: BTreeMap<u32, BTreeMap<String, u64>> = BTreeMap::new();
    for cpu in fs::read_dir("/sys/devices/system/cpu").ok()?.flatten() {
        let Ok(caches) = fs::read_dir(cpu.path().join("cache")) else { continue };
        for cache in caches.flatten() {
            let read = |name: &str| fs::read_to_string(cache.path().join(name)).ok().map(|s| s.trim().to_owned());
            let (Some(level), Some(size), Some(shared)) = (read("level"), read("size"), read("shared_cpu_list")) else {
                continue;
            };
            if let (Ok(level), Some(size)) = (level.parse(), bytes_of(&size)) {
                levels.entry(level).or_default().insert(shared, size);
            }
        }
    }
    levels.pop_last().map(|(_, caches)| caches.values().sum())
}

/// Reads a size such as `32768K` or `8M`, in bytes.
fn bytes_of(size: &str) -> Option<u64> {
    match size.strip_suffix('K') {
        Some(kibibytes) => kibibytes.parse::<u64>().ok().map(|k| k << 10),
        None => size.strip_suffix('M')?.parse::<u64>().ok().map(|m| m << 20),
    }
}

/// The kind of memory pages under the arrays.
fn pages(huge: bool) -> String {
    if huge {
        return "huge pages asked for".to_owned();
    }
    let mode = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok();
    let mode = mode.as_deref().and_then(|text| text.split_once('[')?.1.split_once(']')).map(|(mode, _)| mode);
    match mode {
        Some("always") => "huge pages where the system sees fit".to_owned(),
        _ => "ordinary".to_owned(),
    }
}

/// Describes the program that measures.
pub(crate) fn program() -> Program {
    Program {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("LOGLOSS_COMMIT").map(str::to_owned),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_caches() {
        assert_eq!(bytes_of("32768K"), Some(32 << 20));
        assert_eq!(bytes_of("8M"), Some(8 << 20));
        assert_eq!(bytes_of("many"), None);
    }

    #[test]
    fn something_is_said() {
        let machine = machine("scalar", false);
        assert!(machine.cores > 0 && machine.memory_bytes > 0 && !machine.cpu.is_empty());
        assert!(machine.memory_free_bytes <= machine.memory_bytes);
    }
}
