//! What all answers share: strict headers, a time limit, errors that say what to do.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// No script, no frame, nothing from elsewhere: a name that slipped through escaping does nothing.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: browsers then say `Origin: null` on our own forms' posts (Fetch §3.2).
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds the strict headers where an answer does not bring its own.
pub(crate) async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// An answer in time, else 408: a body that trickles in must not hold a connection.
pub(crate) async fn within(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(limit, answer).await {
        Ok(response) => response,
        Err(_) => problem(
            StatusCode::REQUEST_TIMEOUT,
            "the request took too long to arrive or to be answered",
            "send the body at once",
        ),
    }
}

/// An error as JSON: `{"error": what, "hint": what to do}`.
pub(crate) fn problem(status: StatusCode, error: &str, hint: &str) -> Response {
    let body = serde_json::json!({ "error": error, "hint": hint }).to_string();
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if status == StatusCode::REQUEST_TIMEOUT {
        // The rest of the body is still on its way: the connection cannot be used again.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The same with `Retry-After` in seconds.
pub(crate) fn retry(status: StatusCode, error: &str, hint: &str, after: u32) -> Response {
    let mut response = problem(status, error, hint);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after));
    response
}

/// A finished page.
pub(crate) fn html(status: StatusCode, page: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], Body::from(page)).into_response()
}

/// Whether who asks would rather read a page than JSON.
pub(crate) fn wants_html(request: &axum::http::request::Parts) -> bool {
    let accepts = request.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    accepts.is_some_and(|v| v.contains("text/html")) && !request.uri.path().starts_with("/api/")
}
