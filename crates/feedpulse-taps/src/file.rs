//! The `file` tap: files and folders once, standard input once, or a folder that is watched.
//!
//! Files are read, never modified, moved or locked. A file of a watched folder is taken when its
//! size and time have not changed for [`FileTapConfig::settle`] or when it was moved in; when it
//! grows later, reading goes on where it ended. Its position is the byte up to which it was handed
//! over, under its path and its identity (device and inode), so that a restart reads nothing twice
//! and a new file under an old name is read from its start.

use crate::read::PieceReader;
use crate::watch::{Ledger, Notices, Stamp, look};
use feedpulse_core::codes::Code;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::input::OwnState;
use feedpulse_core::label::Label;
use feedpulse_core::tap::{Intake, IntakeClosed, Position, TapBatch, Tapped};
use feedpulse_core::time::Timestamp;
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Message bytes in one batch, about.
const BATCH_BYTES: usize = 256 << 10;
/// Messages in one batch.
const BATCH_FRAMES: usize = 1024;
/// A watched folder is read this often even without a notice.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Sign of life; unsettled files are looked at as often.
const TICK: Duration = Duration::from_secs(1);

/// Tells the time; the binary gives its clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where the bytes are.
pub enum FileSource {
    /// These files, and all files in these folders and below, in order of name; once.
    Once(Vec<PathBuf>),
    /// A stream without a name (standard input), to its end; once. Not resumable.
    Stream(Box<dyn Read + Send + Sync>),
    /// The files directly in this folder, as they come.
    Watch(PathBuf),
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once(paths) => f.debug_tuple("Once").field(paths).finish(),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Watch(folder) => f.debug_tuple("Watch").field(folder).finish(),
        }
    }
}

/// What the tap reads and where it belongs.
pub struct FileTapConfig {
    name: String,
    source: FileSource,
    waypoint: WaypointId,
    clock: Clock,
    settle: Duration,
}

impl fmt::Debug for FileTapConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTapConfig")
            .field("name", &self.name)
            .field("source", &self.source)
            .field("settle", &self.settle)
            .finish_non_exhaustive()
    }
}

/// Why a configuration is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileTapConfigError {
    /// Without a name its positions have no owner.
    #[error("a file tap needs a name")]
    NoName,
    /// Nothing to read.
    #[error("file tap `{0}` has no path")]
    NoPath(String),
    /// Too short to tell anything, or too long to wait.
    #[error("file tap `{0}`: settle must be from 1 s to 1 h")]
    Settle(String),
}

impl FileTapConfig {
    /// A tap on files. A file of a watched folder settles for 2 s before it is read.
    ///
    /// # Errors
    /// What is missing.
    pub fn new(
        name: impl Into<String>,
        source: FileSource,
        waypoint: WaypointId,
        clock: Clock,
    ) -> Result<Self, FileTapConfigError> {
        let name = name.into();
        if name.is_empty() {
            return Err(FileTapConfigError::NoName);
        }
        if matches!(&source, FileSource::Once(paths) if paths.is_empty()) {
            return Err(FileTapConfigError::NoPath(name));
        }
        Ok(Self { name, source, waypoint, clock, settle: Duration::from_secs(2) })
    }

    /// How long a file of a watched folder must be unchanged before it is read, from 1 s to 1 h.
    ///
    /// # Errors
    /// It is out of this range.
    pub fn settle(mut self, settle: Duration) -> Result<Self, FileTapConfigError> {
        if !(Duration::from_secs(1)..=Duration::from_hours(1)).contains(&settle) {
            return Err(FileTapConfigError::Settle(self.name));
        }
        self.settle = settle;
        Ok(self)
    }
}

/// A source that could not be read to its end; what came before was handed over.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub struct FileTapError {
    /// Which.
    pub path: PathBuf,
    /// The operating system's answer.
    #[source]
    pub source: io::Error,
}

/// The tap.
#[derive(Debug)]
pub struct FileTap {
    name: String,
    waypoint: WaypointId,
    clock: ClockBox,
    settle: Duration,
    source: Option<FileSource>,
    positions: Vec<Position>,
    failing: bool,
}

struct ClockBox(Clock);

impl fmt::Debug for ClockBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// How reading one file ended, other than at its end.
enum Stop {
    Closed,
    Cancelled,
    Failed(FileTapError),
}

impl From<IntakeClosed> for Stop {
    fn from(_: IntakeClosed) -> Self {
        Self::Closed
    }
}

impl FileTap {
    /// With the positions that were stored for it (others are ignored).
    #[must_use]
    pub fn new(config: FileTapConfig, positions: &[Position]) -> Self {
        let FileTapConfig { name, source, waypoint, clock, settle } = config;
        let mine = |position: &&Position| position.tap == name;
        let positions = positions.iter().filter(mine).cloned().collect();
        let (clock, source) = (ClockBox(clock), Some(source));
        Self { name, waypoint, clock, settle, source, positions, failing: false }
    }

    /// Reads to the end of its source (a watched folder has none), until `stop`, or until nobody
    /// takes its batches.
    ///
    /// # Errors
    /// The first source of a single pass that could not be read; the others were read all the same.
    /// A watched folder or a file in it that cannot be read is told as an own state and tried again.
    pub async fn run(
        mut self,
        mut intake: impl Intake,
        stop: CancellationToken,
    ) -> Result<(), FileTapError> {
        match self.source.take() {
            None => Ok(()),
            Some(FileSource::Stream(source)) => {
                let lane = Lane { path: PathBuf::new(), identity: 0, stored: false };
                let reader = PieceReader::new(source, 0);
                self.single(self.drain(reader, &lane, &mut intake, &stop).await)
            }
            Some(FileSource::Once(paths)) => self.once(paths, &mut intake, &stop).await,
            Some(FileSource::Watch(folder)) => {
                match self.watch(&folder, &mut intake, &stop).await {
                    Ok(()) | Err(IntakeClosed) => Ok(()),
                }
            }
        }
    }

    fn single(&self, result: Result<u64, Stop>) -> Result<(), FileTapError> {
        match result {
            Ok(_) | Err(Stop::Closed | Stop::Cancelled) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    async fn once(
        &mut self,
        paths: Vec<PathBuf>,
        intake: &mut impl Intake,
        stop: &CancellationToken,
    ) -> Result<(), FileTapError> {
        let mut first = None;
        for path in paths {
            let files = match blocking(&path, |path| {
                let meta = std::fs::metadata(path)?;
                if meta.is_dir() {
                    look(path, true)
                } else {
                    Ok(vec![(path.to_owned(), Stamp::of(&meta))])
                }
            })
            .await
            {
                Ok(files) => files,
                Err(error) => {
                    first.get_or_insert(error);
                    continue;
                }
            };
            for (path, stamp) in files {
                let from = self.stored(&path, stamp);
                match self.read(&path, from, intake, stop).await {
                    Ok(_) => {}
                    Err(Stop::Closed | Stop::Cancelled) => return first.map_or(Ok(()), Err),
                    Err(Stop::Failed(error)) => drop(first.get_or_insert(error)),
                }
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Where an earlier run had come to in this very file.
    fn stored(&self, path: &Path, stamp: Stamp) -> u64 {
        let lane = path.to_string_lossy();
        self.positions
            .iter()
            .find(|position| position.lane == lane && position.epoch == stamp.identity)
            .map_or(0, |position| position.offset)
            .min(stamp.size)
    }

    async fn watch(
        &mut self,
        folder: &Path,
        intake: &mut impl Intake,
        stop: &CancellationToken,
    ) -> Result<(), IntakeClosed> {
        let mut ledger = Ledger::default();
        for position in self.positions.drain(..) {
            ledger.restore(PathBuf::from(position.lane), position.epoch, position.offset);
        }
        let mut notices = Notices::of(folder);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked: Option<Instant> = None;
        let mut changed = true;
        loop {
            let mut moved = Vec::new();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = tick.tick() => {
                    let items = vec![Tapped::Alive(self.waypoint)];
                    intake.put(TapBatch { items, ..TapBatch::default() }).await?;
                }
                Some(notice) = notices.next() => {
                    changed = true;
                    moved.extend(notice.moved_in);
                }
            }
            moved.extend(notices.waiting());
            let since = looked.map_or(Duration::ZERO, |looked| looked.elapsed());
            let due = looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY);
            if !(changed || due || ledger.unsettled()) {
                continue;
            }
            changed = false;
            looked = Some(Instant::now());
            match self.look(folder, &mut ledger, (since, &moved), intake, stop).await {
                Ok(()) => self.tell(None, intake).await?,
                Err(Stop::Failed(error)) => self.tell(Some(&error), intake).await?,
                Err(Stop::Cancelled) => return Ok(()),
                Err(Stop::Closed) => return Err(IntakeClosed),
            }
        }
    }

    /// One look at the folder, and all files that are ready.
    async fn look(
        &self,
        folder: &Path,
        ledger: &mut Ledger,
        (since, moved): (Duration, &[PathBuf]),
        intake: &mut impl Intake,
        stop: &CancellationToken,
    ) -> Result<(), Stop> {
        let there = blocking(folder, |folder| look(folder, false)).await.map_err(Stop::Failed)?;
        ledger.retain(&there);
        let mut failed = None;
        for (path, stamp) in there {
            let moved_in = moved.contains(&path);
            let Some(from) = ledger.see(&path, stamp, since, self.settle, moved_in) else {
                continue;
            };
            match self.read(&path, from, intake, stop).await {
                Ok(done) => ledger.done(&path, done),
                Err(Stop::Failed(error)) => drop(failed.get_or_insert(error)),
                Err(other) => return Err(other),
            }
        }
        failed.map_or(Ok(()), |error| Err(Stop::Failed(error)))
    }

    /// Tells when the tap begins or ends to fail.
    async fn tell(
        &mut self,
        error: Option<&FileTapError>,
        intake: &mut impl Intake,
    ) -> Result<(), IntakeClosed> {
        if self.failing == error.is_some() {
            return Ok(());
        }
        self.failing = error.is_some();
        let detail = error.map_or_else(
            || "reading".to_owned(),
            |error| format!("{:?}", error.source.kind()).to_lowercase(),
        );
        let own = OwnState {
            part: Label::from(self.name.as_str()),
            code: Code::TapDown,
            failing: self.failing,
            detail: Label::from(detail.as_str()),
            dropped: 0,
        };
        intake.put(TapBatch { items: vec![Tapped::Own(own)], ..TapBatch::default() }).await
    }

    /// Reads a file from an offset to its present end. Gives the offset reached.
    async fn read(
        &self,
        path: &Path,
        from: u64,
        intake: &mut impl Intake,
        stop: &CancellationToken,
    ) -> Result<u64, Stop> {
        let opened = blocking(path, move |path| {
            let mut file = File::open(path)?;
            let stamp = Stamp::of(&file.metadata()?);
            let from = if from > stamp.size { 0 } else { from };
            file.seek(SeekFrom::Start(from))?;
            // What is written behind this size is read when it has settled, too.
            Ok((file.take(stamp.size - from), stamp, from))
        });
        let (file, stamp, from) = opened.await.map_err(Stop::Failed)?;
        let lane = Lane { path: path.to_owned(), identity: stamp.identity, stored: true };
        let reader = PieceReader::new(Box::new(file), from);
        self.drain(reader, &lane, intake, stop).await
    }

    async fn drain(
        &self,
        mut reader: PieceReader,
        lane: &Lane,
        intake: &mut impl Intake,
        stop: &CancellationToken,
    ) -> Result<u64, Stop> {
        loop {
            if stop.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            let (back, pieces, ended) = tokio::select! {
                () = stop.cancelled() => return Err(Stop::Cancelled),
                some = some_pieces(reader) => some,
            };
            reader = back;
            let at = (self.clock.0)();
            let items = pieces.into_iter().map(|bytes| self.frame(bytes, at, lane)).collect();
            let position = Position {
                tap: self.name.clone(),
                lane: lane.path.to_string_lossy().into_owned(),
                epoch: lane.identity,
                offset: reader.offset(),
            };
            let positions = if lane.stored { vec![position] } else { Vec::new() };
            intake.put(TapBatch { items, positions, done: None }).await?;
            match ended {
                None => {}
                Some(Ok(())) => return Ok(reader.offset()),
                Some(Err(source)) => {
                    let path = lane.path.clone();
                    return Err(Stop::Failed(FileTapError { path, source }));
                }
            }
        }
    }

    fn frame(&self, bytes: Vec<u8>, at: Timestamp, lane: &Lane) -> Tapped {
        Tapped::Frame(Frame {
            bytes: Phi::new(bytes),
            at,
            waypoint: self.waypoint,
            connection: lane.connection(),
            direction: Direction::ToReceiver,
            trace: None,
        })
    }
}

struct Lane {
    path: PathBuf,
    identity: u128,
    stored: bool,
}

impl Lane {
    fn connection(&self) -> ConnectionId {
        let mut hasher = DefaultHasher::new();
        (self.path.as_os_str(), self.identity).hash(&mut hasher);
        ConnectionId(hasher.finish())
    }
}

type Pieces = (PieceReader, Vec<Vec<u8>>, Option<io::Result<()>>);

/// Reads the pieces of one batch; the third says how the source ended, if it did.
async fn some_pieces(reader: PieceReader) -> Pieces {
    let read = tokio::task::spawn_blocking(move || {
        let (mut reader, mut pieces, mut bytes) = (reader, Vec::new(), 0);
        while bytes < BATCH_BYTES && pieces.len() < BATCH_FRAMES {
            match reader.next() {
                Ok(Some(piece)) => {
                    bytes += piece.len();
                    pieces.push(piece);
                }
                Ok(None) => return (reader, pieces, Some(Ok(()))),
                Err(error) => return (reader, pieces, Some(Err(error))),
            }
        }
        (reader, pieces, None)
    });
    match read.await {
        Ok(pieces) => pieces,
        Err(error) => {
            // The runtime is ending: nothing was read.
            let nothing = PieceReader::new(Box::new(io::empty()), 0);
            (nothing, Vec::new(), Some(Err(io::Error::other(error))))
        }
    }
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, FileTapError> {
    let owned = path.to_owned();
    let result = tokio::task::spawn_blocking(move || work(&owned)).await;
    let result = result.unwrap_or_else(|error| Err(io::Error::other(error)));
    result.map_err(|source| FileTapError { path: path.to_owned(), source })
}
