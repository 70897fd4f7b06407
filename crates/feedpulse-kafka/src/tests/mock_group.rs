//! Two members of one group on the mock cluster.

use super::*;

fn member(bootstrap: &str) -> Running {
    let topics = vec![plain("adt", 0, TopicRole::Message)];
    run(KafkaConfig::new("k", options(bootstrap, &[]), topics).unwrap(), &[])
}

fn numbered(from: usize, to: usize) -> Vec<Given> {
    let partition = |n: usize| i32::try_from(n % 4).unwrap();
    (from..to).map(|n| Given { partition: partition(n), ..Given::value(n.to_string()) }).collect()
}

fn numbers(batches: &[TapBatch], into: &mut Vec<usize>) {
    for item in contents(batches) {
        if let Tapped::Frame(frame) = item {
            into.push(String::from_utf8_lossy(frame.bytes.expose()).parse().unwrap());
        }
    }
}

/// Partitions whose lag the member states: those that it reads.
fn assigned(member: &Running) -> usize {
    let name = "feedpulse_kafka_record_lag_messages";
    let families = member.registry.families();
    families.iter().filter(|family| family.name == name).map(|family| family.points.len()).sum()
}

/// Takes, in turn, what both say, makes it durable, and goes on until `enough`.
fn drive(members: [&Running; 2], seen: &mut Vec<usize>, enough: impl Fn(&[usize]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !enough(seen) {
        assert!(Instant::now() < deadline, "{} records, {:?}", seen.len(), members.map(assigned));
        for member in members {
            if let Ok(batch) = member.batches.recv_timeout(Duration::from_millis(20)) {
                let batches = vec![batch];
                numbers(&batches, seen);
                make_durable(batches);
            }
        }
    }
}

#[test]
fn a_second_member_takes_over_partitions_and_each_record_is_read_once() {
    let cluster = cluster(&[("adt", 4)]);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "adt", &numbered(0, 100));
    let first = member(&bootstrap);
    let mut seen = Vec::new();
    drive([&first, &first], &mut seen, |seen| seen.len() >= 100 && assigned(&first) == 4);
    let onlooker = onlooker(&bootstrap);
    let deadline = Instant::now() + PATIENCE;
    while (0..4).any(|partition| committed(&onlooker, "adt", partition) != Some(25)) {
        assert!(Instant::now() < deadline, "all is committed");
    }
    let second = member(&bootstrap);
    drive([&first, &second], &mut seen, |_| assigned(&first) == 2 && assigned(&second) == 2);
    produce(&bootstrap, "adt", &numbered(100, 200));
    drive([&first, &second], &mut seen, |seen| seen.len() >= 200);
    // The second goes; the first has everything again, from where the second had come to.
    numbers(&second.end(), &mut seen);
    produce(&bootstrap, "adt", &numbered(200, 300));
    drive([&first, &first], &mut seen, |seen| seen.len() >= 300);
    numbers(&first.end(), &mut seen);
    seen.sort_unstable();
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
}
