//! Changes that need not know what they change: they are carried along, and applied to the newest value at the commit.
//!
//! Promises: applying several in a row gives the same as applying them one by one; sums wrap around, so the order of additions does not matter.

use crate::{Error, Result};

/// One blind change of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlindOp {
    /// Adds to a counter.
    Add(i64),
    /// Appends bytes.
    Append(Vec<u8>),
}

/// Blind changes of one value, in order, as few as can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlindOps(Vec<BlindOp>);

impl BlindOps {
    pub fn push(&mut self, op: BlindOp) {
        match (self.0.last_mut(), op) {
            (Some(BlindOp::Add(sum)), BlindOp::Add(delta)) => *sum = sum.wrapping_add(delta),
            (Some(BlindOp::Append(bytes)), BlindOp::Append(more)) => bytes.extend_from_slice(&more),
            (_, op) => self.0.push(op),
        }
    }

    /// The value that `old` becomes. `tree` and `key` are for the message.
    pub fn apply(&self, tree: &str, key: &[u8], old: Option<&[u8]>) -> Result<Vec<u8>> {
        let mut value = old.map(<[u8]>::to_vec);
        for op in &self.0 {
            value = Some(match op {
                BlindOp::Add(delta) => {
                    let sum = decode_counter(tree, key, value.as_deref())?.wrapping_add(*delta);
                    sum.to_le_bytes().to_vec()
                }
                BlindOp::Append(bytes) => {
                    let mut value = value.unwrap_or_default();
                    value.extend_from_slice(bytes);
                    value
                }
            });
        }
        Ok(value.unwrap_or_default())
    }
}

/// A counter: eight bytes, little-endian; one that is missing counts as zero.
pub(crate) fn decode_counter(tree: &str, key: &[u8], value: Option<&[u8]>) -> Result<i64> {
    let Some(value) = value else { return Ok(0) };
    let not_a_counter = |_| Error::NotACounter { tree: tree.to_owned(), key: key.to_vec(), len: value.len() };
    value.try_into().map(i64::from_le_bytes).map_err(not_a_counter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::{Arbitrary, Gen, quickcheck};

    impl Arbitrary for BlindOp {
        fn arbitrary(g: &mut Gen) -> BlindOp {
            if bool::arbitrary(g) { BlindOp::Add(i64::arbitrary(g)) } else { BlindOp::Append(Vec::arbitrary(g)) }
        }
    }

    quickcheck! {
        fn together_as_one_by_one(ops: Vec<BlindOp>) -> bool {
            let mut together = BlindOps::default();
            let mut one_by_one = Ok(None::<Vec<u8>>);
            for op in ops.iter().cloned() {
                let one = BlindOps(vec![op.clone()]);
                together.push(op);
                one_by_one = one_by_one.and_then(|value| one.apply("t", b"k", value.as_deref()).map(Some));
            }
            match one_by_one {
                Ok(value) => together.apply("t", b"k", None).unwrap() == value.unwrap_or_default(),
                Err(_) => together.apply("t", b"k", None).is_err(),
            }
        }
    }

    #[test]
    fn what_is_no_counter_is_refused() {
        let mut ops = BlindOps::default();
        ops.push(BlindOp::Add(i64::MAX));
        assert_eq!(ops.apply("t", b"k", Some(&1i64.to_le_bytes())).unwrap(), i64::MIN.to_le_bytes());
        let refused = ops.apply("t", b"k", Some(b"seven")).unwrap_err();
        assert!(matches!(refused, Error::NotACounter { len: 5, .. }) && !refused.is_retryable());
    }
}
