//! Losses as a pcapng file has them: a count as an option, and a comment that says why.

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

/// The loss that a count and a comment tell of, if they do.
pub(super) fn read(count: Option<u64>, comment: Option<&str>) -> Option<Lost> {
    let said = comment.and_then(|comment| comment.split_once(LOST));
    let count = count.filter(|&count| count > 0);
    if count.is_none() && said.is_none_or(|(how_many, _)| how_many != UNKNOWN_COUNT) {
        return None;
    }
    let causes = [LossCause::Overrun, LossCause::Oversized];
    let why = said.map(|(_, why)| why);
    let cause = causes.into_iter().find(|cause| why == Some(cause.to_string().as_str()));
    Some(Lost { count, cause: cause.unwrap_or(LossCause::Recorded) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for cause in [LossCause::Overrun, LossCause::Oversized, LossCause::Recorded] {
            for count in [Some(1), Some(u64::MAX), None] {
                let lost = Lost { count, cause };
                assert_eq!(read(count, Some(&comment(&lost))), Some(lost));
            }
        }
    }

    #[test]
    fn other_programs_say_how_many_or_nothing() {
        assert_eq!(read(Some(3), None), Some(Lost { count: Some(3), cause: LossCause::Recorded }));
        assert_eq!(read(Some(0), None), None);
        assert_eq!(read(None, Some("my luggage is lost: where?")), None);
        assert_eq!(read(None, None), None);
    }
}
