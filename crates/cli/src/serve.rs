//! `drift serve`: Flight SQL, plain Flight and gRPC on one port.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use clap::Args;
use drift_flight_server::ServerConfig;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    error::{Error, Result},
    place,
};

/// Serve a database to clients: Arrow Flight SQL, Arrow Flight and gRPC on one port.
///
/// SIGTERM and ctrl-c stop it gracefully: running calls finish, then the database is closed.
#[derive(Args)]
pub(crate) struct Serve {
    /// Directory (or URI) of the database; made when there is none.
    #[arg(value_name = "DIR", env = "DRIFT_DB", default_value = "drift-data")]
    db: String,
    /// Address and port; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:50051", value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Listen on an address others can reach, though nobody is asked for a password.
    #[arg(long)]
    insecure: bool,
}

impl Serve {
    pub async fn run(self) -> Result<()> {
        let config = ServerConfig { insecure: self.insecure, ..ServerConfig::new(self.listen) };
        let listener = drift_flight_server::bind(&config).await?;
        let address = listener.local_addr().map_err(|e| Error::io("the listening socket is broken", e))?;
        // Installed before anyone learns the address, so that no signal is missed.
        let stop = stop_signal()?;
        let db = place::open(&self.db).await?;
        // Whoever started us may close the pipe once it has read the address: no reason to stop.
        if let Err(e) = announce(address) {
            tracing::info!("not all of the greeting was read: {e}");
        }
        drift_flight_server::serve(db.clone(), listener, config, stop).await?;
        db.close().await?;
        Ok(())
    }
}

/// Resolves on SIGTERM or ctrl-c.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).map_err(|e| Error::io("cannot listen for signals", e));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Tells programs (the first line) and people (the rest) how to connect.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut near = address;
    if address.ip().is_unspecified() {
        near.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "listening on grpc://{address}")?;
    writeln!(
        out,
        r#"
connect with
  pyarrow  pyarrow.flight.connect("grpc://{near}")
  ADBC     adbc_driver_flightsql.dbapi.connect("grpc://{near}")
  JDBC     jdbc:arrow-flight-sql://{near}/?useEncryption=false
  shell    drift sql --host grpc://{near}

ctrl-c stops the server"#
    )?;
    // Whoever started us may wait for the address at the other end of a pipe.
    out.flush()
}
