//! The adapters that wgpu reaches.

use std::sync::LazyLock;

use crate::{Adapter, DeviceInfo, DeviceKind};

/// The instance that all engines share: wgpu recognises a buffer of another device only within one
/// instance.
static INSTANCE: LazyLock<wgpu::Instance> =
    LazyLock::new(|| wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env()));

/// Every adapter that wgpu finds. The order, and so the indices, stay the same as long as the drivers do.
pub(crate) async fn enumerate() -> Vec<wgpu::Adapter> {
    INSTANCE.enumerate_adapters(wgpu::Backends::all()).await
}

pub(crate) fn describe(info: &wgpu::AdapterInfo) -> DeviceInfo {
    DeviceInfo {
        name: info.name.clone(),
        backend: info.backend.to_str().to_owned(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu,
            wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu,
            wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu,
            wgpu::DeviceType::Cpu => DeviceKind::Software,
            wgpu::DeviceType::Other => DeviceKind::Other,
        },
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
    }
}

/// Every adapter, described.
pub(crate) async fn list() -> Vec<Adapter> {
    (0..).zip(enumerate().await).map(|(index, adapter)| report(index, &adapter)).collect()
}

fn report(index: usize, adapter: &wgpu::Adapter) -> Adapter {
    let (limits, features) = (adapter.limits(), adapter.features());
    Adapter {
        index,
        info: describe(&adapter.get_info()),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        subgroups: features.contains(wgpu::Features::SUBGROUP),
        shader_f16: features.contains(wgpu::Features::SHADER_F16),
        mappable_primary_buffers: features.contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
    }
}
