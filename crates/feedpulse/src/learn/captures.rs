//! Learning from captures: the endpoints that the configuration knows, on the capture's own time.

use super::Taught;
use super::player::Player;
use super::report::Facts;
use crate::cli::Failure;
use crate::config::Config;
use crate::replay::capture::in_order;
use crate::replay::sources::Source;
use crate::replay::survey::Survey;
use crate::replay::watched::{Watched, decoding};
use feedpulse_hl7::decode::Decoder;
use feedpulse_taps::capture::{Capture, Step};

pub(super) fn learn(config: &Config, sources: &[Source]) -> Result<Taught, Failure> {
    let sources = in_order(sources)?;
    let mut facts = Facts::new(format!("{} captures", sources.len()));
    let mut survey = Survey::new(Decoder::new(decoding(Some(config))));
    let mut capture = Capture::learning();
    for source in &sources {
        if let Err(error) = capture.read(source.open()?, &mut |step| survey.take(&step)) {
            facts.note(format!("{}: {error}", source.name));
        }
    }
    capture.end(&mut |step| survey.take(&step));
    let watched = Watched::of(&survey, capture.endpoints(), Some(config));
    let mut player = Player::new(watched.plan, watched.decoders);
    let mut capture = Capture::at(&watched.endpoints);
    let mut play = |step: Step<'_>| {
        for item in step.items.drain(..) {
            player.take(step.at, item);
        }
    };
    for source in &sources {
        // What is wrong with a file was told by the first pass.
        let _ = capture.read(source.open()?, &mut play);
    }
    capture.end(&mut play);
    facts.counts = player.counts;
    Ok(Taught { learned: player.learned(), facts })
}
