//! A server process of a test: started on free ports, waited for, and never left behind.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take until it answers; a JVM on a busy machine takes its time.
const READY: Duration = Duration::from_secs(90);

/// How often a server is asked whether it is ready.
const PAUSE: Duration = Duration::from_millis(25);

/// A port that looked free can be taken before the server binds it; then others are tried.
const TRIES: usize = 3;

/// How much of a log an error shows.
const TAIL: usize = 4000;

/// Runs the server ("$@" after the name of the file for its process id) as a child of a shell
/// that ends it when our end of the shell's standard input closes. The kernel closes that when
/// the test process ends, however it ends, so that a server in a static is not left behind.
const WARDEN: &str = r#"
exec 3<&0; file=$1; shift
"$@" </dev/null 3<&- & server=$!
echo $server >"$file.new" && mv "$file.new" "$file"
(cat <&3 >/dev/null; kill -KILL $server) 2>/dev/null & watcher=$!; exec 3<&-
wait $server; code=$?
kill $watcher 2>/dev/null # Or it would later kill whoever has that process id then.
exit $code
"#;

/// Why a real server did not start; the text ends with the tail of its log.
#[derive(Debug)]
pub struct StartError {
    message: String,
    /// True when other ports may help.
    again: bool,
}

impl StartError {
    pub(super) fn new(message: String) -> Self {
        Self { message, again: false }
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(e: io::Error) -> Self {
        Self::new(format!("cannot prepare a server: {e}"))
    }
}

/// A loopback address on which nothing listens at the moment.
///
/// # Errors
/// When the system has no free port.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Asks until the answer is something, at most for `limit`; None when time is up. The last
/// question is asked after the time is up, so that a slow machine is not taken for a slow server.
pub fn wait_until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        let late = Instant::now() >= end;
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if late {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Tries a start on fresh ports while the failure looks like a port that was taken meanwhile.
pub(super) fn with_retries<T>(
    mut start: impl FnMut() -> Result<T, StartError>,
) -> Result<T, StartError> {
    let mut result = start();
    for _ in 1..TRIES {
        match result {
            Err(StartError { again: true, .. }) => result = start(),
            done => return done,
        }
    }
    result
}

/// A server, its folder and the way to start it once more.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    words: Vec<String>,
    child: Option<Child>,
    folder: TempDir,
}

impl Server {
    /// A server that is not started yet, with a folder of its own.
    pub(super) fn new(name: &'static str) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("feedpulse-{name}-")).tempdir()?;
        Ok(Self { name, words: Vec::new(), child: None, folder })
    }

    /// Its temporary folder, which is also its working directory.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The log of everything that it printed.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What to run: the program and its arguments.
    pub(super) fn set_command(&mut self, words: Vec<String>) {
        self.words = words;
    }

    /// Starts it (again) and waits until `ready` says so.
    pub(super) fn start(&mut self, ready: impl Fn() -> bool) -> Result<(), StartError> {
        self.stop();
        let log = File::options().create(true).append(true).open(self.log())?;
        let pid_file = self.folder.path().join("pid");
        let mut warden = Command::new("sh");
        warden.args(["-c", WARDEN, "warden"]).arg(&pid_file).args(&self.words);
        warden.current_dir(self.folder.path()).stdin(Stdio::piped());
        self.child = Some(warden.stdout(log.try_clone()?).stderr(log).spawn()?);
        let outcome = wait_until(READY, || match self.ended() {
            Some(how) => Some(Err(how)),
            None => ready().then_some(Ok(())),
        });
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(how)) => Err(self.failure(&format!("ended with {how} before it was ready"))),
            None => Err(self.failure(&format!("was not ready within {} s", READY.as_secs()))),
        }
    }

    /// How it ended, if it did.
    fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(status.to_string())
    }

    fn failure(&self, what: &str) -> StartError {
        let tail = self.log_tail();
        let again = ["address already in use", "Address already in use", "BindException"]
            .iter()
            .any(|sign| tail.contains(sign));
        StartError { message: format!("{} {what}; the end of its log:\n{tail}", self.name), again }
    }

    /// The last few thousand bytes of its log.
    pub(super) fn log_tail(&self) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        let start = bytes.len().saturating_sub(TAIL);
        String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
    }

    /// The server's own process id while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref()?;
        fs::read_to_string(self.folder.path().join("pid")).ok()?.trim().parse().ok()
    }

    /// Kills it, as a crash would, and waits for its end. Its folder stays.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take()); // The warden's sign.
            let _ = child.wait();
        }
        let _ = fs::remove_file(self.folder.path().join("pid"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(script: &str) -> Server {
        let mut server = Server::new("script").unwrap();
        server.set_command(vec!["sh".into(), "-c".into(), script.into()]);
        server
    }

    /// The warden writes the id down beside the server's first words, not before them.
    fn pid_of(server: &Server) -> u32 {
        for _ in 0..500 {
            if let Some(pid) = server.pid() {
                return pid;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the warden wrote no id");
    }

    fn is_alive(pid: u32) -> bool {
        Path::new("/proc").join(pid.to_string()).exists()
    }

    #[test]
    fn a_stopped_server_is_gone_and_starts_again() {
        let mut s = server("echo started; exec tail -f /dev/null");
        let log = s.log();
        s.start(|| fs::read_to_string(&log).is_ok_and(|t| t.contains("started"))).unwrap();
        let first = pid_of(&s);
        assert!(is_alive(first));
        s.stop();
        assert!(!is_alive(first), "stop waits for the end");
        assert_eq!(s.pid(), None);
        let twice = |t: String| t.matches("started").count() == 2;
        s.start(|| fs::read_to_string(&log).is_ok_and(twice)).unwrap();
        let second = pid_of(&s);
        drop(s);
        assert!(!is_alive(second), "a dropped server is gone");
    }

    #[test]
    fn a_server_that_ends_early_shows_its_log() {
        let mut s = server("echo bad option -z >&2; exit 7");
        let e = s.start(|| false).unwrap_err();
        assert!(e.to_string().contains("exit status: 7"), "{e}");
        assert!(e.to_string().contains("bad option -z"), "{e}");
    }

    #[test]
    fn a_server_that_ended_by_itself_is_not_killed_later() {
        let mut s = server("exit 7");
        assert!(s.start(|| false).is_err());
        // The watcher is a copy of the warden, so it has the warden's command line.
        let folder = s.folder().display().to_string();
        let is_watcher = |process: &fs::DirEntry| {
            let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains(&folder)
        };
        let watchers = || fs::read_dir("/proc").unwrap().flatten().filter(is_watcher).count();
        let gone = wait_until(Duration::from_secs(20), || (watchers() == 0).then_some(()));
        assert!(gone.is_some(), "the watcher waits on");
    }

    #[test]
    fn only_a_taken_port_is_tried_again() {
        let count = |script: &str| {
            let mut tries = 0;
            let e = with_retries(|| {
                tries += 1;
                server(script).start(|| false)
            });
            assert!(e.is_err());
            tries
        };
        assert_eq!(count("echo listen: address already in use; exit 1"), TRIES);
        assert_eq!(count("exit 1"), 1);
    }

    #[test]
    fn a_server_ends_with_the_process_that_started_it() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        // A process that starts a warden and is then killed, as a test runner may be.
        let mut parent = Command::new("sh")
            .args(["-c", r#"mkfifo f; sh -c "$1" warden "$2" tail -f /dev/null <f & exec 9>f; exec tail -f /dev/null"#])
            .args(["parent", WARDEN]).arg(&pid).current_dir(dir.path()).stderr(Stdio::null()).spawn().unwrap();
        let read = || fs::read_to_string(&pid).ok()?.trim().parse().ok();
        let server: u32 = wait_until(Duration::from_secs(20), read).unwrap();
        assert!(is_alive(server));
        parent.kill().unwrap();
        parent.wait().unwrap();
        let gone = wait_until(Duration::from_secs(20), || (!is_alive(server)).then_some(()));
        assert!(gone.is_some(), "the server outlived the process that started it");
    }
}
