//! Misbehaves on demand: the beginning of MSH-10 says how. For tests of the host's limits.

mod resets;
mod smuggle;

use feedpulse_check::{About, Check, Finding, Findings, Level, Row, Tick, log, state};

/// Places of the declared fields, behind MSH-10 and PID-5.
const ABOUT: usize = 2;
const RECEIVED: usize = 3;
const EVENT: usize = 4;
const ACK_CODE: usize = 5;
const OUTCOME: usize = 6;

/// Holds nothing but its orders: what is remembered is in the host's state.
struct Troublemaker {
    /// Whether it tries to carry every row out.
    smuggles: bool,
}

/// What [`Troublemaker`] knows to do, by the beginning of MSH-10.
const DEEDS: [(&str, Deed); 19] = [
    ("SEEN", |_, out| {
        out.push(seen());
        Ok(())
    }),
    ("TRAP", |row, _| panic!("the name is {}", row.field(1).text())),
    ("LOOP", |_, _| endless()),
    ("BOMB", |_, _| bomb()),
    ("STACK", |_, _| {
        deep(std::hint::black_box(u64::MAX));
        Ok(())
    }),
    ("ERROR", |row, _| Err(format!("cannot read {}", row.field(1).text()))),
    ("CODE", |_, out| {
        out.push(Finding::new("undeclared", Level::Info));
        Ok(())
    }),
    ("NAME", |row, out| {
        out.push(seen().attr("kind", row.field(1).text()));
        Ok(())
    }),
    ("RANGE", |_, out| {
        out.push(seen().attr("count", 1001));
        Ok(())
    }),
    ("ATTR", |_, out| {
        out.push(seen().attr("surname", "good"));
        Ok(())
    }),
    ("PLACE", |_, out| {
        out.push(seen().at("DOE-1"));
        Ok(())
    }),
    ("TEXT", |row, out| {
        out.push(seen().text(row.field(1).text()));
        Ok(())
    }),
    ("LOUD", |_, out| {
        out.push(Finding { level: Level::Critical, ..seen() });
        Ok(())
    }),
    ("FLOOD", |_, out| {
        (0..1000).for_each(|_| out.push(seen()));
        Ok(())
    }),
    ("COUNT", count),
    ("KEYS", |_, _| (0..2000).try_for_each(|n| state::set(&format!("k{n}"), "v"))),
    ("LOG", |row, _| {
        (0..1000).for_each(|_| log::write(Level::Info, row.field(1).text()));
        Ok(())
    }),
    ("READ", read),
    ("SMUGGLE", smuggle::out),
];

/// One deed.
type Deed = fn(&Row<'_>, &mut Findings) -> Result<(), String>;

impl Check for Troublemaker {
    fn new(settings: &str) -> Result<Self, String> {
        if settings.contains("\"refuse\"") {
            return Err("the setting `refuse` asks me to refuse".to_owned());
        }
        Ok(Self { smuggles: settings.contains("\"smuggle\"") })
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        if self.smuggles {
            return smuggle::out(row, out);
        }
        if !matches!(row.field(ABOUT).about(), None | Some(About::Message)) {
            return resets::watch(row, out);
        }
        let wish = row.field(0).text();
        match DEEDS.iter().find(|(name, _)| wish.starts_with(name)) {
            Some((_, deed)) => deed(row, out),
            None => Ok(()),
        }
    }
}

impl Tick for Troublemaker {
    fn tick(&mut self, feed: &str, _now_ms: u64, out: &mut Findings) -> Result<(), String> {
        if feed == "trap" {
            panic!("asked to");
        }
        out.push(Finding::new("silent", Level::Info));
        Ok(())
    }
}

/// The declared finding.
fn seen() -> Finding {
    Finding::new("seen", Level::Warning)
}

/// The same, with what it is about.
fn seen_with(name: &'static str, value: &str) -> Finding {
    seen().attr(name, value)
}

/// Never ends.
fn endless() -> Result<(), String> {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

/// Takes memory until there is none.
fn bomb() -> Result<(), String> {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

/// Calls itself until the stack ends.
fn deep(n: u64) -> u64 {
    if n == 0 { 0 } else { std::hint::black_box(deep(n - 1)) + 1 }
}

/// Counts in the host's state.
fn count(_: &Row<'_>, out: &mut Findings) -> Result<(), String> {
    let n = state::get("n").and_then(|n| n.parse().ok()).unwrap_or(0_u32) + 1;
    state::set("n", &n.to_string())?;
    out.push(seen().attr("count", n));
    Ok(())
}

/// Uses the grants: says how much it could read.
fn read(row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
    let n = row.get("PID-3").map_or(0, |id| id.len()) + row.raw().map_or(0, |raw| raw.len());
    out.push(seen().attr("count", n));
    Ok(())
}

feedpulse_check::export_with_tick!(Troublemaker);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing;

    #[test]
    fn three_resets_in_a_minute_after_a_refusal_are_told() {
        let row = |about, at, event, code| ["", "", about, at, event, code, ""];
        let reset = |at| row("connection", at, "reset", "");
        let quiet = [reset("1000"), reset("2000"), reset("3000")];
        let refused = [row("ack", "4000", "", "AE"), reset("5000"), reset("70000")];
        let end = [reset("71000"), reset("72000"), reset("73000")];
        let all: Vec<_> = quiet.iter().chain(&refused).chain(&end).map(|r| &r[..]).collect();
        let found = testing::run::<Troublemaker>("{}", "portal", &all).unwrap();
        let told: Vec<_> = found.iter().map(|f| (f.row, f.code)).collect();
        assert_eq!(told, [(Some(7), "resets-after-refusal")]);
    }

    #[test]
    fn counts_in_the_state() {
        let found = testing::run::<Troublemaker>("{}", "adt", &[&["COUNT"], &["-"], &["COUNT"]]);
        let counts: Vec<_> = found.unwrap().into_iter().map(|f| (f.row, f.attrs)).collect();
        let count = |n: u32| vec![("count", n.to_string())];
        assert_eq!(counts, [(Some(0), count(1)), (Some(2), count(2))]);
    }
}
