//! How a part is spread over threads.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use super::help::{self, Help};
use crate::{Batch, Error, Partials, Result, outputs::Slices, partials::BLOCK};

/// A part of at most this many values stays on the thread that asks: waking another costs more.
const INLINE: usize = 16 * BLOCK;
/// The fewest values that go to a thread at once, and the most.
const GRAIN_MIN: usize = 4 * BLOCK;
const GRAIN_MAX: usize = 128 * BLOCK;
/// Derivatives of more bytes than this do not stay in the cache, and so need not be fetched into it to be written.
const CACHE: usize = 32 << 20;
/// Runs a thread that there should be, so that one which starts late or is disturbed holds up little.
const RUNS_PER_THREAD: usize = 8;

/// The threads of an engine.
#[derive(Debug)]
pub(crate) enum Threads {
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
        match threads.map(NonZeroUsize::get) {
            None => Ok(Self::Global),
            Some(1) => Ok(Self::Caller),
            Some(threads) => rayon::ThreadPoolBuilder::new()
                .num_threads(threads - 1)
                .thread_name(|i| format!("logloss-{i}"))
                .build()
                .map(Self::Own)
                .map_err(|error| Error::Threads(error.to_string())),
        }
    }

    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Caller => 1,
            Self::Global => rayon::current_num_threads(),
            Self::Own(pool) => pool.current_num_threads() + 1,
        }
    }

    /// Evaluates `part` by runs that are multiples of `unit`, itself one of [`BLOCK`]. The thread that asks takes runs
    /// like the others: what they do is added to what it does, however late they wake.
    pub(crate) fn split(
        &self,
        part: &Batch<'_>,
        first: u64,
        mut outputs: Slices<'_>,
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
        // (One thread alone computes for longer than it waits for memory, and waits longer for such a store.)
        let derivatives = outputs.wanted()[1..].iter().filter(|wanted| **wanted).count();
        outputs.past_cache = size_of::<f32>() * derivatives * part.len() > CACHE;
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
        help::with(helpers, |help| self.ask(help), &work);
        sums.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has one of the other threads help, as soon as one is free.
    fn ask(&self, help: Help) {
        match self {
            Self::Own(pool) => pool.spawn(|| help.run()),
            Self::Caller | Self::Global => rayon::spawn(|| help.run()),
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
