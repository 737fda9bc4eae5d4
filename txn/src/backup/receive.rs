//! Receiving a stream: staged as it comes, applied in one transaction when it is whole.
//!
//! Promises: until then nothing in the store changes, and no writer waits; what was staged outlasts the receiver and the process, and is as good as it is whole; whether the stream
//! fits is asked when it begins, and again under the writer's turn.

use super::apply::Applier;
use super::format::{HEADER_BYTES, Header, Identity, crc_in};
use super::position::ResumePosition;
use super::read::{Chunk, Chunks, read_header};
use super::send::StreamProgress;
use super::staging::Staging;
use super::{Origin, StoreId, StreamError};
use crate::sync::Ordering;
use crate::{Database, Result, Timestamp};
use std::fmt;
use std::io::Read;

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The store that it came from.
    pub source: StoreId,
    /// The moment of that store that this one holds now.
    pub timestamp: Timestamp,
    /// The moment that it was based on; `None` if it was whole.
    pub base: Option<Timestamp>,
    /// The commit of this store that brought it.
    pub commit: Timestamp,
    /// Entries that were set.
    pub puts: u64,
    /// Entries that were removed.
    pub removes: u64,
}

type Listener = Box<dyn FnMut(&StreamProgress) + Send>;

/// What is there of a stream.
#[derive(Debug)]
struct Staged {
    /// Where it ends.
    chunks: Chunks,
    /// The checksum of each chunk, and where it ends in the staged bytes.
    ends: Vec<(u32, u64)>,
}

impl Staged {
    fn new(identity: Identity) -> Staged {
        Staged { chunks: Chunks::new(identity), ends: Vec::new() }
    }

    fn len(&self) -> u64 {
        self.ends.last().map_or(HEADER_BYTES as u64, |(_, end)| *end)
    }

    /// What is whole of what lies there; `None` if that is nothing.
    fn recover(staging: &mut Staging) -> Result<Option<Staged>, StreamError> {
        let mut input = staging.reader()?;
        let identity = match read_header(&mut input) {
            Ok(header) if header.first == 0 => header.identity,
            Err(error @ StreamError::Io { .. }) => return Err(error),
            _ => return Ok(None),
        };
        let (mut staged, mut chunk) = (Staged::new(identity), Chunk::default());
        loop {
            match staged.chunks.read::<StreamError>(&mut input, &mut chunk, |_| Ok(())) {
                Ok(Some(())) => staged.note(&chunk),
                Err(error @ StreamError::Io { .. }) => return Err(error),
                Ok(None) | Err(_) => return Ok(Some(staged)),
            }
        }
    }

    fn note(&mut self, chunk: &Chunk) {
        let end = self.len() + (chunk.header.len() + chunk.body.len()) as u64;
        self.ends.push((crc_in(&chunk.header), end));
    }

    /// The chunk came after those of `before`, and leads to `after`; stages it if it is not there.
    fn take(&mut self, before: u64, after: &Chunks, chunk: &Chunk, staging: &mut Staging) -> Result<(), StreamError> {
        if self.ends.get(before as usize).is_some_and(|(crc, _)| *crc == crc_in(&chunk.header)) {
            return Ok(());
        }
        // Others behind it followed another chunk.
        self.ends.truncate(before as usize);
        staging.write(self.len(), [&chunk.header, &chunk.body])?;
        self.note(chunk);
        self.chunks = after.clone();
        Ok(())
    }
}

/// Receives backup streams into a store, one after the other. There is one at a time for a store; [`Database::receiver`] makes it.
///
/// ```
/// # use pentimento_txn as pentimento;
/// # let source = pentimento::Database::in_memory()?;
/// # let mut txn = source.begin_write()?;
/// # txn.tree("orders")?.insert("1001", "two chairs")?;
/// # txn.commit()?;
/// let (mut stream, copy) = (Vec::new(), pentimento::Database::in_memory()?);
/// source.backup(&mut stream)?;
/// let (first, cut) = (&stream[..stream.len() - 10], stream.len() - 10);
///
/// let mut receiver = copy.receiver()?;
/// assert!(receiver.receive(first).is_err()); // the line was cut; nothing has changed
/// let position = receiver.position().unwrap();
/// let mut rest = Vec::new();
/// source.backup_of(&source.snapshot()?).resume_at(position).write_to(&mut rest)?;
/// assert!(rest.len() < cut);
/// receiver.receive(rest.as_slice())?;
/// assert_eq!(copy.snapshot()?.tree("orders")?.len()?, 1);
/// # Ok::<(), pentimento::Error>(())
/// ```
#[must_use]
pub struct Receiver {
    db: Database,
    staging: Staging,
    staged: Option<Staged>,
    accepts_local_changes: bool,
    replaces_everything: bool,
    progress: Option<Listener>,
}

impl Database {
    /// Receives a backup stream: a whole one into a store without trees, or an increment into a copy that holds its base. Snapshots go on meanwhile, and
    /// writers until it is applied, in one transaction that is durable when this returns. [`receiver`](Database::receiver) has the choices, and can go on after a cut.
    ///
    /// # Errors
    /// As for [`Receiver::receive`].
    pub fn receive(&self, stream: impl Read) -> Result<Received> {
        self.receiver()?.receive(stream)
    }

    /// A receiver for this store, which goes on with what an earlier one had staged.
    ///
    /// # Errors
    /// [`Error::ReadOnly`](crate::Error::ReadOnly), [`Error::Poisoned`](crate::Error::Poisoned), [`StreamError::Receiving`] if there is another receiver, or when the staged file cannot be read.
    pub fn receiver(&self) -> Result<Receiver> {
        self.store().check_writable()?;
        if self.shared().is_receiving.swap(true, Ordering::AcqRel) {
            return Err(StreamError::Receiving.into());
        }
        // From here on its drop lets others receive.
        let mut receiver = Receiver {
            db: self.clone(),
            staging: Staging::Memory(Vec::new()),
            staged: None,
            accepts_local_changes: false,
            replaces_everything: false,
            progress: None,
        };
        receiver.staging = Staging::open(self)?;
        receiver.staged = Staged::recover(&mut receiver.staging)?;
        // Applied already, when a crash kept it from being removed?
        let origin = self.snapshot()?.origin()?;
        let is_done = receiver.staged.as_ref().zip(origin).is_some_and(|(staged, origin)| {
            let Identity { source, timestamp, .. } = staged.chunks.identity;
            origin.source == source && origin.timestamp >= timestamp
        });
        if is_done {
            receiver.discard()?;
        }
        Ok(receiver)
    }
}

impl Receiver {
    /// Lets increments be received although this copy was changed by others than a receiver: such changes stay, except where an increment overwrites them.
    /// The copy remembers that it is not the same as its source.
    pub fn accept_local_changes(mut self, yes: bool) -> Receiver {
        self.accepts_local_changes = yes;
        self
    }

    /// Lets a whole backup be received into a store that has trees: all of them go, in the same transaction. Until it is committed, the store needs room for both.
    pub fn replace_everything(mut self, yes: bool) -> Receiver {
        self.replaces_everything = yes;
        self
    }

    /// Has `progress` told after each chunk that comes how far it is.
    pub fn on_progress(mut self, progress: impl FnMut(&StreamProgress) + Send + 'static) -> Receiver {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Where a sender can go on; `None` if nothing is staged.
    #[must_use]
    pub fn position(&self) -> Option<ResumePosition> {
        self.staged.as_ref().filter(|staged| !staged.ends.is_empty()).map(|staged| {
            let Chunks { identity, next, crc, ref walk } = staged.chunks;
            ResumePosition { identity, chunks: next, crc, walk: walk.clone() }
        })
    }

    /// Forgets what is staged.
    ///
    /// # Errors
    /// When the staged file cannot be removed.
    pub fn discard(&mut self) -> Result<()> {
        self.staged = None;
        Ok(self.staging.remove()?)
    }

    /// Reads one stream to its end, and not further, and applies it. A stream of its own begins at its first chunk; one that goes on with what is staged may
    /// begin behind that, or at its first chunk again.
    ///
    /// # Errors
    /// [`Error::Stream`](crate::Error::Stream): [`StreamError::Cut`] and [`StreamError::Damaged`], after which the whole chunks before are still staged;
    /// [`StreamError::WrongBase`], [`StreamError::OtherSource`], [`StreamError::AlreadyReceived`], [`StreamError::ChangedLocally`], [`StreamError::NotEmpty`] and
    /// [`StreamError::Diverged`], when the stream does not fit this store. And those of a [commit](crate::WriteTransaction::commit). In all of them the store is as it was,
    /// but for [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown).
    pub fn receive(&mut self, mut stream: impl Read) -> Result<Received> {
        let Header { identity, first, previous_crc } = read_header(&mut stream)?;
        let now = self.db.snapshot()?;
        self.check_fits(&identity, now.origin()?, now.trees()?.len())?;
        drop(now);
        self.begin(identity, first, previous_crc)?;
        let Some(staged) = &mut self.staged else { unreachable!("it was begun") };
        let mut chunks = if first == 0 { Chunks::new(identity) } else { staged.chunks.clone() };
        let (mut chunk, mut bytes) = (Chunk::default(), HEADER_BYTES as u64);
        loop {
            let before = chunks.next;
            if chunks.read::<StreamError>(&mut stream, &mut chunk, |_| Ok(()))?.is_none() {
                break;
            }
            staged.take(before, &chunks, &chunk, &mut self.staging)?;
            bytes += (chunk.header.len() + chunk.body.len()) as u64;
            if let Some(progress) = &mut self.progress {
                let walk = &chunks.walk;
                let entries = walk.totals.puts + walk.totals.removes;
                progress(&StreamProgress { chunks: chunks.next, bytes, entries, tree: walk.tree.clone() });
            }
        }
        let applied = self.apply(&identity);
        if let Err(crate::Error::Stream(StreamError::Damaged { .. } | StreamError::Cut { .. })) = &applied {
            // What was staged is not what it was.
            self.staged = Staged::recover(&mut self.staging)?;
        }
        let commit = applied?;
        let totals = chunks.walk.totals;
        let Identity { source, timestamp, base, .. } = identity;
        // Everything is done; should the file stay, the next receiver sees that it is of no use.
        let _ = self.discard();
        Ok(Received { source, timestamp, base, commit, puts: totals.puts, removes: totals.removes })
    }

    /// Makes sure that what is staged is the beginning of this stream.
    fn begin(&mut self, identity: Identity, first: u64, previous_crc: u32) -> Result<(), StreamError> {
        let here = self.staged.as_ref().filter(|staged| staged.chunks.identity == identity);
        match here {
            Some(staged) if first == 0 || (first == staged.chunks.next && previous_crc == staged.chunks.crc) => Ok(()),
            None if first == 0 => {
                let header = Header { identity, first, previous_crc };
                self.staged = None;
                self.staging.write(0, [&header.encode(), &[]])?;
                self.staged = Some(Staged::new(identity));
                Ok(())
            }
            _ => Err(StreamError::WrongResume { found: first, expected: here.map_or(0, |staged| staged.chunks.next) }),
        }
    }

    /// Whether a stream can be received by a store that is a copy of this, and has so many trees.
    fn check_fits(&self, identity: &Identity, origin: Option<Origin>, trees: usize) -> Result<(), StreamError> {
        let same = origin.filter(|origin| origin.source == identity.source);
        let to = identity.timestamp;
        if let Some(origin) = same
            && origin.timestamp >= to
            && !(identity.base.is_none() && self.replaces_everything)
        {
            return Err(StreamError::AlreadyReceived { to, holds: origin.timestamp });
        }
        let Some(base) = identity.base else {
            return if trees > 0 && !self.replaces_everything { Err(StreamError::NotEmpty { trees }) } else { Ok(()) };
        };
        match (same, origin) {
            (Some(origin), _) if origin.timestamp != base => {
                Err(StreamError::WrongBase { base, to, holds: Some(origin.timestamp) })
            }
            (Some(origin), _) if origin.is_changed && !self.accepts_local_changes => {
                Err(StreamError::ChangedLocally { holds: origin.timestamp })
            }
            (Some(_), _) => Ok(()),
            (None, Some(origin)) => Err(StreamError::OtherSource { stream: identity.source, copy_of: origin.source }),
            (None, None) => Err(StreamError::WrongBase { base, to, holds: None }),
        }
    }

    /// Applies everything that is staged, in one transaction.
    fn apply(&mut self, identity: &Identity) -> Result<Timestamp> {
        let db = self.db.clone();
        let mut txn = db.begin_write()?;
        // Nobody could change the store while the stream came? Others could: what counts is what is there now.
        let (origin, trees) = (txn.origin()?, txn.trees()?);
        self.check_fits(identity, origin, trees.len())?;
        if identity.base.is_none() {
            for name in &trees {
                txn.drop_tree(name)?;
            }
        }
        let is_changed = origin.is_some_and(|origin| origin.is_changed) && identity.base.is_some();
        let mut applier = Applier::new(txn, !is_changed);
        let Some(staged) = &self.staged else { unreachable!("a stream was staged") };
        let mut input = self.staging.reader()?;
        read_header(&mut input)?;
        let (mut chunks, mut chunk) = (Chunks::new(*identity), Chunk::default());
        while chunks.next < staged.chunks.next {
            chunks.read(&mut input, &mut chunk, |op| applier.apply(op))?;
        }
        let Identity { source, timestamp, .. } = *identity;
        applier.commit(Origin { source, timestamp, is_changed })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.db.shared().is_receiving.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("position", &self.position()).finish_non_exhaustive()
    }
}
