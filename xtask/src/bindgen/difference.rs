//! Finds the first difference of two texts.

use std::fmt;

/// The first line in which two texts differ; `None` stands for the end of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference<'a> {
    line: usize,
    old: Option<&'a str>,
    new: Option<&'a str>,
}

/// Compares two texts by line, including line endings.
pub(crate) fn first_difference<'a>(old: &'a str, new: &'a str) -> Option<Difference<'a>> {
    let (mut old, mut new) = (old.split('\n'), new.split('\n'));
    for line in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (old, new) if old != new => return Some(Difference { line, old, new }),
            _ => {}
        }
    }
    None
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |line: Option<&str>| line.unwrap_or("(end of file)").to_owned();
        write!(f, "line {}\n- {}\n+ {}", self.line, shown(self.old), shown(self.new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_line_is_found() {
        let cases = [
            ("", "", None),
            ("a\nb\n", "a\nb\n", None),
            ("a\nb\n", "a\nc\n", Some((2, Some("b"), Some("c")))),
            ("a\n", "a\nb\n", Some((2, Some(""), Some("b")))),
            ("a\nb", "a", Some((2, Some("b"), None))),
            ("a\r\n", "a\n", Some((1, Some("a\r"), Some("a")))),
        ];
        for (old, new, expected) in cases {
            let expected = expected.map(|(line, old, new)| Difference { line, old, new });
            assert_eq!(first_difference(old, new), expected, "{old:?} {new:?}");
        }
    }
}
