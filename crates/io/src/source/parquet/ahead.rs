//! Parts decoded by a thread of their own while an earlier one is evaluated.

use std::{
    io, panic,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use rayon::Yield;

use super::rows::{Columns, DecodedPart, RowReader};
use crate::Result;

/// The number of parts that wait to be evaluated. One more is being evaluated, and one being decoded.
const WAITING: usize = 1;
/// The time that a thread which could decode waits for a part before it looks again whether it can help.
const IDLE: Duration = Duration::from_micros(50);

/// The thread that reads ahead. It ends by itself when this is dropped.
pub(super) struct Ahead {
    parts: Receiver<Result<DecodedPart>>,
    /// Takes back parts, to be filled again.
    used: Sender<DecodedPart>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Begins with the first row, to read `most` of them a part.
    pub(super) fn start(columns: Columns, most: usize) -> io::Result<Self> {
        let (sender, parts) = mpsc::sync_channel(WAITING);
        let (used, returned) = mpsc::channel::<DecodedPart>();
        let read = move || {
            let mut rows = RowReader::new(columns);
            loop {
                let mut part = returned.try_recv().unwrap_or_else(|_| rows.columns().empty_part());
                let read = match rows.read(most, &mut part) {
                    Ok(()) if part.rows == 0 => break,
                    Ok(()) => Ok(part),
                    Err(error) => Err(error),
                };
                let is_last = read.is_err();
                if sender.send(read).is_err() || is_last {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("parquet".to_owned()).spawn(read)?;
        Ok(Self { parts, used, thread: Some(thread) })
    }

    /// The next part, in exchange for one that is no longer needed. None after the last.
    pub(super) fn exchange(&mut self, used: Option<DecodedPart>) -> Result<Option<DecodedPart>> {
        if let Some(used) = used {
            // A thread that has come to its end takes none back.
            let _ = self.used.send(used);
        }
        match self.wait() {
            Ok(part) => part.map(Some),
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => panic::resume_unwind(panic),
                _ => Ok(None),
            },
        }
    }

    /// The next part, or an error if there is none. A waiting thread that belongs to the pool decodes meanwhile: it may be
    /// the only one that can.
    fn wait(&self) -> Result<Result<DecodedPart>, RecvTimeoutError> {
        if rayon::current_thread_index().is_none() {
            return self.parts.recv().map_err(|_| RecvTimeoutError::Disconnected);
        }
        loop {
            let brief = if rayon::yield_now() == Some(Yield::Executed) { Duration::ZERO } else { IDLE };
            match self.parts.recv_timeout(brief) {
                Err(RecvTimeoutError::Timeout) => {}
                part => return part,
            }
        }
    }
}
