//! How often things are timed: in turn, so that a disturbance hits all of them, until the time is up.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::interrupt;

/// One measurement: seconds a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// The whole call.
    pub call: f64,
    /// Computing, as far as the call knows of it.
    pub kernel: f64,
    /// Whether that is by the device's own clock.
    pub timestamps: bool,
    /// Copying inputs in.
    pub upload: f64,
    /// Copying results out.
    pub readback: f64,
}

impl Sample {
    /// Calls timed as one, with nothing known but the clock on the wall.
    pub fn wall(elapsed: Duration, calls: &Range<usize>) -> Self {
        Self { call: elapsed.as_secs_f64() / calls.len() as f64, ..Self::default() }
    }
}

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time for all tasks together.
    pub budget: Duration,
    /// Rounds there are at least, however long they take.
    pub min_rounds: usize,
    /// Rounds there are at most.
    pub max_rounds: usize,
    /// From then on one round must do.
    pub until: Option<Instant>,
}

/// Calls shorter than this are timed several at once: the clock itself takes some 30 ns.
const SHORTEST: f64 = 50e-6;
/// Calls of a task before it is timed, beside those that touch every set once, if they are short.
const WARM_UP: usize = 3;
const SLOW: f64 = 10e-3;

/// Something to be timed. Does calls number `calls.start` to `calls.end`, and tells how long one took.
pub type Task<'a, C> = Box<dyn FnMut(&mut C, Range<usize>) -> Result<Sample> + 'a>;

/// Times the tasks, in turn. `sets` is how many calls it takes to touch everything they work on.
pub fn rounds<C>(pace: Pace, sets: usize, context: &mut C, tasks: &mut [Task<'_, C>]) -> Result<Vec<Vec<Sample>>> {
    let mut calls = Vec::with_capacity(tasks.len());
    for task in tasks.iter_mut() {
        let mut one = timed(|| task(context, 0..sets))? / sets as f64;
        if one < SLOW {
            one = timed(|| task(context, 0..WARM_UP))? / WARM_UP as f64;
        }
        calls.push((SHORTEST / one.max(1e-9)).ceil().clamp(1.0, 65_536.0) as usize);
    }
    let mut samples = vec![Vec::new(); tasks.len()];
    // Tasks may work on the same memory: were they at the same batch, one would find it in the cache that the other
    // has just read it into.
    let mut next: Vec<usize> = (0..tasks.len()).map(|i| i * sets / tasks.len()).collect();
    let begun = Instant::now();
    for round in 0..pace.max_rounds {
        let late = round > 0 && pace.until.is_some_and(|until| Instant::now() > until);
        if late || round >= pace.min_rounds && begun.elapsed() >= pace.budget {
            break;
        }
        interrupt::check()?;
        for (i, task) in tasks.iter_mut().enumerate() {
            samples[i].push(task(context, next[i]..next[i] + calls[i])?);
            next[i] += calls[i];
        }
    }
    Ok(samples)
}

fn timed(call: impl FnOnce() -> Result<Sample>) -> Result<f64> {
    let begun = Instant::now();
    call()?;
    Ok(begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_turn_and_bounded() {
        let pace = Pace { budget: Duration::ZERO, min_rounds: 4, max_rounds: 10, until: None };
        let task = |name: char| -> Task<'static, String> {
            Box::new(move |log, calls| {
                log.push(name);
                Ok(Sample { call: calls.len() as f64, ..Sample::default() })
            })
        };
        let mut log = String::new();
        let samples = rounds(pace, 2, &mut log, &mut [task('a'), task('b')]).unwrap();
        assert_eq!(log, "aabbabababab");
        assert_eq!(samples.len(), 2);
        assert!(samples.iter().all(|samples| samples.len() == 4));
        // A short call is timed many at once.
        assert!(samples[0][0].call > 1.0);
    }

    #[test]
    fn never_at_the_same_batch() {
        let pace = Pace { budget: Duration::ZERO, min_rounds: 20, max_rounds: 20, until: None };
        let task = |name: usize| -> Task<'static, Vec<(usize, usize)>> {
            Box::new(move |log, calls| {
                log.push((name, calls.start % 9));
                // Slow enough to be timed one call at a time.
                std::thread::sleep(Duration::from_micros(100));
                Ok(Sample::default())
            })
        };
        let mut log = Vec::new();
        rounds(pace, 9, &mut log, &mut [task(0), task(1), task(2)]).unwrap();
        for round in log[6..].chunks(3) {
            let at: Vec<usize> = round.iter().map(|(_, set)| *set).collect();
            assert!(at[1] == (at[0] + 3) % 9 && at[2] == (at[0] + 6) % 9, "{round:?}");
        }
    }

    #[test]
    fn late_is_once() {
        let pace = Pace { budget: Duration::MAX, min_rounds: 4, max_rounds: 10, until: Some(Instant::now()) };
        let task: Task<'static, ()> = Box::new(|(), _| Ok(Sample::default()));
        assert_eq!(rounds(pace, 1, &mut (), &mut [task]).unwrap()[0].len(), 1);
    }

    #[test]
    fn errors_end_it() {
        let pace = Pace { budget: Duration::ZERO, min_rounds: 1, max_rounds: 1, until: None };
        let task: Task<'static, ()> = Box::new(|_, _| anyhow::bail!("wrong"));
        assert!(rounds(pace, 1, &mut (), &mut [task]).is_err());
    }
}
