//! Runs programs on a terminal of a given size.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::process::{Command, ExitStatus, Stdio};

use nix::pty::{Winsize, openpty};
use rustix::termios::{tcgetwinsize, tcsetwinsize};

/// Runs a program without colours on a terminal with this number of columns. Returns its status and
/// the output sent to the terminal.
pub(crate) fn run(command: &mut Command, columns: u16) -> (ExitStatus, String) {
    run_resized(command, columns, None)
}

/// The same on a terminal that is resized after the first output.
pub(crate) fn run_resized(
    command: &mut Command,
    columns: u16,
    then: Option<u16>,
) -> (ExitStatus, String) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).expect("a terminal");
    let (output, errors) = (pty.slave.try_clone(), pty.slave);
    command
        .env("NO_COLOR", "1")
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(output.expect("a descriptor"))
        .stderr(errors);
    let mut child = command.spawn().expect("the program runs");
    // The terminal closes when no process has it open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (mut master, mut sent, mut then) = (File::from(pty.master), Vec::new(), then);
    let mut chunk = [0; 4096];
    loop {
        match master.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => {
                sent.extend_from_slice(&chunk[..len]);
                if let Some(ws_col) = then.take() {
                    let mut size = tcgetwinsize(&master).expect("a terminal");
                    size.ws_col = ws_col;
                    tcsetwinsize(&master, size).expect("a terminal");
                }
            }
            // On Linux, reading from a closed terminal fails with this error.
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
    let status = child.wait().expect("an exit status");
    (status, String::from_utf8(sent).expect("UTF-8").replace("\r\n", "\n"))
}
