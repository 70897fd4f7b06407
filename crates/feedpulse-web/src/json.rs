//! The handlers of `/api/v1`: the same behind the `ui` listener and behind the admin socket.

use crate::api;
use crate::desk;
use crate::http::{problem, retry};
use crate::probes::probe_wire;
use crate::serve::Author;
use crate::source::{OperatorError, Source};
use axum::extract::{FromRef, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Form, Json};
use feedpulse_core::desk::RemarkText;
use feedpulse_core::effect::Change;
use feedpulse_core::input::OperatorAction;
use feedpulse_core::label::{LABEL_MAX, Label};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Longest mute in minutes: a week.
const MUTE_MAX: u32 = 7 * 24 * 60;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) source: Arc<dyn Source>,
    /// Whether somebody who asks is known, so that actions are taken.
    pub(crate) acts: bool,
}

/// Every route below `/api/v1`.
pub(crate) fn routes<S>() -> Vec<(&'static str, MethodRouter<S>)>
where
    S: Clone + Send + Sync + 'static,
    Api: FromRef<S>,
{
    vec![
        ("/api/v1/status", get(status)),
        ("/api/v1/feeds", get(feeds)),
        ("/api/v1/feeds/{id}", get(feed)),
        ("/api/v1/waypoints", get(waypoints)),
        ("/api/v1/probes", get(probes)),
        ("/api/v1/checks", get(versions)),
        ("/api/v1/checks/versions", get(versions)),
        ("/api/v1/incidents", get(incidents)),
        ("/api/v1/incidents/{id}", get(incident)),
        ("/api/v1/incidents/{id}/claim", post(claim)),
        ("/api/v1/incidents/{id}/release", post(release)),
        ("/api/v1/incidents/{id}/mute", post(mute)),
        ("/api/v1/incidents/{id}/unmute", post(unmute)),
        ("/api/v1/incidents/{id}/note", post(note)),
        ("/api/v1/incidents/{id}/confirm", post(confirm)),
        ("/api/v1/incidents/{id}/dismiss", post(dismiss)),
        ("/api/v1/shadow", get(shadow)),
        ("/api/v1/changes", post(changed)),
    ]
}

async fn status(State(api): State<Api>) -> Response {
    Json(api::status_wire(&*api.source)).into_response()
}

async fn feeds(State(api): State<Api>) -> Response {
    let view = api.source.view();
    Json(view.feeds.iter().map(|f| api::feed_wire(f, false)).collect::<Vec<_>>()).into_response()
}

async fn feed(State(api): State<Api>, Path(id): Path<String>) -> Response {
    let view = api.source.view();
    let feed = view.feeds.iter().find(|f| Ok(f.id.0) == id.parse());
    feed.map_or_else(|| missing("feed"), |f| Json(api::feed_wire(f, true)).into_response())
}

async fn waypoints(State(api): State<Api>) -> Response {
    let view = api.source.view();
    Json(view.waypoints.iter().map(api::waypoint_wire).collect::<Vec<_>>()).into_response()
}

async fn probes(State(api): State<Api>) -> Response {
    let (view, now) = (api.source.view(), api.source.about().now);
    Json(view.probes.iter().map(|p| probe_wire(p, now)).collect::<Vec<_>>()).into_response()
}

async fn versions(State(api): State<Api>) -> Response {
    Json(api.source.versions()).into_response()
}

async fn incidents(State(api): State<Api>) -> Response {
    let view = api.source.view();
    Json(view.incidents.iter().map(api::incident_wire).collect::<Vec<_>>()).into_response()
}

async fn incident(State(api): State<Api>, Path(id): Path<String>) -> Response {
    let view = api.source.view();
    let incident = view.incidents.iter().find(|i| Ok(i.id) == id.parse());
    incident.map_or_else(
        || missing("incident"),
        |i| Json(desk::incident_story(i, &view)).into_response(),
    )
}

async fn shadow(State(api): State<Api>) -> Response {
    Json(desk::shadow_wire(&api.source.view())).into_response()
}

fn missing(what: &str) -> Response {
    let error = format!("no {what} has this number");
    problem(StatusCode::NOT_FOUND, &error, "list them first; numbers change with a restart")
}

/// Who acts, as JSON or as a form: 1 to 31 characters, as the token's holder says (one token names
/// nobody). On the admin socket it may be left out: the process on the other side is known.
#[derive(Deserialize)]
struct By {
    by: Option<String>,
}

/// The name of who acts.
fn author(by: Option<&str>, known: Option<Label>) -> Result<Label, String> {
    let stated = by.map(str::trim).filter(|by| !by.is_empty());
    match (stated, known) {
        (None, Some(known)) => Ok(known),
        (by, _) => label("by", by.unwrap_or_default()),
    }
}

fn label(name: &str, text: &str) -> Result<Label, String> {
    let text = text.trim();
    let fits = (1..=LABEL_MAX).contains(&text.chars().count());
    if fits && !text.chars().any(char::is_control) {
        Ok(Label::from(text))
    } else {
        Err(format!("`{name}` must have 1 to {LABEL_MAX} characters"))
    }
}

async fn claim(State(api): State<Api>, Path(id): Path<String>, request: Request) -> Response {
    act(&api, &id, request, |incident, body: By, known| {
        let by = author(body.by.as_deref(), known)?;
        Ok(vec![OperatorAction::Claim { incident, by }])
    })
    .await
}

async fn release(State(api): State<Api>, Path(id): Path<String>, request: Request) -> Response {
    act(&api, &id, request, |incident, body: By, known| {
        let by = author(body.by.as_deref(), known)?;
        Ok(vec![OperatorAction::Release { incident, by }])
    })
    .await
}

/// Body of `POST /api/v1/incidents/{id}/mute`.
#[derive(Deserialize)]
struct Mute {
    /// From now, 1 to 10,080 (a week).
    minutes: u32,
}

async fn mute(State(api): State<Api>, Path(id): Path<String>, request: Request) -> Response {
    let now = api.source.about().now;
    act(&api, &id, request, |incident, mute: Mute, _| {
        if !(1..=MUTE_MAX).contains(&mute.minutes) {
            return Err(format!("`minutes` must be 1 to {MUTE_MAX}"));
        }
        let until = api::mute_until(now, mute.minutes);
        Ok(vec![OperatorAction::Mute { incident, until }])
    })
    .await
}

/// Body of an action that says nothing else.
#[derive(Deserialize)]
struct Nothing {}

async fn unmute(State(api): State<Api>, Path(id): Path<String>, request: Request) -> Response {
    act(&api, &id, request, |incident, _: Nothing, _| Ok(vec![OperatorAction::Unmute { incident }]))
        .await
}

/// Body of `POST /api/v1/incidents/{id}/note`.
#[derive(Deserialize)]
struct Note {
    by: Option<String>,
    /// 1 to 280 characters.
    text: String,
}

async fn note(State(api): State<Api>, Path(id): Path<String>, request: Request) -> Response {
    act(&api, &id, request, |incident, note: Note, known| {
        let by = author(note.by.as_deref(), known)?;
        let text = RemarkText::new(&note.text).map_err(|e| e.to_string())?;
        Ok(vec![OperatorAction::Remark { incident, by, text }])
    })
    .await
}

/// Body of `POST /api/v1/incidents/{id}/confirm` and `…/dismiss`.
#[derive(Deserialize)]
struct Verdict {
    by: Option<String>,
    /// Why, kept as a note; may be empty.
    why: Option<String>,
}

impl Verdict {
    fn actions(
        &self,
        incident: u64,
        right: bool,
        known: Option<Label>,
    ) -> Result<Vec<OperatorAction>, String> {
        let by = author(self.by.as_deref(), known)?;
        let mut actions = vec![OperatorAction::Judge { incident, right, by }];
        if let Some(why) = self.why.as_deref().filter(|why| !why.trim().is_empty()) {
            let text = RemarkText::new(why).map_err(|e| e.to_string())?;
            actions.push(OperatorAction::Remark { incident, by, text });
        }
        Ok(actions)
    }
}

async fn confirm(State(api): State<Api>, Path(id): Path<String>, request: Request) -> Response {
    act(&api, &id, request, |incident, verdict: Verdict, known| {
        verdict.actions(incident, true, known)
    })
    .await
}

async fn dismiss(State(api): State<Api>, Path(id): Path<String>, request: Request) -> Response {
    act(&api, &id, request, |incident, verdict: Verdict, known| {
        verdict.actions(incident, false, known)
    })
    .await
}

/// Body of `POST /api/v1/changes`: something was changed around the stream just now.
#[derive(Deserialize)]
struct Changed {
    /// What kind: `deploy`, `config`, `certificate`, …
    kind: String,
    /// What was changed, 1 to 31 characters: a name and a version, and nobody's data.
    what: String,
}

async fn changed(State(api): State<Api>, request: Request) -> Response {
    let at = api.source.about().now;
    hand_over(&api, "/", request, |changed: Changed, _| {
        let (kind, what) = (label("kind", &changed.kind)?, label("what", &changed.what)?);
        Ok(vec![OperatorAction::Changed(Change { at, kind, what })])
    })
    .await
}

/// As [`hand_over`], about an incident.
async fn act<T: DeserializeOwned>(
    api: &Api,
    id: &str,
    request: Request,
    make: impl FnOnce(u64, T, Option<Label>) -> Result<Vec<OperatorAction>, String>,
) -> Response {
    let Ok(incident) = id.parse::<u64>() else { return missing("incident") };
    let page = format!("/incidents/{incident}");
    hand_over(api, &page, request, |body, known| make(incident, body, known)).await
}

/// Reads a body, makes the actions, hands them over. A form gets a page back, JSON 202.
async fn hand_over<T: DeserializeOwned>(
    api: &Api,
    page: &str,
    request: Request,
    make: impl FnOnce(T, Option<Label>) -> Result<Vec<OperatorAction>, String>,
) -> Response {
    if !api.acts {
        let hint = "set ui.token: without one nobody is known here; or use the command line";
        return problem(StatusCode::FORBIDDEN, "actions need a token", hint);
    }
    let known = request.extensions().get::<Author>().map(|author| author.0);
    let (body, is_form) = match read::<T>(request).await {
        Ok(read) => read,
        Err(error) => {
            return problem(StatusCode::BAD_REQUEST, &error, "see the JSON's description");
        }
    };
    let actions = match make(body, known) {
        Ok(actions) => actions,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error, "correct it and send again"),
    };
    for action in actions {
        if let Err(error) = api.source.operator(action) {
            return refused(error);
        }
    }
    if is_form {
        return Redirect::to(page).into_response();
    }
    (StatusCode::ACCEPTED, Json(serde_json::json!({ "accepted": true }))).into_response()
}

fn refused(error: OperatorError) -> Response {
    let text = error.to_string();
    match error {
        OperatorError::NoSuchIncident => {
            problem(StatusCode::NOT_FOUND, &text, "list them: `/api/v1/incidents`")
        }
        OperatorError::Full => problem(StatusCode::CONFLICT, &text, "write it down elsewhere"),
        OperatorError::Busy => retry(StatusCode::SERVICE_UNAVAILABLE, &text, "send it again", 1),
    }
}

/// A body as JSON or as a form, and which it was.
async fn read<T: DeserializeOwned>(request: Request) -> Result<(T, bool), String> {
    use axum::extract::FromRequest as _;
    if is_form(request.headers()) {
        let form = Form::<T>::from_request(request, &()).await;
        return form.map(|Form(body)| (body, true)).map_err(|e| e.body_text());
    }
    let json = Json::<T>::from_request(request, &()).await;
    json.map(|Json(body)| (body, false)).map_err(|e| e.body_text())
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    kind.is_some_and(|v| v.starts_with("application/x-www-form-urlencoded"))
}
