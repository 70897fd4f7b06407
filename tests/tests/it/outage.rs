//! What Feedpulse needs goes away and comes back: the stream does not notice, no count is lost,
//! and Feedpulse says so itself.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use crate::identity::{Stage, assert_each_counted_once, assert_identical};
use feedpulse_sim::{BlastReport, Inbox};
use feedpulse_tests::parts::{Alertmanager, Collector};
use feedpulse_tests::product::Product;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const ROUND: u64 = 2_000;

fn wait_state(product: &mut Product, code: &str, state: &str) {
    product.wait(&format!("{code} {state}"), |p| p.incident(code).filter(|i| i["state"] == state));
}

fn round(stage: &Stage, sent: &mut Vec<BlastReport>) {
    sent.push(stage.end(stage.stream(ROUND, sent.len() as u64)));
}

#[test]
fn without_collector_and_alertmanager_nothing_is_lost_and_both_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut collector) = Collector::start(&folder.path().join("otlp.jsonl")) else { return };
    let Some(mut alertmanager) = Alertmanager::start() else { return };
    let elsewhere = tokio::runtime::Runtime::new().unwrap();
    let inbox = elsewhere.block_on(Inbox::start()).unwrap();
    let mut stage = Stage::with(|setup| {
        setup.more = format!(
            "otlp: {{endpoint: \"http://{}\", metrics_every: 1s}}\n\
             alertmanager: {{urls: [\"http://{}\"], resend_every: 5s}}\n\
             webhooks:\n  - {{name: hook, url: \"http://{}/hook\"}}\n",
            collector.grpc(),
            alertmanager.address(),
            inbox.address(),
        );
    });
    let mut sent = Vec::new();
    round(&stage, &mut sent);
    stage.product.wait("spans arrive", |_| {
        collector.lines().iter().any(|line| line["resourceSpans"].is_array()).then_some(())
    });
    collector.stop();
    alertmanager.stop();
    round(&stage, &mut sent);
    for code in ["FP0902", "FP0903"] {
        wait_state(&mut stage.product, code, "open");
    }
    // The way that still works tells of the one that does not.
    stage.product.wait("a notice", |_| {
        let bodies = inbox.bodies("/hook");
        let mut notices =
            bodies.iter().filter_map(|body| serde_json::from_slice::<Value>(body).ok());
        notices.any(|notice| notice["code"] == "FP0903").then_some(())
    });
    round(&stage, &mut sent);
    collector.restart();
    alertmanager.restart();
    for code in ["FP0902", "FP0903"] {
        wait_state(&mut stage.product, code, "resolved");
    }
    round(&stage, &mut sent);
    assert_identical(&sent, &stage.arrived(sent.len()));
    assert_each_counted_once(&mut stage.product, ROUND * sent.len() as u64);
    assert!(stage.product.stop().success(), "{}", stage.product.said());
}

/// A small disk of its own; unmounted when dropped.
struct Disk(TempDir);

impl Disk {
    /// None, after a sentence, where this process may not mount.
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"]).arg(disk.path());
        let done = mount.output();
        if done.as_ref().is_ok_and(|done| done.status.success()) {
            return Some(disk);
        }
        assert!(std::env::var_os("CI").is_none(), "in CI nothing may be skipped: {done:?}");
        let _ = writeln!(
            std::io::stderr(),
            "skipped: a full disk needs a mount, and only root may: {done:?}"
        );
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the space that is left, into a file that is returned.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = fs::File::options().append(true).create(true).open(&path).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, since a process that is ending may still have files open.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_stops_the_recording_alone_and_is_told() {
    let Some(disk) = Disk::mount() else { return };
    let elsewhere = tokio::runtime::Runtime::new().unwrap();
    let inbox = elsewhere.block_on(Inbox::start()).unwrap();
    let hook = inbox.address();
    let mut stage = Stage::with(|setup| {
        setup.store = Some(disk.path().join("store"));
        setup.more = format!("webhooks:\n  - {{name: hook, url: \"http://{hook}/hook\"}}\n");
    });
    let mut sent = Vec::new();
    round(&stage, &mut sent);
    let filler = disk.fill();
    round(&stage, &mut sent);
    wait_state(&mut stage.product, "FP0904", "open");
    assert_eq!(stage.product.metric("feedpulse_store_recording"), Some(0.0));
    // What cannot be written down is told all the same.
    stage.product.wait("a notice", |_| {
        let bodies = inbox.bodies("/hook");
        let mut notices =
            bodies.iter().filter_map(|body| serde_json::from_slice::<Value>(body).ok());
        notices.any(|notice| notice["code"] == "FP0904").then_some(())
    });
    round(&stage, &mut sent);
    assert_each_counted_once(&mut stage.product, ROUND * 3);
    fs::remove_file(filler).unwrap();
    wait_state(&mut stage.product, "FP0904", "resolved");
    assert_eq!(stage.product.metric("feedpulse_store_recording"), Some(1.0));
    round(&stage, &mut sent);
    assert_each_counted_once(&mut stage.product, ROUND * 4);
    // What was counted while the disk was full is in the store now.
    stage.product.kill9();
    stage.product.start_run();
    round(&stage, &mut sent);
    assert_identical(&sent, &stage.arrived(sent.len()));
    assert_each_counted_once(&mut stage.product, ROUND * 5);
    assert!(stage.product.stop().success(), "{}", stage.product.said());
}
