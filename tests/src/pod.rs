//! A rendered pod as processes: one network namespace, and each container in namespaces of its own with
//! what its manifest says and nothing else: arguments, environment, mounts, user, capabilities. A
//! stand-in for a kubelet where none can run; it needs root.
//!
//! Not like a kubelet: no cgroup (limits of memory are not held), no seccomp profile, and a container's
//! root holds the machine's `/usr`, since the programs of tests are linked to its libraries.

use crate::manifests::containers;
use crate::parts::wait_until;
use crate::product::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use tempfile::TempDir;

/// A pod's own address, beside loopback.
pub const ADDRESS: &str = "10.244.0.7";

/// What a container runs: a program of this machine, and its first arguments.
#[derive(Clone, Debug)]
pub struct Image {
    /// The program.
    pub program: PathBuf,
    /// Arguments before those of the manifest.
    pub arguments: Vec<String>,
}

/// A pod: its network lives as long as this.
#[derive(Debug)]
pub struct Pod {
    spec: Value,
    folder: TempDir,
    pause: Child,
    /// For containers that name none, as a platform gives it: the group is 0.
    user: u32,
}

/// Makes the container's root in a mount namespace of its own and becomes the program.
const HEAD: &str = r#"set -eu
root=$1; shift
mount -t tmpfs -o mode=0755 image "$root"
for dir in usr bin lib lib64; do
  if [ -L "/$dir" ]; then cp -P "/$dir" "$root/$dir"
  elif [ -d "/$dir" ]; then mkdir "$root/$dir"; mount --bind "/$dir" "$root/$dir"; mount -o remount,bind,ro "$root/$dir"; fi
done
mkdir "$root/proc" "$root/dev" "$root/etc" "$root/tmp"; chmod 1777 "$root/tmp"
mount -t proc proc "$root/proc"
for file in null urandom; do : >"$root/dev/$file"; mount --bind "/dev/$file" "$root/dev/$file"; done
printf '127.0.0.1 localhost portal.example\n' >"$root/etc/hosts"
printf 'hosts: files\n' >"$root/etc/nsswitch.conf"
"#;

impl Pod {
    /// Makes the network and the volumes. None, after a sentence, where this process is not root.
    ///
    /// # Panics
    /// With `CI=true` where it is not root; and when a namespace cannot be made.
    #[must_use]
    pub fn start(pod: &Value, objects: &[Value]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            assert!(!xtask::cmd::in_ci(), "in CI nothing may be skipped: a pod needs root");
            let _ =
                writeln!(std::io::stderr(), "SKIPPED pods as processes: only root may make them");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("feedpulse-pod-").tempdir();
        let folder = folder.expect("a temporary folder can be made");
        // Other users pass through it to their volumes.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let script = format!(
            "ip link set lo up && ip address add {ADDRESS}/32 dev lo && echo up && exec cat >/dev/null"
        );
        let mut pause = Command::new("unshare");
        pause.args(["--net", "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut pause = pause.spawn().expect("unshare can be started");
        let mut line = String::new();
        let out = pause.stdout.take().expect("its output is piped");
        BufReader::new(out).read_line(&mut line).expect("it says that it is up");
        assert_eq!(line, "up\n", "the pod's network cannot be made");
        let random = std::process::id().wrapping_mul(2_654_435_761) % 100_000_000;
        let this = Self { spec: pod["spec"].clone(), folder, pause, user: 1_000_000_000 + random };
        this.make_volumes(objects);
        Some(this)
    }

    fn make_volumes(&self, objects: &[Value]) {
        let group = self.spec["securityContext"]["fsGroup"].as_u64();
        for volume in self.spec["volumes"].as_array().into_iter().flatten() {
            let path = self.volume(volume["name"].as_str().unwrap_or_default());
            fs::create_dir_all(&path).expect("the pod's folder can be written");
            if let Some(name) = volume["configMap"]["name"].as_str() {
                let map = crate::manifests::find(objects, "ConfigMap", name);
                write_config_map(&path, &map["data"]);
            } else if let Some(group) = group.and_then(|group| u32::try_from(group).ok()) {
                chown(&path, None, Some(group)).expect("root may");
                fs::set_permissions(&path, Permissions::from_mode(0o2777)).expect("root may");
            } else {
                // As the kubelet makes an emptyDir.
                fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("root may");
            }
        }
    }

    /// The folder of a volume.
    #[must_use]
    pub fn volume(&self, name: &str) -> PathBuf {
        self.folder.path().join("volumes").join(name)
    }

    /// The user of a container that its manifest leaves to the platform.
    #[must_use]
    pub const fn platform_user(&self) -> u32 {
        self.user
    }

    /// A command in the pod's network, and in nothing else of it.
    #[must_use]
    pub fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter"]);
        command.arg(format!("--net=/proc/{}/ns/net", self.pause.id())).arg(program);
        command
    }

    /// Starts a container as its manifest says.
    ///
    /// # Panics
    /// When the manifest has none of that name, or it cannot be started.
    #[must_use]
    pub fn run(&self, name: &str, image: &Image) -> Container {
        let pod = serde_json::json!({ "spec": self.spec });
        let container = containers(&pod).find(|c| c["name"] == name).cloned();
        let container = container.expect("the manifest has a container of that name");
        let root = self.folder.path().join(format!("root-{name}"));
        fs::create_dir_all(&root).expect("the pod's folder can be written");
        let mut run = self.inside(Path::new("unshare"));
        run.args(["--mount", "--pid", "--fork", "--kill-child=KILL", "sh", "-c"]);
        run.arg(self.script(&container, image)).arg(name).arg(&root).args(&image.arguments);
        let strings = |key: &str| -> Vec<String> {
            let all = container[key].as_array().into_iter().flatten();
            all.filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        run.args(strings("args"));
        let log = self.folder.path().join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("it can be written");
        run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = run.spawn().expect("a container can be started");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let lines = output.map(|out| BufReader::new(out).lines());
        Container { child, input, lines, log }
    }

    fn script(&self, container: &Value, image: &Image) -> String {
        let mut script = HEAD.to_owned();
        let program = image.program.display();
        // A String takes everything.
        let _ =
            writeln!(script, ": >\"$root/program\"; mount --bind '{program}' \"$root/program\"");
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let volume = self.volume(mount["name"].as_str().unwrap_or_default());
            let at = format!("\"$root\"'{}'", mount["mountPath"].as_str().unwrap_or_default());
            let _ = writeln!(script, "mkdir -p {at}; mount --bind '{}' {at}", volume.display());
            if mount["readOnly"] == true {
                let _ = writeln!(script, "mount -o remount,bind,ro {at}");
            }
        }
        let security = &container["securityContext"];
        if security["readOnlyRootFilesystem"] == true {
            script.push_str("mount -o remount,ro \"$root\"\n");
        }
        let _ = writeln!(
            script,
            "exec chroot \"$root\" /usr/bin/setpriv {} -- /usr/bin/env -i PATH=/ {} /program \"$@\"",
            self.privileges(security).join(" "),
            environment(container),
        );
        script
    }

    /// The arguments of setpriv(1) that a security context stands for.
    fn privileges(&self, security: &Value) -> Vec<String> {
        let number = |key: &str| security[key].as_u64();
        let user = number("runAsUser").unwrap_or(u64::from(self.user));
        assert!(user != 0 || security["runAsNonRoot"] != true, "a kubelet would refuse it");
        let group = number("runAsGroup").unwrap_or(0);
        let drops = security["capabilities"]["drop"].as_array();
        assert!(drops.is_some_and(|all| all.iter().any(|c| c == "ALL")), "{security}");
        let mut bounds = "-all".to_owned();
        for added in security["capabilities"]["add"].as_array().into_iter().flatten() {
            let _ = write!(bounds, ",+{}", added.as_str().unwrap_or_default().to_lowercase());
        }
        let mut words = vec![
            format!("--reuid={user}"),
            format!("--regid={group}"),
            match self.spec["securityContext"]["fsGroup"].as_u64() {
                Some(extra) => format!("--groups={extra}"),
                None => "--clear-groups".to_owned(),
            },
            format!("--bounding-set={bounds}"),
            "--inh-caps=-all".to_owned(),
            "--ambient-caps=-all".to_owned(),
        ];
        if security["allowPrivilegeEscalation"] == false {
            words.push("--no-new-privs".to_owned());
        }
        words
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.pause.kill();
        let _ = self.pause.wait();
    }
}

fn environment(container: &Value) -> String {
    let all = container["env"].as_array().into_iter().flatten();
    let pairs = all.filter_map(|pair| {
        Some(format!("'{}={}'", pair["name"].as_str()?, pair["value"].as_str()?))
    });
    pairs.collect::<Vec<_>>().join(" ")
}

/// As the kubelet lays a ConfigMap out: a folder that is swapped whole by a link.
fn write_config_map(folder: &Path, data: &Value) {
    let now = folder.join("..now");
    fs::create_dir_all(&now).expect("the volume can be written");
    symlink("..now", folder.join("..data")).expect("a new folder has no link yet");
    for (name, text) in data.as_object().into_iter().flatten() {
        fs::write(now.join(name), text.as_str().unwrap_or_default()).expect("it can be written");
        symlink(format!("..data/{name}"), folder.join(name)).expect("it is not there yet");
    }
}

/// A running container.
#[derive(Debug)]
pub struct Container {
    child: Child,
    input: Option<ChildStdin>,
    lines: Option<std::io::Lines<BufReader<std::process::ChildStdout>>>,
    log: PathBuf,
}

impl Container {
    /// The next line of its standard output; empty at its end.
    pub fn line(&mut self) -> String {
        self.lines.as_mut().and_then(Iterator::next).and_then(Result::ok).unwrap_or_default()
    }

    /// Writes a line to its standard input and reads the one that answers.
    pub fn ask(&mut self, line: &str) -> String {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{line}"); // One that has ended answers nothing.
        }
        self.line()
    }

    /// What it wrote to standard error, in all its lives.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process as this machine sees it; None once it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// A field of `/proc/PID/status`, such as `CapEff`.
    #[must_use]
    pub fn status(&self, field: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    }

    /// Sends its process a signal; it is process 1 of its namespace, as in a pod. One that is about to
    /// start is waited for.
    pub fn signal(&mut self, signal: Signal) {
        let pid = wait_until(PATIENCE, || match self.child.try_wait() {
            Ok(None) => self.pid().map(Some),
            _ => Some(None),
        });
        if let Some(pid) = pid.flatten().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal); // It may have ended by itself.
        }
    }

    /// Waits for its end; None when it does not come.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        wait_until(PATIENCE, || self.child.try_wait().ok().flatten())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The way of --kill-child: what runs in it ends with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
