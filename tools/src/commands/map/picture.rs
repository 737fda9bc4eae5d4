//! The file as parts with one use each: what every kind of map is drawn from.

use super::By;
use crate::inspect::{Forest, Past, PastState, SlotUse, Survey};
use pentimento_storage::{PageId, SLOT_BYTES};
use serde::Serialize;

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The metas.
    Meta,
    /// The page table.
    Table,
    /// A version that the newest checkpoint has.
    Current,
    /// What only named snapshots need, and their list.
    Named,
    /// An older version that a pin needs.
    Retained,
    /// A version for the next checkpoint.
    Newer,
    /// Nothing that anybody needs.
    Free,
    /// Nothing that the checkpoint has, and nobody tells who needs it.
    Unknown,
}

impl Class {
    /// All uses, in the order of legends.
    pub const ALL: [Class; 8] = [
        Class::Meta,
        Class::Table,
        Class::Current,
        Class::Named,
        Class::Retained,
        Class::Newer,
        Class::Free,
        Class::Unknown,
    ];

    /// One word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Meta => "meta",
            Class::Table => "table",
            Class::Current => "current",
            Class::Named => "named",
            Class::Retained => "retained",
            Class::Newer => "newer",
            Class::Free => "free",
            Class::Unknown => "unknown",
        }
    }

    /// One letter for it.
    pub(crate) fn letter(self) -> char {
        match self {
            Class::Meta => 'M',
            Class::Table => 'T',
            Class::Current => '#',
            Class::Named => '@',
            Class::Retained => 'r',
            Class::Newer => 'n',
            Class::Free => '.',
            Class::Unknown => '?',
        }
    }

    /// Its colour: distinct also for those who do not tell red from green (after Okabe and Ito).
    pub(crate) fn colour(self) -> [u8; 3] {
        match self {
            Class::Meta => [0xCC, 0x79, 0xA7],
            Class::Table => [0x56, 0xB4, 0xE9],
            Class::Current => [0x00, 0x72, 0xB2],
            Class::Named => [0xD5, 0x5E, 0x00],
            Class::Retained => [0xE6, 0x9F, 0x00],
            Class::Newer => [0x00, 0x9E, 0x73],
            Class::Free => [0xE4, 0xE4, 0xE0],
            Class::Unknown => [0x9A, 0x9A, 0x94],
        }
    }
}

/// Adjacent slots with one use and one page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The first slot.
    pub slot: u64,
    /// How many slots.
    pub slots: u64,
    /// What they are used for.
    #[serde(rename = "use")]
    pub usage: Class,
    /// The page whose version is there, or was there before it became free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The number of its tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<u32>,
    /// The commit that made the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth: Option<u64>,
    /// The pin that it is charged to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<u64>,
    /// Used bytes of the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// The names of the trees that parts refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeNames {
    /// By number.
    pub names: Vec<String>,
    roots: Vec<PageId>,
}

/// A store as its map shows it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The store, as it was named.
    pub store: String,
    /// The newest commit of the checkpoint.
    pub checkpoint: u64,
    /// The size that pages aim at.
    pub page_size: u32,
    /// All slots of the file.
    pub slots: u64,
    /// The file, part by part, without a gap.
    pub parts: Vec<Part>,
    /// The trees.
    pub trees: TreeNames,
}

impl Picture {
    /// The picture of a store.
    #[must_use]
    pub fn of(survey: &Survey, forest: &Forest, past: &Past, store: &str) -> Picture {
        let trees = TreeNames {
            names: forest.trees.iter().map(|tree| tree.name.clone()).collect(),
            roots: forest.trees.iter().map(|tree| tree.root).collect(),
        };
        let mut picture = Picture {
            store: store.to_owned(),
            checkpoint: past.checkpoint.timestamp().0,
            page_size: past.checkpoint.page_size(),
            slots: past.checkpoint.head.file_bytes / SLOT_BYTES as u64,
            parts: Vec::new(),
            trees,
        };
        let mut versions = past.versions.iter().peekable();
        for stretch in &past.slots.stretches {
            let (start, end) = (stretch.run.start, stretch.run.end());
            let usage = match stretch.usage {
                SlotUse::Meta => Class::Meta,
                SlotUse::Table => Class::Table,
                SlotUse::Current(page) => {
                    let page = PageId(page);
                    let facts = survey.page(page);
                    let tree = forest.tree_index(page).map(|tree| tree as u32);
                    picture.parts.push(Part {
                        page: Some(page.0),
                        tree: tree.or_else(|| facts.and_then(|facts| picture.trees.with_root(facts.owner, page))),
                        birth: facts.map(|facts| facts.birth.0),
                        bytes: facts.map(|facts| u64::from(facts.length)),
                        ..part(start, end, Class::Current)
                    });
                    continue;
                }
                SlotUse::Named(_) | SlotUse::NamedTable | SlotUse::NamedList => Class::Named,
                SlotUse::Unreferenced if past.is_known() => Class::Free,
                SlotUse::Unreferenced => Class::Unknown,
            };
            let mut at = start;
            while let Some(version) = versions.next_if(|version| version.remain.run.start < end) {
                let run = version.remain.run;
                if run.start > at {
                    picture.parts.push(part(at, run.start, usage));
                }
                let usage = match version.state {
                    PastState::Named => Class::Named,
                    PastState::Retained => Class::Retained,
                    PastState::Newer => Class::Newer,
                    PastState::Free => Class::Free,
                    PastState::Unknown => Class::Unknown,
                };
                picture.parts.push(Part {
                    page: Some(version.remain.page.0),
                    tree: picture.trees.with_root(version.remain.owner, version.remain.page),
                    birth: Some(version.remain.birth.0),
                    pin: version.charged_to.map(|at| at.0),
                    bytes: Some(u64::from(version.remain.length)),
                    ..part(run.start, run.end(), usage)
                });
                at = run.end();
            }
            if at < end {
                picture.parts.push(part(at, end, usage));
            }
        }
        picture
    }

    /// How many slots each use has; those that none has are left out.
    #[must_use]
    pub fn uses(&self) -> Vec<(Class, u64)> {
        let of =
            |class: Class| self.parts.iter().filter(|part| part.usage == class).map(|part| part.slots).sum::<u64>();
        Class::ALL.into_iter().map(|class| (class, of(class))).filter(|(_, slots)| *slots > 0).collect()
    }

    /// The oldest birth of a version that somebody needs, and the youngest.
    #[must_use]
    pub fn births(&self) -> (u64, u64) {
        let births = || self.parts.iter().filter(|part| part.is_version()).filter_map(|part| part.birth);
        (births().min().unwrap_or(0), births().max().unwrap_or(0))
    }

    /// How full a part's page is, from 0 to 1.
    pub(crate) fn fill(&self, part: &Part) -> Option<f64> {
        let bytes = part.bytes.filter(|_| part.is_version())?;
        Some((bytes as f64 / f64::from(self.page_size)).min(1.0))
    }

    /// The parts as cells of `per_cell` slots: for each cell the part that has most of it.
    pub(crate) fn cells(&self, per_cell: u64) -> Vec<&Part> {
        let count = self.slots.div_ceil(per_cell);
        let mut cells: Vec<&Part> = Vec::with_capacity(count as usize);
        let mut at = 0;
        for cell in 0..count {
            let (start, end) = (cell * per_cell, (cell + 1) * per_cell);
            while self.parts.get(at).is_some_and(|part| part.slot + part.slots <= start) {
                at += 1;
            }
            let within = self.parts[at.min(self.parts.len())..].iter().take_while(|part| part.slot < end);
            let overlap = |part: &&Part| (part.slot + part.slots).min(end) - part.slot.max(start);
            // By use first, so that many small pages are not outvoted by one free stretch.
            let mut by_use = [0_u64; Class::ALL.len()];
            for part in within.clone() {
                by_use[part.usage as usize] += overlap(&part);
            }
            let most = Class::ALL.into_iter().max_by_key(|class| by_use[*class as usize]);
            cells.extend(within.filter(|part| Some(part.usage) == most).max_by_key(overlap));
        }
        cells
    }

    /// What a legend says of a view: a name for each colour.
    pub(crate) fn title(&self, by: By) -> String {
        let what = match by {
            By::Use => "use",
            By::Tree => "tree",
            By::Age => "age",
            By::Fill => "fill",
        };
        format!("{} by {what}: {} slots of 2 KiB, as of commit {}", self.store, self.slots, self.checkpoint)
    }
}

impl Part {
    /// Whether a version is there that somebody needs.
    #[must_use]
    pub fn is_version(&self) -> bool {
        match self.usage {
            Class::Current | Class::Retained | Class::Newer => true,
            // Tables and the list are no versions.
            Class::Named => self.page.is_some(),
            _ => false,
        }
    }
}

impl TreeNames {
    fn with_root(&self, owner: PageId, page: PageId) -> Option<u32> {
        let root = if owner == PageId::NONE { page } else { owner };
        self.roots.iter().position(|known| *known == root).map(|at| at as u32)
    }
}

fn part(start: u64, end: u64, usage: Class) -> Part {
    Part { slot: start, slots: end - start, usage, page: None, tree: None, birth: None, pin: None, bytes: None }
}

/// Colours for trees: those of Okabe and Ito without black, then again darker.
pub(crate) fn tree_colour(tree: u32) -> [u8; 3] {
    const COLOURS: [[u8; 3]; 7] = [
        [0x00, 0x72, 0xB2],
        [0xD5, 0x5E, 0x00],
        [0x00, 0x9E, 0x73],
        [0xCC, 0x79, 0xA7],
        [0xE6, 0x9F, 0x00],
        [0x56, 0xB4, 0xE9],
        [0xB8, 0xA8, 0x00],
    ];
    let [r, g, b] = COLOURS[tree as usize % COLOURS.len()];
    if (tree as usize / COLOURS.len()).is_multiple_of(2) { [r, g, b] } else { [r / 5 * 3, g / 5 * 3, b / 5 * 3] }
}

/// A colour between dark blue and yellow, by way of green: in the manner of viridis.
pub(crate) fn scale_colour(from_0_to_1: f64) -> [u8; 3] {
    const STOPS: [[f64; 3]; 5] =
        [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];
    let at = from_0_to_1.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let low = (at.floor() as usize).min(STOPS.len() - 2);
    let part = at - low as f64;
    let channel = |channel: usize| (STOPS[low][channel] * (1.0 - part) + STOPS[low + 1][channel] * part).round() as u8;
    [channel(0), channel(1), channel(2)]
}

/// The colour of a part in a view.
pub(crate) fn colour_of(picture: &Picture, part: &Part, by: By, births: (u64, u64)) -> [u8; 3] {
    let plain = match part.usage {
        Class::Meta | Class::Table => [0xC8, 0xC8, 0xC4],
        other => other.colour(),
    };
    match by {
        By::Use => part.usage.colour(),
        By::Tree if part.is_version() => part.tree.map_or(Class::Unknown.colour(), tree_colour),
        By::Age if part.is_version() => part.birth.map_or(plain, |birth| scale_colour(youth(birth, births))),
        By::Fill => picture.fill(part).map_or(plain, scale_colour),
        _ => plain,
    }
}

/// How young a birth is among others, from 0 to 1.
pub(crate) fn youth(birth: u64, (oldest, youngest): (u64, u64)) -> f64 {
    if youngest <= oldest { 1.0 } else { birth.saturating_sub(oldest) as f64 / (youngest - oldest) as f64 }
}
