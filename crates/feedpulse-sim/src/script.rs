//! A script of trouble as data, and its player.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::hl7::AckCode;
use crate::hospital::{Control, SimError};
use crate::portal::PortalMode;

/// The longest script, in seconds.
const MAX_TOTAL_S: f64 = 7.0 * 86_400.0;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// The portal behaves so.
    Portal(PortalMode),
    /// A sender goes silent.
    Silent {
        /// Its name.
        sender: String,
    },
    /// A sender sends a final and then a preliminary result of one order; happens at one moment.
    Regression {
        /// Its name.
        sender: String,
    },
}

/// One thing that goes wrong, from when to when.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What the story calls it, such as `portal_slow`.
    pub name: String,
    /// Seconds from the start.
    pub at_s: f64,
    /// Seconds from the start; the same as `at_s` for a moment.
    pub until_s: f64,
    /// What.
    pub kind: FaultKind,
}

/// Start or end of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has just been injected.
    Started,
    /// It has just been taken back.
    Ended,
}

/// What the player did, at that moment.
#[derive(Debug, Clone, PartialEq)]
pub struct InjectedEvent {
    /// Name of the fault.
    pub fault: String,
    /// As planned, seconds from the start of the script.
    pub at_s: f64,
    /// As planned.
    pub until_s: f64,
    /// Which of the two.
    pub phase: Phase,
    /// When it was done, unix microseconds of the hospital's clock.
    pub done_us: i64,
}

/// A script: what goes wrong, and how long all of it lasts.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    faults: Vec<Fault>,
    total_s: f64,
}

impl Script {
    /// A script of `total_s` seconds.
    ///
    /// # Errors
    /// [`SimError::Config`] when a time is not a number, lies outside `0..=total_s` or runs backwards, when two
    /// faults of the portal overlap (it has one behaviour at a time) or two silences of one sender do, when
    /// `total_s` is not within 7 days, or a share or NACK code is not usable.
    pub fn new(faults: Vec<Fault>, total_s: f64) -> Result<Self, SimError> {
        if !(total_s > 0.0 && total_s <= MAX_TOTAL_S) {
            return Err(SimError::config(
                "script: its length must be above 0 s and at most 7 days",
            ));
        }
        for (n, fault) in faults.iter().enumerate() {
            let bad = |why: &str| {
                Err(SimError::config(format!("script: fault {n} ({}): {why}", fault.name)))
            };
            let Fault { at_s, until_s, kind, .. } = fault;
            if !(*at_s >= 0.0 && at_s <= until_s && *until_s <= total_s) {
                return bad("its times must be 0 <= at <= until <= length of the script");
            }
            if let FaultKind::Portal(PortalMode::Nack { share, code, .. }) = kind
                && (!(0.0..=1.0).contains(share) || !matches!(code, AckCode::Ae | AckCode::Ar))
            {
                return bad("a NACK needs a share from 0 to 1 and the code AE or AR");
            }
            let clash = faults[..n].iter().find(|other| {
                same_subject(&other.kind, kind) && other.at_s < *until_s && *at_s < other.until_s
            });
            if let Some(other) = clash {
                return bad(&format!("it overlaps with {}", other.name));
            }
        }
        Ok(Self { faults, total_s })
    }

    /// The script of the demo, 90 s: the portal slows down, refuses messages, hangs, closes its port and
    /// recovers; then the sender `EHR` goes silent. `LAB` sends a regression at three moments.
    pub fn demo() -> Self {
        let portal = |name: &str, at_s: f64, until_s: f64, mode: PortalMode| Fault {
            name: name.to_owned(),
            at_s,
            until_s,
            kind: FaultKind::Portal(mode),
        };
        let nack = PortalMode::Nack {
            share: 0.6,
            code: AckCode::Ae,
            error: "207".to_owned(),
            text: "Application internal error".to_owned(),
        };
        let slow = PortalMode::Slow { delay: Duration::from_millis(1500) };
        let mut faults = vec![
            portal("portal_slow", 12.0, 22.0, slow),
            portal("nack_burst", 26.0, 34.0, nack),
            portal("hang_without_ack", 38.0, 50.0, PortalMode::Hang),
            portal("refusal", 54.0, 64.0, PortalMode::Refuse),
        ];
        faults.push(Fault {
            name: "feed_silent".to_owned(),
            at_s: 66.0,
            until_s: 90.0,
            kind: FaultKind::Silent { sender: "EHR".to_owned() },
        });
        for at_s in [6.0, 35.0, 75.0] {
            faults.push(Fault {
                name: "result_regression".to_owned(),
                at_s,
                until_s: at_s,
                kind: FaultKind::Regression { sender: "LAB".to_owned() },
            });
        }
        Self::new(faults, 90.0).expect("the script of the demo is well formed")
    }

    /// The same script stretched or squeezed to `total_s` seconds. Delays inside a behaviour stay.
    ///
    /// # Errors
    /// Like [`new`](Self::new).
    pub fn scaled(&self, total_s: f64) -> Result<Self, SimError> {
        let factor = total_s / self.total_s;
        // Rounding must not carry the last fault past the end.
        let scale = |s: f64| (s * factor).min(total_s);
        let faults = self.faults.iter().map(|fault| Fault {
            at_s: scale(fault.at_s),
            until_s: scale(fault.until_s),
            ..fault.clone()
        });
        Self::new(faults.collect(), total_s)
    }

    /// The faults.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Length in seconds.
    pub fn total_s(&self) -> f64 {
        self.total_s
    }

    /// Plays the script from now to its end, and tells what it does. Events are awaited into `events`: give it
    /// room or read it, else the script waits; a dropped receiver stops the telling and not the script. To end
    /// early, drop the future; the hospital then stays as it is.
    ///
    /// # Errors
    /// [`SimError::Config`] before anything is done, when a fault names a sender that does not exist.
    pub async fn run(
        &self,
        control: &Control,
        events: mpsc::Sender<InjectedEvent>,
    ) -> Result<(), SimError> {
        for fault in &self.faults {
            if let FaultKind::Silent { sender } | FaultKind::Regression { sender } = &fault.kind
                && !control.has_sender(sender)
            {
                return Err(SimError::config(format!(
                    "script: {}: no sender {sender:?}",
                    fault.name
                )));
            }
        }
        let start = Instant::now();
        for (due_s, phase, fault) in self.steps() {
            sleep_until(start + Duration::from_secs_f64(due_s)).await;
            apply(control, &fault.kind, phase)?;
            let event = InjectedEvent {
                fault: fault.name.clone(),
                at_s: fault.at_s,
                until_s: fault.until_s,
                phase,
                done_us: control.clock().now_us(),
            };
            // Nobody listens any more: the trouble goes on all the same.
            let _told = events.send(event).await.is_ok();
        }
        sleep_until(start + Duration::from_secs_f64(self.total_s)).await;
        Ok(())
    }

    /// Starts and ends in order of time; at one moment ends come first, so that a fault may follow another at
    /// once. The end of a fault never comes before its start.
    fn steps(&self) -> Vec<(f64, Phase, &Fault)> {
        let mut steps = Vec::new();
        for fault in &self.faults {
            steps.push((fault.at_s, Phase::Started, fault));
            if fault.until_s > fault.at_s {
                steps.push((fault.until_s, Phase::Ended, fault));
            }
        }
        steps.sort_by(|a, b| {
            a.0.total_cmp(&b.0).then((a.1 == Phase::Started).cmp(&(b.1 == Phase::Started)))
        });
        steps
    }
}

fn same_subject(a: &FaultKind, b: &FaultKind) -> bool {
    match (a, b) {
        (FaultKind::Portal(_), FaultKind::Portal(_)) => true,
        (FaultKind::Silent { sender }, FaultKind::Silent { sender: other }) => sender == other,
        _ => false,
    }
}

fn apply(control: &Control, kind: &FaultKind, phase: Phase) -> Result<(), SimError> {
    match (kind, phase) {
        (FaultKind::Portal(mode), Phase::Started) => control.set_portal(mode.clone()),
        (FaultKind::Portal(_), Phase::Ended) => control.set_portal(PortalMode::Normal),
        (FaultKind::Silent { sender }, Phase::Started) => control.pause(sender)?,
        (FaultKind::Silent { sender }, Phase::Ended) => control.resume(sender)?,
        (FaultKind::Regression { sender }, Phase::Started) => {
            // A full queue of requests means that the sender is silent or blocked: then there is none.
            control.regress(sender)?;
        }
        (FaultKind::Regression { .. }, Phase::Ended) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hospital::{Hospital, HospitalConfig};

    fn fault(at_s: f64, until_s: f64, kind: FaultKind) -> Fault {
        Fault { name: "f".to_owned(), at_s, until_s, kind }
    }

    fn hang() -> FaultKind {
        FaultKind::Portal(PortalMode::Hang)
    }

    #[tokio::test(start_paused = true)]
    async fn the_demo_is_played_in_order_and_on_time() {
        let hospital = Hospital::start(HospitalConfig::demo(1, 0)).await.unwrap();
        let control = hospital.control();
        let (events, mut told) = mpsc::channel(64);
        let script = Script::demo().scaled(45.0).unwrap();
        assert_eq!(script.total_s(), 45.0);
        let start = Instant::now();
        let watch = async {
            let mut story = Vec::new();
            while let Some(event) = told.recv().await {
                let mode = control.portal();
                let silent = control.is_paused("EHR").unwrap();
                story.push((event, mode.name(), silent, start.elapsed().as_secs_f64()));
            }
            story
        };
        let (done, story) = tokio::join!(script.run(&control, events), watch);
        done.unwrap();
        assert!((start.elapsed().as_secs_f64() - 45.0).abs() < 0.1);
        assert!(story.windows(2).all(|pair| pair[0].3 <= pair[1].3));
        let at = |name: &str, phase: Phase| {
            story.iter().find(|s| s.0.fault == name && s.0.phase == phase).unwrap()
        };
        for (name, mode, at_s, until_s) in [
            ("portal_slow", "slow", 6.0, 11.0),
            ("nack_burst", "nack", 13.0, 17.0),
            ("hang_without_ack", "hang", 19.0, 25.0),
            ("refusal", "refuse", 27.0, 32.0),
        ] {
            let (started, ended) = (at(name, Phase::Started), at(name, Phase::Ended));
            assert_eq!((started.1, ended.1), (mode, "normal"), "{name}");
            assert!((started.3 - at_s).abs() < 0.1 && (ended.3 - until_s).abs() < 0.1, "{name}");
        }
        assert!(at("feed_silent", Phase::Started).2);
        assert!(!control.is_paused("EHR").unwrap());
        assert_eq!(story.iter().filter(|s| s.0.fault == "result_regression").count(), 3);
    }

    #[test]
    fn impossible_scripts_are_refused_with_a_reason() {
        let nack = |share, code| {
            let (error, text) = (String::new(), String::new());
            FaultKind::Portal(PortalMode::Nack { share, code, error, text })
        };
        let silent = |sender: &str| FaultKind::Silent { sender: sender.to_owned() };
        for (faults, reason) in [
            (vec![fault(2.0, 1.0, hang())], "0 <= at"),
            (vec![fault(0.0, 11.0, hang())], "0 <= at"),
            (vec![fault(f64::NAN, 1.0, hang())], "0 <= at"),
            (vec![fault(0.0, 5.0, hang()), fault(4.0, 6.0, hang())], "overlaps with f"),
            (vec![fault(0.0, 5.0, silent("A")), fault(1.0, 2.0, silent("A"))], "overlaps"),
            (vec![fault(0.0, 1.0, nack(1.5, AckCode::Ae))], "share"),
            (vec![fault(0.0, 1.0, nack(0.5, AckCode::Aa))], "AE or AR"),
        ] {
            let error = Script::new(faults, 10.0).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(Script::new(Vec::new(), f64::INFINITY).is_err());
        assert!(Script::demo().scaled(0.0).is_err());
        let fine = vec![
            fault(0.0, 5.0, hang()),
            fault(5.0, 6.0, hang()),
            fault(0.0, 6.0, silent("A")),
            fault(0.0, 6.0, silent("B")),
        ];
        let script = Script::new(fine, 10.0).unwrap();
        let at_five: Vec<Phase> =
            script.steps().iter().filter(|s| s.0 == 5.0).map(|s| s.1).collect();
        assert_eq!(at_five, [Phase::Ended, Phase::Started]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_sender_is_found_before_anything_happens() {
        let hospital = Hospital::start(HospitalConfig::demo(1, 0)).await.unwrap();
        let kind = FaultKind::Silent { sender: "XYZ".to_owned() };
        let faults = vec![fault(0.0, 1.0, hang()), fault(0.0, 1.0, kind)];
        let (events, _told) = mpsc::channel(1);
        let result = Script::new(faults, 2.0).unwrap().run(&hospital.control(), events).await;
        assert!(result.unwrap_err().to_string().contains("XYZ"));
        assert_eq!(hospital.control().portal(), PortalMode::Normal);
    }
}
