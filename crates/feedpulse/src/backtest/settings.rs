//! Settings that could be other than they are: what an incident speaks for, and how it is written.

use super::run::Fired;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::plan::{Plan, Silence};
use feedpulse_core::sighting::ReasonClass;
use std::fmt::Write as _;
use std::time::Duration;

/// One setting with a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Setting {
    ExpectedReason(usize, ReasonClass),
    RejectedShare(f64),
    AckTime(usize, Duration),
    /// Of a declared feed: for routine messages, for urgent ones.
    Transit(usize, Duration, Duration),
    BacklogMin(usize, u32),
    Silence(usize, Duration),
    PageAfter(Duration),
}

impl Setting {
    /// Makes it so.
    pub(super) fn apply(&self, plan: &mut Plan) {
        match self {
            Self::ExpectedReason(n, reason) => {
                if let Some(waypoint) = plan.waypoints.get_mut(*n)
                    && !waypoint.expected_reasons.contains(reason)
                {
                    waypoint.expected_reasons.push(*reason);
                }
            }
            Self::RejectedShare(share) => plan.defaults.rejected_share = *share,
            Self::AckTime(n, time) => {
                if let Some(waypoint) = plan.waypoints.get_mut(*n) {
                    waypoint.ack_time = waypoint.ack_time.max(*time);
                }
            }
            Self::Transit(n, routine, urgent) => {
                if let Some(feed) = plan.feeds.get_mut(*n) {
                    feed.objectives.transit = *routine;
                    feed.objectives.urgent_transit = *urgent;
                }
            }
            Self::BacklogMin(n, least) => {
                if let Some(feed) = plan.feeds.get_mut(*n) {
                    feed.objectives.backlog_min = *least;
                }
            }
            Self::Silence(n, after) => {
                if let Some(feed) = plan.feeds.get_mut(*n) {
                    feed.objectives.silence = Silence::After(*after);
                }
            }
            Self::PageAfter(after) => {
                plan.page_after = *after;
                plan.page_after_urgent = plan.page_after_urgent.max(*after);
            }
        }
    }

    /// Section of the configuration, name of the entry in it, and lines of it.
    pub(super) fn place(&self, plan: &Plan) -> (&'static str, Option<String>, Vec<String>) {
        let waypoint = |n: &usize| plan.waypoints.get(*n).map(|w| w.name.clone());
        let feed = |n: &usize| plan.feeds.get(*n).map(|f| f.name.clone());
        match self {
            Self::ExpectedReason(n, reason) => {
                let mut known =
                    plan.waypoints.get(*n).map_or_else(Vec::new, |w| w.expected_reasons.clone());
                if !known.contains(reason) {
                    known.push(*reason);
                }
                let names: Vec<&str> = known.iter().map(|reason| reason.name()).collect();
                let line = format!("expected_reasons: [{}]", names.join(", "));
                ("waypoints", waypoint(n), vec![line])
            }
            Self::RejectedShare(share) => {
                ("defaults", None, vec![format!("rejected_share: {share}")])
            }
            Self::AckTime(n, time) => {
                ("waypoints", waypoint(n), vec![format!("ack_time: {}", span(*time))])
            }
            Self::Transit(n, routine, urgent) => (
                "feeds",
                feed(n),
                vec![
                    format!("transit: {}", span(*routine)),
                    format!("urgent_transit: {}", span(*urgent)),
                ],
            ),
            Self::BacklogMin(n, least) => ("feeds", feed(n), vec![format!("backlog_min: {least}")]),
            Self::Silence(n, after) => {
                ("feeds", feed(n), vec![format!("silence: {}", span(*after))])
            }
            Self::PageAfter(after) => {
                let time = span(*after);
                let lines =
                    vec![format!("page_after: {time}"), format!("page_after_urgent: {time}")];
                ("alerts", None, lines)
            }
        }
    }
}

/// The settings as YAML, each entry once.
pub(super) fn yaml(plan: &Plan, settings: &[Setting]) -> String {
    let mut text = String::new();
    for section in ["alerts", "defaults", "waypoints", "feeds"] {
        let mut entries: Vec<(Option<String>, Vec<String>)> = Vec::new();
        for setting in settings {
            let (held, name, lines) = setting.place(plan);
            if held != section {
                continue;
            }
            match entries.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.extend(lines),
                None => entries.push((name, lines)),
            }
        }
        if entries.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{section}:");
        for (name, lines) in entries {
            if let Some(name) = &name {
                let _ = writeln!(text, "  - name: {name:?}");
            }
            let indent = if name.is_some() { "    " } else { "  " };
            for line in lines {
                let _ = writeln!(text, "{indent}{line}");
            }
        }
    }
    text
}

/// A duration as the configuration writes it.
pub(super) fn span(time: Duration) -> String {
    let millis = time.as_millis();
    for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis >= unit && millis.is_multiple_of(unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    format!("{millis}ms")
}

/// Rounded up to what people would write.
fn round(time: Duration) -> Duration {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let step = match millis {
        0..10_000 => 100,
        10_000..60_000 => 1_000,
        60_000..600_000 => 30_000,
        600_000..7_200_000 => 300_000,
        _ => 1_800_000,
    };
    Duration::from_millis(millis.div_ceil(step).saturating_mul(step))
}

/// The values to try for incidents of one code on one subject, the mildest first.
pub(super) fn candidates(plan: &Plan, noise: &[&Fired]) -> Vec<Setting> {
    let Some(first) = noise.first() else { return Vec::new() };
    let (kind, name) = first.subject.split_once(' ').unwrap_or_default();
    let waypoint = plan.waypoints.iter().position(|w| kind == "waypoint" && w.name == name);
    let feed = plan.feeds.iter().position(|f| kind == "feed" && f.name == name);
    let mut all = Vec::new();
    match (first.code, waypoint, feed) {
        (Code::NewReason | Code::RejectedShare, Some(n), _) => {
            let mut reasons: Vec<ReasonClass> = Vec::new();
            for reason in noise.iter().flat_map(|fired| fired.reasons.first()) {
                if *reason != ReasonClass::None && !reasons.contains(reason) {
                    reasons.push(*reason);
                }
            }
            all.extend(reasons.into_iter().take(3).map(|r| Setting::ExpectedReason(n, r)));
            if first.code == Code::RejectedShare {
                let share = plan.defaults.rejected_share;
                let values = [0.1, 0.2, 0.3, 0.5].into_iter().filter(|value| *value > share);
                all.extend(values.map(Setting::RejectedShare));
            }
        }
        (Code::AckSlow, Some(n), _) => {
            let time = plan.waypoints.get(n).map_or(Duration::ZERO, |w| w.ack_time);
            let times = [3, 4, 6, 10, 20].map(|halves| round(time * halves / 2));
            all.extend(times.map(|time| Setting::AckTime(n, time)));
        }
        (Code::TransitSlow, _, Some(n)) => {
            let objectives =
                plan.feeds.get(n).map(|f| (f.objectives.transit, f.objectives.urgent_transit));
            let (routine, urgent) = objectives.unwrap_or_default();
            let times = [3, 4, 6, 10, 20].map(|h| (round(routine * h / 2), round(urgent * h / 2)));
            all.extend(times.map(|(routine, urgent)| Setting::Transit(n, routine, urgent)));
        }
        (Code::BacklogGrowing, _, Some(n)) => {
            let least = plan.feeds.get(n).map_or(20, |f| f.objectives.backlog_min).max(1);
            let values = [2, 5, 10, 25, 50].map(|times| least.saturating_mul(times));
            all.extend(values.map(|least| Setting::BacklogMin(n, least)));
        }
        (Code::Silence, _, Some(n)) => {
            let longest = noise.iter().map(|fired| fired.silent_s).fold(60.0, f64::max);
            let times =
                [1.2, 2.0, 4.0].map(|k| round(Duration::from_secs_f64(longest.min(3e6) * k)));
            let month = Duration::from_secs(31 * 86_400);
            let times = times.into_iter().filter(|time| *time <= month);
            all.extend(times.map(|time| Setting::Silence(n, time)));
        }
        _ => {}
    }
    let paged = noise.iter().any(|fired| fired.severity == Severity::Page);
    if paged && matches!(first.code, Code::NoAck | Code::ReceiverDown | Code::HeadOfLine) {
        let minutes = [10, 15, 30, 60].map(|minutes| Duration::from_secs(60 * minutes));
        let longer = minutes.into_iter().filter(|time| *time > plan.page_after);
        all.extend(longer.map(Setting::PageAfter));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Setting, round, span, yaml};
    use feedpulse_core::plan::{Plan, Waypoint};
    use feedpulse_core::sighting::ReasonClass;
    use std::time::Duration;

    #[test]
    fn durations_are_written_as_the_configuration_reads_them() {
        for (millis, text) in
            [(1_500, "1500ms"), (2_000, "2s"), (90_000, "90s"), (600_000, "10m"), (7_200_000, "2h")]
        {
            let time = Duration::from_millis(millis);
            assert_eq!(span(time), text);
            assert_eq!(round(time), time);
            let read: jiff::SignedDuration = text.parse().unwrap();
            assert_eq!(read.unsigned_abs(), time);
        }
        assert_eq!(round(Duration::from_millis(2_001)), Duration::from_millis(2_100));
        assert_eq!(round(Duration::from_secs(61)), Duration::from_secs(90));
    }

    #[test]
    fn settings_of_one_entry_stand_together() {
        let plan = Plan { waypoints: vec![Waypoint::new("portal-in")], ..Plan::default() };
        let settings = [
            Setting::AckTime(0, Duration::from_secs(5)),
            Setting::ExpectedReason(0, ReasonClass::UnknownKey),
            Setting::RejectedShare(0.2),
        ];
        assert_eq!(
            yaml(&plan, &settings),
            "defaults:\n  rejected_share: 0.2\nwaypoints:\n  - name: \"portal-in\"\n    ack_time: 5s\n    \
             expected_reasons: [unknown_key]\n"
        );
    }
}
