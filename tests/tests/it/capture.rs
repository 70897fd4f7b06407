//! Last night's capture: `feedpulse replay` on files made here, packet by packet.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use etherparse::PacketBuilder;
use feedpulse_sim::frame;
use feedpulse_tests::product::command;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

const EHR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const ENGINE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 5), 6_661);
const PORTAL: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 7), 6_662);
/// 2026-03-01T02:00:00Z.
const START: u64 = 1_772_330_400_000_000;

/// A pcap file being written, with its clock.
struct Tape {
    file: Vec<u8>,
    at_us: u64,
}

/// One TCP connection on a tape: sequence numbers of the client and of the server.
struct Tcp {
    client: SocketAddrV4,
    server: SocketAddrV4,
    seq: [u32; 2],
}

impl Tape {
    fn new() -> Self {
        let mut file = 0xA1B2_C3D4_u32.to_le_bytes().to_vec();
        for word in [0x0004_0002, 0, 0, 65_535, 1_u32] {
            file.extend(word.to_le_bytes());
        }
        Self { file, at_us: START }
    }

    fn wait(&mut self, millis: u64) {
        self.at_us += millis * 1_000;
    }

    fn packet(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap();
        let secs = u32::try_from(self.at_us / 1_000_000).unwrap();
        let micros = u32::try_from(self.at_us % 1_000_000).unwrap();
        for word in [secs, micros, length, length] {
            self.file.extend(word.to_le_bytes());
        }
        self.file.extend(bytes);
        self.at_us += 100;
    }

    /// A segment from the client (0) or the server (1), with the flags named by their letters.
    fn segment(&mut self, tcp: &mut Tcp, from: usize, flags: &str, payload: &[u8]) {
        let ends = [tcp.client, tcp.server];
        let (source, target) = (ends[from], ends[1 - from]);
        let mut builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(source.ip().octets(), target.ip().octets(), 64)
            .tcp(source.port(), target.port(), tcp.seq[from], 64_000);
        if flags.contains('S') {
            builder = builder.syn();
        }
        if flags.contains('A') {
            builder = builder.ack(tcp.seq[1 - from]);
        }
        if flags.contains('F') {
            builder = builder.fin();
        }
        if flags.contains('R') {
            builder = builder.rst();
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        self.packet(&bytes);
        let step = payload.len() + usize::from(flags.contains(['S', 'F']));
        tcp.seq[from] = tcp.seq[from].wrapping_add(u32::try_from(step).unwrap());
    }

    fn open(&mut self, client: Ipv4Addr, port: u16, server: SocketAddrV4) -> Tcp {
        let client = SocketAddrV4::new(client, port);
        let mut tcp = Tcp { client, server, seq: [u32::MAX - 5_000, 77] };
        self.segment(&mut tcp, 0, "S", b"");
        self.segment(&mut tcp, 1, "SA", b"");
        self.segment(&mut tcp, 0, "A", b"");
        tcp
    }

    /// A message that the other side's kernel takes.
    fn message(&mut self, tcp: &mut Tcp, message: &str) {
        self.segment(tcp, 0, "A", &frame(message.as_bytes()));
        self.segment(tcp, 1, "A", b"");
    }

    fn answer(&mut self, tcp: &mut Tcp, code: &str, id: &str) {
        let ack = format!("MSH|^~\\&|R|B|S|A|20260301020000||ACK|K{id}|P|2.5.1\rMSA|{code}|{id}\r");
        self.segment(tcp, 1, "A", &frame(ack.as_bytes()));
        self.segment(tcp, 0, "A", b"");
    }

    fn close(&mut self, tcp: &mut Tcp) {
        self.segment(tcp, 0, "FA", b"");
        self.segment(tcp, 1, "FA", b"");
        self.segment(tcp, 0, "A", b"");
    }
}

/// A result; the order number is what an engine that rewrites control ids leaves alone.
fn result(id: &str, order: &str) -> String {
    format!(
        "MSH|^~\\&|LAB|NORTH|ENGINE|B|20260301020000||ORU^R01^ORU_R01|{id}|P|2.5.1\r\
         PID|1||4711^^^A||DOE^JANE\rOBR|1||{order}|GLU|||20260301015900\r\
         OBX|1|NM|GLU||5.1|mmol/l|||||F\r"
    )
}

/// What the receiver behind the engine does with a message.
enum Fate {
    Answered(&'static str),
    AnsweredAfter(u64),
    Silent,
    NotSentOn,
}

struct Night {
    tape: Tape,
    ehr: Tcp,
    engine: Tcp,
}

impl Night {
    /// A message through the engine: accepted there as `S-…`, sent on as `P-…`.
    fn send(&mut self, name: &str, fate: &Fate) {
        let Self { tape, ehr, engine } = self;
        let (here, there) = (format!("S-{name}"), format!("P-{name}"));
        tape.message(ehr, &result(&here, name));
        tape.wait(20);
        tape.answer(ehr, "AA", &here);
        if matches!(fate, Fate::NotSentOn) {
            tape.wait(1_000);
            return;
        }
        tape.wait(50);
        tape.message(engine, &result(&there, name));
        match fate {
            Fate::Answered(code) => {
                tape.wait(30);
                tape.answer(engine, code, &there);
            }
            Fate::AnsweredAfter(millis) => {
                tape.wait(*millis);
                tape.answer(engine, "AA", &there);
            }
            Fate::Silent | Fate::NotSentOn => tape.wait(45_000),
        }
        tape.wait(1_000);
    }
}

/// Two hops with everything that can go wrong, and a connection that has nothing to do with it.
fn night() -> Vec<u8> {
    let mut tape = Tape::new();
    let mut http = tape.open(EHR, 51_000, SocketAddrV4::new(*ENGINE.ip(), 8_080));
    tape.segment(&mut http, 0, "A", b"GET /status HTTP/1.1\r\nHost: engine\r\n\r\n");
    tape.segment(&mut http, 1, "A", b"HTTP/1.1 204 No Content\r\n\r\n");
    let ehr = tape.open(EHR, 50_001, ENGINE);
    // The portal is not up yet.
    let client = SocketAddrV4::new(*ENGINE.ip(), 40_001);
    let mut refused = Tcp { client, server: PORTAL, seq: [5, 0] };
    tape.segment(&mut refused, 0, "S", b"");
    tape.segment(&mut refused, 1, "RA", b"");
    tape.wait(2_000);
    let engine = tape.open(*ENGINE.ip(), 40_002, PORTAL);
    let mut night = Night { tape, ehr, engine };
    for number in 0..24 {
        night.send(&format!("F{number:03}"), &Fate::Answered("AA"));
    }
    night.send("ERROR", &Fate::Answered("AE"));
    night.send("SILENT", &Fate::Silent);
    night.send("LOST", &Fate::NotSentOn);
    night.send("SLOW", &Fate::AnsweredAfter(5_000));
    night.send("LATE", &Fate::AnsweredAfter(40_000));
    night.tape.wait(1_200_000);
    // At the end one message is under way, and one has just been accepted by the engine.
    night.send("PENDING", &Fate::NotSentOn);
    night.tape.message(&mut night.engine, &result("P-WAITING", "WAITING"));
    night.tape.wait(5_000);
    night.tape.close(&mut http);
    night.tape.file
}

fn replay(
    folder: &Path,
    name: &str,
    bytes: &[u8],
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap();
    let done = command(&[&["replay", path], arguments].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

fn json(folder: &Path, bytes: &[u8], arguments: &[&str]) -> Value {
    let arguments = [&["--json"], arguments].concat();
    // Recognised by its magic, whatever its name.
    let (code, out, error) = replay(folder, "night.dat", bytes, &arguments);
    assert_eq!(code, Some(0), "{error}");
    for word in ["DOE", "JANE", "4711", "mmol"] {
        assert!(!out.contains(word), "{word} is patient data");
    }
    serde_json::from_str(&out).unwrap()
}

fn row<'a>(rows: &'a Value, id: &str) -> &'a Value {
    let mut rows = rows.as_array().unwrap().iter();
    rows.find(|row| row["control_id"] == id).unwrap_or(&Value::Null)
}

#[test]
fn a_capture_says_what_was_refused_unanswered_late_or_lost() {
    let folder = tempfile::tempdir().unwrap();
    let all = json(folder.path(), &night(), &[]);
    let capture = &all["capture"];
    let rows = &capture["gaps"]["rows"];
    for (id, class, there) in [
        ("S-ERROR", "refused", Some("P-ERROR")),
        ("S-SILENT", "never_answered", Some("P-SILENT")),
        ("S-LOST", "never_seen_next", None),
        ("S-LATE", "accepted_late", Some("P-LATE")),
    ] {
        let row = row(rows, id);
        assert_eq!(row["class"], class, "{row}");
        assert_eq!(row["control_id_there"].as_str(), there, "{row}");
        assert_eq!(row["waypoint"], "10-0-0-7-6662", "{row}");
        assert_eq!(row["closed"].is_string(), id == "S-LATE", "{row}");
    }
    assert_eq!(rows.as_array().unwrap().len(), 4, "{rows:#}");
    let counted = |class: &str| {
        let counts = capture["gaps"]["counts"].as_array().unwrap().iter();
        counts.filter(|c| c["class"] == class).filter_map(|c| c["messages"].as_u64()).sum::<u64>()
    };
    assert_eq!((counted("accepted"), counted("accepted_late")), (24, 2), "{capture:#}");
    // The capture's end is nobody's fault.
    assert_eq!(capture["open_at_end"], 2, "{capture:#}");
    assert_eq!(row(&capture["open_rows"], "S-PENDING")["waits_for"], "the next waypoint");
    assert_eq!(row(&capture["open_rows"], "P-WAITING")["waits_for"], "an answer");
    assert_eq!(all["outcomes"]["open"], 1);
    let route =
        capture["routes"].as_array().unwrap().iter().find(|r| r["feeds"][0] == "LAB ORU^R01");
    assert_eq!(route.unwrap()["waypoints"], serde_json::json!(["10-0-0-5-6661", "10-0-0-7-6662"]));
    assert_eq!(capture["refused"][0]["endpoint"], PORTAL.to_string());
    assert_eq!(capture["refused"][0]["refused"], 1);
    assert_eq!(capture["connections_not_mllp"], 1);
    assert_eq!((&capture["connections"], &capture["capture_gaps"]), (&3.into(), &0.into()));
    let first = capture["incidents"][0]["since"].as_str().unwrap();
    assert!(first.starts_with("2026-03-01T02:"), "{capture:#}");
}

/// A configuration of both links of [`night`], and where it is.
fn configured(folder: &std::path::Path) -> std::path::PathBuf {
    let config = folder.join("config.yaml");
    let yaml = "store: {folder: unused}\n\
        waypoints:\n\
        \x20 - {name: engine-in, key: preset}\n\
        \x20 - {name: portal-in, key: preset, no_ack_after: 60s}\n\
        routes:\n\
        \x20 - {name: r, waypoints: [engine-in, portal-in]}\n\
        mllp:\n\
        \x20 listeners:\n\
        \x20   - {waypoint: engine-in, listen: \"0.0.0.0:6661\", forward: \"engine.example:7000\"}\n\
        \x20   - {waypoint: portal-in, listen: \"0.0.0.0:7662\", forward: \"10.0.0.7:6662\"}\n\
        feeds:\n\
        \x20 - {name: lab-results, route: r, senders: [LAB]}\n";
    std::fs::write(&config, yaml).unwrap();
    config
}

#[test]
fn a_configuration_names_what_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path());
    let all = json(folder.path(), &night(), &["--config", config.to_str().unwrap()]);
    let capture = &all["capture"];
    let names: Vec<&str> = capture["waypoints"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|w| w["name"].as_str())
        .collect();
    assert_eq!(names, ["engine-in", "portal-in"]);
    let rows = &capture["gaps"]["rows"];
    assert_eq!(row(rows, "S-LOST")["waypoint"], "portal-in");
    assert_eq!(row(rows, "S-LOST")["feed"], "lab-results");
    // A minute is enough here: what came after forty seconds was in time.
    let ids: Vec<&str> =
        rows.as_array().unwrap().iter().filter_map(|row| row["control_id"].as_str()).collect();
    assert!(!ids.contains(&"S-LATE"), "{ids:?}");
}

/// `learn` reads captures as `replay` does: on their own time, at the endpoints that are configured.
#[test]
fn a_capture_teaches_what_is_usual_at_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path());
    let tape = folder.path().join("night.pcap");
    std::fs::write(&tape, night()).unwrap();
    let (config, tape) = (config.to_str().unwrap(), tape.to_str().unwrap());
    let done = command(&["learn", "--config", config, "--from", tape, "--json", "--dry-run"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    let source = &said["sources"][0];
    assert!(source["from"].as_str().unwrap().starts_with("2026-03-01T02:"), "{source:#}");
    let feed = &source["feeds"][0];
    assert_eq!((&feed["feed"], &feed["state"]), (&"lab-results".into(), &"learning".into()));
    assert_eq!(feed["messages"], 31, "one of them only at the second waypoint: {source:#}");
    let link = source["links"].as_array().unwrap().iter().find(|l| l["waypoint"] == "portal-in");
    assert_eq!(link.unwrap()["answers"], 27, "{source:#}");
}

#[test]
fn frames_have_their_time_connection_and_direction() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = replay(folder.path(), "night.pcap", &night(), &["--jsonl"]);
    assert_eq!(code, Some(0));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |id: &str| lines.iter().find(|l| l["msh10"] == id || l["msa2"] == id).unwrap();
    let line = of("P-ERROR");
    assert_eq!(line["sender_address"], "10.0.0.5:40002");
    assert_eq!(
        (&line["receiver_address"], &line["direction"]),
        (&"10.0.0.7:6662".into(), &"to_receiver".into())
    );
    assert!(line["at"].as_str().unwrap().starts_with("2026-03-01T02:00:"), "{line}");
    let answers = lines.iter().filter(|l| l["direction"] == "to_sender").count();
    assert_eq!(answers, lines.iter().filter(|l| l["msa1"].is_string()).count());
}

#[test]
fn a_cut_off_capture_counts_up_to_there_and_a_damaged_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    let night = night();
    let (code, out, error) =
        replay(folder.path(), "cut.pcap", &night[..night.len() - 30], &["--json"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(error.contains("cut.pcap: cut off: a packet begins at byte"), "{error}");
    let all: Value = serde_json::from_str(&out).unwrap();
    assert!(all["capture"]["files"][0]["error"].as_str().unwrap().contains("cut off"));
    assert!(all["messages"].as_u64().unwrap() > 50);
    let damaged = [&night[..2_000], &[0xFF; 4_096]].concat();
    let (code, out, error) = replay(folder.path(), "damaged.pcap", &damaged, &[]);
    assert_eq!(code, Some(65), "{error}");
    assert!(error.contains("damaged at byte") && out.contains("packets"), "{error}{out}");
    for (name, bytes) in [("empty.pcap", &b""[..]), ("text.pcapng", b"MSH|^~\\&|EHR\r")] {
        let (code, _, error) = replay(folder.path(), name, bytes, &[]);
        assert_eq!(code, Some(65), "{error}");
        assert!(error.contains(name) && error.contains("neither pcap nor pcapng"), "{error}");
    }
}

#[test]
fn rotated_files_are_one_capture_and_messages_stand_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let night = night();
    // Cut between two packets in the middle.
    let mut at = 24;
    while at < night.len() / 2 {
        at += 16 + u32::from_le_bytes(*night[at + 8..].first_chunk().unwrap()) as usize;
    }
    let whole = json(folder.path(), &night, &[]);
    std::fs::remove_file(folder.path().join("night.dat")).unwrap();
    // The later one comes first by name.
    std::fs::write(folder.path().join("a.pcap"), [&night[..24], &night[at..]].concat()).unwrap();
    std::fs::write(folder.path().join("b.cap"), &night[..at]).unwrap();
    std::fs::write(folder.path().join("c.hl7"), result("FILE-1", "X")).unwrap();
    let done = command(&["replay", "--json", folder.path().to_str().unwrap()]);
    let both: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(both["capture"]["gaps"], whole["capture"]["gaps"]);
    assert_eq!(both["capture"]["open_rows"], whole["capture"]["open_rows"]);
    let messages = |of: &Value| of["messages"].as_u64().unwrap();
    assert_eq!(messages(&both), messages(&whole) + 1);
}

#[test]
fn a_capture_that_begins_in_the_middle_blames_nobody_for_what_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut tape = Tape::new();
    let client = SocketAddrV4::new(EHR, 50_001);
    let mut tcp = Tcp { client, server: ENGINE, seq: [1_000, 2_000] };
    tape.answer(&mut tcp, "AE", "BEFORE");
    for number in 0..3 {
        let id = format!("M{number}");
        tape.wait(500);
        tape.message(&mut tcp, &result(&id, &id));
        tape.answer(&mut tcp, "AA", &id);
    }
    let all = json(folder.path(), &tape.file, &[]);
    let capture = &all["capture"];
    assert_eq!(capture["waypoints"][0]["endpoint"], ENGINE.to_string());
    assert_eq!(
        (&capture["acks_to_before"], &capture["connections_picked_up"]),
        (&1.into(), &1.into())
    );
    assert_eq!(all["outcomes"]["accepted"], 3);
    assert_eq!((&capture["gaps"]["open"], &all["findings"]), (&0.into(), &serde_json::json!({})));
}

#[test]
fn what_was_not_captured_is_unknown_and_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut tape = Tape::new();
    let mut tcp = tape.open(EHR, 50_001, ENGINE);
    tape.message(&mut tcp, &result("SEEN", "1"));
    // Its ACK was sent, and the sender has it; the file has not.
    let before = tape.file.len();
    tape.segment(&mut tcp, 1, "A", &frame(b"MSH|^~\\&|R|B|S|A|1||ACK|K|P|2.5\rMSA|AA|SEEN\r"));
    tape.file.truncate(before);
    tape.segment(&mut tcp, 0, "A", b"");
    for number in 0..3 {
        let id = format!("M{number}");
        tape.wait(60_000);
        tape.message(&mut tcp, &result(&id, &id));
        tape.answer(&mut tcp, "AA", &id);
    }
    tape.wait(120_000);
    tape.close(&mut tcp);
    let all = json(folder.path(), &tape.file, &[]);
    let capture = &all["capture"];
    assert_eq!(capture["capture_gaps"], 1, "{capture:#}");
    assert_eq!(row(&capture["gaps"]["rows"], "SEEN")["class"], "unknown", "{capture:#}");
    assert_eq!((&all["outcomes"]["accepted"], &all["outcomes"]["unknown"]), (&3.into(), &1.into()));
}
