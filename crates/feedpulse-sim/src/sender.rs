//! A sending application: makes messages at a rate and sends them one by one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::client::{Link, Patience, Step, overdue};
use crate::gen_vary::Variation;
use crate::generator::{Generator, Kind, Message};
use crate::hl7::Ack;
use crate::mllp::frame;
use crate::rng::Rng;
use crate::truth::{Answer, Book, Regression, SentRecord, push};

/// Events that a blocked sender still makes messages for; beyond it skips and counts.
const BEHIND: u32 = 10_000;
/// The most often an application ACK is looked for among the newest records.
const LOOK_BACK: usize = 10_000;

/// A sending application.
#[derive(Debug, Clone, PartialEq)]
pub struct SenderConfig {
    /// Its name in this simulation, unique.
    pub name: String,
    /// MSH-3, unique: the engine routes by it.
    pub app: String,
    /// MSH-4.
    pub facility: String,
    /// Prefix of its control ids and order numbers, unique.
    pub id_prefix: String,
    /// What it sends, with weights.
    pub kinds: Vec<(Kind, u32)>,
    /// Messages a second on average (Poisson), above 0 and at most 10,000.
    pub rate_per_s: f64,
    /// Share of results with a critical value.
    pub critical_share: f64,
    /// Vary terminators, delimiters, charsets, escapes and missing fields from message to message.
    pub variety: bool,
    /// How long it waits for an ACK; then it reconnects and sends the same bytes again.
    pub ack_timeout: Duration,
    /// Before it sends a message again that was answered AR or CR.
    pub reject_pause: Duration,
    /// First pause before it dials again; doubled up to `redial_max`.
    pub redial: Duration,
    /// The longest pause before it dials again.
    pub redial_max: Duration,
}

impl SenderConfig {
    /// A sender with the usual times.
    pub fn new(name: &str, app: &str, kinds: &[(Kind, u32)], rate_per_s: f64) -> Self {
        Self {
            name: name.to_owned(),
            app: app.to_owned(),
            facility: "CENTRAL".to_owned(),
            id_prefix: name.to_owned(),
            kinds: kinds.to_vec(),
            rate_per_s,
            critical_share: 0.05,
            variety: false,
            ack_timeout: Duration::from_secs(10),
            reject_pause: Duration::from_secs(1),
            redial: Duration::from_millis(200),
            redial_max: Duration::from_secs(5),
        }
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience {
            ack: self.ack_timeout,
            redial: self.redial,
            redial_max: self.redial_max,
            reject: self.reject_pause,
        }
    }
}

pub(crate) struct Sender {
    pub(crate) config: SenderConfig,
    pub(crate) generator: Generator,
    pub(crate) rng: Rng,
    pub(crate) book: Arc<Book>,
    pub(crate) link: Link,
    pub(crate) paused: watch::Receiver<bool>,
    pub(crate) regress: mpsc::Receiver<()>,
}

enum Next {
    Event,
    Regression,
    PauseChanged,
}

impl Sender {
    /// Sends until `stop`; a message under way then has `grace` to be settled.
    pub(crate) async fn run(mut self, stop: CancellationToken, grace: Duration) {
        let mut due = Instant::now() + self.gap();
        loop {
            let paused = *self.paused.borrow_and_update();
            let note = noter(&self.book, &self.config.name, None);
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Ok(()) = self.paused.changed() => Next::PauseChanged,
                Some(()) = self.regress.recv(), if !paused => Next::Regression,
                () = sleep_until(due), if !paused => Next::Event,
                never = self.link.idle(note) => never,
            };
            let messages = match next {
                Next::PauseChanged => {
                    due = Instant::now() + self.gap();
                    continue;
                }
                Next::Regression => self.make_regression(),
                Next::Event => {
                    let message = self.make(due);
                    due += self.gap();
                    self.skip_what_is_too_old(&mut due);
                    vec![message]
                }
            };
            let send = async {
                for message in messages {
                    self.send(message).await;
                }
            };
            tokio::select! {
                biased;
                () = send => {}
                () = overdue(&stop, grace) => break,
            }
        }
        self.link.close(grace).await;
    }

    fn mean(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.config.rate_per_s)
    }

    fn gap(&mut self) -> Duration {
        let mean = self.mean();
        self.rng.gap(mean)
    }

    fn skip_what_is_too_old(&mut self, due: &mut Instant) {
        let oldest = Instant::now().checked_sub(self.mean() * BEHIND);
        while oldest.is_some_and(|oldest| *due < oldest) {
            *due += self.gap();
            self.book.edit(|ledger| ledger.events_skipped += 1);
        }
    }

    /// A message about an event that happened at `due`, made now.
    fn make(&mut self, due: Instant) -> Message {
        let total: u32 = self.config.kinds.iter().map(|(_, weight)| weight).sum();
        let mut left = self.rng.below(u64::from(total)) as u32;
        let mut kinds = self.config.kinds.iter();
        let kind = loop {
            let (kind, weight) = kinds.next().expect("the draw is below the sum of the weights");
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => break *kind,
            }
        };
        let variation = if self.config.variety {
            Variation::single(&mut self.rng)
        } else {
            Variation::default()
        };
        let clock = self.book.clock;
        self.generator.message(kind, clock.at_us(due), clock.now_us(), variation)
    }

    fn make_regression(&mut self) -> Vec<Message> {
        let (first, second) = self.generator.regression(self.book.clock.now_us());
        let regression = Regression {
            order_filler: first.order_filler.clone().unwrap_or_default(),
            final_id: first.control_id.clone(),
            preliminary_id: second.control_id.clone(),
        };
        self.book.edit(|ledger| push(&mut ledger.regressions, &mut ledger.dropped, regression));
        vec![first, second]
    }

    async fn send(&mut self, message: Message) {
        let record = SentRecord {
            sender: self.config.name.clone(),
            control_id: message.control_id.clone(),
            kind: message.kind,
            critical: message.critical,
            order_filler: message.order_filler,
            event_us: message.event_us,
            first_sent_us: None,
            attempts: 0,
            answer: None,
            application: None,
        };
        let at = self.book.edit(|ledger| push(&mut ledger.sent, &mut ledger.dropped, record));
        let note = noter(&self.book, &self.config.name, at);
        self.link.deliver(&frame(&message.bytes), &message.control_id, note).await;
    }
}

/// Notes what happens to the message of record `at`, and application ACKs of earlier ones.
fn noter<'a>(book: &'a Book, sender: &'a str, at: Option<usize>) -> impl FnMut(Step) + use<'a> {
    move |step| {
        let now = book.clock.now_us();
        book.edit(|ledger| match (step, at) {
            (Step::Attempt, Some(at)) => {
                ledger.sent[at].attempts += 1;
                ledger.sent[at].first_sent_us.get_or_insert(now);
            }
            (Step::Answered(code), Some(at)) => {
                ledger.sent[at].answer = Some(Answer { code, at_us: now });
            }
            (Step::Other(Ack { code: Some(code), control_id }), _) => {
                let earlier = ledger
                    .sent
                    .iter_mut()
                    .rev()
                    .take(LOOK_BACK)
                    .find(|record| record.sender == sender && record.control_id == control_id);
                match earlier {
                    Some(record) if record.application.is_none() => {
                        record.application = Some(Answer { code, at_us: now });
                    }
                    _ => ledger.stray_answers += 1,
                }
            }
            (Step::Other(_), _) => ledger.stray_answers += 1,
            (Step::Attempt | Step::Answered(_), None) => {}
        });
    }
}
