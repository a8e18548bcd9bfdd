//! Text that controls a terminal, changes the order of characters, or is invisible.

/// Names of at most 15 bytes, and their escaped forms.
pub(crate) const HOSTILE: [(&[u8], &str); 15] = [
    (b"a\x1b[2Jb", "a\\u{1b}[2Jb"),
    (b"a\xc2\x9b2Jb", "a\\u{9b}2Jb"),
    (b"a\rb\nc\td", "a\\rb\\nc\\td"),
    (b"a\x08\x7fb", "a\\u{8}\\u{7f}b"),
    ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
    ("a\u{2066}b\u{2069}".as_bytes(), "a\\u{2066}b\\u{2069}"),
    ("\u{200b}a\u{feff}".as_bytes(), "\\u{200b}a\\u{feff}"),
    ("a\u{2028}b\u{85}".as_bytes(), "a\\u{2028}b\\u{85}"),
    ("a\u{ad}\u{61c}\u{180e}".as_bytes(), "a\\u{ad}\\u{61c}\\u{180e}"),
    ("a\u{3164}\u{fe0f}b".as_bytes(), "a\\u{3164}\\u{fe0f}b"),
    ("a\u{e0041}\u{e000}".as_bytes(), "a\\u{e0041}\\u{e000}"),
    ("a\u{fff9}\u{a0}b".as_bytes(), "a\\u{fff9}\\u{a0}b"),
    ("\u{301}a".as_bytes(), "\\u{301}a"),
    (b"a\\nb\\u{1b}", "a\\\\nb\\\\u{1b}"),
    (b"\xff\xe2\x80a", "\\xff\\xe2\\x80a"),
];

/// Asserts that a text contains no control characters except line feeds, and none of the hostile
/// characters.
pub(crate) fn assert_seen(shown: &str) {
    let is_hostile = |letter: char| {
        let texts = HOSTILE.iter().filter_map(|(bytes, _)| std::str::from_utf8(bytes).ok());
        !letter.is_ascii() && texts.into_iter().any(|text| text.contains(letter))
    };
    let unseen = |letter: &char| *letter != '\n' && (letter.is_control() || is_hostile(*letter));
    let found: Vec<char> = shown.chars().filter(unseen).collect();
    assert!(found.is_empty(), "{found:?} in {shown:?}");
}
