//! Resolving passive capture.

use super::raw_capture::{RawCapture, RawEndpoint};
use super::resolve::Resolver;
use feedpulse_taps::capture::live::{CaptureTapConfig, RING};
use feedpulse_taps::capture::{CONNECTIONS_MAX, Endpoints, HELD_ALL_MAX, Limits};

/// The tap's name.
const NAME: &str = "capture";
/// Most endpoints, and most names of interfaces: the kernel's filter holds them all.
const ENDPOINTS_MAX: usize = 512;
const INTERFACES_MAX: usize = 64;
/// Longest name of an interface (`IFNAMSIZ` and its end).
const NAME_MAX: usize = 15;

impl Resolver<'_> {
    pub(super) fn capture(&mut self) -> Option<CaptureTapConfig> {
        let raw = self.raw.capture.as_ref()?;
        let RawCapture { interfaces, endpoints, .. } = raw;
        if endpoints.is_empty() || endpoints.len() > ENDPOINTS_MAX {
            self.wrong("capture/endpoints", "1 to 512 are needed", "add one: {waypoint, port}");
        }
        if interfaces.len() > INTERFACES_MAX {
            self.wrong("capture/interfaces", "more than 64", "name none to look at all");
        }
        for (n, name) in interfaces.iter().enumerate() {
            if name.is_empty() || name.len() > NAME_MAX || name == "any" {
                let hint =
                    "one that `ip link` shows, such as eth0; without the list all are looked at";
                self.wrong(&format!("capture/interfaces/{n}"), "no interface's name", hint);
            }
        }
        let endpoints = endpoints.iter().enumerate().map(|(n, endpoint)| {
            let path = format!("capture/endpoints/{n}");
            let waypoint = self.waypoint(&format!("{path}/waypoint"), &endpoint.waypoint);
            (self.endpoint(&path, endpoint), waypoint)
        });
        let endpoints = endpoints.collect();
        let mib = 1_u64 << 20;
        let ring = self.size("ring_mib", raw.ring_mib, (1, 1_024), (RING as u64) / mib);
        let held = self.size("memory_mib", raw.memory_mib, (1, 4_096), (HELD_ALL_MAX as u64) / mib);
        let most = CONNECTIONS_MAX as u64;
        let connections = self.size("connections", raw.connections, (16, most), most);
        let bytes = |mib_count: u64| usize::try_from(mib_count * mib).unwrap_or(usize::MAX);
        Some(CaptureTapConfig {
            name: NAME.to_owned(),
            interfaces: interfaces.clone(),
            endpoints,
            ring: bytes(ring),
            limits: Limits {
                connections: usize::try_from(connections).unwrap_or(CONNECTIONS_MAX),
                held: bytes(held),
            },
        })
    }

    fn endpoint(&mut self, path: &str, raw: &RawEndpoint) -> Endpoints {
        if raw.port == 0 {
            self.wrong(&format!("{path}/port"), "0 is no port", "where the receiver listens");
        }
        let nets = self.peers(&format!("{path}/addresses"), &raw.addresses);
        Endpoints { port: raw.port, nets }
    }

    fn size(&mut self, name: &str, stated: Option<u64>, range: (u64, u64), default: u64) -> u64 {
        let size = stated.unwrap_or(default);
        if !(range.0..=range.1).contains(&size) {
            let (least, most) = range;
            self.wrong(
                &format!("capture/{name}"),
                format!("not from {least} to {most}"),
                format!("such as {default}, the default"),
            );
        }
        size
    }
}
