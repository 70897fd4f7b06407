//! Arguments: what is read, what is refused and why.

use std::time::Duration;

use crate::{OnUpstreamDown, WireConfig};

fn parse(line: &str) -> Result<WireConfig, String> {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    WireConfig::from_args(&args).map_err(|error| error.to_string())
}

#[test]
fn a_full_command_line_is_read_and_written_back() {
    let config = parse(
        "--socket /run/w/s --ring-bytes 1MiB --drain 10s \
         --listen adt=0.0.0.0:2575,forward=engine:2575,on_upstream_down=close_listener,\
         connect_timeout=500ms,idle_after=2m,max_connections=7 \
         --listen oru=[::]:2576,forward=[::1]:9 \
         --listen tls=[::]:2577,forward=h:9,accept_proxy=yes,send_proxy=v2,tls_cert=c,tls_key=k,\
         tls_client_ca=a,forward_tls_ca=b,forward_tls_cert=d,forward_tls_key=e,forward_tls_name=n \
         --listen half=[::]:2578,forward=h:9,send_proxy=v1,forward_tls_ca=b,plain=yes \
         --max-connections 9 --buffers 1MiB --take-over",
    )
    .unwrap();
    assert_eq!((config.ring_bytes, config.drain), (1 << 20, Duration::from_secs(10)));
    let adt = &config.listeners[0];
    assert_eq!((adt.name.as_str(), adt.forward.as_str()), ("adt", "engine:2575"));
    assert_eq!(adt.on_upstream_down, OnUpstreamDown::CloseListener);
    assert_eq!(adt.connect_timeout, Duration::from_millis(500));
    assert_eq!(adt.idle_after, Duration::from_secs(120));
    assert_eq!(adt.max_connections, 7);
    let oru = &config.listeners[1];
    assert!(oru.listen.is_ipv6());
    assert_eq!(oru.connect_timeout, Duration::from_millis(900));
    assert_eq!(oru.max_connections, 1024);
    assert_eq!((config.max_connections, config.buffer_bytes), (9, 1 << 20));
    assert!(config.take_over && config.listeners[3].plain && config.listeners[2].accept_proxy);
    assert_eq!(config.listeners[3].receiver_name(), "h");
    assert_eq!(WireConfig::from_args(&config.to_args()), Ok(config));
}

#[test]
fn each_fault_is_named() {
    let good = "--socket s --listen a=127.0.0.1:0,forward=h:1";
    assert!(parse(good).is_ok());
    for (line, text) in [
        ("", "--listen is missing"),
        ("--listen a=127.0.0.1:0,forward=h:1", "--socket is missing"),
        ("--socket", "--socket needs a value"),
        ("--socket a --socket b", "--socket is there twice"),
        ("--port 1", "unknown argument \"--port\""),
        ("--listen 127.0.0.1:0", "must start with NAME=ADDRESS:PORT"),
        ("--listen a=localhost,forward=h:1", "\"localhost\": not an address"),
        ("--listen a/b=127.0.0.1:0,forward=h:1", "\"a/b\": a name is"),
        ("--listen a=127.0.0.1:0", "needs forward=HOST:PORT"),
        ("--listen a=127.0.0.1:0,forward=h", "needs forward=HOST:PORT"),
        ("--listen a=127.0.0.1:0,forward=h:0", "needs forward=HOST:PORT"),
        ("--listen a=127.0.0.1:0,forward=h:1,forward=h:2", "there twice"),
        ("--listen a=127.0.0.1:0,forward=h:1,fast", "an option is KEY=VALUE"),
        ("--listen a=127.0.0.1:0,forward=h:1,fast=1", "an unknown option"),
        ("--listen a=127.0.0.1:0,forward=h:1,idle_after=5", "a time from 1ms"),
        ("--listen a=127.0.0.1:0,forward=h:1,idle_after=0s", "a time from 1ms"),
        ("--listen a=127.0.0.1:0,forward=h:1,max_connections=0", "connections from 1 to"),
        ("--listen a=127.0.0.1:0,forward=h:1,on_upstream_down=x", "either reset or"),
        ("--listen a=127.0.0.1:0,forward=::1:2", "stands in brackets"),
        ("--listen a=127.0.0.1:0,forward=h:1,accept_proxy=1", "either yes or no"),
        ("--listen a=127.0.0.1:0,forward=h:1,send_proxy=v3", "v1, v2 or no"),
        ("--listen a=127.0.0.1:0,forward=h:1,tls_cert=c", "both tls_cert and tls_key"),
        ("--listen a=127.0.0.1:0,forward=h:1,tls_cert=c,tls_key=k", "receiver's would be plain"),
        ("--listen a=127.0.0.1:0,forward=h:1,forward_tls_ca=c", "sender's would be plain"),
        ("--listen a=127.0.0.1:0,forward=h:1,forward_tls_name=n", "needs forward_tls_ca"),
        ("--listen a=127.0.0.1:0,forward=h:1,plain=yes", "with TLS on one side only"),
        ("--max-connections 0", "connections from 1 to"),
        ("--buffers 65GiB", "a size from 0 to 64GiB"),
        ("--ring-bytes 100000", "a power of two"),
        ("--ring-bytes 32KiB", "a power of two"),
        ("--drain 25h", "a time from 1ms to 24h"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.contains(text), "{line}: {error}");
    }
    let twice = parse(&format!("{good} --listen a=127.0.0.1:0,forward=h:1")).unwrap_err();
    assert!(twice.contains("its name is there twice"), "{twice}");
}
