//! A panic becomes the answer of its own call.
//!
//! Left alone it ends the task that answers: the client reads CANCELLED, as if it had cancelled the
//! call itself, and other streams of its connection may end with it.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::FutureExt;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{
    Status,
    body::Body,
    codegen::{
        BoxFuture, Service,
        http::{HeaderMap, Request, Response, Uri},
    },
};
use tower_layer::Layer;

/// Puts a [`PanicCatcher`] around a service.
#[derive(Clone, Copy)]
pub(crate) struct CatchPanics;

impl<S> Layer<S> for CatchPanics {
    type Service = PanicCatcher<S>;

    fn layer(&self, service: S) -> Self::Service {
        PanicCatcher(service)
    }
}

/// Answers INTERNAL when the service panics, in its call or while its answer streams. What the
/// services share stays sound when one of them stops half-way: they take poisoned locks as they are.
#[derive(Clone)]
pub(crate) struct PanicCatcher<S>(S);

impl<S> Service<Request<Body>> for PanicCatcher<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Response<Body>, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.uri().clone();
        let call = catch_unwind(AssertUnwindSafe(|| self.0.call(request)));
        Box::pin(async move {
            let answer = match call {
                Ok(call) => AssertUnwindSafe(call).catch_unwind().await,
                Err(panic) => Err(panic),
            };
            match answer {
                Ok(answer) => Ok(answer?.map(|body| Body::new(CaughtBody { body: Some(body), method }))),
                Err(panic) => Ok(fault(&method, panic.as_ref()).into_http()),
            }
        })
    }
}

/// An answer whose panic is its last frame.
struct CaughtBody {
    /// Gone after a panic: nobody knows in which state it is.
    body: Option<Body>,
    method: Uri,
}

impl HttpBody for CaughtBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let panic = match catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx))) {
            Ok(frame) => return frame,
            Err(panic) => panic,
        };
        self.body = None;
        let mut trailers = HeaderMap::new();
        let added = fault(&self.method, panic.as_ref()).add_header(&mut trailers);
        Poll::Ready(Some(added.map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

/// Logs a panic; what the client is told.
fn fault(method: &Uri, panic: &(dyn Any + Send)) -> Status {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    tracing::error!("{} panicked: {text}", method.path());
    Status::internal("a fault of the server, not of the request: its log says more")
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use tokio::{net::TcpListener, time::timeout};
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{
        Code, Streaming,
        client::Grpc,
        codegen::http::uri::PathAndQuery,
        server::NamedService,
        transport::{Channel, Endpoint, Server},
    };
    use tonic_prost::ProstCodec;

    use super::*;

    /// Panics as the name of the method says.
    #[derive(Clone)]
    struct Panicking;

    impl NamedService for Panicking {
        const NAME: &'static str = "panic";
    }

    impl Service<Request<Body>> for Panicking {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<Response<Body>, Infallible>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let method = request.uri().path().to_owned();
            assert!(method != "/panic/at_once", "at once");
            Box::pin(async move {
                assert!(method != "/panic/later", "later");
                let mut response = Response::new(Body::new(Frames { sent: 0, panics: method == "/panic/in_stream" }));
                response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
                Ok(response)
            })
        }
    }

    /// Two empty messages; then a panic, or nothing for ever.
    struct Frames {
        sent: usize,
        panics: bool,
    }

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.sent += 1;
            match (self.sent, self.panics) {
                (1 | 2, _) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 5]))))),
                (_, true) => panic!("{} messages were sent", self.sent),
                (_, false) => Poll::Pending,
            }
        }
    }

    async fn call(channel: &Channel, method: &'static str) -> Result<Streaming<()>, Status> {
        let mut client = Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let request = tonic::Request::new(tokio_stream::once(()));
        let codec = ProstCodec::<(), ()>::default();
        client.streaming(request, PathAndQuery::from_static(method), codec).await.map(tonic::Response::into_inner)
    }

    fn assert_is_fault(status: Status) {
        assert_eq!(status.code(), Code::Internal, "{status}");
        assert!(status.message().contains("a fault of the server"), "{status}");
    }

    #[tokio::test]
    async fn a_panic_is_the_answer_of_its_call_and_stays_with_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().layer(CatchPanics).add_service(Panicking);
        let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let channel = Endpoint::new(format!("http://{address}")).unwrap().connect().await.unwrap();

        let mut open = call(&channel, "/panic/never").await.unwrap();
        open.message().await.unwrap().unwrap();
        for method in ["/panic/at_once", "/panic/later"] {
            assert_is_fault(call(&channel, method).await.unwrap_err());
        }
        let mut rows = call(&channel, "/panic/in_stream").await.unwrap();
        for _ in 0..2 {
            rows.message().await.unwrap().unwrap();
        }
        assert_is_fault(rows.message().await.unwrap_err());

        open.message().await.unwrap().unwrap();
        timeout(Duration::from_millis(50), open.message()).await.expect_err("the other stream has not ended");
        serving.abort();
    }
}
