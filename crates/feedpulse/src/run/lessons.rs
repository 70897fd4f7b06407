//! Takes lessons up that `feedpulse learn` left in the store's folder: at the start, and every ten
//! seconds while running. They are inputs like others: logged, and taken over once for each content.

use super::pipeline::Shared;
use super::side::SideBox;
use crate::lessons::{BAD, DONE, FILE, read};
use feedpulse_core::input::Input;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(10);
/// What the engine has not taken by then is handed over again.
const AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked at whether the engine has them.
const SOON: Duration = Duration::from_secs(2);

/// Looks for lessons.
#[derive(Debug)]
pub(super) struct Watch {
    folder: PathBuf,
    side: SideBox,
    shared: Shared,
    /// The file that was handed to the engine.
    handed: Option<Handed>,
}

/// A file whose lessons are on their way.
#[derive(Debug)]
struct Handed {
    changed: Option<SystemTime>,
    /// The numbers of its lessons.
    numbers: Vec<u64>,
    at: Instant,
}

impl Watch {
    pub(super) fn new(folder: &Path, side: SideBox, shared: Shared) -> Self {
        Self { folder: folder.to_owned(), side, shared, handed: None }
    }

    /// Looks until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            self = match looked.await {
                Ok(back) => back,
                Err(error) => {
                    tracing::error!("lessons are not looked for any more: {error}");
                    return;
                }
            };
            let pause = if self.handed.is_some() { SOON } else { EVERY };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn look(&mut self) {
        let path = self.folder.join(FILE);
        let Ok(meta) = std::fs::metadata(&path) else {
            self.handed = None;
            return;
        };
        let changed = meta.modified().ok();
        // It stays until the engine has them: a crash before that takes them up again.
        if let Some(handed) = self.handed.as_ref().filter(|handed| handed.changed == changed) {
            let known = &self.shared.get().lessons;
            if handed.numbers.iter().all(|number| known.contains(number)) {
                tracing::info!(lessons = handed.numbers.len(), "lessons were taken over");
                self.set_aside(&path, DONE);
                return;
            }
            // A full side box may have shed them.
            if handed.at.elapsed() < AGAIN {
                return;
            }
        }
        match read(&path) {
            Ok(lessons) => {
                let numbers = lessons.iter().map(|lesson| lesson.id).collect();
                for lesson in lessons {
                    self.side.put(Input::Learned(Box::new(lesson)));
                }
                self.handed = Some(Handed { changed, numbers, at: Instant::now() });
            }
            Err(why) => {
                tracing::error!("{} is passed over: {why}", path.display());
                self.set_aside(&path, BAD);
            }
        }
    }

    fn set_aside(&mut self, path: &Path, name: &str) {
        match std::fs::rename(path, self.folder.join(name)) {
            Ok(()) => self.handed = None,
            Err(error) => tracing::warn!("{} cannot be renamed: {error}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BAD, DONE, FILE, Watch};
    use crate::lessons::{deliver, numbered};
    use crate::run::pipeline::Shared;
    use crate::run::side::SideBox;
    use feedpulse_core::engine::learned::Learned;
    use feedpulse_core::input::Input;
    use feedpulse_core::view::View;

    #[test]
    fn lessons_are_handed_over_once_and_set_aside_when_the_engine_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let (side, shared) = (SideBox::default(), Shared::default());
        let mut watch = Watch::new(folder.path(), side.clone(), shared.clone());
        watch.look();
        assert!(side.take().is_empty());
        let lessons = numbered(vec![Learned::default()]);
        deliver(folder.path(), &lessons).unwrap();
        watch.look();
        let handed: Vec<Input> = side.take().into();
        assert_eq!(handed, [Input::Learned(Box::new(lessons[0].clone()))]);
        watch.look();
        assert!(side.take().is_empty() && folder.path().join(FILE).exists());
        shared.set(View { lessons: vec![lessons[0].id], ..View::default() });
        watch.look();
        assert!(folder.path().join(DONE).exists() && !folder.path().join(FILE).exists());

        std::fs::write(folder.path().join(FILE), b"FPLEARN\x01 and no more").unwrap();
        watch.look();
        assert!(side.take().is_empty() && folder.path().join(BAD).exists());
    }
}
