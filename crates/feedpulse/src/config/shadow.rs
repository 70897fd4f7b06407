//! Resolving for how long a new feed is in shadow: nobody is told about it, and what would have been
//! told is listed.

use super::raw::{RawFeed, RawNotify};
use super::resolve::Resolver;
use std::time::Duration;

const DAY: u64 = 86_400;
/// Default of `alerts.shadow_for`.
const SHADOW: Duration = Duration::from_secs(14 * DAY);

impl Resolver<'_> {
    /// How long a feed is in shadow that says nothing else; zero = it is live from the start.
    pub(super) fn shadow(&mut self) -> Duration {
        let lasts = self.shadow_for();
        self.raw.alerts.notify.unwrap_or(RawNotify::Shadow).lasts(lasts)
    }

    /// The same for a declared feed.
    pub(super) fn shadow_of(&mut self, feed: &RawFeed, default: Duration) -> Duration {
        let Some(notify) = feed.notify else { return default };
        let lasts = self.shadow_for();
        notify.lasts(lasts)
    }

    /// Whether what is hard down is told even about feeds in shadow.
    pub(super) fn hard_down_told(&self) -> bool {
        self.raw.alerts.shadow_hard_down.unwrap_or(RawNotify::Live) == RawNotify::Live
    }

    fn shadow_for(&mut self) -> Duration {
        let raw = self.raw;
        let text = raw.alerts.shadow_for.as_ref();
        // Days are no fixed unit to the parser of times; here they are 24 hours.
        let days = text.and_then(|text| text.strip_suffix('d')?.trim().parse::<u64>().ok());
        match days {
            Some(days @ 1..=366) => Duration::from_secs(days * DAY),
            Some(_) => {
                self.wrong("alerts/shadow_for", "not between a day and a year", "such as 14d");
                SHADOW
            }
            None => self.time("alerts/shadow_for", text, SHADOW),
        }
    }
}

impl RawNotify {
    const fn lasts(self, shadow: Duration) -> Duration {
        match self {
            Self::Live => Duration::ZERO,
            Self::Shadow => shadow,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load;
    use std::time::Duration;

    const REST: &str = "
waypoints: [{name: in}]
http: {listen: \"127.0.0.1:0\", waypoints: [in]}
feeds:
  - {name: a, route: in, senders: [A]}
  - {name: b, route: in, senders: [B], notify: live}
  - {name: c, route: in, senders: [C], notify: shadow}
";

    fn days(alerts: &str) -> ([u64; 4], bool) {
        let plan = load(&format!("{alerts}{REST}")).unwrap_or_else(|p| panic!("{p:?}")).plan;
        let of = |o: &feedpulse_core::plan::Objectives| o.shadow.as_secs() / 86_400;
        let feeds: Vec<u64> = plan.feeds.iter().map(|f| of(&f.objectives)).collect();
        ([of(&plan.defaults), feeds[0], feeds[1], feeds[2]], plan.hard_down_told)
    }

    #[test]
    fn a_new_feed_is_in_shadow_unless_it_is_said_otherwise() {
        assert_eq!(days(""), ([14, 14, 0, 14], true));
        assert_eq!(days("alerts: {notify: live, shadow_for: 3d}"), ([0, 0, 0, 3], true));
        assert_eq!(days("alerts: {shadow_hard_down: shadow}"), ([14, 14, 0, 14], false));
        let plan = load(&format!("alerts: {{shadow_for: 36h}}{REST}")).unwrap().plan;
        assert_eq!(plan.defaults.shadow, Duration::from_secs(36 * 3_600));
        assert!(!plan.config.is_empty());
        let wrong = load(&format!("alerts: {{shadow_for: 400d}}{REST}")).unwrap_err();
        assert!(wrong[0].to_string().starts_with("1:10: alerts/shadow_for:"), "{wrong:?}");
    }
}
