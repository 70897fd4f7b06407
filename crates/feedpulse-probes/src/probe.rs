//! One probe: made once, looks when it is told to.

use crate::config::{ConfigError, ProbeConfig, What};
use crate::dns::Names;
use crate::mail::Mail;
use crate::mllp::Mllp;
use crate::numeric::Numeric;
use crate::smtp::Smtp;
use crate::tcp::Tcp;
use crate::tls::Tls;
use crate::web::Web;
use core::time::Duration;
use feedpulse_core::codes::Code;
use feedpulse_core::label::Label;
use feedpulse_core::probe::{Known, PARTS_MAX, Probed, Reading, Saw};
use feedpulse_core::time::Timestamp;

/// Readings of one look; those of parts beyond [`PARTS_MAX`] are left out.
const READINGS_MAX: usize = PARTS_MAX * 4;
/// Notes of one look.
const NOTES_MAX: usize = 256;

/// What one look saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// For the engine.
    pub readings: Vec<Reading>,
    /// For people, in words; no secrets.
    pub notes: Vec<String>,
}

impl Look {
    fn read(&mut self, part: &str, saw: Saw) {
        if self.readings.len() < READINGS_MAX {
            self.readings.push(Reading { part: Label::distinct(part), saw });
        }
    }

    pub(crate) fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        }
    }

    /// It answers as it should.
    pub(crate) fn works(&mut self) {
        self.check("", Code::ProbeFailed, None);
    }

    /// It does not.
    pub(crate) fn fails(&mut self, class: Label) {
        self.check("", Code::ProbeFailed, Some(class));
    }

    pub(crate) fn check(&mut self, part: &str, code: Code, failed: Option<Label>) {
        self.read(part, Saw::Check { code, failed });
    }

    pub(crate) fn number(&mut self, part: &str, value: f64) {
        self.read(part, Saw::Number(value));
    }

    pub(crate) fn ends(&mut self, at: Timestamp) {
        self.read("", Saw::Ends(at));
    }

    pub(crate) fn known(&mut self, what: Known, value: Label) {
        self.read("", Saw::Known { what, value });
    }

    /// Whether anything that was checked is not as it should be.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.readings.iter().any(|r| matches!(r.saw, Saw::Check { failed: Some(_), .. }))
    }
}

#[derive(Debug)]
enum Kind {
    Tcp(Tcp),
    Tls(Box<Tls>),
    Web(Box<Web>),
    Numeric(Box<Numeric>),
    Mail(Mail),
    Mllp(Mllp),
    Smtp(Box<Smtp>),
}

/// A probe that can look.
#[derive(Debug)]
pub struct Probe {
    name: Label,
    every: Duration,
    timeout: Duration,
    kind: Kind,
}

impl Probe {
    /// Prepares it: reads its files and makes its clients. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// What cannot work, and why.
    pub fn new(config: &ProbeConfig) -> Result<Self, ConfigError> {
        let names = Names::new(config.resolver, config.timeout)?;
        let kind = match &config.what {
            What::Tcp(tcp) => Kind::Tcp(Tcp::new(tcp, names)?),
            What::Tls(tls) => Kind::Tls(Box::new(Tls::new(tls, names)?)),
            What::Web(web) => Kind::Web(Box::new(Web::new(web, names, config.timeout)?)),
            What::Numeric(numeric) => {
                Kind::Numeric(Box::new(Numeric::new(numeric, names, config.timeout)?))
            }
            What::Mail(mail) => Kind::Mail(Mail::new(mail, names)?),
            What::Mllp(mllp) => Kind::Mllp(Mllp::new(mllp, names)?),
            What::Smtp(smtp) => Kind::Smtp(Box::new(Smtp::new(smtp, names)?)),
        };
        let name = Label::from(config.name.as_str());
        Ok(Self { name, every: config.every, timeout: config.timeout, kind })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> Label {
        self.name
    }

    pub(crate) const fn every(&self) -> Duration {
        self.every
    }

    /// Looks once; ends within the probe's time limit.
    pub async fn look(&self) -> Look {
        let mut look = Look::default();
        let looking = async {
            match &self.kind {
                Kind::Tcp(tcp) => tcp.look(&mut look).await,
                Kind::Tls(tls) => tls.look(&mut look).await,
                Kind::Web(web) => web.look(&mut look).await,
                Kind::Numeric(numeric) => numeric.look(&mut look).await,
                Kind::Mail(mail) => mail.look(&mut look).await,
                Kind::Mllp(mllp) => mllp.look(&mut look).await,
                Kind::Smtp(smtp) => smtp.look(&mut look).await,
            }
        };
        if tokio::time::timeout(self.timeout, looking).await.is_err() {
            // Of many questions to DNS some may have been answered: those count.
            match &self.kind {
                Kind::Mail(_) => look.check("", Code::ProbeBlind, Some(Label::from("timeout"))),
                _ => {
                    look.readings
                        .retain(|r| !matches!(r.saw, Saw::Check { code: Code::ProbeFailed, .. }));
                    look.fails(Label::from("timeout"));
                }
            }
        }
        look
    }

    /// As an input of the engine.
    pub(crate) fn told(&self, look: &Look, at: Timestamp, elapsed: Duration) -> Probed {
        Probed { probe: self.name, at, elapsed, readings: look.readings.clone() }
    }
}
