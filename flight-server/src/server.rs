//! The port: Flight, gRPC, health and reflection behind one listener.

use std::{net::SocketAddr, time::Duration};

use arrow_flight::flight_service_server::FlightServiceServer;
use drift_engine::Database;
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{codec::CompressionEncoding, transport::Server};

use crate::{
    Error, Result, connection::Connection, flight::Flight, grpc::DriftService, panics::CatchPanics,
    proto::drift_server::DriftServer,
};

/// The files that `proto/drift.proto` was compiled from, for clients that ask by reflection.
const DESCRIPTION: &[u8] = include_bytes!("gen/drift.v1.bin");

/// How often a connection on which nothing happens is asked whether its client is there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Listen on an address that others can reach, though nobody is asked who they are.
    pub insecure: bool,
    /// The largest message taken from a client, in bytes.
    pub message_bytes_max: usize,
    /// How long running calls may go on after the shutdown began.
    pub grace: Duration,
}

impl ServerConfig {
    /// The defaults: loopback only, messages up to 64 MiB, 10 s of grace.
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, insecure: false, message_bytes_max: 64 << 20, grace: Duration::from_secs(10) }
    }

    fn admit(&self, address: SocketAddr) -> Result<()> {
        if self.insecure || address.ip().is_loopback() { Ok(()) } else { Err(Error::NotLoopback(address)) }
    }
}

/// Opens the listener that [`serve`] takes.
///
/// # Errors
/// When the address is no loopback address and `insecure` is not set, or is taken.
pub async fn bind(config: &ServerConfig) -> Result<TcpListener> {
    config.admit(config.listen)?;
    TcpListener::bind(config.listen).await.map_err(|e| Error::Listen(config.listen, e))
}

/// Serves `db` until `shutdown` resolves and the running calls are done, or their grace is over.
///
/// The database stays open: closing it is up to the caller, who opened it.
///
/// # Errors
/// When `listener` is no loopback address and `insecure` is not set, or the transport fails.
pub async fn serve(
    db: Database,
    listener: TcpListener,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    config.admit(listener.local_addr()?)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<DriftServer<DriftService>>().await;
    health.set_serving::<FlightServiceServer<Flight>>().await;

    let flight = FlightServiceServer::new(Flight::new(db.clone()))
        .max_decoding_message_size(config.message_bytes_max)
        .accept_compressed(CompressionEncoding::Gzip);
    let drift = DriftServer::new(DriftService::new(db))
        .max_decoding_message_size(config.message_bytes_max)
        .accept_compressed(CompressionEncoding::Gzip);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTION)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let connections = TcpListenerStream::new(listener).map(|stream| stream.and_then(Connection::new));

    let (began, begun) = tokio::sync::oneshot::channel();
    let serving = Server::builder()
        // A client whose machine is gone must not hold what it began.
        .http2_keepalive_interval(Some(KEEPALIVE))
        .layer(CatchPanics)
        .add_service(health_service)
        // Python's and older clients ask by v1alpha.
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(flight)
        .add_service(drift)
        .serve_with_incoming_shutdown(connections, async move {
            shutdown.await;
            health.set_not_serving::<DriftServer<DriftService>>().await;
            health.set_not_serving::<FlightServiceServer<Flight>>().await;
            // The other half is gone only when serving has ended already.
            began.send(()).ok();
        });
    // A stream that its client keeps open for ever must not keep the server up for ever.
    let overdue = async {
        if begun.await.is_ok() {
            tokio::time::sleep(config.grace).await;
        } else {
            std::future::pending().await
        }
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = overdue => {
            tracing::warn!("calls were still running {:?} after the shutdown began: cut off", config.grace);
            Ok(())
        }
    }
}
