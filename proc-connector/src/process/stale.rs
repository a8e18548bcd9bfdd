//! Values that lost events may have changed.

bitflags::bitflags! {
    /// Values of a process that are older than a loss, until an event or a scan of `/proc` has them. They
    /// are not shown, but kept: a scan reports what differs.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Stale: u8 {
        const NAME = 1;
        const PROGRAM = 1 << 1;
        const USER = 1 << 2;
        const GROUP = 1 << 3;
        const SESSION = 1 << 4;
        /// What the kernel records at an exec, and a scan does not read: the terminal, and the login.
        const LOGIN = 1 << 5;
        const PARENT = 1 << 6;
    }
}
