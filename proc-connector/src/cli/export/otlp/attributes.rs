//! The names of attributes: those of the OpenTelemetry semantic conventions, and this program's own for
//! values that have no name there.

/// The version of the semantic conventions that the names are from.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

pub(super) const RECORD_UID: &str = "log.record.uid";

pub(super) const PID: &str = "process.pid";
pub(super) const PARENT_PID: &str = "process.parent_pid";
pub(super) const VPID: &str = "process.vpid";
pub(super) const SESSION_LEADER_PID: &str = "process.session_leader.pid";
pub(super) const CREATION_TIME: &str = "process.creation.time";
pub(super) const EXECUTABLE_NAME: &str = "process.executable.name";
pub(super) const EXECUTABLE_PATH: &str = "process.executable.path";
pub(super) const ARGUMENTS: &str = "process.command_args";
pub(super) const WORKING_DIRECTORY: &str = "process.working_directory";
pub(super) const OWNER: &str = "process.owner";
pub(super) const USER_ID: &str = "process.user.id";
pub(super) const REAL_USER_ID: &str = "process.real_user.id";
pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const EXIT_CODE: &str = "process.exit.code";
pub(super) const CGROUP: &str = "process.linux.cgroup";
pub(super) const CONTAINER_ID: &str = "container.id";
pub(super) const THREAD_ID: &str = "thread.id";
pub(super) const THREAD_NAME: &str = "thread.name";

pub(super) const ARGUMENTS_CUT: &str = "proc_connector.command_args.cut";
pub(super) const GROUP_ID: &str = "proc_connector.group.id";
pub(super) const REAL_GROUP_ID: &str = "proc_connector.real_group.id";
pub(super) const TRACER_PID: &str = "proc_connector.tracer.pid";
pub(super) const EXIT_SIGNAL: &str = "proc_connector.exit.signal";
pub(super) const CORE_DUMPED: &str = "proc_connector.exit.core_dumped";
pub(super) const RUNNING: &str = "proc_connector.running";
pub(super) const THREADS: &str = "proc_connector.threads.started";
pub(super) const LINK: &str = "proc_connector.link";
pub(super) const KIND: &str = "proc_connector.kind";
pub(super) const DATA: &str = "proc_connector.data";

pub(super) const CPU_USER: &str = "proc_connector.usage.cpu.user_ns";
pub(super) const CPU_SYSTEM: &str = "proc_connector.usage.cpu.system_ns";
pub(super) const MAX_RSS: &str = "proc_connector.usage.memory.max_rss";
pub(super) const READ_BYTES: &str = "proc_connector.usage.disk.read";
pub(super) const WRITTEN_BYTES: &str = "proc_connector.usage.disk.write";
pub(super) const MINOR_FAULTS: &str = "proc_connector.usage.page_faults.minor";
pub(super) const MAJOR_FAULTS: &str = "proc_connector.usage.page_faults.major";
pub(super) const VOLUNTARY_SWITCHES: &str = "proc_connector.usage.context_switches.voluntary";
pub(super) const INVOLUNTARY_SWITCHES: &str = "proc_connector.usage.context_switches.involuntary";

pub(super) const LOST_COUNT: &str = "proc_connector.lost.count";
pub(super) const LOST_REASON: &str = "proc_connector.lost.reason";
pub(super) const LOST_CPU: &str = "proc_connector.lost.cpu";
pub(super) const LOST_SINCE: &str = "proc_connector.lost.since";
pub(super) const LOST_AT_MOST: &str = "proc_connector.lost.upper_limit";

pub(super) const BOOT_ID: &str = "proc_connector.boot.id";
