//! Blocking on a future.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Blocks until a future is ready. If it is ready at the first poll, as every evaluation on a CPU is, no thread is
/// parked.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => pollster::block_on(future),
    }
}
