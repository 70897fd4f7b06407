//! From the engine's picture to metric families: what /metrics and OTLP both read.

use crate::class::AckClass;
use crate::effect::{IncidentChange, IncidentState};
use crate::engine::series::Set;
use crate::frame::WaypointId;
use crate::hist::Histogram;
use crate::lag::Withheld;
use crate::metrics::{Family, Kind, Point, Registry, Value};
use crate::plan::FeedId;
use crate::sighting::Outcome;
use crate::time::Timestamp;
use crate::view::{FeedView, SenderView, Totals, View, WaypointView};

/// Every number there is: the engine's and the shells'.
#[must_use]
pub fn gather(view: &View, registry: &Registry) -> Vec<Family> {
    let mut families = vec![
        counter(
            "feedpulse_inputs_total",
            "Inputs that the engine applied.",
            "{input}",
            vec![(Vec::new(), view.inputs)],
        ),
        gauge(
            "feedpulse_journeys_open",
            "Journeys in flight.",
            "{journey}",
            vec![(Vec::new(), view.journeys_open)],
        ),
        counter(
            "feedpulse_journeys_shed_total",
            "Journeys dropped because the table was full.",
            "{journey}",
            vec![(Vec::new(), view.journeys_shed)],
        ),
    ];
    waypoints(view, &mut families);
    feeds(view, &mut families);
    lags(view, &mut families);
    families.push(incidents(view));
    families.extend(registry.families());
    families
}

type Labels = Vec<(&'static str, String)>;

fn counter(
    name: &'static str,
    help: &'static str,
    unit: &'static str,
    points: Vec<(Labels, u64)>,
) -> Family {
    Family { name, help, unit, kind: Kind::Counter, points: numbers(points) }
}

fn gauge(
    name: &'static str,
    help: &'static str,
    unit: &'static str,
    points: Vec<(Labels, u64)>,
) -> Family {
    Family { name, help, unit, kind: Kind::Gauge, points: numbers(points) }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn numbers(points: Vec<(Labels, u64)>) -> Vec<Point> {
    points
        .into_iter()
        .map(|(labels, value)| Point { labels, value: Value::Number(value as f64) })
        .collect()
}

fn times<'a>(
    name: &'static str,
    help: &'static str,
    points: impl Iterator<Item = (Labels, &'a Histogram)>,
) -> Family {
    let points = points
        .filter(|(_, histogram)| histogram.count() > 0)
        .map(|(labels, histogram)| Point {
            labels,
            value: Value::Times(Box::new(histogram.clone())),
        })
        .collect();
    Family { name, help, unit: "s", kind: Kind::Histogram, points }
}

fn outcomes(label: &'static str, name: &str, totals: &Totals) -> Vec<(Labels, u64)> {
    Outcome::ALL
        .into_iter()
        .zip(totals.outcomes)
        .map(|(outcome, count)| {
            (vec![(label, name.to_owned()), ("outcome", outcome.name().to_owned())], count)
        })
        .collect()
}

fn classes(waypoint: &WaypointView) -> Vec<(Labels, u64)> {
    let of = |class: &AckClass| {
        vec![("waypoint", waypoint.name.clone()), ("class", class.name().to_owned())]
    };
    let counts = AckClass::ALL.iter().zip(waypoint.classes).filter(|(_, count)| *count > 0);
    counts.map(|(class, count)| (of(class), count)).collect()
}

fn waypoints(view: &View, families: &mut Vec<Family>) {
    let here = |name: &str| vec![("waypoint", name.to_owned())];
    let all = |read: &dyn Fn(&crate::view::WaypointView) -> u64| {
        view.waypoints.iter().map(|w| (here(&w.name), read(w))).collect::<Vec<_>>()
    };
    families.push(counter(
        "feedpulse_messages_total",
        "Messages seen; each sending counts.",
        "{message}",
        all(&|w| w.totals.seen),
    ));
    families.push(counter(
        "feedpulse_ack_events_total",
        "What the ACK ledger noted, by class; only classes that occurred.",
        "{event}",
        view.waypoints.iter().flat_map(classes).collect(),
    ));
    families.push(counter(
        "feedpulse_outcomes_total",
        "Messages that ended, by outcome.",
        "{message}",
        view.waypoints.iter().flat_map(|w| outcomes("waypoint", &w.name, &w.totals)).collect(),
    ));
    families.push(gauge(
        "feedpulse_open_messages",
        "Messages that wait for their answer.",
        "{message}",
        all(&|w| w.totals.open),
    ));
    families.push(gauge(
        "feedpulse_connections",
        "Open connections.",
        "{connection}",
        all(&|w| u64::from(w.connections)),
    ));
    families.push(counter(
        "feedpulse_connections_refused_total",
        "Connections that the receiver refused or that could not reach it.",
        "{connection}",
        all(&|w| w.refused),
    ));
    families.push(counter(
        "feedpulse_connections_reset_total",
        "Connections that ended by a reset.",
        "{connection}",
        all(&|w| w.resets),
    ));
    families.push(counter(
        "feedpulse_unreadable_frames_total",
        "Frames from which no message could be read.",
        "{frame}",
        all(&|w| w.unreadable),
    ));
    families.push(counter(
        "feedpulse_blind_intervals_total",
        "Intervals in which not everything was seen.",
        "{interval}",
        all(&|w| w.blind),
    ));
    families.push(times(
        "feedpulse_ack_time_seconds",
        "Time from a message to its ACK.",
        view.waypoints.iter().map(|w| (here(&w.name), &w.ack_time)),
    ));
}

fn feeds(view: &View, families: &mut Vec<Family>) {
    let named = |name: &str| vec![("feed", name.to_owned())];
    let all = |read: &dyn Fn(&crate::view::FeedView) -> u64| {
        view.feeds.iter().map(|f| (named(&f.name), read(f))).collect::<Vec<_>>()
    };
    families.push(counter(
        "feedpulse_feed_messages_total",
        "Messages seen at the first waypoint of their feed.",
        "{message}",
        all(&|f| f.seen),
    ));
    families.push(counter(
        "feedpulse_feed_outcomes_total",
        "Sendings of a feed that ended, all waypoints, by outcome.",
        "{message}",
        view.feeds.iter().flat_map(|f| outcomes("feed", &f.name, &f.totals)).collect(),
    ));
    families.push(gauge(
        "feedpulse_feed_backlog",
        "Messages of a feed that are not finished.",
        "{message}",
        all(&|f| u64::from(f.backlog)),
    ));
    families.push(gauge(
        "feedpulse_feed_backlog_urgent",
        "Urgent messages of a feed that are not finished.",
        "{message}",
        all(&|f| u64::from(f.backlog_urgent)),
    ));
    families.push(seconds_gauge(
        "feedpulse_feed_lag_seconds",
        "Age of the oldest unfinished message; 0 when all are finished.",
        view.feeds.iter().map(|f| (named(&f.name), Some(f.lag))),
    ));
    families.push(seconds_gauge(
        "feedpulse_feed_last_message_timestamp_seconds",
        "When the last message was seen, in Unix time.",
        view.feeds.iter().map(|f| {
            (named(&f.name), f.last_seen.and_then(|at| u64::try_from(at.as_micros()).ok()))
        }),
    ));
    families.push(times(
        "feedpulse_feed_transit_seconds",
        "First tap to last tap, by our clock.",
        view.feeds.iter().map(|f| (named(&f.name), &f.transit)),
    ));
    families.push(times(
        "feedpulse_feed_source_age_seconds",
        "Event to first tap, by the sender's clock.",
        view.feeds.iter().map(|f| (named(&f.name), &f.source_age)),
    ));
}

/// Source ages that are withheld, senders' clocks, and lags by feed, type and facility: at most
/// `series_max` sets, then `other`.
fn lags(view: &View, families: &mut Vec<Family>) {
    let withheld = |feed: &FeedView| {
        let name = feed.name.clone();
        let counts = Withheld::ALL.into_iter().zip(feed.withheld).filter(|(_, count)| *count > 0);
        let labels = move |reason: Withheld| {
            vec![("feed", name.clone()), ("reason", reason.name().to_owned())]
        };
        counts.map(move |(reason, count)| (labels(reason), count)).collect::<Vec<_>>()
    };
    families.push(counter(
        "feedpulse_source_age_withheld_total",
        "Source ages that cannot be told, by reason.",
        "{message}",
        view.feeds.iter().flat_map(withheld).collect(),
    ));
    families.push(Family {
        name: "feedpulse_sender_skew_seconds",
        help: "Median of our clock less MSH-7, by sender; negative is a fast clock.",
        unit: "s",
        kind: Kind::Gauge,
        points: view.senders.iter().filter_map(skew).collect(),
    });
    let named = |feed: FeedId| view.feeds.iter().find(|f| f.id == feed).map(|f| f.name.clone());
    let labels = |set: &Set| {
        vec![
            ("feed", named(set.key.feed).unwrap_or_default()),
            ("type", set.key.code.to_string()),
            ("facility", set.key.facility.to_string()),
        ]
    };
    let of = |lag: &str, set: &Set| [labels(set), vec![("lag", lag.to_owned())]].concat();
    families.push(times(
        "feedpulse_lag_seconds",
        "Source age and transit by feed, type and facility.",
        view.lags.iter().flat_map(|set| {
            [(of("source_age", set), &set.source_age), (of("transit", set), &set.transit)]
        }),
    ));
    let place = |w: WaypointId| {
        view.waypoints.iter().find(|v| v.id == w).map(|v| v.name.clone()).unwrap_or_default()
    };
    families.push(times(
        "feedpulse_leg_seconds",
        "From the first sighting at one waypoint to the first at the next.",
        view.lags.iter().flat_map(|set| {
            set.legs.iter().map(|((from, to), times)| {
                let leg = vec![("from", place(*from)), ("to", place(*to))];
                ([labels(set), leg].concat(), times)
            })
        }),
    ));
}

#[expect(clippy::cast_precision_loss, reason = "µs of an offset are below 2^53")]
fn skew(sender: &SenderView) -> Option<Point> {
    let labels =
        vec![("sender", sender.sender.to_string()), ("facility", sender.facility.to_string())];
    Some(Point { labels, value: Value::Number(sender.skew? as f64 / 1e6) })
}

#[expect(clippy::cast_precision_loss, reason = "µs of Unix time are below 2^53")]
fn seconds_gauge(
    name: &'static str,
    help: &'static str,
    points: impl Iterator<Item = (Labels, Option<u64>)>,
) -> Family {
    let points = points
        .filter_map(|(labels, micros)| {
            micros.map(|m| Point { labels, value: Value::Number(m as f64 / 1e6) })
        })
        .collect();
    Family { name, help, unit: "s", kind: Kind::Gauge, points }
}

/// Whether people are to hear of an incident: `live`, `shadow`, `muted`. What is in shadow stays so
/// when it is muted too.
fn notify(incident: &IncidentChange, now: Timestamp) -> &'static str {
    match () {
        () if incident.story.shadow => "shadow",
        () if incident.muted_until.is_some_and(|until| until > now) => "muted",
        () => "live",
    }
}

fn incidents(view: &View) -> Family {
    let open = view.incidents.iter().filter(|i| i.state == IncidentState::Open).map(|incident| {
        let labels = vec![
            ("code", incident.code.text().code.to_owned()),
            ("severity", incident.severity.name().to_owned()),
            ("subject", incident.subject_name.clone()),
            ("notify", notify(incident, view.now).to_owned()),
        ];
        (labels, 1)
    });
    gauge(
        "feedpulse_incident_open",
        "1 for each incident that is open; `notify` is `live`, or why nobody is to hear of it: `shadow`, `muted`.",
        "{incident}",
        open.collect(),
    )
}
