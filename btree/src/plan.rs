//! How a run is divided among nodes.
//!
//! Promises: each piece fits in a node, unless it cannot be divided further; between two pieces of a branch exactly one
//! separator is left out, which moves up. Every piece of a leaf has at least one entry, of a branch one separator.

use std::ops::Range;

use crate::pages::Fault;
use crate::run::{Run, size};

/// Where the free space is to be after a division.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lean {
    /// Halves, by bytes.
    Even,
    /// Full nodes, and the rest in the last one: for keys that arrive in ascending order.
    Left,
    /// Full nodes, and the rest in the first one: for keys that arrive in descending order.
    Right,
}

/// Divides `run` among nodes of at most `capacity` bytes; among two at least if `divide` and it is possible.
pub(crate) fn plan(run: &Run, lean: Lean, capacity: usize, divide: bool) -> Result<Vec<Range<usize>>, Fault> {
    run.check_order()?;
    let mut weights = Vec::with_capacity(run.len() + 1);
    let mut total = 0;
    weights.push(total);
    for index in 0..run.len() {
        total += run.weight(index);
        weights.push(total);
    }
    let planner = Planner { run, weights, capacity, gap: usize::from(run.level > 0) };
    let mut pieces = Vec::new();
    planner.divide(0..run.len(), lean, divide, &mut pieces);
    Ok(pieces)
}

struct Planner<'r> {
    run: &'r Run,
    /// The weights of the entries before each one, summed up.
    weights: Vec<usize>,
    capacity: usize,
    /// How many entries are left out between pieces.
    gap: usize,
}

impl Planner<'_> {
    fn fits(&self, range: &Range<usize>) -> bool {
        let weight = self.weights[range.end] - self.weights[range.start];
        size(range.len(), self.run.prefix_len(range), weight) <= self.capacity
    }

    fn divide(&self, range: Range<usize>, lean: Lean, divide: bool, pieces: &mut Vec<Range<usize>>) {
        let Range { start, end } = range;
        if range.len() < 2 + self.gap || (!divide && self.fits(&range)) {
            pieces.push(range);
            return;
        }
        match lean {
            Lean::Even => {
                let middle = self.weights[start] + (self.weights[end] - self.weights[start]) / 2;
                let at = self.weights[start..end].partition_point(|weight| *weight < middle) + start;
                let at = at.clamp(start + 1, end - 1 - self.gap);
                self.divide(start..at, lean, false, pieces);
                self.divide(at + self.gap..end, lean, false, pieces);
            }
            Lean::Left => {
                let most = end - 1 - self.gap;
                let mut at = start + 1;
                while at < most && self.fits(&(start..at + 1)) {
                    at += 1;
                }
                pieces.push(start..at);
                // Not a recursion: a bulk load has many pieces.
                let mut rest = at + self.gap..end;
                while rest.len() >= 2 + self.gap && !self.fits(&rest) {
                    let mut at = rest.start + 1;
                    while at < end - 1 - self.gap && self.fits(&(rest.start..at + 1)) {
                        at += 1;
                    }
                    pieces.push(rest.start..at);
                    rest = at + self.gap..end;
                }
                pieces.push(rest);
            }
            Lean::Right => {
                let least = start + 1 + self.gap;
                let mut at = end - 1;
                while at > least && self.fits(&(at - 1..end)) {
                    at -= 1;
                }
                self.divide(start..at - self.gap, Lean::Even, false, pieces);
                pieces.push(at..end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::Fill;
    use pentimento_storage::PageId;

    fn leaf(lens: &[usize]) -> Run {
        let mut run = Run::new(0, PageId(0));
        for (i, len) in lens.iter().enumerate() {
            run.insert(i, &[i as u8], Fill::Zeros(*len));
        }
        run
    }

    #[test]
    fn leaves_are_divided_without_gaps() {
        for lean in [Lean::Even, Lean::Left, Lean::Right] {
            for lens in [vec![100; 50], vec![1000; 7], vec![10, 3000, 10], vec![5000, 5000], vec![9000]] {
                let run = leaf(&lens);
                let pieces = plan(&run, lean, 4096, true).unwrap();
                let mut at = 0;
                for piece in &pieces {
                    assert_eq!(piece.start, at);
                    assert!(piece.len() == 1 || run.size(piece) <= 4096);
                    at = piece.end;
                }
                assert_eq!(at, lens.len());
                assert!(pieces.len() > 1 || lens.len() == 1);
            }
        }
    }

    #[test]
    fn branches_leave_one_separator_out() {
        for lean in [Lean::Even, Lean::Left, Lean::Right] {
            let mut run = Run::new(1, PageId(0));
            for i in 0..100u8 {
                run.push_child(&[&[i], vec![b'k'; 200].as_slice()].concat(), PageId(u32::from(i)));
            }
            let pieces = plan(&run, lean, 4096, false).unwrap();
            for pair in pieces.windows(2) {
                assert_eq!(pair[0].end + 1, pair[1].start);
            }
            assert!(pieces.iter().all(|piece| !piece.is_empty() && run.size(piece) <= 4096));
            assert_eq!((pieces[0].start, pieces[pieces.len() - 1].end), (0, 100));
        }
    }
}
