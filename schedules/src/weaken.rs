//! Which accesses the models met, and which one of them is weakened.
//!
//! An access is known by its place in the source: the atomics of `sync.rs` ask who calls them. So no list of orderings has to be kept up to date, and the engine's
//! sources need nothing for it. All of a model's threads run on one thread of the system, so what is noted here is noted for that thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering;

/// What an access does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Access {
    /// It reads.
    Load,
    /// It writes.
    Store,
    /// It does both at once.
    Exchange,
    /// It orders others.
    Fence,
}

/// An access in the engine's source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Site {
    /// The file, as the compiler was told its path.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1: a line may have several.
    pub column: u32,
    /// What it does.
    pub access: Access,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.rsplit('/').next().unwrap_or(self.file);
        write!(f, "{file}:{}:{} ({:?})", self.line, self.column, self.access)
    }
}

thread_local! {
    static MET: RefCell<BTreeMap<Site, Ordering>> = const { RefCell::new(BTreeMap::new()) };
    static WEAKENED: Cell<Option<(Site, Weaker)>> = const { Cell::new(None) };
}

/// What an access is weakened to; `None`: a fence that is not there.
pub type Weaker = Option<Ordering>;

/// The next weaker orderings that an access could have; empty when it orders nothing.
#[must_use]
pub fn weaker(access: Access, ordering: Ordering) -> Vec<Weaker> {
    use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
    match (access, ordering) {
        (Access::Load, SeqCst) => vec![Some(Acquire)],
        (Access::Store, SeqCst) => vec![Some(Release)],
        (Access::Exchange, SeqCst) => vec![Some(AcqRel)],
        (Access::Fence, SeqCst) => vec![Some(AcqRel)],
        (Access::Fence, AcqRel) => vec![Some(Acquire), Some(Release)],
        (Access::Fence, Acquire | Release) => vec![None],
        (_, AcqRel) => vec![Some(Acquire), Some(Release)],
        (_, Acquire | Release) => vec![Some(Relaxed)],
        _ => vec![],
    }
}

/// Notes an access, and tells the ordering that it shall have.
pub(crate) fn ordering(caller: &'static Location<'static>, access: Access, ordering: Ordering) -> Weaker {
    let site = Site { file: caller.file(), line: caller.line(), column: caller.column(), access };
    if let Some((weakened, to)) = WEAKENED.get() {
        return if weakened == site { to } else { Some(ordering) };
    }
    MET.with_borrow_mut(|met| met.insert(site, ordering));
    Some(ordering)
}

/// The accesses that this thread's models met while nothing was weakened.
#[must_use]
pub fn met() -> BTreeMap<Site, Ordering> {
    MET.with_borrow(Clone::clone)
}

/// Does something while one access of this thread's models is weakened.
pub fn with<R>(site: Site, to: Weaker, work: impl FnOnce() -> R) -> R {
    WEAKENED.set(Some((site, to)));
    let result = work();
    WEAKENED.set(None);
    result
}
