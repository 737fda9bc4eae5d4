//! What a crash could leave: walks a record, and builds images between its events.

use super::image::Image;
use super::random::Random;
use super::record::{Effect, Event, SECTOR, Target, What};
use std::sync::Arc;

/// What a disk does with what it is asked. Anything but [`Physics::HONEST`] is a broken disk, to see that the invariants notice.
#[derive(Clone, Copy, Debug)]
pub struct Physics {
    /// What is written in one piece, in bytes.
    pub sector: u64,
    pub obeys_syncs: bool,
    pub obeys_syncs_of_names: bool,
}

impl Physics {
    pub const HONEST: Physics = Physics { sector: SECTOR, obeys_syncs: true, obeys_syncs_of_names: true };
}

/// Where a record begins: what is durable, and what an earlier process asked for and did not sync.
#[derive(Clone, Default)]
pub struct Start {
    pub durable: Arc<Image>,
    pub outstanding: Vec<Arc<Effect>>,
}

/// How hard to look.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// With at most so many effects outstanding, every subset of them is tried.
    pub exhaustive: usize,
    /// With more, so many samples.
    pub samples: usize,
    /// How many more samples with torn writes.
    pub torn: usize,
}

/// What becomes of an outstanding effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Lost,
    Kept,
    /// Some of its sectors, by this seed.
    Torn(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanKind {
    Subset,
    Sample,
    Torn,
}

/// One way for a crash to turn out.
#[derive(Debug)]
pub struct Plan {
    pub kind: PlanKind,
    fates: Vec<Fate>,
    /// The order in which the disk took them, where it is not the order in which they were asked for.
    order: Option<Vec<usize>>,
}

/// A walk along a record.
pub struct Crash<'r> {
    rest: std::slice::Iter<'r, Event>,
    physics: Physics,
    random: Random,
    durable: Image,
    /// With the number of events after which each was there.
    outstanding: Vec<(usize, Arc<Effect>)>,
    position: usize,
}

impl<'r> Crash<'r> {
    pub fn new(start: &Start, record: &'r [Event], physics: Physics, seed: u64) -> Crash<'r> {
        let outstanding = start.outstanding.iter().map(|effect| (0, effect.clone())).collect();
        let durable = (*start.durable).clone();
        Crash { rest: record.iter(), physics, random: Random::new(seed), durable, outstanding, position: 0 }
    }

    /// Lets the next event happen.
    pub fn advance(&mut self) -> Option<&'r Event> {
        let event = self.rest.next()?;
        self.position += 1;
        match &event.what {
            What::Effect(effect) => self.outstanding.push((self.position, effect.clone())),
            What::Sync { target, begun } => {
                let obeys = self.physics.obeys_syncs && (*target != Target::Names || self.physics.obeys_syncs_of_names);
                if obeys {
                    for (_, effect) in covered(&mut self.outstanding, *target, *begun) {
                        self.durable.apply(&effect);
                    }
                    self.forget_nameless();
                }
            }
            What::FailedSync { target, begun } => {
                for (_, effect) in covered(&mut self.outstanding, *target, *begun) {
                    let fate = Fate::any(&mut self.random);
                    fate.befall(&effect, &mut self.durable, self.physics.sector);
                }
            }
            What::Promised(_) | What::Names(_) => {}
        }
        Some(event)
    }

    /// Empties the files that no name leads to for sure, so that images stay small.
    fn forget_nameless(&mut self) {
        for file in 1..self.durable.files.len() {
            let is_named = self.durable.names.values().any(|named| *named == file);
            let awaits_name = self.outstanding.iter().any(|(_, effect)| effect.target() == Target::Names);
            if !is_named && !awaits_name {
                self.durable.files[file] = Vec::new();
                self.outstanding.retain(|(_, effect)| effect.target() != Target::File(file));
            }
        }
    }

    /// The ways for a crash now to turn out that are worth a look. With `only_new` those alone in which the newest effect has a part: the
    /// others were possible before it, too.
    pub fn plans(&mut self, effort: Effort, only_new: bool) -> Vec<Plan> {
        let count = self.outstanding.len();
        let only_new = only_new && count > 0;
        let mut plans = Vec::new();
        if count <= effort.exhaustive {
            let free = count - usize::from(only_new);
            plans.extend((0..1_u64 << free).map(|subset| {
                let fate = |index| if index >= free || subset >> index & 1 == 1 { Fate::Kept } else { Fate::Lost };
                Plan { kind: PlanKind::Subset, fates: (0..count).map(fate).collect(), order: None }
            }));
        } else {
            plans.extend((0..effort.samples).map(|number| self.sample(number)));
        }
        let sector = self.physics.sector;
        let can_tear = if only_new { &self.outstanding[count - 1..] } else { &self.outstanding[..] };
        if can_tear.iter().any(|(_, effect)| effect.pieces(sector).nth(1).is_some()) {
            plans.extend((0..effort.torn).map(|_| {
                let random = &mut self.random;
                let fates = self.outstanding.iter().map(|_| Fate::any(random)).collect();
                Plan { kind: PlanKind::Torn, fates, order: None }
            }));
        }
        plans
    }

    /// First the typical ways, then any.
    fn sample(&mut self, number: usize) -> Plan {
        let count = self.outstanding.len();
        let random = &mut self.random;
        let mut fates = vec![Fate::Kept; count];
        let mut order = None;
        match number {
            0 => {}
            1 => fates.fill(Fate::Lost),
            2 => fates[random.below(count as u64) as usize] = Fate::Lost,
            3 => {
                fates.fill(Fate::Lost);
                fates[count - 1] = Fate::Kept;
            }
            4 => fates[count - 1] = Fate::Torn(random.next()),
            5 => fates[random.below(count as u64) as usize..].fill(Fate::Lost),
            _ => {
                let kept_in_eight = random.within(1, 7);
                for fate in &mut fates {
                    if random.below(8) >= kept_in_eight {
                        *fate = Fate::any(random);
                    }
                }
                if random.one_in(2) {
                    let mut shuffled: Vec<usize> = (0..count).collect();
                    random.shuffle(&mut shuffled);
                    order = Some(shuffled);
                }
            }
        }
        Plan { kind: PlanKind::Sample, fates, order }
    }

    /// What is found after a crash that turned out like this.
    pub fn build(&self, plan: &Plan, image: &mut Image) {
        image.clone_from(&self.durable);
        let one = |index: usize, image: &mut Image| {
            plan.fates[index].befall(&self.outstanding[index].1, image, self.physics.sector);
        };
        match &plan.order {
            None => (0..self.outstanding.len()).for_each(|index| one(index, image)),
            Some(order) => order.iter().for_each(|&index| one(index, image)),
        }
    }

    /// What the next process finds if only this one dies: nothing is lost, and nothing more is durable.
    pub fn killed(&self) -> (Start, Image) {
        let mut live = self.durable.clone();
        self.outstanding.iter().for_each(|(_, effect)| live.apply(effect));
        let outstanding = self.outstanding.iter().map(|(_, effect)| effect.clone()).collect();
        (Start { durable: Arc::new(self.durable.clone()), outstanding }, live)
    }
}

/// Takes out what a sync of `target` covers that began after `begun` events.
fn covered(
    outstanding: &mut Vec<(usize, Arc<Effect>)>,
    target: Target,
    begun: usize,
) -> impl Iterator<Item = (usize, Arc<Effect>)> {
    outstanding.extract_if(.., move |(at, effect)| effect.target() == target && *at <= begun)
}

impl Fate {
    fn any(random: &mut Random) -> Fate {
        match random.below(3) {
            0 => Fate::Lost,
            1 => Fate::Kept,
            _ => Fate::Torn(random.next()),
        }
    }

    fn befall(self, effect: &Effect, image: &mut Image, sector: u64) {
        match self {
            Fate::Lost => {}
            Fate::Kept => image.apply(effect),
            Fate::Torn(seed) => {
                let mut random = Random::new(seed);
                effect.pieces(sector).filter(|_| random.one_in(2)).for_each(|piece| image.apply_piece(effect, piece));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::record::STORE;

    fn write(offset: u64, bytes: &[u8]) -> Event {
        let effect = Effect::Write { file: STORE, offset, bytes: bytes.into() };
        Event { what: What::Effect(Arc::new(effect)), seen: 0 }
    }

    fn event(what: What) -> Event {
        Event { what, seen: 0 }
    }

    fn synced(target: Target, begun: usize) -> Event {
        event(What::Sync { target, begun })
    }

    fn images(crash: &mut Crash<'_>, effort: Effort) -> Vec<Image> {
        let mut found = Vec::new();
        for plan in crash.plans(effort, false) {
            let mut image = Image::default();
            crash.build(&plan, &mut image);
            found.push(image);
        }
        found
    }

    const EFFORT: Effort = Effort { exhaustive: 10, samples: 0, torn: 64 };

    #[test]
    fn what_is_not_synced_may_be_lost_in_any_combination() {
        let len = event(What::Effect(Arc::new(Effect::SetLen { file: STORE, len: 4 })));
        let sync = synced(Target::File(STORE), 1);
        let record = [len, sync, write(0, b"a"), write(1, b"b"), write(2, b"c")];
        let mut crash = Crash::new(&Start::default(), &record, Physics::HONEST, 1);
        while crash.advance().is_some() {}
        let mut found: Vec<Vec<u8>> = images(&mut crash, EFFORT).iter().map(|image| image.store().to_vec()).collect();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 8, "{found:?}");
        assert!(found.contains(&b"a\0c\0".to_vec()));
    }

    #[test]
    fn a_long_write_tears_at_sectors_and_a_short_one_does_not() {
        let len = event(What::Effect(Arc::new(Effect::SetLen { file: STORE, len: 2048 })));
        let sync = synced(Target::File(STORE), 1);
        let record = [len, sync, write(512, &[1; 512]), write(1000, &[2; 600])];
        let mut crash = Crash::new(&Start::default(), &record, Physics::HONEST, 1);
        crash.advance();
        crash.advance();
        crash.advance();
        assert!(crash.plans(EFFORT, false).iter().all(|plan| plan.kind == PlanKind::Subset));
        crash.advance();
        let torn = images(&mut crash, EFFORT);
        let halves = |image: &Image| (image.store()[1023] == 2, image.store()[1024] == 2);
        for wanted in [(false, false), (false, true), (true, false), (true, true)] {
            assert!(torn.iter().any(|image| halves(image) == wanted), "{wanted:?} never came up");
        }
    }

    #[test]
    fn names_need_a_sync_of_their_own() {
        let create = event(What::Effect(Arc::new(Effect::Create { number: 7, file: 1 })));
        let grow = event(What::Effect(Arc::new(Effect::SetLen { file: 1, len: 3 })));
        let record = [create, grow, synced(Target::File(1), 2), synced(Target::Names, 3)];
        let mut crash = Crash::new(&Start::default(), &record, Physics::HONEST, 1);
        (0..3).for_each(|_| assert!(crash.advance().is_some()));
        let named: Vec<bool> = images(&mut crash, EFFORT).iter().map(|image| image.names.contains_key(&7)).collect();
        assert!(named.contains(&true) && named.contains(&false));
        crash.advance();
        let found = images(&mut crash, EFFORT);
        assert!(found.iter().all(|image| image.names.get(&7) == Some(&1) && image.files[1] == [0; 3]));
    }

    #[test]
    fn a_failed_sync_is_not_made_good_by_the_next() {
        let len = event(What::Effect(Arc::new(Effect::SetLen { file: STORE, len: 1 })));
        let target = Target::File(STORE);
        let failed = event(What::FailedSync { target, begun: 3 });
        let record = [len, synced(target, 1), write(0, b"x"), failed, synced(target, 4)];
        let survives = |seed| {
            let mut crash = Crash::new(&Start::default(), &record, Physics::HONEST, seed);
            while crash.advance().is_some() {}
            crash.durable.store() == b"x"
        };
        let survivals = (0..64).filter(|seed| survives(*seed)).count();
        assert!((1..64).contains(&survivals), "{survivals} of 64");
    }

    #[test]
    fn a_sync_does_not_cover_what_is_written_while_it_runs() {
        let len = event(What::Effect(Arc::new(Effect::SetLen { file: STORE, len: 2 })));
        let record = [len, write(0, b"a"), write(1, b"b"), synced(Target::File(STORE), 2)];
        let mut crash = Crash::new(&Start::default(), &record, Physics::HONEST, 1);
        while crash.advance().is_some() {}
        let found = images(&mut crash, EFFORT);
        assert!(
            found.iter().any(|image| image.store() == b"a\0") && found.iter().all(|image| image.store()[0] == b'a')
        );
    }
}
