//! Times tasks in turn until their time is up, so that a disturbance of the machine hits all of them.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use crate::{
    Observer,
    error::{Error, Result},
};

/// One measurement. Times are seconds per call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// The time of the whole call, by the wall clock.
    pub call: f64,
    /// The time spent computing, as far as the device tells it.
    pub kernel: f64,
    /// Whether `kernel` is by the device's own clock.
    pub timestamps: bool,
    /// The time spent copying inputs to the device.
    pub upload: f64,
    /// The time spent copying outputs to the host.
    pub readback: f64,
}

impl Sample {
    /// The sample of calls that were timed together by the wall clock alone.
    pub(crate) fn wall(elapsed: Duration, calls: &Range<usize>) -> Self {
        Self { call: elapsed.as_secs_f64() / calls.len() as f64, ..Self::default() }
    }
}

/// How long tasks are timed.
#[derive(Clone, Copy)]
pub(crate) struct Pace<'o> {
    /// The time for all tasks together.
    pub budget: Duration,
    /// The least number of rounds, however long they take.
    pub min_rounds: usize,
    /// The largest number of rounds.
    pub max_rounds: usize,
    /// The time from which on one round is enough.
    pub until: Option<Instant>,
    /// Who may end the measurement.
    pub observer: &'o dyn Observer,
}

impl Pace<'_> {
    /// Fails if the measurement is to end.
    pub(crate) fn check(&self) -> Result<()> {
        if self.observer.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// The time in seconds below which several calls are timed together: reading the clock takes some 30 ns.
const SHORTEST: f64 = 50e-6;
/// The number of calls before a task is timed, after those that touch every set once, if calls take less than `SLOW`.
const WARM_UP: usize = 3;
/// The time in seconds above which a call needs no warming up.
const SLOW: f64 = 10e-3;

/// A piece of work that is timed. It does the calls with the numbers of the range, and returns their mean times.
pub(crate) type Task<'a, C> = Box<dyn FnMut(&mut C, Range<usize>) -> Result<Sample> + 'a>;

/// Times the tasks in turn, and returns the samples of each. After `sets` calls a task has touched all of its data.
///
/// # Errors
/// If a task fails, or the observer ends the measurement.
pub(crate) fn rounds<C>(
    pace: Pace<'_>,
    sets: usize,
    context: &mut C,
    tasks: &mut [Task<'_, C>],
) -> Result<Vec<Vec<Sample>>> {
    let mut calls = Vec::with_capacity(tasks.len());
    for task in tasks.iter_mut() {
        let mut one = timed(|| task(context, 0..sets))? / sets as f64;
        if one < SLOW {
            one = timed(|| task(context, 0..WARM_UP))? / WARM_UP as f64;
        }
        calls.push((SHORTEST / one.max(1e-9)).ceil().clamp(1.0, 65_536.0) as usize);
    }
    let mut samples = vec![Vec::new(); tasks.len()];
    // Tasks may work on the same memory: at the same batch, one would find in the cache what another has just read.
    let mut next: Vec<usize> = (0..tasks.len()).map(|i| i * sets / tasks.len()).collect();
    let begun = Instant::now();
    for round in 0..pace.max_rounds {
        let late = round > 0 && pace.until.is_some_and(|until| Instant::now() > until);
        if late || round >= pace.min_rounds && begun.elapsed() >= pace.budget {
            break;
        }
        pace.check()?;
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

    fn pace(min_rounds: usize, max_rounds: usize) -> Pace<'static> {
        Pace { budget: Duration::ZERO, min_rounds, max_rounds, until: None, observer: &() }
    }

    #[test]
    fn in_turn_and_bounded() {
        let task = |name: char| -> Task<'static, String> {
            Box::new(move |log, calls| {
                log.push(name);
                Ok(Sample { call: calls.len() as f64, ..Sample::default() })
            })
        };
        let mut log = String::new();
        let samples = rounds(pace(4, 10), 2, &mut log, &mut [task('a'), task('b')]).unwrap();
        assert_eq!(log, "aabbabababab");
        assert_eq!(samples.len(), 2);
        assert!(samples.iter().all(|samples| samples.len() == 4));
        // A short call is timed many at once.
        assert!(samples[0][0].call > 1.0);
    }

    #[test]
    fn never_at_the_same_batch() {
        let task = |name: usize| -> Task<'static, Vec<(usize, usize)>> {
            Box::new(move |log, calls| {
                log.push((name, calls.start % 9));
                // Slow enough to be timed one call at a time.
                std::thread::sleep(Duration::from_micros(100));
                Ok(Sample::default())
            })
        };
        let mut log = Vec::new();
        rounds(pace(20, 20), 9, &mut log, &mut [task(0), task(1), task(2)]).unwrap();
        for round in log[6..].chunks(3) {
            let at: Vec<usize> = round.iter().map(|(_, set)| *set).collect();
            assert!(at[1] == (at[0] + 3) % 9 && at[2] == (at[0] + 6) % 9, "{round:?}");
        }
    }

    #[test]
    fn late_is_once() {
        let pace = Pace { budget: Duration::MAX, until: Some(Instant::now()), ..pace(4, 10) };
        let task: Task<'static, ()> = Box::new(|(), _| Ok(Sample::default()));
        assert_eq!(rounds(pace, 1, &mut (), &mut [task]).unwrap()[0].len(), 1);
    }

    #[test]
    fn errors_end_it() {
        let task: Task<'static, ()> = Box::new(|_, _| Err(Error::WrongAnswer("the sum".into())));
        assert!(matches!(rounds(pace(1, 1), 1, &mut (), &mut [task]), Err(Error::WrongAnswer(_))));
    }

    #[test]
    fn observers_end_it() {
        struct Impatient;
        impl Observer for Impatient {
            fn interrupted(&self) -> bool {
                true
            }
        }
        let pace = Pace { observer: &Impatient, ..pace(1, 1) };
        let task: Task<'static, ()> = Box::new(|(), _| Ok(Sample::default()));
        assert!(matches!(rounds(pace, 1, &mut (), &mut [task]), Err(Error::Interrupted)));
    }
}
