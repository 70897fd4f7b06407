//! Ways in for what people and clusters do: the admin socket, where the command line of this machine
//! talks to the running process, and the watch of the own namespace.

use super::side::SideBox;
use crate::cli::{CONFIG, Failure};
use crate::clock;
use feedpulse_core::input::{Input, OperatorAction};
use feedpulse_core::label::Label;
use feedpulse_core::plan::FeedId;
use feedpulse_core::view::View;
use feedpulse_sinks::{NamespaceConfig, NamespaceTask};
use feedpulse_web::{DrillDesk, ServeLimits, Source, local, serve_local, shadow_wire};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// Its name in the store's folder.
pub(crate) const SOCKET: &str = "admin.sock";
/// Most of `/etc/passwd` that is read for a name.
const PASSWD_MAX: usize = 1 << 20;

/// A socket that is removed when it is not served any more.
pub(super) struct Admin {
    listener: UnixListener,
    file: File,
}

struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Admin {
    /// Makes the socket. Whoever calls this holds the store, so one that is there is of a process
    /// that was killed.
    ///
    /// # Errors
    /// The folder cannot be written, or its path is longer than a socket's may be (107 bytes).
    pub(super) fn bind(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let file = File(path);
        std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, file })
    }

    /// Answers until `stop`.
    pub(super) async fn run(
        self,
        source: Arc<dyn Source>,
        drills: Arc<dyn DrillDesk>,
        stop: CancellationToken,
    ) {
        let own = rustix::process::geteuid().as_raw();
        // Until the mode was set others of this machine could connect: they are not let in.
        let who = move |uid: u32| (uid == 0 || uid == own).then(|| name_of(uid));
        serve_local(self.listener, local(source, drills), who, ServeLimits::default(), stop).await;
        drop(self.file);
    }
}

/// The watch of the own namespace: what it sees are changes, as if an operator had posted them.
///
/// # Errors
/// Its configuration cannot work.
pub(super) fn namespace(
    config: &NamespaceConfig,
    side: &SideBox,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let task = NamespaceTask::new(config).map_err(|e| Failure::new(CONFIG, e))?;
    let (changes, own) = (side.clone(), side.clone());
    let report = Arc::new(move |change| {
        changes.put(Input::Operator(OperatorAction::Changed(change)));
    });
    let own = Arc::new(move |state| {
        own.put(Input::Own(state));
    });
    Ok(task.run(Arc::new(clock::now), report, own, stop))
}

/// One log line for each feed that has left its shadow, with what is known of its notices.
pub(super) fn tell_live(before: &View, now: &View) {
    let shadowed = before.feeds.iter().filter(|feed| feed.shadow.holds).map(|feed| feed.id);
    let shadowed: Vec<FeedId> = shadowed.collect();
    let live = now.feeds.iter().filter(|feed| !feed.shadow.holds).map(|feed| feed.id);
    let left: Vec<FeedId> = live.filter(|feed| shadowed.contains(feed)).collect();
    if left.is_empty() {
        return;
    }
    for feed in shadow_wire(now).feeds.iter().filter(|feed| left.contains(&FeedId(feed.id))) {
        let counts = &feed.counts;
        tracing::info!(
            feed = feed.feed,
            pages = counts.pages,
            tickets = counts.tickets,
            confirmed = counts.confirmed,
            dismissed = counts.dismissed,
            precision = counts.precision,
            "people are told about this feed from now on"
        );
    }
}

/// The name of a user of this machine, as far as `/etc/passwd` knows; else its number.
fn name_of(uid: u32) -> Label {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let known = passwd.get(..passwd.len().min(PASSWD_MAX)).and_then(|passwd| name_in(passwd, uid));
    known.unwrap_or_else(|| Label::from(format!("uid {uid}").as_str()))
}

fn name_in(passwd: &str, uid: u32) -> Option<Label> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == uid).then(|| Label::from(name))
    })
}

#[cfg(test)]
mod tests {
    use super::name_in;
    use feedpulse_core::label::Label;

    #[test]
    fn names_come_from_the_passwd_file() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\n:x:7::\nann:x:1000:1000::/home/ann:\n";
        assert_eq!(name_in(passwd, 1000), Some(Label::from("ann")));
        assert_eq!(name_in(passwd, 0), Some(Label::from("root")));
        assert_eq!((name_in(passwd, 7), name_in(passwd, 9)), (None, None));
    }
}
