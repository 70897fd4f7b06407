//! What was said to people: by the engine or by a rule of today.

use crate::cause::{CauseClass, Confidence};
use feedpulse_core::codes::{Code, Severity};

/// One alert, from its first notice to its last.
#[derive(Clone, Debug)]
pub struct Alert {
    /// About what: `waypoint portal-in`, `feed lab`.
    pub subject: String,
    /// What it says, and since when; None: a rule that has no codes.
    pub marks: Vec<(i64, Option<Code>)>,
    /// First notice, µs; `i64::MAX`: it was only noted.
    pub opened: i64,
    /// When it became a page.
    pub paged: Option<i64>,
    /// Last notice; None: it was never closed.
    pub closed: Option<i64>,
    /// Notices that said that it had become louder.
    pub louder: u32,
    /// What its hint is made from.
    pub because: String,
    /// How loud at its loudest.
    pub severity: Severity,
    /// Notices sent.
    pub notices: u32,
    /// The hint about its cause.
    pub cause: Option<(CauseClass, Confidence)>,
}

impl Alert {
    /// An alert of a rule without codes, with its first notice.
    #[must_use]
    pub fn plain(subject: String, at: i64, severity: Severity) -> Self {
        Self {
            subject,
            marks: vec![(at, None)],
            opened: at,
            paged: (severity == Severity::Page).then_some(at),
            closed: None,
            severity,
            notices: 1,
            louder: 0,
            because: String::new(),
            cause: None,
        }
    }

    /// Notices of somebody who hears of pages only.
    #[must_use]
    pub fn at_the_pager(&self) -> u32 {
        self.paged.map_or(0, |_| 1 + u32::from(self.closed.is_some()))
    }

    /// Notices where a ticket waits so long, µs: none if it is over by then, one if it is a page by then.
    #[must_use]
    pub fn with_wait(&self, wait: i64) -> u32 {
        let from = self.paged.unwrap_or(i64::MAX).min(self.opened.saturating_add(wait));
        if self.closed.is_some_and(|closed| closed < from) {
            return 0;
        }
        let louder = self.paged.is_some_and(|paged| paged > from);
        1 + u32::from(louder) + u32::from(self.closed.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::Alert;
    use feedpulse_core::codes::Severity;

    #[test]
    fn who_hears_of_pages_only_and_who_waits_hear_less() {
        let ticket = Alert::plain("x".to_owned(), 100, Severity::Ticket);
        let over = Alert { closed: Some(150), ..ticket.clone() };
        let page = Alert { paged: Some(400), closed: Some(900), ..ticket.clone() };
        assert_eq!([&ticket, &over, &page].map(Alert::at_the_pager), [0, 0, 2]);
        assert_eq!([&ticket, &over, &page].map(|alert| alert.with_wait(0)), [1, 2, 3]);
        assert_eq!([&ticket, &over, &page].map(|alert| alert.with_wait(360)), [1, 0, 2]);
    }
}
