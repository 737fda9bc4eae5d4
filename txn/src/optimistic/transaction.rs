//! The transaction as its user holds it.

use super::claims::{Claims, Clash, NameReads, TreeClaims};
use super::conflicts::{Counters, Place};
use super::overlay::{Change, Overlay};
use super::reads::{ReadBudget, ReadClaims, ReadLog};
use super::tree::ConcurrentTree;
use crate::catalog::{self, TreeRecord};
use crate::database::Handle;
use crate::snapshot::Tree;
use crate::write::check_durability;
use crate::{Database, Durability, Result, Snapshot, Timestamp, WriteTransaction};
use pentimento_storage::Bug;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// What a concurrent transaction is protected from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Isolation {
    /// It reads one moment, and of two transactions that write the same key, neither having seen the other, the second to commit fails. Two that read what
    /// the other writes may both commit (*write skew*). Cheaper: reads are not noted.
    Snapshot,
    /// As if the transactions had run one after the other. A transaction fails if anything that it read, found or not, has changed when it commits.
    #[default]
    Serializable,
}

/// A tree that the transaction has met.
#[derive(Debug)]
pub(super) struct TreeState {
    /// The tree as the snapshot has it.
    pub record: Option<TreeRecord>,
    pub overlay: Overlay,
    pub reads: ReadLog,
}

/// A transaction that runs beside others, and is checked when it commits. Dropped without [`commit`](ConcurrentTransaction::commit), it leaves no trace.
///
/// It sees the newest commits at the moment when it began (those too that are just becoming durable, as a [`WriteTransaction`] does), and its own
/// changes, which it keeps in memory. Trees that are missing are made at the commit; to drop or rename trees, take a [`WriteTransaction`].
///
/// ```
/// # use pentimento_txn as pentimento;
/// use pentimento::{Database, Error, Isolation};
/// let db = Database::in_memory()?;
///
/// let mut one = db.begin_concurrent(Isolation::Serializable)?;
/// let mut two = db.begin_concurrent(Isolation::Serializable)?;
/// one.tree("seats")?.insert(b"12a", b"Ada")?;
/// two.tree("seats")?.insert(b"12a", b"Bob")?;
/// one.commit()?;
/// match two.commit() {
///     Err(Error::Conflict { tree, key: Some(key), .. }) => assert_eq!((&*tree, &*key), ("seats", &b"12a"[..])),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct ConcurrentTransaction {
    snapshot: Snapshot,
    /// `None` if it holds the turn: nobody can commit beside it then.
    place: Option<Place>,
    turn: Option<WriteTransaction>,
    isolation: Isolation,
    durability: Durability,
    trees: BTreeMap<String, TreeState>,
    names: RefCell<NameReads>,
    budget: Arc<ReadBudget>,
    handle: Arc<Handle>,
}

impl ConcurrentTransaction {
    pub(crate) fn begin(handle: Arc<Handle>, isolation: Isolation) -> ConcurrentTransaction {
        let shared = &handle.shared;
        // In this order: see `Conflicts::note`.
        let place = shared.conflicts.enter(shared.store.installed());
        let snapshot = Snapshot::new(shared.store.pin_installed());
        ConcurrentTransaction::new(snapshot, Some(place), None, isolation, handle)
    }

    /// A transaction that has the writer's turn from the start, so that it cannot fail for a conflict.
    pub(crate) fn holding(turn: WriteTransaction, isolation: Isolation) -> ConcurrentTransaction {
        let handle = turn.handle.clone();
        // Under the turn the newest installed commit is the one that the write transaction reads.
        let snapshot = Snapshot::new(handle.shared.store.pin_installed());
        debug_assert_eq!(snapshot.timestamp(), turn.base());
        ConcurrentTransaction::new(snapshot, None, Some(turn), isolation, handle)
    }

    fn new(
        snapshot: Snapshot,
        place: Option<Place>,
        turn: Option<WriteTransaction>,
        isolation: Isolation,
        handle: Arc<Handle>,
    ) -> ConcurrentTransaction {
        let durability = handle.shared.durability;
        let (trees, names) = (BTreeMap::new(), RefCell::default());
        let budget = ReadBudget::new(handle.shared.conflicts.commit_limit());
        ConcurrentTransaction { snapshot, place, turn, isolation, durability, trees, names, budget, handle }
    }

    /// What it is protected from.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// The commit that it began after: what it reads, besides its own changes.
    #[must_use]
    pub fn base(&self) -> Timestamp {
        self.snapshot.timestamp()
    }

    /// When the commit is to be durable, instead of the database's choice.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) for an interval of zero.
    pub fn set_durability(&mut self, durability: Durability) -> Result<()> {
        self.durability = check_durability(durability)?;
        Ok(())
    }

    /// Reads are validated only if it is serializable, and others can commit at all.
    fn notes_reads(&self) -> bool {
        self.isolation == Isolation::Serializable && self.turn.is_none()
    }

    /// The tree of this name. If there is none it is made at the commit; if others make it meanwhile, the entries of all come together in it.
    ///
    /// # Errors
    /// [`Error::InvalidTreeName`](crate::Error::InvalidTreeName), or when the store is damaged.
    pub fn tree(&mut self, name: &str) -> Result<ConcurrentTree<'_>> {
        if self.turn.is_none() && self.handle.shared.store.has_planted(Bug::ReadAnew) {
            self.snapshot = Snapshot::new(self.handle.shared.store.pin_installed());
        }
        if !self.trees.contains_key(name) {
            catalog::check_name(name)?;
            let record = catalog::find(&self.snapshot, name)?;
            let reads = ReadLog::new(self.notes_reads().then(|| self.budget.clone()));
            self.trees.insert(name.to_owned(), TreeState { record, overlay: Overlay::default(), reads });
        }
        let mut met = self.trees.range_mut::<str, _>((Bound::Included(name), Bound::Included(name)));
        let (name, state) = met.next().expect("it was met above");
        let TreeState { record, overlay, reads } = state;
        let base = record.map(|record| Tree::new(&self.snapshot, record));
        Ok(ConcurrentTree::new(name, base, overlay, reads))
    }

    /// Whether there is a tree of this name, one that this transaction makes included.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn has_tree(&self, name: &str) -> Result<bool> {
        // One that it makes is there whatever others do; one that it merely opened may go.
        if self.trees.get(name).is_some_and(|tree| tree.record.is_none()) {
            return Ok(true);
        }
        if self.notes_reads() {
            self.names.borrow_mut().note(name);
        }
        self.snapshot.has_tree(name)
    }

    /// The names of all trees, in order, those that this transaction makes included.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn trees(&self) -> Result<Vec<String>> {
        self.names.borrow_mut().all |= self.notes_reads();
        let mut names = self.snapshot.trees()?;
        names.extend(self.trees.iter().filter(|(_, tree)| tree.record.is_none()).map(|(name, _)| name.clone()));
        names.sort_unstable();
        Ok(names)
    }

    /// Makes the changes the newest state, if nothing that was committed since [`base`](ConcurrentTransaction::base) stands against it, and tells their
    /// timestamp. It takes the writer's turn for that: a thread that has a write transaction open would wait for itself. Durability is as for [`WriteTransaction::commit`]. A transaction without changes makes no commit and never conflicts; it makes sure
    /// that what it read is durable, if it is to be.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict) names what another commit changed: nothing is committed, and running the whole transaction again can
    /// succeed. [`Error::NotACounter`](crate::Error::NotACounter) if an addition met something else. Others as for [`WriteTransaction::commit`].
    pub fn commit(self) -> Result<Timestamp> {
        let ConcurrentTransaction { snapshot, place, turn, durability, trees, names, budget, handle, .. } = self;
        let shared = &handle.shared;
        let base = snapshot.timestamp();
        let claims = |(name, state): (String, TreeState)| {
            let TreeState { record, overlay, reads } = state;
            let skip = shared.store.has_planted(Bug::SkipReadValidation);
            let reads = if skip { ReadClaims::default() } else { reads.into_claims() };
            (name, TreeClaims { overlay, reads, makes: record.is_none() })
        };
        let claims = Claims { trees: trees.into_iter().map(claims).collect(), names: names.into_inner() };
        if !claims.writes() {
            drop((snapshot, place, turn));
            shared.assure(base, durability)?;
            return Ok(base);
        }
        if budget.is_coarse() {
            Counters::count(&shared.conflicts.counters.coarse_reads);
        }
        let mut txn = match turn {
            Some(turn) => turn,
            None if shared.store.has_planted(Bug::SkipValidation) => Database::new(handle.clone()).begin_write()?,
            None => {
                // Most of the work, and most conflicts, before it is our turn.
                let checked = shared.conflicts.check(&claims, base)?;
                let turn = Database::new(handle.clone()).begin_write()?;
                let checked = shared.conflicts.check(&claims, checked)?;
                if checked != turn.base() {
                    let clash = claims.first_tree().unwrap_or(Clash { tree: String::new(), key: None });
                    return Err(shared.conflicts.conflict(clash, turn.base()));
                }
                turn
            }
        };
        // From here on nobody needs to remember anything for us.
        drop((snapshot, place));
        txn.set_durability(durability)?;
        apply(&claims, &mut txn)?;
        txn.footprint = Some(claims.footprint(shared.conflicts.commit_limit()));
        let at = txn.commit()?;
        Counters::count(&shared.conflicts.counters.commits);
        Ok(at)
    }

    /// Drops the transaction and all that it did. The same as letting it go out of scope.
    pub fn rollback(self) {}
}

/// Does in the newest state what the transaction did over its snapshot.
fn apply(claims: &Claims, txn: &mut WriteTransaction) -> Result<()> {
    for (name, claims) in claims.trees.iter().filter(|(_, claims)| claims.writes()) {
        let mut tree = txn.tree(name)?;
        for (key, change) in claims.overlay.iter() {
            match change {
                Change::Put(value) => tree.insert(key, value)?,
                Change::Remove => tree.delete(key)?,
                Change::Blind { ops, seen } => {
                    let value = match seen.get() {
                        Some(value) => value.clone(),
                        None => ops.apply(name, key, tree.get(key)?)?,
                    };
                    tree.insert(key, value)?;
                }
            }
        }
    }
    Ok(())
}

impl fmt::Debug for ConcurrentTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrentTransaction")
            .field("base", &self.base())
            .field("isolation", &self.isolation)
            .finish_non_exhaustive()
    }
}
