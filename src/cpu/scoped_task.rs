//! A task that borrows from its scope, and that other threads help with if they begin in time.
//!
//! An ordinary scope waits for every thread that was given work, and so for one that sleeps to wake and find that nothing
//! is left to do, which takes longer than a small batch does. Here a thread that comes late finds the gate closed, and the
//! scope does not wait for it.

use std::{
    any::Any,
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use web_time::Instant;

/// The time that the calling thread spins before it sleeps until the others have left: about as long as waking takes.
const SPIN_TIME: Duration = Duration::from_micros(50);

/// Calls `work` on this thread, and on up to `helpers` others, to which `spawn` hands a task. Returns when `work` has
/// returned here and on every thread that had begun it by then: it takes what it does from a common store, and returns
/// when that is empty.
///
/// # Panics
/// If `work` panics, on whatever thread.
pub(crate) fn run(helpers: usize, spawn: impl Fn(ScopedTask), work: &(dyn Fn() + Sync)) {
    // SAFETY: only the lifetime changes, of a pointer. `ScopedTask::run` says why it is not followed for too long.
    let work_pointer = unsafe { std::mem::transmute::<*const (dyn Fn() + Sync), *const (dyn Fn() + Sync)>(work) };
    let scope = Arc::new(Scope { work: work_pointer, gate: Mutex::default(), left: Condvar::new() });
    let guard = WaitGuard(&scope);
    for _ in 0..helpers {
        spawn(ScopedTask(Arc::clone(&scope)));
    }
    work();
    drop(guard);
    let panic = scope.gate().panic.take();
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

/// What the threads share: the work, which may be called while the gate is open.
struct Scope {
    work: *const (dyn Fn() + Sync),
    gate: Mutex<Gate>,
    /// Notified when a thread has left.
    left: Condvar,
}

// SAFETY: what `work` points to may be used by several threads at once.
unsafe impl Send for Scope {}
// SAFETY: as above.
unsafe impl Sync for Scope {}

#[derive(Default)]
struct Gate {
    closed: bool,
    /// The number of helping threads that are at work.
    inside: usize,
    /// The payload of the first panic among them.
    panic: Option<Box<dyn Any + Send>>,
}

impl Scope {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a helping thread is to run.
pub(crate) struct ScopedTask(Arc<Scope>);

impl ScopedTask {
    /// Calls the work, unless its scope has ended.
    pub(crate) fn run(self) {
        let Self(scope) = self;
        {
            let mut gate = scope.gate();
            if gate.closed {
                return;
            }
            gate.inside += 1;
        }
        // SAFETY: the function `run` does not end, by return or by panic, before its `WaitGuard` has closed the gate and
        // seen no thread inside; until then what it borrows as `work` is there.
        let work = unsafe { &*scope.work };
        let result = catch_unwind(AssertUnwindSafe(work));
        let mut gate = scope.gate();
        gate.inside -= 1;
        scope.left.notify_one();
        if let Err(panic) = result {
            gate.panic.get_or_insert(panic);
        }
    }
}

/// Closes the gate when it is dropped, and waits until no thread is inside.
struct WaitGuard<'a>(&'a Scope);

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        let mut gate = self.0.gate();
        gate.closed = true;
        let since = Instant::now();
        while gate.inside > 0 {
            if since.elapsed() < SPIN_TIME {
                drop(gate);
                (0..64).for_each(|_| spin_loop());
                gate = self.0.gate();
            } else {
                gate = self.0.left.wait(gate).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    /// Takes from a store what is left, and returns the number taken.
    fn take(store: &AtomicUsize) -> usize {
        let next = || store.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        std::iter::repeat_with(next).take_while(|took| *took).count()
    }

    #[test]
    fn all_work_is_done_once() {
        for round in 0..500 {
            let (store, done) = (AtomicUsize::new(100), AtomicUsize::new(0));
            let spawn = |task: ScopedTask| {
                thread::spawn(move || {
                    (0..round * 20).for_each(|_| spin_loop());
                    task.run();
                });
            };
            run(3, spawn, &|| {
                done.fetch_add(take(&store), Ordering::SeqCst);
            });
            assert_eq!((store.into_inner(), done.into_inner()), (0, 100));
        }
    }

    #[test]
    fn a_late_thread_finds_the_gate_closed() {
        let late = RefCell::new(Vec::new());
        let calls = AtomicUsize::new(0);
        run(2, |task| late.borrow_mut().push(task), &|| {
            calls.fetch_add(1, Ordering::SeqCst);
        });
        late.into_inner().into_iter().for_each(ScopedTask::run);
        assert_eq!(calls.into_inner(), 1);
    }

    #[test]
    fn a_panic_is_passed_on_after_all_have_left() {
        for of_helper in [false, true] {
            let (begun, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let caller = thread::current().id();
            let work = || {
                begun.fetch_add(1, Ordering::SeqCst);
                while begun.load(Ordering::SeqCst) < 2 {
                    thread::yield_now();
                }
                if (thread::current().id() != caller) == of_helper {
                    panic!("of a helping thread: {of_helper}");
                }
                thread::sleep(2 * SPIN_TIME);
                left.fetch_add(1, Ordering::SeqCst);
            };
            let spawn = |task: ScopedTask| {
                thread::spawn(|| task.run());
            };
            let panic = catch_unwind(AssertUnwindSafe(|| run(1, spawn, &work))).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), &format!("of a helping thread: {of_helper}"));
            assert_eq!(left.load(Ordering::SeqCst), 1);
        }
    }
}
