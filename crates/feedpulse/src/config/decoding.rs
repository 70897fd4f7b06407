//! Resolving how frames are read: zone, key rules, reasons, urgent types.

use super::raw::{RawKey, RawReason};
use super::resolve::Resolver;
use feedpulse_core::sighting::ReasonClass;
use feedpulse_hl7::decode::ReasonRules;
use feedpulse_hl7::facility::{FacilityError, FacilityPath};
use feedpulse_hl7::keys::KeyRule;
use feedpulse_hl7::path::{Path, TypeMatch};
use std::collections::BTreeMap;

impl From<RawReason> for ReasonClass {
    fn from(raw: RawReason) -> Self {
        match raw {
            RawReason::Structure => Self::Structure,
            RawReason::Unsupported => Self::Unsupported,
            RawReason::UnknownKey => Self::UnknownKey,
            RawReason::DuplicateKey => Self::DuplicateKey,
            RawReason::Locked => Self::Locked,
            RawReason::Internal => Self::Internal,
            RawReason::Unavailable => Self::Unavailable,
            RawReason::Other => Self::Other,
        }
    }
}

impl Resolver<'_> {
    pub(super) fn reasons(&mut self) -> ReasonRules {
        let rules = |from: &BTreeMap<String, RawReason>| {
            from.iter().map(|(text, class)| (text.clone(), (*class).into())).collect()
        };
        let raw = &self.raw.reasons;
        ReasonRules::new(rules(&raw.codes), rules(&raw.words)).unwrap_or_else(|error| {
            self.wrong("reasons", error.to_string(), "at most 256, each of 1 to 64 bytes");
            ReasonRules::default()
        })
    }

    pub(super) fn urgent_types(&mut self) -> Vec<TypeMatch> {
        let raw = self.raw;
        let mut types = Vec::new();
        for (n, text) in raw.urgent_types.iter().enumerate() {
            match text.parse() {
                Ok(kind) => types.push(kind),
                Err(_) => self.wrong(
                    &format!("urgent_types/{n}"),
                    "not a message type",
                    "such as ADT^A40",
                ),
            }
        }
        types
    }

    pub(super) fn facility(&mut self) -> Option<FacilityPath> {
        let text = self.raw.facility.as_ref()?;
        match text.parse() {
            Ok(path) => Some(path),
            Err(error) => {
                let error: FacilityError = error;
                let hint =
                    "a field of MSH, EVN-7, PV1-3, PV1-39, PV1-42, ORC-17, ORC-21 or a Z segment";
                self.wrong("facility", error.to_string(), hint);
                None
            }
        }
    }

    pub(super) fn zone(&mut self) -> Option<jiff::tz::TimeZone> {
        let name = self.raw.zone.as_ref()?;
        match jiff::tz::TimeZone::get(name) {
            Ok(zone) => Some(zone),
            Err(_) => {
                self.wrong(
                    "zone",
                    format!("no time zone is called {name:?}"),
                    "an IANA name such as Europe/Berlin",
                );
                None
            }
        }
    }

    pub(super) fn keys(&mut self) -> Vec<KeyRule> {
        let raw = self.raw;
        let mut keys = Vec::new();
        for (n, waypoint) in raw.waypoints.iter().enumerate() {
            let path = format!("waypoints/{n}/key_fields");
            keys.push(match waypoint.key {
                RawKey::ControlId => KeyRule::ControlId,
                RawKey::Preset => KeyRule::Preset,
                RawKey::EachOrder => KeyRule::EachOrder,
                RawKey::Fields => {
                    let mut fields = Vec::new();
                    for (i, text) in waypoint.key_fields.iter().enumerate() {
                        match text.parse::<Path>() {
                            Ok(field) => fields.push(field),
                            Err(error) => self.wrong(
                                &format!("{path}/{i}"),
                                error.to_string(),
                                "such as ORC-3 or PID-3.1",
                            ),
                        }
                    }
                    if fields.is_empty() {
                        self.wrong(&path, "no field", "name at least one, such as ORC-3");
                    }
                    KeyRule::Fields(fields)
                }
            });
            if waypoint.key != RawKey::Fields && !waypoint.key_fields.is_empty() {
                self.wrong(
                    &path,
                    "only used with `key: fields`",
                    "set `key: fields`, or remove it",
                );
            }
        }
        keys
    }
}
