//! Which values of the whole batch were evaluated, in pieces, and the values of unfinished blocks at the ends of each.

use std::{cmp::Ordering, ops::Range};

use smallvec::SmallVec;

use super::{block_tree::BlockSums, kept::Kept};
use crate::Misfit;

/// Consecutive values that were evaluated.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Piece {
    /// The index of the first value, and that after the last.
    first: u64,
    end: u64,
    /// The values from the first one on, if it lies inside a block: until the block ends, or the piece.
    head: Option<Box<Kept>>,
    /// The values until the last one from the beginning of its block on, if the block does not end with it.
    tail: Option<Box<Kept>>,
}

/// Pieces in the order of their indices, of which no two are neighbours.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pieces(SmallVec<[Piece; 1]>);

/// What changes in the sums when two neighbours in a block come together.
pub(crate) struct Change {
    /// What the two added, each as it lay.
    pub removed: [BlockSums; 2],
    /// What they add together.
    pub added: BlockSums,
}

impl Piece {
    /// The values of `range`, of which none are kept.
    pub(crate) fn new(range: Range<u64>) -> Self {
        Self { first: range.start, end: range.end, head: None, tail: None }
    }

    /// Keeps values that begin with the piece, or that end with it.
    pub(crate) fn keep(&mut self, first: u64, kept: Kept) {
        let inside = !first.is_multiple_of(kept.tree.unit());
        *(if inside { &mut self.head } else { &mut self.tail }) = Some(Box::new(kept));
    }

    /// The values kept of the block that the piece ends in.
    fn at_end(&self) -> Option<&Kept> {
        let head = self.head.as_deref().filter(|head| head.len() == self.end - self.first);
        self.tail.as_deref().or(head.filter(|head| !self.end.is_multiple_of(head.tree.unit())))
    }

    /// Checks that `next`, which begins where this piece ends, completes it.
    fn check_next(&self, next: &Self) -> Result<(), Misfit> {
        match (self.at_end(), &next.head) {
            (None, None) => Ok(()),
            (Some(kept), Some(head)) if kept.tree == head.tree => Ok(()),
            (Some(_), Some(_)) => Err(Misfit::Devices { index: self.end }),
            _ => Err(Misfit::NotKept { index: self.end }),
        }
    }

    /// Adds the piece that begins where this one ends, and says what changes in the sums.
    fn append(&mut self, next: Self) -> Option<Change> {
        let whole = self.end - self.first;
        let end = std::mem::replace(&mut self.end, next.end);
        let Some(head) = next.head else {
            self.tail = next.tail;
            return None;
        };
        let mut kept = match self.tail.take() {
            Some(tail) => tail,
            None => self.head.take_if(|head| head.len() == whole)?,
        };
        let first = end - kept.len();
        let removed = [kept.sums(first), head.sums(end)];
        kept.append(&head);
        let added = kept.sums(first);
        let unit = kept.tree.unit();
        if !first.is_multiple_of(unit) {
            self.head = Some(kept);
        } else if kept.len() < unit {
            self.tail = Some(kept);
        }
        // `next` has a tail only if its head ends its block.
        if next.tail.is_some() {
            self.tail = next.tail;
        }
        Some(Change { removed, added })
    }

    /// The indices at which the blocks begin of which values are kept, but for one that the piece ends with if `is_last`.
    fn cut(&self, is_last: bool) -> impl Iterator<Item = u64> {
        let head = self.head.as_ref().map(|head| self.first - self.first % head.tree.unit());
        let tail = self.tail.as_ref().filter(|_| !is_last).map(|tail| self.end - tail.len());
        head.into_iter().chain(tail)
    }
}

impl From<Piece> for Pieces {
    /// The piece; nothing if it has no values.
    fn from(piece: Piece) -> Self {
        Self(if piece.first == piece.end { SmallVec::new() } else { SmallVec::from_buf([piece]) })
    }
}

impl Pieces {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The indices of the values of each piece.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|piece| piece.first..piece.end)
    }

    /// The number of blocks of which values are missing, not counting what may follow the last value.
    pub(crate) fn cut_blocks(&self) -> u64 {
        let last = self.0.len().saturating_sub(1);
        let mut cut: Vec<u64> = self.0.iter().enumerate().flat_map(|(i, piece)| piece.cut(i == last)).collect();
        // In order; two pieces may lie in one block.
        cut.dedup();
        cut.len() as u64
    }

    /// Checks that `other` can be merged.
    pub(crate) fn check(&self, other: &Self) -> Result<(), Misfit> {
        for piece in &other.0 {
            let after = self.after(piece);
            let (before, after) = (after.checked_sub(1).and_then(|i| self.0.get(i)), self.0.get(after));
            if let Some(before) = before {
                match before.end.cmp(&piece.first) {
                    Ordering::Greater => {
                        return Err(Misfit::Overlap { start: piece.first, end: before.end.min(piece.end) });
                    }
                    Ordering::Equal => before.check_next(piece)?,
                    Ordering::Less => {}
                }
            }
            if let Some(after) = after {
                match piece.end.cmp(&after.first) {
                    Ordering::Greater => {
                        return Err(Misfit::Overlap { start: after.first, end: piece.end.min(after.end) });
                    }
                    Ordering::Equal => piece.check_next(after)?,
                    Ordering::Less => {}
                }
            }
        }
        Ok(())
    }

    /// The index among the pieces of the first that begins after `piece` does.
    fn after(&self, piece: &Piece) -> usize {
        self.0.partition_point(|other| other.first <= piece.first)
    }

    /// Adds the pieces of `other`, which was [checked](Self::check), and tells `change` what changes in the sums.
    pub(crate) fn merge(&mut self, other: &Self, mut change: impl FnMut(Change)) {
        for piece in &other.0 {
            let mut at = self.after(piece);
            if at > 0 && self.0[at - 1].end == piece.first {
                at -= 1;
                self.0[at].append(piece.clone()).map(&mut change);
            } else {
                self.0.insert(at, piece.clone());
            }
            if self.0.get(at + 1).is_some_and(|next| next.first == self.0[at].end) {
                let next = self.0.remove(at + 1);
                self.0[at].append(next).map(&mut change);
            }
        }
    }
}

#[cfg(feature = "serde")]
impl Pieces {
    /// Whether so many values may have been counted: any number if no place is known.
    pub(super) fn may_count(&self, count: u64) -> bool {
        let len = self.ranges().try_fold(0u64, |len, range| len.checked_add(range.end - range.start));
        self.is_empty() || len.is_some_and(|len| count <= len)
    }

    /// Whether a value with this index may be one of those merged.
    pub(super) fn may_contain(&self, index: u64) -> bool {
        self.is_empty() || self.ranges().any(|range| range.contains(&index))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Pieces {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Pieces {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pieces = Vec::<Piece>::deserialize(deserializer)?;
        let in_order = pieces.windows(2).all(|pair| pair[0].end < pair[1].first);
        if !in_order || !pieces.iter().all(Piece::is_consistent) {
            return Err(serde::de::Error::custom("pieces that are not in order, or keep values of other blocks"));
        }
        Ok(Self(pieces.into()))
    }
}

#[cfg(feature = "serde")]
impl Piece {
    /// Whether the values kept are of one block each and lie where they are said to.
    fn is_consistent(&self) -> bool {
        let len = self.end.saturating_sub(self.first);
        let fits = |kept: &Kept, first: u64| {
            let unit = kept.tree.unit();
            unit > 0
                && (1..=len).contains(&kept.len())
                && kept.len() < unit
                && (first % unit).saturating_add(kept.len()) <= unit
                && kept.tree.is_consistent(first, kept.len())
                && kept.weights.as_ref().is_none_or(|weights| weights.len() == kept.losses.len())
        };
        let head = self.head.as_ref().is_none_or(|head| {
            let end = self.first.saturating_add(head.len());
            fits(head, self.first)
                && !self.first.is_multiple_of(head.tree.unit())
                && (end == self.end || end.is_multiple_of(head.tree.unit()))
        });
        let tail = self.tail.as_ref().is_none_or(|tail| {
            let first = self.end.saturating_sub(tail.len());
            fits(tail, first) && first.is_multiple_of(tail.tree.unit())
        });
        let apart = self.head.as_ref().map_or(0, |head| head.len()) + self.tail.as_ref().map_or(0, |tail| tail.len());
        len > 0 && head && tail && apart <= len
    }
}
