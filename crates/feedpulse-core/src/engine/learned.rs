//! What was learned of a site, apart from any stream under way: taken out of one engine, taken over
//! by another, so that day one is not blind.
//!
//! The rule of taking over: what lives wins where it knows more, hour by hour of the week, link by link;
//! what was learned elsewhere fills the rest. Feeds and links are matched by name. A profile that was
//! learned starts to count at the moment at which it is taken over: nothing is known of the time
//! between. A feed that was silent when its lessons ended teaches nothing of its silence.

use super::feeds::feed_id;
use super::profile::{PartKey, Profile};
use super::state::{FeedState, Habit};
use super::usual::Usual;
use super::{Engine, usually};
use crate::label::Label;
use crate::plan::{FeedId, Plan};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;

/// Lessons that are remembered, so that none is taken over twice.
const LESSONS_KEPT: usize = 16;

/// Where the messages of one type of a feed went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ways {
    /// Journeys that ended; halved at 1,000 with `reached`.
    pub ended: u32,
    /// Of these, how many were seen at each of the feed's ends.
    pub reached: Vec<u32>,
}

/// What one engine learned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    /// Fingerprint of it all: the same lessons are taken over once.
    pub id: u64,
    /// When what taught it began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// By feed.
    pub feeds: Vec<LearnedFeed>,
    /// By link.
    pub links: Vec<LearnedLink>,
}

/// What was learned of a feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LearnedFeed {
    /// Its name.
    pub name: String,
    /// Its route's name.
    pub route: String,
    /// Messages that taught it.
    pub messages: u64,
    /// What is usual for all of it.
    pub profile: Profile,
    /// What is usual for its types and facilities; the feed in their keys says nothing.
    pub parts: Vec<(PartKey, Profile)>,
    /// Where its types go; empty where not all of its route was seen.
    pub ways: Vec<((Label, Label), Ways)>,
}

/// What was learned of the link behind a waypoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LearnedLink {
    /// The waypoint's name.
    pub name: String,
    /// What is usual there: refusals by reason, damaged characters, MSH-11, versions.
    pub usual: Usual,
    /// How it answers.
    pub habit: Habit,
}

impl Engine {
    /// All that this engine has learned of its site.
    #[must_use]
    pub fn learned(&self) -> Learned {
        let feeds = (0..).zip(&self.s.feeds).filter(|(_, feed)| feed.seen > 0);
        let links = self.s.waypoints.iter().zip(&self.s.plan.waypoints);
        let links = links.filter(|(here, _)| here.totals.seen > 0);
        Learned {
            id: 0,
            from: self.s.started,
            to: self.s.now,
            feeds: feeds.map(|(number, feed)| self.learned_feed(FeedId(number), feed)).collect(),
            links: links
                .map(|(here, plan)| LearnedLink {
                    name: plan.name.clone(),
                    usual: here.usual.lasting(),
                    habit: here.habit,
                })
                .collect(),
        }
    }

    fn learned_feed(&self, id: FeedId, feed: &FeedState) -> LearnedFeed {
        let parts = self.s.profiles.iter().filter(|(key, _)| key.feed == id);
        let parts = parts.map(|(key, p)| (PartKey { feed: FeedId::default(), ..*key }, p.clone()));
        let seen = |w: &crate::frame::WaypointId| {
            self.s.waypoints.get(usize::from(w.0)).is_some_and(|here| here.totals.seen > 0)
        };
        // Where only the beginning of a route was seen, nothing is known of where messages go.
        let whole = feed.waypoints.iter().all(seen);
        let ways = feed.learned.iter().filter(|_| whole).map(|(kind, ways)| (*kind, ways.clone()));
        LearnedFeed {
            name: feed.name.clone(),
            route: feed.route.clone(),
            messages: feed.seen,
            profile: feed.profile.clone(),
            parts: parts.collect(),
            ways: ways.collect(),
        }
    }

    /// Takes over what another engine learned.
    pub(super) fn take_over(&mut self, learned: &Learned) {
        if self.s.lessons.iter().any(|(_, id)| *id == learned.id) {
            return;
        }
        if self.s.lessons.len() == LESSONS_KEPT {
            self.s.lessons.pop_front();
        }
        self.s.lessons.push_back((self.s.now, learned.id));
        for feed in &learned.feeds {
            if let Some(number) = self.home_of_lessons(feed) {
                self.take_over_feed(number, feed);
            }
        }
        for link in &learned.links {
            let named = self.s.plan.waypoints.iter().position(|w| w.name == link.name);
            let Some(here) = named.and_then(|n| self.s.waypoints.get_mut(n)) else { continue };
            here.usual.take_over(&link.usual);
            if link.habit.answers() > here.habit.answers() {
                here.habit = link.habit;
            }
        }
    }

    /// The feed that lessons are about; one that no configuration names begins with them, so that its
    /// absence is missed.
    fn home_of_lessons(&mut self, learned: &LearnedFeed) -> Option<usize> {
        let same =
            |f: &FeedState| f.name == learned.name && (f.declared || f.route == learned.route);
        if let Some(known) = self.s.feeds.iter().position(same) {
            return Some(known);
        }
        let plan = Arc::clone(&self.s.plan);
        let route = plan.routes.iter().find(|r| r.name == learned.route)?;
        if self.s.feeds.len() >= plan.feeds_max || learned.name == "other" {
            return None;
        }
        self.s.feeds.push(FeedState::new(
            learned.name.clone(),
            route.name.clone(),
            route.waypoints.clone(),
            plan.defaults.clone(),
        ));
        Some(self.s.feeds.len() - 1)
    }

    fn take_over_feed(&mut self, number: usize, learned: &LearnedFeed) {
        let now = self.s.now;
        let calendar = &self.s.plan.calendar;
        let Some(feed) = self.s.feeds.get_mut(number) else { return };
        feed.profile.take_over(calendar, &learned.profile, now);
        let ends = feed.ends_at.len();
        for (kind, ways) in &learned.ways {
            let full = feed.learned.len() >= super::ends::LEARNED_MAX;
            if ways.reached.len() != ends || full && !feed.learned.contains_key(kind) {
                continue;
            }
            let held = feed.learned.entry(*kind).or_default();
            if held.ended < ways.ended {
                held.clone_from(ways);
            }
        }
        for (key, profile) in &learned.parts {
            let key = PartKey { feed: feed_id(number), ..*key };
            let place = match self.profiles.get(&key) {
                Some(place) => *place,
                None if self.s.profiles.len() >= usually::PROFILES_MAX => continue,
                None => {
                    self.profiles.insert(key, self.s.profiles.len());
                    let fresh = Profile { is_part: true, ..Profile::default() };
                    self.s.profiles.push((key, fresh));
                    self.s.profiles.len() - 1
                }
            };
            if let Some((_, held)) = self.s.profiles.get_mut(place) {
                held.take_over(calendar, profile, now);
            }
        }
    }
}

/// Lessons of times alone: which feed had a message when.
#[derive(Debug)]
pub struct Course {
    engine: Engine,
    /// Feeds whose messages were only counted: the gaps between them are not known.
    counted: VecDeque<String>,
}

impl Course {
    /// Of a site.
    #[must_use]
    pub fn new(plan: Arc<Plan>, from: Timestamp) -> Self {
        let mut engine = Engine::new();
        let configure = crate::input::Input::Configure(plan);
        engine.apply(from, &configure, &mut crate::effect::Effects::default());
        Self { engine, counted: VecDeque::new() }
    }

    /// A message of a declared feed, or of one on the named route; times only rise. Whether the feed
    /// could be placed.
    pub fn arrived(&mut self, feed: (&str, &str), at: Timestamp, part: PartKey) -> bool {
        let named = LearnedFeed {
            name: feed.0.to_owned(),
            route: feed.1.to_owned(),
            ..LearnedFeed::default()
        };
        self.engine.s.now = self.engine.s.now.max(at);
        let Some(number) = self.engine.home_of_lessons(&named) else { return false };
        if let Some(feed) = self.engine.s.feeds.get_mut(number) {
            feed.seen += 1;
            feed.last_seen = feed.last_seen.max(Some(at));
        }
        self.engine.learn_parts(feed_id(number), at, part);
        true
    }

    /// The messages of a feed were counts of a stretch of time: their gaps teach nothing.
    pub fn only_counted(&mut self, feed: &str) {
        if !self.counted.iter().any(|known| known == feed) {
            self.counted.push_back(feed.to_owned());
        }
    }

    /// What was learned up to a time.
    #[must_use]
    pub fn learned(mut self, to: Timestamp) -> Learned {
        self.engine.s.now = self.engine.s.now.max(to);
        self.engine.follow_time(to);
        let mut learned = self.engine.learned();
        for feed in learned.feeds.iter_mut().filter(|f| self.counted.contains(&f.name)) {
            let parts = feed.parts.iter_mut().map(|(_, profile)| profile);
            parts.chain([&mut feed.profile]).for_each(Profile::forget_gaps);
        }
        learned
    }
}

impl Engine {
    /// Lets every profile count up to a time, where no tick does.
    pub fn follow_time(&mut self, to: Timestamp) {
        let plan = Arc::clone(&self.s.plan);
        let feeds = self.s.feeds.iter_mut().map(|feed| &mut feed.profile);
        let parts = self.s.profiles.iter_mut().map(|(_, profile)| profile);
        for profile in feeds.chain(parts) {
            profile.advance(&plan.calendar, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Course, Learned};
    use crate::calendar::HOUR;
    use crate::codes::Code;
    use crate::defect::Verdict;
    use crate::effect::{Effect, Effects};
    use crate::engine::Engine;
    use crate::engine::profile::PartKey;
    use crate::frame::{ConnectionId, Direction, WaypointId};
    use crate::input::Input;
    use crate::key::{MessageKey, SiteKey};
    use crate::label::{ControlId, Label};
    use crate::plan::{Acks, FeedPlan, Objectives, Plan, Route, RouteId, Waypoint};
    use crate::sighting::{
        AckCode, AckMode, AckSeen, FindKeys, MessageSeen, Protocol, ReasonClass, Seen, Sighting,
        Urgency,
    };
    use crate::time::Timestamp;
    use core::time::Duration;
    use std::sync::Arc;

    const WEEK: i64 = 168 * HOUR;
    /// Monday, 2 March 2026.
    const START: i64 = 1_772_409_600_000_000;

    fn plan() -> Arc<Plan> {
        let feed = |name: &str, sender: &str| FeedPlan {
            name: name.into(),
            route: RouteId(0),
            senders: vec![sender.into()],
            types: Vec::new(),
            objectives: Objectives::default(),
            ends_at: Vec::new(),
            filters: Vec::new(),
        };
        Arc::new(Plan {
            waypoints: vec![Waypoint { acks: Acks::IfSeen, ..Waypoint::new("in") }],
            routes: vec![Route { name: "main".into(), waypoints: vec![WaypointId(0)] }],
            feeds: vec![feed("results", "LAB"), feed("visits", "ADT")],
            ..Plan::default()
        })
    }

    fn message(number: u64, sender: &str) -> MessageSeen {
        let key = SiteKey::new([1; 16]).ack_key(&number.to_le_bytes());
        MessageSeen {
            direction: Direction::ToReceiver,
            code: "ORU".into(),
            trigger: "R01".into(),
            sender: sender.into(),
            sender_facility: "NORTH".into(),
            receiver: Label::EMPTY,
            receiver_facility: Label::EMPTY,
            version: "2.5".into(),
            software: None,
            processing: b'P',
            control_id: ControlId::from_bytes(&number.to_le_bytes()),
            ack_key: key,
            journey_key: key.or(Some(MessageKey::from_u128(number.into()))),
            also: Vec::new(),
            find: FindKeys::default(),
            batch: None,
            protocol: Protocol::default(),
            order: crate::order::OrderMarks::default(),
            body: number,
            size: 500,
            ack_mode: AckMode::default(),
            event_time: None,
            withheld: Some(crate::lag::Withheld::NoTime),
            made: None,
            urgency: Urgency::Routine,
            verdict: Verdict::Readable,
            defects: Vec::new(),
            trace: None,
        }
    }

    struct Bench {
        engine: Engine,
        fx: Effects,
        now: i64,
        sent: u64,
        silent_at: Option<i64>,
    }

    impl Bench {
        fn new(at: i64) -> Self {
            let mut bench = Self {
                engine: Engine::new(),
                fx: Effects::default(),
                now: at,
                sent: 0,
                silent_at: None,
            };
            bench.apply(&Input::Configure(plan()));
            bench
        }

        fn apply(&mut self, input: &Input) {
            self.engine.apply(Timestamp::from_micros(self.now), input, &mut self.fx);
            for (_, effect) in self.fx.drain() {
                if let Effect::Incident(incident) = effect
                    && incident.findings.iter().any(|f| f.code == Code::Silence)
                {
                    self.silent_at.get_or_insert(self.now);
                }
            }
        }

        fn send(&mut self, sender: &str) {
            self.sent += 1;
            let what = Seen::Message(message(self.sent << 40 | self.now as u64, sender));
            let at = Timestamp::from_micros(self.now);
            let (waypoint, connection) = (WaypointId(0), ConnectionId(1));
            self.apply(&Input::Seen(Sighting { at, waypoint, connection, what }));
        }

        fn tick(&mut self) {
            self.apply(&Input::Alive(WaypointId(0)));
            self.apply(&Input::Tick);
        }

        /// Messages at these times, ticks each second from `fine` on and each minute before.
        fn play(&mut self, arrivals: &[i64], to: i64, fine: i64) {
            let from = self.now;
            let mut arrivals = arrivals.iter().copied().filter(|at| *at > from).peekable();
            let mut tick = self.now;
            while tick < to {
                tick += if tick < fine { 60_000_000 } else { 1_000_000 };
                while let Some(at) = arrivals.next_if(|at| *at <= tick) {
                    self.now = at;
                    self.send("LAB");
                }
                self.now = tick;
                self.tick();
            }
        }
    }

    /// Waiting times by chance, twice as busy by day.
    fn arrivals(weeks: i64) -> Vec<i64> {
        let (mut at, mut seed, mut all) = (START, 0x9e37_79b9_u64, Vec::new());
        while at < START + weeks * WEEK {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let uniform = ((seed >> 11) as f64 / (1_u64 << 53) as f64).max(1e-9);
            let per_hour =
                if (8..18).contains(&(at.rem_euclid(24 * HOUR) / HOUR)) { 240.0 } else { 120.0 };
            at += (-uniform.ln() * HOUR as f64 / per_hour) as i64;
            all.push(at);
        }
        all
    }

    /// The moment at which an engine says that the feed which stops is silent.
    #[test]
    fn what_was_learned_elsewhere_tells_silence_as_fast_as_what_was_seen() {
        let all = arrivals(7);
        let (learned_to, stop) = (START + 6 * WEEK, START + 6 * WEEK + 10 * HOUR);
        let until_stop: Vec<i64> = all.iter().copied().filter(|at| *at <= stop).collect();
        let end = stop + 2 * HOUR;

        let mut lived = Bench::new(START);
        lived.play(&until_stop, end, stop);

        let mut teacher = Bench::new(START);
        let before: Vec<i64> = all.iter().copied().filter(|at| *at <= learned_to).collect();
        teacher.play(&before, learned_to, i64::MAX);
        let learned = Learned { id: 7, ..teacher.engine.learned() };

        let mut taught = Bench::new(learned_to);
        taught.apply(&Input::Learned(Box::new(learned.clone())));
        taught.play(&until_stop, end, stop);

        let mut blind = Bench::new(learned_to);
        blind.play(&until_stop, end, stop);

        let (lived, taught) = (lived.silent_at.unwrap(), taught.silent_at.unwrap());
        assert!((lived - taught).abs() <= 1_000_000, "{lived} {taught}");
        assert!(lived > stop && lived < stop + HOUR, "{}", lived - stop);
        assert_eq!(blind.silent_at, None, "nothing is known without lessons");

        // A feed that never comes at all is missed as well.
        let mut dead = Bench::new(learned_to);
        dead.apply(&Input::Learned(Box::new(learned)));
        dead.play(&[], end, stop);
        assert!(dead.silent_at.is_some_and(|at| at < learned_to + HOUR));
    }

    #[test]
    fn times_alone_teach_what_messages_do() {
        let all = arrivals(3);
        let end = START + 3 * WEEK;
        let mut teacher = Bench::new(START);
        teacher.play(&all, end, i64::MAX);
        let mut course = Course::new(plan(), Timestamp::from_micros(START));
        let part = PartKey {
            code: "ORU".into(),
            trigger: "R01".into(),
            facility: "NORTH".into(),
            ..PartKey::default()
        };
        for at in &all {
            assert!(course.arrived(("results", "main"), Timestamp::from_micros(*at), part));
        }
        assert!(!course.arrived(("unknown", "nowhere"), Timestamp::from_micros(end), part));
        let (times, messages) =
            (course.learned(Timestamp::from_micros(end)), teacher.engine.learned());
        let [ours, theirs] = [&times.feeds[0].profile, &messages.feeds[0].profile];
        assert_eq!((&ours.rates, &ours.learned), (&theirs.rates, &theirs.learned));
        assert!((ours.limit - theirs.limit).abs() < 0.01, "{} {}", ours.limit, theirs.limit);
        assert_eq!(times.feeds[0].parts.len(), 2);
        let told = ours.told_after().unwrap() / 1_000_000;
        assert!((60..3_600).contains(&told), "{told} s");
        assert!(ours.weeks() > 2.9 && ours.weeks() < 3.1, "{}", ours.weeks());
    }

    #[test]
    fn what_lives_wins_where_it_knows_more() {
        let (three, five) = (arrivals(3), arrivals(5));
        let engine = |arrivals: &[i64], weeks: i64| {
            let mut bench = Bench::new(START);
            bench.play(arrivals, START + weeks * WEEK, i64::MAX);
            bench
        };
        let (mut short, long) = (engine(&three, 3), engine(&five, 5));
        let (few, many) = (short.engine.learned(), long.engine.learned());
        short.apply(&Input::Learned(Box::new(Learned { id: 1, ..many.clone() })));
        let profile = &short.engine.checkpoint().feeds[0].profile;
        assert_eq!(profile.rates, many.feeds[0].profile.rates);
        assert_eq!(profile.tail, many.feeds[0].profile.tail);
        let mut long = long;
        let before = long.engine.checkpoint().feeds[0].profile.clone();
        long.apply(&Input::Learned(Box::new(Learned { id: 2, ..few.clone() })));
        let after = &long.engine.checkpoint().feeds[0].profile;
        assert_eq!((&after.rates, &after.tail), (&before.rates, &before.tail));
        // Once only, whatever the file is called.
        long.apply(&Input::Learned(Box::new(Learned { id: 2, ..few })));
        assert_eq!(long.engine.checkpoint().lessons.len(), 1);
    }

    /// Files hold the messages of a route's first waypoint only: nothing is known of where they go.
    #[test]
    fn refusals_are_learned_and_a_route_seen_in_part_is_not() {
        let mut two = (*plan()).clone();
        two.waypoints = vec![Waypoint::new("in"), Waypoint::new("out")];
        two.routes[0].waypoints = vec![WaypointId(0), WaypointId(1)];
        let mut bench = Bench::new(START);
        bench.apply(&Input::Configure(Arc::new(two.clone())));
        for number in 0..600_u64 {
            bench.now += 1_000_000;
            let seen = message(number, "LAB");
            let (key, acked) = (seen.ack_key, seen.control_id);
            let at = Timestamp::from_micros(bench.now);
            let refuses = number % 10 == 0;
            let ack = AckSeen {
                direction: Direction::ToSender,
                code: if refuses { AckCode::AE } else { AckCode::AA },
                ack_key: key,
                acked,
                software: None,
                reason: if refuses { ReasonClass::UnknownKey } else { ReasonClass::None },
                error_code: Label::EMPTY,
                defects: Vec::new(),
            };
            for what in [Seen::Message(seen), Seen::Ack(ack)] {
                let (waypoint, connection) = (WaypointId(0), ConnectionId(1));
                bench.apply(&Input::Seen(Sighting { at, waypoint, connection, what }));
            }
        }
        bench.now += Duration::from_secs(1_800).as_micros() as i64;
        bench.tick();
        let learned = bench.engine.learned();
        assert!(learned.feeds[0].ways.is_empty(), "the second waypoint was never seen");
        assert_eq!(learned.links.len(), 1);
        let share = learned.links[0].usual.share(ReasonClass::UnknownKey);
        assert!((0.05..0.2).contains(&share), "{share}");
        let mut fresh = Bench::new(bench.now);
        fresh.apply(&Input::Learned(Box::new(Learned { id: 3, ..learned })));
        let usual = &fresh.engine.checkpoint().waypoints[0].usual;
        assert!((usual.share(ReasonClass::UnknownKey) - share).abs() < 1e-6);
        assert_eq!(usual.answers, 600);
        assert_eq!(fresh.engine.checkpoint().waypoints[0].totals.seen, 0, "counts are no lessons");
    }
}
