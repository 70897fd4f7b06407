//! Mirth Connect's own alert: one mail for each ERROR event, filtered by nothing.
//!
//! Source: nextgenhealthcare/connect, `DefaultAlertWorker` (it listens to ERROR events only, with a
//! regular expression over the text; the default one takes all) and issues 1288 and 5664 (a mail for
//! every retry). An ERROR is a refused message, an attempt without answer, a failed connection.

use super::scene::{Happening, Scene, What};
use crate::alert::Alert;
use feedpulse_core::codes::Severity;

pub(super) const ABOUT: &str = "Mirth's default alert: one mail for every ERROR event (a refusal, \
    an attempt without answer, a failed connection)";

/// Most mails that are kept of one history; beyond them the figures count no more.
const MAILS_MAX: usize = 2_000_000;

#[derive(Debug, Default)]
pub(super) struct Mirth(Vec<Alert>);

impl Mirth {
    pub(super) fn see(&mut self, scene: &Scene, happening: Happening) {
        let error = matches!(happening.what, What::Again | What::Refused | What::NoConnection);
        if error && self.0.len() < MAILS_MAX {
            let subject = format!("waypoint {}", scene.history.links[happening.link].name);
            let alert = Alert::plain(subject, happening.at, Severity::Ticket);
            self.0.push(Alert { closed: Some(happening.at), ..alert });
        }
    }

    pub(super) fn alerts(self) -> Vec<Alert> {
        self.0
    }
}
