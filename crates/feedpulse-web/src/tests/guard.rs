//! Who gets in: every route of the table, every kind of credential, the brake, the Host check.

use super::fixture::{Fixture, NOW, trouble};
use super::{TOKEN, ask, key, request, ui_of};
use crate::config::{ConfigError, IngestConfig, Token, UiConfig};
use crate::serve::Peer;
use crate::ui::routes;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use feedpulse_core::frame::WaypointId;
use std::time::Duration;

fn paths() -> Vec<String> {
    let mut paths: Vec<String> = routes()
        .iter()
        .map(|(path, _)| path.replace("{id}", "1").replace("{code}", "FP0101"))
        .collect();
    paths.push("/nothing/here".to_owned());
    paths
}

#[tokio::test]
async fn every_route_needs_a_credential() {
    let router = ui_of(Fixture::new(trouble()), Some(TOKEN));
    for path in paths() {
        for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS"] {
            for wrong in [None, Some("Basic Zm9vOmJhcg=="), Some("Bearer"), Some("bearer ")] {
                let mut request = request(method, &path).header(header::ACCEPT, "text/html");
                if let Some(value) = wrong {
                    request = request.header(header::AUTHORIZATION, value);
                }
                let cookie = "feedpulse_session=99999999999.00";
                let request = request.header(header::COOKIE, cookie).body(Body::empty()).unwrap();
                let peer = Peer {
                    addr: ([10, 0, u8::try_from(path.len()).unwrap(), 1], 1).into(),
                    connection: 1,
                };
                let mut request = request;
                // A wrong bearer counts as a failure, so each path comes from a peer of its own.
                request.extensions_mut().insert(peer);
                let (response, body) = ask(&router, request).await;
                let status = response.status();
                let braked = status == StatusCode::TOO_MANY_REQUESTS && wrong == Some("bearer ");
                assert!(status == StatusCode::UNAUTHORIZED || braked, "{method} {path}: {status}");
                assert!(!body.contains("lab-results") && !body.contains("St. Example"), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn bearer_and_session_open_every_page() {
    let router = ui_of(Fixture::new(trouble()), Some(TOKEN));
    let login = request("POST", "/login")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(format!("token={TOKEN}")))
        .unwrap();
    let (response, _) = ask(&router, login).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(TOKEN));
    let session = cookie.split(';').next().unwrap();
    for (name, value) in
        [(header::COOKIE, session.to_owned()), (header::AUTHORIZATION, format!("Bearer {TOKEN}"))]
    {
        for path in ["/", "/style.css", "/feeds/1", "/api/v1/status", "/api/v1/incidents/48213"] {
            let request = request("GET", path).header(&name, &value).body(Body::empty()).unwrap();
            let (response, _) = ask(&router, request).await;
            assert_eq!(response.status(), 200, "{path} by {name}");
            assert_eq!(response.headers()["x-frame-options"], "DENY");
            assert_eq!(response.headers()["cache-control"], "no-store");
            let policy = response.headers()["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
        }
    }
}

#[tokio::test]
async fn sessions_end_with_time_token_and_touch() {
    let session = |token: &str| {
        let guard = crate::auth::Guard::new(Some(Token::new(token).unwrap()), key(), 1, &[]);
        guard.session(NOW)
    };
    let holds = async |value: String, later: u64| {
        let mut fixture = Fixture::new(trouble());
        std::sync::Arc::get_mut(&mut fixture).unwrap().now = NOW.plus(Duration::from_secs(later));
        let request =
            request("GET", "/").header(header::COOKIE, format!("a=b; feedpulse_session={value}"));
        let (response, _) =
            ask(&ui_of(fixture, Some(TOKEN)), request.body(Body::empty()).unwrap()).await;
        response.status() == 200
    };
    let good = session(TOKEN);
    assert!(holds(good.clone(), 0).await);
    assert!(holds(good.clone(), 12 * 3_600 - 1).await);
    assert!(!holds(good.clone(), 12 * 3_600).await, "expired");
    assert!(!holds(session("another-token-of-length"), 0).await, "another token");
    let (ends, seal) = good.split_once('.').unwrap();
    let longer = ends.parse::<i64>().unwrap() - 1;
    assert!(!holds(format!("{longer}.{seal}"), 0).await, "another end");
    assert!(!holds(format!("{ends}.+{seal}"), 0).await, "another spelling");
}

#[tokio::test(start_paused = true)]
async fn guessing_is_braked_per_peer() {
    let router = ui_of(Fixture::new(trouble()), Some(TOKEN));
    let guess = async |ip: [u8; 4], token: &str| {
        let mut request = request("GET", "/api/v1/status")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(Peer { addr: (ip, 9).into(), connection: 1 });
        ask(&router, request).await.0.status().as_u16()
    };
    for _ in 0..10 {
        assert_eq!(guess([10, 0, 0, 1], "wrong-but-long-enough").await, 401);
    }
    assert_eq!(guess([10, 0, 0, 1], "wrong-but-long-enough").await, 429);
    assert_eq!(guess([10, 0, 0, 1], TOKEN).await, 429, "the brake holds for the right one too");
    assert_eq!(guess([10, 0, 0, 2], TOKEN).await, 200, "others are not touched");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(guess([10, 0, 0, 1], TOKEN).await, 200);
}

#[tokio::test]
async fn without_a_token_only_own_names_are_answered() {
    let router = ui_of(Fixture::new(trouble()), None);
    for (host, want) in [
        ("localhost:8088", 200),
        ("LOCALHOST:8088", 200),
        ("127.0.0.1:8088", 200),
        ("[::1]:8088", 200),
        ("localhost", 421),
        ("localhost:8089", 421),
        ("evil.example:8088", 421),
        ("127.0.0.1.evil.example:8088", 421),
        ("", 421),
    ] {
        let request = Request::get("/api/v1/status").header(header::HOST, host);
        let (response, _) = ask(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status().as_u16(), want, "{host}");
    }
}

#[tokio::test]
async fn actions_need_a_token_and_the_same_origin() {
    let fixture = Fixture::new(trouble());
    let act = async |token: Option<&str>, path: &str, kind: &str, body: &str, origin: &str| {
        let mut request = request("POST", path)
            .header(header::CONTENT_TYPE, kind)
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        if !origin.is_empty() {
            request = request.header(header::ORIGIN, origin);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        ask(&ui_of(fixture.clone(), token), request).await.0.status().as_u16()
    };
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let claim = "/api/v1/incidents/48213/claim";
    let mute = "/api/v1/incidents/48213/mute";
    let by = r#"{"by":"Ann"}"#;
    assert_eq!(act(None, claim, json, by, "").await, 403);
    assert_eq!(act(Some(TOKEN), claim, json, by, "http://evil.example").await, 403);
    assert_eq!(act(Some(TOKEN), claim, json, r#"{"by":""}"#, "").await, 400);
    assert_eq!(act(Some(TOKEN), claim, json, "{", "").await, 400);
    assert_eq!(act(Some(TOKEN), mute, json, r#"{"minutes":10081}"#, "").await, 400);
    assert_eq!(act(Some(TOKEN), "/api/v1/incidents/5/claim", json, by, "").await, 404);
    assert!(fixture.actions.lock().unwrap().is_empty());
    assert_eq!(act(Some(TOKEN), claim, json, by, "").await, 202);
    assert_eq!(act(Some(TOKEN), mute, form, "minutes=30", "http://localhost:8088").await, 303);
    let actions = format!("{:?}", fixture.actions.lock().unwrap());
    let until = NOW.plus(Duration::from_secs(1_800));
    assert!(actions.contains("Claim { incident: 48213, by: \"Ann\" }"), "{actions}");
    assert!(
        actions.contains(&format!("Mute {{ incident: 48213, until: {until:?} }}")),
        "{actions}"
    );
}

#[test]
fn a_post_from_another_page_is_told_apart() {
    for (site, origin, want) in [
        (None, None, true),
        (None, Some("http://localhost:8088"), true),
        (None, Some("http://localhost:9000"), false),
        (None, Some("null"), false),
        (Some("same-origin"), Some("null"), true),
        (Some("none"), None, true),
        (Some("same-site"), Some("http://localhost:8088"), false),
        (Some("cross-site"), None, false),
    ] {
        let mut request = request("POST", "/logout");
        for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(()).unwrap();
        assert_eq!(crate::auth::same_origin(request.headers()), want, "{site:?} {origin:?}");
    }
}

#[test]
fn settings_that_open_the_door_are_refused() {
    let open = "0.0.0.0:8088".parse().unwrap();
    let refused = UiConfig::new(open, None, key()).unwrap_err();
    assert_eq!(refused, ConfigError::TokenNeeded { listener: "ui", bind: open });
    assert!(refused.to_string().contains("0.0.0.0:8088"), "{refused}");
    assert!(refused.to_string().contains("ui.token"), "{refused}");
    for local in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(UiConfig::new(local.parse().unwrap(), None, key()).is_ok(), "{local}");
    }
    let token = Token::new("0123456789abcdef\n").unwrap();
    assert_eq!(format!("{token:?}"), "Token(…)");
    assert!(UiConfig::new(open, Some(token.clone()), key()).is_ok());
    for bad in ["", "short", "has a space inside it", "zero\u{e9}-not-ascii-at-all"] {
        assert!(matches!(Token::new(bad), Err(ConfigError::WeakToken { .. })), "{bad}");
    }
    let one = vec![("a".to_owned(), WaypointId(0))];
    let two = [one.clone(), one.clone()].concat();
    let ingest = |bind: &str, token, list| {
        IngestConfig::new(bind.parse().unwrap(), token, key(), list, vec![])
    };
    assert!(ingest("127.0.0.1:1", None, one.clone()).is_ok());
    assert!(ingest("10.0.0.1:1", None, one).is_err());
    assert!(ingest("10.0.0.1:1", Some(token), two).unwrap_err().to_string().contains("`a`"));
    assert!(ingest("127.0.0.1:1", None, vec![]).is_err());
}
