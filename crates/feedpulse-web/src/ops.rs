//! The `ops` listener: `/metrics`, `/healthz`, `/readyz`. Counts and yes or no only, so that it may
//! listen on a pod's address. Reads the registry's families, never the engine's view.

use crate::http::problem;
use crate::prom::{CONTENT_TYPE, encode};
use crate::source::Source;
use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

/// The router of `ops`; GET and HEAD only.
///
/// - `/metrics`: Prometheus text format 0.0.4.
/// - `/healthz`: 200 while the event loop turns, else 503: for a liveness probe.
/// - `/readyz`: 200 while Feedpulse can do its work, else 503: for people, not for a readiness
///   probe of a sidecar (that would take its pod out of service). The reason is on the ui.
pub fn ops(source: Arc<dyn Source>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(async |method: Method| {
            let error = format!("{method} is not answered here");
            problem(StatusCode::METHOD_NOT_ALLOWED, &error, "use GET or HEAD")
        })
        .fallback(async || {
            let hint =
                "this listener has /metrics, /healthz and /readyz; pages are on the ui listener";
            problem(StatusCode::NOT_FOUND, "nothing is here", hint)
        })
        .layer(axum::middleware::from_fn(crate::http::secure))
        .with_state(source)
}

async fn metrics(State(source): State<Arc<dyn Source>>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], encode(&source.families())).into_response()
}

async fn healthz(State(source): State<Arc<dyn Source>>) -> (StatusCode, &'static str) {
    if source.alive() {
        (StatusCode::OK, "alive\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the event loop does not turn\n")
    }
}

async fn readyz(State(source): State<Arc<dyn Source>>) -> (StatusCode, &'static str) {
    match source.ready() {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}
