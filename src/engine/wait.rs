//! Waiting for a future.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Waits for a future. One that is ready at once, as every evaluation on a CPU is, costs nothing to wait for.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => pollster::block_on(future),
    }
}
