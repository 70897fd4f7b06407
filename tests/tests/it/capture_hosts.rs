//! A sender on another host and a receiver on this one, which log every byte of each message, and a
//! `capture` tap of the test's own beside the product's, whose frames are compared with those logs.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_core::frame::{Direction, WaypointId};
use feedpulse_core::metrics::{Family, Value};
use feedpulse_core::tap::{Intake, IntakeClosed, TapBatch, Tapped};
use feedpulse_core::time::Timestamp;
use feedpulse_sim::{AckCode, Deframer, Rng, frame, make_ack, read_header};
use feedpulse_taps::capture::live::{CaptureTap, CaptureTapConfig, Numbers, RING};
use feedpulse_taps::capture::{Endpoints, Limits};
use feedpulse_tests::namespace::Host;
use feedpulse_tests::parts::wait_until;
use feedpulse_tests::product::PATIENCE;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// Set for a test's run on the other host: what to send, as [`Plan::write`] has it.
const PLAN: &str = "FEEDPULSE_TEST_SENDER";

/// Microseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "the clock of senders and of the test's own tap")]
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// What a sender does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) to: Vec<SocketAddr>,
    /// Connections to each.
    pub(crate) connections: u64,
    /// Messages on each connection.
    pub(crate) messages: u64,
    /// Most bytes of one.
    pub(crate) longest: u64,
    /// Pause behind each piece of a message, in µs.
    pub(crate) pause_us: u64,
    pub(crate) seed: u64,
}

/// A message, or the answer to one, as the sender logged it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Logged {
    pub(crate) connection: u64,
    /// When its first byte was written, and when its answer was there; µs.
    pub(crate) times: (i64, i64),
    pub(crate) message: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

impl Plan {
    fn write(&self) -> String {
        let to: Vec<String> = self.to.iter().map(ToString::to_string).collect();
        let Self { connections, messages, longest, pause_us, seed, .. } = self;
        format!("{} {connections} {messages} {longest} {pause_us} {seed}", to.join(","))
    }

    fn read(text: &str) -> Self {
        let (to, rest) = text.split_once(' ').unwrap();
        let n: Vec<u64> = rest.split(' ').map(|n| n.parse().unwrap()).collect();
        let to = to.split(',').map(|a| a.parse().unwrap()).collect();
        let [connections, messages, longest, pause_us, seed] = n[..] else {
            unreachable!("written by the test")
        };
        Self { to, connections, messages, longest, pause_us, seed }
    }

    /// Starts it on the other host; `test` is the calling test, which must begin with [`is_sender`].
    pub(crate) fn start(&self, host: &Host, test: &str, folder: &Path) -> Sending {
        let log = folder.join(format!("sent-{}", self.seed));
        let mut command = host.command(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::inherit());
        let child = command.env(PLAN, format!("{}\n{}", log.display(), self.write())).spawn();
        Sending { child: child.unwrap(), log }
    }
}

/// A sender under way.
pub(crate) struct Sending {
    child: Child,
    log: PathBuf,
}

impl Sending {
    /// Waits until all is sent and answered: what was.
    pub(crate) fn end(mut self) -> Vec<Logged> {
        let ended = wait_until(PATIENCE, || self.child.try_wait().unwrap());
        assert!(ended.is_some_and(|status| status.success()), "the sender: {ended:?}");
        read_log(&std::fs::read(&self.log).unwrap())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this run of a test is its sender; it has then sent everything.
pub(crate) fn is_sender() -> bool {
    let Ok(plan) = std::env::var(PLAN) else { return false };
    let (log, plan) = plan.split_once('\n').unwrap();
    let plan = Plan::read(plan);
    let all = Arc::new(Mutex::new(Vec::new()));
    let links = plan.to.iter().flat_map(|to| (0..plan.connections).map(move |n| (*to, n)));
    let threads: Vec<JoinHandle<()>> = links
        .enumerate()
        .map(|(number, (to, _))| {
            let (plan, all) = (plan.clone(), Arc::clone(&all));
            std::thread::spawn(move || send(number as u64, to, &plan, &all))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut bytes = Vec::new();
    for Logged { connection, times, message, answer } in all.lock().unwrap().iter() {
        for number in [*connection, times.0.cast_unsigned(), times.1.cast_unsigned()] {
            bytes.extend(number.to_le_bytes());
        }
        for text in [message, answer] {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text);
        }
    }
    std::fs::write(log, bytes).unwrap();
    true
}

fn read_log(mut bytes: &[u8]) -> Vec<Logged> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let mut number = || {
            let (number, rest) = bytes.split_first_chunk::<8>().unwrap();
            bytes = rest;
            u64::from_le_bytes(*number)
        };
        let (connection, from, to) = (number(), number(), number());
        let mut text = || {
            let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
            let (text, rest) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
            bytes = rest;
            text.to_vec()
        };
        let (message, answer) = (text(), text());
        let times = (from.cast_signed(), to.cast_signed());
        all.push(Logged { connection, times, message, answer });
    }
    all
}

/// A result with as much text as is asked for.
pub(crate) fn message(id: &str, length: u64, rng: &mut Rng) -> Vec<u8> {
    let mut text = format!(
        "MSH|^~\\&|LAB|NORTH|ENGINE|B|20260301020000+0000||ORU^R01^ORU_R01|{id}|P|2.5.1\r\
         PID|1||4711^^^A||DOE^JANE\rOBR|1||{id}|GLU|||20260301015900+0000\rOBX|1|TX|GLU||"
    );
    for _ in 0..length {
        text.push(char::from(b'a' + u8::try_from(rng.below(26)).unwrap()));
    }
    text.push_str("||||||F\r");
    text.into_bytes()
}

fn send(number: u64, to: SocketAddr, plan: &Plan, all: &Mutex<Vec<Logged>>) {
    let mut rng = Rng::fork(plan.seed, &number.to_string());
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut deframer = Deframer::default();
    for count in 0..plan.messages {
        let id = format!("S{}C{number}N{count}", plan.seed);
        let length = 1 + rng.below(plan.longest);
        let message = message(&id, length, &mut rng);
        let framed = frame(&message);
        let from = now_us();
        let mut rest = &framed[..];
        while !rest.is_empty() {
            let cut = if rng.chance(0.5) { rest.len() } else { 1 + rng.index(rest.len()) };
            stream.write_all(&rest[..cut]).unwrap();
            rest = &rest[cut..];
            if plan.pause_us > 0 {
                std::thread::sleep(Duration::from_micros(plan.pause_us));
            }
        }
        let answer = receive(&mut stream, &mut deframer).unwrap().unwrap();
        let times = (from, now_us());
        all.lock().unwrap().push(Logged { connection: number, times, message, answer });
    }
}

fn receive(stream: &mut TcpStream, deframer: &mut Deframer) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = [0; 16_384];
    loop {
        if let Some(content) = deframer.next_frame().unwrap() {
            return Ok(Some(content));
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(None),
            read => deframer.push(&buffer[..read]),
        }
    }
}

/// A receiver that accepts everything.
pub(crate) fn receiver(ip: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut deframer = Deframer::default();
                // A connection that breaks ends its thread; the sender says what was not answered.
                while let Ok(Some(message)) = receive(&mut stream, &mut deframer) {
                    let header = read_header(&message).unwrap();
                    let key = format!("K{}", header.control_id);
                    let ack = make_ack(&header, AckCode::Aa, &key, 0);
                    if stream.write_all(&frame(&ack)).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A tap whose socket is open, and that has no processor yet.
pub(crate) struct Asleep {
    tap: CaptureTap,
    numbers: Numbers,
    opened_us: i64,
}

impl Asleep {
    /// With a ring of so many bytes; each port is a waypoint.
    pub(crate) fn open(interfaces: &[&str], ports: &[u16], ring: usize) -> Self {
        let end = |(n, port): (usize, &u16)| {
            let ends = Endpoints { port: *port, nets: Vec::new() };
            (ends, WaypointId(u16::try_from(n).unwrap()))
        };
        let config = CaptureTapConfig {
            name: "capture".to_owned(),
            interfaces: interfaces.iter().map(ToString::to_string).collect(),
            endpoints: ports.iter().enumerate().map(end).collect(),
            ring,
            limits: Limits::default(),
        };
        let numbers = Numbers::new(ports.iter().map(ToString::to_string).collect());
        let clock = Arc::new(|| Timestamp::from_micros(now_us()));
        let tap = CaptureTap::open(config, &[], clock, numbers.clone()).unwrap();
        Self { tap, numbers, opened_us: now_us() }
    }

    /// Lets it run.
    pub(crate) fn wake(self) -> Tap {
        let Self { tap, numbers, opened_us } = self;
        let (kept, stop) = (Kept::default(), CancellationToken::new());
        let (intake, ended) = (kept.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(tap.run(intake, ended)).unwrap();
        });
        Tap { kept, numbers, stop, thread: Some(thread), opened_us }
    }
}

/// A tap in this process, and what it handed over.
pub(crate) struct Tap {
    kept: Kept,
    numbers: Numbers,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    /// When it was there.
    pub(crate) opened_us: i64,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Tapped>>>);

impl Intake for Kept {
    async fn put(&mut self, batch: TapBatch) -> Result<(), IntakeClosed> {
        self.0.lock().unwrap().extend(batch.items);
        Ok(())
    }
}

impl Tap {
    /// Opens one on all interfaces; each port is a waypoint.
    pub(crate) fn open(ports: &[u16]) -> Self {
        Self::on(&[], ports)
    }

    /// Opens one on these interfaces.
    pub(crate) fn on(interfaces: &[&str], ports: &[u16]) -> Self {
        Asleep::open(interfaces, ports, RING).wake()
    }

    fn pick<T>(&self, pick: impl Fn(&Tapped) -> Option<T>) -> Vec<T> {
        self.kept.0.lock().unwrap().iter().filter_map(pick).collect()
    }

    /// The contents of all frames of a direction, sorted.
    pub(crate) fn frames(&self, direction: Direction) -> Vec<Vec<u8>> {
        let mut frames = self.pick(|item| match item {
            Tapped::Frame(f) if f.direction == direction => Some(f.bytes.expose().clone()),
            _ => None,
        });
        frames.sort();
        frames
    }

    /// Waits until so many frames went to the receiver, or the time is over.
    pub(crate) fn wait(&self, frames: usize) {
        let there = || self.frames(Direction::ToReceiver).len() >= frames;
        let _ = wait_until(PATIENCE, || there().then_some(()));
        // What is behind the last of them, and the numbers of that second.
        let seconds = self.count("alive");
        let _ = wait_until(PATIENCE, || (self.count("alive") > seconds + 2).then_some(()));
    }

    /// Items of a kind: `blind`, `alive`, `unreadable`, or a link event by its beginning.
    pub(crate) fn count(&self, kind: &str) -> usize {
        use feedpulse_core::sighting::Seen;
        let is = |item: &Tapped| match item {
            Tapped::Blind(_) => kind == "blind",
            Tapped::Alive(_) => kind == "alive",
            Tapped::Sighting(s) => match &s.what {
                Seen::Unreadable(_) => kind == "unreadable",
                Seen::Link(event) => format!("{event:?}").starts_with(kind),
                _ => false,
            },
            Tapped::Frame(_) | Tapped::Own(_) | Tapped::Probed(_) => false,
        };
        self.pick(|item| is(item).then_some(())).len()
    }

    /// The sum of a family's points.
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.number_or_none(name).unwrap()
    }

    /// None before the first second is over.
    pub(crate) fn number_or_none(&self, name: &str) -> Option<f64> {
        let families: Vec<Family> = self.numbers.families();
        let family = families.iter().find(|family| family.name == name)?;
        let value = |point: &feedpulse_core::metrics::Point| match &point.value {
            Value::Number(number) => *number,
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            Value::Times(times) => times.count() as f64,
        };
        Some(family.points.iter().map(value).sum())
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
