//! The few numbers of librdkafka's statistics that matter here (its STATISTICS.md).

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Stats {
    #[serde(default)]
    brokers: BTreeMap<String, Broker>,
    #[serde(default)]
    topics: BTreeMap<String, Topic>,
    cgrp: Option<Group>,
}

#[derive(Debug, Deserialize)]
struct Broker {
    nodeid: i64,
    state: String,
}

#[derive(Debug, Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: BTreeMap<String, Partition>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Partition {
    leader: i64,
    fetch_state: String,
    fetchq_cnt: i64,
    eof_offset: i64,
    lo_offset: i64,
    hi_offset: i64,
    ls_offset: i64,
}

#[derive(Debug, Deserialize)]
struct Group {
    state: String,
}

/// One partition that is being fetched from a broker that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fetching {
    /// First offset that exists, when known.
    pub(crate) low: Option<i64>,
    /// One behind the last offset that may be read, when known.
    pub(crate) high: Option<i64>,
    /// Where the end was last reached, when it was.
    pub(crate) end: Option<i64>,
    /// Nothing of it waits in memory.
    pub(crate) idle: bool,
}

impl Stats {
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// None while the partition is not fetched or its leader is not connected.
    pub(crate) fn fetching(&self, topic: &str, partition: i32) -> Option<Fetching> {
        let found = self.topics.get(topic)?.partitions.get(&partition.to_string())?;
        let up = self.brokers.values().any(|b| b.nodeid == found.leader && b.state == "UP");
        if found.fetch_state != "active" || !up {
            return None;
        }
        let known = |offset: i64| (offset >= 0).then_some(offset);
        Some(Fetching {
            low: known(found.lo_offset),
            high: known(found.ls_offset).or(known(found.hi_offset)),
            end: known(found.eof_offset),
            idle: found.fetchq_cnt == 0,
        })
    }

    pub(crate) fn any_broker_up(&self) -> bool {
        self.brokers.values().any(|broker| broker.state == "UP")
    }

    pub(crate) fn group_up(&self) -> bool {
        self.cgrp.as_ref().is_some_and(|group| group.state == "up")
    }
}
