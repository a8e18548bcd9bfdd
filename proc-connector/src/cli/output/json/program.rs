//! The file of a program.

use proc_connector::parser::ProgramFile;
use serde::{Serialize, Serializer};

/// The file of the program that a process executes.
#[derive(Serialize)]
pub(super) struct ProgramKeys {
    dev: Device,
    ino: u64,
    deleted: bool,
    memfd: bool,
}

impl ProgramKeys {
    pub(super) fn new(file: &ProgramFile) -> Self {
        let dev = Device { major: file.dev_major, minor: file.dev_minor };
        Self { dev, ino: file.ino, deleted: file.is_deleted, memfd: file.is_memfd }
    }
}

/// A device, as `/proc/PID/mountinfo` shows it: `8:1`.
#[derive(Clone, Copy)]
pub(super) struct Device {
    major: u32,
    minor: u32,
}

impl Device {
    /// A device number as the kernel passes it to user space (`new_encode_dev`).
    pub(super) fn from_number(number: u32) -> Self {
        let minor = (number & 0xff) | ((number >> 12) & 0xf_ff00);
        Self { major: (number >> 8) & 0xfff, minor }
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut major, mut minor) = (itoa::Buffer::new(), itoa::Buffer::new());
        let parts = [major.format(self.major), ":", minor.format(self.minor)];
        // Two numbers of up to 10 digits.
        let (mut text, mut len) = ([0; 21], 0);
        for part in parts {
            text[len..len + part.len()].copy_from_slice(part.as_bytes());
            len += part.len();
        }
        serializer.serialize_str(std::str::from_utf8(&text[..len]).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn numbers_of_devices_are_split_as_the_c_library_splits_them() {
        for (major, minor) in [(0, 0), (4, 1), (136, 5), (136, 300), (4095, 0xf_ffff)] {
            let number = nix::sys::stat::makedev(major.into(), minor.into());
            let device = Device::from_number(u32::try_from(number).expect("a small number"));
            assert_eq!((device.major, device.minor), (major, minor), "{number:#x}");
        }
    }
}
