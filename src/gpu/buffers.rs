//! The creation, checking and mapping of buffers.

use crate::{Error, Result};

/// A part of a buffer, from `offset` on.
///
/// ```no_run
/// use logloss::{BufferRegion, wgpu};
///
/// fn second_half(buffer: wgpu::Buffer) -> BufferRegion {
///     let offset = buffer.size() / 2;
///     BufferRegion::new(buffer, offset)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BufferRegion {
    /// The buffer. A clone of it refers to the same memory.
    pub buffer: wgpu::Buffer,
    /// The number of bytes before the region: a multiple of the device's `min_storage_buffer_offset_alignment`.
    pub offset: u64,
}

impl BufferRegion {
    /// The part of `buffer` from `offset` on.
    pub fn new(buffer: wgpu::Buffer, offset: u64) -> Self {
        Self { buffer, offset }
    }

    /// Checks that a shader can bind `bytes` bytes of it.
    pub(crate) fn check(
        &self,
        name: &'static str,
        bytes: u64,
        usages: wgpu::BufferUsages,
        alignment: u32,
    ) -> Result<()> {
        let problem = if !self.buffer.usage().contains(usages) {
            format!("its usages are {:?}, {usages:?} is needed", self.buffer.usage())
        } else if !self.offset.is_multiple_of(alignment.into()) {
            format!("offset {} is not a multiple of {alignment}, the device's alignment", self.offset)
        } else if self.buffer.size() < self.offset.saturating_add(bytes) {
            format!("{bytes} bytes are needed from offset {} on, the buffer has {}", self.offset, self.buffer.size())
        } else {
            return Ok(());
        };
        Err(Error::Buffer { name, problem })
    }

    /// The error for a buffer that another device made.
    pub(crate) async fn foreign(&self, name: &'static str, device: &wgpu::Device) -> Option<Error> {
        let problem = "it was made by another device; each engine needs buffers of its own device (`Engine::wgpu`)";
        is_foreign(device, &self.buffer).await.then(|| Error::Buffer { name, problem: problem.to_owned() })
    }

    /// Binds `bytes` bytes, `skip` bytes into the region.
    pub(crate) fn binding(&self, skip: u64, bytes: u64) -> wgpu::BindingResource<'_> {
        binding(&self.buffer, self.offset + skip, bytes)
    }
}

/// Binds `bytes` bytes of a buffer, from `offset` on.
pub(crate) fn binding(buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> wgpu::BindingResource<'_> {
    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(bytes) })
}

impl From<wgpu::Buffer> for BufferRegion {
    fn from(buffer: wgpu::Buffer) -> Self {
        Self { buffer, offset: 0 }
    }
}

/// Runs `make`, and fails with what the device reports of it. Without this a device would call its error handler,
/// which panics unless its owner has set another.
pub(crate) fn scoped<T>(device: &wgpu::Device, make: impl FnOnce() -> T) -> impl Future<Output = Result<T>> {
    let scopes = [wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation]
        .map(|filter| device.push_error_scope(filter));
    let value = make();
    // Scopes close in reverse order.
    let [memory, internal, validation] = scopes;
    let errors = (validation.pop(), internal.pop(), memory.pop());
    async move {
        let errors = [errors.0.await, errors.1.await, errors.2.await];
        match errors.into_iter().flatten().next() {
            Some(error) => Err(Error::Device(error.to_string())),
            None => Ok(value),
        }
    }
}

/// Whether a buffer was made by another device. It is asked when something has failed, to say why: it tries to bind the
/// buffer.
pub(crate) async fn is_foreign(device: &wgpu::Device, buffer: &wgpu::Buffer) -> bool {
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let ty = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Storage { read_only: true },
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    let entry = wgpu::BindGroupLayoutEntry { binding: 0, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None };
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &[entry] });
    let _group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &layout,
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() }],
    });
    scope.pop().await.is_some_and(|error| is_mismatch(&error))
}

/// Whether an error of binding a buffer is that its device is another one.
#[cfg(not(target_family = "wasm"))]
fn is_mismatch(error: &wgpu::Error) -> bool {
    use wgpu::wgc::{binding_model::CreateBindGroupError, device::DeviceError};
    let mismatch = |error: &(dyn std::error::Error + 'static)| {
        let error = error.downcast_ref::<CreateBindGroupError>();
        matches!(error, Some(CreateBindGroupError::Device(DeviceError::DeviceMismatch(_))))
    };
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if mismatch(error) {
            return true;
        }
        source = error.source();
    }
    false
}

/// A browser's error is text.
#[cfg(target_family = "wasm")]
fn is_mismatch(_: &wgpu::Error) -> bool {
    false
}

/// A buffer of `size` bytes.
pub(crate) fn make(device: &wgpu::Device, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
}

/// Asks for a buffer to be mapped; the future is done when it is.
pub(crate) fn map(slice: wgpu::BufferSlice<'_>, mode: wgpu::MapMode) -> impl Future<Output = Result<()>> + use<> {
    let (sender, receiver) = futures_intrusive::channel::shared::oneshot_channel();
    slice.map_async(mode, move |mapped| {
        // The receiver no longer exists if the evaluation was dropped.
        let _ = sender.send(mapped);
    });
    async move {
        match receiver.receive().await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(Error::Device(error.to_string())),
            None => Err(Error::Device("a buffer was dropped before it was mapped".into())),
        }
    }
}

/// A mapping of a buffer, requested or complete. Dropping it unmaps the buffer, also if the evaluation fails or is
/// dropped before the mapping is complete.
pub(crate) struct Mapping<'a> {
    buffer: &'a wgpu::Buffer,
    ready: std::pin::Pin<Box<dyn Ready>>,
}

/// The future of a mapping.
#[cfg(not(target_family = "wasm"))]
pub(crate) trait Ready: Future<Output = Result<()>> + Send {}
#[cfg(not(target_family = "wasm"))]
impl<F: Future<Output = Result<()>> + Send> Ready for F {}
#[cfg(target_family = "wasm")]
pub(crate) trait Ready: Future<Output = Result<()>> {}
#[cfg(target_family = "wasm")]
impl<F: Future<Output = Result<()>>> Ready for F {}

impl<'a> Mapping<'a> {
    /// Asks for the first `bytes` bytes of a buffer to be read.
    pub(crate) fn read(buffer: &'a wgpu::Buffer, bytes: u64) -> Self {
        Self { buffer, ready: Box::pin(map(buffer.slice(..bytes), wgpu::MapMode::Read)) }
    }

    /// Waits until it is done.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        self.ready.as_mut().await
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        self.buffer.unmap();
    }
}

/// Waits until a submission is done. Outside of a browser this is what runs the callbacks of mappings. In a browser the
/// event loop runs them, and this does nothing.
pub(crate) fn wait(device: &wgpu::Device, submission: wgpu::SubmissionIndex) -> Result<()> {
    let done = device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None });
    done.map(drop).map_err(|error| Error::Device(error.to_string()))
}
