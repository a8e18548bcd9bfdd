//! The time zone of times in the output: the zone in TZ, otherwise the zone of the machine.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::tz::{self, TimeZone};

use crate::cli::shown::{complain, shown};

/// The machine's time zone.
const LOCALTIME: &str = "/etc/localtime";

/// The maximum size of a time zone file.
const MAX_LEN: u64 = 1 << 20;

/// The rule for summer time if TZ names it without a rule, as in `EST5EDT`. POSIX leaves the rule to
/// the system, and the C library uses this one.
const DEFAULT_RULE: &str = ",M3.2.0,M11.1.0";

/// The zone for times of day. Reports an unusable zone once, on standard error.
pub(crate) fn local() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(|| {
        selected(std::env::var_os("TZ"), Path::new(LOCALTIME)).unwrap_or_else(|problem| {
            complain(format_args!("{problem}; times are in UTC"));
            TimeZone::UTC
        })
    })
}

/// Why a zone cannot be used.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("TZ is {0}, which is not a time zone (see /usr/share/zoneinfo for names)")]
    Unknown(String),
    #[error("TZ is {0}, but no time zones are installed (install the package tzdata)")]
    NoDatabase(String),
    #[error("cannot read the time zone from {}: {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} is not a time zone", .0.display())]
    NotAZone(PathBuf),
    #[error("{} counts leap seconds, which the Linux clock does not", .0.display())]
    LeapSeconds(PathBuf),
}

/// The zone in TZ, or the machine's zone if TZ is unset.
fn selected(tz: Option<OsString>, localtime: &Path) -> Result<TimeZone, Problem> {
    let Some(tz) = tz else {
        return machine_zone(localtime);
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
    // A name has precedence: `EST5EDT` is a name and a rule.
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

/// An installed zone that the time zone database does not list, such as `posix/UTC`.
fn installed(name: &str) -> Option<Result<TimeZone, Problem>> {
    let zones = std::env::var_os("TZDIR").unwrap_or_else(|| "/usr/share/zoneinfo".into());
    let path = Path::new(&zones).join(name);
    let is_below = name.split('/').all(|part| part != "..");
    (is_below && path.is_file()).then(|| from_file(&path))
}

/// The machine's zone: usually `localtime` is a link to an installed zone.
fn machine_zone(localtime: &Path) -> Result<TimeZone, Problem> {
    if localtime.symlink_metadata().is_err() {
        // A machine without this file uses UTC.
        return Ok(TimeZone::UTC);
    }
    from_file(localtime).or_else(|problem| match localtime.read_link() {
        Ok(link) if link.to_str().is_some_and(is_utc) => Ok(TimeZone::UTC),
        _ => Err(problem),
    })
}

/// Whether a name or an installed file is UTC, which works without installed zones.
fn is_utc(name: &str) -> bool {
    let name = name.rsplit_once("zoneinfo/").map_or(name, |(_, name)| name);
    matches!(name, "UTC" | "Etc/UTC")
}

fn from_file(path: &Path) -> Result<TimeZone, Problem> {
    let unreadable = |error| Problem::Unreadable { path: path.to_owned(), error };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    // A device may have no end.
    if !metadata.is_file() || metadata.len() > MAX_LEN {
        return Err(Problem::NotAZone(path.to_owned()));
    }
    let data = fs::read(path).map_err(unreadable)?;
    if counts_leap_seconds(&data) {
        return Err(Problem::LeapSeconds(path.to_owned()));
    }
    let name = path.to_string_lossy();
    TimeZone::tzif(&name, &data).map_err(|_| Problem::NotAZone(path.to_owned()))
}

/// Whether the times in a file include leap seconds, which the machine's clock does not count. Each
/// header has the number of leap seconds (RFC 9636, section 3.1).
fn counts_leap_seconds(data: &[u8]) -> bool {
    const HEADER: usize = 44;
    data.windows(HEADER)
        .filter(|header| header.starts_with(b"TZif"))
        .any(|header| header[28..32] != [0; 4])
}
