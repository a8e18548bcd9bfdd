//! The id of a process as text.

use proc_connector::process::{BootId, ProcessId};

/// Formats ids of processes. Most have the boot id of the previous one, so its text is kept.
#[derive(Debug, Default)]
pub(in crate::cli::output) struct IdText {
    boot: Option<BootId>,
    text: String,
    /// The length of the text of the boot id.
    boot_len: usize,
}

impl IdText {
    pub(in crate::cli::output) fn text(&mut self, id: ProcessId) -> &str {
        if self.boot != Some(id.boot_id) {
            self.text = id.boot_id.to_string();
            self.boot_len = self.text.len();
            self.boot = Some(id.boot_id);
        }
        self.text.truncate(self.boot_len);
        self.text.push('.');
        self.text.push_str(itoa::Buffer::new().format(id.tgid));
        self.text.push('.');
        self.text.push_str(itoa::Buffer::new().format(id.start_boottime_ns));
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proc_connector::process::{BootId, ProcessId};
    use proptest::prelude::*;

    use super::IdText;

    proptest! {
        #[test]
        fn ids_have_the_text_of_the_library(
            boots in any::<[[u8; 16]; 2]>(),
            processes in proptest::collection::vec(any::<(bool, u32, u64)>(), 1..20),
        ) {
            let mut text = IdText::default();
            for (is_second, tgid, start_boottime_ns) in processes {
                let boot_id = BootId::from_bytes(boots[usize::from(is_second)]);
                let id = ProcessId { boot_id, tgid, start_boottime_ns };
                prop_assert_eq!(text.text(id), id.to_string());
            }
        }
    }
}
