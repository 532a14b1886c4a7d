//! Work that other threads help with, if they come in time.
//!
//! A scope waits for every thread it asked, and so for one that sleeps to wake and find that nothing is left to do, which
//! takes longer than a small batch does. Here whoever comes late finds the door shut.

use std::{
    any::Any,
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use web_time::Instant;

/// How long the thread that asked spins before it sleeps until the others have left: about what being woken takes.
const PATIENCE: Duration = Duration::from_micros(50);

/// Calls `work` on this thread, and on up to `helpers` others that `spawn` hands the help to. Returns when `work` has
/// returned here and on all that had begun by then: it takes what it does from a common store, and returns when that is
/// empty.
///
/// # Panics
/// As `work` did, on whatever thread.
pub(crate) fn with(helpers: usize, spawn: impl Fn(Help), work: &(dyn Fn() + Sync)) {
    // SAFETY: only the lifetime changes, of a pointer. `Help::run` says why it is not followed for too long.
    let work_pointer = unsafe { std::mem::transmute::<*const (dyn Fn() + Sync), *const (dyn Fn() + Sync)>(work) };
    let room = Arc::new(Room { work: work_pointer, door: Mutex::default(), left: Condvar::new() });
    let host = Host(&room);
    for _ in 0..helpers {
        spawn(Help(Arc::clone(&room)));
    }
    work();
    drop(host);
    let panic = room.door().panic.take();
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

/// The work, as long as its door is open.
struct Room {
    work: *const (dyn Fn() + Sync),
    door: Mutex<Door>,
    left: Condvar,
}

// SAFETY: what `work` points to may be used by several threads at once.
unsafe impl Send for Room {}
// SAFETY: as above.
unsafe impl Sync for Room {}

#[derive(Default)]
struct Door {
    shut: bool,
    /// Helpers that are at work.
    inside: usize,
    /// What the first of them panicked with.
    panic: Option<Box<dyn Any + Send>>,
}

impl Room {
    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a helper is to run.
pub(crate) struct Help(Arc<Room>);

impl Help {
    pub(crate) fn run(self) {
        let Self(room) = self;
        {
            let mut door = room.door();
            if door.shut {
                return;
            }
            door.inside += 1;
        }
        // SAFETY: `with` does not end, by return or by panic, before its `Host` has shut the door and seen nobody inside;
        // until then what it borrows as `work` is there.
        let work = unsafe { &*room.work };
        let result = catch_unwind(AssertUnwindSafe(work));
        let mut door = room.door();
        door.inside -= 1;
        room.left.notify_one();
        if let Err(panic) = result {
            door.panic.get_or_insert(panic);
        }
    }
}

/// Shuts the door, and waits until nobody is inside.
struct Host<'a>(&'a Room);

impl Drop for Host<'_> {
    fn drop(&mut self) {
        let mut door = self.0.door();
        door.shut = true;
        let since = Instant::now();
        while door.inside > 0 {
            if since.elapsed() < PATIENCE {
                drop(door);
                (0..64).for_each(|_| spin_loop());
                door = self.0.door();
            } else {
                door = self.0.left.wait(door).unwrap_or_else(PoisonError::into_inner);
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

    /// Takes from a store of a hundred what is left, and says how many it took.
    fn take(store: &AtomicUsize) -> usize {
        let next = || store.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        std::iter::repeat_with(next).take_while(|took| *took).count()
    }

    #[test]
    fn everything_is_done_once_whoever_comes() {
        for round in 0..500 {
            let (store, done) = (AtomicUsize::new(100), AtomicUsize::new(0));
            let spawn = |help: Help| {
                thread::spawn(move || {
                    (0..round * 20).for_each(|_| spin_loop());
                    help.run();
                });
            };
            with(3, spawn, &|| {
                done.fetch_add(take(&store), Ordering::SeqCst);
            });
            assert_eq!((store.into_inner(), done.into_inner()), (0, 100));
        }
    }

    #[test]
    fn who_comes_late_finds_the_door_shut() {
        let late = RefCell::new(Vec::new());
        let calls = AtomicUsize::new(0);
        with(2, |help| late.borrow_mut().push(help), &|| {
            calls.fetch_add(1, Ordering::SeqCst);
        });
        late.into_inner().into_iter().for_each(Help::run);
        assert_eq!(calls.into_inner(), 1);
    }

    #[test]
    fn a_panic_is_passed_on_when_all_have_left() {
        for of_the_helper in [false, true] {
            let (begun, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let asking = thread::current().id();
            let work = || {
                begun.fetch_add(1, Ordering::SeqCst);
                while begun.load(Ordering::SeqCst) < 2 {
                    thread::yield_now();
                }
                if (thread::current().id() != asking) == of_the_helper {
                    panic!("of the helper: {of_the_helper}");
                }
                thread::sleep(2 * PATIENCE);
                left.fetch_add(1, Ordering::SeqCst);
            };
            let spawn = |help: Help| {
                thread::spawn(|| help.run());
            };
            let panic = catch_unwind(AssertUnwindSafe(|| with(1, spawn, &work))).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), &format!("of the helper: {of_the_helper}"));
            assert_eq!(left.load(Ordering::SeqCst), 1);
        }
    }
}
