//! Stand-ins for what takes the kernel, on systems that have another one: names and signatures are
//! those of Linux, and opening says why it cannot be.

#![allow(missing_docs, reason = "they are documented where they do something")]

use std::convert::Infallible;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use proc_connector_core::Filter;

use crate::error::{Error, Result};
use crate::finding::{Diagnosis, Verdict, finding};
use crate::proc_event::ProcEvent;
use crate::stats::Stats;
use crate::stream::Received;
use crate::transport_kind::Transport;

/// Options for a connector that cannot be opened here.
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

    pub fn argument_bytes(self, _: usize) -> Self {
        self
    }

    pub fn nonblocking(self, _: bool) -> Self {
        self
    }

    /// Fails.
    ///
    /// # Errors
    ///
    /// Always [`Error::NotLinux`].
    #[allow(clippy::unused_self, reason = "where it can succeed it looks at the options")]
    pub fn open(&self) -> Result<ProcConnector> {
        Err(Error::NotLinux)
    }
}

/// A listener to process events, of which there is none here.
#[derive(Debug)]
pub struct ProcConnector(Infallible);

#[allow(clippy::missing_errors_doc, reason = "only `new` can be called, and it fails")]
impl ProcConnector {
    /// Fails.
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

/// What a receive brings.
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

#[allow(clippy::missing_errors_doc, reason = "nobody has one")]
impl Shutdown {
    pub fn shutdown(&self) -> io::Result<()> {
        match self.0 {}
    }
}

/// Finds out that this process cannot listen to process events.
pub fn diagnose() -> Diagnosis {
    let system = match std::env::consts::OS {
        "" => "no operating system",
        system => system,
    };
    let kernel = finding("kernel", Verdict::Fails, format!("{system}, which is not Linux"));
    Diagnosis { findings: vec![kernel.remedy(Error::NotLinux.to_string())] }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proc_connector_core::Filter;

    use super::{ProcConnector, diagnose};
    use crate::{Error, Transport, Verdict};

    #[test]
    fn opening_says_that_this_is_another_system_and_what_works_there() {
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
    fn a_diagnosis_has_the_cause_as_its_only_finding() {
        let diagnosis = diagnose();
        assert_eq!(diagnosis.verdict(), Verdict::Fails);
        let [finding] = &diagnosis.findings[..] else { panic!("{diagnosis:?}") };
        assert_eq!(finding.remedy, Some(Error::NotLinux.to_string()));
    }
}
