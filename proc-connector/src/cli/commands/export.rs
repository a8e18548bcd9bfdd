//! `export`: passes events on to the programs that collect them.

#[cfg(feature = "otlp")]
pub(crate) mod otlp;
#[cfg(feature = "otlp")]
pub(crate) mod otlp_metrics;
#[cfg(feature = "prometheus")]
pub(crate) mod prometheus;

use crate::cli::exit_status;
use crate::cli::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    target: Target,
}

#[derive(Debug, clap::Subcommand)]
enum Target {
    /// Send each event as a log record by OTLP/HTTP.
    #[cfg(feature = "otlp")]
    #[command(after_help = exit_status::help(exit_status::LISTENING))]
    Otlp(otlp::Args),
    /// Send counts of events and of the resources of ended processes by OTLP/HTTP.
    #[cfg(feature = "otlp")]
    #[command(after_help = exit_status::help(exit_status::LISTENING))]
    OtlpMetrics(otlp_metrics::Args),
    /// Serve counts of events and of the resources of ended processes to Prometheus.
    #[cfg(feature = "prometheus")]
    #[command(after_help = exit_status::help(exit_status::LISTENING))]
    Prometheus(prometheus::Args),
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.target {
        #[cfg(feature = "otlp")]
        Target::Otlp(args) => otlp::run(args),
        #[cfg(feature = "otlp")]
        Target::OtlpMetrics(args) => otlp_metrics::run(args),
        #[cfg(feature = "prometheus")]
        Target::Prometheus(args) => prometheus::run(args),
    }
}
