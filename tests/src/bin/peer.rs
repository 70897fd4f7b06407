//! What stands around Feedpulse in a pod of the tests, as a program, since it must run in the pod's
//! network: a clinic (engine and portal), a sender, and somebody who asks for a page.
#![forbid(unsafe_code)]

use feedpulse_tests::clinic::{Clinic, Lab, send_all};
use feedpulse_tests::parts::get;
use rustix::net::{AddressFamily, SocketType, socket};
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;

const USAGE: &str = "\
peer clinic ENGINE PORTAL      listens; the engine sends on to $PORTAL; prints `open`, then for each line
                               on standard input how many messages the portal has; ends with the input
peer send ADDRESS COUNT        sends results over one connection; prints a line for each that is accepted
peer get ADDRESS PATH          prints the status and the body
peer packets                   prints `open` where this process may read packets, else `refused`";

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["clinic", engine, portal] => clinic(engine.parse()?, portal.parse()?),
        ["send", address, count] => send(address.parse()?, count.parse()?),
        ["get", address, path] => {
            let answer = get(address.parse()?, path)?;
            println!("{}\n{}", answer.status, answer.body);
            Ok(())
        }
        ["packets"] => {
            let raw = socket(AddressFamily::PACKET, SocketType::RAW, None);
            println!("{}", if raw.is_ok() { "open" } else { "refused" });
            // Stays until it is looked at and ended.
            std::io::stdin().lock().lines().try_for_each(|line| line.map(drop))?;
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn clinic(engine: SocketAddr, portal: SocketAddr) -> Result<(), Box<dyn Error>> {
    let clinic = Clinic::open_at(engine, portal)?;
    if let Ok(next) = std::env::var("PORTAL") {
        clinic.send_on_to(next.parse()?);
    }
    println!("open");
    for line in std::io::stdin().lock().lines() {
        line?;
        println!("{}", clinic.has_arrived());
    }
    Ok(())
}

fn send(to: SocketAddr, count: u32) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    // Unique over all senders of a test: the process id of the pod's pid namespace is not.
    let run = std::time::UNIX_EPOCH.elapsed()?.as_nanos();
    let lab = |number| Lab::new(&format!("{run:x}-{number}"), number);
    let sent = send_all(to, (0..count).map(lab), |accepted| {
        let _ = writeln!(out, "{accepted}"); // Nobody has to read it.
        let _ = out.flush();
    })?;
    if sent == usize::try_from(count)? {
        Ok(())
    } else {
        Err(format!("only {sent} accepted").into())
    }
}
