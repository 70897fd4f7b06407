//! Webhooks: each notice once, in order, as JSON made by a template, with a key that a receiver can
//! tell repeats by.

use crate::config::{ConfigError, NotifierConfig};
use crate::notify::deliver::{Failed, Post};
use crate::notify::notices::Notice;
use crate::notify::template::Body;
use crate::notify::text::Style;
use feedpulse_core::label::Label;
use feedpulse_core::time::Timestamp;
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
    post: Post,
    body: Body,
}

/// Checks address, TLS, headers and template.
pub(crate) fn way(
    config: &NotifierConfig,
    method: Method,
    template: Option<&str>,
    style: &Arc<Style>,
) -> Result<Way, ConfigError> {
    Ok(Way {
        post: Post::new(config, "https://chat.example/hooks/42")?.with(method.into()),
        body: Body::new(&config.name, template.unwrap_or(DEFAULT_BODY), style)?,
    })
}

impl Way {
    pub(crate) async fn send(&self, notice: &Notice, now: Timestamp) -> Result<(), Failed> {
        let body =
            self.body.render(notice, now).map_err(|_| Failed::Notice(Label::from("template")))?;
        self.post.send(body, Some(self.body.key(notice))).await.map(|_| ())
    }
}
