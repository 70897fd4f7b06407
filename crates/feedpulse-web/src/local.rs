//! The admin socket: `/api/v1` over a unix socket in the store's folder, for the command line of the
//! same machine. Who may open the socket may act; what the other side is called is known. Drills are
//! taken here only.

use crate::http::problem;
use crate::json::{self, Api};
use crate::source::Source;
use crate::ui::BODY_MAX;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path as At, State};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;

/// Largest answer that [`ask`] takes.
const ANSWER_MAX: usize = 64 << 20;
/// How long [`ask`] waits for all of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who makes drills. Every method returns at once.
pub trait DrillDesk: Send + Sync + 'static {
    /// Begins a drill; gives its number.
    ///
    /// # Errors
    /// One sentence for a person: there is no such drill, or one is under way.
    fn begin(&self, asked: serde_json::Value) -> Result<u64, String>;
    /// How far the drill of that number is; None when it is not the last one.
    fn answer(&self, number: u64) -> Option<serde_json::Value>;
}

/// The router of the admin socket; serve it with [`serve_local`](crate::serve_local).
pub fn local(source: Arc<dyn Source>, drills: Arc<dyn DrillDesk>) -> Router {
    let mut router = Router::new();
    for (path, methods) in json::routes::<Api>() {
        router = router.route(path, methods);
    }
    router
        .fallback(async || problem(StatusCode::NOT_FOUND, "nothing is here", "see /api/v1/status"))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(Api { source, acts: true })
        .merge(
            Router::new()
                .route("/api/v1/drills", post(begin))
                .route("/api/v1/drills/{number}", get(answer))
                .layer(DefaultBodyLimit::max(BODY_MAX))
                .with_state(drills),
        )
}

async fn begin(
    State(drills): State<Arc<dyn DrillDesk>>,
    Json(asked): Json<serde_json::Value>,
) -> Response {
    match drills.begin(asked) {
        Ok(number) => Json(serde_json::json!({ "number": number })).into_response(),
        Err(why) => problem(StatusCode::CONFLICT, &why, "see `feedpulse drill --help`"),
    }
}

async fn answer(State(drills): State<Arc<dyn DrillDesk>>, At(number): At<u64>) -> Response {
    drills.answer(number).map_or_else(
        || problem(StatusCode::NOT_FOUND, "this drill is not known", "the last one is kept"),
        |answer| Json(answer).into_response(),
    )
}

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no socket, or nobody listens on it.
    #[error("nobody answers on it: {0}")]
    Nobody(#[source] std::io::Error),
    /// The socket belongs to another user.
    #[error("it may not be opened: {0}")]
    NotAllowed(#[source] std::io::Error),
    /// What came is no answer.
    #[error("the answer broke off: {0}")]
    Broken(String),
    /// It took too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
}

/// Asks a running process: the status and the JSON of its answer. With a body it is a POST.
///
/// # Errors
/// [`AskError`] when there was no whole answer.
pub async fn ask(
    socket: &Path,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<(u16, serde_json::Value), AskError> {
    tokio::time::timeout(PATIENCE, exchange(socket, path, body))
        .await
        .unwrap_or(Err(AskError::Late))
}

async fn exchange(
    socket: &Path,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<(u16, serde_json::Value), AskError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => AskError::NotAllowed(error),
        _ => AskError::Nobody(error),
    })?;
    let broken = |error: &dyn std::fmt::Display| AskError::Broken(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| broken(&e))?;
    let mut request = Request::builder().uri(path).header(header::HOST, "localhost");
    if body.is_some() {
        request = request.method(Method::POST).header(header::CONTENT_TYPE, "application/json");
    }
    let body = body.map_or_else(Body::empty, |json| Body::from(json.to_string()));
    let request = request.body(body).map_err(|e| broken(&e))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(Body::new(response.into_body()), ANSWER_MAX)
            .await
            .map_err(|e| broken(&e))?;
        let json = serde_json::from_slice(&bytes).map_err(|e| broken(&e))?;
        Ok((status, json))
    };
    // The connection moves only while it is polled; it ends when the sender is dropped.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(broken(&error)),
        },
    }
}
