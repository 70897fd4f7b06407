//! Webhooks: each notice once, in order, as JSON made by a template, with a key that a receiver can
//! tell repeats by.

use crate::Clock;
use crate::config::{ConfigError, WebhookConfig};
use crate::health::Health;
use crate::http::{self, Client};
use crate::notify::notices::{Board, Notice};
use crate::notify::template::Body;
use crate::notify::{Counts, Pace};
use crate::otlp::export::until_stopped;
use crate::task::{Delivered, Told};
use core::time::Duration;
use feedpulse_core::label::Label;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use crate::notify::template::DEFAULT_BODY;

/// Answers that refuse this body for good; after this many of them a notice is given up.
const REFUSALS_MAX: u8 = 10;
/// How often reminders and ended mutes are looked for.
const LOOK: Duration = Duration::from_secs(15);

/// The method of a webhook's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
        }
    }
}

/// A checked webhook.
pub(crate) struct Way {
    client: Client,
    url: Url,
    method: reqwest::Method,
    body: Body,
}

/// Checks address, TLS, headers and template.
pub(crate) fn way(place: &str, config: &WebhookConfig, site: &str) -> Result<Way, ConfigError> {
    let url = http::address(place, &config.target, "https://chat.example/hooks/42")?;
    let source = config.template.as_deref().unwrap_or(DEFAULT_BODY);
    Ok(Way {
        client: Client::new(place, &config.target, &url)?,
        url,
        method: config.method.into(),
        body: Body::new(place, source, site, &config.runbook_base, &config.page_base)?,
    })
}

/// Delivers the notices of one webhook.
pub(crate) struct WebhookTask {
    pub(crate) name: String,
    pub(crate) told: Told,
    pub(crate) board: Arc<Board>,
    pub(crate) way: Way,
    pub(crate) clock: Clock,
    pub(crate) health: Health,
    pub(crate) counts: Counts,
    pub(crate) seed: u64,
}

enum Failed {
    /// The server is not there or not well: everything waits.
    Server(Label),
    /// The server does not want this one: others may work.
    Notice(Label),
}

impl WebhookTask {
    pub(crate) async fn run(self, stop: CancellationToken) {
        until_stopped(self.work(&stop), &stop).await;
    }

    async fn work(&self, stop: &CancellationToken) {
        let mut pace = Pace::new(Instant::now(), LOOK, self.seed);
        while pace.wait(&self.board.changed, stop).await {
            pace.after(self.deliver().await);
        }
        self.deliver().await;
    }

    /// Delivers what waits, in order; stops at a server that fails. True when nothing is left.
    async fn deliver(&self) -> bool {
        let mut all = true;
        for notice in self.board.due((self.clock)()) {
            let began = Instant::now();
            match self.send(&notice).await {
                Ok(()) => {
                    self.board.delivered(&notice);
                    self.counts.notices.add(u64::from(notice.counts()));
                    self.counts.up.set(1);
                    self.health.worked(0);
                    (self.told)(&Delivered {
                        incident: notice.change.id,
                        notifier: self.name.clone(),
                        why: notice.why.name(),
                        at: (self.clock)(),
                    });
                }
                Err(failed) => {
                    all = false;
                    let (class, stays) = match failed {
                        Failed::Server(class) => (class, true),
                        Failed::Notice(class) => (class, false),
                    };
                    if !stays && self.board.refused(&notice, REFUSALS_MAX) {
                        self.counts.dropped.add(1);
                    }
                    self.counts.up.set(0);
                    self.counts.failed.add(1);
                    self.health.failed(0, began, class, self.counts.dropped.get());
                    if stays {
                        break;
                    }
                }
            }
        }
        all
    }

    async fn send(&self, notice: &Notice) -> Result<(), Failed> {
        let way = &self.way;
        let body = way.body.render(notice).map_err(|_| Failed::Notice(Label::from("template")))?;
        let own = [
            (CONTENT_TYPE, "application/json".to_owned()),
            (HeaderName::from_static("idempotency-key"), notice.key(way.body.site())),
        ];
        let answer = way
            .client
            .send(way.method.clone(), way.url.clone(), &own, body.into_bytes())
            .await
            .map_err(Failed::Server)?;
        let class = http::status_class(answer.status);
        match answer.status.as_u16() {
            200..=299 => Ok(()),
            400 | 413 | 422 => Err(Failed::Notice(class)),
            // Anything else (401, 404, a redirect) is a setting that somebody will correct.
            _ => Err(Failed::Server(class)),
        }
    }
}
