//! The `http` tap: HL7 over HTTP and receipts, posted by an engine or a portal, become batches for
//! the intake. An answer of 202 means durable.
//!
//! What is posted is seen, and nothing else: the sender posts messages and ACKs alike (the ACK that
//! a receiver gave it is posted as a body of its own), so every frame has the direction
//! [`Direction::ToReceiver`] and an ACK is known by its MSA segment. Feedpulse's own HTTP answer is
//! no ACK and is never HL7.

use crate::auth::Guard;
use crate::config::IngestConfig;
use crate::http::{problem, retry};
use crate::serve::Peer;
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::label::Label;
use feedpulse_core::metrics::{Counter, Registry};
use feedpulse_core::probe::{Beat, Probed, Reading, Saw};
use feedpulse_core::sighting::Sighting;
use feedpulse_core::tap::{TapBatch, Tapped};
use feedpulse_core::time::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Largest body.
pub(crate) const BODY_MAX: usize = 16 * 1024 * 1024;
/// Bytes of all bodies that are held at once, in KiB: four of the largest.
const HELD_MAX_KIB: u32 = 64 * 1024;
/// Most frames or receipts of one body.
const ITEMS_MAX: usize = 10_000;
/// How long a poster waits for durability.
const DURABLE_WITHIN: Duration = Duration::from_secs(5);

/// Start of an MLLP block (HL7 MLLP release 1).
const START: u8 = 0x0b;
/// End of an MLLP block, followed by CR.
const END: u8 = 0x1c;

/// Turns a receipts body into sightings; the error is a patient-free sentence for the poster.
pub type ReceiptDecoder =
    Arc<dyn Fn(WaypointId, &[u8]) -> Result<Vec<Sighting>, String> + Send + Sync>;

/// Reads the clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the listener hands to and takes from the binary.
#[derive(Clone)]
pub struct IngestParts {
    /// Where batches go; bounded, full = 503.
    pub intake: mpsc::Sender<TapBatch>,
    /// Decodes receipts.
    pub receipts: ReceiptDecoder,
    /// The clock, for the time of arrival.
    pub clock: Clock,
    /// Its counters.
    pub counters: IngestCounters,
}

impl std::fmt::Debug for IngestParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IngestParts(…)")
    }
}

/// Posts by what became of them.
#[derive(Clone, Debug, Default)]
pub struct IngestCounters {
    /// Durable.
    pub accepted: Counter,
    /// Unreadable as a body: answered 4xx.
    pub refused: Counter,
    /// Queue or memory full: answered 503; nothing was taken.
    pub shed: Counter,
    /// Taken, but not known to be durable within 5 s: answered 503; a repeat may count twice.
    pub unsure: Counter,
}

impl IngestCounters {
    /// Registers `feedpulse_ingest_posts_total{result}`.
    #[must_use]
    pub fn register(registry: &Registry) -> Self {
        let counter = |result| {
            registry.counter(
                "feedpulse_ingest_posts_total",
                "Posts to the HTTP tap by result.",
                "{post}",
                &[("result", result)],
            )
        };
        Self {
            accepted: counter("accepted"),
            refused: counter("refused"),
            shed: counter("shed"),
            unsure: counter("unsure"),
        }
    }
}

/// Where heartbeats are posted.
const HEARTBEATS: &str = "/api/v1/heartbeats/";

struct Ingest {
    guard: Guard,
    /// Jobs that may send heartbeats; those with a token of their own have a guard of their own.
    heartbeats: Vec<(String, Option<Guard>)>,
    waypoints: Vec<(String, WaypointId)>,
    parts: IngestParts,
    /// One permit is a KiB of body.
    memory: Arc<Semaphore>,
}

/// The router of `ingest`.
///
/// - `POST /hl7/{waypoint}`: one message or ACK as text (`x-application/hl7-v2+er7`,
///   `application/hl7-v2` or `text/plain`, optionally with parameters), or one or more MLLP blocks.
/// - `POST /receipts/{waypoint}`: `application/json`, a receipt `{key, outcome, at?}` or an array.
///
/// - `POST /api/v1/heartbeats/{name}?state=start|ok|fail`: a job says that it ran (`ok`, the
///   default), begins or failed; the body is not read. A heartbeat that has a token of its own takes
///   that one only.
///
/// Answers: 202 when durable; 400, 401, 404, 411, 413, 415 say what to change; 503 with
/// `Retry-After` when full. Bodies up to 16 MiB, all together 64 MiB at once.
pub fn ingest(config: &IngestConfig, local: SocketAddr, parts: IngestParts) -> Router {
    let guard = |token| Guard::new(token, config.key, local.port(), &[]).without_sessions();
    let own = |token: &Option<_>| token.clone().map(|token| guard(Some(token)));
    let heartbeats = config.heartbeats.iter().map(|(name, token)| (name.clone(), own(token)));
    let state = Arc::new(Ingest {
        guard: guard(config.token.clone()),
        heartbeats: heartbeats.collect(),
        waypoints: config.waypoints.clone(),
        parts,
        memory: Arc::new(Semaphore::new(HELD_MAX_KIB as usize)),
    });
    Router::new()
        .route("/hl7/{waypoint}", post(hl7))
        .route("/receipts/{waypoint}", post(receipts))
        .route("/api/v1/heartbeats/{name}", post(heartbeat))
        .fallback(async || {
            let hint = "POST /hl7/WAYPOINT, /receipts/WAYPOINT or /api/v1/heartbeats/NAME";
            problem(StatusCode::NOT_FOUND, "nothing is here", hint)
        })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), guarded))
        .layer(axum::middleware::from_fn(crate::http::secure))
        .with_state(state)
}

async fn guarded(State(ingest): State<Arc<Ingest>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // A browser page must never be able to post here, whatever its content type.
    if parts.headers.contains_key(header::ORIGIN) {
        let hint = "this listener is for engines and portals, not for pages in a browser";
        return problem(StatusCode::FORBIDDEN, "a request with an Origin is not taken", hint);
    }
    let name = parts.uri.path().strip_prefix(HEARTBEATS);
    let own = name.and_then(|name| ingest.heartbeats.iter().find(|(n, _)| n == name));
    let guard = own.and_then(|(_, guard)| guard.as_ref()).unwrap_or(&ingest.guard);
    let checked = guard.check(&parts, (ingest.parts.clock)());
    if let Err(denied) = checked {
        ingest.parts.counters.refused.add(1);
        return denied.response();
    }
    next.run(Request::from_parts(parts, body)).await
}

async fn hl7(
    State(ingest): State<Arc<Ingest>>,
    Path(waypoint): Path<String>,
    request: Request,
) -> Response {
    let kinds = ["x-application/hl7-v2+er7", "application/hl7-v2", "text/plain"];
    let make = |waypoint: WaypointId, connection: ConnectionId, body: Vec<u8>| {
        let at = (ingest.parts.clock)();
        let frame = |bytes| {
            let direction = Direction::ToReceiver;
            let bytes = Phi::new(bytes);
            Tapped::Frame(Frame { bytes, at, waypoint, connection, direction, trace: None })
        };
        Ok(split(body)?.into_iter().map(frame).collect())
    };
    ingest.take(&waypoint, request, &kinds, make).await
}

async fn receipts(
    State(ingest): State<Arc<Ingest>>,
    Path(waypoint): Path<String>,
    request: Request,
) -> Response {
    let make = |waypoint: WaypointId, _, body: Vec<u8>| {
        let sightings = (ingest.parts.receipts)(waypoint, &body)?;
        Ok(sightings.into_iter().map(Tapped::Sighting).collect())
    };
    ingest.take(&waypoint, request, &["application/json"], make).await
}

/// What a job says; `state` is `start`, `ok` or `fail`.
#[derive(serde::Deserialize)]
struct Said {
    state: Option<String>,
}

async fn heartbeat(
    State(ingest): State<Arc<Ingest>>,
    Path(name): Path<String>,
    Query(said): Query<Said>,
) -> Response {
    let refuse = |status, error, hint: &str| {
        ingest.parts.counters.refused.add(1);
        problem(status, error, hint)
    };
    if !ingest.heartbeats.iter().any(|(known, _)| *known == name) {
        let hint = "names are those of `heartbeats` in the configuration";
        return refuse(StatusCode::NOT_FOUND, "no heartbeat has this name", hint);
    }
    let beat = match said.state.as_deref() {
        None | Some("ok") => Beat::Ok,
        Some("start") => Beat::Start,
        Some("fail") => Beat::Fail,
        Some(_) => {
            let hint = "state is start, ok or fail";
            return refuse(StatusCode::BAD_REQUEST, "no such state", hint);
        }
    };
    let reading = Reading { part: Label::EMPTY, saw: Saw::Beat(beat) };
    let probed = Probed {
        probe: Label::from(name.as_str()),
        at: (ingest.parts.clock)(),
        elapsed: Duration::ZERO,
        readings: vec![reading],
    };
    ingest.hand_over(vec![Tapped::Probed(probed)]).await
}

impl Ingest {
    /// Reads the body within its limits, makes the items, and waits until they are durable.
    async fn take(
        &self,
        waypoint: &str,
        request: Request,
        kinds: &[&str],
        make: impl FnOnce(WaypointId, ConnectionId, Vec<u8>) -> Result<Vec<Tapped>, String>,
    ) -> Response {
        let refuse = |response| {
            self.parts.counters.refused.add(1);
            response
        };
        let Some((_, id)) = self.waypoints.iter().find(|(name, _)| name == waypoint) else {
            let names: Vec<&str> = self.waypoints.iter().map(|(name, _)| name.as_str()).collect();
            let hint = format!("this tap has: {}", names.join(", "));
            return refuse(problem(StatusCode::NOT_FOUND, "no waypoint has this name", &hint));
        };
        if !is_one_of(request.headers(), kinds) {
            let hint = format!("send Content-Type: {}", kinds.join(", or "));
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return refuse(problem(status, "this content type is not read here", &hint));
        }
        let peer = request.extensions().get::<Peer>().map_or(0, |peer| peer.connection);
        let size = usize::try_from(request.body().size_hint().exact().unwrap_or(BODY_MAX as u64));
        let Some(size) = size.ok().filter(|size| *size <= BODY_MAX) else {
            return refuse(too_large());
        };
        let kib = u32::try_from(size / 1024 + 1).unwrap_or(HELD_MAX_KIB);
        let Ok(_held) = self.memory.try_acquire_many(kib) else {
            return self.full("the bodies that are being taken fill the memory for them");
        };
        let body = match axum::body::to_bytes(request.into_body(), BODY_MAX).await {
            Ok(body) => Vec::from(body),
            Err(_) => return refuse(too_large()),
        };
        let items = match make(*id, ConnectionId(peer), body) {
            Ok(items) if items.is_empty() => Err("the body holds nothing".to_owned()),
            Ok(items) if items.len() > ITEMS_MAX => {
                Err(format!("the body holds more than {ITEMS_MAX} items; send fewer at once"))
            }
            other => other,
        };
        match items {
            Ok(items) => self.hand_over(items).await,
            Err(error) => {
                refuse(problem(StatusCode::BAD_REQUEST, &error, "correct it; nothing was taken"))
            }
        }
    }

    async fn hand_over(&self, items: Vec<Tapped>) -> Response {
        let count = items.len();
        let (done, durable) = oneshot::channel::<()>();
        let batch = TapBatch {
            items,
            positions: Vec::new(),
            // The poster may have gone; then nobody needs to be told.
            done: Some(Box::new(move || {
                let _ = done.send(());
            })),
        };
        match self.parts.intake.try_send(batch) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return self.full("the intake is full"),
            Err(TrySendError::Closed(_)) => return self.full("Feedpulse is shutting down"),
        }
        match tokio::time::timeout(DURABLE_WITHIN, durable).await {
            Ok(Ok(())) => {
                self.parts.counters.accepted.add(1);
                let body = serde_json::json!({ "accepted": count }).to_string();
                let kind = [(header::CONTENT_TYPE, "application/json")];
                (StatusCode::ACCEPTED, kind, Body::from(body)).into_response()
            }
            Ok(Err(_)) | Err(_) => {
                self.parts.counters.unsure.add(1);
                retry(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "taken, but not known to be durable",
                    "send it again; if it was recorded after all it counts as a resend",
                    5,
                )
            }
        }
    }

    fn full(&self, error: &str) -> Response {
        self.parts.counters.shed.add(1);
        retry(StatusCode::SERVICE_UNAVAILABLE, error, "nothing was taken; send it again", 1)
    }
}

fn too_large() -> Response {
    let error = format!("the body is larger than {BODY_MAX} bytes, or broke off");
    problem(StatusCode::PAYLOAD_TOO_LARGE, &error, "send fewer messages at once")
}

fn is_one_of(headers: &HeaderMap, kinds: &[&str]) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    kinds.iter().any(|known| known.eq_ignore_ascii_case(kind))
}

/// The frames of a body: the body itself, or the content of each MLLP block. Blank bytes between
/// blocks are skipped; anything else there is an error, as a message could hide in it.
fn split(body: Vec<u8>) -> Result<Vec<Vec<u8>>, String> {
    if body.first() != Some(&START) {
        let blank = body.iter().all(u8::is_ascii_whitespace);
        return if blank { Ok(Vec::new()) } else { Ok(vec![body]) };
    }
    let mut frames = Vec::new();
    let mut rest = body.as_slice();
    let mut offset = 0;
    while let [first, after @ ..] = rest {
        if *first != START {
            if !first.is_ascii_whitespace() {
                return Err(format!("byte {offset} is neither inside an MLLP block nor blank"));
            }
            (rest, offset) = (after, offset + 1);
            continue;
        }
        let Some(end) = after.windows(2).position(|two| two == [END, b'\r']) else {
            return Err(format!("the MLLP block at byte {offset} has no end (1C 0D)"));
        };
        let (frame, after) = after.split_at(end);
        if frames.len() == ITEMS_MAX {
            return Err(format!("the body holds more than {ITEMS_MAX} blocks; send fewer at once"));
        }
        frames.push(frame.to_vec());
        rest = after.get(2..).unwrap_or_default();
        offset += 1 + end + 2;
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn bodies_are_split_into_frames() {
        type Case<'a> = (&'a [u8], Result<Vec<&'a [u8]>, usize>);
        let cases: [Case<'_>; 7] = [
            (b"MSH|^~\\&|", Ok(vec![b"MSH|^~\\&|"])),
            (b"\x0bMSH|a\x1c\r\x0bMSH|b\x1c\r\n", Ok(vec![b"MSH|a", b"MSH|b"])),
            (b" \r\n", Ok(vec![])),
            (b"", Ok(vec![])),
            (b"\x0bMSH|a\x1cb\x1c\r", Ok(vec![b"MSH|a\x1cb"])),
            (b"\x0bMSH|a\x1c\rMSH|b", Err(8)),
            (b"\x0bMSH|a\x1c\r\x0bMSH|b\x1c", Err(8)),
        ];
        for (body, want) in cases {
            match (split(Vec::from(body)), want) {
                (Ok(frames), Ok(want)) => assert_eq!(frames, want),
                (Err(error), Err(at)) => assert!(error.contains(&format!("byte {at} ")), "{error}"),
                (got, want) => panic!("{got:?} is not {want:?}"),
            }
        }
    }
}
