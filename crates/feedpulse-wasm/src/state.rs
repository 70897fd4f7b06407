//! The small memory that a check has per feed. It lives in the host, so it outlives instances.
//!
//! What a call writes counts when the call succeeds: until then each change can be taken back, so
//! that the rows of a failed batch can be checked again as if nothing had happened.

use crate::limits::Limits;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// One stored value and when it was written.
#[derive(Clone)]
struct Entry {
    value: Box<str>,
    written: u64,
}

/// State of one feed.
#[derive(Default)]
pub(crate) struct FeedState {
    entries: HashMap<Box<str>, Entry>,
    /// Keys by the number of their last write: the first makes room first.
    by_age: BTreeMap<u64, Box<str>>,
    /// Bytes of all keys and values.
    bytes: usize,
    /// Number of the last write.
    writes: u64,
    /// What each changed key held before, in the order of changes since the last commit.
    undo: Vec<(Box<str>, Option<Entry>)>,
    /// Entries that made room since the last commit.
    evicted: u64,
}

/// Shows sizes only: what a check stores may come from messages.
impl fmt::Debug for FeedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedState")
            .field("keys", &self.entries.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl FeedState {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(|entry| &*entry.value)
    }

    /// Writes a value; the entries written longest ago make room.
    ///
    /// # Errors
    /// A sentence for the check's author when key or value are too long.
    pub(crate) fn set(&mut self, key: &str, value: &str, limits: &Limits) -> Result<(), String> {
        let (most_key, most_value) = (limits.state_key_bytes, limits.state_value_bytes);
        if key.len() > most_key
            || value.len() > most_value
            || key.len() + value.len() > limits.state_bytes
        {
            return Err(format!("a key has at most {most_key} bytes and a value {most_value}"));
        }
        self.remove(key);
        while self.entries.len() >= limits.state_keys.max(1)
            || self.bytes + key.len() + value.len() > limits.state_bytes
        {
            let Some(oldest) = self.by_age.values().next().cloned() else { break };
            self.remove(&oldest);
            self.evicted += 1;
        }
        self.writes += 1;
        if self.undo.last().is_none_or(|(last, _)| &**last != key) {
            self.undo.push((key.into(), None));
        }
        self.put(key.into(), Entry { value: value.into(), written: self.writes });
        Ok(())
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, key: &str) {
        if let Some((key, entry)) = self.take(key) {
            self.undo.push((key, Some(entry)));
        }
    }

    /// Keeps what was changed. Gives the number of entries that made room.
    pub(crate) fn commit(&mut self) -> u64 {
        self.undo.clear();
        std::mem::take(&mut self.evicted)
    }

    /// Takes back every change since the last commit.
    pub(crate) fn roll_back(&mut self) {
        self.evicted = 0;
        while let Some((key, before)) = self.undo.pop() {
            self.take(&key);
            if let Some(entry) = before {
                self.put(key, entry);
            }
        }
    }

    /// Number of keys and bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Adds an entry whose key is not there.
    fn put(&mut self, key: Box<str>, entry: Entry) {
        self.bytes += key.len() + entry.value.len();
        self.by_age.insert(entry.written, key.clone());
        self.entries.insert(key, entry);
    }

    /// Takes an entry out.
    fn take(&mut self, key: &str) -> Option<(Box<str>, Entry)> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.bytes -= key.len() + entry.value.len();
        self.by_age.remove(&entry.written);
        Some((key, entry))
    }
}

/// The states of all feeds of one worker.
#[derive(Debug, Default)]
pub(crate) struct States {
    feeds: HashMap<Box<str>, (FeedState, u64)>,
    uses: u64,
}

impl States {
    /// Takes a feed's state out for a call.
    pub(crate) fn take(&mut self, feed: &str) -> FeedState {
        self.feeds.get_mut(feed).map(|(state, _)| std::mem::take(state)).unwrap_or_default()
    }

    /// Puts it back. Gives the number of feeds that were forgotten to make room.
    pub(crate) fn put(&mut self, feed: &str, state: FeedState, most: usize) -> u64 {
        self.uses += 1;
        let now = self.uses;
        if let Some(slot) = self.feeds.get_mut(feed) {
            *slot = (state, now);
            return 0;
        }
        if state.size().0 == 0 {
            return 0;
        }
        let mut forgotten = 0;
        while self.feeds.len() >= most.max(1) {
            let oldest = self.feeds.iter().min_by_key(|(_, (_, used))| *used);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { break };
            self.feeds.remove(&name);
            forgotten += 1;
        }
        self.feeds.insert(feed.into(), (state, now));
        forgotten
    }

    /// Keys and bytes over all feeds.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sizes = self.feeds.values().map(|(state, _)| state.size());
        sizes.fold((0, 0), |(keys, bytes), (k, b)| (keys + k, bytes + b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(state: &FeedState) -> Vec<(String, String)> {
        let mut all: Vec<_> =
            state.entries.iter().map(|(k, e)| (k.to_string(), e.value.to_string())).collect();
        all.sort();
        assert_eq!(state.by_age.len(), all.len());
        assert_eq!(state.bytes, all.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>());
        all
    }

    #[test]
    fn what_was_written_longest_ago_makes_room() {
        let limits = Limits { state_keys: 3, ..Limits::default() };
        let mut state = FeedState::default();
        for key in ["a", "b", "c", "a", "d"] {
            state.set(key, "1", &limits).unwrap();
        }
        let keys: Vec<_> = all(&state).into_iter().map(|(k, _)| k).collect();
        assert_eq!(keys, ["a", "c", "d"], "a was written again, so b went");
        assert_eq!(state.commit(), 1);
    }

    #[test]
    fn bytes_are_bounded_and_long_values_refused() {
        let limits = Limits { state_bytes: 100, state_value_bytes: 60, ..Limits::default() };
        let mut state = FeedState::default();
        for key in ["a", "b", "c"] {
            state.set(key, &"x".repeat(40), &limits).unwrap();
        }
        assert_eq!(all(&state).len(), 2);
        assert!(state.set("a", &"x".repeat(61), &limits).is_err());
        assert!(state.set(&"k".repeat(200), "", &limits).is_err());
        assert_eq!(all(&state).len(), 2, "a refused write changes nothing");
    }

    #[test]
    fn a_failed_call_leaves_no_trace() {
        let limits = Limits { state_keys: 3, ..Limits::default() };
        let mut state = FeedState::default();
        for key in ["a", "b", "c"] {
            state.set(key, "1", &limits).unwrap();
        }
        state.commit();
        let before = all(&state);
        for key in ["d", "a", "a", "e", "b", "d"] {
            state.set(key, "2", &limits).unwrap();
        }
        state.remove("e");
        state.set("e", "3", &limits).unwrap();
        state.remove("none");
        state.roll_back();
        assert_eq!(all(&state), before);
        state.set("d", "4", &limits).unwrap();
        assert!(state.get("a").is_none(), "ages came back too: a is the oldest");
    }

    #[test]
    fn the_feed_used_longest_ago_is_forgotten() {
        let limits = Limits::default();
        let mut states = States::default();
        for feed in ["x", "y", "x", "z"] {
            let mut state = states.take(feed);
            state.set("k", feed, &limits).unwrap();
            state.commit();
            states.put(feed, state, 2);
        }
        assert_eq!(states.take("y").get("k"), None);
        assert_eq!(states.take("x").get("k"), Some("x"));
        assert_eq!(states.take("z").get("k"), Some("z"));
    }
}
