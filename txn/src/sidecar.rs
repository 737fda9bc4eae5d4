//! What only the memory of a process knows of an open store, published for tools: who reads since when, what that keeps, and some figures.
//!
//! It is a small text in a file of its own: `/dev/shm/pentimento-DEVICE-INODE`, named after the store's file. That is memory, not disk: it costs the
//! store's disk nothing, delays no sync, and leaves the store the one file that it is.
//!
//! Promises:
//! 1. It is written by the background thread, at most once a second, and only if something changed; nobody waits for it.
//! 2. It is replaced as a whole, so whoever reads it sees one moment.
//! 3. The engine never reads it. Nothing depends on it: where it cannot be written, or is not wanted
//!    ([`Builder::publish_figures`](crate::Builder::publish_figures)), there is none.
//! 4. Only the user of the process may read it. A clean close removes it; after a kill it stays until the store is opened again, and names a
//!    process that is gone.
//!
//! What it costs is measured by `cargo bench --bench figures`.

use crate::database::Shared;
use crate::sync::Mutex;
use pentimento_storage::{ReaderKind, Timestamp};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const FOLDER: &str = "/dev/shm";
const MAGIC: &str = "pentimento live 1";
/// How often it is written at most.
const EVERY: Duration = Duration::from_secs(1);

/// Where the figures of the store are published whose file has this device and inode.
#[must_use]
pub fn live_path(device: u64, inode: u64) -> PathBuf {
    Path::new(FOLDER).join(format!("pentimento-{device:x}-{inode:x}"))
}

/// What an open store publishes of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// The process that has it open.
    pub pid: u32,
    /// The id of the store.
    pub store_id: [u8; 16],
    /// When this was published, in milliseconds since 1970.
    pub updated_ms: u64,
    /// Names of figures with their values: those of `Stats` and `JournalStats`.
    pub figures: Vec<(String, u64)>,
    /// Timestamps that are kept readable, oldest first.
    pub pins: Vec<LivePin>,
}

/// A timestamp that is kept readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LivePin {
    /// The timestamp.
    pub at: Timestamp,
    /// Superseded versions that are charged to it.
    pub versions: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the durable checkpoint is there.
    pub is_checkpoint: bool,
    /// The snapshots there: their labels, and since when they are, in milliseconds since 1970.
    pub readers: Vec<(Option<String>, u64)>,
}

impl Live {
    /// A figure by its name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<u64> {
        self.figures.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Reads what was published; `None` if this is something else, or not whole.
    #[must_use]
    pub fn parse(text: &str) -> Option<Live> {
        let mut lines = text.lines();
        if lines.next()? != MAGIC {
            return None;
        }
        let mut live = Live::default();
        for line in lines {
            let mut words = line.split(' ');
            let number = |words: &mut std::str::Split<'_, char>| words.next()?.parse::<u64>().ok();
            match words.next()? {
                "end" => return Some(live),
                "pid" => live.pid = u32::try_from(number(&mut words)?).ok()?,
                "store" => live.store_id = u128::from_str_radix(words.next()?, 16).ok()?.to_be_bytes(),
                "updated_ms" => live.updated_ms = number(&mut words)?,
                "figure" => live.figures.push((words.next()?.to_owned(), number(&mut words)?)),
                "pin" => {
                    let (at, versions, bytes) = (number(&mut words)?, number(&mut words)?, number(&mut words)?);
                    let is_checkpoint = number(&mut words)? != 0;
                    live.pins.push(LivePin { at: Timestamp(at), versions, bytes, is_checkpoint, readers: Vec::new() });
                }
                "reader" => {
                    let since = number(&mut words)?;
                    let label = words.next().map(unescape);
                    live.pins.last_mut()?.readers.push((label, since));
                }
                // A later version may say more.
                _ => {}
            }
        }
        None
    }

    fn render(&self) -> String {
        let mut text = format!("{MAGIC}\npid {}\nstore {:032x}\n", self.pid, u128::from_be_bytes(self.store_id));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "updated_ms {}", self.updated_ms);
        for (name, value) in &self.figures {
            let _ = writeln!(text, "figure {name} {value}");
        }
        for pin in &self.pins {
            let _ = writeln!(text, "pin {} {} {} {}", pin.at, pin.versions, pin.bytes, u8::from(pin.is_checkpoint));
            for (label, since) in &pin.readers {
                let _ = match label {
                    Some(label) => writeln!(text, "reader {since} {}", escape(label)),
                    None => writeln!(text, "reader {since}"),
                };
            }
        }
        text + "end\n"
    }
}

/// A label as one word: everything but letters, digits and a few signs as `%` and hexadecimal digits, as in addresses of the web.
fn escape(label: &str) -> String {
    label.bytes().fold(String::new(), |mut word, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte) {
            word.push(char::from(byte));
        } else {
            let _ = write!(word, "%{byte:02x}");
        }
        word
    })
}

fn unescape(word: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let code = if first == b'%' { after.first_chunk::<2>() } else { None };
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        if code.is_some() {
            rest = &rest[2..];
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Publishes the figures of a store.
#[derive(Default)]
pub(crate) struct Sidecar {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    path: Option<PathBuf>,
    written: Option<Instant>,
    last: Live,
}

impl Sidecar {
    /// Begins to publish for the store in this file, or only removes what a process left that had it open before.
    pub fn start(&self, store: &Path, publish: bool) {
        let Ok(metadata) = fs::metadata(store) else { return };
        self.state.lock().path = Some(live_path(metadata.dev(), metadata.ino()));
        if !publish {
            self.remove();
        }
    }

    /// Publishes, if it is time and something changed. A failure ends publishing: there is no such folder, or no room.
    pub fn tick(&self, shared: &Shared) {
        let mut state = self.state.lock();
        let Some(path) = state.path.clone() else { return };
        if state.written.is_some_and(|written| written.elapsed() < EVERY) {
            return;
        }
        state.written = Some(Instant::now());
        let mut live = describe(shared);
        live.updated_ms = state.last.updated_ms;
        if live == state.last {
            return;
        }
        live.updated_ms = now_ms();
        match replace(&path, &live.render()) {
            Ok(()) => state.last = live,
            Err(_) => state.path = None,
        }
    }

    /// Removes what was published, for good.
    pub fn remove(&self) {
        if let Some(path) = self.state.lock().path.take() {
            // It may never have been written.
            let _ = fs::remove_file(path);
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn describe(shared: &Shared) -> Live {
    let store = &shared.store;
    let stats = store.stats();
    let journal = shared.journal.get().map(crate::journal::Journal::stats).unwrap_or_default();
    let figures = [
        ("installed", stats.installed.0),
        ("published", stats.published.0),
        ("durable", stats.durable.0),
        ("commits", stats.commits),
        ("versions_installed", stats.versions_installed),
        ("versions_retained", stats.versions_retained),
        ("bytes_retained", stats.bytes_retained),
        ("versions_reclaimed", stats.versions_reclaimed),
        ("slots_used", stats.slots_used),
        ("slots_retained", stats.slots_retained),
        ("slots_free", stats.slots_free),
        ("file_bytes", stats.file_bytes),
        ("frame_bytes", stats.frame_bytes),
        ("bytes_written", stats.bytes_written),
        ("checkpoints", stats.checkpoints),
        ("checkpoint_us", stats.checkpoint_us),
        ("checkpoint_running", stats.checkpoint_running.map_or(0, |at| at.0)),
        ("checkpoint_versions", stats.checkpoint_versions),
        ("checkpoint_versions_done", stats.checkpoint_versions_done),
        ("journal_records", journal.records),
        ("journal_bytes", journal.bytes),
        ("journal_syncs", journal.syncs),
        ("journal_segments", journal.segments),
        ("journal_full_waits", journal.full_waits),
    ];
    let now = now_ms();
    let pins = store.held().into_iter().map(|held| LivePin {
        at: held.at,
        versions: held.versions,
        bytes: held.bytes,
        is_checkpoint: held.is_checkpoint,
        readers: held
            .readers
            .iter()
            .filter(|reader| reader.kind == ReaderKind::Snapshot)
            // To a tenth of a second, so that the same reader reads the same each time.
            .map(|reader| (reader.label.as_deref().map(str::to_owned), now.saturating_sub(reader.age_ms) / 100 * 100))
            .collect(),
    });
    Live {
        pid: std::process::id(),
        store_id: store.store_id(),
        updated_ms: 0,
        figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
        pins: pins.collect(),
    }
}

/// Replaces a file as a whole. The new one is made, never followed: the folder belongs to everybody.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let made = path.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::remove_file(&made);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&made)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&made, path));
    if written.is_err() {
        let _ = fs::remove_file(&made);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_read_back() {
        let pin = LivePin {
            at: Timestamp(7),
            versions: 3,
            bytes: 9000,
            is_checkpoint: true,
            readers: vec![(Some("nightly % report\nä".to_owned()), 55), (None, 66)],
        };
        let figures = vec![("commits".to_owned(), 12)];
        let live = Live { pid: 4, store_id: [9; 16], updated_ms: 8, figures, pins: vec![pin, LivePin::default()] };
        let text = live.render();
        assert_eq!(Live::parse(&text), Some(live.clone()));
        assert_eq!(live.figure("commits"), Some(12));
        for end in 0..text.len() - 1 {
            assert_eq!(Live::parse(&text[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn a_store_that_is_not_to_publish_leaves_nothing_and_removes_what_was_left() {
        if !Path::new(FOLDER).is_dir() {
            eprintln!("SKIPPED: there is no {FOLDER}");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        crate::Database::open(&path).unwrap().close().unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let published = live_path(metadata.dev(), metadata.ino());
        // As after a kill.
        replace(&published, &Live { pid: 1, ..Live::default() }.render()).unwrap();
        let db = crate::Database::builder().publish_figures(false).open(&path).unwrap();
        assert!(!published.exists(), "what was left names a process that is gone");
        // Whatever the background thread would do when a second is over is done now.
        let handle = db.begin_write().unwrap().handle.clone();
        handle.shared.sidecar.tick(&handle.shared);
        assert!(!published.exists());
        // Had it been switched on, this tick would have written.
        handle.shared.sidecar.start(&path, true);
        handle.shared.sidecar.tick(&handle.shared);
        assert!(published.exists());
        drop(handle);
        db.close().unwrap();
        assert!(!published.exists());
    }

    #[test]
    fn an_open_store_publishes_itself_and_a_closed_one_does_not() {
        if !Path::new(FOLDER).is_dir() {
            eprintln!("SKIPPED: there is no {FOLDER}");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let db = crate::Database::open(&path).unwrap();
        let report = db.snapshot().unwrap().labelled("a report");
        let metadata = fs::metadata(&path).unwrap();
        let published = live_path(metadata.dev(), metadata.ino());
        let began = Instant::now();
        let live = loop {
            if let Some(live) = fs::read_to_string(&published).ok().and_then(|text| Live::parse(&text)) {
                let labels: Vec<_> =
                    live.pins.iter().flat_map(|pin| &pin.readers).map(|(label, _)| label.clone()).collect();
                if labels == [Some("a report".to_owned())] {
                    break live;
                }
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it is published within seconds");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!((live.pid, live.figure("installed")), (std::process::id(), Some(db.timestamp().0)));
        assert_eq!(fs::metadata(&published).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(dir.path())
                .unwrap()
                .filter(|entry| {
                    entry.as_ref().is_ok_and(|entry| !entry.file_name().to_string_lossy().contains("journal"))
                })
                .count(),
            1,
            "nothing appears beside the store"
        );
        drop(report);
        db.close().unwrap();
        assert!(!published.exists());
    }
}
