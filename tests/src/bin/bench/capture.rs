//! Passive capture: packets replayed on a veth pair, 100,000 a second, past the product with a `capture`
//! tap and everything else on (decoding, engine, store).
//!
//! Each sample is this program run again in a network namespace of its own, where it starts the product
//! beside it, opens connections, and sends messages of 700 bytes and answers, each with the TCP ACK of the
//! other side: four packets a message. What was dropped is what the kernel says; processor time is that of
//! the whole product. The sender shares the machine with it.

use crate::Result;
use crate::figure::{Figure, Missing, Target};
use crate::harness::{Harness, median};
use feedpulse_sim::frame;
use feedpulse_tests::packets::{Line, Packet, REPLAYED, Tcp};
use feedpulse_tests::parts::{free_address, get, wait_until};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Its name.
pub(crate) const GROUP: &str = "capture";
/// The first argument that makes this program the inside of a sample.
pub(crate) const VERB: &str = "captured";

/// Packets a second that are aimed at.
const RATE: u64 = 110_000;
/// Packets of a sample: three seconds at that rate. They are made before the clock starts, so that the
/// sender leaves the processors to the product and to the kernel.
const PACKETS: usize = 330_000;
/// Packets that are sent without a look at the clock.
const BURST: usize = 110;
const CONNECTIONS: u16 = 64;
const PORT: u16 = 6_661;
const PATIENCE: Duration = Duration::from_secs(60);

/// What a sample gives, in this order, on one line.
const NUMBERS: usize = 6;

/// See the module.
pub(crate) fn run(harness: &mut Harness) -> Result<Vec<Figure>> {
    let program = crate::process::program()?;
    let mut samples: Vec<[f64; NUMBERS]> = Vec::new();
    for _ in 0..harness.rounds() {
        samples.push(sample(&program)?);
    }
    let of = |n: usize| median(samples.iter().map(|sample| sample[n]).collect());
    let worst = |n: usize| samples.iter().map(|sample| sample[n]).fold(0.0, f64::max);
    let alone = |name: &str, value, target| Figure::alone(GROUP, name, value, target);
    Ok(vec![
        alone("packets replayed a second", of(0), Some(Target::OursAtLeast(100_000.0))),
        alone("packets dropped, worst round", worst(1), Some(Target::OursAtMost(0.0))),
        alone("gaps in connections, worst round", worst(2), Some(Target::OursAtMost(0.0))),
        alone("messages not seen, worst round", worst(3), Some(Target::OursAtMost(0.0))),
        alone("cores that the product took", of(4), Some(Target::OursAtMost(1.0))),
        alone("its VmRSS at the end, MB", of(5), None),
    ])
}

fn sample(program: &Path) -> Result<[f64; NUMBERS]> {
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    unshare.arg("--net").arg(std::env::current_exe()?).arg(VERB).arg(program);
    let output = unshare.stdin(Stdio::null()).output();
    let output = output.map_err(|_| Missing("no `unshare`; install util-linux".to_owned()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers =
        said.split_whitespace().map(str::parse).collect::<std::result::Result<Vec<f64>, _>>();
    match numbers {
        Ok(numbers) if output.status.success() && numbers.len() == NUMBERS => {
            numbers.try_into().map_err(|_| "a sample without numbers".into())
        }
        _ => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// One sample, inside of its namespace; prints its numbers.
pub(crate) fn inside(words: &[String]) -> ExitCode {
    let Some(program) = words.first() else { return ExitCode::from(64) };
    match measure(Path::new(program)) {
        Ok(numbers) => {
            println!("{}", numbers.map(|n| n.to_string()).join(" "));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(program: &Path) -> Result<[f64; NUMBERS]> {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    if !up.success() {
        return Err("the loopback of the namespace cannot be set up".into());
    }
    let line = Line::open()?;
    let folder = tempfile::tempdir()?;
    let running = Running::start(program, folder.path())?;
    let traffic = Traffic::new();
    let before = running.processor_time()?;
    let start = Instant::now();
    for (number, burst) in traffic.packets.chunks(BURST).enumerate() {
        let due = Duration::from_micros((number * BURST) as u64 * 1_000_000 / RATE);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        for packet in burst {
            line.send(packet)?;
        }
    }
    let took = start.elapsed();
    let packets = traffic.packets.len() as f64;
    // What it has still to do is part of what it costs.
    let _ = wait_until(PATIENCE, || {
        let seen = running.number("feedpulse_capture_packets_total")?;
        let dropped = running.number("feedpulse_capture_dropped_packets_total")?;
        let answered = running.number("feedpulse_messages_total").unwrap_or(0.0);
        (seen >= packets && (dropped > 0.0 || answered >= traffic.messages as f64)).then_some(())
    });
    let spent = running.processor_time()? - before;
    let number = |name: &str| running.number(name).unwrap_or(f64::NAN);
    Ok([
        packets / took.as_secs_f64(),
        number("feedpulse_capture_dropped_packets_total"),
        number("feedpulse_capture_gaps_total"),
        traffic.messages as f64 - number("feedpulse_messages_total"),
        spent / took.as_secs_f64(),
        running.rss_mb().unwrap_or(f64::NAN),
    ])
}

/// Connections whose messages are answered at once.
struct Traffic {
    packets: Vec<Packet>,
    messages: usize,
}

impl Traffic {
    fn new() -> Self {
        let tcp = |number: u16| Tcp::new(number, PORT, [u32::from(number) << 20, 7]);
        let mut connections: Vec<Tcp> = (0..CONNECTIONS).map(tcp).collect();
        let mut this = Self { packets: Vec::with_capacity(PACKETS), messages: 0 };
        for tcp in &mut connections {
            this.packets.extend(tcp.open());
        }
        let filler = "x".repeat(480);
        while this.packets.len() < PACKETS {
            let id = format!("B{}", this.messages);
            let message = format!(
                "MSH|^~\\&|LAB|NORTH|ENGINE|B|20260301020000+0000||ORU^R01^ORU_R01|{id}|P|2.5.1\r\
                 PID|1||4711^^^A||DOE^JANE\rOBR|1||{id}|GLU|||20260301015900+0000\r\
                 OBX|1|TX|GLU||{filler}||||||F\r"
            );
            let ack = format!(
                "MSH|^~\\&|ENGINE|B|LAB|NORTH|20260301020000+0000||ACK|K{id}|P|2.5.1\r\
                 MSA|AA|{id}\r"
            );
            let number = this.messages % connections.len();
            let tcp = &mut connections[number];
            this.packets.extend([
                tcp.packet(0, "A", &frame(message.as_bytes())),
                tcp.packet(1, "A", b""),
                tcp.packet(1, "A", &frame(ack.as_bytes())),
                tcp.packet(0, "A", b""),
            ]);
            this.messages += 1;
        }
        this
    }
}

/// The product, ended when dropped.
struct Running {
    child: Child,
    ops: SocketAddr,
}

impl Running {
    fn start(program: &Path, folder: &Path) -> Result<Self> {
        let ops = free_address()?;
        let file = folder.join("feedpulse.yaml");
        let text = format!(
            "store: {{folder: '{}'}}\nwaypoints: [{{name: engine-in}}]\n\
             capture: {{interfaces: [{REPLAYED}], endpoints: [{{waypoint: engine-in, port: {PORT}}}]}}\n\
             ops: {{listen: '{ops}'}}\n",
            folder.join("store").display()
        );
        fs::write(&file, text)?;
        let log = fs::File::create(folder.join("log"))?;
        let mut run = Command::new(program);
        run.args(["run", "--config"]).arg(&file).current_dir(folder).stdin(Stdio::null());
        let child = run.stdout(log.try_clone()?).stderr(log).spawn()?;
        let running = Self { child, ops };
        let ready = || get(ops, "/readyz").is_ok_and(|answer| answer.is_success()).then_some(());
        if wait_until(PATIENCE, ready).is_none() {
            let said = fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(format!("it was not ready: {said}").into());
        }
        Ok(running)
    }

    /// The sum of a family's points in /metrics.
    fn number(&self, family: &str) -> Option<f64> {
        let metrics = get(self.ops, "/metrics").ok()?.body;
        let points = metrics.lines().filter_map(|line| {
            let rest = line.strip_prefix(family)?;
            rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        let points: Vec<f64> = points.collect();
        (!points.is_empty()).then(|| points.iter().sum())
    }

    /// Seconds of processor time so far, of all its threads.
    fn processor_time(&self) -> Result<f64> {
        let mut nanos = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // One that ends meanwhile is none that works.
            let Ok(stat) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            let spent = stat.split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
            nanos += spent.ok_or("this kernel keeps no schedstat")?;
        }
        Ok(nanos / 1e9)
    }

    fn rss_mb(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024.0 / 1e6)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
