//! Secrets in arguments.

/// What stands for a secret.
const HIDDEN: &[u8] = b"***";

/// Replaces the values of secret options and variables in arguments, each of which ends with a zero byte.
///
/// An argument with white space may be a command for a shell, whose words are treated alike.
pub(super) fn redact(args: &[u8], is_secret: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(args.len());
    let mut hides_next = false;
    for (place, arg) in args.split(|&byte| byte == 0).enumerate() {
        if place > 0 {
            out.push(0);
        }
        if hides_next && !arg.is_empty() {
            out.extend_from_slice(HIDDEN);
            hides_next = false;
            continue;
        }
        hides_next = redact_text(arg, &is_secret, &mut out);
    }
    out
}

/// Redacts an argument. Returns whether the next argument is secret.
fn redact_text(arg: &[u8], is_secret: &impl Fn(&str) -> bool, out: &mut Vec<u8>) -> bool {
    // The value of an option can have white space.
    if let Some(name_len) = secret_name(arg, is_secret) {
        out.extend_from_slice(&arg[..name_len]);
        out.extend_from_slice(HIDDEN);
        return false;
    }
    let (mut rest, mut hides_next) = (arg, false);
    while !rest.is_empty() {
        let is_space = |byte: &u8| byte.is_ascii_whitespace() || b";&|()".contains(byte);
        let space = rest.iter().take_while(|byte| is_space(byte)).count();
        out.extend_from_slice(&rest[..space]);
        rest = &rest[space..];
        let len = word_len(rest);
        let (word, after) = rest.split_at(len);
        rest = after;
        if word.is_empty() {
            continue;
        }
        if hides_next {
            out.extend_from_slice(HIDDEN);
            hides_next = false;
        } else if let Some(name_len) = secret_name(word, is_secret) {
            out.extend_from_slice(&word[..name_len]);
            out.extend_from_slice(HIDDEN);
        } else {
            out.extend_from_slice(word);
            hides_next = is_option(word) && is_secret(&String::from_utf8_lossy(unquoted(word)));
        }
    }
    hides_next
}

/// The length of a name with the characters behind it, if a secret follows in the same word:
/// `--password=` or `-p`.
fn secret_name(word: &[u8], is_secret: &impl Fn(&str) -> bool) -> Option<usize> {
    let quotes = word.len() - unquoted(word).len();
    let name = &word[quotes..];
    if let Some(equals) = name.iter().position(|&byte| byte == b'=') {
        let is_name = !name[..equals].iter().any(u8::is_ascii_whitespace);
        if is_name && is_secret(&String::from_utf8_lossy(&name[..equals])) {
            return Some(quotes + equals + 1);
        }
    }
    // An option of one letter, directly followed by its value.
    let is_short = matches!(name, [b'-', letter, _, ..] if letter.is_ascii_alphanumeric());
    let is_secret_letter = is_short && is_secret(&String::from_utf8_lossy(&name[..2]));
    is_secret_letter.then_some(quotes + 2)
}

fn is_option(word: &[u8]) -> bool {
    matches!(unquoted(word), [b'-', _, ..])
}

/// A word without the quotes before it.
fn unquoted(word: &[u8]) -> &[u8] {
    let quotes = word.iter().take_while(|byte| b"'\"\\$".contains(byte)).count();
    &word[quotes..]
}

/// The length of the word of a shell at the start of a text. A quoted part can have white space.
fn word_len(text: &[u8]) -> usize {
    let (mut quote, mut is_escaped) = (None, false);
    for (at, &byte) in text.iter().enumerate() {
        if is_escaped {
            is_escaped = false;
        } else if byte == b'\\' && quote != Some(b'\'') {
            is_escaped = true;
        } else if let Some(open) = quote {
            if byte == open {
                quote = None;
            }
        } else if matches!(byte, b'\'' | b'"') {
            quote = Some(byte);
        } else if byte.is_ascii_whitespace() || b";&|()".contains(&byte) {
            return at;
        }
    }
    text.len()
}
