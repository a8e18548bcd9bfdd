//! What a pcapng file says of an interface, as far as its packets depend on it.

use std::time::{Duration, SystemTime};

use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};

use crate::capture::cooked;

const NANOS: u64 = 1_000_000_000;

/// An interface that packets were captured on.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) is_netlink: bool,
    /// Bytes kept of a packet; 0 for all.
    snaplen: u32,
    /// Units of its time stamps in a second; `None` for more than can be counted.
    resolution: Option<u64>,
    /// Seconds to add to its time stamps.
    offset: i64,
    /// Losses that were delivered.
    pub(super) told: u64,
}

impl Interface {
    pub(super) fn new(block: &InterfaceDescriptionBlock<'_>) -> Self {
        let mut interface = Self {
            is_netlink: u32::from(block.linktype) == cooked::LINK_TYPE,
            snaplen: block.snaplen,
            // Microseconds, for those that do not say.
            resolution: Some(1_000_000),
            offset: 0,
            told: 0,
        };
        for option in &block.options {
            match option {
                InterfaceDescriptionOption::IfTsResol(code) => {
                    interface.resolution = resolution(*code);
                }
                InterfaceDescriptionOption::IfTsOffset(seconds) => {
                    // The parser has it without its sign.
                    interface.offset = i64::from_ne_bytes(seconds.to_ne_bytes());
                }
                _ => {}
            }
        }
        interface
    }

    /// How many bytes of a packet were kept, where that is not said with it.
    pub(super) fn captured(&self, original: u32) -> usize {
        let captured = if self.snaplen == 0 { original } else { original.min(self.snaplen) };
        usize::try_from(captured).unwrap_or(usize::MAX)
    }

    /// The time of day of a time stamp, if there is one.
    #[inline]
    pub(super) fn time(&self, timestamp: u64) -> Option<SystemTime> {
        let since = match self.resolution? {
            NANOS => Duration::from_nanos(timestamp),
            resolution => {
                let fraction = u128::from(timestamp % resolution) * u128::from(NANOS);
                let nanos = fraction / u128::from(resolution);
                Duration::new(timestamp / resolution, u32::try_from(nanos).ok()?)
            }
        };
        let time = SystemTime::UNIX_EPOCH.checked_add(since)?;
        let offset = Duration::from_secs(self.offset.unsigned_abs());
        if self.offset < 0 { time.checked_sub(offset) } else { time.checked_add(offset) }
    }
}

/// Units in a second, from `if_tsresol`: a power of ten, or of two if the upper bit is set.
fn resolution(code: u8) -> Option<u64> {
    let exponent = u32::from(code & 0x7f);
    if code & 0x80 == 0 { 10_u64.checked_pow(exponent) } else { 1_u64.checked_shl(exponent) }
}

#[cfg(test)]
mod tests {
    use pcap_file::DataLink;

    use super::*;

    #[test]
    fn every_unit_of_time_is_understood() {
        let nanos = |code: u8, timestamp| {
            let mut block = InterfaceDescriptionBlock::new(DataLink::NETLINK, 0);
            block.options.push(InterfaceDescriptionOption::IfTsResol(code));
            let time = Interface::new(&block).time(timestamp);
            time.map(|t| t.duration_since(SystemTime::UNIX_EPOCH).expect("after it").as_nanos())
        };
        assert_eq!(nanos(0, 7), Some(7_000_000_000));
        assert_eq!(nanos(3, 7_001), Some(7_001_000_000));
        assert_eq!(nanos(9, u64::MAX), Some(u64::MAX.into()));
        assert_eq!(nanos(12, 7_000_000_001_999), Some(7_000_000_001));
        assert_eq!(nanos(0x80 | 0x0a, 1024 + 512), Some(1_500_000_000));
        assert_eq!(nanos(0x80 | 0x3f, 1 << 62), Some(500_000_000));
        assert_eq!(nanos(20, 7), None);
        assert_eq!(nanos(0xff, 7), None);
        // Beyond what the system can say.
        assert_eq!(nanos(0, u64::MAX), None);
    }

    #[test]
    fn a_clock_that_starts_elsewhere_is_moved() {
        let seconds = |offset: i64| {
            let mut block = InterfaceDescriptionBlock::new(DataLink::NETLINK, 0);
            let offset = u64::from_ne_bytes(offset.to_ne_bytes());
            block.options.push(InterfaceDescriptionOption::IfTsOffset(offset));
            let time = Interface::new(&block).time(10_000_000)?;
            Some(time.duration_since(SystemTime::UNIX_EPOCH).expect("after it").as_secs())
        };
        assert_eq!(seconds(1_000), Some(1_010));
        assert_eq!(seconds(-4), Some(6));
    }
}
