//! A heartbeat to an outside monitor: when Feedpulse dies, or its engine stands still, its silence
//! tells.

use crate::Alive;
use crate::notify::Counts;
use core::time::Duration;
use feedpulse_http::{Client, Method, Url};
use tokio_util::sync::CancellationToken;

/// Pings an address with an empty GET. A failed ping is counted, not alerted: the outside monitor
/// misses it and tells by itself.
pub(crate) struct DeadManTask {
    pub(crate) client: Client,
    pub(crate) url: Url,
    pub(crate) every: Duration,
    pub(crate) counts: Counts,
    pub(crate) alive: Alive,
}

impl DeadManTask {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            if !(self.alive)() {
                // This task lives; what matters does not.
                self.counts.up.set(0);
                continue;
            }
            let ping = self.client.send(Method::GET, self.url.clone(), &[], Vec::new());
            let worked = tokio::select! {
                answer = ping => answer.is_ok_and(|answer| answer.status.is_success()),
                () = stop.cancelled() => return,
            };
            self.counts.up.set(i64::from(worked));
            if !worked {
                self.counts.failed.add(1);
            }
        }
    }
}
