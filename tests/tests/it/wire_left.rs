//! A wire that outlived its run holds the port: whoever starts a run with another store is told so.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::parts::free_address;
use feedpulse_tests::product::command;
use std::process::{Child, Command, Stdio};

/// A wire that goes with its test, however that ends.
struct Left(Child);

impl Drop for Left {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_port_that_a_wire_of_another_run_holds_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (listen, forward) = (free_address().unwrap(), free_address().unwrap());
    let socket = folder.path().join("first").join("wire.sock");
    let wire = Command::new(feedpulse_tests::product::binary())
        .args(["wire", "--socket", socket.to_str().unwrap(), "--ring-bytes", "64KiB", "--listen"])
        .arg(format!("in={listen},forward={forward}"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let wire = Left(wire);
    let up = feedpulse_tests::parts::wait_until(std::time::Duration::from_secs(60), || {
        std::net::TcpStream::connect(listen).ok()
    });
    assert!(up.is_some(), "the wire listens");
    let config = folder.path().join("feedpulse.yaml");
    let text = format!(
        "store: {{folder: {:?}}}\nwaypoints: [{{name: in}}]\nmllp:\n  listeners:\n    \
         - {{waypoint: in, listen: \"{listen}\", forward: \"{forward}\"}}\n",
        folder.path().join("second")
    );
    std::fs::write(&config, text).unwrap();
    let run = || {
        let done = command(&["run", "--config", config.to_str().unwrap()]);
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (status, said) = run();
    assert_eq!(status, Some(69), "{said}");
    let pid = wire.0.id();
    for part in [
        format!(
            "{listen} is held by the wire of another run (process {pid}, socket {}",
            socket.display()
        ),
        "To go on with it".to_owned(),
        format!("kill {pid}"),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
    // Its folder was removed: nothing can take it over.
    std::fs::remove_dir_all(folder.path().join("first")).unwrap();
    let (_, said) = run();
    assert!(
        said.contains("no run can go on with it") && said.contains(&format!("kill {pid}")),
        "{said}"
    );
    drop(wire);
    // Another program has no name here.
    let _other = std::net::TcpListener::bind(listen).unwrap();
    let (_, said) = run();
    assert!(said.contains("another program listens there"), "{said}");
}
