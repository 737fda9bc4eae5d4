//! Files and folders that may not be written: each refusal is an error that names what and where, and reading goes on.
//!
//! Permissions do not bind root, so under root the test starts itself again as another user; where that cannot be done it says that it was skipped.

use pentimento::{Database, Error};
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const CHILD: &str = "PENTIMENTO_PERMISSIONS_CHILD";
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn put(db: &Database, key: &str) -> Result<(), Error> {
    let mut txn = db.begin_write()?;
    txn.tree("t")?.insert(key, "value")?;
    txn.commit().map(drop)
}

fn is_denied(error: &Error, at: &Path) -> bool {
    matches!(error, Error::Io { path, source, .. } if path.starts_with(at) && source.kind() == ErrorKind::PermissionDenied)
}

fn refusals() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    put(&db, "one").unwrap();
    db.close().unwrap();

    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let error = Database::open(&path).unwrap_err();
    assert!(is_denied(&error, &path), "a file that may not be written: {error}");
    let read_only = Database::builder().read_only(true).open(&path).unwrap();
    assert_eq!(read_only.snapshot().unwrap().tree("t").unwrap().len().unwrap(), 1);
    drop(read_only);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();

    fs::set_permissions(dir.path(), Permissions::from_mode(0o555)).unwrap();
    let db = Database::open(&path).unwrap();
    let error = put(&db, "two").unwrap_err();
    assert!(is_denied(&error, dir.path()), "a folder that takes no journal: {error}");
    assert_eq!(db.snapshot().unwrap().tree("t").unwrap().len().unwrap(), 1, "nothing was committed");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    put(&db, "two").expect("the store takes writes again");
    db.close().unwrap();

    fs::set_permissions(dir.path(), Permissions::from_mode(0o555)).unwrap();
    let error = Database::open(dir.path().join("new.pent")).unwrap_err();
    assert!(is_denied(&error, dir.path()), "a folder that takes no store: {error}");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn refusals_name_what_and_where() {
    if std::env::var_os(CHILD).is_some() || !is_root() {
        return refusals();
    }
    // A copy that the other user may run, wherever ours lies.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    let copy = dir.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    let child = Command::new(&copy)
        .args(["--exact", "refusals_name_what_and_where"])
        .env(CHILD, "1")
        .env("TMPDIR", dir.path())
        .current_dir(dir.path())
        .uid(NOBODY)
        .gid(NOBODY)
        .output();
    match child {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("SKIPPED: this machine does not let us become another user: {error}"),
    }
}
