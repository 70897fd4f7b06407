//! What sources teach: times, zones, bad rows, files out of order.

use super::{Bounds, times, waypoint};
use crate::config::{self, Config};
use crate::learn::messages;
use crate::replay::sources::Sources;
use feedpulse_core::engine::learned::LearnedFeed;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::key::SiteKey;
use feedpulse_core::time::Timestamp;
use std::fmt::Write as _;
use std::path::PathBuf;

const BOUNDS: Bounds = Bounds { from: Timestamp::EPOCH, to: Timestamp::from_secs(4_000_000_000) };

fn config(zone: &str) -> Config {
    let text = format!(
        "zone: {zone}\nwaypoints: [{{name: feed-in}}, {{name: feed-out}}]\n\
         routes: [{{name: main, waypoints: [feed-in, feed-out]}}]\n\
         files: [{{watch: /var/spool/hl7, waypoint: feed-in}}]\n\
         feeds: [{{name: results, route: main, senders: [LAB]}}]\n"
    );
    config::load(&text).unwrap()
}

fn learn_times(config: &Config, csv: &str) -> (Vec<LearnedFeed>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("times.csv");
    std::fs::write(&path, csv).unwrap();
    let taught = times::learn(config, &[path], None, BOUNDS).unwrap();
    (taught.learned.feeds, taught.facts.sentence())
}

/// A message every `step` seconds over so many days, from Monday 2 March 2026, 00:00 UTC.
fn steady(days: i64, step: i64) -> String {
    let mut csv = String::from("feed,time,type,facility\n");
    for second in (0..days * 86_400).step_by(usize::try_from(step).unwrap()) {
        let at = jiff::Timestamp::from_second(1_772_409_600 + second).unwrap();
        let _ = writeln!(csv, "results,{at},ORU^R01,NORTH");
    }
    csv
}

#[test]
fn times_teach_a_profile_and_its_parts() {
    let (feeds, said) = learn_times(&config("UTC"), &steady(22, 60));
    assert_eq!(said, "1 CSV file: 31680 messages");
    let [feed] = feeds.as_slice() else { panic!("{feeds:?}") };
    assert_eq!(
        (feed.name.as_str(), feed.route.as_str(), feed.messages),
        ("results", "main", 31_680)
    );
    assert_eq!(feed.parts.len(), 2);
    assert!((59.0..61.0).contains(&feed.profile.busiest_hour().unwrap().1));
    let told = feed.profile.told_after().unwrap() / 60_000_000;
    assert!((8..40).contains(&told), "{told} min at 60 an hour");
}

/// Civil times are in the site's zone; the same moments with an offset are the same hours.
#[test]
fn civil_times_are_read_by_the_sites_clocks() {
    let mut civil = String::from("time,feed\n");
    let mut stated = civil.clone();
    let mut hl7 = civil.clone();
    for day in 2..12 {
        let _ =
            writeln!(civil, "2026-03-{day:02} 09:30,results\n2026-03-{day:02} 09:40:10,results");
        let _ = writeln!(
            stated,
            "2026-03-{day:02}T08:30:00Z,results\n2026-03-{day:02}T09:40:10+01:00,results"
        );
        let _ = writeln!(hl7, "202603{day:02}0930,results\n202603{day:02}094010,results");
    }
    let berlin = config("Europe/Berlin");
    let profile = |csv: &str| learn_times(&berlin, csv).0[0].profile.clone();
    let learned = profile(&civil);
    assert_eq!(learned, profile(&stated));
    assert_eq!(learned, profile(&hl7));
    assert_eq!(learned.busiest_hour().map(|(hour, _)| hour % 24), Some(9));
}

#[test]
fn bad_rows_are_named_and_the_rest_is_used() {
    let mut csv = steady(2, 600);
    csv.push_str("result,2026-03-05T00:00:00Z,ORU,\nresults,yesterday,,\nresults\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("times.csv");
    std::fs::write(&path, csv).unwrap();
    let taught = times::learn(&config("UTC"), std::slice::from_ref(&path), None, BOUNDS).unwrap();
    assert!(
        taught.facts.sentence().ends_with("288 messages, 3 bad rows"),
        "{}",
        taught.facts.sentence()
    );
    let mut text = Vec::new();
    super::Report::of(&config("UTC"), &[taught], None).text(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let row = |n: u32| format!("{}:{n}: ", path.display());
    assert!(
        text.contains(&format!(
            "{}no feed of that name is declared; did you mean \"results\"?",
            row(290)
        )),
        "{text}"
    );
    assert!(text.contains(&row(291)) && text.contains(&row(292)), "{text}");

    let nameless = folder.path().join("other.csv");
    std::fs::write(&nameless, "when,what\n1,2\n").unwrap();
    let failed = times::learn(&config("UTC"), &[nameless], None, BOUNDS).err().unwrap();
    assert!(failed.error.to_string().contains("no column is called `time`"));
}

/// Counts by the hour teach how many come, and nothing of the gaps between them.
#[test]
fn counts_are_spread_and_teach_no_gaps() {
    let mut csv = String::from("time,feed,count\n");
    for hour in 0..21 * 24 {
        let at = jiff::Timestamp::from_second(1_772_409_600 + hour * 3_600).unwrap();
        let _ = writeln!(csv, "{at},results,120");
    }
    let (feeds, _) = learn_times(&config("UTC"), &csv);
    let profile = &feeds[0].profile;
    assert!((119.0..121.0).contains(&profile.busiest_hour().unwrap().1));
    assert!(profile.tail.weeks == 0.0 && profile.limit > 20.0, "{profile:?}");
    let told = profile.told_after().unwrap() / 60_000_000;
    assert!((8..30).contains(&told), "{told} min at 120 an hour");
}

fn message(at: &str, id: u32) -> String {
    format!(
        "MSH|^~\\&|LAB|NORTH|PORTAL|NORTH|{at}||ORU^R01|M{id}|P|2.5\rPID|1||1\rOBR|1||{id}^LAB|K\r"
    )
}

/// Files by facility overlap in time; a file may be out of order in itself; what has no time, or one
/// that nobody believes, is left out and counted.
#[test]
fn messages_of_several_files_are_played_in_order_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let (mut north, mut south) = (String::new(), String::new());
    let mut id = 0;
    for day in 2..20 {
        for hour in 0..24 {
            id += 1;
            let at = |minute: u32| format!("202603{day:02}{hour:02}{minute:02}00");
            // The later one first.
            north.push_str(&message(&at(40), 10 * id));
            north.push_str(&message(&at(10), 10 * id + 1));
            south.push_str(&message(&at(25), 10 * id + 2));
        }
    }
    south.push_str(&message("", 1));
    south.push_str(&message("20260320", 2));
    south.push_str(&message("21990101000000", 3));
    std::fs::write(folder.path().join("a-south.hl7"), south).unwrap();
    std::fs::write(folder.path().join("b-north.hl7"), north).unwrap();
    let sources = Sources::of(&[folder.path().to_owned()]).unwrap();
    let (config, key) = (config("UTC"), SiteKey::new([0; 16]));
    let taught = messages::learn(&config, key, &sources.messages, WaypointId(0), BOUNDS).unwrap();
    assert_eq!(
        taught.facts.sentence(),
        "2 files at feed-in: 1296 messages, 2 without a time that can be read (is `zone` configured?), \
         1 too old or in the future"
    );
    let [feed] = taught.learned.feeds.as_slice() else { panic!("one feed") };
    let profile = &feed.profile;
    assert_eq!(profile.busiest_hour().unwrap().1, 3.0);
    // Fifteen or thirty minutes between two of three an hour.
    assert!(profile.missed < 2.0 && profile.tail.counts.iter().all(|n| *n == 0.0), "{profile:?}");
    assert!(feed.ways.is_empty(), "only the first waypoint was seen");
}

#[test]
fn a_place_is_found_or_asked_for() {
    let mut config = config("UTC");
    let of = |config: &Config, named: Option<&str>, path: &str| {
        waypoint(config, named, &[PathBuf::from(path)]).map_err(|e| e.error.to_string())
    };
    assert_eq!(of(&config, None, "/var/spool/hl7/archive"), Ok(WaypointId(0)));
    assert_eq!(of(&config, None, "/elsewhere"), Ok(WaypointId(0)), "the only route");
    assert_eq!(of(&config, Some("feed-out"), "/elsewhere"), Ok(WaypointId(1)));
    assert!(of(&config, Some("feed-ou"), "/elsewhere").unwrap_err().contains("feed-out"));
    config.plan.routes.push(config.plan.routes[0].clone());
    assert!(of(&config, None, "/elsewhere").unwrap_err().contains("--waypoint"));
}

/// A record older than Kafka's own times counts at MSH-7, if that can be believed.
#[cfg(feature = "kafka")]
#[test]
fn a_message_whose_carrier_has_no_time_says_when_it_was_made() {
    use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi};
    use feedpulse_core::tap::Tapped;
    let mut player = super::player::Player::of(&config("UTC"), SiteKey::new([0; 16]));
    let item = |at: &str| {
        Tapped::Frame(Frame {
            bytes: Phi::new(message(at, 7).into_bytes()),
            at: Timestamp::EPOCH,
            waypoint: WaypointId(0),
            connection: ConnectionId(1),
            direction: Direction::ToReceiver,
            trace: None,
        })
    };
    assert!(player.take_by_itself(&item("20260302081500"), BOUNDS));
    assert!(!player.take_by_itself(&item(""), BOUNDS));
    assert!(!player.take_by_itself(&item("21990101000000"), BOUNDS));
    let learned = player.learned();
    assert_eq!(learned.from, Timestamp::from_secs(1_772_439_300));
    assert_eq!(learned.feeds[0].messages, 1);
}
