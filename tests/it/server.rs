//! A server in this process, and clients of it.

use std::{net::SocketAddr, sync::Arc};

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray, cast::AsArray, types::Int64Type,
};
use arrow_flight::{FlightClient, FlightInfo, error::FlightError, sql::client::FlightSqlServiceClient};
use arrow_schema::{DataType, Field};
use datafusion::arrow::compute::concat_batches;
use drift_engine::{Database, Settings};
use drift_flight_server::{ServerConfig, bind, serve};
use futures::TryStreamExt;
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

/// A server on a free port, over a database in memory unless it is given another.
pub(crate) struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    /// A server without collections.
    pub async fn start() -> Self {
        Self::over(Database::open("memory://", Settings::default()).await.expect("a database in memory")).await
    }

    /// A server of `database`.
    pub async fn over(database: Database) -> Self {
        let config = ServerConfig::new(([127, 0, 0, 1], 0).into());
        let listener = bind(&config).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            serve(database, listener, config, async { stopped.await.unwrap_or_default() }).await.expect("served");
        });
        Self { address, stop, serving }
    }

    /// A server with the collection `docs`: three rows, (id, title, embedding of two values).
    pub async fn with_docs() -> Self {
        let server = Self::start().await;
        let mut client = server.sql().await;
        client.update("CREATE TABLE docs (id BIGINT PRIMARY KEY, title TEXT, embedding FLOAT[2])").await;
        let rows = "INSERT INTO docs VALUES (1, 'one', [0, 0]), (2, 'two', [1, 0]), (3, 'three', [2, 0])";
        assert_eq!(client.update(rows).await, 3);
        server
    }

    pub async fn channel(&self) -> Channel {
        Endpoint::new(format!("http://{}", self.address)).expect("an address").connect().await.expect("a connection")
    }

    pub async fn sql(&self) -> SqlClient {
        SqlClient(FlightSqlServiceClient::new(self.channel().await))
    }

    pub async fn plain(&self) -> FlightClient {
        FlightClient::new(self.channel().await)
    }

    pub async fn stop(self) {
        self.stop.send(()).expect("the server runs");
        self.serving.await.expect("a graceful end");
    }
}

/// A Flight SQL client that expects its statements to be sound.
pub(crate) struct SqlClient(pub FlightSqlServiceClient<Channel>);

impl SqlClient {
    pub async fn update(&mut self, sql: &str) -> i64 {
        self.0.execute_update(sql.into(), None).await.expect(sql)
    }

    pub async fn rows(&mut self, sql: &str) -> RecordBatch {
        let info = self.0.execute(sql.into(), None).await.expect(sql);
        self.fetch(info).await
    }

    /// The rows of `info`, which must have exactly the schema it announced.
    pub async fn fetch(&mut self, info: FlightInfo) -> RecordBatch {
        let announced = info.clone().try_decode_schema().expect("a schema");
        let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
        let stream = self.0.do_get(ticket).await.expect("rows");
        let batches: Vec<RecordBatch> = stream.try_collect().await.expect("rows");
        let rows = concat_batches(&Arc::new(announced.clone()), &batches).expect("one schema");
        for batch in batches {
            assert_eq!(*batch.schema(), announced);
        }
        rows
    }
}

/// Rows (id, title, embedding).
pub(crate) fn docs(ids: &[i64], vectors: &[f32]) -> RecordBatch {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let size = (vectors.len() / ids.len()) as i32;
    let vectors = FixedSizeListArray::new(item, size, Arc::new(Float32Array::from(vectors.to_vec())), None);
    let titles = StringArray::from_iter_values(ids.iter().map(|id| format!("title {id}")));
    let ids = Int64Array::from(ids.to_vec());
    let columns: [(&str, ArrayRef); 3] =
        [("id", Arc::new(ids)), ("title", Arc::new(titles)), ("embedding", Arc::new(vectors))];
    RecordBatch::try_from_iter(columns).expect("three columns")
}

/// The first column.
pub(crate) fn ids(rows: &RecordBatch) -> Vec<i64> {
    rows.column(0).as_primitive::<Int64Type>().values().to_vec()
}

/// What a client was told.
pub(crate) fn code(error: FlightError) -> Code {
    match error {
        FlightError::Tonic(status) => status.code(),
        other => panic!("no status: {other}"),
    }
}
