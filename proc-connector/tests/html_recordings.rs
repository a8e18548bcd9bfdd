//! The page of `-o x.html` of many processes, and of names that could be markup or scripts.

mod browser;
mod common;

use std::process::ExitCode;

use browser::{Page, WINDOW, assert_quiet, selected_row};
use common::named;
use common::program::{run, text};
use common::scratch::{Scratch, ScratchFile};
use common::wire::{self, COMM, EXIT, FORK};

fn main() -> ExitCode {
    let everywhere = named![five_thousand_processes_have_few_rows, hostile_names_are_text];
    common::main_with(&[], &everywhere, &[])
}

/// A recording with a process that forks many others.
fn crowd(count: u32) -> ScratchFile {
    let mut bytes = Vec::new();
    let mut add = |what, words: &[u32], ns: u64| {
        let mut union: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        union.resize(24, 0);
        let mut event = wire::proc_event(what, &union);
        event[8..16].copy_from_slice(&ns.to_ne_bytes());
        bytes.extend(wire::message(wire::NLMSG_DONE, &wire::cn_msg(1, 1, &event)));
    };
    add(FORK, &[1, 1, 10, 10], 1_000);
    for n in 0..count {
        let (pid, start) = (100 + n, 2_000 + u64::from(n) * 1_000_000);
        add(FORK, &[10, 10, pid, pid], start);
        add(EXIT, &[pid, pid, u32::from(n % 500 == 0) << 8, 17, 10, 10], start + 900_000);
    }
    add(EXIT, &[10, 10, 0, 17, 1, 1], 3_000 + u64::from(count) * 1_000_000);
    ScratchFile::containing("crowded", &bytes)
}

fn five_thousand_processes_have_few_rows() {
    let scratch = Scratch::new("crowd");
    let file = scratch.file("crowd.html");
    let output = run(&["replay", crowd(5_000).path(), "-o", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut page = Page::open(&file, WINDOW);
    assert!(
        page.text("#totals").starts_with("5001 processes, 10 failed"),
        "{}",
        page.text("#totals")
    );
    let rows = |page: &mut Page| {
        page.read("document.querySelectorAll('#table tbody tr[id]').length").as_u64()
    };
    assert!(rows(&mut page).is_some_and(|rows| rows > 5 && rows < 80));
    assert_eq!(page.read("document.getElementById('table').ariaRowCount"), "5002");
    page.read("table.table.focus()");
    page.key("End", 35);
    assert_eq!(selected_row(&mut page), "5099");
    assert!(rows(&mut page).is_some_and(|rows| rows > 5 && rows < 80));
    // The last row is in view.
    let seen = "(() => { const row = document.getElementById('row-5000').getBoundingClientRect(); \
        const box = document.getElementById('rows').getBoundingClientRect(); \
        return row.top >= box.top && row.bottom <= box.bottom + 1; })()";
    assert_eq!(page.read(seen), true);
    page.click("#failed");
    assert_eq!(page.text("#count"), "10 of 5001");
    // Processes without a name are one program.
    assert_eq!(page.text("#tab-programs"), "Programs (1)");
    assert!(rows(&mut page).is_some_and(|rows| rows == 10));
    assert_quiet(&page);
}

fn hostile_names_are_text() {
    let names = [
        (&b"</script><b>x"[..], "</script><b>x"),
        (b"<img src=x>", "<img src=x>"),
        (b"<!--<script>", "<!--<script>"),
        (b"\"'&amp;\\", "\"'&amp;\\\\"),
        (b"a\xe2\x80\xa8\x1b\xff", "a\\u{2028}\\u{1b}\\xff"),
        ("\u{202e}gpj".as_bytes(), "\\u{202e}gpj"),
    ];
    let mut bytes = Vec::new();
    for (pid, (name, _)) in (7_u32..).zip(names) {
        let mut union = [pid.to_ne_bytes(), pid.to_ne_bytes()].concat();
        union.extend(name);
        union.resize(24, 0);
        let event = wire::proc_event(COMM, &union);
        bytes.extend(wire::message(wire::NLMSG_DONE, &wire::cn_msg(1, 1, &event)));
    }
    let recording = ScratchFile::containing("hostile", &bytes);
    let scratch = Scratch::new("hostile-page");
    let file = scratch.file("x.html");
    let output = run(&["replay", recording.path(), "-o", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut page = Page::open(&file, WINDOW);
    for (index, (_, shown)) in names.into_iter().enumerate() {
        let cell = page.text(&format!("#row-{index} td:last-child"));
        assert!(cell.contains(shown), "{shown} in {cell}");
        page.click(&format!("#row-{index} td"));
        assert!(page.text("#details pre").contains(shown));
    }
    assert_eq!(page.read("document.querySelectorAll('b, img, #details script').length"), 0);
    assert_eq!(page.read("document.scripts.length"), 8);
    assert_quiet(&page);
}
