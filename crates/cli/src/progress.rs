//! A progress bar on stderr, if that is a terminal and the work turns out to be long.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use logloss_io::Observer;

use crate::interrupt;

/// Shorter work than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(500);
const REDRAWS_PER_SECOND: u8 = 10;
const TEMPLATE: &str = "{bar:40} {percent:>3} %  {msg}  {eta} left";

/// The progress of one piece of work, which Ctrl-C interrupts. The bar is wiped when this is dropped.
pub(crate) struct Progress {
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), bar: None }
    }

    /// Shows `done` of `total`, in any unit, and how many values that is.
    pub(crate) fn show(&mut self, (done, total): (u64, u64), values: u64) {
        if self.begun.elapsed() < PATIENCE {
            return;
        }
        let begun = self.begun;
        let bar = self.bar.get_or_insert_with(|| {
            // Hides itself where stderr is not a terminal.
            let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
            let bar = ProgressBar::with_draw_target(Some(total), target).with_elapsed(begun.elapsed());
            bar.with_style(ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_message(format!("{} values", HumanCount(values)));
        bar.set_position(done);
    }
}

impl Observer for Progress {
    fn progress(&mut self, done: u64, total: u64, values: u64) {
        self.show((done, total), values);
    }

    fn interrupted(&self) -> bool {
        interrupt::is_pressed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
