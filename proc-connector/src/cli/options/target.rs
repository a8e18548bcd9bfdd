//! The option for output files.

use clap::builder::{PathBufValueParser, TypedValueParser};

use crate::cli::output::chart::Target;

/// Reads the name of an output file. Its extension selects the format.
pub(crate) fn target() -> impl TypedValueParser<Value = Target> {
    PathBufValueParser::new().try_map(Target::from_path)
}
