//! In place of [`threads`](super::threads) where the crate is built without the feature `threads`: the calling thread
//! evaluates everything.

use std::num::NonZeroUsize;

use super::run::Run;
use crate::{Error, Partials, Result};

/// The calling thread.
#[derive(Debug)]
pub(crate) struct Threads;

impl Threads {
    /// The calling thread.
    ///
    /// # Errors
    /// [`Error::Threads`] if more than one thread is requested.
    pub(crate) fn new(threads: Option<NonZeroUsize>) -> Result<Self> {
        match threads.map_or(1, NonZeroUsize::get) {
            1 => Ok(Self),
            _ => Err(Error::Threads("the crate was built without the feature `threads`".into())),
        }
    }

    /// The calling thread.
    pub(crate) fn global() -> Self {
        Self
    }

    /// The number of threads.
    pub(crate) fn count(&self) -> usize {
        1
    }

    /// Evaluates `whole` as one run.
    pub(crate) fn split(
        &self,
        whole: Run<'_>,
        _unit: usize,
        evaluate: &(dyn Fn(Run<'_>) -> Partials + Sync),
    ) -> Partials {
        evaluate(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_one_thread_needs_the_feature() {
        for threads in [None, NonZeroUsize::new(1)] {
            assert_eq!(Threads::new(threads).unwrap().count(), 1);
        }
        let error = Threads::new(NonZeroUsize::new(2)).unwrap_err();
        assert!(error.to_string().contains("without the feature `threads`"), "{error}");
    }
}
