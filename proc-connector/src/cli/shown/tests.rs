use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Screened, Styles, is_seen, json, screened, show_plain_strings, shown, width, word};

#[test]
fn visible_text_is_kept() {
    for text in
        ["", "cc -c 'a b.c'", "häß 1", "日本語", "e\u{301}", "नमस्ते", "שלום", "😀", "\u{fffd}"]
    {
        assert_eq!(shown(text), text);
        assert_eq!(screened(text, Styles::Kept), text);
    }
}

#[test]
fn invisible_text_is_escaped() {
    for (text, expected) in [
        (&b"a\x1b[2Jb\n\r\t\0"[..], "a\\u{1b}[2Jb\\n\\r\\t\\u{0}"),
        (b"C:\\new", "C:\\\\new"),
        (b"\\u{202e}", "\\\\u{202e}"),
        ("\u{202e}gpj.exe".as_bytes(), "\\u{202e}gpj.exe"),
        ("\u{9b}2J\u{7f}".as_bytes(), "\\u{9b}2J\\u{7f}"),
        (b"\xff\xc3(\xe2\x80", "\\xff\\xc3(\\xe2\\x80"),
        // A surrogate, and a zero of two bytes, are not UTF-8.
        (b"\xed\xa0\x80 \xc0\x80", "\\xed\\xa0\\x80 \\xc0\\x80"),
        // A combining mark without a letter.
        ("\u{301}a".as_bytes(), "\\u{301}a"),
        ("a/\u{301}a".as_bytes(), "a/\\u{301}a"),
        ("\\\u{301}".as_bytes(), "\\\\\\u{301}"),
        (b"\xff\xcc\x81", "\\xff\\u{301}"),
    ] {
        assert_eq!(shown(text), expected);
    }
}

/// Ranges of characters that cannot be seen or that act on others, by Unicode's categories and
/// properties: from the Unicode Character Database by hand, and not all of those not assigned.
const UNSEEN: [(u32, u32); 48] = [
    // Controls, of both sets.
    (0x00, 0x1f),
    (0x7f, 0x9f),
    // Spaces other than U+0020.
    (0xa0, 0xa0),
    (0x1680, 0x1680),
    (0x2000, 0x200a),
    (0x202f, 0x202f),
    (0x205f, 0x205f),
    (0x3000, 0x3000),
    // Format characters: soft hyphen, numbers of Arabic and Kaithi, marks and overrides of
    // direction, joiners, invisible operators, isolates, byte order mark, annotations, shorthand,
    // music, tags.
    (0xad, 0xad),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x180e, 0x180e),
    (0x200b, 0x200f),
    (0x202a, 0x202e),
    (0x2060, 0x206f),
    (0xfeff, 0xfeff),
    (0xfff0, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
    // Separators of lines and paragraphs.
    (0x2028, 0x2029),
    // Letters, marks and symbols that are invisible by design.
    (0x34f, 0x34f),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xffa0, 0xffa0),
    (0x16fe4, 0x16fe4),
    (0x1d159, 0x1d159),
    // Private use.
    (0xe000, 0xf8ff),
    (0xf_0000, 0x10_ffff),
    // Not characters.
    (0xfdd0, 0xfdef),
    (0xfffe, 0xffff),
    (0x1fffe, 0x1ffff),
    (0x8fffe, 0x8ffff),
    // Not assigned.
    (0x378, 0x379),
    (0x530, 0x530),
    (0x4_0000, 0x4_ffff),
    (0xd_0000, 0xd_ffff),
];

/// All characters, except planes that are unassigned or have only ideographs.
fn characters() -> impl Iterator<Item = char> {
    ('\0'..='\u{1ffff}').chain('\u{e0000}'..='\u{e0fff}').chain('\u{10fff0}'..=char::MAX)
}

/// Letters that are drawn together with the next letter, and counted there.
const PARTS: [char; 15] = [
    '\u{d4e}',
    '\u{a8fa}',
    '\u{111c2}',
    '\u{111c3}',
    '\u{113d1}',
    '\u{1193f}',
    '\u{11941}',
    '\u{11a84}',
    '\u{11a85}',
    '\u{11a86}',
    '\u{11a87}',
    '\u{11a88}',
    '\u{11a89}',
    '\u{11d46}',
    '\u{11f02}',
];

#[test]
fn every_invisible_character_is_escaped() {
    for (first, last) in UNSEEN {
        for letter in (first..=last).filter_map(char::from_u32) {
            assert!(!is_seen(letter), "{letter:?}");
            let text = format!("a{letter}b");
            assert!(!shown(&text).contains(letter), "{letter:?}");
            assert!(!screened(&text, Styles::Kept).contains(letter), "{letter:?}");
        }
    }
    // A visible character of width 0 is a mark of the letter before it, or a part of a syllable.
    let unseen = |code: u32| UNSEEN.iter().any(|&(first, last)| (first..=last).contains(&code));
    for letter in characters().filter(|&letter| !letter.is_ascii() && is_seen(letter)) {
        assert!(!unseen(letter.into()), "{letter:?}");
        assert!(letter.width().is_some(), "{letter:?}");
        let is_alone = letter.escape_debug().len() == 1;
        let is_jamo = ('\u{1160}'..='\u{11ff}').contains(&letter)
            || ('\u{d7b0}'..='\u{d7ff}').contains(&letter);
        let is_part = is_jamo || PARTS.contains(&letter);
        assert!(letter.width() != Some(0) || !is_alone || is_part, "{letter:?}");
    }
}

/// Reads an escaped text back, by the rule that the help states.
fn read(shown: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), shown);
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        if letter != '\\' {
            bytes.extend(letter.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let (kind, behind) = rest.split_at(1);
        rest = behind;
        match kind {
            "\\" => bytes.push(b'\\'),
            "n" => bytes.push(b'\n'),
            "r" => bytes.push(b'\r'),
            "t" => bytes.push(b'\t'),
            "x" => {
                let (digits, behind) = rest.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = behind;
            }
            "u" => {
                let (digits, behind) = rest[1..].split_once('}').expect("braces");
                let code = u32::from_str_radix(digits, 16).expect("digits");
                let letter = char::from_u32(code).expect("a character");
                bytes.extend(letter.encode_utf8(&mut [0; 4]).bytes());
                rest = behind;
            }
            other => panic!("\\{other}"),
        }
    }
    bytes
}

#[test]
fn the_text_can_be_read_back() {
    for letter in characters() {
        let text = format!("{letter}\\{letter}n");
        assert_eq!(read(&shown(&text)), text.as_bytes());
    }
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            let bytes = [b'n', first, second, b'\\'];
            assert_eq!(read(&shown(bytes)), bytes);
        }
    }
}

#[test]
fn strings_that_stand_for_themselves_are_joined_by_spaces() {
    for (strings, expected) in [
        (&b"cc\0-c\0a.c\0"[..], Some("cc -c a.c")),
        (b"cc\0\0a.c", Some("cc  a.c")),
        (b"a\0\0", Some("a ")),
        (b"", Some("")),
        (b"a\\b\0", None),
        (b"a\x1b\0", None),
        (b"a\0caf\xc3\xa9\0", None),
        (b"\xff\0", None),
    ] {
        let mut line = String::new();
        assert_eq!(show_plain_strings(strings, &mut line), expected.is_some(), "{strings:?}");
        assert_eq!(line, expected.unwrap_or_default());
    }
}

#[test]
fn a_micro_sign_has_the_width_of_the_library() {
    for text in ["5 µs", "µ", "µµ µ", "µ\u{301}", "漢µ"] {
        assert_eq!(width(text), UnicodeWidthStr::width(text), "{text}");
    }
}

#[test]
fn words_are_quoted_as_a_shell_reads_them() {
    for (argument, expected) in [
        ("plain-1.0", "plain-1.0"),
        ("日本語", "日本語"),
        ("two words", "'two words'"),
        ("it's", "'it'\\''s'"),
        ("", "''"),
        ("two\nlines", "$'two\\nlines'"),
        ("a\\nb", "$'a\\\\nb'"),
        ("it's\t", "$'it\\'s\\t'"),
        ("a\u{202e}b", "$'a\\u{202e}b'"),
    ] {
        assert_eq!(word(argument.as_bytes()), expected);
    }
}

#[test]
fn a_line_keeps_its_styles_and_no_other_control_characters() {
    for (text, expected) in [
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m\n"),
        ("\x1b[2J\x1b[m\x1b]0;title\x07", "\\u{1b}[2J\x1b[m\\u{1b}]0;title\\u{7}\n"),
        ("\x1b[", "\\u{1b}[\n"),
        ("a\nb\u{2028}c", "a\\nb\\u{2028}c\n"),
        ("escaped \\n before", "escaped \\n before\n"),
    ] {
        let mut output = Vec::new();
        Screened::new(&mut output, Styles::Kept).line(format_args!("{text}")).expect("memory");
        assert_eq!(String::from_utf8(output).expect("UTF-8"), expected);
        // Without styles, a line cannot control a terminal.
        let dropped = screened(text, Styles::Dropped) + "\n";
        assert_eq!(dropped, anstream::adapter::strip_str(expected).to_string());
        let escaped = screened(text, Styles::Escaped);
        assert!(escaped.chars().all(is_seen), "{escaped:?}");
    }
}

#[test]
fn json_has_the_same_text_in_visible_characters() {
    for letter in characters() {
        let text = format!("{letter}{letter}é{letter}");
        let mut json = Vec::new();
        json::write(&mut json, &text).expect("memory");
        assert_eq!(serde_json::from_slice::<String>(&json).expect("JSON"), text);
        let json = String::from_utf8(json).expect("UTF-8");
        assert!(json.chars().all(is_seen), "{json:?}");
    }
}
