//! Replaces `live` on systems other than Linux. Names and signatures are the same; opening fails
//! with an error that gives the reason.

#![allow(missing_docs, reason = "the Linux implementation documents them")]

use std::convert::Infallible;
use std::io;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

#[cfg(feature = "process")]
use proc_connector_core::ExitStatus;
use proc_connector_core::Filter;

use crate::diagnosis::{Diagnosis, Verdict, finding};
use crate::error::{Error, Result};
use crate::event::ProcEvent;
use crate::stats::{ShareLoss, Stats};
use crate::stream::Received;
use crate::transport_kind::Transport;

/// Options for a connector, which cannot be opened on this system.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing happens before `open`"]
pub struct Builder(());

impl Builder {
    pub fn filter(self, _: Filter) -> Self {
        self
    }

    pub fn transport(self, _: Transport) -> Self {
        self
    }

    pub fn receive_buffer(self, _: usize) -> Self {
        self
    }

    pub fn receive_buffer_events(self, _: usize) -> Self {
        self
    }

    pub fn coalesce(self, _: Duration) -> Self {
        self
    }

    pub fn socket_coalesce(self, _: Duration) -> Self {
        self
    }

    pub fn context(self, _: bool) -> Self {
        self
    }

    pub fn working_directory(self, _: bool) -> Self {
        self
    }

    /// As on Linux.
    pub fn environment<N: AsRef<[u8]>>(self, _: impl IntoIterator<Item = N>) -> Self {
        self
    }

    /// As on Linux.
    pub fn followed_processes(self, _: NonZeroU32) -> Self {
        self
    }

    /// As on Linux.
    pub fn share(self, _: NonZeroU32) -> Self {
        self
    }

    /// As on Linux.
    pub fn argument_bytes(self, _: usize) -> Self {
        self
    }

    pub fn nonblocking(self, _: bool) -> Self {
        self
    }

    /// Fails on this system.
    ///
    /// # Errors
    ///
    /// Always [`Error::NotLinux`].
    #[allow(clippy::unused_self, reason = "on Linux it uses the options")]
    pub fn open(&self) -> Result<ProcConnector> {
        Err(Error::NotLinux)
    }
}

/// A listener to process events, which cannot exist on this system.
#[derive(Debug)]
pub struct ProcConnector(Infallible);

#[allow(clippy::missing_errors_doc, reason = "no value can exist")]
impl ProcConnector {
    /// Fails on this system.
    ///
    /// # Errors
    ///
    /// Always [`Error::NotLinux`].
    pub fn new() -> Result<Self> {
        Self::builder().open()
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    pub fn stats(&self) -> Stats {
        match self.0 {}
    }

    pub fn share_losses(&self) -> Vec<ShareLoss> {
        match self.0 {}
    }

    pub fn set_filter(&mut self, _: &Filter) -> Result<()> {
        match self.0 {}
    }

    pub fn shutdown_handle(&self) -> Shutdown {
        match self.0 {}
    }

    pub fn recv_batch(&mut self) -> Result<Batch<'_>> {
        match self.0 {}
    }

    pub fn recv_batch_timeout(&mut self, _: Duration) -> Result<Batch<'_>> {
        match self.0 {}
    }

    #[cfg(feature = "process")]
    pub(crate) fn try_recv_batch(&mut self) -> Result<Option<Batch<'_>>> {
        match self.0 {}
    }

    #[cfg(feature = "process")]
    pub(crate) fn is_nonblocking(&mut self) -> bool {
        match self.0 {}
    }

    pub fn subscribe(&self) -> Result<()> {
        match self.0 {}
    }

    pub fn unsubscribe(&self) -> Result<()> {
        match self.0 {}
    }

    pub fn recv(&self, _: &mut [u8]) -> Result<ProcEvent> {
        match self.0 {}
    }

    pub fn recv_timeout(&self, _: &mut [u8], _: Duration) -> Result<Option<ProcEvent>> {
        match self.0 {}
    }

    pub fn recv_raw(&self, _: &mut [u8]) -> Result<usize> {
        match self.0 {}
    }

    pub fn recv_raw_timeout(&self, _: &mut [u8], _: Duration) -> Result<Option<usize>> {
        match self.0 {}
    }

    pub fn set_nonblocking(&self) -> Result<()> {
        match self.0 {}
    }
}

/// The items of one receive.
#[derive(Debug)]
pub struct Batch<'a>(Infallible, PhantomData<&'a ()>);

impl<'a> Iterator for Batch<'a> {
    type Item = Received<'a>;

    fn next(&mut self) -> Option<Received<'a>> {
        match self.0 {}
    }
}

/// A handle that ends receives.
#[derive(Clone, Debug)]
pub struct Shutdown(Infallible);

#[allow(clippy::missing_errors_doc, reason = "no value can exist")]
impl Shutdown {
    pub fn shutdown(&self) -> io::Result<()> {
        match self.0 {}
    }
}

/// A process to wait for, which cannot be opened on this system.
#[cfg(feature = "process")]
#[derive(Debug)]
pub(crate) struct ProcessHandle(Infallible);

/// Why no process could be opened.
#[cfg(feature = "process")]
#[derive(Debug)]
#[allow(dead_code, reason = "on Linux there are other reasons")]
pub(crate) enum HandleError {
    NoSuchProcess,
    Thread(Option<u32>),
    Unsupported(io::Error),
    Os(io::Error),
}

#[cfg(feature = "process")]
impl ProcessHandle {
    pub(crate) fn open(_: u32) -> std::result::Result<Self, HandleError> {
        Err(HandleError::Unsupported(io::Error::from(io::ErrorKind::Unsupported)))
    }

    pub(crate) fn has_ended(&self) -> io::Result<bool> {
        match self.0 {}
    }

    pub(crate) fn is_unreaped(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn status(&self) -> Option<ExitStatus> {
        match self.0 {}
    }

    pub(crate) fn wait_reaped(&self, _: Duration) {
        match self.0 {}
    }

    #[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
    pub(crate) fn poll_ended<'a>(
        _: impl Iterator<Item = &'a Self>,
        _: Option<Duration>,
    ) -> io::Result<Vec<bool>> {
        Ok(Vec::new())
    }
}

/// Reports that this system does not support listening.
pub fn diagnose() -> Diagnosis {
    let system = match std::env::consts::OS {
        "" => "no operating system",
        system => system,
    };
    let kernel = finding("kernel", Verdict::Fails, format!("{system}, which is not Linux"));
    Diagnosis { findings: vec![kernel.remedy(Error::NotLinux.to_string())] }
}

#[cfg(not(target_os = "linux"))]
impl Error {
    /// The findings of [`diagnose`](crate::diagnose), if this error concerns listening as a whole.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        matches!(self, Self::NotLinux).then(diagnose)
    }
}

/// Cannot fail: no offset of a time namespace has to be read.
#[allow(clippy::unnecessary_wraps, reason = "on Linux it can fail")]
pub(crate) fn check_clock() -> io::Result<()> {
    Ok(())
}

/// The time since 1970 in nanoseconds, from which time stamps are assumed to count.
pub(crate) fn clock_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The host name and the kernel release, which are unknown.
#[cfg(feature = "capture")]
pub(crate) fn host_names() -> (Option<String>, Option<String>) {
    (None, None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proc_connector_core::Filter;

    use super::{ProcConnector, diagnose};
    use crate::{Error, Transport, Verdict};

    #[test]
    fn opening_fails_with_an_error_that_names_the_reason_and_an_alternative() {
        let builder = ProcConnector::builder()
            .filter(Filter::default())
            .receive_buffer(1)
            .receive_buffer_events(1)
            .coalesce(Duration::ZERO)
            .transport(Transport::Auto)
            .context(true)
            .argument_bytes(1)
            .nonblocking(true);
        for error in [builder.open().unwrap_err(), ProcConnector::new().unwrap_err()] {
            assert!(matches!(error, Error::NotLinux), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("Linux kernel") && text.contains("can be read here"), "{text}");
        }
    }

    #[test]
    fn a_diagnosis_has_the_reason_as_its_only_finding() {
        let diagnosis = diagnose();
        assert_eq!(diagnosis.verdict(), Verdict::Fails);
        let [finding] = &diagnosis.findings[..] else { panic!("{diagnosis:?}") };
        assert_eq!(finding.remedy, Some(Error::NotLinux.to_string()));
    }
}
