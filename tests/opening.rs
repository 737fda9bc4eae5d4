//! A store is one file, whatever it is called; opening it in vain leaves nothing behind.
//!
//! Invariants: the journal lies beside the file itself, be it opened by a link, by another link, or by a relative path of a process that goes elsewhere; so
//! whatever name it is opened by after a crash, everything acknowledged is there. An opening that is refused creates no file.

#[path = "common/crash.rs"]
mod crash;

use crash::{crash, journals, keys, put};
use pentimento::{Builder, Database, Durability, Error};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names to the other process the folder where it goes.
const ELSEWHERE_VARIABLE: &str = "PENTIMENTO_TEST_ELSEWHERE";

fn subfolder(dir: &tempfile::TempDir, name: &str) -> PathBuf {
    let folder = dir.path().join(name);
    fs::create_dir(&folder).unwrap();
    folder
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn the_journal_lies_beside_the_file_and_not_beside_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (files, links) = (subfolder(&dir, "files"), subfolder(&dir, "links"));
    let (store, link) = (files.join("store.pent"), links.join("link.pent"));
    Database::open(&store).unwrap().close().unwrap();
    symlink(&store, &link).unwrap();
    let db = Database::open(&link).unwrap();
    put(&db, 1, b"acknowledged", Durability::Sync);
    assert!(journals(&link).is_empty());
    assert!(!journals(&store).is_empty());
    let crashed = Database::open(crash(&store, &dir.path().join("crashed"))).unwrap();
    assert_eq!(keys(&crashed), [1]);
}

/// A journal beside each name would be replayed over the commits that were made under the other.
#[test]
fn two_names_are_of_one_store() {
    let dir = tempfile::tempdir().unwrap();
    let folder = subfolder(&dir, "before");
    let store = folder.join("store.pent");
    Database::open(&store).unwrap().close().unwrap();
    symlink("store.pent", folder.join("link.pent")).unwrap();
    let db = Database::open(folder.join("link.pent")).unwrap();
    put(&db, 1, b"by the link", Durability::Sync);
    put(&db, 2, b"by the link", Durability::Sync);

    let store = crash(&store, &dir.path().join("after"));
    let link = store.with_file_name("link.pent");
    symlink("store.pent", &link).unwrap();
    let db = Database::open(&store).unwrap();
    assert_eq!(keys(&db), [1, 2]);
    put(&db, 3, b"by its own name", Durability::Sync);
    db.close().unwrap();
    let db = Database::open(&link).unwrap();
    assert_eq!(keys(&db), [1, 2, 3]);
}

/// The folder of a process is its threads' common property: another process goes elsewhere.
#[test]
fn a_relative_path_stays_where_it_was_opened() {
    if let Some(elsewhere) = std::env::var_os(ELSEWHERE_VARIABLE) {
        // No segment is begun before the first commit.
        let db = Database::open("store.pent").unwrap();
        std::env::set_current_dir(elsewhere).unwrap();
        put(&db, 1, b"acknowledged", Durability::Sync);
        // Without closing: what is left is what a crash leaves.
        std::process::exit(0);
    }
    let dir = tempfile::tempdir().unwrap();
    let (here, elsewhere) = (subfolder(&dir, "here"), subfolder(&dir, "elsewhere"));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_relative_path_stays_where_it_was_opened", "--nocapture"])
        .env(ELSEWHERE_VARIABLE, &elsewhere)
        .current_dir(&here)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(is_empty(&elsewhere));
    assert!(!journals(&here.join("store.pent")).is_empty(), "it was not closed");
    assert_eq!(keys(&Database::open(here.join("store.pent")).unwrap()), [1]);
}

#[test]
fn options_that_are_refused_leave_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let refused: [(Builder, &str); 4] = [
        (Database::builder().page_size(3), "page size"),
        (Database::builder().memory_limits(5, 3), "memory limits"),
        (Database::builder().journal_segment((16 << 10) - 1), "journal_segment"),
        (Database::builder().journal_segment((1 << 30) + 1), "journal_segment"),
    ];
    for (builder, named) in refused {
        match builder.open(&path) {
            Err(Error::InvalidOption { option, .. }) => assert_eq!(option, named),
            other => panic!("{named}: {other:?}"),
        }
        assert!(is_empty(dir.path()), "{named}");
    }
}

#[test]
fn a_journal_without_its_store_gets_no_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let journal = dir.path().join("store.pent-journal-7");
    fs::write(&journal, b"all that is left").unwrap();
    match Database::open(&path) {
        Err(Error::ForeignJournal { path }) => assert_eq!(path, journal),
        other => panic!("{other:?}"),
    }
    assert!(!path.exists());
    assert_eq!(fs::read(&journal).unwrap(), b"all that is left");
    fs::remove_file(&journal).unwrap();
    assert_eq!(keys(&Database::open(&path).unwrap()), []);
}
