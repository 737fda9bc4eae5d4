//! Snapshots that come and go by themselves: so many of the last hours, days, weeks.
//!
//! Promises:
//! 1. What to make and what to drop is a function of the rules, the time, and the names that are there: no clock is asked and nothing is remembered. Deciding again at once
//!    changes nothing.
//! 2. Only names of the form `auto-2026-11-20T13:00:00Z` are its own. All others are left alone, and do not count.
//! 3. For each rule the first automatic snapshot of each of the newest periods that have one is kept. So which one stands for a period never changes,
//!    and a store that was not open for a while loses nothing by that.
//! 4. What it makes and what it drops change the list of names in one step.

use crate::database::{Database, Shared};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
/// 1970 began on a Thursday; weeks begin on Mondays.
const MONDAY: u64 = 3 * DAY;
const PREFIX: &str = "auto-";
/// The year 9999 has ended: names have four digits for the year.
const END_OF_TIME: u64 = 253_402_300_800;

/// So many snapshots, one for each period. Periods are counted from 1970 (weeks from a Monday), in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    /// In seconds.
    period: u64,
    keep: usize,
}

impl Rule {
    fn period_of(self, seconds: u64) -> u64 {
        let offset = if self.period.is_multiple_of(WEEK) { MONDAY } else { 0 };
        (seconds + offset) / self.period
    }
}

/// Which snapshots a store makes, keeps and drops by itself. Give it to [`Builder::retention`](crate::Builder::retention).
///
/// ```
/// # use pentimento_txn as pentimento;
/// use pentimento::Retention;
/// use std::time::{Duration, SystemTime};
/// let retention = Retention::new().hourly(24).daily(7).weekly(4);
/// // 20 November 2026, 13:07:12 UTC
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_180_032);
/// let plan = retention.plan(now, ["before the sale", "auto-2026-11-20T12:00:00Z"]);
/// assert_eq!(plan.create.as_deref(), Some("auto-2026-11-20T13:07:12Z"));
/// assert!(plan.drop.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Retention {
    rules: Vec<Rule>,
}

/// What retention would do, or did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionPlan {
    /// The name of a new snapshot.
    pub create: Option<String>,
    /// The names of those that are not needed any more, oldest first.
    pub drop: Vec<String>,
}

impl Retention {
    /// No rule: nothing is made, and nothing is dropped.
    pub fn new() -> Retention {
        Retention::default()
    }

    /// One for each of the last `keep` hours.
    pub fn hourly(self, keep: usize) -> Retention {
        self.every(Duration::from_secs(HOUR), keep)
    }

    /// One for each of the last `keep` days.
    pub fn daily(self, keep: usize) -> Retention {
        self.every(Duration::from_secs(DAY), keep)
    }

    /// One for each of the last `keep` weeks, from Monday to Sunday.
    pub fn weekly(self, keep: usize) -> Retention {
        self.every(Duration::from_secs(WEEK), keep)
    }

    /// One for each of the last `keep` periods of this length: of whole seconds, at least one.
    pub fn every(mut self, period: Duration, keep: usize) -> Retention {
        if keep > 0 {
            self.rules.push(Rule { period: period.as_secs().max(1), keep });
        }
        self
    }

    /// The name that an automatic snapshot of this moment has: `auto-` and the time in UTC.
    #[must_use]
    pub fn name_at(time: SystemTime) -> String {
        name_of(seconds(time))
    }

    /// What is to be done at a moment, where there are snapshots of these names.
    #[must_use]
    pub fn plan<'n>(&self, now: SystemTime, names: impl IntoIterator<Item = &'n str>) -> RetentionPlan {
        self.plan_if(now, names, true)
    }

    /// The same; `has_news`: whether there is anything that a new snapshot would have and the newest has not.
    fn plan_if<'n>(&self, now: SystemTime, names: impl IntoIterator<Item = &'n str>, has_news: bool) -> RetentionPlan {
        let now = seconds(now);
        let mut times: BTreeSet<u64> = names.into_iter().filter_map(time_of).collect();
        let Some(shortest) = self.rules.iter().min_by_key(|rule| rule.period) else { return RetentionPlan::default() };
        let is_due = has_news && !times.iter().any(|time| shortest.period_of(*time) == shortest.period_of(now));
        if is_due {
            times.insert(now);
        }
        let mut kept = BTreeSet::new();
        for rule in &self.rules {
            let mut firsts: Vec<u64> = Vec::new();
            let mut previous = None;
            for time in &times {
                if previous.replace(rule.period_of(*time)) != Some(rule.period_of(*time)) {
                    firsts.push(*time);
                }
            }
            kept.extend(firsts.into_iter().rev().take(rule.keep));
        }
        RetentionPlan {
            // Where there are snapshots of the future one of now may be too old to be kept.
            create: (is_due && kept.contains(&now)).then(|| name_of(now)),
            drop: times.difference(&kept).filter(|time| !is_due || **time != now).map(|time| name_of(*time)).collect(),
        }
    }
}

impl Database {
    /// Makes and drops the snapshots that the [`Retention`] of this store wants made and dropped at this moment, and tells which. The background thread does the same once a second, where there is
    /// one. If nothing was committed since the newest automatic snapshot none is made. Without a policy nothing happens.
    ///
    /// # Errors
    /// As for [`snapshot_named`](Database::snapshot_named).
    pub fn apply_retention(&self, now: SystemTime) -> Result<RetentionPlan> {
        self.shared()
            .retention
            .as_ref()
            .map_or_else(|| Ok(RetentionPlan::default()), |retention| self.shared().retain(retention, now))
    }

    /// As [`apply_retention`](Database::apply_retention), by these rules instead of the store's own.
    ///
    /// # Errors
    /// The same.
    pub fn apply_retention_of(&self, retention: &Retention, now: SystemTime) -> Result<RetentionPlan> {
        self.shared().retain(retention, now)
    }
}

impl Shared {
    /// One application of the policy.
    pub fn retain(&self, retention: &Retention, now: SystemTime) -> Result<RetentionPlan> {
        loop {
            let (at, names): (Option<_>, Vec<_>) = {
                let named = self.store.names();
                let newest = named.iter().filter(|(name, _)| time_of(name).is_some()).map(|(_, at)| *at).max();
                (newest, named)
            };
            let has_news = at != Some(self.store.installed());
            let plan = retention.plan_if(now, names.iter().map(|(name, _)| &**name), has_news);
            if plan == RetentionPlan::default() {
                return Ok(plan);
            }
            let drop: Vec<&str> = plan.drop.iter().map(String::as_str).collect();
            match self.change_names(plan.create.as_deref().map(|name| (name, now)), &drop) {
                Ok(_) => return Ok(plan),
                // Somebody else changed the names meanwhile.
                Err(Error::NoSuchSnapshot(_) | Error::SnapshotExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(END_OF_TIME - 1)
}

/// The name of an automatic snapshot. The calendar is computed as in Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, and 400 of them
/// have 146,097 days.
fn name_of(seconds: u64) -> String {
    let (days, second) = (seconds / DAY + 719_468, seconds % DAY);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year_of_era + month / 10, (month + 2) % 12 + 1);
    format!("{PREFIX}{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / HOUR, second / 60 % 60, second % 60)
}

/// The time in the name of an automatic snapshot; `None` for all other names.
fn time_of(name: &str) -> Option<u64> {
    let bytes = name.strip_prefix(PREFIX)?.as_bytes();
    let number = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let (march_year, march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (march_year / 400, march_year % 400);
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let time = days * DAY + hour * HOUR + minute * 60 + second;
    // What is no such name to the letter, or no such day, is somebody else's.
    (name_of(time) == name).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::QuickCheck;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn names_tell_their_time() {
        for (time, name) in [
            (0, "auto-1970-01-01T00:00:00Z"),
            (951_782_400, "auto-2000-02-29T00:00:00Z"),
            (1_795_180_032, "auto-2026-11-20T13:07:12Z"),
            (END_OF_TIME - 1, "auto-9999-12-31T23:59:59Z"),
        ] {
            assert_eq!((name_of(time).as_str(), time_of(name)), (name, Some(time)));
        }
        for foreign in [
            "nightly",
            "auto-",
            "auto-2026-02-30T00:00:00Z",
            "auto-2026-11-20T13:07:12",
            "auto-2026-11-20 13:07:12Z",
            "auto-2026-13-01T00:00:00Z",
            "auto-ü026-11-20T13:07:12Z",
        ] {
            assert_eq!(time_of(foreign), None, "{foreign}");
        }
        QuickCheck::new().quickcheck(
            (|time: u32| time_of(&name_of(u64::from(time) * 40)) == Some(u64::from(time) * 40)) as fn(u32) -> bool,
        );
    }

    /// Time passes in random steps, and the plan is carried out each time: never more is kept than the rules ask for, nothing foreign is touched, what stands for a period stays, and
    /// deciding again changes nothing.
    #[test]
    fn plans_keep_what_the_rules_say() {
        fn property(steps: Vec<(u16, u8)>, hourly: u8, daily: u8, weekly: u8) -> bool {
            let (hourly, daily, weekly) = (hourly as usize % 5, daily as usize % 4, weekly as usize % 3);
            let retention = Retention::new().hourly(hourly).daily(daily).weekly(weekly);
            let mut now = 1_700_000_000;
            let mut names: Vec<String> = vec!["mine".to_owned(), "auto-mine".to_owned()];
            for (step, long) in steps {
                now += u64::from(step) * if long % 8 == 0 { 40 } else { 1 };
                let plan = retention.plan(at(now), names.iter().map(String::as_str));
                names.retain(|name| !plan.drop.contains(name));
                names.extend(plan.create.clone());
                let again = retention.plan(at(now), names.iter().map(String::as_str));
                assert_eq!(again, RetentionPlan::default(), "{names:?}");
                assert_eq!(&names[..2], ["mine", "auto-mine"]);
                let times: Vec<u64> = names.iter().filter_map(|name| time_of(name)).collect();
                assert!(times.len() <= hourly + daily + weekly);
                assert_eq!(times.is_empty(), hourly + daily + weekly == 0);
                // The shortest period that is asked for has one now.
                if let Some(rule) = retention.rules.iter().min_by_key(|rule| rule.period) {
                    assert!(times.iter().any(|time| rule.period_of(*time) == rule.period_of(now)));
                }
            }
            true
        }
        QuickCheck::new().tests(300).quickcheck(property as fn(Vec<(u16, u8)>, u8, u8, u8) -> bool);
    }

    /// Every hour for ten weeks: 24 hours, 7 days and 4 weeks are there in the end, some of them in several parts.
    #[test]
    fn ten_weeks_of_hours() {
        let retention = Retention::new().hourly(24).daily(7).weekly(4);
        let mut names: Vec<String> = Vec::new();
        let start = 1_795_132_800 - 1_795_132_800 % WEEK; // a Thursday, midnight
        for hour in 0..24 * 70 {
            let plan = retention.plan(at(start + hour * HOUR), names.iter().map(String::as_str));
            assert!(plan.create.is_some() && plan.drop.len() <= 2);
            names.retain(|name| !plan.drop.contains(name));
            names.extend(plan.create);
        }
        // The last hour is 23:00 of a Wednesday: its 24 hours are the whole day, whose first is that of the day; the week's first is the Monday's first, which is a day's.
        let mut expected: Vec<u64> = (0..24).map(|hour| start + (24 * 69 + hour) * HOUR).collect();
        expected.extend((63..69).map(|day| start + day * DAY));
        expected.extend([46, 53, 60].map(|day: u64| start + day * DAY));
        expected.sort_unstable();
        let times: Vec<u64> = names.iter().filter_map(|name| time_of(name)).collect();
        assert_eq!(times, expected);
    }
}
