//! Servers within the test: an HTTP/1.1 one that answers by a script, and a gRPC collector.
#![expect(clippy::disallowed_methods, reason = "fake servers are tasks of the test")]

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// What the script answers: status, further header lines, body.
pub(crate) type Reply = (u16, String, Vec<u8>);
pub(crate) type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

pub(crate) fn ok() -> Script {
    Arc::new(|_| (200, String::new(), Vec::new()))
}

/// An address where nobody listens.
pub(crate) async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Serves until the runtime ends; requests arrive at the receiver after they were answered.
pub(crate) async fn http(script: Script) -> (String, mpsc::Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (address, serve(listener, script))
}

/// The same on a given listener.
pub(crate) fn serve(listener: TcpListener, script: Script) -> mpsc::Receiver<Seen> {
    let (tell, seen) = mpsc::channel(1024);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(&script), tell.clone()));
        }
    });
    seen
}

pub(crate) async fn connection<S>(stream: S, script: Script, tell: mpsc::Sender<Seen>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.unwrap();
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut seen = Seen { line: line.trim_end().to_owned(), headers, body: Vec::new() };
        let length = seen.header("content-length").map_or(0, |n| n.parse().unwrap());
        seen.body.resize(length, 0);
        stream.read_exact(&mut seen.body).await.unwrap();
        let (status, more, body) = script(&seen);
        let head = format!("HTTP/1.1 {status} X\r\n{more}content-length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        let _ = stream.write_all(&body).await;
        let _ = stream.flush().await;
        let _ = tell.try_send(seen);
    }
}

/// What a gRPC collector got, with the request's `x-tenant` and `authorization`.
#[derive(Debug)]
pub(crate) enum Got {
    Traces(ExportTraceServiceRequest, Vec<String>),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

pub(crate) type Verdict = Arc<dyn Fn() -> Result<i64, Status> + Send + Sync>;

/// A collector; `traces` answers each trace request with the count of spans it rejects.
#[derive(Clone)]
pub(crate) struct Collector {
    tell: mpsc::Sender<Got>,
    traces: Verdict,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let header = |name: &str| {
            request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let headers = ["x-tenant", "authorization"].into_iter().filter_map(header).collect();
        let rejected_spans = (self.traces)()?;
        let _ = self.tell.try_send(Got::Traces(request.into_inner(), headers));
        let partial_success = (rejected_spans > 0)
            .then(|| ExportTracePartialSuccess { rejected_spans, error_message: "no".to_owned() });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let _ = self.tell.try_send(Got::Metrics(request.into_inner()));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let _ = self.tell.try_send(Got::Logs(request.into_inner()));
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

pub(crate) fn router(traces: Verdict) -> (tonic::transport::server::Router, mpsc::Receiver<Got>) {
    let (tell, got) = mpsc::channel(1024);
    let collector = Collector { tell, traces };
    let router = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector.clone()))
        .add_service(LogsServiceServer::new(collector));
    (router, got)
}

pub(crate) async fn collector(traces: Verdict) -> (String, mpsc::Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (router, got) = router(traces);
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(router.serve_with_incoming(incoming));
    (address, got)
}

/// All spans of a request.
pub(crate) fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}
