//! How long `pent check` takes for a store of about 1 GiB, and how that compares with reading the file once.
//!
//! `cargo bench -p pentimento-tools --bench check` (`PENT_BENCH_MIB=100` for a smaller store, `PENT_BENCH_DIR` for another place,
//! `PENT_BENCH_KEEP=1` to keep the store). The file is in the page cache for both; as root both are measured from the disk, too.

use pentimento::{Database, Durability};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 5;

fn main() {
    let mib: u64 = std::env::var("PENT_BENCH_MIB").map_or(1024, |mib| mib.parse().expect("a number of MiB"));
    let dir = std::env::var_os("PENT_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::Builder::new().prefix("pent-check-").tempdir_in(dir).expect("a temporary folder");
    let store = folder.path().join("big.pent");
    let began = Instant::now();
    build(&store, mib << 20);
    let bytes = std::fs::metadata(&store).expect("the store is there").len();
    println!("store of {:.1} MiB built in {:.1} s", bytes as f64 / 1048576.0, began.elapsed().as_secs_f64());

    let pent = env!("CARGO_BIN_EXE_pent");
    let name = store.to_str().expect("a path of text");
    let cat = || time(Command::new("cat").arg(name));
    let check = || time(Command::new(pent).args(["check", name]));
    compare("in the page cache", cat, check, || {});
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if is_root && std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok() {
        // The store was synced when it was closed, so nothing of it is dirty.
        let drop_caches = || std::fs::write("/proc/sys/vm/drop_caches", "1").expect("it was possible a moment ago");
        compare("from the disk", cat, check, drop_caches);
    }
    let map = folder.path().join("map.html");
    let seconds = time(Command::new(pent).args(["map", name, "--html", map.to_str().expect("text")]));
    let bytes = std::fs::metadata(&map).expect("the map is there").len();
    println!("pent map --html: {seconds:.2} s, {:.2} MB", bytes as f64 / 1e6);
    if std::env::var_os("PENT_BENCH_KEEP").is_some() {
        println!("kept in {}", folder.keep().display());
    }
}

fn compare(how: &str, cat: impl Fn() -> f64, check: impl Fn() -> f64, prepare: impl Fn()) {
    // Once before it counts.
    prepare();
    cat();
    let (mut cats, mut checks) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        prepare();
        cats.push(cat());
        prepare();
        checks.push(check());
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    let (cat, check) = (median(&mut cats), median(&mut checks));
    println!(
        "{how}: cat {cat:.3} s, pent check {check:.3} s, ratio {:.2} (goal: at most 3; medians of {ROUNDS})",
        check / cat
    );
}

fn time(command: &mut Command) -> f64 {
    let began = Instant::now();
    let status = command.stdout(Stdio::null()).status().expect("it runs");
    assert!(status.success(), "{command:?}");
    began.elapsed().as_secs_f64()
}

/// Keys of 16 bytes and values of 100, loaded in order, then a twentieth of them changed, as in a store that was used.
fn build(path: &Path, bytes: u64) {
    let db = Database::builder().durability(Durability::None).open(path).expect("a new store");
    let entries = bytes / 125;
    let mut next = 0;
    while next < entries {
        let end = (next + 500_000).min(entries);
        let mut txn = db.begin_write().expect("a transaction");
        let mut tree = txn.tree("entries").expect("a tree");
        tree.bulk_load((next..end).map(|number| (format!("{number:016}"), value(number)))).expect("loaded");
        txn.commit().expect("committed");
        next = end;
    }
    let mut state = 88_172_645_463_325_252_u64;
    for _ in 0..20 {
        let mut txn = db.begin_write().expect("a transaction");
        let mut tree = txn.tree("entries").expect("a tree");
        for _ in 0..entries / 400 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let number = state % entries;
            tree.insert(format!("{number:016}"), value(number ^ 1)).expect("inserted");
        }
        txn.commit().expect("committed");
    }
    db.close().expect("closed");
}

fn value(number: u64) -> [u8; 100] {
    let mut value = [b'.'; 100];
    value[..20].copy_from_slice(format!("{number:020}").as_bytes());
    value
}
