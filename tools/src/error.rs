//! What can go wrong in a command, and the exit code of each.

use crate::inspect::Problem;
use std::io;
use std::path::PathBuf;

/// The result of a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for cannot be done in this way.
    #[error("{0}")]
    Usage(String),
    /// Something that must hold does not. The report tells everything; this tells which.
    #[error("{} failed: {}", if .0.len() == 1 { "a proof" } else { "proofs" }, .0.join("; "))]
    Proof(Vec<String>),
    /// The store, or a file beside it, cannot be opened or read at all.
    #[error("{0}")]
    Unreadable(String),
    /// What was asked for is damaged.
    #[error("damaged: {0}")]
    Damaged(Box<Problem>),
    /// What was asked for was found to be so, and that is what the exit code is to tell: damage, a difference, a key that is not there.
    #[error("{0}")]
    Found(String),
    /// The store refused or failed.
    #[error("the store: {0}")]
    Store(#[from] pentimento::Error),
    /// The archive of backups refused or failed.
    #[error("{0}")]
    Archive(#[from] pentimento_archive::Error),
    /// The operating system refused or failed a call outside of the store.
    #[error("cannot {operation} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The report could not be written to the standard output.
    #[error("cannot print the report: {0}")]
    Output(io::Error),
    /// The handler for signals could not be installed.
    #[error("cannot listen for Ctrl-C: {0}")]
    Signals(#[from] ctrlc::Error),
    /// The user asked to stop.
    #[error("interrupted; {0}")]
    Interrupted(String),
}

impl Error {
    /// How the process should end after this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Unreadable(_) => 2,
            Error::Interrupted(_) => 130,
            _ => 1,
        }
    }

    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { operation, path, source }
    }
}
