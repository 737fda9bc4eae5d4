//! Crashing everywhere: every event of a run, and every event of the recoveries from it.
//!
//! After each crash:
//! 1. the store opens, without any error;
//! 2. it holds exactly the state after some commit, the one whose timestamp it shows;
//! 3. that is not older than anything that was promised durable by then, nor than a strict commit that a reader could see;
//! 4. its named snapshots are those of before or after a change of names that was going on, each shows the state of its timestamp, and the checker finds nothing;
//! 5. the store takes a durable commit, and closes.
//!
//! What happens in 1 to 5 is a run, too, in which a crash can happen.

use crate::model::Model;
use crate::opening::Options;
use crate::session::{Session, Trouble};
use crate::simulated::{
    Crash, Disk, Effort, Event, Fault, Image, Names, Physics, PlanKind, Random, Record, Start, What,
};
use crate::tally::{Tally, count};
use crate::watchdog;

/// In a run after a crash everything up to its first promise is the recovery, and crashed at every event; of the rest about so many.
const EVENTS_AFTER_RECOVERY: u64 = 10;

/// A process that is crashed again makes fewer random steps than this first.
const STEPS_AFTER: u64 = 8;

/// What a process did to a disk, and what it should have led to.
pub struct Run {
    pub start: Start,
    pub record: Record,
    pub model: Model,
    /// What was durable when it began.
    pub floor: u64,
    /// Which names it may have found.
    pub names: Names,
    /// How many crashes it comes after.
    pub depth: u32,
}

/// How a run is explored.
#[derive(Clone, Copy)]
pub struct Tour<'t> {
    pub options: Options,
    pub physics: Physics,
    pub effort: Effort,
    /// A crash is simulated at one in so many events.
    pub stride: u64,
    /// The recovery from one in so many images is explored in turn; never with 0.
    pub again: u64,
    pub deepest: u32,
    pub tally: &'t Tally,
}

impl Tour<'_> {
    /// Crashes a run everywhere.
    pub fn explore(&self, run: &Run, seed: u64) -> Result<(), String> {
        let mut random = Random::new(seed);
        let mut crash = Crash::new(&run.start, &run.record, self.physics, seed);
        let mut image = Image::default();
        let mut floor = run.floor;
        let mut names = run.names.clone();
        let mut event: Option<&Event> = None;
        let mut is_recovering = run.depth > 0;
        let stride = if run.depth > 0 { run.record.len() as u64 / EVENTS_AFTER_RECOVERY } else { self.stride };
        // Runs after a crash are many, so each gets less.
        let Effort { exhaustive, samples, torn } = self.effort;
        let effort = Effort { exhaustive: exhaustive >> run.depth, samples: samples >> run.depth, torn };
        for position in 0.. {
            let floor_before = floor;
            if let Some(event) = event {
                floor = floor.max(run.model.owed_to_readers(event.seen));
                floor = floor.max(event.promised().unwrap_or(0));
                names = event.names().cloned().unwrap_or(names);
                is_recovering &= event.promised().is_none();
            }
            let only_new = floor == floor_before && matches!(event, Some(Event { what: What::Effect(_), .. }));
            // A promise that changes nothing leaves no image that was not possible before.
            let is_news = event.is_none_or(|event| event.promised().is_none()) || floor > floor_before;
            let is_last = position == run.record.len();
            if is_last || is_news && (is_recovering || random.one_in(stride)) {
                count(&self.tally.events);
                for plan in crash.plans(effort, only_new) {
                    crash.build(&plan, &mut image);
                    self.count_image(plan.kind, run.depth);
                    let explain = |wrong| describe(run, position, &plan, floor, wrong);
                    let start = || Start { durable: image.clone().into(), outstanding: Vec::new() };
                    self.recover(run, &image, start, (floor, &names), &mut random).map_err(explain)?;
                }
                if self.goes_on_from(run, 5, &mut random) {
                    count(&self.tally.killed);
                    let (start, live) = crash.killed();
                    let next =
                        self.verify(run, &live, start, random.below(STEPS_AFTER), (floor, &names), random.next());
                    let explain = |wrong| format!("after a kill at event {position}: {wrong}");
                    self.explore(&next.map_err(explain)?, random.next()).map_err(explain)?;
                }
            }
            event = crash.advance();
            if event.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Whether to look into what comes after this: `likelier` than for most. Ever less often the deeper it is, or one run would be all there is.
    fn goes_on_from(&self, run: &Run, likelier: u64, random: &mut Random) -> bool {
        self.again > 0 && run.depth < self.deepest && random.below(self.again << (2 * run.depth)) < likelier
    }

    fn count_image(&self, kind: PlanKind, depth: u32) {
        count(match kind {
            PlanKind::Subset => &self.tally.subsets,
            PlanKind::Sample => &self.tally.samples,
            PlanKind::Torn => &self.tally.torn,
        });
        if depth > 0 {
            count(&self.tally.again);
        }
    }

    /// Recovers from an image, sometimes under worse conditions as well.
    fn recover(
        &self,
        run: &Run,
        image: &Image,
        start: impl Fn() -> Start,
        least: (u64, &Names),
        random: &mut Random,
    ) -> Result<(), String> {
        let explored = self.goes_on_from(run, 1, random);
        if !explored {
            // Nobody will look at its record, so the start, a copy of the image, is not needed.
            self.verify(run, image, Start::default(), 0, least, random.next())?;
        } else {
            let next = self.verify(run, image, start(), random.below(STEPS_AFTER), least, random.next())?;
            self.explore(&next, random.next()).map_err(|wrong| format!("in the recovery: {wrong}"))?;
            if random.one_in(4) {
                self.recover_on_a_failing_disk(run, image, least, random)?;
            }
        }
        Ok(())
    }

    /// The invariants. Returns what the new process did; before it closes it goes on for some random steps.
    fn verify(
        &self,
        run: &Run,
        image: &Image,
        start: Start,
        steps: u64,
        (floor, names): (u64, &Names),
        seed: u64,
    ) -> Result<Run, String> {
        watchdog::alive();
        let disk = Disk::holding(image);
        let trouble = |doing: &'static str| {
            move |trouble: Trouble| match trouble {
                Trouble::Refused(error) => format!("{doing}: {error}"),
                Trouble::Broken(wrong) => format!("{doing}: {wrong}"),
            }
        };
        let mut session =
            Session::begin(&disk, run.model.clone(), self.options, seed).map_err(trouble("opening after the crash"))?;
        let at = session.timestamp().unwrap_or(0);
        if at < floor {
            return Err(format!("the store is at {at}, but {floor} was durable"));
        }
        if !session.names.must.is_superset(&names.must) || !session.names.may.is_subset(&names.may) {
            return Err(format!("the names are {:?}, but should be {names:?}", session.names.must));
        }
        session.check().map_err(trouble("checking after the crash"))?;
        session.commit_durably().map_err(trouble("writing after the crash"))?;
        session.look().map_err(trouble("reading what was written after the crash"))?;
        for _ in 0..steps {
            session.step().map_err(trouble("working on after the crash"))?;
        }
        session.close().map_err(trouble("closing after the crash"))?;
        let model = std::mem::take(&mut session.model);
        Ok(Run { start, record: disk.record(), model, floor, names: names.clone(), depth: run.depth + 1 })
    }

    /// Opens the store on a disk that fails in the middle of that, each call in turn; then on one that works.
    fn recover_on_a_failing_disk(
        &self,
        run: &Run,
        image: &Image,
        least: (u64, &Names),
        random: &mut Random,
    ) -> Result<(), String> {
        for fault in [Fault::Once, Fault::Short, Fault::From, Fault::FullFrom] {
            for call in 0.. {
                let disk = Disk::holding(image);
                disk.fail(fault(call));
                let opened = Session::begin(&disk, run.model.clone(), self.options, random.next());
                let calls = disk.calls();
                let explain = |wrong| format!("recovery under {:?}: {wrong}", fault(call));
                match opened {
                    Ok(session) => session.look().map_err(|trouble| explain(format!("{trouble:?}")))?,
                    Err(Trouble::Broken(wrong)) => return Err(explain(wrong)),
                    Err(Trouble::Refused(_)) => {}
                }
                count(&self.tally.recoveries_failed);
                self.verify(run, &disk.live(), Start::default(), 0, least, random.next()).map_err(explain)?;
                if !fault(call).strikes_within(calls) {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// A report that says enough to understand the case without a debugger.
fn describe(run: &Run, position: usize, plan: &impl std::fmt::Debug, floor: u64, wrong: String) -> String {
    let first = position.saturating_sub(24);
    let recent: Vec<String> = run.record[first..position]
        .iter()
        .enumerate()
        .map(|(at, event)| format!("  {}: {event}", first + at))
        .collect();
    format!(
        "{wrong}\n(depth {}, crash after event {position} of {}, {floor} was durable, {plan:?}; events before it:\n{})",
        run.depth,
        run.record.len(),
        recent.join("\n")
    )
}
