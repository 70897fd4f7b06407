//! Delivers the notices of one notifier, whatever its kind: in order, each until it is taken, with
//! growing pauses while the server is not well.

use crate::Clock;
use crate::config::{ConfigError, NotifierConfig, Speech};
use crate::health::Health;
use crate::notify::notices::{self, Board, Notice};
use crate::notify::text::Style;
use crate::notify::{Counts, Pace, chat, mail, pager, webhook};
use crate::otlp::export::until_stopped;
use crate::task::{Delivered, Told};
use core::time::Duration;
use feedpulse_codec::Why;
use feedpulse_core::label::Label;
use feedpulse_core::time::Timestamp;
use feedpulse_http::header::{CONTENT_TYPE, HeaderName};
use feedpulse_http::{Answer, Client, Method, Url, status_class};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Answers that refuse this notice for good; after this many of them it is given up.
const REFUSALS_MAX: u8 = 10;
/// How often updates, escalations and ended mutes are looked for.
const LOOK: Duration = Duration::from_secs(15);
/// How often while something waits for the disk.
const LOOK_SOON: Duration = Duration::from_secs(1);
/// The longest pause that a server may ask for.
const AFTER_MAX: Duration = Duration::from_secs(600);

/// Why a notice was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The server is not there or not well, or wants a pause: everything waits.
    Server { class: Label, after: Option<Duration> },
    /// The server does not want this one: others may work.
    Notice(Label),
}

impl Failed {
    pub(crate) const fn server(class: Label) -> Self {
        Self::Server { class, after: None }
    }
}

/// What an HTTP answer means: taken, not now, or never.
fn judge(answer: &Answer) -> Result<(), Failed> {
    let class = status_class(answer.status);
    match answer.status.as_u16() {
        200..=299 => Ok(()),
        400 | 413 | 422 => Err(Failed::Notice(class)),
        // 429 and 503 say how long to wait. Anything else (401, 404, a redirect) is a setting that
        // somebody will correct.
        _ => Err(Failed::Server { class, after: answer.retry_after }),
    }
}

/// A server that takes JSON.
pub(crate) struct Post {
    client: Client,
    url: Url,
    method: Method,
}

impl Post {
    /// Checks address, TLS and headers.
    pub(crate) fn new(config: &NotifierConfig, example: &'static str) -> Result<Self, ConfigError> {
        let url = config.target.address(&config.name, example)?;
        let client = config.target.client(&config.name, &url)?;
        Ok(Self { client, url, method: Method::POST })
    }

    pub(crate) fn with(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// One attempt; the key is what its repeats can be told by.
    pub(crate) async fn send(&self, body: String, key: Option<String>) -> Result<Answer, Failed> {
        let mut own = vec![(CONTENT_TYPE, "application/json".to_owned())];
        own.extend(key.map(|key| (HeaderName::from_static("idempotency-key"), key)));
        let body = body.into_bytes();
        let sent = self.client.send(self.method.clone(), self.url.clone(), &own, body).await;
        let answer = sent.map_err(Failed::server)?;
        judge(&answer)?;
        Ok(answer)
    }
}

/// A notifier that is checked and ready.
pub(crate) enum Way {
    Webhook(webhook::Way),
    Chat(chat::Way),
    Pager(pager::Way),
    Mail(mail::Way),
}

impl Way {
    /// Checks everything that a notifier is set to.
    pub(crate) fn new(config: &NotifierConfig, style: &Arc<Style>) -> Result<Self, ConfigError> {
        Ok(match &config.speech {
            Speech::Webhook { method, template } => {
                Self::Webhook(webhook::way(config, *method, template.as_deref(), style)?)
            }
            Speech::Chat(chat) => Self::Chat(chat::way(config, *chat, style)?),
            Speech::Pager { routing_key } => Self::Pager(pager::way(config, routing_key, style)?),
            Speech::Mail(mail) => Self::Mail(mail::way(config, mail, style)?),
        })
    }

    async fn send(&self, notice: &Notice, now: Timestamp) -> Result<(), Failed> {
        match self {
            Self::Webhook(way) => way.send(notice, now).await,
            Self::Chat(way) => way.send(notice, now).await,
            Self::Pager(way) => way.send(notice, now).await,
            Self::Mail(way) => way.send(notice, now).await,
        }
    }
}

/// Delivers the notices of one notifier.
pub(crate) struct NotifierTask {
    pub(crate) board: Arc<Board>,
    pub(crate) way: Way,
    pub(crate) clock: Clock,
    pub(crate) health: Health,
    pub(crate) counts: Counts,
    pub(crate) told: Told,
    pub(crate) seed: u64,
}

impl NotifierTask {
    pub(crate) async fn run(self, stop: CancellationToken) {
        until_stopped(self.work(&stop), &stop).await;
    }

    async fn work(&self, stop: &CancellationToken) {
        let mut pace = Pace::new(Instant::now(), LOOK, self.seed);
        while pace.wait(&self.board.changed, stop).await {
            let (all, after) = self.deliver().await;
            pace.after(all);
            if let Some(after) = after {
                pace.not_before(after.min(AFTER_MAX));
            } else if all && self.board.waits() {
                pace.no_later(LOOK_SOON);
            }
        }
        self.deliver().await;
    }

    /// Delivers what waits, in order; stops at a server that fails. True when nothing is left; and
    /// how long the server wants to be left alone.
    async fn deliver(&self) -> (bool, Option<Duration>) {
        let mut all = true;
        for notice in self.board.due((self.clock)()) {
            let began = Instant::now();
            match self.way.send(&notice, (self.clock)()).await {
                Ok(()) => self.taken(&notice),
                Err(failed) => {
                    all = false;
                    let (class, stays, after) = match failed {
                        Failed::Server { class, after } => (class, true, after),
                        Failed::Notice(class) => (class, false, None),
                    };
                    let now = (self.clock)();
                    if !stays && self.board.refused(&notice, REFUSALS_MAX, now) {
                        self.counts.dropped.add(1);
                    }
                    self.counts.up.set(0);
                    self.counts.failed.add(1);
                    self.health.failed(0, began, class, self.counts.dropped.get());
                    if stays {
                        return (false, after);
                    }
                }
            }
        }
        (all, None)
    }

    fn taken(&self, notice: &Notice) {
        let now = (self.clock)();
        self.board.delivered(notice, now);
        self.counts.notices.add(u64::from(notice.counts()));
        self.counts.up.set(1);
        self.health.worked(0);
        let change = &notice.change;
        if notice.why == Why::Open {
            let opened = change.story.opened_at.unwrap_or(change.since);
            self.counts.took.set(now.micros_since(opened).max(0));
        }
        (self.told)(&Delivered {
            incident: change.id,
            notifier: self.board.place().to_owned(),
            why: notices::name(notice.why),
            at: now,
        });
    }
}
