//! What a seed decides: who sends what how often, and what goes wrong when. Times are µs of the run.

use crate::rng::Rng;

/// A second in µs.
pub const SECOND: i64 = 1_000_000;
/// Senders send for this long.
pub const LENGTH: i64 = 1_200 * SECOND;
/// Then this much passes, so that every journey ends.
pub const DRAIN: i64 = 1_500 * SECOND;

/// Results are silent after this much: the objective.
pub const SILENCE: i64 = 120 * SECOND;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The portal answers AE.
    Error,
    /// The portal answers AR.
    Reject,
    /// The portal takes messages and answers nothing.
    Hang,
    /// The portal's port is closed.
    Refuse,
    /// The portal answers so late that the engine has given up.
    LateAcks,
    /// The portal answers with what is no ACK.
    Garbage,
    /// The portal writes MSA-2 in lower case.
    AlteredIds,
    /// The portal leaves MSA-2 empty.
    EmptyIds,
    /// The portal names the message before.
    OffByOne,
    /// An enhanced portal commits, and never says what became of it.
    CommitOnly,
    /// The engine loses what it has accepted, on its way to this portal.
    Drop,
    /// The engine sends everything to this portal twice.
    Duplicate,
    /// The engine holds each message back for two and a half minutes.
    Delay,
    /// The engine sends messages in another order.
    Reorder,
    /// The connection to the portal is reset behind each fourth message, before its answer.
    Cut,
    /// Feedpulse sees nothing at this portal.
    Blind,
    /// Feedpulse sees what happens at this portal eight seconds late.
    TapLag,
    /// The senders' clocks are an hour, or 45 seconds, ahead.
    ClockStep,
    /// The senders' clocks run 1 % fast, until they are set right at the end.
    Drift,
    /// The senders are silent.
    Silence,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// From when.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// At which portal, from 0.
    pub portal: usize,
}

/// A sender.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// From one message to the next.
    pub every: i64,
    /// It asks for enhanced mode (MSH-15 AL, MSH-16 NE).
    pub enhanced: bool,
}

/// A portal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portal {
    /// It commits (CA), and tells later what became of it (MSH-15 AL, MSH-16 AL).
    pub enhanced: bool,
    /// What it tells later comes on a connection of its own.
    pub returns: bool,
    /// The engine sends it batches, every twenty seconds.
    pub batches: bool,
    /// The engine sends it a message so often at most.
    pub tries: u32,
    /// It answers a batch of which all is well with an empty one.
    pub error_only: bool,
}

/// Everything that a seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Who sends.
    pub senders: Vec<Sender>,
    /// Where results go.
    pub portals: Vec<Portal>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Feedpulse is killed: its last snapshot, and what it had written, as shares in thousandths.
    pub crashes: Vec<(u64, u64)>,
}

const KINDS: [FaultKind; 20] = [
    FaultKind::Error,
    FaultKind::Reject,
    FaultKind::Hang,
    FaultKind::Refuse,
    FaultKind::LateAcks,
    FaultKind::Garbage,
    FaultKind::AlteredIds,
    FaultKind::EmptyIds,
    FaultKind::OffByOne,
    FaultKind::CommitOnly,
    FaultKind::Drop,
    FaultKind::Duplicate,
    FaultKind::Delay,
    FaultKind::Reorder,
    FaultKind::Cut,
    FaultKind::Blind,
    FaultKind::TapLag,
    FaultKind::ClockStep,
    FaultKind::Drift,
    FaultKind::Silence,
];

impl Plan {
    /// What a seed decides. A third of the seeds has no fault.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let senders = (0..rng.range(1, 3))
            .map(|_| Sender { every: rng.range(3, 12) * SECOND, enhanced: rng.one_in(3) })
            .collect();
        let portals: Vec<Portal> = (0..rng.range(1, 3))
            .map(|_| {
                let enhanced = rng.one_in(3);
                Portal {
                    enhanced,
                    returns: rng.one_in(2),
                    tries: if rng.one_in(3) { 1 } else { 3 },
                    batches: !enhanced && rng.one_in(4),
                    error_only: rng.one_in(2),
                }
            })
            .collect();
        let count = if rng.one_in(3) { 0 } else { rng.range(1, 3) };
        let mut faults: Vec<Fault> = Vec::new();
        for _ in 0..count {
            let kind = KINDS[rng.index(KINDS.len())];
            let from = rng.range(60, 700) * SECOND;
            let to = from + rng.range(30, 300) * SECOND;
            faults.push(Fault { kind, from, to, portal: rng.index(portals.len()) });
        }
        let crashes =
            (0..rng.range(0, 3)).map(|_| (rng.next() % 1_000, rng.next() % 1_000)).collect();
        Self { seed, senders, portals, faults, crashes }
    }

    /// The fault of a kind that holds at a portal at a time.
    #[must_use]
    pub fn holds(&self, kind: FaultKind, portal: usize, at: i64) -> Option<&Fault> {
        let mut faults = self.faults.iter();
        faults.find(|f| f.kind == kind && f.portal == portal && f.from <= at && at < f.to)
    }

    /// Whether a fault of a kind holds at a time, wherever.
    #[must_use]
    pub fn is(&self, kind: FaultKind, at: i64) -> bool {
        self.faults.iter().any(|f| f.kind == kind && f.from <= at && at < f.to)
    }

    /// Whether a kind of fault is in the plan.
    #[must_use]
    pub fn has(&self, kind: FaultKind) -> bool {
        self.faults.iter().any(|f| f.kind == kind)
    }
}
