//! Rows of the CPU: an evaluation is timed in turn with passes over the same memory that compute nothing.

use std::{num::NonZeroUsize, ops::Range, thread, time::Instant};

use fearless_simd::Level;
use logloss::{Device, Engine, EngineOptions};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{
    Inputs, Limit, MeasuredDevice, Row, Spoil, Work,
    cell::Cell,
    check::Checker,
    data::{Data, OutputArrays},
    error::Result,
    host::{self, OutputSlices},
    measured::{Measurement, RowLimit},
    sampling::{Pace, Sample, Task, rounds},
    stats,
    traffic::{self, PassArrays, Threads, Way},
};

/// The CPU with some number of threads.
pub(crate) struct CpuBench {
    engine: Engine,
    checker: Checker,
    level: Level,
    /// The threads of the passes, where it is neither one nor all.
    pool: Option<ThreadPool>,
    /// The entry of the report.
    pub entry: MeasuredDevice,
}

/// The number of threads that the engine uses by default.
pub(crate) fn all_threads() -> NonZeroUsize {
    NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN)
}

impl CpuBench {
    /// The CPU with `threads` threads.
    pub(crate) fn new(threads: NonZeroUsize, spoil: Option<Spoil>) -> Result<Self> {
        let count = threads.get();
        let all = threads == all_threads();
        let (engine, pool) = if all {
            (Engine::cpu(), None)
        } else {
            let engine = Engine::new(EngineOptions::new(Device::Cpu).with_threads(threads))?;
            let pool = if count == 1 { None } else { Some(ThreadPoolBuilder::new().num_threads(count).build()?) };
            (engine, pool)
        };
        let info = engine.device();
        let name = match count {
            _ if all => "cpu".to_owned(),
            1 => "cpu (1 thread)".to_owned(),
            _ => format!("cpu ({count} threads)"),
        };
        let entry = MeasuredDevice {
            device: name,
            backend: info.backend.clone(),
            kind: info.kind.to_string(),
            driver: info.name.clone(),
            index: None,
            threads: Some(count),
            timestamps: false,
            first_call: None,
            limits: Vec::new(),
        };
        Ok(Self { checker: Checker::new(&info, spoil), engine, level: Level::new(), pool, entry })
    }

    fn threads(&self) -> Threads<'_> {
        match &self.pool {
            Some(pool) => Threads::Pool(pool),
            None if self.entry.threads == Some(1) => Threads::One,
            None => Threads::Global,
        }
    }

    /// Measures the bandwidth of the memory, over all of the data at once.
    pub(crate) fn measure_limits(&mut self, data: &Data, results: &mut OutputArrays, pace: Pace<'_>) -> Result<()> {
        let mut limits = Vec::new();
        for (what, work) in [("read", Work::MEAN), ("read 2, write 1", Work::GRADIENT)] {
            let cell = Cell { n: data.len(), inputs: Inputs::F32, work };
            let mut arrays = results.arrays(work.outputs)?;
            let ways = Way::all(work.count() > 0);
            let mut tasks: Vec<_> = ways.iter().map(|way| self.traffic(data, cell, 1, *way)).collect::<Result<_>>()?;
            let samples = rounds(pace, 1, &mut arrays, &mut tasks)?;
            for (way, samples) in ways.iter().zip(samples) {
                let seconds = stats::median(samples.iter().map(|sample| sample.call));
                let bytes = cell.bytes().iter().sum::<u64>() as f64;
                limits.push(Limit { what: format!("{what}{way}"), gb_per_s: stats::rounded(bytes / seconds / 1e9) });
            }
        }
        self.entry.limits = limits;
        Ok(())
    }

    /// Checks and measures one row.
    pub(crate) fn row(
        &self,
        data: &Data,
        results: &mut OutputArrays,
        cell: Cell,
        reach: u64,
        pace: Pace<'_>,
    ) -> Result<Row> {
        let sets = cell.sets(reach, data.len());
        let mut arrays = results.arrays(cell.work.outputs)?;
        let sum_error = host::check(&self.engine, &self.checker, data, cell, &mut arrays)
            .map_err(|error| error.of_row(&self.entry.device, cell))?;
        let mut tasks = vec![host::task(&self.engine, data, cell, sets)?];
        for way in Way::all(cell.work.count() > 0) {
            tasks.push(self.traffic(data, cell, sets, *way)?);
        }
        let samples = rounds(pace, sets, &mut arrays, &mut tasks)?;
        let seconds = |samples: &[Sample]| stats::median(samples.iter().map(|sample| sample.call));
        let limit = samples[1..].iter().map(|samples| seconds(samples)).fold(f64::INFINITY, f64::min);
        let what = if cell.work == Work::MEAN { "reading as many bytes" } else { "reading and writing as many bytes" };
        Ok(Measurement {
            device: &self.entry,
            cell,
            resident: false,
            sets,
            samples: &samples[0],
            limit: RowLimit { what, seconds: limit },
            sum_error,
        }
        .row())
    }

    /// A pass that reads and writes as many bytes as an evaluation, in the same arrays, and computes nothing.
    fn traffic<'a, 'r>(
        &'a self,
        data: &'a Data,
        cell: Cell,
        sets: usize,
        way: Way,
    ) -> Result<Task<'a, OutputSlices<'r>>> {
        let batches: Vec<_> = (0..sets)
            .map(|set| {
                data.batch(cell.inputs, set * cell.n, cell.n)
                    .map(|batch| [batch.predictions().bytes(), batch.targets().bytes()])
            })
            .collect::<Result<_>>()?;
        let (threads, level) = (self.threads(), self.level);
        Ok(Box::new(move |arrays, calls: Range<usize>| {
            let begun = Instant::now();
            let mut seen = 0;
            for set in calls.clone().map(|call| call % sets) {
                let range = set * cell.n..(set + 1) * cell.n;
                let writes = arrays
                    .each_mut()
                    .map(|array| if array.is_empty() { &mut [][..] } else { &mut array[range.clone()] });
                seen ^= traffic::pass(level, threads, cell.n, PassArrays { reads: batches[set], writes }, way);
            }
            let sample = Sample::wall(begun.elapsed(), &calls);
            std::hint::black_box(seen);
            Ok(sample)
        }))
    }
}

/// The number of logical cores that the process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
