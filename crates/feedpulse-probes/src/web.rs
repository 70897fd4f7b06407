//! A web page: its status, and what its body must hold.

use crate::config::{self, ConfigError};
use crate::dns::Names;
use crate::http::Client;
use crate::numeric::{is_pointer, word};
use crate::probe::Look;
use core::time::Duration;
use feedpulse_core::label::Label;
use feedpulse_http::status_class;
use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Web {
    client: Client,
    status: (u16, u16),
    contains: Option<String>,
    pointer: Option<(String, Option<String>)>,
}

impl Web {
    pub(crate) fn new(
        config: &config::Web,
        names: Names,
        timeout: Duration,
    ) -> Result<Self, ConfigError> {
        if let Some((pointer, _)) = &config.pointer {
            is_pointer(pointer)?;
        }
        Ok(Self {
            client: Client::new(&config.url, &config.access, names, timeout)?,
            status: config.status,
            contains: config.contains.clone(),
            pointer: config.pointer.clone(),
        })
    }

    pub(crate) async fn look(&self, look: &mut Look) {
        let answer = match self.client.get().await {
            Ok(answer) => answer,
            Err(class) => return look.fails(class),
        };
        look.note(format!("{}, {} bytes", answer.status, answer.body.len()));
        let status = answer.status.as_u16();
        if status < self.status.0 || status > self.status.1 {
            return look.fails(status_class(answer.status));
        }
        if let Some(text) = &self.contains
            && !answer.body.windows(text.len().max(1)).any(|w| w == text.as_bytes())
        {
            return look.fails(Label::from("text missing"));
        }
        if let Some((pointer, wanted)) = &self.pointer {
            let document: Option<Value> = serde_json::from_slice(&answer.body).ok();
            let Some(document) = document else { return look.fails(Label::from("no JSON")) };
            match (document.pointer(pointer).filter(|v| !v.is_null()), wanted) {
                (None, _) => return look.fails(Label::from("value missing")),
                (Some(value), Some(wanted)) if word(value) != *wanted => {
                    return look.fails(Label::from("value differs"));
                }
                _ => {}
            }
        }
        look.works();
    }
}
