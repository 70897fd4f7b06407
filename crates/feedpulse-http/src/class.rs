//! Why something failed, as a class.

use crate::proxy::Forbidden;
use crate::tls;
use core::error::Error;
use feedpulse_core::label::Label;
use std::io;

/// A name could not be resolved, on its way through the HTTP client.
#[derive(Debug, thiserror::Error)]
#[error("the name cannot be resolved")]
pub(crate) struct Unresolved(pub(crate) Label);

/// The class of a failure, found along its causes: `refused`, `reset`, `timeout`, `dns`, `proxy`,
/// `unreachable`, those of [`tls::class`], else `transport`. Never its text, which may quote an
/// address.
#[must_use]
pub fn class(error: &(dyn Error + 'static)) -> Label {
    let mut name = Label::from("transport");
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(class) = own(error) {
            return class;
        }
        if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect) {
            name = Label::from("unreachable");
        }
        // What an `io::Error` wraps comes next: `source` passes over it.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    name
}

/// What an error says by itself.
fn own(error: &(dyn Error + 'static)) -> Option<Label> {
    if let Some(Unresolved(class)) = error.downcast_ref::<Unresolved>() {
        return Some(*class);
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls::class(error));
    }
    if error.is::<Forbidden>() {
        return Some(Label::from("proxy"));
    }
    let late = error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout);
    if late || error.is::<tokio::time::error::Elapsed>() {
        return Some(Label::from("timeout"));
    }
    // The system's own errors wrap nothing, or something that says less than their kind.
    if let Some(class) = error.downcast_ref::<io::Error>().and_then(of_io) {
        return Some(class);
    }
    // The resolver's own error type is private in every HTTP stack; its words are fixed.
    let text = error.to_string();
    let of_names = text.contains("dns error") || text.contains("failed to lookup address");
    of_names.then(|| Label::from("dns"))
}

fn of_io(error: &io::Error) -> Option<Label> {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return None;
    }
    Some(Label::from(match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => "reset",
        io::ErrorKind::TimedOut => "timeout",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
        _ => return None,
    }))
}
