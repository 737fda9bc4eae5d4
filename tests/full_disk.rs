//! A disk that is really full: a small tmpfs, where the machine lets us mount one; else this says that it was skipped.
//!
//! Invariants: a full disk is `Error::DiskFull`, never a signal; nothing that was acknowledged is lost; readers and held snapshots go on; when there is room again the
//! store takes writes, without being opened again unless it says so.

use pentimento::{Database, Durability, Error};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A mounted tmpfs, unmounted when dropped.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(bytes: usize) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

fn fill(path: &Path) {
    // As much as there is room for, down to single pages.
    let mut ballast = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while std::io::Write::write_all(&mut ballast, &vec![0; size]).is_ok() {}
    }
}

fn put(db: &Database, key: u32, len: usize, durability: Durability) -> Result<(), Error> {
    let mut txn = db.begin_write()?;
    txn.set_durability(durability)?;
    txn.tree("t")?.insert(key.to_be_bytes(), vec![key as u8; len])?;
    txn.commit().map(drop)
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_lost() {
    let Some(disk) = SmallDisk::mount(24 << 20) else {
        println!("SKIPPED: this machine does not let us mount a small tmpfs");
        return;
    };
    for (round, (durability, len)) in [
        (Durability::Sync, 100),
        (Durability::None, 3000),
        (Durability::Sync, 200_000), // too large for a record: a checkpoint of its own
    ]
    .into_iter()
    .enumerate()
    {
        let (path, ballast) = (disk.path(&format!("store {round}")), disk.path("ballast"));
        let builder =
            Database::builder().journal_segment(512 << 10).memory_limits(1 << 20, 2 << 20).spill_limit(1 << 20);
        let db = builder.open(&path).unwrap();
        for key in 0..20 {
            put(&db, key, len, Durability::Sync).unwrap();
        }
        let snapshot = db.snapshot().unwrap();
        fill(&ballast);
        let mut acknowledged = 20;
        let error = loop {
            match put(&db, acknowledged, len, durability) {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
            assert!(acknowledged < 1_000_000, "the disk never fills");
        };
        let cause = match &error {
            Error::OutcomeUnknown { source, .. } => source,
            error => error,
        };
        assert!(matches!(cause, Error::DiskFull { .. }), "{error}");
        assert!(error.to_string().contains("no room"), "{error}");
        assert_eq!(snapshot.tree("t").unwrap().len().unwrap(), 20, "a held snapshot goes on");
        let now = db.snapshot().unwrap();
        assert_eq!(now.tree("t").unwrap().len().unwrap(), u64::from(acknowledged), "readers see what was acknowledged");
        std::fs::remove_file(&ballast).unwrap();
        // A process that is just being started (the other test's `mount`) may hold the removed file, and its blocks, for a moment.
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Err(error) = put(&db, acknowledged, len, durability) {
            let is_full = matches!(&error, Error::DiskFull { .. });
            assert!(is_full && Instant::now() < deadline, "round {round}: there is room again: {error}");
            std::thread::sleep(Duration::from_millis(10));
        }
        db.flush().unwrap();
        let report = db.check();
        assert!(report.is_clean(), "{:#?}", report.findings);
        println!("round {round}: full after {acknowledged} commits: {error}");
        drop((snapshot, now));
        db.close().unwrap();
        let db = builder.open(&path).unwrap();
        assert_eq!(db.snapshot().unwrap().tree("t").unwrap().len().unwrap(), u64::from(acknowledged) + 1);
        drop(db);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_full_disk_at_creation_is_an_error() {
    let Some(disk) = SmallDisk::mount(1 << 20) else {
        println!("SKIPPED: this machine does not let us mount a small tmpfs");
        return;
    };
    fill(&disk.path("ballast"));
    let path = disk.path("store");
    let error = Database::open(&path).unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. } | Error::Io { .. }), "{error}");
    std::fs::remove_file(disk.path("ballast")).unwrap();
    let db = Database::builder().journal_segment(64 << 10).open(&path).unwrap();
    put(&db, 1, 10, Durability::Sync).unwrap();
}
