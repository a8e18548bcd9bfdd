//! Asynchronous receives on both runtimes.

mod common;

use std::collections::HashMap;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use common::load::threads;
use common::{builder, named, open_live};
use futures_lite::{StreamExt, future};
use proc_connector::{AsyncConnector, Error, OwnedReceived, Payload, Readiness, Received};

fn main() -> ExitCode {
    let tests = named![
        a_stream_reports_each_exit_once,
        cancelled_receives_and_dropped_batches_lose_nothing,
        a_loss_is_reported_and_the_stream_continues,
        a_handle_ends_an_awaited_receive,
        a_rest_period_outlasts_events_but_not_a_shutdown,
    ];
    common::main(&[], &tests)
}

/// Runs a test on tokio and on async-io.
macro_rules! on_each_runtime {
    ($connector:expr, $test:ident) => {
        on_tokio(async { $test(&mut $connector.into_tokio().expect("I/O is enabled")).await });
        future::block_on(async { $test(&mut $connector.into_async_io().expect("a fd")).await });
    };
}

fn on_tokio<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.expect("a runtime").block_on(test)
}

fn a_stream_reports_each_exit_once() {
    async fn test<R: Readiness + Unpin>(events: &mut AsyncConnector<R>) {
        let mut exits = Exits::new(threads(300));
        while exits.are_missing() {
            let received = events.next().await.expect("a stream without an end");
            if let Some(pid) = exited(received.expect("an item").as_received()) {
                exits.count(pid);
            }
        }
        exits.assert_once_each();
    }
    on_each_runtime!(open_live(), test);
}

fn cancelled_receives_and_dropped_batches_lose_nothing() {
    async fn test<R: Readiness + Unpin>(events: &mut AsyncConnector<R>) {
        let load = std::thread::spawn(|| threads(300));
        // During the load, every other receive is dropped, whether it waits or not.
        let mut seen = Vec::new();
        while !load.is_finished() {
            drop(future::poll_once(events.recv_batch()).await);
            if let Some(batch) = future::poll_once(events.recv_batch()).await {
                seen.extend(batch.expect("a batch").filter_map(exited).take(1));
            }
        }
        let mut exits = Exits::new(load.join().expect("a list of threads"));
        for pid in seen {
            exits.count(pid);
        }
        while exits.are_missing() {
            let batch = events.recv_batch().await.expect("a batch");
            batch.take(3).filter_map(exited).for_each(|pid| exits.count(pid));
        }
        exits.assert_once_each();
    }
    on_each_runtime!(open_live(), test);
}

fn a_loss_is_reported_and_the_stream_continues() {
    async fn test<R: Readiness + Unpin>(events: &mut AsyncConnector<R>) {
        threads(1000);
        let mut missing = 0;
        while missing == 0 {
            let received = events.next().await.expect("a stream without an end");
            if let OwnedReceived::Lost(lost) = received.expect("an item") {
                missing += lost.count.expect("a count");
            }
        }
        assert_eq!(events.get_ref().stats().lost, missing);
        let mut exits = Exits::new(threads(1));
        while exits.are_missing() {
            let received = events.next().await.expect("a stream without an end").expect("an item");
            let OwnedReceived::Event(event) = received else { continue };
            if let Some(pid) = exited(Received::Event(event.as_event())) {
                exits.count(pid);
            }
        }
    }
    on_each_runtime!(builder().receive_buffer_events(100).open().expect("a live connector"), test);
}

fn a_handle_ends_an_awaited_receive() {
    async fn test<R: Readiness + Unpin>(events: &mut AsyncConnector<R>) {
        let shutdown = events.get_ref().shutdown_handle();
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            shutdown.shutdown().expect("an eventfd");
        });
        // Other processes of the machine may continue to cause events.
        while let Some(received) = events.next().await {
            let received = received.expect("an item");
            assert!(matches!(received, OwnedReceived::Event(_)), "no loss: {received:?}");
        }
        assert!(matches!(events.recv_batch().await, Err(Error::Shutdown)));
        stopper.join().expect("a raised eventfd");
    }
    on_each_runtime!(open_live(), test);
}

fn a_rest_period_outlasts_events_but_not_a_shutdown() {
    async fn test<R: Readiness + Unpin>(events: &mut AsyncConnector<R>) {
        let mut exits = Exits::new(threads(1));
        while exits.are_missing() {
            events.recv_batch().await.expect("a batch").filter_map(exited).for_each(|pid| {
                exits.count(pid);
            });
        }
        // During the rest period, events are not delivered and cause no wake-up.
        let wake_ups = events.get_ref().stats().wake_ups;
        assert!(future::poll_once(events.recv_batch()).await.is_none());
        threads(10);
        assert!(future::poll_once(events.recv_batch()).await.is_none());
        assert_eq!(events.get_ref().stats().wake_ups, wake_ups);
        events.get_ref().shutdown_handle().shutdown().expect("an eventfd");
        assert!(matches!(events.recv_batch().await, Err(Error::Shutdown)));
    }
    // An hour, unless the buffer fills up, which takes minutes with these events.
    let open = || {
        let builder = builder().receive_buffer_events(1 << 19).coalesce(Duration::from_secs(3600));
        builder.open().expect("a live connector")
    };
    on_each_runtime!(open(), test);
}

fn exited(received: Received<'_>) -> Option<u32> {
    let Received::Event(event) = received else { panic!("{received:?}") };
    match event.payload() {
        Payload::Exit(exit) => Some(exit.process_pid()),
        _ => None,
    }
}

/// The number of reported exits of each thread.
struct Exits(HashMap<u32, usize>);

impl Exits {
    fn new(threads: Vec<u32>) -> Self {
        Self(threads.into_iter().map(|thread| (thread, 0)).collect())
    }

    fn count(&mut self, thread: u32) {
        if let Some(count) = self.0.get_mut(&thread) {
            *count += 1;
        }
    }

    fn are_missing(&self) -> bool {
        self.0.values().any(|&count| count == 0)
    }

    fn assert_once_each(&self) {
        assert!(self.0.values().all(|&count| count == 1), "{:?}", self.0);
    }
}
