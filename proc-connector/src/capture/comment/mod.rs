//! The comments in which a capture keeps what the kernel recorded at events, and what was read about
//! processes.
//!
//! A comment is a line of words, separated by spaces. The first word is the version of the format, and
//! the others are `key` or `key=value`. In a value, `%` and two hexadecimal digits stand for a byte, as
//! in URLs. A key that the reader does not know is skipped.

pub(super) mod context;
pub(super) mod note;
mod text;

/// The first word of a comment in this version of the format.
pub(super) const VERSION: &[u8] = b"pc1 ";

/// The longest comment that is written, in bytes. The length of an option has 16 bits.
const MAX_LEN: usize = 60_000;

/// Whose comment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This version of the format.
    Known,
    /// Another version of the format.
    OtherVersion,
    /// Another program.
    Other,
}

/// Recognizes a comment by its first word.
#[inline]
pub(super) fn origin(comment: &[u8]) -> Origin {
    if comment.starts_with(VERSION) {
        return Origin::Known;
    }
    match comment.strip_prefix(b"pc") {
        Some(rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let is_version = digits > 0 && matches!(rest.get(digits), None | Some(b' '));
            if is_version { Origin::OtherVersion } else { Origin::Other }
        }
        None => Origin::Other,
    }
}

/// Whether a comment of this version has the context of an event.
#[inline]
pub(super) fn is_context(comment: &[u8]) -> bool {
    comment.get(VERSION.len()..).is_some_and(|rest| rest.starts_with(b"p="))
}

/// The words after the version: keys, and their values if they have one.
fn words(comment: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = comment.get(VERSION.len()..).unwrap_or_default();
    std::iter::from_fn(move || {
        while let [b' ', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        // Keys are short.
        let equals = word.iter().position(|&byte| byte == b'=');
        Some(match equals {
            Some(at) => (&word[..at], &word[at + 1..]),
            None => (word, &[][..]),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_recognized_by_its_first_word() {
        for (comment, expected) in [
            ("pc1 p=1", Origin::Known),
            ("pc1 ", Origin::Known),
            ("pc2 p=1", Origin::OtherVersion),
            ("pc17", Origin::OtherVersion),
            ("pc p=1", Origin::Other),
            ("pc1p", Origin::Other),
            ("PC1 p=1", Origin::Other),
            ("17 events lost: x", Origin::Other),
            ("", Origin::Other),
        ] {
            assert_eq!(origin(comment.as_bytes()), expected, "{comment}");
        }
    }

    #[test]
    fn words_are_separated_by_spaces() {
        let all = |text: &'static str| -> Vec<(&[u8], &[u8])> { words(text.as_bytes()).collect() };
        assert_eq!(all("pc1  a=1  b c==d "), [(&b"a"[..], &b"1"[..]), (b"b", b""), (b"c", b"=d"),]);
        assert!(all("pc1 ").is_empty());
    }
}
