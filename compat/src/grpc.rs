//! gRPC methods as routes among others: `tonic`'s server for one method, without a generated service around it.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::stream::Stream;
use prost::Message;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::server::Grpc;
use tonic_prost::ProstCodec;

/// Serves a method with one message in and many out. `answer` says at once what is wrong with the request.
pub(crate) async fn served<Q, M, S, E>(request: Request, answer: impl Fn(Q) -> Result<S, E> + Send + 'static) -> Response
where
    Q: Message + Default + Send + 'static,
    M: Message + Default + Send + 'static,
    S: Stream<Item = Result<M, Status>> + Send + 'static,
    E: Into<Status>,
{
    let service = tower::service_fn(move |request: tonic::Request<Q>| {
        let answer = answer(request.into_inner()).map(tonic::Response::new).map_err(Into::into);
        std::future::ready(answer)
    });
    server().server_streaming(service, request).await.map(Body::new)
}

/// Serves a method with one message in and one out.
pub(crate) async fn served_once<Q, M, F>(request: Request, answer: impl Fn(Q) -> F + Send + 'static) -> Response
where
    Q: Message + Default + Send + 'static,
    M: Message + Default + Send + 'static,
    F: Future<Output = Result<M, Status>> + Send + 'static,
{
    let service = tower::service_fn(move |request: tonic::Request<Q>| {
        let answer = answer(request.into_inner());
        async move { answer.await.map(tonic::Response::new) }
    });
    server().unary(service, request).await.map(Body::new)
}

fn server<Q, M>() -> Grpc<ProstCodec<M, Q>>
where
    Q: Message + Default + Send + 'static,
    M: Message + Default + Send + 'static,
{
    Grpc::new(ProstCodec::default())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
}
