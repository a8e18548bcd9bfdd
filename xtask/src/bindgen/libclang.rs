//! Fetches the libclang that reads the headers.

use std::path::PathBuf;

use anyhow::Result;

use crate::{pypi, workspace::Metadata};

/// Names the folder of another libclang, and is how bindgen finds the one fetched here.
pub(crate) const VARIABLE: &str = "LIBCLANG_PATH";

/// Pinned, so that the same headers give the same bindings on every machine.
const WHEEL: &str = "libclang==18.1.1";

/// The folder with the pinned libclang, fetched on first use.
pub(crate) fn fetch(metadata: &Metadata) -> Result<PathBuf> {
    let dir = metadata.target_dir()?.join("libclang");
    pypi::fetch(WHEEL, &["clang/native"], &dir)?;
    Ok(dir.join("native"))
}
