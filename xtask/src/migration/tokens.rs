//! The tokens of Rust source with their positions, sufficient for search and replace.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Identifiers, keywords and numbers.
    Word,
    /// String and character literals, and lifetimes.
    Literal,
    /// One character of punctuation.
    Mark,
}

#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) start: usize,
}

impl Token<'_> {
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    pub(super) fn opens(&self) -> bool {
        self.kind == Kind::Mark && matches!(self.text, "(" | "[" | "{")
    }

    pub(super) fn closes(&self) -> bool {
        self.kind == Kind::Mark && matches!(self.text, ")" | "]" | "}")
    }
}

/// The tokens of `source`, without spaces and comments.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(rest) = source.get(start..).filter(|rest| !rest.is_empty()) {
        let (kind, len) = first(rest);
        if let (Some(kind), Some(text)) = (kind, rest.get(..len)) {
            tokens.push(Token { kind, text, start });
        }
        start += len;
    }
    tokens
}

/// The kind and the length of the first token in `rest`; no kind for spaces and comments.
fn first(rest: &str) -> (Option<Kind>, usize) {
    let Some(first) = rest.chars().next() else { return (None, 0) };
    let word = |rest: &str| rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
    match first {
        _ if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
        _ if rest.starts_with("/*") => (None, rest.find("*/").map_or(rest.len(), |end| end + 2)),
        '"' => (Some(Kind::Literal), quoted(rest, '"')),
        // A lifetime, unless a quote ends it.
        '\'' if rest[1..].starts_with(is_word)
            && rest[1..].chars().nth(1).is_none_or(|c| c != '\'') =>
        {
            (Some(Kind::Literal), 1 + word(&rest[1..]))
        }
        '\'' => (Some(Kind::Literal), quoted(rest, '\'')),
        _ if is_word(first) => {
            let len = word(rest);
            match &rest[..len] {
                "b" | "c" if rest[len..].starts_with('"') => {
                    (Some(Kind::Literal), len + quoted(&rest[len..], '"'))
                }
                "b" if rest[len..].starts_with('\'') => {
                    (Some(Kind::Literal), len + quoted(&rest[len..], '\''))
                }
                _ => (Some(Kind::Word), len),
            }
        }
        _ if first.is_whitespace() => (None, first.len_utf8()),
        _ => (Some(Kind::Mark), first.len_utf8()),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a literal including its quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_lifetimes_are_no_words() {
        let source = "let a: &'a [u8] = b\"x \\\" y\"; // PROC\n/* PROC */ c('\\'', 'x', \"PROC\")";
        let texts: Vec<_> = tokens(source).iter().map(|token| token.text).collect();
        let expected = [
            "let",
            "a",
            ":",
            "&",
            "'a",
            "[",
            "u8",
            "]",
            "=",
            "b\"x \\\" y\"",
            ";",
            "c",
            "(",
            "'\\''",
            ",",
            "'x'",
            ",",
            "\"PROC\"",
            ")",
        ];
        assert_eq!(texts, expected);
        for token in tokens(source) {
            assert_eq!(&source[token.range()], token.text);
        }
    }
}
