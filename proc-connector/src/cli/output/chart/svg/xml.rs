//! Escapes for XML 1.0.

use std::fmt;

use crate::cli::shown::is_seen;

/// Escapes text for any place in a document, including attributes.
///
/// Invisible characters are escaped as on a terminal, among them all that XML excludes, even as a
/// reference (section 2.2 of the standard).
pub(super) struct Xml<'a>(pub(super) &'a str);

impl fmt::Display for Xml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\t' => f.write_str("&#9;")?,
                '\n' => f.write_str("&#10;")?,
                letter if is_seen(letter) => write!(f, "{letter}")?,
                letter => write!(f, "{}", letter.escape_unicode())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Xml, is_seen};

    #[test]
    fn every_character_can_be_read_back_or_is_escaped() {
        // All characters except those of planes that have only ideographs, or are unassigned.
        for letter in ('\0'..='\u{1ffff}').chain('\u{e0000}'..='\u{e1000}') {
            let text = format!("a{letter}b");
            let xml = format!("<a b='{0}' c=\"{0}\">{0}</a>", Xml(&text));
            let document = roxmltree::Document::parse(&xml).expect("well-formed");
            let root = document.root_element();
            let read = root.text().expect("text");
            let escaped = format!("a{}b", letter.escape_unicode());
            assert!(read == text || read == escaped, "{letter:?} became {read:?}");
            let is_kept = is_seen(letter) || "\t\n".contains(letter);
            assert_eq!(read == text, is_kept, "{letter:?} became {read:?}");
            for attribute in root.attributes() {
                assert_eq!(attribute.value(), read);
            }
        }
    }
}
