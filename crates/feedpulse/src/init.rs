//! `feedpulse init`: writes the configuration of what was seen, so that nobody types 200 feeds.

use crate::cli::{DATA, Failure, InitArgs, UNAVAILABLE};
use crate::config::Config;
use crate::replay::Replay;
use crate::{config, files, run};
#[cfg(feature = "kafka")]
use anyhow::Context as _;
use anyhow::anyhow;
use feedpulse_core::key::SiteKey;
use feedpulse_core::view::{FeedView, View};
use feedpulse_hl7::decode::DecodeConfig;
use feedpulse_taps::capture::is_capture;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Fewest ACKs from which an objective is derived.
const ENOUGH_ACKS: u64 = 20;

/// Runs the command; the configuration goes to standard output.
pub(crate) fn main(args: &InitArgs) -> Result<(), Failure> {
    let time = Duration::try_from(args.time).unwrap_or_default();
    let text = if args.from == "live" {
        live(args, time)?
    } else if let Some(topic) = args.from.strip_prefix("kafka://") {
        from_topic(topic, time)?
    } else {
        from_files(&args.from)?
    };
    print!("{text}");
    Ok(())
}

fn from_files(path: &str) -> Result<String, Failure> {
    let list = files::list(&[PathBuf::from(path)])?;
    let mut replay = Replay::new(DecodeConfig::new(SiteKey::new([0; 16])));
    let bar = files::progress(list.len(), "files");
    for file in &list {
        let bytes = files::read(file)?;
        if is_capture(&bytes) {
            let what = "is a capture, and `init` reads messages: name files of messages, or `live`";
            return Err(Failure::new(DATA, anyhow!("{}: {what}", file.display())));
        }
        replay.file(&bytes);
        files::advance(&bar);
    }
    bar.finish_and_clear();
    let tap = "# Messages came from files; this watches a folder. Use mllp or kafka for a live stream.\n\
               files:\n  - {watch: /var/spool/hl7, waypoint: feed-in}\n";
    Ok(write(&replay.view(), "feed-in", tap))
}

fn live(args: &InitArgs, time: Duration) -> Result<String, Failure> {
    let usage = || {
        Failure::new(64, anyhow!("--from live also needs --listen ADDR and --forward HOST:PORT"))
    };
    let listen = args.listen.ok_or_else(usage)?;
    let forward = args.forward.clone().ok_or_else(usage)?;
    if time.is_zero() {
        return Err(Failure::new(64, anyhow!("for how long? such as `init --from live 10m`")));
    }
    let folder = std::env::temp_dir().join(format!("feedpulse-init-{}", std::process::id()));
    let tap = format!(
        "mllp:\n  listeners:\n    - {{waypoint: feed-in, listen: \"{listen}\", forward: {forward:?}}}\n"
    );
    let text = format!("store: {{folder: {folder:?}}}\nwaypoints: [{{name: feed-in}}]\n{tap}");
    let config = own(&text)?;
    let runtime = run::runtime()?;
    let view = runtime.block_on(async {
        let options = run::Options { watcher: None, keep_wire: false, quiet: true, file: None };
        let running = run::start(config, options).await?;
        eprintln!("listening on {listen} for {time:?}; end earlier with Ctrl-C");
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        let view = running.view();
        running.stop().await;
        Ok::<_, Failure>(view)
    })?;
    let _ = std::fs::remove_dir_all(&folder);
    Ok(write(&view, "feed-in", &tap))
}

fn own(text: &str) -> Result<Config, Failure> {
    config::load(text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(crate::cli::CONFIG, anyhow!(lines.join("\n")))
    })
}

#[cfg(feature = "kafka")]
fn from_topic(place: &str, time: Duration) -> Result<String, Failure> {
    let (broker, topic) = place
        .split_once('/')
        .ok_or_else(|| Failure::new(64, anyhow!("write kafka://BROKER:PORT/TOPIC")))?;
    let options =
        std::collections::BTreeMap::from([("bootstrap.servers".to_owned(), broker.to_owned())]);
    let limit = time.min(Duration::from_secs(60));
    let records = feedpulse_kafka::sample(&options, topic, 10_000, limit)
        .context("read the topic")
        .map_err(|e| Failure::new(UNAVAILABLE, e))?;
    let mut replay = Replay::new(DecodeConfig::new(SiteKey::new([0; 16])));
    for (_, value) in &records {
        replay.file(value);
    }
    let tap = format!(
        "kafka:\n  - brokers: [{broker:?}]\n    topics:\n      - {{topic: {topic:?}, waypoint: feed-in}}\n"
    );
    Ok(write(&replay.view(), "feed-in", &tap))
}

#[cfg(not(feature = "kafka"))]
fn from_topic(_: &str, _: Duration) -> Result<String, Failure> {
    let _ = (UNAVAILABLE, |e: anyhow::Error| e.context(""));
    Err(Failure::new(UNAVAILABLE, anyhow!("this build has no Kafka")))
}

/// The configuration of a picture.
fn write(view: &View, waypoint: &str, tap: &str) -> String {
    let mut text = String::from(
        "# Written by `feedpulse init` from what it saw. Read it, then `feedpulse validate` it.\n\
         site: my-site\nstore: {folder: feedpulse-data}\n\
         # In a feed's first 14 days nobody is told what is found on it, unless nothing gets through:\n\
         # `feedpulse shadow` lists what would be told, `confirm N` and `dismiss N` judge it. With\n\
         # `notify: live`, here or at a feed, people are told at once.\n\
         alerts: {notify: shadow, shadow_for: 14d}\n",
    );
    let acks = view.waypoints.first().map(|w| &w.ack_time).filter(|h| h.count() >= ENOUGH_ACKS);
    let ack_time = acks.and_then(|h| h.quantile(0.99)).map(objective);
    let objective = match ack_time {
        Some(time) => format!(", ack_time: {time}"),
        None => String::new(),
    };
    let _ = write!(text, "waypoints:\n  - {{name: {waypoint}{objective}}}\n{tap}");
    text.push_str("ops: {listen: \"127.0.0.1:9464\"}\nui: {listen: \"127.0.0.1:8080\"}\nfeeds:\n");
    let mut feeds: Vec<&FeedView> = view.feeds.iter().filter(|f| f.seen > 0).collect();
    feeds.sort_by(|a, b| b.seen.cmp(&a.seen).then(a.name.cmp(&b.name)));
    for feed in &feeds {
        let (sender, code) = feed.name.rsplit_once(' ').unwrap_or((feed.name.as_str(), "-"));
        let _ = write!(text, "  - {{name: {:?}, route: {waypoint}", feed.name);
        // A dash stands for an empty field, which cannot be declared.
        if sender != "-" {
            let _ = write!(text, ", senders: [{sender:?}]");
        }
        if code != "-" && code.bytes().all(|b| b.is_ascii_alphanumeric()) {
            let _ = write!(text, ", types: [{code}]");
        }
        let _ = writeln!(text, "}} # {} messages", feed.seen);
    }
    if feeds.is_empty() {
        text.push_str("  [] # nothing was seen\n");
    }
    text
}

/// Twice the observed 99th percentile, rounded up to 100 ms.
fn objective(p99_micros: u64) -> String {
    format!("{}ms", (p99_micros * 2 / 1_000).div_ceil(100).max(1) * 100)
}
