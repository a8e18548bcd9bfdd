//! Generates Rust from the headers: the selected items and their names.

use std::path::Path;

use anyhow::{Context, Result};
use bindgen::callbacks::{DeriveInfo, ItemInfo, ParseCallbacks};
use bindgen::{Builder, EnumVariation, Formatter, RustEdition, RustTarget};

use super::headers::Headers;

const TYPES: [&str; 17] = [
    // linux/cn_proc.h
    "proc_event",
    "proc_input",
    "proc_cn_mcast_op",
    "proc_cn_event",
    // linux/connector.h
    "cb_id",
    "cn_msg",
    // linux/netlink.h
    "nlmsghdr",
    "nlmsgerr",
    "sockaddr_nl",
    // linux/filter.h
    "sock_filter",
    "sock_fprog",
    // linux/bpf.h: two anonymous members of union bpf_attr.
    "bpf_attr__bindgen_ty_1",
    "bpf_attr__bindgen_ty_4",
    "bpf_cmd",
    "bpf_func_id",
    "bpf_map_type",
    "bpf_prog_type",
];

/// The constants of `bpf.h`, `filter.h` and `bpf_common.h` that the crates use, out of hundreds.
pub(super) const BPF_CONSTANTS: [&str; 103] = [
    "BPF_LD",
    "BPF_LDX",
    "BPF_ST",
    "BPF_STX",
    "BPF_ALU",
    "BPF_JMP",
    "BPF_RET",
    "BPF_MISC",
    "BPF_W",
    "BPF_H",
    "BPF_B",
    "BPF_IMM",
    "BPF_ABS",
    "BPF_IND",
    "BPF_MEM",
    "BPF_LEN",
    "BPF_MSH",
    "BPF_ADD",
    "BPF_SUB",
    "BPF_MUL",
    "BPF_DIV",
    "BPF_OR",
    "BPF_AND",
    "BPF_LSH",
    "BPF_RSH",
    "BPF_NEG",
    "BPF_MOD",
    "BPF_XOR",
    "BPF_JA",
    "BPF_JEQ",
    "BPF_JGT",
    "BPF_JGE",
    "BPF_JLE",
    "BPF_JSET",
    "BPF_K",
    "BPF_X",
    "BPF_MAXINSNS",
    "BPF_MAJOR_VERSION",
    "BPF_MINOR_VERSION",
    "BPF_A",
    "BPF_TAX",
    "BPF_TXA",
    "BPF_MEMWORDS",
    "BPF_NET_OFF",
    "BPF_LL_OFF",
    "BPF_ALU64",
    "BPF_JMP32",
    "BPF_DW",
    "BPF_ATOMIC",
    "BPF_MOV",
    "BPF_END",
    "BPF_TO_BE",
    "BPF_TO_LE",
    "BPF_JNE",
    "BPF_JLT",
    "BPF_JLE",
    "BPF_JSGT",
    "BPF_JSLE",
    "BPF_CALL",
    "BPF_EXIT",
    "BPF_PSEUDO_MAP_FD",
    "BPF_PSEUDO_MAP_VALUE",
    "BPF_OBJ_NAME_LEN",
    "BPF_MAP_CREATE",
    "BPF_MAP_LOOKUP_ELEM",
    "BPF_MAP_UPDATE_ELEM",
    "BPF_MAP_DELETE_ELEM",
    "BPF_MAP_GET_NEXT_KEY",
    "BPF_PROG_LOAD",
    "BPF_MAP_TYPE_HASH",
    "BPF_MAP_TYPE_LRU_HASH",
    "BPF_MAP_TYPE_ARRAY",
    "BPF_MAP_TYPE_PROG_ARRAY",
    "BPF_MAP_TYPE_RINGBUF",
    "BPF_PROG_TYPE_SOCKET_FILTER",
    "BPF_F_MMAPABLE",
    "BPF_FUNC_map_lookup_elem",
    "BPF_FUNC_map_update_elem",
    "BPF_FUNC_map_delete_elem",
    "BPF_FUNC_tail_call",
    "BPF_FUNC_get_smp_processor_id",
    "BPF_FUNC_skb_load_bytes",
    "BPF_FUNC_ringbuf_output",
    "BPF_FUNC_ringbuf_reserve",
    "BPF_FUNC_ringbuf_submit",
    "BPF_FUNC_ringbuf_discard",
    "BPF_FUNC_ringbuf_query",
    "BPF_FUNC_get_current_comm",
    "BPF_FUNC_get_current_pid_tgid",
    "BPF_FUNC_get_current_uid_gid",
    "BPF_FUNC_get_current_cgroup_id",
    "BPF_FUNC_get_current_task",
    "BPF_FUNC_get_current_task_btf",
    "BPF_FUNC_ktime_get_boot_ns",
    "BPF_FUNC_probe_read_kernel",
    "BPF_FUNC_probe_read_user",
    "BPF_FUNC_probe_read_user_str",
    "BPF_FUNC_probe_read_kernel_str",
    "BPF_RB_NO_WAKEUP",
    "BPF_RB_FORCE_WAKEUP",
    "BPF_RINGBUF_BUSY_BIT",
    "BPF_RINGBUF_DISCARD_BIT",
    "BPF_RINGBUF_HDR_SZ",
];

const CONSTANTS: [&str; 9] = [
    "PROC_EVENT_.*",
    "PROC_CN_.*",
    "CN_.*",
    "CONNECTOR_MAX_MSG_SIZE",
    "NLMSG_.*",
    "NLM_F_.*",
    "NETLINK_(CONNECTOR|ADD_MEMBERSHIP|DROP_MEMBERSHIP|BROADCAST_ERROR|NO_ENOBUFS)",
    // Constants that are not in BPF_CONSTANTS are removed later: bindgen cannot select single names
    // of an enum.
    "BPF_.*",
    "SK_MEMINFO_.*",
];

/// Types that are nested or anonymous in C, and their names in Rust: the header's own name, or one
/// derived from the header's names.
const NAMES: [(&str, &str); 15] = [
    ("bpf_attr__bindgen_ty_1", "bpf_attr_map_create"),
    ("bpf_attr__bindgen_ty_4", "bpf_attr_prog_load"),
    ("bpf_attr__bindgen_ty_4__bindgen_ty_1", "bpf_attr_prog_load_attach"),
    ("proc_event__bindgen_ty_1", "proc_event_data"),
    ("proc_event__bindgen_ty_1__bindgen_ty_1", "ack_proc_event"),
    ("proc_event__bindgen_ty_1_fork_proc_event", "fork_proc_event"),
    ("proc_event__bindgen_ty_1_exec_proc_event", "exec_proc_event"),
    ("proc_event__bindgen_ty_1_id_proc_event", "id_proc_event"),
    ("proc_event__bindgen_ty_1_id_proc_event__bindgen_ty_1", "id_proc_event_r"),
    ("proc_event__bindgen_ty_1_id_proc_event__bindgen_ty_2", "id_proc_event_e"),
    ("proc_event__bindgen_ty_1_sid_proc_event", "sid_proc_event"),
    ("proc_event__bindgen_ty_1_ptrace_proc_event", "ptrace_proc_event"),
    ("proc_event__bindgen_ty_1_comm_proc_event", "comm_proc_event"),
    ("proc_event__bindgen_ty_1_coredump_proc_event", "coredump_proc_event"),
    ("proc_event__bindgen_ty_1_exit_proc_event", "exit_proc_event"),
];

/// Types that contain a union or a pointer get no `Default`: bindgen would implement it with
/// `unsafe`.
const NO_DEFAULT: &str = "proc_event.*|sock_fprog|bpf_attr.*";

/// bindgen cannot derive `Default` if a field is an enum, although enums are integers here.
const DERIVED_DEFAULT: &str = "proc_input";

/// Unformatted Rust source of the items of `wrapper` on the allowlist. `scratch` is a writable
/// directory.
pub(crate) fn generate(wrapper: &Path, headers: &Headers, scratch: &Path) -> Result<String> {
    let rust_target = RustTarget::stable(85, 0).ok().context("bindgen does not know Rust 1.85")?;
    let include_dirs = headers
        .include_dirs
        .iter()
        .flat_map(|dir| ["-isystem".to_owned(), dir.to_string_lossy().into_owned()]);

    let builder = Builder::default()
        .header(wrapper.to_string_lossy())
        // A fixed target makes the result independent of the machine.
        .clang_args(["--target=x86_64-unknown-linux-gnu", "-nostdinc"])
        .clang_args(include_dirs)
        // Lets clang evaluate macros that consist of enum constants, such as PROC_EVENT_ALL.
        .clang_macro_fallback()
        .clang_macro_fallback_build_dir(scratch)
        .rust_target(rust_target)
        .rust_edition(RustEdition::Edition2024)
        .use_core()
        .ctypes_prefix("core::ffi")
        .default_enum_style(EnumVariation::Consts)
        .prepend_enum_name(false)
        .generate_comments(false)
        .layout_tests(true)
        .derive_default(true)
        .no_default(NO_DEFAULT)
        .no_default(DERIVED_DEFAULT)
        .impl_debug(true)
        .allowlist_type(TYPES.join("|"))
        .allowlist_var(CONSTANTS.join("|"))
        .parse_callbacks(Box::new(Callbacks))
        .disable_header_comment()
        .formatter(Formatter::None);
    Ok(builder.generate().context("bindgen cannot read the headers")?.to_string())
}

#[derive(Debug)]
struct Callbacks;

impl ParseCallbacks for Callbacks {
    fn item_name(&self, item: ItemInfo<'_>) -> Option<String> {
        NAMES
            .iter()
            .find(|(generated, _)| *generated == item.name)
            .map(|(_, name)| (*name).to_owned())
    }

    fn add_derives(&self, info: &DeriveInfo<'_>) -> Vec<String> {
        let derives = if info.name == DERIVED_DEFAULT { vec!["Default"] } else { vec![] };
        derives.into_iter().map(str::to_owned).collect()
    }
}
