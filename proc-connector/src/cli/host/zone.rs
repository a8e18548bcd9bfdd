//! The time zone in which times of day are shown: what TZ asks for, else the machine's.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::tz::{self, TimeZone};

use crate::cli::shown::{complain, shown};

/// Where the machine's zone is.
const LOCALTIME: &str = "/etc/localtime";

/// No zone takes so many bytes.
const LARGE: u64 = 1 << 20;

/// When summer time begins and ends where TZ has a name for it and no rule, as in `EST5EDT`: POSIX
/// leaves that to the system, and this is what the C library takes.
const DEFAULT_RULE: &str = ",M3.2.0,M11.1.0";

/// The zone for times of day. Reports once, on standard error, that the chosen one cannot be used.
pub(crate) fn local() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(|| {
        wanted(std::env::var_os("TZ"), Path::new(LOCALTIME)).unwrap_or_else(|problem| {
            // The times are right anyway, if in another zone.
            complain(format_args!("{problem}; times are in UTC"));
            TimeZone::UTC
        })
    })
}

/// Why a zone cannot be had.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("TZ is {0}, which is no time zone (/usr/share/zoneinfo has their names)")]
    Unknown(String),
    #[error("TZ is {0}, but no time zones are installed (they are in the package tzdata)")]
    NoDatabase(String),
    #[error("the time zone cannot be read from {}: {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} is not a time zone", .0.display())]
    NotAZone(PathBuf),
    #[error("{} is for clocks that count leap seconds, which Linux's does not", .0.display())]
    LeapSeconds(PathBuf),
}

/// The zone that TZ is for, or that of the machine where TZ is unset.
fn wanted(tz: Option<OsString>, localtime: &Path) -> Result<TimeZone, Problem> {
    let Some(tz) = tz else {
        return of_machine(localtime);
    };
    let Some(text) = tz.to_str() else {
        return Err(Problem::Unknown(shown(tz.as_encoded_bytes())));
    };
    let name = text.strip_prefix(':').unwrap_or(text);
    if name.starts_with('/') {
        return from_file(Path::new(name));
    }
    if name.is_empty() || is_utc(name) {
        return Ok(TimeZone::UTC);
    }
    // Names first: `EST5EDT` is one too.
    let named = tz::db().get(name);
    if let (Err(_), Some(zone)) = (&named, installed(name)) {
        return zone;
    }
    let zone = named.or_else(|_| TimeZone::posix(text));
    let zone = zone.or_else(|_| TimeZone::posix(&format!("{text}{DEFAULT_RULE}")));
    zone.map_err(|_| {
        let name = shown(name.as_bytes());
        if tz::db().is_definitively_empty() {
            Problem::NoDatabase(name)
        } else {
            Problem::Unknown(name)
        }
    })
}

/// A zone that is installed beside those with the names of places, such as `posix/UTC`.
fn installed(name: &str) -> Option<Result<TimeZone, Problem>> {
    let zones = std::env::var_os("TZDIR").unwrap_or_else(|| "/usr/share/zoneinfo".into());
    let path = Path::new(&zones).join(name);
    let is_below = name.split('/').all(|part| part != "..");
    (is_below && path.is_file()).then(|| from_file(&path))
}

/// The zone that a machine has by a file, which is a link to one of those that are installed.
fn of_machine(localtime: &Path) -> Result<TimeZone, Problem> {
    if localtime.symlink_metadata().is_err() {
        // A machine without this file is on UTC.
        return Ok(TimeZone::UTC);
    }
    from_file(localtime).or_else(|problem| match localtime.read_link() {
        Ok(link) if link.to_str().is_some_and(is_utc) => Ok(TimeZone::UTC),
        _ => Err(problem),
    })
}

/// Whether a name or an installed file is UTC, which can be had where no zones are installed.
fn is_utc(name: &str) -> bool {
    let name = name.rsplit_once("zoneinfo/").map_or(name, |(_, name)| name);
    matches!(name, "UTC" | "Etc/UTC")
}

fn from_file(path: &Path) -> Result<TimeZone, Problem> {
    let unreadable = |error| Problem::Unreadable { path: path.to_owned(), error };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    // Anything else may have no end.
    if !metadata.is_file() || metadata.len() > LARGE {
        return Err(Problem::NotAZone(path.to_owned()));
    }
    let data = fs::read(path).map_err(unreadable)?;
    if counts_leap_seconds(&data) {
        return Err(Problem::LeapSeconds(path.to_owned()));
    }
    let name = path.to_string_lossy();
    TimeZone::tzif(&name, &data).map_err(|_| Problem::NotAZone(path.to_owned()))
}

/// Whether the times in a file include leap seconds: the list ends where the next one is unknown, and
/// are not those of the machine's clock. Each of its headers has their number (RFC 9636, section 3.1).
fn counts_leap_seconds(data: &[u8]) -> bool {
    const HEADER: usize = 44;
    data.windows(HEADER)
        .filter(|header| header.starts_with(b"TZif"))
        .any(|header| header[28..32] != [0; 4])
}
