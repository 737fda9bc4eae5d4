//! `pent receive`: backup streams into a store.

use super::{IntoStoreArgs, help};
use crate::format::count;
use crate::{Context, Error, Interrupt, Result};
use pentimento::{Database, Received, Receiver};
use serde::Serialize;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::sync::{Arc, Mutex};

const AFTER_HELP: &str = help!(
    "\
A whole backup makes a store, or fills one without trees; an increment is applied
to a copy that holds its base, and refused by any other. Chunks are checked and
kept in STORE-receiving as they come, and applied in one transaction when a
stream is whole: a damaged or cut stream changes nothing. What was kept is used
again: send the same stream once more, or have the sender go on from the position
that --position prints. Several streams may follow one another.

Examples:
  pent backup app.pent - | ssh host pent receive copy.pent    ship a store
  pent receive copy.pent -i monday.stream                     from a file
  pent receive copy.pent --position                           where was it cut?
  pent backup app.pent - --resume-at WORD | pent receive copy.pent"
);

/// Receive backup streams into a store: all of a stream, or nothing.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    into: IntoStoreArgs,

    /// Apply increments although this copy was changed by others; such changes stay where they are not overwritten
    #[arg(long)]
    accept_local_changes: bool,

    /// Let a whole backup replace all trees of a store that has some
    #[arg(long)]
    replace_everything: bool,

    /// Receive nothing; print where a sender can go on, as a word for `pent backup --resume-at`
    #[arg(long, conflicts_with_all = ["input", "accept_local_changes", "replace_everything"])]
    position: bool,
}

/// What one stream brought.
#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    /// The store that it came from.
    pub source: String,
    /// The moment of that store that this one holds now.
    pub timestamp: u64,
    /// The moment that it was based on; none if it was whole.
    pub base: Option<u64>,
    /// The commit of this store.
    pub commit: u64,
    /// Entries that were set.
    pub puts: u64,
    /// Entries that were removed.
    pub removes: u64,
}

/// What `pent receive` did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The streams, in order.
    pub streams: Vec<StreamReport>,
}

/// Where a sender can go on.
#[derive(Clone, Debug, Serialize)]
struct PositionReport {
    /// The word for the sender; none if nothing is there.
    position: Option<String>,
    /// Whole chunks that are there.
    chunks: u64,
    /// The moment that the stream leads to.
    timestamp: Option<u64>,
}

impl From<Received> for StreamReport {
    fn from(received: Received) -> StreamReport {
        StreamReport {
            source: received.source.to_string(),
            timestamp: received.timestamp.0,
            base: received.base.map(|base| base.0),
            commit: received.commit.0,
            puts: received.puts,
            removes: received.removes,
        }
    }
}

/// Runs `pent receive`, and says what it did.
///
/// # Errors
/// When a stream is damaged, cut or does not fit, or the store refuses or fails.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    if args.position {
        return position(args, context);
    }
    if args.into.input.is_none() && io::stdin().is_terminal() {
        return Err(Error::Usage("there is no stream: pipe one in, or name a file with -i".to_owned()));
    }
    let input = args.into.open_input()?;
    let db = Database::open(&args.into.store)?;
    let receiver = db.receiver()?.accept_local_changes(args.accept_local_changes);
    let report = receive(receiver.replace_everything(args.replace_everything), input, context)?;
    db.close()?;
    context.print(&report, |report, _| {
        let lines = report.streams.iter().map(|stream| {
            let what = stream.base.map_or("a whole backup".to_owned(), |base| format!("what changed since {base}"));
            format!(
                "{what}, up to timestamp {} of store {}: {} entries set, {} removed\n",
                stream.timestamp,
                stream.source,
                count(stream.puts),
                count(stream.removes)
            )
        });
        lines.collect()
    })
}

/// Receives the streams of `input` one after the other, until it ends.
///
/// # Errors
/// When one is damaged, cut or does not fit, or the store refuses or fails. Those before it were received.
pub fn receive(receiver: Receiver, input: impl Read, context: &Context) -> Result<Report> {
    let flow = Arc::new(Mutex::new(context.flow("receiving")));
    let told = flow.clone();
    let mut receiver = receiver.on_progress(move |progress| {
        if let Ok(flow) = told.lock() {
            flow.at(progress.bytes, &format!("{} entries", count(progress.entries)));
        }
    });
    let mut input =
        BufReader::with_capacity(1 << 20, Interruptible { inner: input, interrupt: context.interrupt.clone() });
    let mut report = Report::default();
    while report.streams.is_empty() || has_more(&mut input)? {
        match receiver.receive(&mut input) {
            Ok(received) => report.streams.push(received.into()),
            // Not what the reader was told, but why.
            Err(_) if context.interrupt.is_asked() => {
                return Err(Error::Interrupted("what came is kept, go on with --position".to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(report)
}

fn has_more(input: &mut impl BufRead) -> Result<bool> {
    let more = input.fill_buf().map(|bytes| !bytes.is_empty());
    more.map_err(|error| Error::Unreadable(format!("cannot read the input: {error}")))
}

fn position(args: &Args, context: &Context) -> Result<()> {
    if !args.into.store.exists() {
        return Err(Error::Unreadable(format!(
            "{} does not exist, so nothing of a stream is there",
            args.into.store.display()
        )));
    }
    let db = Database::open(&args.into.store)?;
    let found = db.receiver()?.position();
    db.close()?;
    let report = PositionReport {
        chunks: found.as_ref().map_or(0, pentimento::ResumePosition::chunks),
        timestamp: found.as_ref().map(|position| position.timestamp().0),
        position: found.map(|position| position.to_string()),
    };
    context.print(&report, |report, _| report.position.as_ref().map_or(String::new(), |word| format!("{word}\n")))?;
    let nothing = || Error::Found("nothing of a stream is there; send it from its beginning".to_owned());
    if report.position.is_some() { Ok(()) } else { Err(nothing()) }
}

/// Ends when the user asks to stop.
pub(crate) struct Interruptible<T> {
    pub inner: T,
    pub interrupt: Interrupt,
}

impl<T> Interruptible<T> {
    fn check(&self) -> io::Result<()> {
        if self.interrupt.is_asked() { Err(io::Error::other("the work was stopped")) } else { Ok(()) }
    }
}

impl<R: Read> Read for Interruptible<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.read(into)
    }
}

impl<W: io::Write> io::Write for Interruptible<W> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
