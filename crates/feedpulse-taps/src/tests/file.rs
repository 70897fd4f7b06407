//! The file tap on temporary folders.

use super::Kept;
use crate::file::{Clock, FileSource, FileTap, FileTapConfig, FileTapConfigError, FileTapError};
use crate::read::PieceReader;
use crate::watch::{Ledger, Stamp};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::tap::Tapped;
use feedpulse_core::time::Timestamp;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn clock() -> Clock {
    Arc::new(|| Timestamp::from_secs(5))
}

fn tap(source: FileSource, kept: &Kept) -> FileTap {
    let config = FileTapConfig::new("f", source, WaypointId(1), clock()).unwrap();
    FileTap::new(config, &kept.positions())
}

async fn once(paths: &[&Path], kept: &Kept) -> Result<(), FileTapError> {
    let source = FileSource::Once(paths.iter().map(|path| path.to_path_buf()).collect());
    tap(source, kept).run(kept.clone(), CancellationToken::new()).await
}

#[tokio::test]
async fn files_and_folders_are_read_once_and_never_twice() {
    let folder = TempDir::new().unwrap();
    let (a, b) = (folder.path().join("a.hl7"), folder.path().join("sub/b.hl7"));
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(&a, "MSH|^~\\&|A\rPID|1\r\rMSH|^~\\&|B\r").unwrap();
    fs::write(&b, "\x0bMSH|^~\\&|C\r\x1c\r\x0bMSH|^~\\&|D\r\x1c\r").unwrap();
    fs::write(folder.path().join(".hidden"), "MSH|^~\\&|X").unwrap();
    fs::write(folder.path().join("half.tmp"), "MSH|^~\\&|X").unwrap();
    let kept = Kept::default();
    once(&[folder.path()], &kept).await.unwrap();
    let all = ["MSH|^~\\&|A\rPID|1", "MSH|^~\\&|B", "MSH|^~\\&|C\r", "MSH|^~\\&|D\r"];
    assert_eq!(kept.frames(), all);
    let connections = kept.pick(|item| match item {
        Tapped::Frame(frame) => Some(frame.connection),
        _ => None,
    });
    assert!(connections[0] == connections[1] && connections[1] != connections[2]);
    once(&[folder.path()], &kept).await.unwrap();
    assert_eq!(kept.frames().len(), 4, "the stored positions are at the ends");
    fs::OpenOptions::new().append(true).open(&a).unwrap().write_all(b"MSH|^~\\&|E\r").unwrap();
    once(&[&a], &kept).await.unwrap();
    assert_eq!(kept.frames()[4..], ["MSH|^~\\&|E"]);
    assert_eq!(fs::read(&b).unwrap().len(), 28, "files are left as they are");
}

#[tokio::test]
async fn what_cannot_be_read_is_named_after_the_rest_was_read() {
    let folder = TempDir::new().unwrap();
    let (a, gone) = (folder.path().join("a.hl7"), folder.path().join("gone.hl7"));
    fs::write(&a, "MSH|^~\\&|A").unwrap();
    let kept = Kept::default();
    let error = once(&[&gone, &a], &kept).await.unwrap_err();
    assert_eq!(error.path, gone);
    assert_eq!(kept.frames(), ["MSH|^~\\&|A"]);
}

#[tokio::test]
async fn a_stream_is_read_to_its_end() {
    let kept = Kept::default();
    let text = "MSH|^~\\&|A\r".repeat(5000);
    let source = FileSource::Stream(Box::new(std::io::Cursor::new(text)));
    tap(source, &kept).run(kept.clone(), CancellationToken::new()).await.unwrap();
    assert_eq!(kept.frames().len(), 5000);
    assert!(kept.positions().is_empty());
}

#[test]
fn a_reader_that_gives_little_at_a_time_changes_nothing() {
    struct Drip(Vec<u8>, usize);
    impl std::io::Read for Drip {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = into.len().min(7).min(self.0.len() - self.1);
            into[..count].copy_from_slice(&self.0[self.1..self.1 + count]);
            self.1 += count;
            Ok(count)
        }
    }
    let big = format!("MSH|^~\\&|A\rOBX|1||||{}\r", "x".repeat(300_000));
    let text = format!("{big}{big}\n\nMSH|^~\\&|B");
    let mut reader = PieceReader::new(Box::new(Drip(text.clone().into_bytes(), 0)), 10);
    let mut sizes = Vec::new();
    while let Some(piece) = reader.next().unwrap() {
        sizes.push(piece.len());
    }
    assert_eq!(sizes, [big.len() - 1, big.len() - 1, 10]);
    assert_eq!(reader.offset(), 10 + text.len() as u64);
}

#[test]
fn a_file_is_ready_when_it_has_settled_or_was_moved_in() {
    let (second, settle) = (Duration::from_secs(1), Duration::from_secs(2));
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.hl7");
    let stamp = |text: &str| {
        fs::write(&path, text).unwrap();
        Stamp::of(&fs::metadata(&path).unwrap())
    };
    let mut ledger = Ledger::default();
    let one = stamp("one");
    assert_eq!(ledger.see(&path, one, second, settle, false), None);
    assert!(ledger.unsettled());
    assert_eq!(ledger.see(&path, one, second, settle, false), None);
    assert_eq!(ledger.see(&path, one, second, settle, false), Some(0));
    ledger.done(&path, 3);
    assert_eq!(ledger.see(&path, one, second, settle, false), None);
    assert!(!ledger.unsettled());
    // It grows: reading goes on behind what is done, once it has settled again.
    let more = stamp("one two");
    assert_eq!(ledger.see(&path, more, second, settle, false), None);
    assert_eq!(ledger.see(&path, more, settle, settle, false), Some(3));
    ledger.done(&path, 7);
    // It is written anew, shorter.
    let short = stamp("x");
    assert_eq!(ledger.see(&path, short, second, settle, false), None);
    assert_eq!(ledger.see(&path, short, settle, settle, false), Some(0));
    ledger.done(&path, 1);
    // Another file is moved over it.
    let other = folder.path().join("b.hl7");
    fs::write(&other, "y").unwrap();
    let moved = Stamp::of(&fs::metadata(&other).unwrap());
    assert_eq!(ledger.see(&path, moved, second, settle, true), Some(0));
    ledger.retain(&[]);
    assert!(!ledger.unsettled());
    ledger.restore(PathBuf::from("z"), moved.identity, 1);
    assert_eq!(ledger.see(Path::new("z"), moved, second, settle, true), None);
}

#[tokio::test]
async fn a_watched_folder_yields_files_as_they_come() {
    let folder = TempDir::new().unwrap();
    let kept = Kept::default();
    fs::write(folder.path().join("early.hl7"), "MSH|^~\\&|A").unwrap();
    for round in 0..2 {
        let source = FileSource::Watch(folder.path().to_owned());
        let stop = CancellationToken::new();
        let body = async {
            kept.until(|kept| !kept.frames().is_empty()).await;
            let temporary = folder.path().join("late.tmp");
            fs::write(&temporary, "MSH|^~\\&|B").unwrap();
            let late = folder.path().join(format!("late{round}.hl7"));
            fs::rename(temporary, late).unwrap();
            let frames = round + 2;
            tokio::time::timeout(
                Duration::from_secs(60),
                kept.until(|kept| kept.frames().len() >= frames),
            )
            .await
            .unwrap();
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(tap(source, &kept).run(kept.clone(), stop.clone()), body);
        ended.unwrap();
    }
    assert_eq!(kept.frames(), ["MSH|^~\\&|A", "MSH|^~\\&|B", "MSH|^~\\&|B"]);
    assert!(!kept.pick(|item| matches!(item, Tapped::Alive(_)).then_some(())).is_empty());
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told_and_read_when_it_is() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("in");
    let kept = Kept::default();
    let stop = CancellationToken::new();
    let own = |kept: &Kept| {
        kept.pick(|item| match item {
            Tapped::Own(own) => Some((own.failing, own.detail.as_str().to_owned())),
            _ => None,
        })
    };
    tokio::time::pause();
    let source = FileSource::Watch(folder.clone());
    let body = async {
        kept.until(|kept| own(kept).len() == 1).await;
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.hl7"), "MSH|^~\\&|A").unwrap();
        kept.until(|kept| kept.frames().len() == 1 && own(kept).len() == 2).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(tap(source, &kept).run(kept.clone(), stop.clone()), body);
    ended.unwrap();
    assert_eq!(own(&kept), [(true, "notfound".to_owned()), (false, "reading".to_owned())]);
}

#[test]
fn configurations_are_checked() {
    let new = |name: &str, source| FileTapConfig::new(name, source, WaypointId(0), clock());
    let here = || FileSource::Watch(PathBuf::from("."));
    assert_eq!(new("", here()).unwrap_err(), FileTapConfigError::NoName);
    let none = new("f", FileSource::Once(Vec::new())).unwrap_err();
    assert!(matches!(none, FileTapConfigError::NoPath(_)));
    let short = new("f", here()).unwrap().settle(Duration::ZERO).unwrap_err();
    assert!(matches!(short, FileTapConfigError::Settle(_)));
}
