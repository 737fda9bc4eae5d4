//! The operations in a chunk.
//!
//! ```text
//! tree       1  name                  the operations that follow are on this tree, which is made if it is missing
//! put        2  key  value
//! remove     3  key
//! drop tree  4  name
//! part       5  key  total  offset  bytes     a piece of a value of so many bytes; the pieces of a value follow one another
//! ```
//!
//! Names, keys, values and bytes are a length (LEB128) followed by bytes; total and offset are LEB128. Each chunk that is on a tree names it anew, so a
//! chunk needs nothing of those before it.

use std::str;

const TREE: u8 = 1;
const PUT: u8 = 2;
const REMOVE: u8 = 3;
const DROP_TREE: u8 = 4;
const PART: u8 = 5;

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op<'b> {
    Tree(&'b str),
    Put(&'b [u8], &'b [u8]),
    Remove(&'b [u8]),
    DropTree(&'b str),
    Part { key: &'b [u8], total: u64, offset: u64, bytes: &'b [u8] },
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_field(bytes: &mut Vec<u8>, field: &[u8]) {
    put_number(bytes, field.len() as u64);
    bytes.extend_from_slice(field);
}

impl Op<'_> {
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        match *self {
            Op::Tree(name) => {
                bytes.push(TREE);
                put_field(bytes, name.as_bytes());
            }
            Op::Put(key, value) => {
                bytes.push(PUT);
                put_field(bytes, key);
                put_field(bytes, value);
            }
            Op::Remove(key) => {
                bytes.push(REMOVE);
                put_field(bytes, key);
            }
            Op::DropTree(name) => {
                bytes.push(DROP_TREE);
                put_field(bytes, name.as_bytes());
            }
            Op::Part { key, total, offset, bytes: part } => {
                bytes.push(PART);
                put_field(bytes, key);
                put_number(bytes, total);
                put_number(bytes, offset);
                put_field(bytes, part);
            }
        }
    }

    /// About how many bytes it takes, and never more.
    pub fn most_bytes(&self) -> usize {
        match self {
            Op::Tree(name) | Op::DropTree(name) => 11 + name.len(),
            Op::Put(key, value) => 21 + key.len() + value.len(),
            Op::Remove(key) => 11 + key.len(),
            Op::Part { key, bytes, .. } => 41 + key.len() + bytes.len(),
        }
    }
}

/// The operations of a body, in order; after an error there are no more.
pub(crate) struct Ops<'b> {
    rest: &'b [u8],
}

impl<'b> Ops<'b> {
    pub fn new(body: &'b [u8]) -> Ops<'b> {
        Ops { rest: body }
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        let (&first, rest) = self.rest.split_first().ok_or("it ends within an operation")?;
        self.rest = rest;
        Ok(first)
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        let mut number = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number is too long")
    }

    fn field(&mut self) -> Result<&'b [u8], &'static str> {
        let len = usize::try_from(self.number()?).map_err(|_| "a field is too long")?;
        let (field, rest) = self.rest.split_at_checked(len).ok_or("a field ends past the chunk")?;
        self.rest = rest;
        Ok(field)
    }

    fn name(&mut self) -> Result<&'b str, &'static str> {
        str::from_utf8(self.field()?).map_err(|_| "a tree's name is not UTF-8")
    }

    fn op(&mut self) -> Result<Op<'b>, &'static str> {
        match self.byte()? {
            TREE => Ok(Op::Tree(self.name()?)),
            PUT => Ok(Op::Put(self.field()?, self.field()?)),
            REMOVE => Ok(Op::Remove(self.field()?)),
            DROP_TREE => Ok(Op::DropTree(self.name()?)),
            PART => {
                let (key, total) = (self.field()?, self.number()?);
                Ok(Op::Part { key, total, offset: self.number()?, bytes: self.field()? })
            }
            _ => Err("an operation has an unknown kind"),
        }
    }
}

impl<'b> Iterator for Ops<'b> {
    type Item = Result<Op<'b>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let op = self.op();
        if op.is_err() {
            self.rest = &[];
        }
        Some(op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_back() {
        let long = vec![7; 300];
        let ops = [
            Op::Tree("orders"),
            Op::Put(b"key", &long),
            Op::Put(b"", b""),
            Op::Remove(&long),
            Op::Part { key: b"large", total: 1 << 30, offset: 1 << 29, bytes: &long },
            Op::DropTree("gone"),
        ];
        let mut body = Vec::new();
        for op in &ops {
            let before = body.len();
            op.encode(&mut body);
            assert!(body.len() - before <= op.most_bytes(), "{op:?}");
        }
        let read: Vec<Op<'_>> = Ops::new(&body).map(Result::unwrap).collect();
        assert_eq!(read, ops);
        for end in 0..body.len() {
            let last = Ops::new(&body[..end]).last();
            assert!(last.is_none_or(|last| last.is_err() || ops.contains(&last.unwrap())), "cut at {end}");
        }
        assert!(Ops::new(&[PUT, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).next().unwrap().is_err());
    }
}
