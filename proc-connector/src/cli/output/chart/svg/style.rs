//! The style sheet, for a light and a dark background.

/// Class names are short because each bar has one:
///
/// | class | element |
/// |---|---|
/// | `bg` | background |
/// | `t`, `s`, `a`, `b` | title, totals, axis and captions, labels of bars |
/// | `g` | lines of the axis |
/// | `c0` to `c9`, `m`, `f` | bars: by program, of several programs, failed |
/// | `u0` to `u2` | bars that used less CPU time than run time |
/// | `w`, `e`, `x` | before the first exec, at an exec, failure in a bar of several processes |
/// | `k`, `j` | critical path: along a process, from one process to the next |
/// | `l` | loss |
/// | `p`, `u`, `n`, `y`, `h` | strip: processes, cores in use, cores, memory, tooltip |
pub(super) const STYLE: &str = "\
text{font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1f2328;white-space:pre}\
.bg{fill:#fff}\
.t{font-size:15px;font-weight:bold}.s{font-size:11px;fill:#57606a}\
.g{stroke:#d8dee4;stroke-width:1}.a{font-size:10px;fill:#57606a}\
.c0{fill:#9ecae9}.c1{fill:#a8d8a3}.c2{fill:#f3cd8f}.c3{fill:#cbb7e6}.c4{fill:#98dace}\
.c5{fill:#dcd283}.c6{fill:#bac6dc}.c7{fill:#e6bcd8}.c8{fill:#c3de93}.c9{fill:#d3bd9f}\
.f{fill:#f58f86;stroke:#b3261e;stroke-width:1}.m{fill:#b9c0c8}\
.u0{fill-opacity:.3}.u1{fill-opacity:.5}.u2{fill-opacity:.75}\
.w{fill:#fff}.e{stroke:#fff;stroke-width:1.5}.x{fill:#b3261e}\
.k,.j{stroke:#7c1fd1;fill:none}.j{stroke-opacity:.4}\
.l{stroke:#b3261e;stroke-width:1.5;stroke-dasharray:4 3}\
.p{fill:#c5d9ee}.u{fill:#3f86c6}.y{fill:#c9bfe0}\
.n{stroke:#57606a;stroke-dasharray:3 3;fill:none}.h{fill:#1f2328;fill-opacity:0}.h:hover{fill-opacity:.15}\
@media (prefers-color-scheme:dark){\
text{fill:#e6edf3}.bg{fill:#0d1117}.s,.a{fill:#9198a1}.g{stroke:#2a313a}\
.c0{fill:#2b5f8c}.c1{fill:#2f6a38}.c2{fill:#7a5718}.c3{fill:#5e4b8b}.c4{fill:#1d675d}\
.c5{fill:#645c17}.c6{fill:#46556f}.c7{fill:#7b4168}.c8{fill:#4a661c}.c9{fill:#6b5537}\
.f{fill:#8f2f29;stroke:#ff7b72}.m{fill:#525b66}\
.u0{fill-opacity:.4}.u1{fill-opacity:.6}.u2{fill-opacity:.8}\
.w{fill:#0d1117}.e{stroke:#0d1117}.x{fill:#ff7b72}.k,.j{stroke:#d2a8ff}.l{stroke:#ff7b72}\
.p{fill:#23405e}.u{fill:#4c97db}.y{fill:#51447a}.n{stroke:#9198a1}.h{fill:#e6edf3}}";

/// The class of a bar by the CPU time that its processes used in their run time, with a space before it.
/// Empty if the CPU time is unknown.
pub(super) fn shade(cpu_ns: Option<u64>, time_ns: u64) -> &'static str {
    let Some(cpu_ns) = cpu_ns else { return "" };
    match u128::from(cpu_ns) * 100 / u128::from(time_ns.max(1)) {
        0..10 => " u0",
        10..40 => " u1",
        40..75 => " u2",
        75.. => "",
    }
}
