//! Settings at which what was noise would not have been told while all that was confirmed still is, found
//! by running the time around each of them again with other values, and all of it with the chosen ones.

use super::judge::Truth;
use super::rebuild::{self, Event, Scan, What};
use super::run::{Fired, Run};
use super::settings::{self, Setting};
use crate::cli::Failure;
use crate::files;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::input::Input;
use feedpulse_core::plan::Plan;
use feedpulse_core::time::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Rules on subjects that are looked at, the noisiest first.
const GROUPS_MAX: usize = 8;
/// False incidents of each, and confirmed ones, that are run again; the newest.
const NOISE_MAX: usize = 12;
const REAL_MAX: usize = 30;
/// What is run before an incident: rules look back an hour at most.
const BEFORE: Duration = Duration::from_secs(65 * 60);
/// And behind its beginning.
const BEHIND: Duration = Duration::from_secs(2 * 3_600);
/// Stretches that are held at one time.
const HELD_MAX: usize = 12;

/// All that the runs have in common.
pub(super) struct Recorded<'a> {
    pub(super) folder: &'a Path,
    pub(super) scan: &'a Scan,
    pub(super) beside: &'a [Event],
    pub(super) lessons: &'a [Input],
}

impl Recorded<'_> {
    /// Lives through all of it with a plan.
    pub(super) fn live(&self, plan: &Arc<Plan>) -> Result<Run, Failure> {
        let mut run = Run::new(Arc::clone(plan));
        self.each(plan, &mut |event, begins| {
            if begins {
                run.begin(event.at, self.lessons);
            }
            run.take(event);
        })?;
        if let Some((_, to)) = self.scan.times {
            run.pass(to);
        }
        Ok(run)
    }

    fn each(&self, plan: &Plan, each: &mut dyn FnMut(&Event, bool)) -> Result<(), Failure> {
        let mut begins = true;
        let thousands = usize::try_from(self.scan.journeys / 1_000).unwrap_or(0);
        let (bar, mut sent) = (files::progress(thousands, "thousand messages"), 0_u64);
        let played = rebuild::play(self.folder, plan, self.scan, self.beside, &mut |event| {
            sent += u64::from(matches!(event.what, What::Sent(..)));
            if sent >= 1_000 {
                sent = 0;
                files::advance(&bar);
            }
            each(event, begins);
            begins = false;
        });
        bar.finish_and_clear();
        played
    }
}

/// Incidents of one code on one subject that were noise.
struct Group {
    code: Code,
    subject: String,
    noise: Vec<usize>,
    candidates: Vec<Setting>,
}

/// An incident that is run again.
struct Case {
    fired: Fired,
    real: bool,
    from: Timestamp,
    to: Timestamp,
    /// Told by the same settings in the same stretch: only then the others say something.
    again: Option<Timestamp>,
    /// For each candidate of all groups: when it was told, and how loud.
    with: Vec<Option<(Timestamp, Severity)>>,
}

/// A setting that is suggested.
#[derive(Debug)]
pub(super) struct Suggestion {
    pub(super) code: Code,
    pub(super) subject: String,
    /// None: no value was found.
    pub(super) setting: Option<Setting>,
    /// False incidents that were run again, and that are told no more (or no more as pages).
    pub(super) noise: (usize, usize),
    /// Only the page is spared, the ticket stays.
    pub(super) page_only: bool,
    /// The longest delay of a confirmed one.
    pub(super) delay: Duration,
    /// How many values were tried.
    pub(super) tried: usize,
}

/// What came of looking for settings.
#[derive(Debug, Default)]
pub(super) struct Suggested {
    pub(super) all: Vec<Suggestion>,
    /// Confirmed incidents that every value had to keep.
    pub(super) confirmed: usize,
    /// Rules beyond those that were looked at.
    pub(super) beyond: usize,
    /// The whole time again with all of them: false ones, confirmed ones, all.
    pub(super) whole: Option<Whole>,
}

/// The whole time with the suggested settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    pub(super) noise: (usize, usize),
    pub(super) confirmed: (usize, usize),
    pub(super) told: (usize, usize),
}

/// Looks for settings.
///
/// # Errors
/// The ledger cannot be read.
pub(super) fn suggest(
    recorded: &Recorded<'_>,
    plan: &Arc<Plan>,
    fired: &[Fired],
    truth: &Truth,
    since: Timestamp,
) -> Result<Suggested, Failure> {
    let (groups, beyond) = groups(plan, fired, truth);
    let mut cases = cases(&groups, fired, truth);
    let candidates: Vec<&Setting> = groups.iter().flat_map(|g| &g.candidates).collect();
    let plans: Vec<Arc<Plan>> = candidates
        .iter()
        .map(|setting| {
            let mut other = (**plan).clone();
            setting.apply(&mut other);
            Arc::new(other)
        })
        .collect();
    if !plans.is_empty() {
        run_cases(recorded, plan, &plans, &mut cases)?;
    }
    let confirmed = cases.iter().filter(|case| case.real && case.again.is_some()).count();
    let mut suggested = Suggested { confirmed, beyond, ..Suggested::default() };
    let mut first = 0;
    for group in groups {
        let last = first + group.candidates.len();
        suggested.all.push(choose(group, first..last, &cases));
        first = last;
    }
    let chosen: Vec<&Setting> = suggested.all.iter().filter_map(|s| s.setting.as_ref()).collect();
    if !chosen.is_empty() {
        let mut other = (**plan).clone();
        chosen.iter().for_each(|setting| setting.apply(&mut other));
        let other = Arc::new(other);
        let after = super::told(&recorded.live(&other)?, since);
        let noise = |all: &[Fired]| all.iter().filter(|f| truth.of(f) == Some(false)).count();
        let found = |all: &[Fired]| truth.confirmed(all, since).0;
        suggested.whole = Some(Whole {
            noise: (noise(fired), noise(&after)),
            confirmed: (found(fired), found(&after)),
            told: (fired.len(), after.len()),
        });
    }
    Ok(suggested)
}

fn groups(plan: &Plan, fired: &[Fired], truth: &Truth) -> (Vec<Group>, usize) {
    let mut groups: Vec<Group> = Vec::new();
    for (number, one) in fired.iter().enumerate() {
        if truth.of(one) != Some(false) {
            continue;
        }
        match groups.iter_mut().find(|g| g.code == one.code && g.subject == one.subject) {
            Some(group) => group.noise.push(number),
            None => groups.push(Group {
                code: one.code,
                subject: one.subject.clone(),
                noise: vec![number],
                candidates: Vec::new(),
            }),
        }
    }
    groups.sort_by_key(|group| core::cmp::Reverse(group.noise.len()));
    let beyond = groups.len().saturating_sub(GROUPS_MAX);
    groups.truncate(GROUPS_MAX);
    for group in &mut groups {
        let noise: Vec<&Fired> = group.noise.iter().filter_map(|n| fired.get(*n)).collect();
        group.candidates = settings::candidates(plan, &noise);
    }
    (groups, beyond)
}

fn cases(groups: &[Group], fired: &[Fired], truth: &Truth) -> Vec<Case> {
    let noise = groups.iter().flat_map(|group| group.noise.iter().rev().take(NOISE_MAX).copied());
    let mut chosen: Vec<usize> = noise.collect();
    let real = (0..fired.len()).rev().filter(|n| truth.of(&fired[*n]) == Some(true));
    chosen.extend(real.take(REAL_MAX));
    let case = |n: usize| {
        let one = fired[n].clone();
        let end = one.ended.unwrap_or(one.opened).min(one.opened.plus(BEHIND));
        Case {
            real: truth.of(&one) == Some(true),
            from: one.since.min(one.opened).minus(BEFORE),
            to: end.max(one.opened.plus(Duration::from_secs(60))),
            fired: one,
            again: None,
            with: Vec::new(),
        }
    };
    let mut cases: Vec<Case> = chosen.into_iter().map(case).collect();
    cases.sort_by_key(|case| case.from);
    cases
}

/// A stretch under way: the engine as it was at its beginning, and what came since.
struct Held {
    case: usize,
    run: Run,
    events: Vec<Event>,
}

/// Goes through all of it once more, and through each stretch with each candidate.
fn run_cases(
    recorded: &Recorded<'_>,
    plan: &Arc<Plan>,
    plans: &[Arc<Plan>],
    cases: &mut [Case],
) -> Result<(), Failure> {
    let mut run = Run::new(Arc::clone(plan));
    let (mut next, mut held): (usize, Vec<Held>) = (0, Vec::new());
    recorded.each(plan, &mut |event, begins| {
        if begins {
            run.begin(event.at, recorded.lessons);
        }
        while let Some(case) = cases.get(next).filter(|case| case.from <= event.at) {
            if held.len() < HELD_MAX {
                run.pass(case.from);
                let copy = run.with(Arc::clone(plan), case.from);
                held.push(Held { case: next, run: copy, events: Vec::new() });
            }
            next += 1;
        }
        let mut over = Vec::new();
        held.retain_mut(|one| {
            let goes_on = cases.get(one.case).is_some_and(|case| event.at <= case.to);
            if goes_on {
                one.events.push(event.clone());
            } else {
                over.push((one.case, run_case(one, plan, plans, cases)));
            }
            goes_on
        });
        for (case, result) in over {
            keep(cases, case, result);
        }
        run.take(event);
    })?;
    for one in &held {
        let result = run_case(one, plan, plans, cases);
        keep(cases, one.case, result);
    }
    Ok(())
}

type Result1 = (Option<(Timestamp, Severity)>, Vec<Option<(Timestamp, Severity)>>);

fn keep(cases: &mut [Case], case: usize, result: Result1) {
    if let Some(case) = cases.get_mut(case) {
        case.again = result.0.map(|(at, _)| at);
        case.with = result.1;
    }
}

fn run_case(held: &Held, plan: &Arc<Plan>, plans: &[Arc<Plan>], cases: &[Case]) -> Result1 {
    let Some(case) = cases.get(held.case) else { return (None, Vec::new()) };
    let with = |plan: &Arc<Plan>| {
        let mut run = held.run.with(Arc::clone(plan), case.from);
        for event in &held.events {
            run.take(event);
        }
        run.pass(case.to);
        let fired = run.fired();
        let same = |f: &&Fired| {
            f.subject == case.fired.subject && f.opened >= case.from && f.severity > Severity::Note
        };
        fired.iter().filter(same).map(|f| (f.opened, f.severity)).min_by_key(|(at, _)| *at)
    };
    (with(plan), plans.iter().map(with).collect())
}

fn choose(group: Group, range: std::ops::Range<usize>, cases: &[Case]) -> Suggestion {
    let usable = |case: &&Case| case.again.is_some();
    let ours = |case: &&Case| {
        !case.real && case.fired.code == group.code && case.fired.subject == group.subject
    };
    let noise: Vec<&Case> = cases.iter().filter(usable).filter(ours).collect();
    let real: Vec<&Case> = cases.iter().filter(usable).filter(|case| case.real).collect();
    let mut best = Suggestion {
        code: group.code,
        subject: group.subject.clone(),
        setting: None,
        noise: (noise.len(), 0),
        page_only: false,
        delay: Duration::ZERO,
        tried: group.candidates.len(),
    };
    for (number, setting) in range.zip(group.candidates) {
        let with = |case: &Case| case.with.get(number).copied().flatten();
        if real.iter().any(|case| with(case).is_none()) {
            continue;
        }
        let pages = matches!(setting, Setting::PageAfter(_));
        let gone = |case: &&&Case| match with(case) {
            None => true,
            Some((_, severity)) => pages && severity < Severity::Page,
        };
        let less = noise.iter().filter(gone).count();
        // The mildest that spares the most.
        if less > best.noise.1 {
            let late = |case: &&Case| {
                let (at, before) = (with(case)?.0, case.again?);
                Some(at.since(before))
            };
            best.noise.1 = less;
            best.page_only = pages;
            best.delay = real.iter().filter_map(late).max().unwrap_or_default();
            best.setting = Some(setting);
        }
    }
    best
}
