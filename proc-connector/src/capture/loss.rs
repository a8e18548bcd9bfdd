//! Losses as a pcapng file has them: a count as an option, and a comment with the reason.

use crate::stream::{LossCause, Lost};

const LOST: &str = " lost: ";
const UNKNOWN_COUNT: &str = "an unknown number of events";

/// `17 events lost: the receive buffer was full`.
pub(super) fn comment(lost: &Lost) -> String {
    match lost.count {
        Some(count) => format!("{count} events{LOST}{}", lost.cause),
        None => format!("{UNKNOWN_COUNT}{LOST}{}", lost.cause),
    }
}

/// What a comment of [`comment`]'s form says of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    is_uncounted: bool,
    cause: LossCause,
}

/// Reads a comment, which may be any bytes; `None` for one of another program.
pub(super) fn said(comment: &[u8]) -> Option<Said> {
    let (count, why) = std::str::from_utf8(comment).ok()?.split_once(LOST)?;
    let causes = [LossCause::Overrun, LossCause::Oversized];
    let cause = causes.into_iter().find(|cause| why == cause.to_string());
    let is_uncounted = count == UNKNOWN_COUNT;
    if cause.is_none() && !is_uncounted {
        return None;
    }
    Some(Said { is_uncounted, cause: cause.unwrap_or(LossCause::Recorded) })
}

/// The loss that a count and a comment report, if they do.
pub(super) fn read(count: Option<u64>, said: Option<Said>) -> Option<Lost> {
    let count = count.filter(|&count| count > 0);
    if count.is_none() && !said.is_some_and(|said| said.is_uncounted) {
        return None;
    }
    Some(Lost { count, cause: said.map_or(LossCause::Recorded, |said| said.cause) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for cause in [LossCause::Overrun, LossCause::Oversized, LossCause::Recorded] {
            for count in [Some(1), Some(u64::MAX), None] {
                let lost = Lost { count, cause };
                assert_eq!(read(count, said(comment(&lost).as_bytes())), Some(lost));
            }
        }
    }

    #[test]
    fn other_programs_say_how_many_or_nothing() {
        assert_eq!(read(Some(3), None), Some(Lost { count: Some(3), cause: LossCause::Recorded }));
        assert_eq!(read(Some(0), None), None);
        assert_eq!(read(None, said(b"my luggage is lost: where?")), None);
        assert_eq!(read(None, said(b"caf\xe9 lost: \xff")), None);
        assert_eq!(read(None, None), None);
    }
}
