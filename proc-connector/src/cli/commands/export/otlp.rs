//! `export otlp`.

use crate::cli::failure::Failure;
use crate::cli::options::listen::ListenOptions;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: ListenOptions,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let _ = args.listen.duration;
    Ok(())
}
