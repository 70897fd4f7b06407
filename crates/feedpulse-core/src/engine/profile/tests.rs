//! Synthetic feeds over months: how soon silence is found, how often it is said for no reason.

use super::{Gap, Profile};
use crate::calendar::{Calendar, HOUR};
use crate::time::Timestamp;

const DAY: i64 = 24 * HOUR;

/// Uniform in 0..1, and from it waiting times.
struct Rng(u64);

impl Rng {
    fn unit(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn wait(&mut self, per_hour: f64) -> i64 {
        (-self.unit().ln() / per_hour * HOUR as f64) as i64
    }

    /// About normal, of mean 0 and deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// How a synthetic feed behaves.
#[derive(Clone, Copy)]
struct Feed {
    per_hour: f64,
    office: bool,
    cluster: u32,
}

impl Feed {
    /// Expected messages an hour at a time, times how busy the day is.
    fn rate(self, at: i64, busy: f64) -> f64 {
        let (hour, day) = (at.rem_euclid(DAY) / HOUR, (at.div_euclid(DAY) + 3).rem_euclid(7));
        let weekend = day >= 5;
        let share = match (self.office, hour) {
            (true, 8..=17) if !weekend => 1.0,
            (true, _) => 0.0,
            (false, 7..=18) => 1.0,
            (false, _) => 0.4,
        };
        let weekend = if weekend && !self.office { 0.5 } else { 1.0 };
        self.per_hour * share * weekend * busy / f64::from(self.cluster)
    }
}

struct Outcome {
    false_per_month: f64,
    /// Minutes to detect, sorted.
    detected: Vec<f64>,
}

/// Four weeks of learning, eight of judging; then outages of two days each from every third day.
fn play(feed: Feed, seed: u64) -> Outcome {
    let (calendar, mut rng) = (Calendar::default(), Rng(seed));
    let (learn, test) = (28 * DAY, 84 * DAY);
    let mut profile = Profile::default();
    let (mut at, mut alarms, mut busy, mut day) = (0, 0, 1.0, -1);
    let mut saved = Vec::new();
    while at < test {
        if at.div_euclid(DAY) != day {
            day = at.div_euclid(DAY);
            busy = (rng.normal() * 0.2).exp();
        }
        let rate = feed.rate(at, busy);
        // Where nothing comes, the next look is the next hour.
        let wait = if rate > 0.0 { rng.wait(rate) } else { HOUR };
        let next = at + wait.min(HOUR - at.rem_euclid(HOUR));
        let message = rate > 0.0 && wait <= HOUR - at.rem_euclid(HOUR);
        // Every half minute somebody looks.
        let mut look = at;
        while look < next {
            profile.advance(&calendar, Timestamp::from_micros(look));
            if let Gap::Known { expected, limit } = profile.judge()
                && expected > limit
                && !profile.silent
            {
                profile.silent = true;
                alarms += u32::from(at > learn);
            }
            look += 30_000_000;
        }
        at = next;
        if message {
            for n in 0..i64::from(feed.cluster) {
                profile.saw(&calendar, Timestamp::from_micros(at + n * 1_000_000));
            }
            at += i64::from(feed.cluster - 1) * 1_000_000;
            if at > learn && saved.len() < 60 && rng.unit() < 60.0 / feed.per_hour / 800.0 {
                saved.push((at, profile.clone()));
            }
        }
    }
    let outages = saved
        .into_iter()
        .filter(|(at, _)| feed.rate(*at, 1.0) >= feed.per_hour * 0.9 / f64::from(feed.cluster));
    let mut detected: Vec<f64> = outages
        .map(|(from, mut profile)| {
            let mut look = from;
            loop {
                look += 10_000_000;
                profile.advance(&calendar, Timestamp::from_micros(look));
                let Gap::Known { expected, limit } = profile.judge() else { return f64::MAX };
                if expected > limit || look - from > 7 * DAY {
                    return (look - from) as f64 / 60e6;
                }
            }
        })
        .collect();
    detected.sort_by(f64::total_cmp);
    let months = (test - learn) as f64 / (30 * DAY) as f64;
    Outcome { false_per_month: f64::from(alarms) / months, detected }
}

#[test]
fn silence_is_found_soon_and_seldom_for_no_reason() {
    for (name, per_hour, office, cluster, p50, most_false) in [
        ("1,200 an hour", 1_200.0, false, 1, 1.5, 0.75),
        ("100 an hour", 100.0, false, 1, 10.0, 0.5),
        ("12 an hour in office hours", 12.0, true, 1, 60.0, 0.75),
        ("10 an hour by day", 10.0, false, 1, 62.0, 0.75),
        ("100 an hour in clusters of 8", 100.0, false, 8, 75.0, 0.75),
    ] {
        let runs = if per_hour > 500.0 { 2 } else { 8 };
        let feed = Feed { per_hour, office, cluster };
        let played: Vec<Outcome> = (1..=runs).map(|seed| play(feed, seed)).collect();
        let mut detected: Vec<f64> = played.iter().flat_map(|o| o.detected.clone()).collect();
        detected.sort_by(f64::total_cmp);
        let false_alarms =
            played.iter().map(|o| o.false_per_month).sum::<f64>() / f64::from(runs as u32);
        let middle = detected[detected.len() / 2];
        println!(
            "{name}: {false_alarms:.2} false a month, p50 {middle:.1} min, p95 {:.1} of {}",
            detected[detected.len() * 95 / 100],
            detected.len()
        );
        assert!(
            detected.len() >= 20 && middle <= p50,
            "{name}: p50 {middle} min of {}",
            detected.len()
        );
        assert!(false_alarms <= most_false, "{name}: {false_alarms} false a month");
    }
}

#[test]
fn a_profile_takes_less_than_two_kilobytes() {
    let (calendar, mut profile) = (Calendar::default(), Profile::default());
    for hour in 0..2_000 {
        profile.saw(&calendar, Timestamp::from_micros(hour * HOUR));
    }
    let heap = profile.rates.capacity() * size_of::<f32>() + profile.learned.capacity();
    assert!(heap > 0 && size_of::<Profile>() + heap <= 2_048, "{heap}");
}
