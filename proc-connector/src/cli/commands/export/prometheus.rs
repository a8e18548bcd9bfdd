//! `export prometheus`: serves counts of events and of ended processes over HTTP.

use std::net::{Ipv4Addr, SocketAddr};

use proc_connector::Filter;

use crate::cli::export::metrics::Metrics;
use crate::cli::export::prometheus::server::Server;
use crate::cli::failure::Failure;
use crate::cli::host::privileges;
use crate::cli::options::listen::ListenOptions;
use crate::cli::options::metrics::MetricsOptions;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::pipeline::choose::ProcessChooser;
use crate::cli::pipeline::conditions::Conditions;
use crate::cli::pipeline::identify::Identify;
use crate::cli::pipeline::measure::{KEEP, Measured};
use crate::cli::pipeline::{connect, receive};
use crate::cli::shown::{complain, report};

/// The default address. Ports from 9100 to 9999 and some after them belong to other exporters, as the
/// list of Prometheus assigns them.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 17_111);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Serve the metrics on this address and port. Every client that can connect to it can read them.
    #[arg(long = "listen", value_name = "IP:PORT", value_parser = address, default_value_t = ADDRESS)]
    address: SocketAddr,

    #[command(flatten)]
    metrics: MetricsOptions,

    #[command(flatten)]
    processes: ProcessOptions,

    #[command(flatten)]
    listen: ListenOptions,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "not an IP address and a port: write 127.0.0.1:17111, [::1]:17111, or 0.0.0.0:17111 for all \
         addresses of this machine"
            .to_owned()
    })
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let Args { address, metrics, processes, listen } = args;
    // Before the connector reports readiness: from then on, a client can connect.
    let server =
        Server::bind(*address).map_err(|error| Failure::Serve { address: *address, error })?;
    let conditions = Conditions::live(processes)?;
    // The table of processes needs all events of the chosen processes. Contexts have the names of
    // short-lived processes, which end before `/proc` can be read.
    let mut events = connect::open(listen, &conditions.filter(Filter::default())?, true)?;
    connect::report_user_space(&events);
    let identify = Identify::live()?.keep_ended(KEEP.0, KEEP.1);
    let chooser = ProcessChooser::live(&conditions, identify.table())?;
    let transport = events.stats().transport;
    let counts = Measured::new(identify, chooser, Metrics::new(metrics.groups), transport);
    report_address(server.address());
    // The thread of the server would keep them.
    privileges::drop_most();
    let result = server.serve_during(
        || counts.families(),
        || receive::listen(&mut events, listen.duration, &mut counts.stage()),
    );
    result.map_err(|error| Failure::Serve { address: *address, error })??.report();
    Ok(())
}

fn report_address(address: SocketAddr) {
    report(format_args!("metrics: http://{address}/metrics"));
    if !address.ip().is_loopback() {
        complain(format_args!(
            "warning: everyone who can connect to {address} can read the names of programs and \
             cgroups: there is no authentication and no encryption"
        ));
    }
}
