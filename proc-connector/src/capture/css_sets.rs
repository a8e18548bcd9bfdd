//! Numbers for the sets of cgroups of processes.

use std::collections::HashMap;

/// More sets than a machine has at a time.
const MAX: usize = 1 << 16;

/// Gives each set a number. The kernel's number is an address, which a file must not have.
#[derive(Debug, Default)]
pub(super) struct CssSets {
    numbers: HashMap<u64, u64>,
    /// The last address, and its number. Consecutive events are often of the same set.
    last: (u64, u64),
    count: u64,
}

impl CssSets {
    #[inline]
    pub(super) fn number(&mut self, address: u64) -> u64 {
        if address != self.last.0 || self.count == 0 {
            self.last = (address, self.find(address));
        }
        self.last.1
    }

    fn find(&mut self, address: u64) -> u64 {
        if let Some(&number) = self.numbers.get(&address) {
            return number;
        }
        if self.numbers.len() >= MAX {
            self.numbers.clear();
        }
        self.count += 1;
        self.numbers.insert(address, self.count);
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_addresses_have_equal_numbers() {
        let mut sets = CssSets::default();
        let numbers = [0, 7, 7, 9, 7, 0].map(|address| sets.number(address));
        assert_eq!(numbers, [1, 2, 2, 3, 2, 1]);
    }
}
