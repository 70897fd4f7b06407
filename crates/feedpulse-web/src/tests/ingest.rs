//! The HTTP tap: what becomes of a post.

use super::{LOCAL, TOKEN, ask, key};
use crate::{IngestConfig, IngestCounters, IngestParts, Token, ingest};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use feedpulse_core::frame::{ConnectionId, Direction, WaypointId};
use feedpulse_core::probe::{Beat, Saw};
use feedpulse_core::sighting::{LinkEvent, Seen, Sighting};
use feedpulse_core::tap::{TapBatch, Tapped};
use feedpulse_core::time::Timestamp;
use std::sync::Arc;
use tokio::sync::mpsc;

const BACKUP_TOKEN: &str = "a-token-of-the-extract-job";
const NOW: Timestamp = Timestamp::from_secs(1_000);

fn tap(room: usize, token: Option<&str>) -> (Router, mpsc::Receiver<TapBatch>, IngestCounters) {
    let (intake, taken) = mpsc::channel(room);
    let counters = IngestCounters::default();
    let parts = IngestParts {
        intake,
        receipts: Arc::new(|waypoint, body| {
            let keys: Vec<u64> = serde_json::from_slice(body).map_err(|_| "no keys".to_owned())?;
            let sighting = |key| Sighting {
                at: NOW,
                waypoint,
                connection: ConnectionId(key),
                what: Seen::Link(LinkEvent::Idle),
            };
            Ok(keys.into_iter().map(sighting).collect())
        }),
        clock: Arc::new(|| NOW),
        counters: counters.clone(),
    };
    let token = token.map(|t| Token::new(t).unwrap());
    let waypoints = vec![("portal".to_owned(), WaypointId(3))];
    let own = Some(Token::new(BACKUP_TOKEN).unwrap());
    let heartbeats = vec![("backup".to_owned(), None), ("extract".to_owned(), own)];
    let config = IngestConfig::new(LOCAL, token, key(), waypoints, heartbeats).unwrap();
    (ingest(&config, LOCAL, parts), taken, counters)
}

fn post(path: &str, kind: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header(header::HOST, "127.0.0.1:8088")
        .header(header::CONTENT_TYPE, kind)
        .body(body.into())
        .unwrap()
}

async fn status(router: &Router, request: Request<Body>) -> (u16, String) {
    let (response, body) = ask(router, request).await;
    if response.status() == 503 {
        assert!(response.headers().contains_key(header::RETRY_AFTER));
    }
    (response.status().as_u16(), body)
}

const HL7: &str = "x-application/hl7-v2+er7; charset=utf-8";

#[tokio::test]
async fn accepted_means_durable() {
    let (router, mut taken, counters) = tap(4, None);
    let answer = status(&router, post("/hl7/portal", HL7, "\x0bMSH|a\x1c\r\x0bMSH|b\x1c\r"));
    let store = async {
        let mut batch = taken.recv().await.unwrap();
        assert_eq!(counters.accepted.get(), 0, "not before it is durable");
        let frames: Vec<_> = batch
            .items
            .iter()
            .map(|item| match item {
                Tapped::Frame(f) => {
                    assert_eq!(
                        (f.at, f.waypoint, f.direction),
                        (NOW, WaypointId(3), Direction::ToReceiver)
                    );
                    f.bytes.expose().clone()
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(frames, [b"MSH|a", b"MSH|b"]);
        batch.done.take().unwrap()();
    };
    let ((code, body), ()) = tokio::join!(answer, store);
    assert_eq!((code, body.as_str(), counters.accepted.get()), (202, "{\"accepted\":2}", 1));
    let answer = status(&router, post("/receipts/portal", "application/json", "[1,2,3]"));
    let store = async {
        let batch = taken.recv().await.unwrap();
        assert_eq!(batch.items.len(), 3);
        batch.done.unwrap()();
    };
    assert_eq!(tokio::join!(answer, store).0.0, 202);
}

#[tokio::test(start_paused = true)]
async fn full_slow_and_closed_are_503() {
    let (router, mut taken, counters) = tap(1, None);
    // Nobody makes it durable: the time limit ends the wait; the batch stays in the queue.
    let (code, body) = status(&router, post("/hl7/portal", HL7, "MSH|a")).await;
    assert_eq!((code, counters.unsure.get()), (503, 1), "{body}");
    let (code, body) = status(&router, post("/hl7/portal", HL7, "MSH|b")).await;
    assert_eq!((code, counters.shed.get()), (503, 1), "{body}");
    assert!(body.contains("intake is full"), "{body}");
    // A batch that is dropped unrecorded is not accepted either, and says so at once.
    drop(taken.recv().await);
    let answer = status(&router, post("/hl7/portal", HL7, "MSH|c"));
    let (answer, _) = tokio::join!(answer, async { drop(taken.recv().await) });
    assert_eq!((answer.0, counters.unsure.get()), (503, 2));
    drop(taken);
    assert!(status(&router, post("/hl7/portal", HL7, "MSH|d")).await.1.contains("shutting down"));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_says_why() {
    let (router, mut taken, counters) = tap(4, None);
    let big = vec![b'x'; crate::ingest::BODY_MAX + 1];
    let json = "application/json";
    let mut page = post("/hl7/portal", "text/plain", "MSH|a");
    page.headers_mut().insert(header::ORIGIN, "http://evil.example".parse().unwrap());
    let mut rebound = post("/hl7/portal", "text/plain", "MSH|a");
    rebound.headers_mut().insert(header::HOST, "evil.example:8088".parse().unwrap());
    let endless = Body::from_stream(futures_util::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(vec![b'x'; 1 << 20])
    }));
    for (request, want, says) in [
        (post("/hl7/nowhere", HL7, "MSH|a"), 404, "this tap has: portal"),
        (post("/hl7/portal", json, "{}"), 415, "x-application/hl7-v2+er7"),
        (post("/receipts/portal", HL7, "[1]"), 415, "application/json"),
        (post("/receipts/portal", json, "{"), 400, "no keys"),
        (post("/receipts/portal", json, "[]"), 400, "holds nothing"),
        (post("/hl7/portal", HL7, ""), 400, "holds nothing"),
        (post("/hl7/portal", HL7, "\x0bMSH|a"), 400, "has no end (1C 0D)"),
        (post("/hl7/portal", HL7, big), 413, "larger than 16777216"),
        (post("/hl7/portal", HL7, endless), 413, "larger than 16777216"),
        (page, 403, "Origin"),
        (rebound, 421, "own names"),
        (
            Request::get("/").header(header::HOST, "localhost:8088").body(Body::empty()).unwrap(),
            404,
            "POST",
        ),
    ] {
        let (code, body) = status(&router, request).await;
        assert_eq!(code, want, "{body}");
        assert!(body.contains(says), "{says} is not in {body}");
    }
    assert!(taken.try_recv().is_err(), "nothing of it was taken");
    assert!(counters.refused.get() >= 9);
}

#[tokio::test]
async fn a_token_is_asked_for_on_every_path() {
    let (router, mut taken, _) = tap(4, Some(TOKEN));
    for path in ["/hl7/portal", "/receipts/portal", "/hl7/nowhere", "/"] {
        let mut request = post(path, HL7, "MSH|a");
        let guard = crate::auth::Guard::new(Some(Token::new(TOKEN).unwrap()), key(), 8088, &[]);
        let cookie = format!("feedpulse_session={}", guard.session(NOW));
        request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        assert_eq!(
            status(&router, request).await.0,
            401,
            "{path}: a browser's session is not enough"
        );
    }
    let mut request = post("/hl7/portal", HL7, "MSH|a");
    request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {TOKEN}").parse().unwrap());
    let store = async { taken.recv().await.unwrap().done.unwrap()() };
    assert_eq!(tokio::join!(status(&router, request), store).0.0, 202);
}

fn beat(path: &str, token: Option<&str>) -> Request<Body> {
    let mut request = Request::post(path).header(header::HOST, "127.0.0.1:8088");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Body::from("curl sends what it likes")).unwrap()
}

#[tokio::test]
async fn a_job_says_that_it_ran() {
    let (router, mut taken, _) = tap(4, Some(TOKEN));
    for (path, token, expected) in [
        ("/api/v1/heartbeats/backup", None, 401),
        ("/api/v1/heartbeats/backup", Some(BACKUP_TOKEN), 401),
        ("/api/v1/heartbeats/extract", Some(TOKEN), 401),
        ("/api/v1/heartbeats/nobody", Some(TOKEN), 404),
        ("/api/v1/heartbeats/backup?state=maybe", Some(TOKEN), 400),
    ] {
        let (got, body) = status(&router, beat(path, token)).await;
        assert_eq!(got, expected, "{path}: {body}");
    }
    assert!(taken.try_recv().is_err(), "nothing was taken");
    for (path, token, expected) in [
        ("/api/v1/heartbeats/backup", TOKEN, Beat::Ok),
        ("/api/v1/heartbeats/backup?state=start", TOKEN, Beat::Start),
        ("/api/v1/heartbeats/extract?state=fail", BACKUP_TOKEN, Beat::Fail),
    ] {
        let store = async {
            let mut batch = taken.recv().await.unwrap();
            let said = match &batch.items[..] {
                [Tapped::Probed(probed)] => probed.clone(),
                other => panic!("{other:?}"),
            };
            (batch.done.take().unwrap())();
            said
        };
        let ((got, body), said) = tokio::join!(status(&router, beat(path, Some(token))), store);
        assert_eq!(got, 202, "{body}");
        assert_eq!((said.readings[0].saw, said.at), (Saw::Beat(expected), NOW));
        assert!(path.contains(said.probe.as_str()));
    }
}
