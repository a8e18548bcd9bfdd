//! Human-readable output, with escapes for untrusted text: names, arguments, paths, and all other text
//! from processes, files and services of the machine.
//!
//! The escapes are reversible. A visible character stands for itself. A backslash is `\\`; a line feed,
//! a carriage return and a tab are `\n`, `\r` and `\t`; any other
//! character that is invisible or changes the text around it is `\u{202e}`; a byte that is not UTF-8 is
//! `\xff`.

pub(super) mod json;

use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, Write};

use anstream::{AutoStream, ColorChoice};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The rule, for the help text.
pub(super) const RULE: &str = "\
In the output, names, arguments, paths and users are escaped: \\\\ stands for a backslash; \\n, \\r and \\t \
stand for a line feed, a carriage return and a tab; \\u{202e} stands for any other character that is \
invisible or changes the text around it; and \\xff stands for a byte that is not valid UTF-8.";

/// Escapes text so that it cannot move the cursor, reorder the line or hide.
pub(super) fn shown(text: impl AsRef<[u8]>) -> String {
    let mut shown = String::new();
    show(text.as_ref(), &mut shown);
    shown
}

/// Appends escaped text to a line.
pub(super) fn show(text: &[u8], line: &mut String) {
    if let (true, Ok(text)) = (stand_for_themselves(text, |_| false), std::str::from_utf8(text)) {
        return line.push_str(text);
    }
    for chunk in text.utf8_chunks() {
        show_letters(chunk.valid(), line);
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}

/// Writes strings that each end with a NUL to an empty line, separated by spaces, if all of them stand for
/// themselves. Returns whether it did.
pub(super) fn show_plain_strings(strings: &[u8], line: &mut String) -> bool {
    let strings = strings.strip_suffix(&[0]).unwrap_or(strings);
    if !line.is_empty() || !stand_for_themselves(strings, |byte| byte == 0) {
        return false;
    }
    let mut bytes = std::mem::take(line).into_bytes();
    bytes.extend_from_slice(strings);
    for byte in &mut bytes {
        *byte = if *byte == 0 { b' ' } else { *byte };
    }
    *line = String::from_utf8(bytes).unwrap_or_default();
    true
}

/// Whether each byte stands for itself or is `allowed`. This is much cheaper than looking for characters,
/// which most text does not need.
#[inline]
fn stand_for_themselves(bytes: &[u8], allowed: impl Fn(u8) -> bool) -> bool {
    // Without an early exit, the loop uses vector instructions.
    let is_shown = |byte| (is_plain_byte(byte) && byte != b'\\') || allowed(byte);
    bytes.iter().fold(true, |is_plain, &byte| is_plain & is_shown(byte))
}

fn show_letters(text: &str, line: &mut String) {
    let mut can_be_marked = false;
    for letter in text.chars() {
        // Without a letter before it, a combining mark would change a separator, or the text that
        // precedes this one.
        let is_lone = !can_be_marked && letter.width() == Some(0);
        let is_seen = is_seen(letter) && !is_lone;
        can_be_marked = is_seen && (letter.is_alphanumeric() || !letter.is_ascii());
        match letter {
            '\\' => line.push_str("\\\\"),
            letter if is_seen => line.push(letter),
            letter => escape(letter, line),
        }
    }
}

/// Quotes an argument as a shell requires it: `'two words'`, `$'two\nlines'`.
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

/// Human-readable output, line by line. Each line is [`screened`], so that text which was not passed
/// through [`shown`] is harmless.
#[derive(Debug)]
pub(super) struct Screened<W> {
    output: W,
    styles: Styles,
}

/// The treatment of ANSI styles in a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Styles {
    Kept,
    Dropped,
    /// Escaped, like any other invisible character.
    Escaped,
}

impl<W: Write> Screened<W> {
    pub(super) fn new(output: W, styles: Styles) -> Self {
        Self { output, styles }
    }

    pub(super) fn line(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let mut line = text.to_string();
        self.write_line(&mut line)
    }

    /// Writes a line from a buffer, to which this adds a line feed.
    pub(super) fn write_line(&mut self, line: &mut String) -> io::Result<()> {
        if !is_plain(line) {
            *line = screened(line, self.styles);
        }
        line.push('\n');
        self.output.write_all(line.as_bytes())
    }

    /// Whether ANSI styles in a line have an effect.
    pub(super) fn has_styles(&self) -> bool {
        !matches!(self.styles, Styles::Dropped)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// The size of the buffer before standard output, in bytes: the capacity of a pipe.
pub(super) const OUTPUT_BUFFER: usize = 64 << 10;

/// Human-readable text for standard output, written through `output`.
pub(super) fn on_stdout<W: Write>(output: W) -> Screened<BufWriter<W>> {
    Screened::new(
        BufWriter::with_capacity(OUTPUT_BUFFER, output),
        styles_for(AutoStream::choice(&io::stdout())),
    )
}

/// Standard error, unbuffered.
pub(super) fn stderr() -> Screened<impl Write + fmt::Debug> {
    let output = io::stderr();
    let styles = styles_for(AutoStream::choice(&output));
    Screened::new(output.lock(), styles)
}

fn styles_for(choice: ColorChoice) -> Styles {
    if choice == ColorChoice::Never { Styles::Dropped } else { Styles::Kept }
}

/// Writes a message to standard error, prefixed with the program's name.
pub(super) fn complain(message: impl fmt::Display) {
    report(format_args!("proc-connector: {message}"));
}

/// Writes a message of one or several lines to standard error, in one call because other programs may
/// write there too. A failure cannot be reported, and does not change the exit status.
pub(super) fn report(message: impl fmt::Display) {
    let mut output = Screened::new(Vec::new(), styles_for(AutoStream::choice(&io::stderr())));
    for text in message.to_string().lines() {
        let _ = output.line(format_args!("{text}"));
    }
    let _ = io::stderr().write_all(&output.output);
}

/// Escapes every character of a line that is not visible, except in ANSI styles.
pub(super) fn screened(line: &str, styles: Styles) -> String {
    let mut screened = String::with_capacity(line.len());
    let mut rest = line;
    loop {
        let plain = rest.bytes().take_while(|&byte| is_plain_byte(byte)).count();
        screened.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let Some(letter) = rest.chars().next() else { return screened };
        let style = style_len(rest).filter(|_| !matches!(styles, Styles::Escaped));
        let len = style.unwrap_or(letter.len_utf8());
        let (part, behind) = rest.split_at(len);
        match (style, styles) {
            (Some(_), Styles::Kept) => screened.push_str(part),
            (Some(_), Styles::Dropped) => {}
            _ if is_seen(letter) => screened.push(letter),
            _ => escape(letter, &mut screened),
        }
        rest = behind;
    }
}

/// The length in bytes of the ANSI style that a text starts with: `ESC [`, numbers, `m`.
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

fn is_plain_byte(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// The two bytes of the micro sign, which many durations contain.
const MICRO: [u8; 2] = {
    let mut bytes = [0; 2];
    'µ'.encode_utf8(&mut bytes);
    bytes
};

/// Whether a text is visible ASCII with micro signs, like most text. This is much cheaper than testing
/// characters. No other character consists of the two bytes of the sign.
fn is_plain(text: &str) -> bool {
    let [first, second] = MICRO;
    // Without an early exit, the loop uses vector instructions.
    text.bytes()
        .fold(true, |plain, byte| plain & (is_plain_byte(byte) || byte == first || byte == second))
}

/// The number of columns that a text occupies.
pub(super) fn width(text: &str) -> usize {
    if is_plain(text) {
        // A micro sign has one column.
        text.len() - text.bytes().filter(|&byte| byte == MICRO[0]).count()
    } else {
        UnicodeWidthStr::width(text)
    }
}

/// Whether a character is visible and does not change the text around it.
pub(super) fn is_seen(letter: char) -> bool {
    matches!(letter, ' '..='~')
        || !(letter.is_ascii() || is_ignorable(letter) || !is_printable(letter))
}

/// Whether the standard library classifies a character as a letter, mark, number, punctuation or
/// symbol. `str::escape_debug` escapes the other categories: controls, format characters, separators
/// except the space, private use, and unassigned code points.
fn is_printable(letter: char) -> bool {
    let mut bytes = [b'a'; 1 + 4];
    let len = 1 + letter.encode_utf8(&mut bytes[1..]).len();
    // The letter precedes the character because `escape_debug` escapes a mark at the start of a text.
    let text = std::str::from_utf8(&bytes[..len]).unwrap_or_default();
    !text.is_empty() && text.escape_debug().eq(text.chars())
}

/// Whether a printable character is invisible nevertheless: letters and marks with Unicode's property
/// `Default_Ignorable_Code_Point` (`DerivedCoreProperties.txt`), and symbols that are blank.
fn is_ignorable(letter: char) -> bool {
    matches!(
        letter,
        // The combining grapheme joiner, and fillers of Hangul syllables.
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{3164}' | '\u{ffa0}'
        // Khmer inherent vowels.
        | '\u{17b4}'..='\u{17b5}'
        // Variation selectors, and tags.
        | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}'
        // The blank Braille pattern, a null note head, the Khitan filler.
        | '\u{2800}' | '\u{1d159}' | '\u{16fe4}'
    )
}

#[cfg(test)]
mod tests;
