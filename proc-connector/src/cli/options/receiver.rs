//! Options for the receiver that requests go to.

use crate::cli::export::otlp::config::{Chosen, Config, HeaderFile, Signal, Variables};
use crate::cli::failure::Failure;

const HELP: &str = "\
Send to this receiver of OTLP/HTTP, such as http://localhost:4318, to which the path of the signal is \
appended. The default is OTEL_EXPORTER_OTLP_ENDPOINT, or port 4318 of this machine";

/// Where to send requests, for all commands that send.
#[derive(Debug, clap::Args)]
pub(crate) struct ReceiverOptions {
    // A URL in a comment would need brackets, which the help would show.
    #[arg(long, value_name = "URL", help = HELP)]
    endpoint: Option<String>,

    /// Send the content of a file as a header, such as authorization=/etc/otlp/authorization.
    #[arg(long, value_name = "NAME=PATH", value_parser = HeaderFile::parse)]
    header_file: Vec<HeaderFile>,
}

impl ReceiverOptions {
    /// Whether no option was given.
    pub(crate) fn are_default(&self) -> bool {
        self.endpoint.is_none() && self.header_file.is_empty()
    }

    /// Collects options and variables. Returns `None` if `OTEL_SDK_DISABLED` is `true`.
    ///
    /// # Errors
    ///
    /// A variable or option has a value that cannot be used, or a file that it names cannot be read.
    pub(crate) fn config(&self, signal: Signal) -> Result<Option<Config>, Failure> {
        let chosen = Chosen { endpoint: self.endpoint.as_deref(), header_files: &self.header_file };
        Config::new(signal, chosen, &Variables::of_this_process())
            .map_err(|error| Failure::Setting(error.to_string()))
    }
}
