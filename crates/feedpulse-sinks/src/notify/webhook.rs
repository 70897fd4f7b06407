//! Webhooks: each notice once, in order, as JSON made by a template, with a key that a receiver can
//! tell repeats by.

use crate::config::{ConfigError, WebhookConfig};
use crate::notify::deliver::{Failed, judge};
use crate::notify::notices::Notice;
use crate::notify::template::Body;
use crate::notify::text::Style;
use feedpulse_core::label::Label;
use feedpulse_core::time::Timestamp;
use feedpulse_http::header::{CONTENT_TYPE, HeaderName};
use feedpulse_http::{Client, Url};
use std::sync::Arc;

pub use crate::notify::template::DEFAULT_BODY;

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

impl From<Method> for feedpulse_http::Method {
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
    method: feedpulse_http::Method,
    body: Body,
}

/// Checks address, TLS, headers and template.
pub(crate) fn way(
    place: &str,
    config: &WebhookConfig,
    style: &Arc<Style>,
) -> Result<Way, ConfigError> {
    let url = config.target.address(place, "https://chat.example/hooks/42")?;
    let source = config.template.as_deref().unwrap_or(DEFAULT_BODY);
    Ok(Way {
        client: config.target.client(place, &url)?,
        url,
        method: config.method.into(),
        body: Body::new(place, source, style)?,
    })
}

impl Way {
    pub(crate) async fn send(&self, notice: &Notice, now: Timestamp) -> Result<(), Failed> {
        let body =
            self.body.render(notice, now).map_err(|_| Failed::Notice(Label::from("template")))?;
        let own = [
            (CONTENT_TYPE, "application/json".to_owned()),
            (HeaderName::from_static("idempotency-key"), self.body.key(notice)),
        ];
        let sent = self.client.send(self.method.clone(), self.url.clone(), &own, body.into_bytes());
        judge(&sent.await.map_err(Failed::server)?)
    }
}
