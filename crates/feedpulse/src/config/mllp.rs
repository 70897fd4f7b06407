//! Resolving the MLLP proxy: what the wire is told. Its own check has the last word, so that the
//! file, `feedpulse wire --listen` and the chart's listeners are one thing.

use super::raw_mllp::{RawMllpListener, RawProxyVersion, RawUpstreamDown};
use super::resolve::{Mllp, Resolver};
use feedpulse_wire::{
    ListenerConfig, OnUpstreamDown, ProxyVersion, ReceiverTls, SenderTls, WireConfig,
};
use std::path::Path;
use std::time::Duration;

/// The most connections that a limit allows.
const MAX_CONNECTIONS: usize = 1_000_000;
/// The most KiB that the wire may hold: 64 GiB.
const MAX_BUFFERS_KIB: u64 = 64 << 20;

impl Resolver<'_> {
    pub(super) fn mllp(&mut self, folder: &Path) -> Option<Mllp> {
        let raw = self.raw.mllp.as_ref()?;
        if raw.listeners.is_empty() {
            self.wrong("mllp/listeners", "no listener", "add one: {waypoint, listen, forward}");
        }
        let kib = raw.ring_kib.unwrap_or(16_384);
        if !kib.is_power_of_two() || !(64..=1_048_576).contains(&kib) {
            self.wrong("mllp/ring_kib", "not a power of two from 64 to 1048576", "such as 16384");
        }
        let mut waypoints = Vec::new();
        let mut listeners = Vec::new();
        for (n, listener) in raw.listeners.iter().enumerate() {
            let path = format!("mllp/listeners/{n}");
            waypoints.push(self.waypoint(&format!("{path}/waypoint"), &listener.waypoint));
            listeners.push(self.mllp_listener(&path, listener));
        }
        let socket =
            raw.socket.clone().map_or_else(|| folder.join("wire").join("wire.sock"), Into::into);
        let mut wire = WireConfig::new(socket, listeners);
        wire.ring_bytes = usize::try_from(kib << 10).unwrap_or(16 << 20);
        wire.drain = self.time("mllp/drain", raw.drain.as_ref(), wire.drain);
        if wire.drain > Duration::from_secs(86_400) {
            self.wrong("mllp/drain", "longer than 24 hours", "such as 25s");
        }
        wire.max_connections =
            self.connections("mllp/max_connections", raw.max_connections, wire.max_connections);
        if let Some(kib) = raw.buffers_kib {
            if kib > MAX_BUFFERS_KIB {
                self.wrong("mllp/buffers_kib", "more than 64 GiB", "such as 16384");
            }
            wire.buffer_bytes = kib.min(MAX_BUFFERS_KIB) << 10;
        }
        Some(Mllp { wire, start: raw.start_wire.unwrap_or(true), waypoints })
    }

    fn mllp_listener(&mut self, path: &str, raw: &RawMllpListener) -> ListenerConfig {
        let listen = self.address(&format!("{path}/listen"), &raw.listen);
        let port = raw.forward.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            self.wrong(
                &format!("{path}/forward"),
                "not a host and port",
                "such as portal.example:6661",
            );
        }
        let mut wire = ListenerConfig::new(&raw.waypoint, listen, &raw.forward);
        if raw.on_upstream_down == RawUpstreamDown::CloseListener {
            wire.on_upstream_down = OnUpstreamDown::CloseListener;
        }
        let limit = format!("{path}/max_connections");
        wire.max_connections = self.connections(&limit, raw.max_connections, wire.max_connections);
        let (connect, idle) = (format!("{path}/connect_timeout"), format!("{path}/idle_after"));
        let (timeout, after) = (raw.connect_timeout.as_ref(), raw.idle_after.as_ref());
        wire.connect_timeout = self.time(&connect, timeout, wire.connect_timeout);
        wire.idle_after = self.time(&idle, after, wire.idle_after);
        wire.accept_proxy = raw.accept_proxy;
        wire.send_proxy = raw.send_proxy.map(|version| match version {
            RawProxyVersion::V1 => ProxyVersion::V1,
            RawProxyVersion::V2 => ProxyVersion::V2,
        });
        wire.tls = raw.tls.as_ref().map(|tls| SenderTls {
            cert: tls.cert.clone().into(),
            key: tls.key.clone().into(),
            client_ca: tls.client_ca.clone().map(Into::into),
        });
        wire.forward_tls = raw.forward_tls.as_ref().map(|tls| {
            if tls.cert.is_some() != tls.key.is_some() {
                let path = format!("{path}/forward_tls");
                self.wrong(&path, "cert and key go together", "state both, or none");
            }
            ReceiverTls {
                ca: tls.ca.clone().into(),
                identity: tls.cert.clone().map(Into::into).zip(tls.key.clone().map(Into::into)),
                server_name: tls.server_name.clone(),
            }
        });
        wire.plain = raw.plain;
        if port.is_some()
            && let Err(problem) = wire.check()
        {
            self.wrong(path, problem, "see docs/wire.md");
        }
        wire
    }

    fn connections(&mut self, path: &str, stated: Option<usize>, default: usize) -> usize {
        match stated {
            Some(limit @ 1..=MAX_CONNECTIONS) => limit,
            Some(_) => {
                self.wrong(path, "not a number from 1 to 1000000", "such as 1024");
                default
            }
            None => default,
        }
    }
}
