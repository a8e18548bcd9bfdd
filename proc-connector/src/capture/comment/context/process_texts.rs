//! Processes as text.

use super::super::text::push_number;

/// The number of processes whose text is kept: a prime, because ids often differ by a power of two.
const PLACES: usize = 127;

/// Writes processes. Most events are of a process that was written before, as the parent of another
/// process or with another event, and its text is kept.
#[derive(Debug, Default)]
pub(super) struct ProcessTexts {
    /// One process for each remainder of an id, if any were written.
    processes: Vec<Process>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Process {
    tgid: u32,
    len: usize,
    start_ns: u64,
    text: [u8; MAX_LEN],
}

/// The length of two numbers is at most 10 and 20, with a colon 31.
const MAX_LEN: usize = 32;

impl ProcessTexts {
    /// Appends the id and the start of a process.
    #[inline]
    pub(super) fn write(&mut self, tgid: u32, start_ns: u64, out: &mut Vec<u8>) {
        if let Some(process) = self.processes.get(tgid as usize % PLACES) {
            if (process.tgid, process.start_ns) == (tgid, start_ns) && process.len > 0 {
                // A copy of a fixed length is cheap.
                let len = out.len() + process.len;
                out.extend_from_slice(&process.text);
                out.truncate(len);
                return;
            }
        }
        self.write_new(tgid, start_ns, out);
    }

    fn write_new(&mut self, tgid: u32, start_ns: u64, out: &mut Vec<u8>) {
        let before = out.len();
        push_number(tgid.into(), out);
        out.push(b':');
        push_number(start_ns, out);
        if self.processes.is_empty() {
            self.processes.resize(PLACES, Process::default());
        }
        let mut process = Process { tgid, start_ns, len: out.len() - before, ..Process::default() };
        if let Some(text) = process.text.get_mut(..process.len) {
            text.copy_from_slice(&out[before..]);
            self.processes[tgid as usize % PLACES] = process;
        }
    }
}
