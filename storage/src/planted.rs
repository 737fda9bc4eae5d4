//! Bugs to plant, so that the tests of the laws can show that they would notice.
//!
//! A harness that has never caught a fault proves nothing. With the feature `planted-bugs`, which only tests switch on, a store can be told to
//! break one law; without it every question here is answered "no" at compile time.

/// One way to break a law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bug {
    /// Law 1: the slots of a version that a snapshot retains count as free.
    ReuseRetainedSlots,
    /// Law 2: a version is kept while any pin is older than its end.
    KeepWhateverIsOlder,
    /// Law 2: reclamation does not look at the registrations.
    ForgetReaders,
    /// Law 3: slots that are given back are not.
    LeakSlots,
    /// Law 4: the durable checkpoint is not a pin.
    ForgetCheckpoint,
    /// Law 5: a timestamp is published before its versions are installed.
    PublishBeforeInstall,
    /// Law 6: a commit is published before it is durable.
    PublishBeforeDurable,
    /// Law 7: taking a snapshot waits for the writer.
    ReadersTakeTheTurn,
    /// Law 8: what comes from disk is not checked.
    SkipVerification,
    /// A meta is written before what it names is synced.
    SkipDataSync,
    /// A commit is acknowledged before its record is synced.
    SkipJournalSync,
    /// A record is believed whatever its checksum says.
    SkipRecordChecksum,
    /// Records of an earlier life of a segment's file look like those of this one.
    TakeRecycledRecords,
    /// Recovery gives up the journal before a checkpoint holds what it told.
    ForgetJournalEarly,
    /// A commit that no journal holds is thought durable once the journal is synced.
    JournalSpeaksForAll,
    /// A serializable transaction's reads are not compared with what others wrote.
    SkipReadValidation,
    /// A concurrent transaction commits whatever others wrote.
    SkipValidation,
    /// The pin of a named snapshot is dropped before a list without it is durable.
    DropNamedPinEarly,
    /// Table pages that a named snapshot needs are given back when the next checkpoint replaces them.
    FreeNamedTables,
    /// Opening takes no notice of what only named snapshots need.
    ForgetNamedHistory,
    /// Law 1: what is punched reaches two blocks beyond what is free.
    PunchTooFar,
    /// A concurrent transaction reads what is newest, again and again, instead of one moment.
    ReadAnew,
}
