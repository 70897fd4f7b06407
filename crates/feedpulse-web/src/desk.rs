//! The JSON of the operators' side: an incident with its whole story, and the list of notices that
//! the shadow of new feeds keeps back.

use crate::api::{IncidentWire, incident_wire};
use crate::probes::TakenWire;
use crate::text::rfc3339;
use feedpulse_core::codes::Severity;
use feedpulse_core::desk::{Judgement, WouldBe};
use feedpulse_core::effect::IncidentChange;
use feedpulse_core::view::{FeedView, View};
use serde::Serialize;

/// An operator's word on whether an incident was worth a notice.
#[derive(Clone, Debug, Serialize)]
pub struct VerdictWire {
    /// It was.
    pub right: bool,
    /// Who says so.
    pub by: String,
    /// When.
    pub at: String,
}

/// `GET /api/v1/incidents/{id}`.
#[derive(Clone, Debug, Serialize)]
pub struct StoryWire {
    /// What the list shows.
    #[serde(flatten)]
    pub incident: IncidentWire,
    /// What happened to it, in order.
    pub timeline: Vec<MomentWire>,
    /// What notifiers' servers have taken about it, oldest first: the latest 50.
    pub notices: Vec<TakenWire>,
    /// What operators wrote.
    pub notes: Vec<NoteWire>,
}

/// A moment of a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct MomentWire {
    /// When.
    pub at: String,
    /// What kind: `began`, `found`, `told`, `shadowed`, `changed`, `claimed`, `released`, `muted`,
    /// `unmuted`, `noted`, `judged`, `calm`, `drained`, `returned`, `resolved`.
    pub kind: &'static str,
    /// That in words.
    pub what: String,
}

/// What an operator wrote.
#[derive(Clone, Serialize)]
pub struct NoteWire {
    /// When.
    pub at: String,
    /// Who.
    pub by: String,
    /// What, as it was written.
    pub text: String,
}

impl std::fmt::Debug for NoteWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NoteWire")
            .field("at", &self.at)
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}

/// `GET /api/v1/shadow`.
#[derive(Clone, Debug, Serialize)]
pub struct ShadowWire {
    /// Every feed that is in shadow, or has would-be notices; those in shadow first.
    pub feeds: Vec<ShadowFeedWire>,
    /// All would-be notices together; one that touches several feeds counts once.
    pub total: PrecisionWire,
    /// The would-be notices whose incidents are still known: pages first, then those that nobody
    /// has judged, then the latest.
    pub notices: Vec<WouldBeWire>,
}

/// A feed's time in shadow.
#[derive(Clone, Debug, Serialize)]
pub struct ShadowFeedWire {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub feed: String,
    /// Whether nobody is told about it now.
    pub shadow: bool,
    /// Its first message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When people are told; absent before its first message, and where it is `live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Its would-be notices.
    #[serde(flatten)]
    pub counts: PrecisionWire,
}

/// Would-be notices, and how many of them were right.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PrecisionWire {
    /// Notices that would have got somebody up.
    pub pages: u64,
    /// Notices that would have made work for the day.
    pub tickets: u64,
    /// Judged to be worth it.
    pub confirmed: u64,
    /// Judged not to be.
    pub dismissed: u64,
    /// Not judged, and their incidents are still known.
    pub open: u64,
    /// Not judged, and too old to be.
    pub forgotten: u64,
    /// Confirmed of all that were judged; absent when none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// Why it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_precision_because: Option<&'static str>,
}

/// One would-be notice.
#[derive(Clone, Debug, Serialize)]
pub struct WouldBeWire {
    /// When it would have been sent.
    pub at: String,
    /// How loud.
    pub would_be: &'static str,
    /// Its incident.
    #[serde(flatten)]
    pub incident: IncidentWire,
}

/// A verdict.
pub(crate) fn verdict_wire(verdict: Judgement) -> VerdictWire {
    let Judgement { right, by, at } = verdict;
    VerdictWire { right, by: by.to_string(), at: rfc3339(at) }
}

/// An incident with its timeline and its notes.
#[must_use]
pub fn incident_story(incident: &IncidentChange, view: &View) -> StoryWire {
    let moments = incident.story.timeline.iter();
    let moment = |m: &feedpulse_core::effect::Moment| MomentWire {
        at: rfc3339(m.at),
        kind: m.what.name(),
        what: m.text(),
    };
    let notes = view.remarks.get(&incident.id).into_iter().flatten();
    StoryWire {
        incident: incident_wire(incident),
        timeline: moments.map(moment).collect(),
        notices: view.notices.get(&incident.id).into_iter().flatten().map(TakenWire::new).collect(),
        notes: notes
            .map(|note| NoteWire {
                at: rfc3339(note.at),
                by: note.by.to_string(),
                text: note.text.shown().to_owned(),
            })
            .collect(),
    }
}

/// The shadow of a view.
#[must_use]
pub fn shadow_wire(view: &View) -> ShadowWire {
    let listed = |feed: &&FeedView| feed.shadow.holds || of_feed(view, feed).next().is_some();
    let mut feeds: Vec<&FeedView> = view.feeds.iter().filter(listed).collect();
    feeds.sort_by(|a, b| (!a.shadow.holds, &a.name).cmp(&(!b.shadow.holds, &b.name)));
    let feed = |feed: &FeedView| ShadowFeedWire {
        id: feed.id.0,
        feed: feed.name.clone(),
        shadow: feed.shadow.holds,
        since: feed.shadow.since.map(rfc3339),
        until: feed.shadow.until.map(rfc3339),
        counts: precision(of_feed(view, feed), view),
    };
    let notices = would_be(view).into_iter().map(|(notice, incident)| WouldBeWire {
        at: rfc3339(notice.at),
        would_be: notice.severity.name(),
        incident: incident_wire(incident),
    });
    ShadowWire {
        feeds: feeds.into_iter().map(feed).collect(),
        total: precision(view.would_be.iter(), view),
        notices: notices.collect(),
    }
}

/// Would-be notices with their incidents: pages first, then what nobody has judged, then the latest.
pub(crate) fn would_be(view: &View) -> Vec<(&WouldBe, &IncidentChange)> {
    let incident = |n: &WouldBe| view.incidents.iter().find(|i| i.id == n.incident);
    let mut notices: Vec<(&WouldBe, &IncidentChange)> =
        view.would_be.iter().filter_map(|n| Some((n, incident(n)?))).collect();
    notices.sort_by_key(|(n, _)| {
        (n.severity < Severity::Page, n.right.is_some(), std::cmp::Reverse(n.at))
    });
    notices
}

fn of_feed<'v>(view: &'v View, feed: &FeedView) -> impl Iterator<Item = &'v WouldBe> {
    let id = feed.id;
    view.would_be.iter().filter(move |notice| notice.feeds.contains(&id))
}

fn precision<'n>(notices: impl Iterator<Item = &'n WouldBe>, view: &View) -> PrecisionWire {
    let mut counts = PrecisionWire::default();
    for notice in notices {
        match notice.severity {
            Severity::Page => counts.pages += 1,
            Severity::Ticket | Severity::Note => counts.tickets += 1,
        }
        match notice.right {
            Some(true) => counts.confirmed += 1,
            Some(false) => counts.dismissed += 1,
            None if view.incidents.iter().any(|i| i.id == notice.incident) => counts.open += 1,
            None => counts.forgotten += 1,
        }
    }
    let judged = counts.confirmed + counts.dismissed;
    #[expect(clippy::cast_precision_loss, reason = "at most 1,024 are kept")]
    if judged > 0 {
        counts.precision = Some(counts.confirmed as f64 / judged as f64);
    } else if counts.pages + counts.tickets == 0 {
        counts.no_precision_because = Some("there was no would-be notice");
    } else {
        counts.no_precision_because = Some("none was judged");
    }
    counts
}
