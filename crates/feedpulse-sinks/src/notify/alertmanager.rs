//! Alertmanager, API v2: the whole picture is posted to each replica on every change and once an
//! interval, as Prometheus does it; an alert that is not said again ends by itself.

use crate::Clock;
use crate::config::{AlertmanagerConfig, ConfigError};
use crate::health::Health;
use crate::notify::routes::Terms;
use crate::notify::{self, Counts, INCIDENTS_MAX, Pace, text};
use crate::otlp::export::until_stopped;
use crate::rfc3339;
use crate::task::{Delivered, Told};
use core::time::Duration;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{IncidentChange, IncidentState};
use feedpulse_core::label::Label;
use feedpulse_core::time::Timestamp;
use feedpulse_http::header::CONTENT_TYPE;
use feedpulse_http::{Client, Method, Url, status_class};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A firing alert ends by itself after this many intervals without word from us.
const HOLD: u32 = 4;
/// How often the end of an alert is said.
const ENDS: u8 = 3;
/// After a restart the end of an incident is said again if it was over for less than this.
const LATELY: Duration = Duration::from_secs(600);
/// Most former identities of one incident whose end is still being said.
const FORMER_MAX: usize = 8;

/// One alert as API v2 takes it (`postableAlert`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// The identity.
    pub labels: BTreeMap<String, String>,
    /// What may change.
    pub annotations: BTreeMap<String, String>,
    /// RFC 3339.
    pub starts_at: String,
    /// RFC 3339; in the future while it fires.
    pub ends_at: String,
    /// The incident's page.
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    pub generator_url: String,
}

/// What labels an alert beside the incident itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Style {
    pub(crate) shared: Arc<text::Style>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) resend: Duration,
    pub(crate) min_severity: Option<Severity>,
}

/// The part of an alert's identity that an incident can change. When it does, the former alert is
/// ended and another one starts, as with rules of two severities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    code: Code,
    severity: Severity,
}

#[derive(Debug)]
struct Former {
    identity: Identity,
    ended: Timestamp,
    left: u8,
}

#[derive(Debug)]
struct Entry {
    change: IncidentChange,
    /// What the routes say now; None = they lead elsewhere.
    terms: Option<Terms>,
    identity: Identity,
    /// The server may know it.
    told: bool,
    /// The server surely knows it.
    taken: bool,
    former: Vec<Former>,
    /// Ends still to be said.
    left: u8,
}

/// What one post contains, to be settled when its answer is known.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) alerts: Vec<Alert>,
    fires: Vec<(u64, Identity)>,
    /// Those of them that the replica could not know before.
    fresh: Vec<u64>,
    ends: Vec<(u64, Identity)>,
}

impl Entry {
    /// Whether it may be told now, as the routes and a mute have it.
    fn is_due(&self, now: Timestamp) -> bool {
        self.terms.is_some_and(|terms| terms.from <= now) && !notify::silent(&self.change, now)
    }
}

#[derive(Debug)]
pub(crate) struct State {
    style: Style,
    entries: BTreeMap<u64, Entry>,
    counts: Counts,
}

/// The alerts of one replica.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    changed: Notify,
}

impl Board {
    pub(crate) fn new(style: Style, counts: Counts) -> Self {
        let state = State { style, entries: BTreeMap::new(), counts };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a change in; never waits. `again` = an earlier process may have told it.
    pub(crate) fn offer(
        &self,
        change: &IncidentChange,
        terms: Option<Terms>,
        now: Timestamp,
        again: bool,
    ) {
        if self.lock().offer(change, terms, now, again) {
            self.changed.notify_one();
        }
    }
}

impl State {
    /// Whether anything is to be sent now.
    fn offer(
        &mut self,
        change: &IncidentChange,
        terms: Option<Terms>,
        now: Timestamp,
        again: bool,
    ) -> bool {
        if change.state == IncidentState::Pending {
            return false;
        }
        let identity = Identity { code: change.code, severity: change.severity };
        let over = change.state == IncidentState::Resolved;
        if let Some(entry) = self.entries.get_mut(&change.id) {
            if over && !entry.told {
                self.entries.remove(&change.id);
                return false;
            }
            if entry.identity != identity && !over {
                if entry.told && entry.former.len() < FORMER_MAX {
                    let identity = entry.identity;
                    entry.former.retain(|former| former.identity != identity);
                    entry.former.push(Former { identity, ended: now, left: ENDS });
                }
                // The end of an identity that comes back must not be said after its new start.
                entry.former.retain(|former| former.identity != identity);
                entry.identity = identity;
                (entry.told, entry.taken) = (false, false);
            }
            let reopened = entry.change.state == IncidentState::Resolved && !over;
            if reopened {
                (entry.told, entry.taken) = (false, false);
            }
            entry.change = change.clone();
            entry.terms = terms;
            entry.left = if over { ENDS } else { 0 };
            return true;
        }
        let loud = self.style.min_severity.is_none_or(|least| notify::loud(change, least));
        let lately = now.since(notify::ended_at(change, now)) < LATELY;
        if !loud || (over && !(again && lately)) || terms.is_none() || !self.make_room() {
            return false;
        }
        let entry = Entry {
            change: change.clone(),
            terms,
            identity,
            told: over,
            taken: over,
            former: Vec::new(),
            left: if over { ENDS } else { 0 },
        };
        self.entries.insert(change.id, entry);
        true
    }

    /// Drops the oldest ended incident for a new one; refuses when all are open.
    fn make_room(&mut self) -> bool {
        if self.entries.len() < INCIDENTS_MAX {
            return true;
        }
        self.counts.dropped.add(1);
        let ended = |entry: &Entry| entry.change.state == IncidentState::Resolved;
        let oldest = self.entries.iter().find(|(_, entry)| ended(entry)).map(|(id, _)| *id);
        oldest.is_some_and(|id| self.entries.remove(&id).is_some())
    }

    /// Everything that the replica must hear at `now`. From here on it counts as told, so that what
    /// ends while the post is on its way is ended there as well; see [`State::lost`].
    pub(crate) fn batch(&mut self, now: Timestamp) -> Batch {
        let mut batch = Batch::default();
        for (id, entry) in &self.entries {
            for former in &entry.former {
                let end = former.ended.min(now);
                batch.alerts.push(self.alert(entry, former.identity, end));
                batch.ends.push((*id, former.identity));
            }
            if entry.change.state == IncidentState::Resolved {
                let end = notify::ended_at(&entry.change, now);
                batch.alerts.push(self.alert(entry, entry.identity, end));
                batch.ends.push((*id, entry.identity));
            } else if entry.told || entry.is_due(now) {
                let end = now.plus(self.style.resend * HOLD);
                batch.alerts.push(self.alert(entry, entry.identity, end));
                batch.fires.push((*id, entry.identity));
                if !entry.told {
                    batch.fresh.push(*id);
                }
            }
        }
        for id in &batch.fresh {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.told = true;
            }
        }
        batch
    }

    fn alert(&self, entry: &Entry, identity: Identity, end: Timestamp) -> Alert {
        let (change, style) = (&entry.change, &self.style);
        let (text, mark) = (identity.code.text(), text::mark(change));
        // One that ended under a former code has that code's words.
        let (title, means, remedy) = match identity.code == change.code {
            true => (change.title(), change.means(), change.remedy()),
            false => (text.title, text.means, text.remedy),
        };
        let mut labels: BTreeMap<String, String> = style.labels.iter().cloned().collect();
        let (kind, name) = notify::subject_label(change);
        let own = [
            ("alertname", text.code.to_owned()),
            ("severity", identity.severity.name().to_owned()),
            ("subject", change.subject_name.clone()),
            (kind, name),
            ("incident", change.id.to_string()),
            ("site", style.shared.site.clone()),
        ];
        let filled =
            |(key, value): (&str, String)| (!value.is_empty()).then(|| (key.to_owned(), value));
        labels.extend(own.into_iter().filter_map(filled));
        let annotations = [
            ("summary", format!("{mark}{}", change.summary)),
            ("title", format!("{mark}{title}")),
            ("description", means.to_owned()),
            ("remedy", remedy.to_owned()),
            ("urgent", change.urgent.to_string()),
            ("findings", findings(change)),
            ("claimed_by", change.claimed_by.as_str().to_owned()),
            ("overrun_since", overrun_since(change)),
            ("runbook_url", notify::runbook(&style.shared.runbook_base, change)),
        ];
        Alert {
            labels,
            annotations: annotations.into_iter().chain(change.facts()).filter_map(filled).collect(),
            starts_at: rfc3339::format(change.since),
            ends_at: rfc3339::format(end.max(change.since)),
            generator_url: notify::page(&style.shared.page_base, change),
        }
    }

    /// The replica took a batch; gives the incidents whose begin or end it heard for the first time.
    pub(crate) fn taken(&mut self, batch: &Batch) -> Vec<(Arc<IncidentChange>, &'static str)> {
        let mut news = Vec::new();
        for (id, identity) in &batch.fires {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            if entry.identity == *identity && !entry.taken {
                entry.taken = true;
                self.counts.notices.add(1);
                news.push((Arc::new(entry.change.clone()), "open"));
            }
        }
        for (id, identity) in &batch.ends {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            if let Some(former) = entry.former.iter_mut().find(|f| f.identity == *identity) {
                former.left -= 1;
            } else if entry.change.state == IncidentState::Resolved && entry.left > 0 {
                if entry.left == ENDS {
                    self.counts.notices.add(1);
                    news.push((Arc::new(entry.change.clone()), "resolved"));
                }
                entry.left -= 1;
            }
            entry.former.retain(|former| former.left > 0);
            let over = entry.change.state == IncidentState::Resolved;
            if over && entry.left == 0 && entry.former.is_empty() {
                self.entries.remove(id);
            }
        }
        news
    }

    /// A batch surely never reached the replica: nothing in it was told.
    pub(crate) fn lost(&mut self, batch: &Batch) {
        for id in &batch.fresh {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            if entry.change.state == IncidentState::Resolved {
                self.entries.remove(id);
            } else {
                entry.told = false;
            }
        }
    }
}

/// Since when a planned downtime goes on that should be over.
fn overrun_since(change: &IncidentChange) -> String {
    let overran = change.story.overran.as_ref();
    overran.map_or_else(String::new, |overran| rfc3339::format(overran.since))
}

/// `FP0104 The receiver cannot be reached (refused)`, one a line, open ones only.
fn findings(change: &IncidentChange) -> String {
    let lines = change.findings.iter().filter(|finding| finding.cleared_at.is_none()).take(20).map(
        |finding| {
            let text = finding.code.text();
            match finding.detail.as_str() {
                "" => format!("{} {}", text.code, text.title),
                detail => format!("{} {} ({detail})", text.code, text.title),
            }
        },
    );
    lines.collect::<Vec<_>>().join("\n")
}

/// Keeps one replica informed.
pub(crate) struct ReplicaTask {
    pub(crate) board: Arc<Board>,
    pub(crate) way: (Client, Url),
    pub(crate) clock: Clock,
    pub(crate) health: Health,
    pub(crate) member: usize,
    pub(crate) resend: Duration,
    pub(crate) counts: Counts,
    /// The replica's name.
    pub(crate) name: String,
    pub(crate) told: Told,
    pub(crate) seed: u64,
}

/// Checks a configured label's name; Alertmanager refuses a whole post for a bad one.
pub(crate) fn check_label(place: &str, name: &str) -> Result<(), ConfigError> {
    let own = [
        "alertname",
        "severity",
        "subject",
        "waypoint",
        "feed",
        "check",
        "part",
        "incident",
        "site",
    ];
    let fine = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    let what = if own.contains(&name) {
        "is a label that Feedpulse sets itself; choose another"
    } else {
        "is no label name; use letters, digits and `_`, not a digit first"
    };
    if fine && !own.contains(&name) {
        return Ok(());
    }
    Err(ConfigError::Name { place: place.to_owned(), name: name.to_owned(), what })
}

/// Checks one replica's target. The address may end in `/api/v2/alerts` or not.
pub(crate) fn way(
    place: &str,
    config: &AlertmanagerConfig,
    index: usize,
) -> Result<(Client, Url), ConfigError> {
    let example = "http://alertmanager-0:9093";
    let Some(target) = config.replicas.get(index) else {
        return Err(ConfigError::address(place, "is missing", example));
    };
    let mut url = target.address(place, example)?;
    let base = url.path().trim_end_matches('/').to_owned();
    if !base.ends_with("/api/v2/alerts") {
        url.set_path(&format!("{base}/api/v2/alerts"));
    }
    Ok((target.client(place, &url)?, url))
}

impl ReplicaTask {
    pub(crate) async fn run(self, stop: CancellationToken) {
        until_stopped(self.work(&stop), &stop).await;
    }

    async fn work(&self, stop: &CancellationToken) {
        let mut pace = Pace::new(Instant::now() + self.resend, self.resend, self.seed);
        while pace.wait(&self.board.changed, stop).await {
            pace.after(self.post().await);
        }
        // A restart gets the whole hold.
        self.post().await;
    }

    /// Posts the picture; an empty one too, so that a dead replica is known before it is needed.
    async fn post(&self) -> bool {
        let began = Instant::now();
        let batch = self.board.lock().batch((self.clock)());
        match self.send(&batch).await {
            Ok(()) => {
                let news = self.board.lock().taken(&batch);
                self.tell(&news);
                self.counts.up.set(1);
                self.health.worked(self.member);
                true
            }
            Err(class) => {
                if notify::never_arrived(class) {
                    self.board.lock().lost(&batch);
                }
                self.counts.up.set(0);
                self.counts.failed.add(1);
                self.health.failed(self.member, began, class, self.counts.dropped.get());
                false
            }
        }
    }

    fn tell(&self, news: &[(Arc<IncidentChange>, &'static str)]) {
        let at = (self.clock)();
        for (change, why) in news {
            if *why == "open" {
                let opened = change.story.opened_at.unwrap_or(change.since);
                self.counts.took.set(at.micros_since(opened).max(0));
            }
            let (incident, notifier) = (change.id, self.name.clone());
            (self.told)(&Delivered { incident, notifier, why, at });
        }
    }

    async fn send(&self, batch: &Batch) -> Result<(), Label> {
        let body = serde_json::to_vec(&batch.alerts).expect("maps of strings are JSON");
        let kind = [(CONTENT_TYPE, "application/json".to_owned())];
        let (client, url) = &self.way;
        let answer = client.send(Method::POST, url.clone(), &kind, body).await?;
        if answer.status.is_success() { Ok(()) } else { Err(status_class(answer.status)) }
    }
}
