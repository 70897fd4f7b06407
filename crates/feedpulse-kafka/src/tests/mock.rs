//! Progress and trouble on the mock cluster: commits, starts, brokers that go and come.

use super::*;
use feedpulse_core::codes::Code;
use feedpulse_core::input::OwnState;
use feedpulse_core::sighting::Seen;

fn tap(bootstrap: &str, more: &[(&str, &str)], resume: &[Position]) -> Running {
    let topics = vec![plain("adt", 0, TopicRole::Message)];
    run(KafkaConfig::new("k", options(bootstrap, more), topics).unwrap(), resume)
}

fn numbered(from: usize, to: usize) -> Vec<Given> {
    (from..to).map(|n| Given::value(n.to_string())).collect()
}

fn numbers(batches: &[TapBatch]) -> Vec<usize> {
    let number = |item: &Tapped| match item {
        Tapped::Frame(f) => String::from_utf8_lossy(f.bytes.expose()).parse().ok(),
        _ => None,
    };
    contents(batches).into_iter().filter_map(number).collect()
}

fn at(lane: &str, epoch: u128, offset: u64) -> Position {
    Position { tap: "k".to_owned(), lane: lane.to_owned(), epoch, offset }
}

fn own(batches: &[TapBatch], failing: bool) -> Option<OwnState> {
    items(batches).into_iter().find_map(|item| match item {
        Tapped::Own(state) if state.failing == failing && state.code == Code::KafkaDown => {
            Some(state.clone())
        }
        _ => None,
    })
}

#[test]
fn offsets_are_committed_when_the_batch_is_durable_and_not_before() {
    let cluster = cluster(&[("adt", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "adt", &numbered(0, 50));
    let tap = tap(&bootstrap, &[], &[]);
    let batches = tap.until(|batches| count(batches) == 50);
    // The tap goes on meanwhile, and would have committed long before it says this.
    let more = tap.until(|batches| {
        items(batches).iter().any(|item| matches!(item, Tapped::Alive(WaypointId(0))))
    });
    let onlooker = onlooker(&bootstrap);
    assert_eq!(committed(&onlooker, "adt", 0), None);
    make_durable(batches);
    make_durable(more);
    let deadline = Instant::now() + PATIENCE;
    while committed(&onlooker, "adt", 0) != Some(50) {
        assert!(Instant::now() < deadline, "the commit arrives");
    }
    tap.end();
}

#[test]
fn our_own_position_wins_over_the_groups_offset() {
    let cluster = cluster(&[("adt", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "adt", &numbered(0, 20));
    let first = tap(&bootstrap, &[], &[]);
    make_durable(first.until(|batches| count(batches) == 20));
    let onlooker = onlooker(&bootstrap);
    let deadline = Instant::now() + PATIENCE;
    while committed(&onlooker, "adt", 0) != Some(20) {
        assert!(Instant::now() < deadline, "the commit arrives");
    }
    first.end();
    let others = [at("adt/0", 0, 8), at("adt/9", 0, 3), at("gone/0", 0, 3)];
    let second = tap(&bootstrap, &[], &others);
    let batches = second.until(|batches| count(batches) == 12);
    assert_eq!(numbers(&batches), (8..20).collect::<Vec<_>>(), "behind: nothing is forgotten");
    second.end();
    produce(&bootstrap, "adt", &numbered(20, 30));
    let third = tap(&bootstrap, &[], &[at("adt/0", 0, 25)]);
    let batches = third.until(|batches| count(batches) == 5);
    assert_eq!(numbers(&batches), (25..30).collect::<Vec<_>>(), "ahead: nothing is counted twice");
    third.end();
    // Another tap's positions are not ours: the group's offset counts.
    let foreign = Position { tap: "other".to_owned(), ..at("adt/0", 0, 0) };
    let fourth = tap(&bootstrap, &[], &[foreign]);
    let batches = fourth.until(|batches| count(batches) == 10);
    assert_eq!(numbers(&batches), (20..30).collect::<Vec<_>>());
    fourth.end();
}

#[test]
fn latest_is_pinned_before_the_first_record() {
    let cluster = cluster(&[("adt", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "adt", &numbered(0, 10));
    let latest = [("auto.offset.reset", "latest")];
    let first = tap(&bootstrap, &latest, &[]);
    let batches = first.until(|batches| position(batches, "adt/0").is_some());
    let pinned = position(&batches, "adt/0").unwrap();
    assert_eq!((pinned.offset, count(&batches)), (10, 0));
    first.end();
    produce(&bootstrap, "adt", &numbered(10, 15));
    let second = tap(&bootstrap, &latest, &[pinned]);
    let batches = second.until(|batches| count(batches) == 5);
    assert_eq!(numbers(&batches), (10..15).collect::<Vec<_>>());
    second.end();
}

#[test]
fn a_position_past_the_end_is_another_incarnation_and_read_from_its_start() {
    let cluster = cluster(&[("adt", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "adt", &numbered(0, 5));
    let tap = tap(&bootstrap, &[], &[at("adt/0", 4, 1000)]);
    let batches = tap.until(|batches| count(batches) == 5);
    assert_eq!(numbers(&batches), (0..5).collect::<Vec<_>>());
    assert_eq!(position(&batches, "adt/0"), Some(at("adt/0", 5, 5)));
    tap.end();
}

#[test]
fn brokers_that_go_and_come_are_told_and_nothing_is_read_twice() {
    let cluster = cluster(&[("adt", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "adt", &numbered(0, 5));
    let tap = tap(&bootstrap, &[], &[]);
    let before = tap.until(|batches| {
        items(batches).iter().any(|item| matches!(item, Tapped::Alive(_))) && count(batches) == 5
    });
    assert_eq!(own(&before, true), None);
    tap.until_number("feedpulse_kafka_record_lag_messages", "adt", Some(0.0));
    tap.until_number("feedpulse_kafka_record_lag_seconds", "adt", Some(0.0));
    cluster.broker_down(-1).unwrap();
    let down = tap.until(|batches| own(batches, true).is_some());
    assert_eq!(own(&down, true).unwrap().part.as_str(), "kafka");
    assert!(!own(&down, true).unwrap().detail.is_empty());
    // Nobody knows.
    tap.until_number("feedpulse_kafka_record_lag_seconds", "adt", None);
    cluster.broker_up(-1).unwrap();
    let up = tap.until(|batches| own(batches, false).is_some());
    produce(&bootstrap, "adt", &numbered(5, 8));
    let after = tap.until(|batches| count(batches) == 3);
    assert_eq!(numbers(&after), [5, 6, 7]);
    assert_eq!(count(&down) + count(&up), 0);
    let rest = tap.end();
    assert_eq!(count(&rest), 0);
}

#[test]
fn no_broker_at_all_is_told_and_a_stop_still_ends_it() {
    // A port that was free a moment ago, and where nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tap = tap(&port.to_string(), &[], &[]);
    let batches = tap.until(|batches| own(batches, true).is_some());
    let alive = items(&batches).into_iter().any(|item| matches!(item, Tapped::Alive(_)));
    assert!(!alive, "it has seen nothing");
    assert_eq!(count(&tap.end()), 0);
}

#[test]
fn a_stop_while_the_brokers_are_gone_ends_it_with_commits_open() {
    let cluster = cluster(&[("adt", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "adt", &numbered(0, 5));
    let tap = tap(&bootstrap, &[], &[]);
    let batches = tap.until(|batches| count(batches) == 5);
    cluster.broker_down(-1).unwrap();
    make_durable(batches);
    tap.end();
}

#[test]
fn a_closed_intake_ends_it() {
    let cluster = cluster(&[("adt", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "adt", &numbered(0, 1));
    let Running { thread, batches, .. } = tap(&bootstrap, &[], &[]);
    drop(batches);
    thread.unwrap().join().unwrap();
}

#[test]
fn old_records_are_a_finding_until_they_are_read() {
    let cluster = cluster(&[("adt", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    let registry = Registry::default();
    // The records are of 00:00:00; the clock says two minutes later.
    let deps = KafkaDeps {
        registry: registry.clone(),
        site_key: SiteKey::new([7; 16]),
        decode: BTreeMap::new(),
        clock: Arc::new(|| NOW.plus(Duration::from_secs(120))),
    };
    produce(&bootstrap, "adt", &[Given::value(ADT), Given::default()]);
    let topics = vec![plain("adt", 0, TopicRole::Message)];
    let config = KafkaConfig::new("k", options(&bootstrap, &[]), topics).unwrap();
    let tap = KafkaTap::new(config, &[], deps).unwrap();
    let stop = CancellationToken::new();
    let token = stop.clone();
    let (sender, batches) = sync_channel(1000);
    let thread = Some(std::thread::spawn(move || tap.run_blocking(Channel(sender), &token)));
    let tap = Running { stop, thread, batches, registry };
    let batches = tap.until(|batches| count(batches) == 2);
    let unreadable = contents(&batches)
        .into_iter()
        .any(|item| matches!(item, Tapped::Sighting(s) if matches!(s.what, Seen::Unreadable(_))));
    assert!(unreadable);
    // Whether the tick fell between is chance; that it ends at zero is not.
    tap.until(|batches| items(batches).iter().any(|item| matches!(item, Tapped::Alive(_))));
    tap.until_number("feedpulse_kafka_record_lag_seconds", "adt", Some(0.0));
    let Running { stop, thread, registry, .. } = tap;
    stop.cancel();
    thread.unwrap().join().unwrap();
    let families = registry.families();
    let lag = families.iter().find(|f| f.name == "feedpulse_kafka_record_lag_seconds").unwrap();
    assert!(lag.points.is_empty(), "no partition is assigned any more");
}
