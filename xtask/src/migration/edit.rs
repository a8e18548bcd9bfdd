//! The edits of the migration guide, applied to source text.

use std::collections::BTreeMap;
use std::ops::Range;

use super::tokens::{Kind, Token, tokens};

/// A replacement in programs that use an older version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// A pattern of tokens, in which `$name` stands for any expression, and its replacement.
    Rewrite { before: String, after: String },
    /// Fields of a variant of `ProcEvent`, in literals and in patterns.
    DropFields { variant: String, fields: Vec<String> },
}

impl Edit {
    pub(super) fn apply(&self, source: &str) -> String {
        let tokens = tokens(source);
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        for at in 0..tokens.len() {
            match self {
                Self::Rewrite { before, after } => {
                    changes.extend(rewrite(source, &tokens, at, before, after));
                }
                Self::DropFields { variant, fields } => {
                    let dropped = drop_fields(source, &tokens, at, variant, fields);
                    changes.extend(dropped.into_iter().map(|range| (range, String::new())));
                }
            }
        }
        let mut edited = source.to_owned();
        for (range, text) in changes.into_iter().rev() {
            edited.replace_range(range, &text);
        }
        edited
    }
}

fn rewrite(
    source: &str,
    tokens: &[Token<'_>],
    at: usize,
    before: &str,
    after: &str,
) -> Option<(Range<usize>, String)> {
    let pattern = super::tokens::tokens(before);
    let (end, captures) = matches(source, &tokens[at..], &pattern)?;
    let mut start = tokens[at].start;
    if pattern[0].kind == Kind::Word {
        if in_use_item(tokens, at) {
            return None;
        }
        let texts = |range: Range<usize>| tokens[range].iter().map(|token| token.text);
        if at >= 3 && texts(at - 3..at).eq(["proc_connector", ":", ":"]) {
            start = tokens[at - 3].start;
        } else if at >= 1 && matches!(tokens[at - 1].text, ":" | ".") && !is_typed(tokens, at) {
            // Another item of the same name, or a method.
            return None;
        }
    }
    let end = tokens[at + end - 1].range().end;
    let mut text = after.to_owned();
    for (name, expression) in captures {
        text = text.replace(&format!("${name}"), expression);
    }
    Some((start..end, text))
}

/// Whether the colon before a token belongs to a type or a field, not to a path.
fn is_typed(tokens: &[Token<'_>], at: usize) -> bool {
    tokens[at - 1].text == ":" && (at < 2 || tokens[at - 2].text != ":")
}

fn in_use_item(tokens: &[Token<'_>], at: usize) -> bool {
    let statement = tokens[..at].iter().rposition(|token| token.text == ";" || token.closes());
    // An attribute or a block may precede a `use`, but the braces of a `use` contain no closing
    // brace.
    let first = statement.map_or(0, |end| end + 1);
    tokens[first..at].iter().any(|token| token.text == "use")
}

/// The number of tokens that match `pattern`, and the values of its names.
fn matches<'a>(
    source: &'a str,
    tokens: &[Token<'_>],
    pattern: &[Token<'_>],
) -> Option<(usize, BTreeMap<String, &'a str>)> {
    let mut captures = BTreeMap::new();
    let (mut at, mut p) = (0, 0);
    while p < pattern.len() {
        if pattern[p].text == "$" {
            let (name, next) = (pattern.get(p + 1)?, pattern.get(p + 2)?);
            let start = at;
            let mut depth = 0_usize;
            while depth > 0 || tokens.get(at)?.text != next.text {
                let token = tokens.get(at)?;
                if token.opens() {
                    depth += 1;
                } else if token.closes() {
                    depth = depth.checked_sub(1)?;
                }
                at += 1;
            }
            let last = at.checked_sub(1).filter(|last| *last >= start)?;
            let range = tokens[start].start..tokens[last].range().end;
            captures.insert(name.text.to_owned(), &source[range]);
            p += 2;
        } else {
            if tokens.get(at)?.text != pattern[p].text {
                return None;
            }
            at += 1;
            p += 1;
        }
    }
    Some((at, captures))
}

/// The positions of `fields` in the braces of `ProcEvent::variant`, if that starts at the token.
fn drop_fields(
    source: &str,
    tokens: &[Token<'_>],
    at: usize,
    variant: &str,
    fields: &[String],
) -> Vec<Range<usize>> {
    let head = format!("ProcEvent::{variant} {{");
    let Some((len, _)) = matches(source, &tokens[at..], &super::tokens::tokens(&head)) else {
        return Vec::new();
    };
    let mut dropped = Vec::new();
    let mut field = at + len;
    let mut depth = 0_usize;
    for index in at + len..tokens.len() {
        let token = &tokens[index];
        let ends = depth == 0 && (token.text == "," || token.closes());
        if ends && index > field && fields.iter().any(|name| name == tokens[field].text) {
            let after = if token.text == "," { token.range().end } else { token.start };
            dropped.push(tokens[field].start..after);
        }
        if ends && token.closes() {
            break;
        } else if ends {
            field = index + 1;
        } else if token.opens() {
            depth += 1;
        } else if token.closes() {
            depth -= 1;
        }
    }
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(before: &str, after: &str, source: &str) -> String {
        Edit::Rewrite { before: before.to_owned(), after: after.to_owned() }.apply(source)
    }

    #[test]
    fn a_name_is_replaced_where_it_is_used_and_only_there() {
        let source = "use proc_connector::{A, B};\nf(A, proc_connector::A, libc::A, x.A); // A\n";
        let expected = "use proc_connector::{A, B};\nf(s::A, s::A, libc::A, x.A); // A\n";
        assert_eq!(rewritten("A", "s::A", source), expected);
        assert_eq!(rewritten("A", "s::A", "S { a: A }"), "S { a: s::A }");
    }

    #[test]
    fn a_placeholder_stands_for_a_whole_expression() {
        let source = "let n = align(f(1, 2).len()) + align(3);";
        let expected = "let n = up(f(1, 2).len(), 4) + up(3, 4);";
        assert_eq!(rewritten("align($len)", "up($len, 4)", source), expected);
        assert_eq!(rewritten(".a()", ".b()", "e.a().c(); f.a(1);"), "e.b().c(); f.a(1);");
    }

    #[test]
    fn fields_are_removed_from_one_variant_only() {
        let edit = Edit::DropFields {
            variant: "Exit".to_owned(),
            fields: vec!["cpu".to_owned(), "parent_pid".to_owned()],
        };
        let source = "ProcEvent::Exit { cpu: f(1, 2), pid: 1, parent_pid, .. }; \
                      ProcEvent::Fork { cpu: 0, parent_pid: 1 }; ProcEvent::Exit { pid, cpu }";
        let expected = "ProcEvent::Exit {  pid: 1,  .. }; \
                        ProcEvent::Fork { cpu: 0, parent_pid: 1 }; ProcEvent::Exit { pid, }";
        assert_eq!(edit.apply(source), expected);
    }
}
