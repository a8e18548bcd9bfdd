//! Finds the call of a compiler driver in the arguments of an exec.

/// Programs that run the compiler named by their arguments.
const WRAPPERS: [&[u8]; 6] = [b"ccache", b"sccache", b"distcc", b"icecc", b"buildcache", b"gomacc"];

/// The names of drivers, without a prefix for the target and a version.
const DRIVERS: [&[u8]; 6] = [b"cc", b"gcc", b"c++", b"g++", b"clang", b"clang++"];

/// The words of the call, which begin with the path of the driver. `None` if the program is none.
pub(super) fn driver_call<'a>(
    args: &[&'a [u8]],
    filename: Option<&'a [u8]>,
) -> Option<Vec<&'a [u8]>> {
    let (first, rest) = program_and_arguments(args, filename)?;
    let driver_file = filename.filter(|name| is_driver(name));
    if let Some(driver) = driver_file.or(Some(first).filter(|first| is_driver(first))) {
        return Some([driver].into_iter().chain(rest.iter().copied()).collect());
    }
    if !WRAPPERS.contains(&base_name(first)) {
        return None;
    }
    // ccache accepts settings (KEY=VALUE) before the compiler, and a wrapper may run another.
    let is_skipped = |word: &[u8]| word.contains(&b'=') || WRAPPERS.contains(&base_name(word));
    let driver = rest.iter().position(|word| !is_skipped(word) || is_driver(word))?;
    let call = rest.get(driver..)?;
    call.first().is_some_and(|word| is_driver(word)).then(|| call.to_vec())
}

/// The arguments without the interpreter of a script. The kernel inserts the interpreter, up to one
/// argument for it, and the name of the script.
fn program_and_arguments<'a, 'b>(
    args: &'b [&'a [u8]],
    filename: Option<&'a [u8]>,
) -> Option<(&'a [u8], &'b [&'a [u8]])> {
    let (&first, rest) = args.split_first()?;
    if let Some(file) = filename.filter(|file| base_name(file) != base_name(first)) {
        if let Some(place) = rest.iter().take(2).position(|&arg| arg == file) {
            return Some((file, rest.get(place + 1..).unwrap_or_default()));
        }
    }
    Some((first, rest))
}

/// Whether a path names a compiler driver: `cc`, `x86_64-linux-gnu-gcc-12`, `clang++-16.0`.
pub(super) fn is_driver(path: &[u8]) -> bool {
    let name = base_name(path);
    let is_version = |text: &[u8]| {
        text.split(|&byte| byte == b'.')
            .all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    let mut parts: Vec<&[u8]> = name.split(|&byte| byte == b'-').collect();
    // Debian has MinGW compilers for two threading models.
    if parts.len() > 1 && parts.last().is_some_and(|part| [&b"win32"[..], b"posix"].contains(part))
    {
        parts.pop();
    }
    if parts.len() > 1 && parts.last().is_some_and(|part| is_version(part)) {
        parts.pop();
    }
    let Some(&last) = parts.last() else { return false };
    // A version may follow directly: `gcc12`. But `cc1` is the compiler that the driver executes.
    let letters = last.iter().rposition(|byte| !byte.is_ascii_digit() && *byte != b'.');
    let (driver, version) = last.split_at(letters.map_or(0, |last| last + 1));
    DRIVERS.contains(&driver) && (version.is_empty() || is_version(version) && driver != b"cc")
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}
