//! A server of metrics on one thread, with limits for slow and for many clients.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::http::answer;
use crate::cli::cause::Cause;
use crate::cli::export::metrics::family::Family;
use crate::cli::shown::complain;

/// The longest time from the start of a connection to its end. Prometheus waits for 10 s by default.
const CONNECTION: Duration = Duration::from_secs(10);

/// The longest time to send the headers of a request.
const HEADERS: Duration = Duration::from_secs(5);

/// The number of connections at a time. Another one closes the oldest, so that clients which keep
/// connections open do not keep others out.
const CONNECTIONS: usize = 64;

/// The largest buffer of a request, in bytes. A request has no useful body.
const BUFFER: usize = 16 << 10;

/// The pause after a failure to accept, for example for lack of descriptors.
const RETRY: Duration = Duration::from_secs(1);

/// A server that is bound to its address.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address, with the port that the kernel chose if that was 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves these metrics on another thread while `work` runs. The thread has the privileges of the
    /// calling one.
    pub(crate) fn serve_during<T>(
        self,
        families: impl Fn() -> Vec<Family> + Sync,
        work: impl FnOnce() -> T,
    ) -> io::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(self.listener)?
        };
        let end = Notify::new();
        thread::scope(|scope| {
            let serving = thread::Builder::new().name("metrics".to_owned());
            serving.spawn_scoped(scope, || runtime.block_on(serve(&listener, &families, &end)))?;
            // Otherwise a panic of the work would leave the scope waiting.
            let _end = OnDrop(&end);
            Ok(work())
        })
    }
}

/// Ends the server when dropped.
struct OnDrop<'a>(&'a Notify);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A connection that is served when polled.
type Connection<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Accepts and serves connections until the end.
async fn serve(
    listener: &tokio::net::TcpListener,
    families: &impl Fn() -> Vec<Family>,
    end: &Notify,
) {
    let mut connections: Vec<Connection<'_>> = Vec::new();
    let mut accepting = Box::pin(accept(listener));
    let mut end = pin!(end.notified());
    poll_fn(|context| {
        if end.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        while let Poll::Ready(stream) = accepting.as_mut().poll(context) {
            accepting.set(accept(listener));
            connections.retain_mut(|connection| connection.as_mut().poll(context).is_pending());
            if connections.len() == CONNECTIONS {
                drop(connections.remove(0));
            }
            connections.push(Box::pin(serve_connection(stream, families)));
        }
        connections.retain_mut(|connection| connection.as_mut().poll(context).is_pending());
        Poll::Pending
    })
    .await;
}

async fn accept(listener: &tokio::net::TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                complain(format_args!("cannot accept a connection: {}", Cause(&error)));
                sleep(RETRY).await;
            }
        }
    }
}

/// Serves a request and closes the connection, so that no timer of an idle connection remains.
async fn serve_connection(stream: TcpStream, families: &impl Fn() -> Vec<Family>) {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(&request, families)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    // A client that violates the protocol or is too slow gets no answer, or only a part of it.
    let _ = timeout(CONNECTION, connection).await;
}
