//! Tables that grow by an eighth. Doubling would keep up to half of a large table in reserve; the
//! copies that this costs instead are over when the table has reached its size.

use std::collections::VecDeque;

/// Items that a table has room for at first.
const LEAST: usize = 16;

/// A table that says how much it grows.
pub(super) trait Room {
    /// Makes room for one more item, if there is none.
    fn make_room(&mut self);
}

const fn more(len: usize) -> usize {
    if len / 8 > LEAST { len / 8 } else { LEAST }
}

impl<T> Room for Vec<T> {
    fn make_room(&mut self) {
        if self.len() == self.capacity() {
            self.reserve_exact(more(self.len()));
        }
    }
}

impl<T> Room for VecDeque<T> {
    fn make_room(&mut self) {
        if self.len() == self.capacity() {
            self.reserve_exact(more(self.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Room;
    use std::collections::VecDeque;

    #[test]
    fn a_large_table_keeps_an_eighth_in_reserve() {
        let (mut list, mut queue) = (Vec::new(), VecDeque::new());
        for n in 0..100_000_u64 {
            list.make_room();
            list.push(n);
            queue.make_room();
            queue.push_back(n);
        }
        for reserved in [list.capacity(), queue.capacity()] {
            assert!((100_000..=112_500).contains(&reserved), "{reserved}");
        }
    }
}
