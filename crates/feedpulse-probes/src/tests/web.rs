//! Pages, numbers, states.

use super::{failed, found, look, numbers, page, pages};
use crate::{Access, Expected, Numeric, ProxyConfig, Secret, Source, Web, What};
use feedpulse_core::codes::Code;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn web(url: String) -> Web {
    Web {
        url: Secret::new(url),
        access: Access::default(),
        status: (200, 299),
        contains: None,
        pointer: None,
    }
}

#[tokio::test]
async fn a_page_is_judged_by_status_text_and_value() {
    let (address, _) = pages(|head| match head.split(' ').nth(1) {
        Some("/ok") => page("200 OK", r#"{"status": "UP", "n": 3}"#),
        Some("/moved") => {
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
                .to_owned()
        }
        _ => page("503 Service Unavailable", "later"),
    })
    .await;
    let url = |path: &str| format!("http://{address}{path}");
    let plain = |path: &str| What::Web(Box::new(web(url(path))));
    assert_eq!(failed(&look(plain("/ok")).await), None);
    assert_eq!(failed(&look(plain("/down")).await).as_deref(), Some("http-503"));
    assert_eq!(failed(&look(plain("/moved")).await).as_deref(), Some("http-302"), "not followed");
    let with = |contains: Option<&str>, pointer: Option<(&str, Option<&str>)>| {
        What::Web(Box::new(Web {
            contains: contains.map(str::to_owned),
            pointer: pointer.map(|(p, v)| (p.to_owned(), v.map(str::to_owned))),
            ..web(url("/ok"))
        }))
    };
    for (what, expected) in [
        (with(Some("UP"), None), None),
        (with(Some("DOWN"), None), Some("text missing")),
        (with(None, Some(("/status", Some("UP")))), None),
        (with(None, Some(("/n", Some("3")))), None),
        (with(None, Some(("/status", Some("DOWN")))), Some("value differs")),
        (with(None, Some(("/else", None))), Some("value missing")),
    ] {
        assert_eq!(failed(&look(what).await).as_deref(), expected);
    }
}

#[tokio::test]
async fn a_page_that_comes_back_is_good_again() {
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let (address, _) = pages(move |_| match is_down.load(Ordering::Relaxed) {
        true => page("503 Service Unavailable", ""),
        false => page("200 OK", ""),
    })
    .await;
    let url = format!("http://{address}/health");
    assert_eq!(
        failed(&look(What::Web(Box::new(web(url.clone())))).await).as_deref(),
        Some("http-503")
    );
    down.store(false, Ordering::Relaxed);
    assert_eq!(failed(&look(What::Web(Box::new(web(url)))).await), None);
}

#[tokio::test]
async fn credentials_and_headers_go_to_the_stated_server_by_the_stated_proxy() {
    // A proxy gets the whole address of a plain request (RFC 9112 §3.2.2).
    let (proxy, asked) = pages(|_| page("200 OK", "")).await;
    let access = Access {
        proxy: Some(ProxyConfig::from_secret(Secret::new(format!("http://me:word@{proxy}")))),
        bearer: Some(Secret::new("token-of-the-engine")),
        headers: vec![("X-Requested-With".to_owned(), Secret::new("feedpulse"))],
        ..Access::default()
    };
    let what = Web { access, ..web("http://engine.invalid:8443/api".to_owned()) };
    assert_eq!(failed(&look(What::Web(Box::new(what))).await), None);
    let head = asked.lock().unwrap().concat().to_ascii_lowercase();
    assert!(head.starts_with("get http://engine.invalid:8443/api http/1.1\r\n"), "{head}");
    for line in [
        "authorization: bearer token-of-the-engine\r\n",
        "x-requested-with: feedpulse\r\n",
        "proxy-authorization: basic bwu6d29yza==\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
}

fn numeric(url: String, source: Source, expected: Expected) -> What {
    let (url, access) = (Secret::new(url), Access::default());
    What::Numeric(Box::new(Numeric { url, access, source, expected }))
}

#[tokio::test]
async fn numbers_come_from_metrics_and_json() {
    let (address, _) = pages(|head| match head.split(' ').nth(1) {
        Some("/metrics") => page(
            "200 OK",
            "# TYPE queue gauge\nqueue{channel=\"adt\"} 3\nqueue{channel=\"oru\"} 40\nqueue{channel=\"oru\",dir=\"in\"} 2\n",
        ),
        Some("/stats") => page("200 OK", r#"{"queues": [{"name": "adt", "depth": 3}, {"name": "oru", "depth": "40"}]}"#),
        _ => page("401 Unauthorized", ""),
    })
    .await;
    let metric = |part: Option<&str>| Source::Metric {
        name: "queue".to_owned(),
        labels: Vec::new(),
        part: part.map(str::to_owned),
    };
    let url = |path: &str| format!("http://{address}{path}");
    let pair = |name: &str, value| (name.to_owned(), value);
    let seen = look(numeric(url("/metrics"), metric(None), Expected::Number)).await;
    assert_eq!((failed(&seen), numbers(&seen)), (None, vec![pair("", 45.0)]));
    let seen = look(numeric(url("/metrics"), metric(Some("channel")), Expected::Number)).await;
    assert_eq!(numbers(&seen), [pair("adt", 3.0), pair("oru", 42.0)]);
    let json = Source::Json {
        each: Some("/queues".to_owned()),
        part: Some("/name".to_owned()),
        pointer: "/depth".to_owned(),
    };
    let seen = look(numeric(url("/stats"), json.clone(), Expected::Number)).await;
    assert_eq!(numbers(&seen), [pair("adt", 3.0), pair("oru", 40.0)]);
    let seen = look(numeric(url("/else"), json.clone(), Expected::Number)).await;
    assert_eq!(failed(&seen).as_deref(), Some("http-401"));
    let seen = look(numeric(url("/metrics"), json, Expected::Number)).await;
    assert_eq!(failed(&seen).as_deref(), Some("no JSON"));
}

#[tokio::test]
async fn the_state_of_each_channel_is_told() {
    let body = r#"{"list": {"dashboardStatus": [
        {"name": "adt", "state": "STARTED"}, {"name": "oru", "state": "PAUSED"}]}}"#;
    let (address, _) = pages(move |_| page("200 OK", body)).await;
    let source = Source::Json {
        each: Some("/list/dashboardStatus".to_owned()),
        part: Some("/name".to_owned()),
        pointer: "/state".to_owned(),
    };
    let expected = Expected::OneOf(vec!["STARTED".to_owned()]);
    let seen = look(numeric(format!("http://{address}/api"), source, expected)).await;
    assert_eq!(failed(&seen), None);
    let states = found(&seen, Code::PartStopped);
    assert_eq!(states, [("adt".to_owned(), None), ("oru".to_owned(), Some("PAUSED".to_owned()))]);
}
