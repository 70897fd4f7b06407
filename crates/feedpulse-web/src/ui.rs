//! The `ui` listener: pages and `/api/v1`. Every route is in one table, behind one guard.

use crate::auth::{COOKIE, Denied, Guard, SESSION, peer, same_origin};
use crate::config::UiConfig;
use crate::http::{html, problem, wants_html};
use crate::json::{self, Api};
use crate::pages::{self, Reading};
use crate::source::Source;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, FromRef, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Form, Router};
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;

const STYLE: &str = include_str!("../assets/style.css");
/// Largest body of a form or an action.
pub(crate) const BODY_MAX: usize = 8 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Ui {
    source: Arc<dyn Source>,
    guard: Arc<Guard>,
}

impl FromRef<Ui> for Api {
    fn from_ref(ui: &Ui) -> Self {
        Self { source: Arc::clone(&ui.source), acts: ui.guard.has_token() }
    }
}

/// Every route of the listener; the test of the guard walks the same table.
pub(crate) fn routes() -> Vec<(&'static str, MethodRouter<Ui>)> {
    let mut routes: Vec<(&'static str, MethodRouter<Ui>)> = vec![
        ("/", get(overview)),
        ("/feeds/{id}", get(feed)),
        ("/incidents/{id}", get(incident)),
        ("/shadow", get(shadow)),
        ("/probes", get(probes)),
        ("/checks", get(checks)),
        ("/codes/{code}", get(code)),
        ("/style.css", get(style)),
        ("/login", get(async || Redirect::to("/")).post(login)),
        ("/logout", post(logout)),
    ];
    routes.extend(json::routes());
    routes
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

async fn shadow(State(ui): State<Ui>) -> Response {
    ui.page(Some(pages::shadow(&ui.reading())), "This page")
}

async fn probes(State(ui): State<Ui>) -> Response {
    ui.page(Some(pages::probes(&ui.reading())), "This page")
}

async fn checks(State(ui): State<Ui>) -> Response {
    ui.page(Some(pages::checks(&ui.reading())), "This page")
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
