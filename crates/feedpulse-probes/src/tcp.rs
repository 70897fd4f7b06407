//! Whether a port takes connections.

use crate::config::{self, ConfigError};
use crate::dns::Names;
use crate::probe::Look;
use crate::reach::{Place, Reach};

#[derive(Debug)]
pub(crate) struct Tcp {
    place: Place,
    reach: Reach,
}

impl Tcp {
    pub(crate) fn new(config: &config::Tcp, names: Names) -> Result<Self, ConfigError> {
        let reach = Reach::new(names, config.proxy.as_ref())?;
        Ok(Self { place: Place::parse(&config.address)?, reach })
    }

    pub(crate) async fn look(&self, look: &mut Look) {
        match self.reach.connect(&self.place).await {
            Ok(stream) => {
                look.works();
                if let Ok(peer) = stream.peer_addr() {
                    look.note(format!("connected to {peer}"));
                }
            }
            Err(class) => look.fails(class),
        }
    }
}
