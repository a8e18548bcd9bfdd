//! `cargo xtask seeds`: records the seeds of the fuzz targets on the kernels of `vm-test`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::qemu::Machine;
use super::{Choice, guest, kernel, need_qemu};
use crate::workspace::{self, Metadata};

/// Record the seeds of the fuzz targets on Debian's kernels under QEMU
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Record only on this series of kernels
    #[arg(long, value_name = "SERIES", default_value = "all")]
    kernel: Choice,
    /// Write the datagrams to this directory instead of fuzz/seeds/datagrams
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Stop a machine after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

/// The example of `fuzz/` that records, and the test that causes events of every kind.
const RECORDER: &str = "record_seeds";
const PLAN: &str = "root record_seeds --print /tests/live_actions\n";

pub(crate) fn run(args: &Args) -> Result<()> {
    need_qemu()?;
    let directory = Metadata::load()?.target_dir()?.join("vm");
    let out = args.out.clone().unwrap_or_else(|| workspace::root().join("fuzz/seeds/datagrams"));
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut binaries = guest::build(&directory.join("build"))?;
    binaries.add_example(RECORDER, &directory.join("build"))?;
    let initramfs = directory.join("initramfs.cpio");
    binaries.write_initramfs(PLAN, &initramfs)?;

    for series in args.kernel.series() {
        let kernel = kernel::fetch(series.name, &directory)?;
        let timeout = Duration::from_secs(args.timeout);
        let machine = Machine {
            name: series.name,
            kernel: &kernel.image,
            initramfs: &initramfs,
            parameter: "",
        };
        let boot = machine.boot(timeout)?;
        boot.verdict.map_err(|verdict| anyhow!("{}: {verdict}", kernel.name))?;
        let seeds = seeds(&boot.console).with_context(|| kernel.name.clone())?;
        ensure!(!seeds.is_empty(), "{}: nothing was recorded", kernel.name);
        let suffix = format!("-{}", series.name);
        for (sort, datagram) in &seeds {
            let path = out.join(format!("{sort}{suffix}"));
            fs::write(&path, datagram)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        println!("{}: {} datagrams", kernel.name, seeds.len());
        for sort in sorts(&out, &suffix)?.iter().filter(|sort| !seeds.contains_key(*sort)) {
            println!("{sort}{suffix} was not recorded and is unchanged");
        }
    }
    Ok(())
}

/// The sorts of datagrams of a kernel in a directory.
fn sorts(directory: &Path, suffix: &str) -> Result<Vec<String>> {
    let mut sorts = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        sorts.extend(name.strip_suffix(suffix).map(str::to_owned));
    }
    Ok(sorts)
}

/// The datagrams on a console, by sort.
fn seeds(console: &[String]) -> Result<BTreeMap<String, Vec<u8>>> {
    let lines = console.iter().filter_map(|line| line.split_once("seed: "));
    lines
        .map(|(_, seed)| {
            parse(seed).with_context(|| format!("a line of the console is incomplete: {seed}"))
        })
        .collect()
}

/// A sort, and a datagram in hexadecimal digits, whose length must match its header.
fn parse(seed: &str) -> Option<(String, Vec<u8>)> {
    let (sort, hex) = seed.split_once(' ')?;
    let is_name = !sort.is_empty() && sort.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let datagram = hex.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>()?;
    // The machines are little-endian.
    let len = u32::from_le_bytes(*datagram.first_chunk()?);
    let is_whole = usize::try_from(len).is_ok_and(|len| len == datagram.len());
    (is_name && is_whole).then(|| (sort.to_owned(), datagram))
}

fn byte(digits: &[u8]) -> Option<u8> {
    let &[high, low] = digits else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_found_among_what_a_machine_says() {
        let console = [
            "test an_exit_has_its_code ... ok",
            "seed: ack 0500000007",
            "left over seed: fork-thread 06000000a0ff",
            "vm-test: all 1 runs passed",
        ];
        let found = seeds(&console.map(str::to_owned)).expect("whole lines");
        let expected = [
            ("ack".to_owned(), vec![5, 0, 0, 0, 7]),
            ("fork-thread".to_owned(), vec![6, 0, 0, 0, 0xa0, 0xff]),
        ];
        assert_eq!(found, expected.into());
    }

    #[test]
    fn what_the_console_broke_is_refused() {
        for seed in ["", "ack", "ack 05", "ack 050000000", "ack 05000000+7", "../ack 0500000007"] {
            assert!(seeds(&[format!("seed: {seed}")]).is_err(), "{seed}");
        }
    }
}
