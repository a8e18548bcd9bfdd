//! Filters executed by the kernel, on a pair of Unix sockets, which requires no privilege.

#![allow(clippy::exhaustive_structs, reason = "`sockopt_impl` makes public types")]

use std::io::{ErrorKind, Read, Write};

use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, sockopt_impl};
use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::testing::filters::{FilterModel, RawEvent, TgidRule};
use proc_connector_core::testing::kinds::EXEC;
use proc_connector_core::testing::strategies::{filter_model, raw_event};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use socket2::{Domain, SockFilter, Socket, Type};

fn attach(socket: &Socket, model: &FilterModel) {
    let nothing = proc_connector_sys::sock_filter { code: 0, jt: 0, jf: 0, k: 0 };
    let mut buffer = [nothing; MAX_PROGRAM_LEN];
    let program: Vec<SockFilter> = model
        .filter()
        .compile(&mut buffer)
        .expect("a program that fits")
        .iter()
        .map(|step| SockFilter::new(step.code, step.jt, step.jf, step.k))
        .collect();
    socket.attach_filter(&program).expect("a program that the kernel accepts");
}

/// The events that pass a socket with the filter.
fn pass(model: &FilterModel, events: &[RawEvent]) -> Vec<[u8; 76]> {
    let (mut sender, mut receiver) =
        Socket::pair(Domain::UNIX, Type::DGRAM, None).expect("a pair of sockets");
    attach(&receiver, model);
    receiver.set_nonblocking(true).expect("a socket");

    let mut passed = Vec::new();
    for event in events {
        match sender.write(&event.datagram()) {
            Ok(76) => {}
            // The error of a Unix socket if the peer's filter rejects the datagram.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            other => panic!("{other:?}"),
        }
        let mut datagram = [0; 76];
        match receiver.read(&mut datagram) {
            Ok(76) => passed.push(datagram),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => panic!("{other:?}"),
        }
    }
    passed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_agrees_with_the_evaluated_filter(model in filter_model(), events in vec(raw_event(), 1..40)) {
        let wanted: Vec<[u8; 76]> = events
            .iter()
            .filter(|event| model.passes(event))
            .map(RawEvent::datagram)
            .collect();
        prop_assert_eq!(pass(&model, &events), wanted);
    }
}

/// A filter with all conditions and these 1,024 ids.
fn full(ids: impl Iterator<Item = u32>) -> FilterModel {
    let tgids = Some((TgidRule::Only, ids.take(1024).collect()));
    FilterModel { mask: u32::MAX, processes_only: true, failures_only: true, tgids }
}

#[test]
fn the_kernel_accepts_a_filter_of_1024_ids() {
    let exec = |tgid| RawEvent { what: EXEC, words: [tgid, tgid, 0, 0, 0, 0] };
    // Ids of three bytes, and of four.
    for distance in [4093, 4_194_301] {
        let ids = (0..).map(|n| n * distance);
        let events: Vec<RawEvent> =
            ids.clone().take(1024).flat_map(|id| [exec(id), exec(id + 1)]).collect();
        assert_eq!(pass(&full(ids), &events).len(), 1024);
    }
}

sockopt_impl!(
    /// `SO_MEMINFO`: the counters of `linux/sock_diag.h`.
    MemInfo, GetOnly, libc::SOL_SOCKET, libc::SO_MEMINFO, [u32; 9]
);

#[test]
fn two_filters_of_1024_ids_fit_into_a_socket_of_old_kernels() {
    // The default of `net.core.optmem_max` before Linux 6.7. While a filter replaces another, both
    // occupy memory.
    const OPTMEM_MAX: u32 = 20_480;
    const SK_MEMINFO_OPTMEM: usize = 6;
    // Consecutive ids, and ids that are negative numbers to the kernel on little-endian hosts.
    for ids in [full(1..), full((0..).map(|n| n / 128 * 256 + 128 + n % 128))] {
        let (_, receiver) = Socket::pair(Domain::UNIX, Type::DGRAM, None).expect("two sockets");
        attach(&receiver, &ids);
        let used = getsockopt(&receiver, MemInfo).expect("a socket option")[SK_MEMINFO_OPTMEM];
        assert!(used > 1024 * 8, "{used} bytes cannot hold so many instructions");
        assert!(2 * used < OPTMEM_MAX, "{used} bytes");
    }
}
