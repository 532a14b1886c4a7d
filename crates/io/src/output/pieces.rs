//! Bytes that are appended to a file, in pieces that lie in the page cache as one page each.

use std::io::{self, IoSlice, Write};

/// The number of bytes that are written at a time, at a multiple of as many: the huge page of most processors. Bytes
/// written across these bounds lie in small pages, each of which costs a page fault when the file is mapped.
const PIECE: usize = 2 << 20;

/// The bytes that were appended last, less than a piece, until there is a whole one.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    held: Vec<u8>,
}

impl Pieces {
    /// Writes the pieces that `bytes` make whole.
    pub(super) fn append(&mut self, file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
        let over = (self.held.len() + bytes.len()) % PIECE;
        match bytes.split_at_checked(bytes.len().wrapping_sub(over)) {
            Some((whole, rest)) => {
                write_both(file, &self.held, whole)?;
                self.held.clear();
                self.held.extend_from_slice(rest);
            }
            // Not one is whole yet.
            None => self.held.extend_from_slice(bytes),
        }
        Ok(())
    }

    /// Writes the rest, after which nothing is appended.
    pub(super) fn finish(&mut self, file: &mut impl Write) -> io::Result<()> {
        file.write_all(&self.held)?;
        self.held.clear();
        Ok(())
    }
}

/// Writes one after the other, at once where the system can: then they share their pages.
fn write_both(file: &mut impl Write, first: &[u8], second: &[u8]) -> io::Result<()> {
    let mut slices: &mut [_] = &mut [IoSlice::new(first), IoSlice::new(second)];
    // Drops what is empty.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => IoSlice::advance_slices(&mut slices, len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most `most` bytes at a time, every other time none.
    struct Reluctant {
        bytes: Vec<u8>,
        most: usize,
        interrupted: bool,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = bytes.len().min(self.most);
            self.bytes.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_byte_in_its_place() -> io::Result<()> {
        for most in [1000, PIECE - 1, usize::MAX] {
            let mut file = Reluctant { bytes: Vec::new(), most, interrupted: false };
            let (mut pieces, mut all) = (Pieces::default(), Vec::new());
            for len in [0, 128, 1, PIECE - 130, 1, 0, PIECE, 1, PIECE - 1, 3 * PIECE + 7, PIECE - 7, 2 * PIECE + 1, 5] {
                let bytes: Vec<u8> = (all.len()..all.len() + len).map(|i| (i % 251) as u8).collect();
                pieces.append(&mut file, &bytes)?;
                all.extend_from_slice(&bytes);
                assert_eq!(file.bytes.len(), all.len() - all.len() % PIECE);
            }
            pieces.finish(&mut file)?;
            assert!(file.bytes == all);
        }
        Ok(())
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut file: &mut [u8] = &mut [0; 100];
        let error = Pieces::default().append(&mut file, &[1; PIECE]).expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
