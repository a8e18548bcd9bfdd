//! An interface of a pcapng file: the fields that its packets depend on.

use std::time::{Duration, SystemTime};

use crate::capture::byte_order::Order;
use crate::capture::cooked::Link;

const NANOS: i128 = 1_000_000_000;

/// `if_tsresol` and `if_tsoffset`.
const RESOLUTION: u16 = 9;
const OFFSET: u16 = 14;

/// An interface on which packets were captured.
#[derive(Debug)]
pub(super) struct Interface {
    /// `None` if the link type never carries netlink datagrams.
    pub(super) link: Option<Link>,
    /// The maximum number of bytes captured per packet; 0 for no limit.
    snaplen: u32,
    /// `if_tsresol`: time stamp units per second, as a power of ten, or of two if the upper bit is
    /// set.
    resolution: u8,
    /// `if_tsoffset`: seconds to add to time stamps.
    offset: i64,
    /// The number of losses already delivered.
    pub(super) reported: u64,
}

impl Interface {
    /// The length of the block's fields before the options, in bytes.
    pub(super) const FIXED_LEN: usize = 16;

    /// Reads the fields before the options.
    pub(super) fn new(order: Order, block: &[u8]) -> Self {
        Self {
            link: Link::from_link_type(order.u16_at(block, 8).into()),
            snaplen: order.u32_at(block, 12),
            // The default is microseconds.
            resolution: 6,
            offset: 0,
            reported: 0,
        }
    }

    /// Applies an option if its code is known and its length is valid.
    pub(super) fn apply_option(&mut self, order: Order, code: u16, value: &[u8]) {
        match (code, value) {
            (RESOLUTION, &[resolution]) => self.resolution = resolution,
            (OFFSET, value) => {
                if let Some(seconds) = order.u64_from(value) {
                    self.offset = i64::from_ne_bytes(seconds.to_ne_bytes());
                }
            }
            _ => {}
        }
    }

    /// The captured length of a simple packet, whose block contains only the original length.
    pub(super) fn captured(&self, original: u32) -> usize {
        let captured = if self.snaplen == 0 { original } else { original.min(self.snaplen) };
        usize::try_from(captured).unwrap_or(usize::MAX)
    }

    /// The time of day of a time stamp, if `SystemTime` can represent it.
    #[inline]
    pub(super) fn time(&self, timestamp: u64) -> Option<SystemTime> {
        if self.resolution == 9 && self.offset == 0 {
            return SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(timestamp));
        }
        let nanos = nanoseconds(self.resolution, timestamp) + i128::from(self.offset) * NANOS;
        let (seconds, fraction) = (nanos.abs() / NANOS, nanos.abs() % NANOS);
        let distance = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(fraction).ok()?);
        if nanos < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        }
    }
}

/// Converts a time stamp to nanoseconds, for any resolution without overflow.
fn nanoseconds(resolution: u8, timestamp: u64) -> i128 {
    let (timestamp, exponent) = (i128::from(timestamp), u32::from(resolution & 0x7f));
    if resolution & 0x80 != 0 {
        return (timestamp * NANOS) >> exponent;
    }
    match exponent.checked_sub(9) {
        None => timestamp * 10_i128.pow(9 - exponent),
        // If the divisor does not fit, the unit is so short that every time stamp is below a
        // nanosecond.
        Some(finer) => 10_i128.checked_pow(finer).map_or(0, |divisor| timestamp / divisor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(options: &[(u16, &[u8])]) -> Interface {
        let mut interface = Interface::new(Order::Native, &[0; Interface::FIXED_LEN]);
        for (code, value) in options {
            interface.apply_option(Order::Native, *code, value);
        }
        interface
    }

    #[test]
    fn every_resolution_is_converted_to_nanoseconds() {
        let nanos = |code: u8, timestamp| {
            let time = with(&[(RESOLUTION, &[code])]).time(timestamp);
            time.map(|t| {
                t.duration_since(SystemTime::UNIX_EPOCH).expect("after the epoch").as_nanos()
            })
        };
        assert_eq!(nanos(0, 7), Some(7_000_000_000));
        assert_eq!(nanos(3, 7_001), Some(7_001_000_000));
        assert_eq!(nanos(9, u64::MAX), Some(u64::MAX.into()));
        assert_eq!(nanos(12, 7_000_000_001_999), Some(7_000_000_001));
        assert_eq!(nanos(0x80 | 0x0a, 1024 + 512), Some(1_500_000_000));
        assert_eq!(nanos(0x80 | 0x3f, 1 << 62), Some(500_000_000));
        assert_eq!(nanos(0x80 | 0x40, 1 << 63), Some(500_000_000));
        assert_eq!(nanos(20, 700_000_000_000), Some(7));
        assert_eq!(nanos(0x7f, u64::MAX), Some(0));
        assert_eq!(nanos(0xff, u64::MAX), Some(0));
        // Not representable as `SystemTime`.
        assert_eq!(nanos(0, u64::MAX), None);
    }

    #[test]
    fn no_resolution_offset_or_time_stamp_overflows() {
        for code in 0..=u8::MAX {
            for offset in [0, 1, -1, i64::MAX, i64::MIN] {
                let interface = with(&[(RESOLUTION, &[code]), (OFFSET, &offset.to_ne_bytes())]);
                for timestamp in [0, 1, u64::MAX / 2, u64::MAX] {
                    let _ = interface.time(timestamp);
                }
            }
        }
    }

    #[test]
    fn the_offset_is_added_to_time_stamps() {
        let seconds = |offset: i64| {
            let time = with(&[(OFFSET, &offset.to_ne_bytes())]).time(10_000_000)?;
            let epoch = SystemTime::UNIX_EPOCH;
            Some(match time.duration_since(epoch) {
                Ok(after) => i128::from(after.as_secs()),
                Err(before) => -i128::from(before.duration().as_secs()),
            })
        };
        assert_eq!(seconds(1_000), Some(1_010));
        assert_eq!(seconds(-4), Some(6));
        assert_eq!(seconds(-14), Some(-4));
    }

    #[test]
    fn options_of_a_wrong_length_are_ignored() {
        let interface = with(&[(RESOLUTION, &[]), (RESOLUTION, &[9, 9]), (OFFSET, &[1; 4])]);
        assert_eq!((interface.resolution, interface.offset), (6, 0));
    }
}
