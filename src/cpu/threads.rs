//! How the runs of a part are spread over threads.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    run::Run,
    scoped_task::{self, ScopedTask},
};
use crate::{Error, Partials, Result, partials::BLOCK};

/// The most values that stay on the calling thread: waking another costs more than they do.
const INLINE: usize = 16 * BLOCK;
/// The fewest values in a run, and the most.
const GRAIN_MIN: usize = 4 * BLOCK;
const GRAIN_MAX: usize = 128 * BLOCK;
/// The number of runs for each thread: several, so that one which starts late or is disturbed delays the others little.
const RUNS_PER_THREAD: usize = 8;

/// The number of tasks for each thread that may be pending. Threads that are busy elsewhere begin none, and more tasks
/// would pile up.
const PENDING_PER_THREAD: usize = 4;

/// The threads of an engine.
#[derive(Debug)]
pub(crate) struct Threads {
    pool: Pool,
    /// The number of tasks that no thread has begun yet.
    pending: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Pool {
    /// The calling thread alone.
    Caller,
    /// Rayon's global pool.
    Global,
    /// A pool of its own, of one thread less than requested, since the calling thread works as well.
    Own(rayon::ThreadPool),
}

impl Threads {
    /// `threads` threads, or rayon's global pool if no number is given.
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
        Ok(Self { pool, pending: Arc::default() })
    }

    /// Rayon's global pool.
    pub(crate) fn global() -> Self {
        Self { pool: Pool::Global, pending: Arc::default() }
    }

    /// The number of threads.
    pub(crate) fn count(&self) -> usize {
        match &self.pool {
            Pool::Caller => 1,
            Pool::Global => rayon::current_num_threads(),
            Pool::Own(pool) => pool.current_num_threads() + 1,
        }
    }

    /// Evaluates `whole` by runs that are multiples of `unit`, itself one of [`BLOCK`]. The calling thread takes runs as
    /// the others do, and waits for none of them that has not begun.
    pub(crate) fn split(
        &self,
        whole: Run<'_>,
        unit: usize,
        evaluate: &(dyn Fn(Run<'_>) -> Partials + Sync),
    ) -> Partials {
        let len = whole.part.len();
        // (In this order: counting the threads of rayon's global pool starts them.)
        if len <= INLINE || self.count() == 1 {
            return evaluate(whole);
        }
        let threads = self.count();
        let grain = (len / (threads * RUNS_PER_THREAD)).clamp(GRAIN_MIN, GRAIN_MAX);
        let grain = grain.checked_next_multiple_of(unit).unwrap_or(usize::MAX);
        let runs = Mutex::new(Runs { whole, taken: 0, grain });
        let sums = Mutex::new(Partials::default());
        let work = || {
            let next = || runs.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some(run) = next() {
                let partials = evaluate(run);
                // In the order in which runs end, which is of no importance: sums are exact.
                sums.lock().unwrap_or_else(PoisonError::into_inner).add(&partials);
            }
        };
        let helpers = (threads - 1).min(len.div_ceil(grain) - 1);
        scoped_task::run(helpers, |task| self.spawn(task, PENDING_PER_THREAD * threads), &work);
        sums.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has another thread run `task` as soon as one is free; none if `most` tasks are pending.
    fn spawn(&self, task: ScopedTask, most: usize) {
        if self.pending.fetch_add(1, Ordering::Relaxed) >= most {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let pending = Arc::clone(&self.pending);
        let begin = move || {
            pending.fetch_sub(1, Ordering::Relaxed);
            task.run();
        };
        match &self.pool {
            Pool::Own(pool) => pool.spawn(begin),
            Pool::Caller | Pool::Global => rayon::spawn(begin),
        }
    }
}

/// The runs that a part is cut into.
struct Runs<'a> {
    whole: Run<'a>,
    /// The number of values in the runs that were taken.
    taken: usize,
    /// The number of values in a run.
    grain: usize,
}

impl<'a> Runs<'a> {
    /// The next run that no thread has taken.
    fn next(&mut self) -> Option<Run<'a>> {
        let Run { part, first, outputs } = &mut self.whole;
        let start = self.taken;
        let len = self.grain.min(part.len() - start);
        if len == 0 {
            return None;
        }
        self.taken += len;
        let part = part.part(start..start + len);
        Some(Run { part, first: *first + start as u64, outputs: outputs.split_off(len) })
    }
}
