//! `pent demo`: stores a folder's files, changes them under a long-lived reader, and proves that both see what they should.

mod analysis;
mod args;
mod gauge;
mod load;
mod place;
mod progress;
mod proof;
mod random;
mod reader;
mod record;
mod report;
mod rounds;
mod table;
mod totals;
mod walk;
mod writer;

pub use args::Args;
pub use proof::Proof;
pub use report::*;

use crate::output::{self, Look};
use crate::{Context, Error, Result, format};
use analysis::{Answer, analyse};
use pentimento::{Database, SLOT_BYTES};
use place::Place;
use progress::Progress;
use std::path::{Path, PathBuf};
use std::time::Instant;
use walk::Walk;

/// With fewer files than this a pass is over before it has met many commits.
const FEW_FILES: u64 = 1_000;

/// Runs the demo, and prints its report.
///
/// # Errors
/// As for [`run`], and [`Error::Proof`] if something did not hold, after the report.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let report = run(args, context)?;
    if context.json {
        output::print_json(&report)?;
    } else {
        output::print(&table::render(&report, Look::of_stdout()))?;
    }
    report.verdict()
}

/// Runs the demo, and returns its report, whatever the proofs say.
///
/// # Errors
/// [`Error::Usage`] if the folder or the place of the store will not do; [`Error::Interrupted`]; and when the store or the disk fails.
pub fn run(args: &Args, context: &Context) -> Result<Report> {
    let folder = folder(args.folder.as_deref())?;
    let place = Place::new(args.store.as_deref())?;
    let done = demonstrate(args, &folder, &place, context);
    let left = match place.kept() {
        Some(path) => format!("the store is closed, and kept in {}", path.display()),
        None => "the store is closed and its temporary files are removed".to_owned(),
    };
    place.clean()?;
    match done {
        Err(Error::Interrupted(_)) => Err(Error::Interrupted(left)),
        done => done,
    }
}

fn folder(named: Option<&Path>) -> Result<PathBuf> {
    match named {
        // Told before a store is made, which would be left empty.
        Some(folder) if folder.is_dir() && Walk::new(folder).next().is_none() => {
            Err(Error::Usage(format!("{} holds no file that can be read", folder.display())))
        }
        Some(folder) if folder.is_dir() => Ok(folder.to_owned()),
        Some(other) => Err(Error::Usage(format!("{} is not a folder that can be read", other.display()))),
        None => walk::default_folder(),
    }
}

/// From an empty store to a closed one. However it ends, no handle of the store is left.
fn demonstrate(args: &Args, folder: &Path, place: &Place, context: &Context) -> Result<Report> {
    let interrupt = &context.interrupt;
    let began = Instant::now();
    let progress = if context.json { Progress::hidden() } else { Progress::shown() };
    let db = Database::builder().durability(args.durability.to_durability()).open(place.path())?;
    progress.step("storing files");
    let loaded = load::load(&db, folder, args.files, interrupt, &progress)?;
    if loaded.keys.is_empty() {
        return Err(Error::Usage(format!("{} holds no file that can be read", folder.display())));
    }
    let files = loaded.report.files;
    let contents = contents(&analyse(&db.snapshot()?, interrupt)?);
    let stats = db.stats();
    let mut file = FileReport {
        loaded_bytes: stats.file_bytes,
        loaded_used_bytes: stats.slots_used * SLOT_BYTES as u64,
        ..FileReport::default()
    };

    let durability = args.durability.to_durability();
    let compared = rounds::compare(&db, &loaded.keys, durability, args.seconds, interrupt, &progress)?;
    let mut proofs = compared.evidence.proofs();

    progress.step("checking");
    let before = analyse(&db.snapshot()?, interrupt)?;
    proofs.push(proof::final_state(&before, files));
    proofs.push(proof::check(&db.check()));
    interrupt.check()?;
    db.maintain()?;
    db.checkpoint()?;
    // The last checkpoint has let go of what the one before it needed.
    db.maintain()?;
    let stats = db.stats();
    file.largest_bytes = compared.with.file_bytes;
    file.after_bytes = stats.file_bytes;
    file.after_used_bytes = stats.slots_used * SLOT_BYTES as u64;
    file.after_versions_retained = stats.versions_retained;
    file.written_bytes = stats.bytes_written;

    progress.step("closing, and opening again");
    db.close()?;
    file.closed_bytes = place.file_bytes()?;
    let db = Database::builder().read_only(true).open(place.path())?;
    let after = analyse(&db.snapshot()?, interrupt)?;
    proofs.push(proof::reopened(&before, &after));
    db.close()?;
    drop(progress);

    Ok(Report {
        folder: folder.display().to_string(),
        store: place.kept().map(|path| path.display().to_string()),
        durability: args.durability.to_string(),
        notes: notes(&loaded.report),
        load: loaded.report,
        contents,
        compared: compared.report,
        held: compared.with.held,
        file,
        all_held: proofs.iter().all(|proof| proof.held),
        proofs,
        seconds: began.elapsed().as_secs_f64(),
    })
}

fn contents(answer: &Answer) -> ContentsReport {
    let largest = answer.largest.iter().map(|(bytes, path)| LargeFile { path: format::text(path), bytes: *bytes });
    ContentsReport {
        extensions: answer.summed.len() as u64,
        largest: largest.collect(),
        duplicate_groups: answer.duplicates.len() as u64,
        duplicate_files: answer.duplicates.iter().map(|group| group.files).sum(),
    }
}

fn notes(load: &LoadReport) -> Vec<String> {
    let mut notes: Vec<String> = load.note.iter().cloned().collect();
    if load.files < FEW_FILES {
        let few = format::count(load.files);
        notes.push(format!("{few} files are few: passes are short, and most commits change the same pages"));
    }
    notes
}
