//! The namespace watch against an API server within the test, which answers as the API reference says.

use super::servers::{Reply, Script, Seen, closed_port, http};
use super::{T0, at};
use crate::config::{ConfigError, Target};
use crate::{NamespaceConfig, NamespaceTask};
use core::time::Duration;
use feedpulse_core::codes::Code;
use feedpulse_core::effect::Change;
use feedpulse_core::input::OwnState;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn config(address: &str, folder: &Path) -> NamespaceConfig {
    std::fs::write(folder.join("token"), "the-token\n").unwrap();
    NamespaceConfig {
        target: Target::new(address),
        token_file: folder.join("token"),
        namespace: Some("interfaces".to_owned()),
        every: Duration::from_secs(1),
    }
}

/// Lists as a cluster has them ten minutes after a rollout that ran out of memory.
fn cluster(path: &str) -> Value {
    let owner =
        json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "portal", "uid": "u" }]);
    let set = |name: &str, made: &str, revision: &str| {
        json!({ "metadata": { "name": name, "namespace": "interfaces", "creationTimestamp": made,
            "annotations": { "deployment.kubernetes.io/revision": revision },
            "ownerReferences": owner.clone() }, "spec": { "replicas": 1 } })
    };
    let pod = |name: &str, last: Value| {
        json!({ "metadata": { "name": name }, "spec": { "containers": [{ "name": "app",
            "env": [{ "name": "PASSWORD", "value": "canary" }] }] },
            "status": { "phase": "Running", "containerStatuses": [{ "name": "app", "ready": true,
                "restartCount": 1, "state": { "running": {} }, "lastState": last }] } })
    };
    let killing = |name: &str, last: &str| {
        json!({ "metadata": { "name": format!("{name}.17") }, "reason": "Killing", "type": "Normal",
            "involvedObject": { "kind": "Pod", "name": name, "namespace": "interfaces" },
            "message": "Stopping container canary", "lastTimestamp": last, "eventTime": null,
            "count": 1 })
    };
    let items = if path.contains("/replicasets") {
        vec![
            set("portal-5d8f9c7b6d", "2026-09-01T08:00:00Z", "6"),
            set("portal-7c9f5b8d4f", "2026-09-21T14:03:20Z", "7"),
        ]
    } else if path.contains("/pods") {
        let oom = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled",
            "finishedAt": "2026-09-21T14:08:00Z" } });
        let done = json!({ "terminated": { "exitCode": 0, "reason": "Completed",
            "finishedAt": "2026-09-21T14:08:00Z" } });
        vec![pod("portal-7c9f5b8d4f-x2x7k", oom), pod("engine-0", done), pod("db-0", json!({}))]
    } else if path.contains("reason%3DKilling") {
        vec![
            killing("portal-5d8f9c7b6d-b7cdf", "2026-09-21T14:03:30Z"),
            killing("portal-5d8f9c7b6d-4z6gk", "2026-09-21T14:03:25Z"),
            killing("portal-5d8f9c7b6d-9bq7n", "2026-09-21T14:03:40Z"),
            killing("engine-0", "2026-09-21T13:00:00Z"),
        ]
    } else {
        Vec::new()
    };
    json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "4711" },
        "items": items })
}

struct Watching {
    changes: mpsc::Receiver<Change>,
    own: mpsc::Receiver<OwnState>,
    stop: CancellationToken,
    task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Watching {
    fn new(config: &NamespaceConfig) -> Self {
        let (tell, changes) = mpsc::channel(64);
        let (say, own) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let report = Arc::new(move |change| {
            let _ = tell.try_send(change);
        });
        let own_report = Arc::new(move |state| {
            let _ = say.try_send(state);
        });
        let clock = Arc::new(|| at(0));
        let task = NamespaceTask::new(config).unwrap();
        let task = Box::pin(task.run(clock, report, own_report, stop.clone()));
        Self { changes, own, stop, task }
    }

    /// Runs the watch until `done` of what it says.
    async fn until<T>(&mut self, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        loop {
            if let Some(done) = done(self) {
                return done;
            }
            let moment = tokio::time::sleep(Duration::from_millis(10));
            tokio::select! { () = &mut self.task => unreachable!(), () = moment => {} }
        }
    }
}

fn says(change: &Change) -> String {
    let ago = T0.micros_since(change.at) / 1_000_000;
    format!("{} {} {ago} s before", change.kind, change.what)
}

#[tokio::test]
async fn rollouts_and_kills_become_changes_once() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let (notes, looks) = (Arc::clone(&asked), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&looks);
    let script: Script = Arc::new(move |seen: &Seen| -> Reply {
        assert_eq!(seen.header("authorization"), Some("Bearer the-token"));
        notes.lock().unwrap().push(seen.line.clone());
        counted.fetch_add(usize::from(seen.line.contains("Preempted")), Ordering::SeqCst);
        (200, String::new(), cluster(&seen.line).to_string().into_bytes())
    });
    let (address, _seen) = http(script).await;
    let folder = tempfile::tempdir().unwrap();
    let mut watching = Watching::new(&config(&address, folder.path()));
    // Two looks: the second one says nothing new.
    watching.until(|_| (looks.load(Ordering::SeqCst) >= 2).then_some(())).await;
    let mut said = Vec::new();
    watching
        .until(|w| {
            said.extend(std::iter::from_fn(|| w.changes.try_recv().ok()).map(|c| says(&c)));
            (said.len() >= 3).then_some(())
        })
        .await;
    assert_eq!(
        said,
        [
            "rollout portal revision 7 600 s before",
            "stop portal 595 s before",
            "kill portal app out of memory 320 s before",
        ],
        "three pods that stop together are one change; nothing of yesterday; a clean end is none"
    );
    assert!(watching.own.try_recv().is_err(), "all is well");
    let asked = asked.lock().unwrap().clone();
    assert!(asked[0].starts_with("GET /apis/apps/v1/namespaces/interfaces/replicasets?limit=100 "));
    assert!(asked.iter().all(|line| line.starts_with("GET ")), "it only reads");
    watching.stop.cancel();
    watching.task.await;
}

#[tokio::test]
async fn a_server_that_refuses_is_said_and_said_to_be_over() {
    let refuses = Arc::new(AtomicUsize::new(1));
    let now = Arc::clone(&refuses);
    let script: Script = Arc::new(move |seen: &Seen| match now.load(Ordering::SeqCst) {
        1 => (403, String::new(), br#"{"kind":"Status","code":403}"#.to_vec()),
        _ => (200, String::new(), cluster(&seen.line).to_string().into_bytes()),
    });
    let (address, _seen) = http(script).await;
    let folder = tempfile::tempdir().unwrap();
    let mut watching = Watching::new(&config(&address, folder.path()));
    let failed = watching.until(|w| w.own.try_recv().ok()).await;
    assert_eq!((failed.code, failed.failing), (Code::NamespaceUnseen, true));
    assert_eq!((failed.part.as_str(), failed.detail.as_str()), ("kubernetes", "http-403"));
    refuses.store(0, Ordering::SeqCst);
    let over = watching.until(|w| w.own.try_recv().ok().filter(|own| !own.failing)).await;
    assert_eq!(over.code, Code::NamespaceUnseen);
}

#[tokio::test]
async fn pages_are_followed_and_nonsense_is_a_failure() {
    let script: Script = Arc::new(|seen: &Seen| {
        let body = match () {
            () if seen.line.contains("/replicasets") && !seen.line.contains("continue=next") => {
                json!({ "metadata": { "continue": "next" }, "items": [] })
            }
            () => cluster(&seen.line),
        };
        (200, String::new(), body.to_string().into_bytes())
    });
    let (address, _seen) = http(script).await;
    let folder = tempfile::tempdir().unwrap();
    let mut watching = Watching::new(&config(&address, folder.path()));
    let first = watching.until(|w| w.changes.try_recv().ok()).await;
    assert_eq!(first.what.as_str(), "portal revision 7", "it is on the second page");
    for body in ["", "{\"items\": 5}", "<html>"] {
        let body = body.as_bytes().to_vec();
        let script: Script = Arc::new(move |_: &Seen| (200, String::new(), body.clone()));
        let (address, _seen) = http(script).await;
        let mut watching = Watching::new(&config(&address, folder.path()));
        let own = watching.until(|w| w.own.try_recv().ok()).await;
        assert_eq!(own.detail.as_str(), "not read");
    }
    let mut nobody = Watching::new(&config(&closed_port().await, folder.path()));
    assert_eq!(nobody.until(|w| w.own.try_recv().ok()).await.detail.as_str(), "refused");
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let no_token =
        nobody.until(|w| w.own.try_recv().ok().filter(|o| o.detail.as_str() == "no token")).await;
    assert!(no_token.failing);
}

#[test]
fn a_wrong_namespace_is_found_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in ["", "Interfaces", "a/../b", "a?b"] {
        let mut config = config("https://10.0.0.1", folder.path());
        config.target.access.ca_file = None;
        config.target = Target::new("http://10.0.0.1");
        config.namespace = Some(wrong.to_owned());
        assert!(matches!(NamespaceTask::new(&config), Err(ConfigError::Name { .. })), "{wrong}");
    }
    let mut config = config("http://10.0.0.1", folder.path());
    config.namespace = None;
    let missing = NamespaceTask::new(&config).unwrap_err().to_string();
    assert!(missing.contains("state the namespace"), "{missing}");
}
