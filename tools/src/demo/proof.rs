//! What must hold, what was seen of it, and the verdict.

use super::analysis::Answer;
use crate::format::count;
use pentimento::CheckReport;
use serde::Serialize;

/// How many faults of one sort are told.
const FAULTS_TOLD: usize = 3;

/// Something that must hold, and whether it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// What must hold.
    pub claim: &'static str,
    /// Whether it did.
    pub held: bool,
    /// What was looked at; if it did not hold, what was wrong.
    pub detail: String,
}

impl Proof {
    fn new(claim: &'static str, faults: &Faults, looked_at: String) -> Proof {
        Proof { claim, held: faults.total == 0, detail: faults.tell().unwrap_or(looked_at) }
    }
}

#[derive(Clone, Debug, Default)]
struct Faults {
    total: u64,
    first: Vec<String>,
}

impl Faults {
    fn add(&mut self, fault: String) {
        self.total += 1;
        if self.first.len() < FAULTS_TOLD {
            self.first.push(fault);
        }
    }

    fn tell(&self) -> Option<String> {
        let more = match self.total.saturating_sub(self.first.len() as u64) {
            0 => String::new(),
            more => format!("; and {} more", count(more)),
        };
        (self.total > 0).then(|| self.first.join("; ") + &more)
    }
}

/// What was seen while reader and writer ran.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    repetitions: u64,
    passes_long: u64,
    passes_fresh: u64,
    changed_answers: Faults,
    long_disagreements: Faults,
    fresh_disagreements: Faults,
    /// Of the last answer from a long snapshot.
    pub answer_crc: Option<u32>,
    pub answer_bytes: u64,
}

impl Evidence {
    /// A pass over a long snapshot or a fresh one is done: do its totals and entries agree?
    pub fn agreement(&mut self, is_long: bool, answer: &Answer) {
        let (passes, faults) = match is_long {
            true => (&mut self.passes_long, &mut self.long_disagreements),
            false => (&mut self.passes_fresh, &mut self.fresh_disagreements),
        };
        *passes += 1;
        if let Some(what) = answer.disagreement() {
            faults.add(format!("in pass {passes}, {what}"));
        }
    }

    /// A pass over a long snapshot is done that is not the first: does it answer as the first did?
    pub fn sameness(&mut self, first: &[u8], now: &[u8]) {
        self.repetitions += 1;
        if first != now {
            let at = first.iter().zip(now).position(|(one, other)| one != other);
            let at = at.unwrap_or(first.len().min(now.len()));
            let what = format!("in repetition {} the answer differs from byte {at} on", self.repetitions);
            self.changed_answers.add(what);
        }
    }

    /// The proofs from what was seen while they ran.
    pub fn proofs(&self) -> Vec<Proof> {
        let crc = self.answer_crc.map_or(String::new(), |crc| format!(", CRC-32 {crc:08x}"));
        vec![
            Proof::new(
                "a long snapshot always answers the same, to the byte",
                &self.changed_answers,
                format!("{} repetitions of {} bytes{crc}", count(self.repetitions), count(self.answer_bytes)),
            ),
            Proof::new(
                "its totals and entries agree in every pass",
                &self.long_disagreements,
                format!("{} passes", count(self.passes_long)),
            ),
            Proof::new(
                "they agree in new snapshots, while commits go on",
                &self.fresh_disagreements,
                format!("{} passes", count(self.passes_fresh)),
            ),
        ]
    }
}

/// The proof about the state after the last commit.
pub(crate) fn final_state(answer: &Answer, files: u64) -> Proof {
    let mut faults = Faults::default();
    if answer.entries != files {
        faults.add(format!("{} entries of {}", count(answer.entries), count(files)));
    }
    answer.disagreement().into_iter().for_each(|what| faults.add(what));
    let looked_at = format!("{} entries", count(answer.entries));
    Proof::new("they agree in the final state, and no file is missing", &faults, looked_at)
}

/// The proof from the store's own checker.
pub(crate) fn check(report: &CheckReport) -> Proof {
    let mut faults = Faults::default();
    report.findings.iter().for_each(|finding| faults.add(finding.to_string()));
    let pages = report.storage.pages.len() as u64;
    let retained = report.storage.versions_retained;
    let looked_at = format!("{} pages, {} retained versions", count(pages), count(retained));
    Proof::new("the store's checker finds nothing", &faults, looked_at)
}

/// The proof that closing lost nothing.
pub(crate) fn reopened(before: &Answer, after: &Answer) -> Proof {
    let mut faults = Faults::default();
    if before.to_bytes() != after.to_bytes() {
        faults.add(format!("{} entries before, {} after, or other contents", before.entries, after.entries));
    }
    let looked_at = format!("{} entries", count(after.entries));
    Proof::new("it reads the same after closing and opening again", &faults, looked_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::totals::Totals;

    fn answer(summed: &[(&str, u64)], recorded: &[(&str, u64)]) -> Answer {
        let totals = |files: &[(&str, u64)]| {
            let mut totals = Totals::default();
            files.iter().for_each(|(path, size)| totals.add(path.as_bytes(), *size));
            totals
        };
        Answer {
            entries: summed.len() as u64,
            bytes: summed.iter().map(|(_, size)| size).sum(),
            summed: totals(summed),
            recorded: totals(recorded),
            largest: Vec::new(),
            duplicates: Vec::new(),
        }
    }

    fn verdicts(evidence: &Evidence) -> Vec<bool> {
        evidence.proofs().iter().map(|proof| proof.held).collect()
    }

    #[test]
    fn each_fault_fails_its_own_proof() {
        let right = answer(&[("a.rs", 1)], &[("a.rs", 1)]);
        let wrong = answer(&[("a.rs", 1)], &[("a.rs", 2)]);
        let mut evidence = Evidence::default();
        evidence.agreement(true, &right);
        evidence.agreement(false, &right);
        evidence.sameness(b"same", b"same");
        assert_eq!(verdicts(&evidence), [true, true, true]);

        let mut changed = evidence.clone();
        changed.sameness(b"same", b"sane");
        assert_eq!(verdicts(&changed), [false, true, true]);
        assert!(changed.proofs()[0].detail.contains("repetition 2") && changed.proofs()[0].detail.contains("byte 2"));
        let mut shorter = evidence.clone();
        shorter.sameness(b"same", b"sam");
        assert_eq!(verdicts(&shorter), [false, true, true]);
        let mut long = evidence.clone();
        long.agreement(true, &wrong);
        assert_eq!(verdicts(&long), [true, false, true]);
        let mut fresh = evidence.clone();
        (0..5).for_each(|_| fresh.agreement(false, &wrong));
        assert_eq!(verdicts(&fresh), [true, true, false]);
        assert!(fresh.proofs()[2].detail.ends_with("and 2 more"));
    }

    #[test]
    fn the_final_state_must_be_complete_and_the_same_after_reopening() {
        let right = answer(&[("a.rs", 1)], &[("a.rs", 1)]);
        assert!(final_state(&right, 1).held);
        assert!(!final_state(&right, 2).held);
        assert!(!final_state(&answer(&[("a.rs", 1)], &[]), 1).held);
        assert!(reopened(&right, &right).held);
        assert!(!reopened(&right, &answer(&[("a.rs", 2)], &[("a.rs", 2)])).held);
    }
}
