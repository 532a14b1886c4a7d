//! A line on stderr while a benchmark runs, if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use logloss_bench::Observer;

use crate::interrupt;

const REDRAWS_PER_SECOND: u8 = 10;
const TICK: Duration = Duration::from_millis(250);
const TEMPLATE: &str = "{bar:30} {pos}/{len}  {elapsed} of about {duration}  {msg}";

/// Shows the progress of a measurement, and ends it after Ctrl-C. The line is wiped when this is dropped.
#[derive(Default)]
pub(super) struct Progress {
    /// The line, from the first row on.
    bar: Option<ProgressBar>,
}

impl Observer for Progress {
    fn begin(&mut self, rows: usize) {
        // The target hides the line where stderr is not a terminal.
        let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
        let bar = ProgressBar::with_draw_target(Some(rows as u64), target)
            .with_style(ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(TICK);
        self.bar = Some(bar);
    }

    fn doing(&mut self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    fn row_done(&mut self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
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
