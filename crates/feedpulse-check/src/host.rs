//! The functions of the host. Natively [`crate::testing`] stands in for them.

/// State of this check for this feed, kept by the host: small, and it outlives traps.
///
/// Changes count when the call that made them succeeds. When it is full, what was written longest
/// ago makes room, so write again what must stay.
///
/// ```
/// use feedpulse_check::state;
///
/// assert_eq!(state::get("last"), None);
/// state::set("last", "F").unwrap();
/// assert_eq!(state::get("last").as_deref(), Some("F"));
/// state::remove("last");
/// ```
pub mod state {
    /// What was stored under the key.
    #[must_use]
    pub fn get(key: &str) -> Option<String> {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::feedpulse::check::state::get(key);
        #[cfg(not(target_arch = "wasm32"))]
        crate::testing::state_get(key)
    }

    /// Stores a value.
    ///
    /// # Errors
    /// The host's reason, when key or value are longer than its limits.
    pub fn set(key: &str, value: &str) -> Result<(), String> {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::feedpulse::check::state::set(key, value);
        #[cfg(not(target_arch = "wasm32"))]
        {
            crate::testing::state_set(key, value);
            Ok(())
        }
    }

    /// Forgets the key.
    pub fn remove(key: &str) {
        #[cfg(target_arch = "wasm32")]
        crate::bindings::feedpulse::check::state::remove(key);
        #[cfg(not(target_arch = "wasm32"))]
        crate::testing::state_remove(key);
    }
}

/// Lines for the operator, who sees their text only under the grant `free-text`.
///
/// ```
/// use feedpulse_check::{Level, log};
///
/// log::write(Level::Info, "settings read: 3 rules");
/// ```
pub mod log {
    use crate::Level;

    /// Writes one line. Natively it goes to standard error.
    pub fn write(level: Level, text: &str) {
        #[cfg(target_arch = "wasm32")]
        crate::bindings::feedpulse::check::log::write(level.into(), text);
        #[cfg(not(target_arch = "wasm32"))]
        eprintln!("{level:?}: {text}");
    }
}

/// Reads beyond the declared fields.
pub(crate) mod message {
    /// One field of a row by path.
    pub(crate) fn get(row: u32, path: &str) -> Option<String> {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::feedpulse::check::message::get(row, path);
        #[cfg(not(target_arch = "wasm32"))]
        {
            let _ = (row, path);
            None
        }
    }

    /// The whole message of a row.
    pub(crate) fn raw(row: u32) -> Option<String> {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::feedpulse::check::message::raw(row);
        #[cfg(not(target_arch = "wasm32"))]
        {
            let _ = row;
            None
        }
    }
}
