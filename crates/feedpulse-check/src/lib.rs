//! The kit of a check author: write one function, name it in [`export!`], and the crate is a check.
//!
//! ```
//! use feedpulse_check::{Finding, Findings, Level, Row};
//!
//! fn check(row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
//!     // the path is one of `fields` in plugin.toml
//!     if row.at("PV1-3")?.is_empty() {
//!         out.push(Finding::new("room-missing", Level::Warning).at("PV1-3"));
//!     }
//!     Ok(())
//! }
//!
//! // at the end of src/lib.rs: feedpulse_check::export!(fn check);
//!
//! use feedpulse_check::testing::{Message, run_fn};
//!
//! let found = run_fn(check, &["PV1-3"], &[Message::new("ADT^A01").set("PV1-2", "I")]).unwrap();
//! assert_eq!(found[0].code, "room-missing");
//! ```
//!
//! A check with settings or with a memory of its own implements [`Check`]; one that notices what does
//! not come implements [`Tick`] as well.
//!
//! | to read | use |
//! |---|---|
//! | a field by its path | [`Row::at`], with `?` |
//! | fields by position, fastest | [`Row::fields`], [`Row::field`] |
//! | its occurrences, repetitions, single values | [`Field::occurrences`], [`Field::repetitions`], [`Field::values`] |
//! | components, the null `""`, escape sequences, numbers | [`Value`] |
//! | what was before | [`state`] |
//!
//! The crate-type must be `cdylib`. The contract (separators, limits, what a finding may carry) is
//! `wit/README.md`. On any other target than WebAssembly the host functions are stood in for by
//! [`testing`], so that `cargo test` works natively.
#![forbid(unsafe_code)]

/// What wit-bindgen makes of `wit/`, for the export macros; the types below are the ones to use.
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/check@0.1.0",
        world: "check",
        pub_export_macro: true,
        export_macro_name: "export_checker",
        default_bindings_module: "feedpulse_check::bindings",
    });

    /// The ticker alone. The packager merges what it exports with the checker to the world
    /// `check-and-tick`; generating that world here would define the checker's macros twice.
    pub mod ticking {
        wit_bindgen::generate!({
            inline: "
                package feedpulse:check-sdk;
                world ticking { export feedpulse:check/ticker@0.1.0; }
            ",
            path: "../../wit/check@0.1.0",
            world: "feedpulse:check-sdk/ticking",
            pub_export_macro: true,
            export_macro_name: "export_ticker",
            default_bindings_module: "feedpulse_check::bindings::ticking",
            with: { "feedpulse:check/types@0.1.0": crate::bindings::feedpulse::check::types },
        });
    }
}

mod about;
mod finding;
pub mod host;
mod path;
mod row;
#[doc(hidden)]
pub mod runtime;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod value;

pub use about::{About, AckCode, Event, Outcome, Reason};
pub use finding::{Finding, Findings, Level};
pub use host::{log, state};
pub use row::{Field, Row};
pub use value::Value;

/// A check of messages. One value lives per feed worker; what must outlive a trap belongs into
/// [`state`].
///
/// ```
/// use feedpulse_check::testing::{Message, run_messages};
/// use feedpulse_check::{Check, Finding, Findings, Level, Row};
///
/// struct OldVersion(String);
///
/// impl Check for OldVersion {
///     fn new(settings: &str) -> Result<Self, String> {
///         // settings are JSON text; serde_json reads it, if the check depends on it
///         let wanted = settings.split('"').nth(3).ok_or("say {\"version\": \"2.5.1\"}")?;
///         Ok(Self(wanted.to_owned()))
///     }
///     fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
///         if row.field(0).text() != self.0 {
///             out.push(Finding::new("other-version", Level::Info).at("MSH-12"));
///         }
///         Ok(())
///     }
/// }
/// // at the end of src/lib.rs: feedpulse_check::export!(OldVersion);
/// assert!(OldVersion::new("{}").is_err());
/// let settings = "{\"version\": \"2.3\"}";
/// let found = feedpulse_check::testing::run::<OldVersion>(settings, "adt", &[&["2.5.1"]]).unwrap();
/// assert_eq!(found[0].at, "MSH-12");
/// # let _ = run_messages::<OldVersion>(settings, "adt", &[Message::new("ADT^A01")]);
/// ```
pub trait Check: Sized {
    /// Makes the check from the operator's settings, JSON text (`{}` when there are none).
    ///
    /// # Errors
    /// A sentence for the operator, naming the setting that is wrong. It is shown as it is.
    fn new(settings: &str) -> Result<Self, String>;

    /// Looks at one message.
    ///
    /// # Errors
    /// When this message cannot be checked. The host counts it and never shows the text, which
    /// may quote the message.
    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String>;
}

/// A check that also notices what does not come. Export it with [`export_with_tick!`].
///
/// ```
/// use feedpulse_check::{Check, Finding, Findings, Level, Row, Tick, state};
///
/// struct Quiet;
///
/// impl Check for Quiet {
///     fn new(_settings: &str) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn check(&mut self, row: &Row<'_>, _out: &mut Findings) -> Result<(), String> {
///         state::set("last", &row.now_ms().to_string())
///     }
/// }
///
/// impl Tick for Quiet {
///     fn tick(&mut self, _feed: &str, now_ms: u64, out: &mut Findings) -> Result<(), String> {
///         let last = state::get("last").and_then(|last| last.parse().ok()).unwrap_or(now_ms);
///         if now_ms - last > 3_600_000 {
///             out.push(Finding::new("quiet", Level::Warning));
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Tick: Check {
    /// Called about once a second per feed. Findings made here have no row.
    ///
    /// # Errors
    /// As [`Check::check`].
    fn tick(&mut self, feed: &str, now_ms: u64, out: &mut Findings) -> Result<(), String>;
}

/// Makes a function or a [`Check`] the check of this crate: `export!(fn check);` or
/// `export!(MyCheck);`. Once per crate. `plugin.toml` must lie beside `Cargo.toml`.
#[macro_export]
macro_rules! export {
    (fn $check:path) => {
        /// The function as a check without settings.
        struct Function;
        impl $crate::Check for Function {
            fn new(settings: &str) -> Result<Self, String> {
                $crate::runtime::no_settings(settings).map(|()| Self)
            }
            fn check(
                &mut self,
                row: &$crate::Row<'_>,
                out: &mut $crate::Findings,
            ) -> Result<(), String> {
                $check(row, out)
            }
        }
        $crate::export!(Function);
    };
    ($check:ty) => {
        std::thread_local! {
            static CHECK: $crate::runtime::Slot<$check> = const { $crate::runtime::Slot::new() };
        }
        struct Exported;
        impl $crate::bindings::exports::feedpulse::check::checker::Guest for Exported {
            fn init(config: String) -> Result<(), String> {
                // what is declared, for reading by path; cargo builds again when it changes
                const MANIFEST: &str =
                    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/plugin.toml"));
                CHECK.with(|slot| $crate::runtime::init::<$check>(slot, &config, MANIFEST))
            }
            fn check(
                batch: $crate::bindings::feedpulse::check::types::Batch,
            ) -> Result<Vec<$crate::bindings::feedpulse::check::types::Finding>, String> {
                CHECK.with(|slot| $crate::runtime::check::<$check>(slot, &batch))
            }
        }
        // a native build exports nothing: this keeps the check from counting as unused there
        const _: () = {
            use $crate::bindings::exports::feedpulse::check::checker::Guest;
            let _ = (<Exported as Guest>::init, <Exported as Guest>::check);
        };
        // the names of a component's functions are no names for a native linker
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::export_checker!(Exported with_types_in $crate::bindings);
    };
}

/// Makes a [`Tick`] the check of this crate, called for messages and about once a second.
#[macro_export]
macro_rules! export_with_tick {
    ($check:ty) => {
        $crate::export!($check);
        impl $crate::bindings::ticking::exports::feedpulse::check::ticker::Guest for Exported {
            fn tick(
                feed: String,
                now_ms: u64,
            ) -> Result<Vec<$crate::bindings::feedpulse::check::types::Finding>, String> {
                CHECK.with(|slot| $crate::runtime::tick::<$check>(slot, &feed, now_ms))
            }
        }
        const _: () = {
            use $crate::bindings::ticking::exports::feedpulse::check::ticker::Guest;
            let _ = <Exported as Guest>::tick;
        };
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::ticking::export_ticker!(Exported with_types_in $crate::bindings::ticking);
    };
}
