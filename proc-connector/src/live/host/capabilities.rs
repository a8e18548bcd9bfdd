//! The capabilities of this process.

use crate::live::host::proc_mount;

/// The capability's bit (`include/uapi/linux/capability.h`).
const CAP_NET_ADMIN: u32 = 12;

/// Whether `CAP_NET_ADMIN` is effective. `None` if unknown.
pub(crate) fn has_net_admin() -> Option<bool> {
    let status = proc_mount::read_own(c"status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(line.trim(), 16).ok()?;
    Some(effective & (1 << CAP_NET_ADMIN) != 0)
}
