//! A line on stderr while the benchmark runs, if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const REDRAWS_PER_SECOND: u8 = 10;
const TICK: Duration = Duration::from_millis(250);
const TEMPLATE: &str = "{bar:30} {pos}/{len}  {elapsed} of about {duration}  {msg}";

/// Progress through a number of steps. The line is wiped when this is dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// Of `steps` steps.
    pub fn new(steps: usize) -> Self {
        // Hides itself where stderr is not a terminal.
        let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target)
            .with_style(ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Says what is done now.
    pub fn say(&self, what: String) {
        self.0.set_message(what);
    }

    /// One step is done, or left out.
    pub fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
