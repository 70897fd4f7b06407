//! The engine under random inputs: it never breaks, and a written snapshot goes on exactly.

use super::any::Rng;
use crate::{decode, encode};
use feedpulse_core::effect::{Effect, EffectId, Effects};
use feedpulse_core::engine::Engine;
use feedpulse_core::engine::state::State;
use feedpulse_core::finding::EVIDENCE_NAMES;
use feedpulse_core::input::Input;
use feedpulse_core::time::Timestamp;

fn run(engine: &mut Engine, inputs: &[(Timestamp, Input)]) -> Vec<(EffectId, Effect)> {
    let (mut fx, mut all) = (Effects::default(), Vec::new());
    for (now, input) in inputs {
        engine.apply(*now, input, &mut fx);
        all.extend(fx.drain());
        assert!(engine.checkpoint().totals.adds_up());
    }
    all
}

#[test]
fn a_written_snapshot_goes_on_exactly() {
    for seed in 0..8 {
        let mut rng = Rng(seed);
        let inputs: Vec<(Timestamp, Input)> = (0..1_500)
            .map(|n| {
                (
                    Timestamp::from_secs(1_000 + n / 4),
                    if n % 9 == 8 { Input::Tick } else { rng.any() },
                )
            })
            .collect();
        let mut whole = Engine::new();
        let expected = run(&mut whole, &inputs);
        for cut in [1, 400, 1_100] {
            let mut before = Engine::new();
            let mut effects = run(&mut before, &inputs[..cut]);
            let bytes = encode(before.checkpoint());
            let state: State =
                decode(&bytes, EVIDENCE_NAMES).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert!(&state == before.checkpoint(), "seed {seed} cut {cut}");
            let mut after = Engine::restore(state);
            effects.extend(run(&mut after, &inputs[cut..]));
            assert!(effects == expected, "seed {seed} cut {cut}: effects differ");
            assert!(
                after.checkpoint() == whole.checkpoint(),
                "seed {seed} cut {cut}: states differ"
            );
        }
    }
}
