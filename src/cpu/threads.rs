//! How a part is spread over threads.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::help::{self, Help};
use crate::{Batch, Error, Partials, Result, outputs::Slices, partials::BLOCK};

/// A part of at most this many values stays on the thread that asks: waking another costs more.
const INLINE: usize = 16 * BLOCK;
/// The fewest values that go to a thread at once, and the most.
const GRAIN_MIN: usize = 4 * BLOCK;
const GRAIN_MAX: usize = 128 * BLOCK;
/// Runs a thread that there should be, so that one which starts late or is disturbed holds up little.
const RUNS_PER_THREAD: usize = 8;

/// Calls for help a thread that may wait to be heard. Those who are busy elsewhere hear none: more would pile up.
const CALLS_PER_THREAD: usize = 4;

/// The threads of an engine.
#[derive(Debug)]
pub(crate) struct Threads {
    pool: Pool,
    /// Calls for help that nobody has heard yet.
    calls: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Pool {
    /// The thread that asks.
    Caller,
    /// Rayon's global pool.
    Global,
    /// A pool of our own, of one less than there are to be: the thread that asks is one of them.
    Own(rayon::ThreadPool),
}

impl Threads {
    /// `threads` threads, or rayon's global pool if that is not said.
    ///
    /// # Errors
    /// [`Error::Threads`] if they cannot be started.
    pub(crate) fn new(threads: Option<NonZeroUsize>) -> Result<Self> {
        let pool = match threads.map(NonZeroUsize::get) {
            None => return Ok(Self::global()),
            Some(1) => Pool::Caller,
            Some(threads) => rayon::ThreadPoolBuilder::new()
                .num_threads(threads - 1)
                .thread_name(|i| format!("logloss-{i}"))
                .build()
                .map(Pool::Own)
                .map_err(|error| Error::Threads(error.to_string()))?,
        };
        Ok(Self { pool, calls: Arc::default() })
    }

    /// Rayon's global pool.
    pub(crate) fn global() -> Self {
        Self { pool: Pool::Global, calls: Arc::default() }
    }

    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        match &self.pool {
            Pool::Caller => 1,
            Pool::Global => rayon::current_num_threads(),
            Pool::Own(pool) => pool.current_num_threads() + 1,
        }
    }

    /// Evaluates `part` by runs that are multiples of `unit`, itself one of [`BLOCK`]. The thread that asks takes runs
    /// like the others, and waits for none of them that has not begun.
    pub(crate) fn split(
        &self,
        part: &Batch<'_>,
        first: u64,
        outputs: Slices<'_>,
        unit: usize,
        run: &Run<'_>,
    ) -> Partials {
        // (In this order: counting the threads of rayon's global pool starts them.)
        if part.len() <= INLINE || self.count() == 1 {
            return run(part, first, outputs);
        }
        let threads = self.count();
        let grain = (part.len() / (threads * RUNS_PER_THREAD)).clamp(GRAIN_MIN, GRAIN_MAX);
        let grain = grain.checked_next_multiple_of(unit).unwrap_or(usize::MAX);
        let runs = Mutex::new(Runs { part, done: 0, first, outputs, grain });
        let sums = Mutex::new(Partials::default());
        let work = || {
            let next = || runs.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some((part, first, outputs)) = next() {
                let partials = run(&part, first, outputs);
                // In whatever order they come: sums are exact.
                sums.lock().unwrap_or_else(PoisonError::into_inner).merge(&partials);
            }
        };
        let helpers = (threads - 1).min(part.len().div_ceil(grain) - 1);
        help::with(helpers, |help| self.ask(help, CALLS_PER_THREAD * threads), &work);
        sums.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has one of the other threads help, as soon as one is free; none if so many calls as `most` wait to be heard.
    fn ask(&self, help: Help, most: usize) {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= most {
            self.calls.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let calls = Arc::clone(&self.calls);
        let answer = move || {
            calls.fetch_sub(1, Ordering::Relaxed);
            help.run();
        };
        match &self.pool {
            Pool::Own(pool) => pool.spawn(answer),
            Pool::Caller | Pool::Global => rayon::spawn(answer),
        }
    }
}

/// Evaluates a run of blocks on one thread.
pub(crate) type Run<'a> = dyn Fn(&Batch<'_>, u64, Slices<'_>) -> Partials + Sync + 'a;

/// The runs of a part that nobody has taken yet.
struct Runs<'a> {
    part: &'a Batch<'a>,
    /// Values taken.
    done: usize,
    first: u64,
    outputs: Slices<'a>,
    grain: usize,
}

impl<'a> Runs<'a> {
    /// The next run, the index of its first value and its outputs.
    fn next(&mut self) -> Option<(Batch<'a>, u64, Slices<'a>)> {
        let len = self.grain.min(self.part.len() - self.done);
        if len == 0 {
            return None;
        }
        let run = self.part.part(self.done..self.done + len);
        let first = self.first + self.done as u64;
        self.done += len;
        Some((run, first, self.outputs.split_off(len)))
    }
}
