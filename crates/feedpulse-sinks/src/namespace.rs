//! Watches Feedpulse's own namespace of a Kubernetes cluster for what may change the stream: rollouts,
//! and programs that are killed or stopped. Opt-in, read-only; it comes back as change markers.
//!
//! It lists ReplicaSets, Pods and a few Events every half minute (Kubernetes API reference, v1.34:
//! `apps/v1` ReplicaSet, `v1` Pod, `v1` Event). Of what it reads only names of workloads, container
//! names, revisions and fixed reasons are kept: never a message, an environment variable or an image.

use crate::OwnReporter;
use crate::config::{ConfigError, Target};
use crate::rfc3339;
use core::time::Duration;
use feedpulse_core::codes::Code;
use feedpulse_core::effect::Change;
use feedpulse_core::input::OwnState;
use feedpulse_core::label::Label;
use feedpulse_core::time::Timestamp;
use feedpulse_http::header::{ACCEPT, AUTHORIZATION, HeaderName};
use feedpulse_http::{AccessError, Client, Url, status_class};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Items of one page of a list, and pages that are read of it; what is beyond is not seen.
const PAGE: usize = 100;
const PAGES: usize = 20;
/// Most bytes of one page: 100 pods with all their fields are about 1 MiB.
const PAGE_BYTES: usize = 8 << 20;
/// What is older than this when it is first seen came before anything that matters now.
const RECENT: Duration = Duration::from_secs(1_800);
/// Changes that are remembered as reported.
const REPORTED_MAX: usize = 1_024;
/// Stops of one workload within this, in µs, are one change.
const TOGETHER: i64 = 60_000_000;
/// Where a pod finds its service account.
pub const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What is said of the watch itself when it fails.
const PART: &str = "kubernetes";
/// Events that are asked for, and the kind of change that each is.
const EVENTS: [(&str, &str); 3] = [("Killing", "stop"), ("Evicted", "kill"), ("Preempted", "kill")];

/// Takes a change. Must not block.
pub type ChangeReporter = Arc<dyn Fn(Change) + Send + Sync>;

/// Which namespace, by which server.
#[derive(Clone, Debug)]
pub struct NamespaceConfig {
    /// The API server.
    pub target: Target,
    /// File with the service account's token; read again each time, as the cluster renews it.
    pub token_file: PathBuf,
    /// The namespace; None = the pod's own, by its service account's folder.
    pub namespace: Option<String>,
    /// Pause between two looks. Default 30 s.
    pub every: Duration,
}

/// Watches; run it until it returns, which is after `stop`.
#[derive(Debug)]
pub struct NamespaceTask {
    client: Client,
    base: Url,
    namespace: String,
    token_file: PathBuf,
    every: Duration,
    reported: VecDeque<Change>,
}

impl NamespaceTask {
    /// Checks the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] for an address, a name or a certificate that cannot be used.
    pub fn new(config: &NamespaceConfig) -> Result<Self, ConfigError> {
        let place = "kubernetes";
        let mut base = config.target.address(place, "https://kubernetes.default.svc")?;
        let name = match &config.namespace {
            Some(name) => name.clone(),
            None => own_namespace(place)?,
        };
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=63).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(ConfigError::Name {
                place: place.to_owned(),
                name,
                what: "is no namespace (RFC 1123 label: a-z, 0-9 and -)",
            });
        }
        let client = config.target.client(place, &base)?;
        base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
        Ok(Self {
            client,
            base,
            namespace: name,
            token_file: config.token_file.clone(),
            every: config.every.clamp(Duration::from_secs(1), Duration::from_secs(3_600)),
            reported: VecDeque::new(),
        })
    }

    /// Looks until `stop`. A look that fails says so ([`Code::NamespaceUnseen`]) and is made again.
    pub async fn run(
        mut self,
        clock: crate::Clock,
        report: ChangeReporter,
        own: OwnReporter,
        stop: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let looked = tokio::select! {
                looked = self.look(clock()) => looked,
                () = stop.cancelled() => return,
            };
            let failure = looked.as_ref().err().copied();
            for change in looked.unwrap_or_default() {
                report(change);
            }
            if failing || failure.is_some() {
                own(OwnState {
                    part: Label::from(PART),
                    code: Code::NamespaceUnseen,
                    failing: failure.is_some(),
                    detail: failure.unwrap_or_default(),
                    dropped: 0,
                });
            }
            failing = failure.is_some();
        }
    }

    /// One look: what is recent and was not reported yet, in order of time.
    async fn look(&mut self, now: Timestamp) -> Result<Vec<Change>, Label> {
        // A kilobyte from memory, twice a minute.
        let token = std::fs::read_to_string(&self.token_file);
        let token = token.map_err(|_| Label::from("no token"))?;
        let mut found = Vec::new();
        let sets: Vec<ReplicaSet> = self.list(&token, "apis/apps/v1", "replicasets", "").await?;
        found.extend(sets.iter().filter_map(rollout));
        let pods: Vec<Pod> = self.list(&token, "api/v1", "pods", "").await?;
        found.extend(pods.iter().flat_map(kills));
        for (reason, kind) in EVENTS {
            let events: Vec<Event> =
                self.list(&token, "api/v1", "events", &format!("reason={reason}")).await?;
            found.extend(stops(&events, kind));
        }
        found.retain(|change| {
            now.micros_since(change.at) < i64::try_from(RECENT.as_micros()).unwrap_or(i64::MAX)
        });
        found.sort_by_key(|change| (change.at, change.kind, change.what));
        let known: BTreeSet<(Timestamp, Label, Label)> =
            self.reported.iter().map(|c| (c.at, c.kind, c.what)).collect();
        found.retain(|c| !known.contains(&(c.at, c.kind, c.what)));
        for change in &found {
            if self.reported.len() == REPORTED_MAX {
                self.reported.pop_front();
            }
            self.reported.push_back(*change);
        }
        Ok(found)
    }

    /// All pages of a list.
    async fn list<T: DeserializeOwned>(
        &self,
        token: &str,
        api: &str,
        what: &str,
        field: &str,
    ) -> Result<Vec<T>, Label> {
        let (mut items, mut next) = (Vec::new(), String::new());
        for _ in 0..PAGES {
            let url = self.address(api, what, field, &next);
            let own = [
                (AUTHORIZATION, format!("Bearer {}", token.trim())),
                (ACCEPT, "application/json".to_owned()),
            ];
            let own: &[(HeaderName, String)] = &own;
            let answer = self.client.get(url, own, PAGE_BYTES).await?;
            if !answer.status.is_success() {
                return Err(status_class(answer.status));
            }
            let page: List<T> =
                serde_json::from_slice(&answer.body).map_err(|_| Label::from("not read"))?;
            items.extend(page.items);
            next = page.metadata.more.unwrap_or_default();
            if next.is_empty() {
                break;
            }
        }
        Ok(items)
    }

    fn address(&self, api: &str, what: &str, field: &str, next: &str) -> Url {
        let (base, namespace) = (self.base.path(), &self.namespace);
        let mut url = self.base.clone();
        url.set_path(&format!("{base}{api}/namespaces/{namespace}/{what}"));
        let mut query = url.query_pairs_mut();
        query.append_pair("limit", &PAGE.to_string());
        if !field.is_empty() {
            query.append_pair("fieldSelector", field);
        }
        if !next.is_empty() {
            query.append_pair("continue", next);
        }
        drop(query);
        url
    }
}

/// The namespace of the pod that this runs in.
fn own_namespace(place: &str) -> Result<String, ConfigError> {
    let path = PathBuf::from(ACCOUNT).join("namespace");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let hint = "this is no pod, or its token is not mounted: state the namespace";
        let error = AccessError::File { path, what: format!("{}; {hint}", error.kind()) };
        ConfigError::Access { place: place.to_owned(), error }
    })?;
    Ok(text.trim().to_owned())
}

/// A ReplicaSet that a Deployment made is a rollout, or a step back.
fn rollout(set: &ReplicaSet) -> Option<Change> {
    let owner = set.metadata.owners.iter().find(|owner| owner.kind == "Deployment")?;
    let revision = set.metadata.annotations.get("deployment.kubernetes.io/revision");
    let revision = revision.filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let what = match revision {
        Some(revision) => format!("{} revision {revision}", owner.name),
        None => owner.name.clone(),
    };
    change(set.metadata.made.as_deref()?, "rollout", &what)
}

/// Containers that were ended by force or ended with a fault.
fn kills(pod: &Pod) -> Vec<Change> {
    let workload = workload(&pod.metadata.name);
    let containers = pod.status.containers.iter().chain(&pod.status.inits);
    let ended = containers.filter_map(|container| {
        let ended = [&container.state.ended, &container.last.ended].into_iter().flatten().next()?;
        let how = match (ended.reason.as_deref(), ended.code) {
            (Some("OOMKilled"), _) => "out of memory",
            (_, 137) => "killed",
            (_, 0) => return None,
            _ => "failed",
        };
        change(ended.at.as_deref()?, "kill", &format!("{workload} {} {how}", container.name))
    });
    ended.collect()
}

/// What events say was stopped, a workload at a time.
fn stops(events: &[Event], kind: &str) -> Vec<Change> {
    let about_pods = events.iter().filter(|event| event.about.kind == "Pod");
    let mut all: Vec<Change> = about_pods
        .filter_map(|event| {
            let at = event.last.as_deref().or(event.at.as_deref())?;
            change(at, kind, &workload(&event.about.name))
        })
        .collect();
    all.sort_by_key(|change| (change.what, change.at));
    // The first of those that belong together: its time stays the same when more follow.
    let mut kept: Vec<Change> = Vec::new();
    let mut last: BTreeMap<Label, Timestamp> = BTreeMap::new();
    for change in all {
        let before = last.insert(change.what, change.at);
        if before.is_none_or(|before| change.at.micros_since(before) > TOGETHER) {
            kept.push(change);
        }
    }
    kept
}

fn change(at: &str, kind: &str, what: &str) -> Option<Change> {
    Some(Change { at: rfc3339::parse(at)?, kind: Label::from(kind), what: Label::from(what) })
}

/// The workload of a pod, by its name: without the hashes that a Deployment, or the number that a
/// StatefulSet, puts behind it.
fn workload(pod: &str) -> String {
    // Kubernetes makes its random endings of these letters only: no vowels, no 0, 1 and 3.
    let random = |part: &str| part.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b));
    let Some((rest, last)) = pod.rsplit_once('-') else { return pod.to_owned() };
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) && last.len() < 5 {
        return rest.to_owned();
    }
    if last.len() != 5 || !random(last) {
        return pod.to_owned();
    }
    match rest.rsplit_once('-') {
        Some((name, hash)) if (5..=10).contains(&hash.len()) && random(hash) => name.to_owned(),
        _ => rest.to_owned(),
    }
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(rename = "continue")]
    more: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    name: String,
    #[serde(rename = "creationTimestamp")]
    made: Option<String>,
    annotations: BTreeMap<String, String>,
    #[serde(rename = "ownerReferences")]
    owners: Vec<Object>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct ReplicaSet {
    metadata: Meta,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Meta,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    #[serde(rename = "containerStatuses")]
    containers: Vec<Container>,
    #[serde(rename = "initContainerStatuses")]
    inits: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    state: ContainerState,
    #[serde(rename = "lastState")]
    last: ContainerState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    #[serde(rename = "terminated")]
    ended: Option<Ended>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ended {
    reason: Option<String>,
    #[serde(rename = "exitCode")]
    code: i32,
    #[serde(rename = "finishedAt")]
    at: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "involvedObject", default)]
    about: Object,
    #[serde(rename = "lastTimestamp")]
    last: Option<String>,
    #[serde(rename = "eventTime")]
    at: Option<String>,
}
