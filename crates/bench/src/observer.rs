//! What a caller learns of a measurement while it runs, and how it ends one early.

/// Follows a measurement. Every method has a default that does nothing, so that an observer implements what it needs.
///
/// `()` shows nothing and never interrupts.
///
/// ```
/// use logloss_bench::Observer;
///
/// /// Counts the rows that are done.
/// #[derive(Default)]
/// struct Rows(usize);
///
/// impl Observer for Rows {
///     fn row_done(&mut self) {
///         self.0 += 1;
///     }
/// }
///
/// assert!(!Rows::default().interrupted());
/// ```
pub trait Observer {
    /// Called once, before the first row, with the number of rows that are planned.
    fn begin(&mut self, rows: usize) {
        let _ = rows;
    }

    /// Called with what is done from now on, in words: `cpu: mean of 2^20 f32/u8`.
    fn doing(&mut self, what: &str) {
        let _ = what;
    }

    /// Called after each of the planned rows, whether it was measured or skipped.
    fn row_done(&mut self) {}

    /// Whether the measurement is to end now, with [`Error::Interrupted`](crate::Error::Interrupted). This is asked
    /// before every round of samples, many times a second.
    fn interrupted(&self) -> bool {
        false
    }
}

impl Observer for () {}
