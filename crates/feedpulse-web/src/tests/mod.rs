//! Tests of the listeners: routers asked directly, and a few over real loopback sockets.

mod chart;
mod checks;
mod desk;
#[expect(unreachable_pub, reason = "the example `pages` uses it too")]
mod fixture;
mod guard;
mod ingest;
mod ops;
mod pages;
mod probes;
mod serve;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, header};
use feedpulse_core::key::SiteKey;
use feedpulse_web::{Source, Token, UiConfig, ui};
use http_body_util::BodyExt as _;
use std::net::SocketAddr;
use std::sync::Arc;
use tower::ServiceExt as _;

const TOKEN: &str = "correct-horse-battery";
const LOCAL: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8088);

fn key() -> SiteKey {
    SiteKey::new([7; 16])
}

fn ui_of(source: Arc<dyn Source>, token: Option<&str>) -> Router {
    let token = token.map(|t| Token::new(t).unwrap());
    ui(&UiConfig::new(LOCAL, token, key()).unwrap(), LOCAL, source)
}

/// A request with the Host that loopback accepts.
fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "localhost:8088")
}

async fn ask(router: &Router, request: Request<Body>) -> (Response<()>, String) {
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, ()), String::from_utf8(bytes.to_vec()).unwrap())
}

async fn get(router: &Router, path: &str) -> (u16, String) {
    let request = request("GET", path).body(Body::empty()).unwrap();
    let (response, body) = ask(router, request).await;
    (response.status().as_u16(), body)
}
