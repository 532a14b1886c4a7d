//! Parts decoded by a thread of their own while an earlier one is evaluated.

use std::{
    io, panic,
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
};

use anyhow::Result;

use super::rows::{Columns, Gathered, Rows};

/// Parts that wait to be evaluated. With the one that is evaluated and the one that is decoded they are all there are.
const WAITING: usize = 1;

/// The thread, which ends by itself when nobody takes its parts any more.
pub struct Ahead {
    parts: Receiver<Result<Gathered>>,
    /// Where parts go back to, to be filled again.
    used: Sender<Gathered>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Begins with the first row, to read `most` of them a part.
    pub fn start(columns: Columns, most: usize) -> io::Result<Self> {
        let (sender, parts) = mpsc::sync_channel(WAITING);
        let (used, returned) = mpsc::channel::<Gathered>();
        let read = move || {
            let mut rows = Rows::new(columns);
            loop {
                let mut part = returned.try_recv().unwrap_or_else(|_| rows.columns().gathered());
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

    /// The next part, in exchange for one that is done with. None after the last.
    pub fn exchange(&mut self, used: Option<Gathered>) -> Result<Option<Gathered>> {
        if let Some(used) = used {
            // A thread that has come to its end takes none back.
            let _ = self.used.send(used);
        }
        match self.parts.recv() {
            Ok(part) => part.map(Some),
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => panic::resume_unwind(panic),
                _ => Ok(None),
            },
        }
    }
}
