//! The `ui` listener: pages and `/api/v1`. Every route is in one table, behind one guard.

use crate::api;
use crate::auth::{COOKIE, Denied, Guard, SESSION, peer, same_origin};
use crate::config::UiConfig;
use crate::http::{html, problem, retry, wants_html};
use crate::pages::{self, Reading};
use crate::source::{OperatorError, Source};
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Form, Json, Router};
use feedpulse_core::effect::Change;
use feedpulse_core::input::OperatorAction;
use feedpulse_core::label::Label;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;

const STYLE: &str = include_str!("../assets/style.css");
/// Largest body of a form or an action.
const BODY_MAX: usize = 8 * 1024;
/// Longest mute: a week.
const MUTE_MAX: u32 = 7 * 24 * 60;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Ui {
    source: Arc<dyn Source>,
    guard: Arc<Guard>,
}

/// Every route of the listener; the test of the guard walks the same table.
pub(crate) fn routes() -> Vec<(&'static str, MethodRouter<Ui>)> {
    vec![
        ("/", get(overview)),
        ("/feeds/{id}", get(feed)),
        ("/incidents/{id}", get(incident)),
        ("/codes/{code}", get(code)),
        ("/style.css", get(style)),
        ("/login", get(async || Redirect::to("/")).post(login)),
        ("/logout", post(logout)),
        ("/api/v1/status", get(api_status)),
        ("/api/v1/feeds", get(api_feeds)),
        ("/api/v1/feeds/{id}", get(api_feed)),
        ("/api/v1/waypoints", get(api_waypoints)),
        ("/api/v1/incidents", get(api_incidents)),
        ("/api/v1/incidents/{id}", get(api_incident)),
        ("/api/v1/incidents/{id}/claim", post(claim)),
        ("/api/v1/incidents/{id}/mute", post(mute)),
        ("/api/v1/changes", post(changed)),
    ]
}

/// The router of `ui`. `local` is the address that the listener really has (`local_addr()`), so
/// that a port chosen by the system is known to the Host check.
pub fn ui(config: &UiConfig, local: SocketAddr, source: Arc<dyn Source>) -> Router {
    let guard = Guard::new(config.token.clone(), config.key, local.port(), &config.hosts);
    let ui = Ui { source, guard: Arc::new(guard) };
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods);
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(async || {
            let hint = "pages and JSON are read with GET; actions are POST";
            problem(StatusCode::METHOD_NOT_ALLOWED, "this method is not answered here", hint)
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::middleware::from_fn_with_state(ui.clone(), guarded))
        .layer(axum::middleware::from_fn(crate::http::secure))
        .with_state(ui)
}

/// Nothing passes without a credential but the login form's own POST, which brings one.
async fn guarded(State(ui): State<Ui>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let logs_in = ui.guard.has_token()
        && parts.method == axum::http::Method::POST
        && parts.uri.path() == "/login";
    if !parts.method.is_safe() && !same_origin(&parts.headers) {
        let hint = "send it from a page of this listener, or without an Origin header";
        return problem(StatusCode::FORBIDDEN, "this comes from another origin", hint);
    }
    if !logs_in && let Err(denied) = ui.guard.check(&parts, ui.source.about().now) {
        return ui.deny(denied, &parts);
    }
    next.run(Request::from_parts(parts, body)).await
}

impl Ui {
    fn reading(&self) -> Reading {
        Reading::new(&*self.source, self.guard.has_token())
    }

    fn deny(&self, denied: Denied, parts: &Parts) -> Response {
        let shows_form = matches!(denied, Denied::NoCredential | Denied::Wrong | Denied::TooMany);
        if !(shows_form && wants_html(parts)) {
            return denied.response();
        }
        let error = match denied {
            Denied::Wrong => "This is not the token.",
            Denied::TooMany => "Too many wrong tokens came from this address. Wait a minute.",
            Denied::NoCredential | Denied::Host => "",
        };
        let nonce = format!("{:032x}", self.guard.nonce(self.source.about().now));
        let Ok(page) = pages::login(&nonce, error) else { return denied.response() };
        let mut response = html(StatusCode::UNAUTHORIZED, page);
        *response.status_mut() = denied.response().status();
        for (name, value) in &denied.response().headers().clone() {
            if name != header::CONTENT_TYPE {
                response.headers_mut().insert(name, value.clone());
            }
        }
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        if let Ok(policy) = HeaderValue::try_from(policy) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    fn page(&self, page: Option<askama::Result<String>>, what: &str) -> Response {
        match page {
            Some(Ok(page)) => html(StatusCode::OK, page),
            Some(Err(_)) => problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page could not be rendered",
                "the JSON under /api/v1 has the same numbers; please report this",
            ),
            None => {
                let title = format!("{what} is not here");
                let hint = "It may be from before a restart, or too old; the overview links to all \
                            that is known.";
                match pages::problem(&self.reading(), &title, hint) {
                    Ok(page) => html(StatusCode::NOT_FOUND, page),
                    Err(_) => problem(StatusCode::NOT_FOUND, &title, hint),
                }
            }
        }
    }
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

#[derive(Deserialize)]
struct PageQuery {
    #[serde(default)]
    page: usize,
}

async fn overview(
    State(ui): State<Ui>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Response {
    let page = query.map_or(0, |Query(query)| query.page);
    ui.page(Some(pages::overview(&ui.reading(), page)), "This page")
}

async fn feed(State(ui): State<Ui>, Path(id): Path<String>) -> Response {
    let page = id.parse().ok().and_then(|id| pages::feed(&ui.reading(), id));
    ui.page(page, "This feed")
}

async fn incident(State(ui): State<Ui>, Path(id): Path<String>) -> Response {
    let page = id.parse().ok().and_then(|id| pages::incident(&ui.reading(), id));
    ui.page(page, "This incident")
}

async fn code(State(ui): State<Ui>, Path(code): Path<String>) -> Response {
    ui.page(pages::code(&ui.reading(), &code), "This code")
}

async fn not_found(State(ui): State<Ui>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if wants_html(&parts) {
        return ui.page(None, "This page");
    }
    problem(StatusCode::NOT_FOUND, "nothing is here", "see /api/v1/status, /api/v1/feeds")
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

async fn login(State(ui): State<Ui>, request: Request) -> Response {
    use axum::extract::FromRequest as _;
    let (parts, body) = request.into_parts();
    if !ui.guard.has_token() {
        return Redirect::to("/").into_response();
    }
    let form = Form::<Login>::from_request(Request::from_parts(parts.clone(), body), &ui).await;
    let checked = match &form {
        Ok(Form(login)) => ui.guard.check_token(login.token.trim().as_bytes(), peer(&parts)),
        Err(_) => Err(Denied::NoCredential),
    };
    if let Err(denied) = checked {
        return ui.deny(denied, &parts);
    }
    let value = ui.guard.session(ui.source.about().now);
    let age = SESSION.as_secs();
    let cookie = format!("{COOKIE}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict");
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

async fn logout() -> Response {
    let cookie = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

async fn api_status(State(ui): State<Ui>) -> Response {
    Json(api::status_wire(&*ui.source)).into_response()
}

async fn api_feeds(State(ui): State<Ui>) -> Response {
    let view = ui.source.view();
    Json(view.feeds.iter().map(|f| api::feed_wire(f, false)).collect::<Vec<_>>()).into_response()
}

async fn api_feed(State(ui): State<Ui>, Path(id): Path<String>) -> Response {
    let view = ui.source.view();
    let feed = view.feeds.iter().find(|f| Ok(f.id.0) == id.parse());
    feed.map_or_else(|| missing("feed"), |f| Json(api::feed_wire(f, true)).into_response())
}

async fn api_waypoints(State(ui): State<Ui>) -> Response {
    let view = ui.source.view();
    Json(view.waypoints.iter().map(api::waypoint_wire).collect::<Vec<_>>()).into_response()
}

async fn api_incidents(State(ui): State<Ui>) -> Response {
    let view = ui.source.view();
    Json(view.incidents.iter().map(api::incident_wire).collect::<Vec<_>>()).into_response()
}

async fn api_incident(State(ui): State<Ui>, Path(id): Path<String>) -> Response {
    let view = ui.source.view();
    let incident = view.incidents.iter().find(|i| Ok(i.id) == id.parse());
    incident.map_or_else(|| missing("incident"), |i| Json(api::incident_wire(i)).into_response())
}

fn missing(what: &str) -> Response {
    let error = format!("no {what} has this number");
    problem(StatusCode::NOT_FOUND, &error, "list them first; numbers change with a restart")
}

/// Body of `POST /api/v1/incidents/{id}/claim`, as JSON or as a form.
#[derive(Deserialize)]
struct Claim {
    /// Who takes it, 1 to 31 characters, as the token's holder says: one token names nobody.
    by: String,
}

async fn claim(State(ui): State<Ui>, Path(id): Path<String>, request: Request) -> Response {
    act(&ui, &id, request, |incident, claim: Claim| {
        let by = claim.by.trim();
        let length = by.chars().count();
        if !(1..=31).contains(&length) || by.chars().any(char::is_control) {
            return Err("`by` must be a name of 1 to 31 characters".to_owned());
        }
        Ok(OperatorAction::Claim { incident, by: Label::from(by) })
    })
    .await
}

/// Body of `POST /api/v1/incidents/{id}/mute`, as JSON or as a form.
#[derive(Deserialize)]
struct Mute {
    /// From now, 1 to 10,080 (a week).
    minutes: u32,
}

async fn mute(State(ui): State<Ui>, Path(id): Path<String>, request: Request) -> Response {
    let now = ui.source.about().now;
    act(&ui, &id, request, |incident, mute: Mute| {
        if !(1..=MUTE_MAX).contains(&mute.minutes) {
            return Err(format!("`minutes` must be 1 to {MUTE_MAX}"));
        }
        let until = api::mute_until(now, mute.minutes);
        Ok(OperatorAction::Mute { incident, until })
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

async fn changed(State(ui): State<Ui>, request: Request) -> Response {
    let at = ui.source.about().now;
    hand_over(&ui, "/", request, |changed: Changed| {
        let label = |name: &str, text: &str| {
            let text = text.trim();
            let fits = (1..=31).contains(&text.len()) && !text.chars().any(char::is_control);
            if fits {
                Ok(Label::from(text))
            } else {
                Err(format!("`{name}` must have 1 to 31 characters"))
            }
        };
        let (kind, what) = (label("kind", &changed.kind)?, label("what", &changed.what)?);
        Ok(OperatorAction::Changed(Change { at, kind, what }))
    })
    .await
}

/// As [`hand_over`], about an incident.
async fn act<T: serde::de::DeserializeOwned>(
    ui: &Ui,
    id: &str,
    request: Request,
    make: impl FnOnce(u64, T) -> Result<OperatorAction, String>,
) -> Response {
    let Ok(incident) = id.parse::<u64>() else { return missing("incident") };
    let page = format!("/incidents/{incident}");
    hand_over(ui, &page, request, |body| make(incident, body)).await
}

/// Reads a body, makes the action, hands it over. A form gets a page back, JSON 202.
async fn hand_over<T: serde::de::DeserializeOwned>(
    ui: &Ui,
    page: &str,
    request: Request,
    make: impl FnOnce(T) -> Result<OperatorAction, String>,
) -> Response {
    if !ui.guard.has_token() {
        let hint = "set ui.token: without one nobody is known here";
        return problem(StatusCode::FORBIDDEN, "actions need a token", hint);
    }
    let (body, is_form) = match read::<T>(request).await {
        Ok(read) => read,
        Err(error) => {
            return problem(StatusCode::BAD_REQUEST, &error, "see the JSON's description");
        }
    };
    let action = match make(body) {
        Ok(action) => action,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error, "correct it and send again"),
    };
    match ui.source.operator(action) {
        Ok(()) if is_form => Redirect::to(page).into_response(),
        Ok(()) => {
            (StatusCode::ACCEPTED, Json(serde_json::json!({ "accepted": true }))).into_response()
        }
        Err(error @ OperatorError::NoSuchIncident) => {
            problem(StatusCode::NOT_FOUND, &error.to_string(), "list the incidents again")
        }
        Err(error @ OperatorError::Busy) => {
            retry(StatusCode::SERVICE_UNAVAILABLE, &error.to_string(), "send it again", 1)
        }
    }
}

/// A body as JSON or as a form, and which it was.
async fn read<T: serde::de::DeserializeOwned>(request: Request) -> Result<(T, bool), String> {
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
