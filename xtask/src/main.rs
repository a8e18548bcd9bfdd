//! Maintenance commands of the workspace: `cargo xtask help` lists them.

mod api;
mod bench;
mod big_endian;
mod bindgen;
mod ci;
mod clippy;
mod command;
mod cross;
mod deny;
mod dist;
mod docs;
mod fmt;
mod fuzz;
mod layers;
mod migration;
mod no_std;
mod package;
mod pypi;
mod targets;
mod third_party;
mod vm_test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Maintenance commands of the proc-connector workspace
#[derive(Parser, Debug)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Cli {
    Api(api::Args),
    Bench(bench::Args),
    Bindgen(bindgen::Args),
    Ci(ci::Args),
    /// Check the formatting
    Fmt,
    /// Run clippy with every feature alone and all of them together
    Clippy,
    /// Build the documentation, with warnings as errors
    Docs,
    Layers(layers::Args),
    /// Build core for a machine without an operating system
    NoStd,
    /// Check that the crates compile for other systems than Linux
    Targets,
    /// Run core's tests on s390x under QEMU
    BigEndian,
    VmTest(vm_test::Args),
    Fuzz(fuzz::Args),
    Migration(migration::Args),
    Seeds(vm_test::seeds::Args),
    /// Check licences and sources of dependencies
    Deny,
    Package(package::Args),
    Dist(dist::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    match cli {
        Cli::Api(args) => api::run(&args),
        Cli::Bench(args) => bench::run(&args),
        Cli::Bindgen(args) => bindgen::run(&args),
        Cli::Ci(args) => ci::run(&args),
        Cli::Fmt => fmt::run(),
        Cli::Clippy => clippy::run(),
        Cli::Docs => docs::run(),
        Cli::Layers(args) => layers::run(&args),
        Cli::NoStd => no_std::run(),
        Cli::Targets => targets::run(),
        Cli::BigEndian => big_endian::run(),
        Cli::VmTest(args) => vm_test::run(&args),
        Cli::Fuzz(args) => fuzz::run(&args),
        Cli::Migration(args) => migration::run(&args),
        Cli::Seeds(args) => vm_test::seeds::run(&args),
        Cli::Deny => deny::run(),
        Cli::Package(args) => package::run(&args),
        Cli::Dist(args) => dist::run(&args),
    }
}
