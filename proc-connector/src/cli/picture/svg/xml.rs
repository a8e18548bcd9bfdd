//! Text as XML 1.0 allows it.

use std::fmt;

/// Writes text so that it can stand anywhere in a document, as an attribute too.
///
/// What must not be in XML at all, not even as a reference, is replaced (section 2.2 of the standard).
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
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => f.write_str("\u{fffd}")?,
                // Allowed, but they could turn the text around them: bidirectional controls.
                '\x7f'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    f.write_str("\u{fffd}")?;
                }
                letter => write!(f, "{letter}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Xml;

    #[test]
    fn every_character_can_be_read_back_or_is_replaced() {
        for letter in (0..=0xffff).filter_map(char::from_u32) {
            let text = format!("a{letter}b");
            let xml = format!("<a b='{0}' c=\"{0}\">{0}</a>", Xml(&text));
            let document = roxmltree::Document::parse(&xml).expect("well-formed");
            let root = document.root_element();
            let read = root.text().expect("text");
            assert!(read == text || read == "a\u{fffd}b", "{letter:?} became {read:?}");
            for attribute in root.attributes() {
                assert_eq!(attribute.value(), read);
            }
        }
    }
}
