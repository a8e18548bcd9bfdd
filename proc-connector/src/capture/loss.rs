//! Losses in a pcapng file: a count in an option, and the cause in a comment.

use crate::stream::{LossCause, Lost};

const LOST: &str = " lost: ";
const UNKNOWN_COUNT: &str = "an unknown number of events";

/// The comment for a loss, such as `17 events lost: the receive buffer was full`.
pub(super) fn comment(lost: &Lost) -> String {
    match lost.count {
        Some(count) => format!("{count} events{LOST}{}", lost.cause),
        None => format!("{UNKNOWN_COUNT}{LOST}{}", lost.cause),
    }
}

/// The contents of a comment that [`comment`] produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommentedLoss {
    is_count_unknown: bool,
    cause: LossCause,
}

/// The causes that a comment can name.
const RECORDED_CAUSES: [LossCause; 4] =
    [LossCause::Overrun, LossCause::Oversized, LossCause::ShareExceeded, LossCause::Unfollowed];

/// Parses a comment, which may contain any bytes; `None` for a comment of another program.
pub(super) fn parse_comment(comment: &[u8]) -> Option<CommentedLoss> {
    let (count, cause_text) = std::str::from_utf8(comment).ok()?.split_once(LOST)?;
    let cause = RECORDED_CAUSES.into_iter().find(|cause| cause_text == cause.to_string());
    let is_count_unknown = count == UNKNOWN_COUNT;
    if cause.is_none() && !is_count_unknown {
        return None;
    }
    Some(CommentedLoss { is_count_unknown, cause: cause.unwrap_or(LossCause::Recorded) })
}

/// The loss that a count and a comment report, if any.
pub(super) fn from_count(count: Option<u64>, comment: Option<CommentedLoss>) -> Option<Lost> {
    let count = count.filter(|&count| count > 0);
    if count.is_none() && !comment.is_some_and(|comment| comment.is_count_unknown) {
        return None;
    }
    Some(Lost { count, cause: comment.map_or(LossCause::Recorded, |comment| comment.cause) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_can_be_parsed_again() {
        for cause in RECORDED_CAUSES.into_iter().chain([LossCause::Recorded]) {
            for count in [Some(1), Some(u64::MAX), None] {
                let lost = Lost { count, cause };
                assert_eq!(from_count(count, parse_comment(comment(&lost).as_bytes())), Some(lost));
            }
        }
    }

    #[test]
    fn a_comment_of_another_program_is_ignored() {
        assert_eq!(
            from_count(Some(3), None),
            Some(Lost { count: Some(3), cause: LossCause::Recorded })
        );
        assert_eq!(from_count(Some(0), None), None);
        assert_eq!(from_count(None, parse_comment(b"my luggage is lost: where?")), None);
        assert_eq!(from_count(None, parse_comment(b"caf\xe9 lost: \xff")), None);
        assert_eq!(from_count(None, None), None);
    }
}
