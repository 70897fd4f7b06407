//! The kit of a check author: implement [`Check`], name it in [`export!`], and the crate is a check.
//!
//! ```
//! use feedpulse_check::{Check, Finding, Findings, Level, Row};
//!
//! struct RoomPresent;
//!
//! impl Check for RoomPresent {
//!     fn new(_settings: &str) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!     fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
//!         // field 0 is the first of `fields` in plugin.toml, here PV1-3
//!         if row.field(0).is_empty() {
//!             out.push(Finding::new("room-missing", Level::Warning).at("PV1-3"));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let found = feedpulse_check::testing::run::<RoomPresent>("{}", "adt", &[&[""]]).unwrap();
//! assert_eq!(found[0].code, "room-missing");
//! ```
//!
//! The crate-type must be `cdylib`, and the file ends with `feedpulse_check::export!(RoomPresent);`.
//! The contract (separators, limits, what a finding may carry) is `wit/README.md`. On any other
//! target than WebAssembly the host functions are stood in for by [`testing`], so that
//! `cargo test` works natively.
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
mod row;
#[doc(hidden)]
pub mod runtime;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use about::{About, AckCode, Event, Outcome, Reason};
pub use finding::{Finding, Findings, Level};
pub use host::{log, state};
pub use row::{Field, Row};

/// A check of messages. One value lives per feed worker; what must outlive a trap belongs into
/// [`state`].
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
pub trait Tick: Check {
    /// Called about once a second per feed. Findings made here have no row.
    ///
    /// # Errors
    /// As [`Check::check`].
    fn tick(&mut self, feed: &str, now_ms: u64, out: &mut Findings) -> Result<(), String>;
}

/// Makes a [`Check`] the check of this crate. Once per crate.
#[macro_export]
macro_rules! export {
    ($check:ty) => {
        std::thread_local! {
            static CHECK: $crate::runtime::Slot<$check> = const { $crate::runtime::Slot::new() };
        }
        struct Exported;
        impl $crate::bindings::exports::feedpulse::check::checker::Guest for Exported {
            fn init(config: String) -> Result<(), String> {
                CHECK.with(|slot| $crate::runtime::init::<$check>(slot, &config))
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
