//! Order that matters to patients: results that go back, merges that come out of order, messages for
//! a record that was merged away. Judged at each waypoint by itself: a receiver sees what passes it.

use super::fifo::{self, Number};
use super::room::Room as _;
use crate::codes::Code;
use crate::frame::WaypointId;
use crate::key::MessageKey;
use crate::order::{OrderMarks, PatientEvent, PatientMark, ResultMark, ResultStatus};
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Orders, and patients, that are followed; the one first seen longest ago goes first.
pub(super) const FOLLOWED_MAX: usize = 65_536;

/// What was last seen of an order's test at a waypoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Followed<T> {
    /// Where.
    pub waypoint: WaypointId,
    /// Its keyed hash.
    pub key: u64,
    /// What.
    pub last: T,
}

/// What was last seen of a patient's record at a waypoint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record {
    /// Latest EVN-2 of an update.
    pub updated: Option<Timestamp>,
    /// It was merged into another.
    pub gone: bool,
}

/// Everything followed, in order of first sight.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sequence {
    /// Orders' tests.
    pub results: VecDeque<Followed<ResultStatus>>,
    /// Number of the oldest.
    pub results_first: u64,
    /// Patients' records.
    pub patients: VecDeque<Followed<Record>>,
    /// Number of the oldest.
    pub patients_first: u64,
}

/// Where things are in a [`Sequence`]; no state.
#[derive(Debug, Default)]
pub(super) struct Index {
    results: fifo::Index,
    patients: fifo::Index,
}

impl<T> Followed<T> {
    fn name(&self) -> MessageKey {
        MessageKey::from_u128((u128::from(self.waypoint.0) << 64) | u128::from(self.key))
    }
}

fn name_at<T>(list: &VecDeque<Followed<T>>, first: u64, number: Number) -> Option<MessageKey> {
    list.get(number.after(first)).map(Followed::name)
}

fn index_of<T>(list: &VecDeque<Followed<T>>, first: u64) -> fifo::Index {
    let mut index = fifo::Index::default();
    for (number, followed) in (first..).zip(list) {
        index.insert(followed.name(), Number::new(number), |n| name_at(list, first, n));
    }
    index
}

/// Finds what is followed under a name, or begins to follow it.
fn follow<'a, T: Copy>(
    list: &'a mut VecDeque<Followed<T>>,
    first: &mut u64,
    index: &mut fifo::Index,
    fresh: Followed<T>,
) -> &'a mut T {
    let name = fresh.name();
    let known = index.get(name, |n| name_at(list, *first, n));
    let number = known.unwrap_or_else(|| {
        if list.len() >= FOLLOWED_MAX
            && let Some(oldest) = list.pop_front()
        {
            index.remove(oldest.name(), Number::new(*first));
            *first += 1;
        }
        let number = Number::new(*first + list.len() as u64);
        list.make_room();
        list.push_back(fresh);
        index.insert(name, number, |n| name_at(list, *first, n));
        number
    });
    &mut list[number.after(*first)].last
}

impl Sequence {
    /// The index of a restored state.
    pub(super) fn index(&self) -> Index {
        Index {
            results: index_of(&self.results, self.results_first),
            patients: index_of(&self.patients, self.patients_first),
        }
    }

    /// Follows a message at a waypoint; says what is out of order about it. A message that is only
    /// sent again (`again`) changes nothing: its first sending was judged.
    pub(super) fn see(
        &mut self,
        index: &mut Index,
        waypoint: WaypointId,
        marks: &OrderMarks,
        again: bool,
    ) -> Option<Code> {
        if again {
            return None;
        }
        let mut fault = None;
        for mark in marks.results.iter().flatten() {
            fault = fault.or(self.result(index, waypoint, *mark));
        }
        fault.or(marks.patient.and_then(|mark| self.patient(index, waypoint, mark)))
    }

    fn result(
        &mut self,
        index: &mut Index,
        waypoint: WaypointId,
        mark: ResultMark,
    ) -> Option<Code> {
        let fresh = Followed { waypoint, key: mark.test, last: mark.status };
        let index = &mut index.results;
        let held = follow(&mut self.results, &mut self.results_first, index, fresh);
        let back = mark.status < *held;
        // After a step back the receiver shows the older one: a further final one is news again.
        *held = mark.status;
        back.then_some(Code::ResultRegressed)
    }

    fn patient(
        &mut self,
        index: &mut Index,
        waypoint: WaypointId,
        mark: PatientMark,
    ) -> Option<Code> {
        let record = self.record(index, waypoint, mark.patient);
        let gone = record.gone;
        match mark.event {
            PatientEvent::Merge { gone: other } => {
                let late =
                    record.updated.zip(mark.at).is_some_and(|(update, merge)| update > merge);
                self.record(index, waypoint, other).gone = true;
                (late || gone).then_some(Code::MergeOutOfOrder)
            }
            PatientEvent::Unmerge { back } => {
                self.record(index, waypoint, back).gone = false;
                None
            }
            PatientEvent::Update => {
                record.updated = record.updated.max(mark.at);
                gone.then_some(Code::MergedAway)
            }
            PatientEvent::Other => gone.then_some(Code::MergedAway),
        }
    }

    fn record(&mut self, index: &mut Index, waypoint: WaypointId, key: u64) -> &mut Record {
        let fresh = Followed { waypoint, key, last: Record::default() };
        follow(&mut self.patients, &mut self.patients_first, &mut index.patients, fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::{FOLLOWED_MAX, Index, Sequence};
    use crate::codes::Code;
    use crate::frame::WaypointId;
    use crate::order::{OrderMarks, PatientEvent, PatientMark, ResultMark, ResultStatus};
    use crate::time::Timestamp;

    const HERE: WaypointId = WaypointId(0);

    fn result(test: u64, status: ResultStatus) -> OrderMarks {
        let mut marks = OrderMarks::default();
        marks.results[0] = Some(ResultMark { test, status });
        marks
    }

    fn patient(patient: u64, event: PatientEvent, at: i64) -> OrderMarks {
        let at = Some(Timestamp::from_secs(at));
        OrderMarks { patient: Some(PatientMark { patient, event, at }), ..OrderMarks::default() }
    }

    fn said(steps: &[OrderMarks]) -> Vec<Option<Code>> {
        let (mut sequence, mut index) = (Sequence::default(), Index::default());
        steps.iter().map(|marks| sequence.see(&mut index, HERE, marks, false)).collect()
    }

    #[test]
    fn a_result_may_only_go_forward() {
        use ResultStatus::{Corrected as C, Final as F, Preliminary as P};
        let back = Some(Code::ResultRegressed);
        for (statuses, expected) in [
            (vec![P, P, F, F, C, C], vec![None; 6]),
            (vec![F, P], vec![None, back]),
            (vec![C, F], vec![None, back]),
            (vec![C, P, F], vec![None, back, None]),
        ] {
            let steps: Vec<_> = statuses.iter().map(|s| result(1, *s)).collect();
            assert_eq!(said(&steps), expected, "{statuses:?}");
        }
        assert_eq!(said(&[result(1, F), result(2, P)]), [None, None], "another test");
        let (mut sequence, mut index) = (Sequence::default(), Index::default());
        assert_eq!(sequence.see(&mut index, HERE, &result(1, F), false), None);
        assert_eq!(sequence.see(&mut index, HERE, &result(1, P), true), None, "sent again");
        assert_eq!(
            sequence.see(&mut index, WaypointId(1), &result(1, P), false),
            None,
            "elsewhere"
        );
    }

    #[test]
    fn merges_have_an_order() {
        let merge = |into, gone, at| patient(into, PatientEvent::Merge { gone }, at);
        let update = |of, at| patient(of, PatientEvent::Update, at);
        let other = |of| patient(of, PatientEvent::Other, 0);
        for (steps, expected) in [
            (vec![merge(1, 2, 10), update(1, 11)], vec![None, None]),
            (vec![update(1, 11), merge(1, 2, 10)], vec![None, Some(Code::MergeOutOfOrder)]),
            (vec![update(1, 9), merge(1, 2, 10)], vec![None, None]),
            (vec![merge(2, 3, 10), merge(1, 2, 11)], vec![None, None]),
            (vec![merge(1, 2, 11), merge(2, 3, 10)], vec![None, Some(Code::MergeOutOfOrder)]),
            (vec![merge(1, 2, 10), other(2)], vec![None, Some(Code::MergedAway)]),
            (vec![merge(1, 2, 10), update(2, 12)], vec![None, Some(Code::MergedAway)]),
            (
                vec![merge(1, 2, 10), patient(1, PatientEvent::Unmerge { back: 2 }, 11), other(2)],
                vec![None, None, None],
            ),
            (vec![other(1), other(2), merge(1, 2, 10), other(1)], vec![None; 4]),
        ] {
            assert_eq!(said(&steps), expected, "{steps:?}");
        }
    }

    #[test]
    fn what_is_followed_is_bounded_and_found_again() {
        let (mut sequence, mut index) = (Sequence::default(), Index::default());
        for test in 1..=FOLLOWED_MAX as u64 + 10 {
            let _ = sequence.see(&mut index, HERE, &result(test, ResultStatus::Final), false);
        }
        assert_eq!(sequence.results.len(), FOLLOWED_MAX);
        let mut again = sequence.index();
        let last = result(FOLLOWED_MAX as u64, ResultStatus::Preliminary);
        assert_eq!(sequence.see(&mut again, HERE, &last, false), Some(Code::ResultRegressed));
        assert_eq!(
            sequence.see(&mut again, HERE, &result(1, ResultStatus::Preliminary), false),
            None
        );
    }
}
