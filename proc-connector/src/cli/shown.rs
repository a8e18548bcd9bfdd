//! Text of others on a terminal: names, arguments, paths and whatever else a process, a file or a
//! service of this machine chose. Every output for people goes through here.
//!
//! One rule, which loses nothing: a character that shows as itself stands for itself. A backslash is
//! `\\`; a line break, a carriage return and a tab are `\n`, `\r` and `\t`; any other character that
//! is invisible, or that changes the text around it, is `\u{202e}`; a byte that is not UTF-8 is `\xff`.

pub(super) mod json;

use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, Write};

use unicode_width::UnicodeWidthChar;

/// The rule, for the help.
pub(super) const RULE: &str = "\
In names, arguments, paths and users, \\\\ stands for a backslash, \\n, \\r and \\t for a line break, a \
carriage return and a tab, \\u{202e} for any other character that is invisible or changes the text \
around it, and \\xff for a byte that is not UTF-8.";

/// Text as it is shown: what it says cannot move the cursor, turn the line around or hide.
pub(super) fn shown(text: impl AsRef<[u8]>) -> String {
    let mut shown = String::new();
    for chunk in text.as_ref().utf8_chunks() {
        let mut can_be_marked = false;
        for letter in chunk.valid().chars() {
            // An accent is one of a letter, not of what divides words or stands before the text.
            let is_lone = !can_be_marked && letter.width() == Some(0);
            let is_seen = is_seen(letter) && !is_lone;
            can_be_marked = is_seen && (letter.is_alphanumeric() || !letter.is_ascii());
            match letter {
                '\\' => shown.push_str("\\\\"),
                letter if is_seen => shown.push(letter),
                letter => escape(letter, &mut shown),
            }
        }
        for byte in chunk.invalid() {
            // Memory does not fail to be written to.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// An argument as one would type it, in quotes where a shell would make something else of it:
/// `'two words'`, `$'two\nlines'`.
pub(super) fn word(argument: &[u8]) -> String {
    const PLAIN: &[u8] = b"%+,-./:=@_^!{}[]~";
    let is_plain =
        |&byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || PLAIN.contains(&byte);
    let text = shown(argument);
    if text.contains('\\') {
        format!("$'{}'", text.replace('\'', "\\'"))
    } else if !argument.is_empty() && argument.iter().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// An output for people, to which nothing but lines can be written. What others chose and got into a
/// line as it was is escaped, so that an output that forgets [`shown`] is no danger; styles stay.
#[derive(Debug)]
pub(super) struct Screened<W>(W);

impl<W: Write> Screened<W> {
    pub(super) fn new(output: W) -> Self {
        Self(output)
    }

    pub(super) fn line(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let mut line = text.to_string();
        if !line.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            line = screened(&line);
        }
        line.push('\n');
        self.0.write_all(line.as_bytes())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Standard output for people.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(super) fn stdout() -> Screened<impl Write + fmt::Debug> {
    Screened::new(BufWriter::new(anstream::stdout().lock()))
}

/// Standard error for people, not buffered.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(super) fn stderr() -> Screened<impl Write + fmt::Debug> {
    Screened::new(anstream::stderr().lock())
}

/// Writes a message of this program to standard error, under its name.
pub(super) fn complain(message: fmt::Arguments<'_>) {
    note(format_args!("proc-connector: {message}"));
}

/// Writes a message of one or several lines to standard error.
pub(super) fn note(message: fmt::Arguments<'_>) {
    let mut output = stderr();
    for text in message.to_string().lines() {
        // The terminal may be gone by now, which is no reason to fail.
        let _ = output.line(format_args!("{text}"));
    }
}

/// A line in which everything shows as itself, but for its styles.
pub(super) fn screened(line: &str) -> String {
    let mut screened = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        let style = style_len(rest);
        let len = style.unwrap_or(letter.len_utf8());
        let (part, behind) = rest.split_at(len);
        if style.is_some() || is_seen(letter) {
            screened.push_str(part);
        } else {
            escape(letter, &mut screened);
        }
        rest = behind;
    }
    screened
}

/// How many bytes of a text are a style to begin with: `ESC [`, numbers, `m`.
fn style_len(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    numbers[end..].starts_with('m').then_some("\x1b[".len() + end + "m".len())
}

fn escape(letter: char, shown: &mut String) {
    match letter {
        '\n' | '\r' | '\t' => shown.extend(letter.escape_default()),
        letter => shown.extend(letter.escape_unicode()),
    }
}

/// Whether a character shows as itself: it can be seen, and leaves the text around it as it is.
pub(super) fn is_seen(letter: char) -> bool {
    matches!(letter, ' '..='~')
        || !(letter.is_ascii() || is_ignorable(letter) || !is_printable(letter))
}

/// Whether a character is a letter, a digit, a mark, punctuation or a symbol, by the tables of the
/// standard library. These are none: controls, format characters, separators but for the space,
/// private use, and what is not assigned. `Debug` shows those of a text escaped.
fn is_printable(letter: char) -> bool {
    let mut bytes = [b'a'; 1 + 4];
    let len = 1 + letter.encode_utf8(&mut bytes[1..]).len();
    // Behind another letter: at the start of a text, marks are escaped too.
    let text = std::str::from_utf8(&bytes[..len]).unwrap_or_default();
    !text.is_empty() && text.escape_debug().eq(text.chars())
}

/// Whether a character is none of these and still shows nothing: those of Unicode's property
/// `Default_Ignorable_Code_Point` that are letters or marks (`DerivedCoreProperties.txt`), and what
/// is blank by its name.
fn is_ignorable(letter: char) -> bool {
    matches!(
        letter,
        // The combining grapheme joiner, and fillers of Hangul syllables.
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{3164}' | '\u{ffa0}'
        // Vowels of Khmer that are not to be used.
        | '\u{17b4}'..='\u{17b5}'
        // Selectors of variants, Mongolian ones first.
        | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}'
        // An empty Braille pattern, a note without a head, a filler of Khitan.
        | '\u{2800}' | '\u{1d159}' | '\u{16fe4}'
    )
}

#[cfg(test)]
mod tests;
