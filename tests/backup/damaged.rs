//! Streams that were cut or damaged: an error that says where, and nothing changes.

use crate::source::{Source, assert_unchanged};
use pentimento::{Database, Error, StreamError, verify_stream};

/// Where each chunk of a stream begins, and its end.
pub fn boundaries(stream: &[u8]) -> Vec<usize> {
    let mut at = 80;
    let mut found = vec![];
    while at < stream.len() {
        found.push(at);
        at += 24 + u32::from_le_bytes(stream[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    assert_eq!(at, stream.len());
    found
}

fn stream() -> (Source, Vec<u8>) {
    let mut source = Source::new(11);
    source.work(5);
    let stream = source.whole(&source.db.snapshot().unwrap());
    (source, stream)
}

#[test]
fn a_stream_that_is_cut_changes_nothing_and_says_what_is_there() {
    let (source, stream) = stream();
    let boundaries = boundaries(&stream);
    assert!(boundaries.len() > 20);
    let cuts = boundaries.iter().flat_map(|at| [*at, at + 1, at + 24, at + 30]).chain([0, 1, 7, 8, 60, 79]);
    for cut in cuts.filter(|cut| *cut < stream.len()) {
        let copy = Database::in_memory().unwrap();
        let mut receiver = copy.receiver().unwrap();
        let failed = assert_unchanged(&copy, || receiver.receive(&stream[..cut]).unwrap_err());
        let whole = boundaries.iter().filter(|at| **at <= cut).count().saturating_sub(1) as u64;
        match failed {
            Error::Stream(StreamError::NotAStream { .. }) => assert_eq!(cut, 0),
            Error::Stream(StreamError::Cut { chunks }) => assert_eq!(chunks, whole),
            other => panic!("cut at {cut}: {other}"),
        }
        assert_eq!(receiver.position().map_or(0, |position| position.chunks()), whole);
        assert!(verify_stream(&stream[..cut]).is_err());
        // The same again, from its beginning, and this time whole.
        receiver.receive(stream.as_slice()).unwrap();
        source.assert_copy(&copy, source.db.timestamp());
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let (_, stream) = stream();
    let (copy, mut random) = (Database::in_memory().unwrap(), crate::simulated::Random::new(5));
    let everywhere_in_heads = boundaries(&stream).into_iter().flat_map(|at| at..at + 24).chain(0..80);
    let anywhere: Vec<usize> = (0..2000).map(|_| random.below(stream.len() as u64) as usize).collect();
    for at in everywhere_in_heads.chain(anywhere) {
        let mut flipped = stream.clone();
        flipped[at] ^= 1 << random.below(8);
        let failed = verify_stream(flipped.as_slice());
        assert!(matches!(failed, Err(Error::Stream(_))), "byte {at}: {failed:?}");
        if random.one_in(40) {
            assert_unchanged(&copy, || copy.receive(flipped.as_slice()).unwrap_err());
        }
    }
}

#[test]
fn chunks_that_are_left_out_repeated_or_exchanged_are_found() {
    let (_, stream) = stream();
    let boundaries = boundaries(&stream);
    let chunk = |number: usize| &stream[boundaries[number]..boundaries[number + 1]];
    let head = &stream[..boundaries[3]];
    let tail = |number: usize| &stream[boundaries[number]..];
    for wrong in [
        [head, tail(4)].concat(),
        [head, chunk(2), tail(3)].concat(),
        [head, chunk(4), chunk(3), tail(5)].concat(),
        [head, tail(boundaries.len() - 1)].concat(),
    ] {
        assert!(matches!(verify_stream(wrong.as_slice()), Err(Error::Stream(StreamError::Damaged { chunk: 3, .. }))));
    }
}

#[test]
fn what_is_no_stream_is_told_apart() {
    for bytes in [
        &b"hello"[..],
        &[0; 500],
        b"PENTIMNT and more, so long that it could be the head of a stream, if it were one, and then some",
    ] {
        let failed = verify_stream(bytes);
        assert!(matches!(failed, Err(Error::Stream(StreamError::NotAStream { .. }))), "{failed:?}");
    }
    let (_, mut stream) = stream();
    stream[8] = 77;
    let failed = verify_stream(stream.as_slice());
    assert!(matches!(failed, Err(Error::Stream(StreamError::UnsupportedVersion { found: 77, supported: 1 }))));
}

/// Whoever makes checksums right can still only make an error, or a store that is whole.
#[test]
fn forged_chunks_do_no_harm() {
    let (_, stream) = stream();
    let mut random = crate::simulated::Random::new(6);
    let boundaries = boundaries(&stream);
    for _ in 0..300 {
        let mut forged = stream[..80].to_vec();
        let mut previous = u32::from_le_bytes(forged[60..64].try_into().unwrap());
        let victim = random.below(boundaries.len() as u64) as usize;
        for (number, at) in boundaries.iter().enumerate() {
            let end = boundaries.get(number + 1).map_or(stream.len(), |end| *end);
            let mut chunk = stream[*at..end].to_vec();
            if number == victim {
                for _ in 0..random.within(1, 4) {
                    let len = chunk.len() as u64;
                    chunk[random.within(24, len) as usize % len as usize] = random.next() as u8;
                }
            }
            chunk[16..20].copy_from_slice(&previous.to_le_bytes());
            let mut crc = crc32fast::Hasher::new();
            crc.update(&chunk[..20]);
            crc.update(&chunk[24..]);
            previous = crc.finalize();
            chunk[20..24].copy_from_slice(&previous.to_le_bytes());
            forged.extend_from_slice(&chunk);
        }
        let copy = Database::in_memory().unwrap();
        let received = copy.receive(forged.as_slice());
        assert_eq!(received.is_ok(), verify_stream(forged.as_slice()).is_ok());
        crate::common::assert_clean(&copy);
    }
}
