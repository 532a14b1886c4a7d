//! How a part is spread over threads.

use std::num::NonZeroUsize;

use crate::{Batch, Error, Partials, Result, outputs::Slices, partials::BLOCK};

/// A part of at most this many values stays on the thread that asks: waking another costs more.
const INLINE: usize = 8 * BLOCK;
/// The most values that go to a thread at once.
const GRAIN_MAX: usize = 128 * BLOCK;
/// Runs a thread that there should be, so that one which starts late or is disturbed holds up little.
const RUNS_PER_THREAD: usize = 8;

/// The threads of an engine.
#[derive(Debug)]
pub(crate) enum Threads {
    /// The thread that asks.
    Caller,
    /// Rayon's global pool.
    Global,
    /// A pool of our own.
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
                .num_threads(threads)
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
            Self::Own(pool) => pool.current_num_threads(),
        }
    }

    /// Evaluates `part` by runs that are multiples of `unit`, itself one of [`BLOCK`].
    pub(crate) fn split(
        &self,
        part: &Batch<'_>,
        first: u64,
        outputs: Slices<'_>,
        unit: usize,
        run: &Run<'_>,
    ) -> Partials {
        if part.len() <= INLINE || matches!(self, Self::Caller) {
            return run(part, first, outputs);
        }
        let grain = (part.len() / (self.count() * RUNS_PER_THREAD)).clamp(INLINE, GRAIN_MAX);
        match self {
            Self::Own(pool) => pool.install(|| halve(part, first, outputs, (grain, unit), run)),
            Self::Caller | Self::Global => halve(part, first, outputs, (grain, unit), run),
        }
    }
}

/// Evaluates a run of blocks on one thread.
pub(crate) type Run<'a> = dyn Fn(&Batch<'_>, u64, Slices<'_>) -> Partials + Sync + 'a;

/// Evaluates `part` in two halves, cut at a multiple of the unit, until no more than the grain is left.
fn halve(
    part: &Batch<'_>,
    first: u64,
    mut outputs: Slices<'_>,
    (grain, unit): (usize, usize),
    run: &Run<'_>,
) -> Partials {
    let len = part.len();
    let middle = (len / 2).checked_next_multiple_of(unit).unwrap_or(len);
    if len <= grain || middle >= len {
        return run(part, first, outputs);
    }
    let (head, tail) = (part.part(0..middle), part.part(middle..len));
    let head_outputs = outputs.split_off(middle);
    let (mut sums, rest) = rayon::join(
        || halve(&head, first, head_outputs, (grain, unit), run),
        || halve(&tail, first + middle as u64, outputs, (grain, unit), run),
    );
    sums.merge(&rest);
    sums
}
