//! `docs/pent.md` and the picture beside it are made from what the commands print, and must not fall behind them.
//!
//! `PENT_UPDATE_DOCS=1 cargo test -p pentimento-tools --test docs` writes them anew. The demo's store has other figures each time, so what is compared is
//! the shape: every word, with numbers, sizes and lengths left out.

mod common;

use clap::CommandFactory;
use common::{Stores, pent};
use pentimento::{Database, Durability};
use pentimento_tools::cli::Cli;
use pentimento_tools::commands::map::{self, By, Class};
use pentimento_tools::inspect::{LiveReport, StoreFile};
use pentimento_tools::{Context, Interrupt};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const INTRO: &str = "\
# pent: see inside a store

`pent` answers what is on a page, who owns it, since when, and why it is not free. It reads a store's files by itself: it takes no lock and changes no
byte, so it works on a store that is closed, on a damaged one, and on one that a program is using right now.

- `--json` gives the report that the text is printed from; `--redact` hides keys and values, so that a report can be shared.
- Exit codes: 0 everything went well; 1 damage or a difference was found, or what was asked for is not there; 2 the command line cannot be carried out;
  130 interrupted.
- Colours are there where the terminal has them, and not where `NO_COLOR` is set or the output is no terminal.

**On a store in use** each page proves itself by checksum, number and birth. What does not was overwritten meanwhile, and is looked up again from the newer
checkpoint; it is damage only if the newer checkpoint refers to the very same version. `get`, `scan`, `count`, `dump`, `copy` and `diff` lay the journal's
commits over the checkpoint: they show what a program would read that opened the store now, all of one moment.

**What only the process knows**, its readers with their labels and ages, what each keeps, and a few figures, it publishes in
`/dev/shm/pentimento-DEVICE-INODE`, readable by its user alone: once a second at most, only if something changed, by a thread that runs anyway. That is
memory, so the store's disk and its syncs see nothing of it; where there is no such folder, or the program said `Builder::publish_figures(false)`, nothing is
published, and these commands tell what the file shows. `pent history`, `pent map` and `pent top`
use it to tell slots that readers still need from those that are free.

What follows is each command on the store that `pent demo --store demo.pent` leaves, of a small folder. Long outputs are cut.

";

const PICTURE: &str = "\
## A long snapshot, seen from the file

![The slots of a store after random updates under a long snapshot](map-long-snapshot.svg)

This store has 20,000 entries. A snapshot was taken, then 400 random entries were changed, in ten commits with a checkpoint after each. Each small square is
a slot. Blue is what the newest checkpoint has. Orange is what the snapshot still sees and nothing else does: the versions of before, each kept once,
however often its page was changed since. Grey is free: versions that came and went between the snapshot and the newest checkpoint are there no more, and
their slots are used again. `pent map STORE --svg FILE` draws it.
";

/// The commands, and how many lines of each are shown.
const SHOWN: [(&str, &[&str], usize); 26] = [
    ("info", &["info", "demo.pent"], 60),
    ("check", &["check", "demo.pent"], 20),
    ("check", &["check", "damaged.pent", "--repair-to", "repaired.pent"], 40),
    ("stat", &["stat", "demo.pent"], 20),
    ("pages", &["pages", "demo.pent", "--tree", "totals"], 20),
    ("page", &["page", "demo.pent", "0"], 40),
    ("page", &["page", "demo.pent", "0", "--hex"], 46),
    ("tree", &["tree", "demo.pent", "totals"], 40),
    ("path", &["path", "demo.pent", "files", "src/module-0420.rs"], 20),
    ("history", &["history", "demo.pent"], 12),
    ("map", &["map", "demo.pent"], 40),
    ("journal", &["journal", "demo.pent"], 10),
    ("top", &["top", "demo.pent", "--once"], 30),
    ("get", &["get", "demo.pent", "totals", "rs", "--json"], 20),
    ("scan", &["scan", "demo.pent", "files", "--prefix", "src/module-042", "--limit", "3"], 10),
    ("count", &["count", "demo.pent", "files", "--prefix", "src/"], 5),
    ("dump", &["dump", "demo.pent", "totals"], 12),
    ("copy", &["copy", "demo.pent", "compact.pent"], 5),
    ("diff", &["diff", "demo.pent", "compact.pent"], 5),
    ("compact", &["compact", "demo.pent"], 5),
    ("load", &["load", "loaded.pent", "-i", "totals.dump"], 5),
    ("backup", &["backup", "demo.pent", "archive"], 5),
    ("backup", &["backup", "list", "archive"], 5),
    ("backup", &["backup", "verify", "demo.stream"], 12),
    ("receive", &["receive", "shipped.pent", "-i", "demo.stream"], 5),
    ("receive", &["receive", "shipped.pent", "-i", "demo.stream"], 5),
];

/// A folder of small files, and the demo's store of it.
fn demo(stores: &Stores) -> PathBuf {
    let folder = stores.path("project");
    for (part, extension) in [("src", "rs"), ("docs", "md"), ("data", "json")] {
        fs::create_dir_all(folder.join(part)).unwrap();
        for number in 0..600 {
            fs::write(folder.join(part).join(format!("module-{number:04}.{extension}")), "x".repeat(number * 7 % 500))
                .unwrap();
        }
    }
    let store = stores.path("demo.pent");
    let made = pent(&store, &["demo", "project", "--store", "demo.pent", "--seconds", "1"]);
    assert!(made.status.success(), "{made:?}");
    store
}

#[test]
fn the_page_of_every_command_is_up_to_date() {
    let stores = Stores::new();
    let store = demo(&stores);
    let dumped = pent(&store, &["dump", "demo.pent", "totals"]).stdout;
    fs::write(stores.path("totals.dump"), dumped).unwrap();
    let shipped = pent(&store, &["backup", "demo.pent", "-"]).stdout;
    fs::write(stores.path("demo.stream"), shipped).unwrap();
    fs::copy(&store, stores.path("damaged.pent")).unwrap();
    let leaves = common::json(&store, &["pages", "demo.pent", "--tree", "files", "--kind", "leaf", "--json"]);
    common::flip(&stores.path("damaged.pent"), leaves["pages"][3]["slot"].as_u64().unwrap() * common::SLOT + 900);

    let mut page = INTRO.to_owned();
    let mut told = "";
    for (name, words, lines) in SHOWN {
        if name != told {
            let cli = Cli::command();
            let command = cli.find_subcommand(name).unwrap();
            writeln!(page, "## pent {name}\n\n{}\n", command.get_about().unwrap()).unwrap();
            told = name;
        }
        let shown = words.join(" ");
        let output = common::shown(&store, words);
        let cut: Vec<&str> = output.lines().take(lines).collect();
        let more = if output.lines().count() > lines { "...\n" } else { "" };
        writeln!(page, "```text\n$ pent {shown}\n{}\n{more}```\n", cut.join("\n")).unwrap();
    }
    page += PICTURE;

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pent.md");
    if std::env::var_os("PENT_UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let (kept, new) = (shape(&kept), shape(&page));
    for (number, (kept, new)) in kept.iter().zip(&new).enumerate() {
        assert_eq!(
            kept, new,
            "docs/pent.md is out of date (shape, line {number}): run PENT_UPDATE_DOCS=1 cargo test -p pentimento-tools --test docs"
        );
    }
    assert_eq!(
        kept.len(),
        new.len(),
        "docs/pent.md is out of date: run PENT_UPDATE_DOCS=1 cargo test -p pentimento-tools --test docs"
    );
}

/// The words of each line, without what differs from one store to the next: numbers, sizes, bars, hexadecimal, rows of a map. Lines that are alike then
/// are one.
fn shape(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let is_dump = line.len() > 8 && line.as_bytes()[..8].iter().all(u8::is_ascii_hexdigit);
        let is_hex = line.len() > 20 && line.trim().bytes().all(|byte| byte.is_ascii_hexdigit());
        // Which meta wins, and whether closing left anything in free slots, differs from one time to the next.
        let line = line.split("wins:").next().unwrap_or_default();
        let words: Vec<String> = line.split_whitespace().map(word).filter(|word| !word.is_empty()).collect();
        let is_left = words.first().is_some_and(|first| ["free", "none"].contains(&first.as_str()));
        let is_map = words.len() == 2 && words[0] == "0" && words[1].chars().all(|c| "MT#rn.?".contains(c));
        let line =
            if is_dump || is_hex || is_map || is_left || words.is_empty() { "~".to_owned() } else { words.join(" ") };
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines
}

fn word(word: &str) -> String {
    if ["B", "KiB", "MiB", "GiB", "ms", "s", "-"].contains(&word) || word.contains("0x") || word == "*" {
        return String::new();
    }
    if word.chars().any(|c| ('▏'..='█').contains(&c) || c == '█') {
        return String::new();
    }
    // An id or a checksum.
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if bare.len() >= 8 && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return String::new();
    }
    let mut out = String::new();
    for c in word.chars() {
        match c {
            '0'..='9' if out.ends_with('0') => {}
            '0'..='9' => out.push('0'),
            ',' | '.' if out.ends_with('0') => {}
            other => out.push(other),
        }
    }
    out
}

#[test]
fn shapes_tell_words_and_not_numbers() {
    assert_eq!(shape(" files   1,234  5.6 KiB\n files 7 8 B\n"), ["files 0 0"]);
    assert_eq!(shape("0 MM##..\n108 ####\n"), ["~"]);
    assert_ne!(shape("entries 5"), shape("pages 5"));
}

/// A store after random updates under a long snapshot: current, retained and free slots can be told apart, and they are what the engine counts.
#[test]
fn the_picture_of_a_long_snapshot() {
    if !Path::new("/dev/shm").is_dir() {
        eprintln!("SKIPPED: there is no /dev/shm for the store to publish its readers in");
        return;
    }
    let stores = Stores::new();
    let store = stores.path("app.pent");
    let db = Database::builder()
        .page_size(4096)
        .durability(Durability::None)
        .checkpoint_interval(Duration::from_secs(3600))
        .open(&store)
        .unwrap();
    let key = |number: u64| format!("entry {number:06}");
    let mut txn = db.begin_write().unwrap();
    txn.tree("entries").unwrap().bulk_load((0..20_000).map(|number| (key(number), [b'v'; 60]))).unwrap();
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    let report = db.snapshot().unwrap().labelled("nightly report");
    let mut state = 88_172_645_463_325_252_u64;
    for _ in 0..10 {
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("entries").unwrap();
        for _ in 0..40 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            tree.insert(key(state % 20_000), [b'w'; 60]).unwrap();
        }
        txn.commit().unwrap();
        db.checkpoint().unwrap();
        db.maintain().unwrap();
    }
    db.maintain().unwrap();
    let stats = db.stats();

    let file = StoreFile::open(&store).unwrap();
    let context = Context::new(true, false, Interrupt::default());
    let began = Instant::now();
    let draw = || map::draw(&file, &context).unwrap();
    // The figures are published within about a second.
    let is_published = || {
        let live = LiveReport::read(&file, &draw().1.checkpoint).unwrap();
        live.is_some_and(|live| {
            live.figure("installed") == stats.installed.0 && live.figure("slots_retained") == stats.slots_retained
        })
    };
    while !is_published() {
        assert!(began.elapsed() < Duration::from_secs(20), "the store publishes its readers");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Not what was drawn before: the figures may have been published meanwhile.
    let picture = draw().0;
    let slots = |class: Class| picture.uses().iter().find(|(found, _)| *found == class).map_or(0, |(_, slots)| *slots);
    let (current, retained, free) = (slots(Class::Current), slots(Class::Retained), slots(Class::Free));
    eprintln!("{current} slots current, {retained} retained (the engine counts {}), {free} free", stats.slots_retained);
    assert_eq!(retained, stats.slots_retained, "what the file shows is what the engine counts");
    assert!(current > 500 && retained > 200 && free > 50);
    let pins = pentimento_tools::commands::history::run(&file, None, false).unwrap().pins;
    let labelled =
        pins.iter().find(|pin| pin.live.readers.iter().any(|reader| reader.label.as_deref() == Some("nightly report")));
    assert!(labelled.is_some_and(|pin| pin.versions_in_file > 100), "{pins:?}");

    // The name of the store in the picture is not that of a temporary folder.
    let mut picture = picture;
    picture.store = "app.pent".to_owned();
    let svg = map::to_svg(&picture, By::Use);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/map-long-snapshot.svg");
    if std::env::var_os("PENT_UPDATE_DOCS").is_some() {
        fs::write(&path, &svg).unwrap();
    }
    let legend = |svg: &str| -> Vec<String> {
        let words = svg.lines().filter(|line| line.starts_with("<text"));
        words.flat_map(|line| shape(line.split('>').nth(1).unwrap_or_default())).collect()
    };
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        legend(&kept),
        legend(&svg),
        "the picture is out of date: run PENT_UPDATE_DOCS=1 cargo test -p pentimento-tools --test docs"
    );
    drop(report);
}
