//! What processes are called, in a way that is fit for a terminal.

use proc_connector::process::Process;

/// The arguments of a process separated by spaces, with an ellipsis if there are more than are known;
/// else its name, in brackets as other tools do for what has no arguments.
pub(super) fn command_line(process: &Process) -> Option<String> {
    if let Some(args) = process.args().filter(|args| !args.bytes().is_empty()) {
        let words: Vec<&[u8]> = args.iter().collect();
        let mut line = printable(&words.join(&b' '));
        if args.is_cut() {
            line.push('…');
        }
        return Some(line);
    }
    let name = printable(process.comm()?);
    Some(if process.is_kernel_thread() { format!("[{name}]") } else { name })
}

/// Text that cannot move a terminal's cursor or change its colours: what a process calls itself is
/// its own choice.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for letter in String::from_utf8_lossy(bytes).chars() {
        if letter.is_control() {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn names_cannot_command_the_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\n\xff"), "a\\u{1b}[2Jb\\n\u{fffd}");
        assert_eq!(printable("häß 1".as_bytes()), "häß 1");
    }
}
