//! Fetches the libclang that parses the headers.

use std::path::PathBuf;

use anyhow::Result;

use crate::{pypi, workspace::Metadata};

/// The environment variable with the path of libclang for bindgen. Set it to use another libclang
/// than the fetched one.
pub(crate) const VARIABLE: &str = "LIBCLANG_PATH";

/// The version is pinned, so that the same headers yield the same bindings on every machine.
const WHEEL: &str = "libclang==18.1.1";

/// The directory with the pinned libclang, fetched on first use.
pub(crate) fn fetch(metadata: &Metadata) -> Result<PathBuf> {
    let dir = metadata.target_dir()?.join("libclang");
    pypi::fetch(WHEEL, &["clang/native"], &dir)?;
    Ok(dir.join("native"))
}
