//! One request to a collector, by gRPC or by HTTP, and what its answer means (OTLP 1.x,
//! "Failures" and "Partial Success").

use crate::config::{ConfigError, OtlpConfig, Protocol};
use crate::otlp::queue::Signal;
use core::time::Duration;
use feedpulse_core::label::Label;
use feedpulse_http::header::{CONTENT_TYPE, HeaderMap};
use feedpulse_http::tls::Secure;
use feedpulse_http::{Client, Method, Proxy, Url};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};

/// What goes out in one request.
#[derive(Debug)]
pub(crate) enum Payload {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

/// Why a request failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SendError {
    pub(crate) class: Label,
    /// Whether the same request may work later.
    pub(crate) retry: bool,
    /// The server's own wish.
    pub(crate) after: Option<Duration>,
}

/// A checked way to a collector; becomes a [`Transport`] on the runtime that uses it.
#[derive(Debug)]
pub(crate) enum Way {
    Grpc {
        endpoint: Box<Endpoint>,
        tls: Option<Secure>,
        proxy: Option<Proxy>,
        headers: HeaderMap,
        timeout: Duration,
    },
    Http {
        client: Client,
        url: Url,
    },
}

impl Way {
    /// Checks the configuration of one signal's way.
    pub(crate) fn new(config: &OtlpConfig, signal: Signal) -> Result<Self, ConfigError> {
        match config.protocol {
            Protocol::Grpc => Self::grpc(config),
            Protocol::HttpProtobuf => Self::http(config, signal),
        }
    }

    fn http(config: &OtlpConfig, signal: Signal) -> Result<Self, ConfigError> {
        let example = "http://collector:4318";
        let mut url = config.target.address("otlp", example)?;
        let base = url.path().trim_end_matches('/').to_owned();
        if base.ends_with("/v1/traces") || url.query().is_some() || url.fragment().is_some() {
            let what = "must be the base address; /v1/traces and so on are appended";
            return Err(ConfigError::address("otlp", what, example));
        }
        url.set_path(&format!("{base}/v1/{}", signal.name()));
        Ok(Self::Http { client: config.target.client("otlp", &url)?, url })
    }

    fn grpc(config: &OtlpConfig) -> Result<Self, ConfigError> {
        let example = "http://collector:4317";
        let fail = |what: &str| ConfigError::address("otlp", what, example);
        let url = config.target.address("otlp", example)?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(fail("has a path, but gRPC has none (or set the protocol to http)"));
        }
        let host = url.host_str().ok_or_else(|| fail("has no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| fail("has no port"))?;
        let https = url.scheme() == "https";
        // Tonic would take its TLS provider from the process; our connector does TLS itself, so
        // tonic must believe in plain text while the request still says https.
        let endpoint = Endpoint::from_shared(format!("http://{host}:{port}"))
            .map_err(|_| fail("cannot be used for gRPC"))?;
        let origin: Uri = format!("{}://{host}:{port}", url.scheme())
            .parse()
            .map_err(|_| fail("cannot be used for gRPC"))?;
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let tls = config.target.secure("otlp", name, &[b"h2"], https)?;
        if https && tls.is_none() {
            return Err(fail("has no valid host name"));
        }
        let tls = tls.filter(|_| https);
        let endpoint = endpoint
            .origin(origin)
            .connect_timeout(config.target.timeout)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10))
            .user_agent(concat!("feedpulse/", env!("CARGO_PKG_VERSION")))
            .map_err(|_| fail("cannot be used for gRPC"))?;
        let headers = config.target.headers("otlp")?;
        Ok(Self::Grpc {
            endpoint: Box::new(endpoint),
            tls,
            proxy: config.target.proxy("otlp")?,
            headers,
            timeout: config.target.timeout,
        })
    }

    /// Opens nothing yet: the connection is made by the first request and again after each loss.
    /// Must be called on a tokio runtime.
    pub(crate) fn open(self) -> Transport {
        match self {
            Self::Http { client, url } => Transport::Http { client, url },
            Self::Grpc { endpoint, tls, proxy, headers, timeout } => {
                let channel =
                    endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: Uri| {
                        connect(uri, tls.clone(), proxy.clone())
                    }));
                Transport::Grpc { channel, headers: MetadataMap::from_headers(headers), timeout }
            }
        }
    }
}

/// What a gRPC connection runs over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(
    uri: Uri,
    tls: Option<Secure>,
    proxy: Option<Proxy>,
) -> io::Result<TokioIo<Box<dyn Stream>>> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let tcp = feedpulse_http::connect(proxy.as_ref(), host, uri.port_u16().unwrap_or(80)).await?;
    let Some(tls) = tls else {
        return Ok(TokioIo::new(Box::new(tcp)));
    };
    Ok(TokioIo::new(Box::new(tls.connect(tcp).await?)))
}

/// An open way.
#[derive(Debug)]
pub(crate) enum Transport {
    Grpc { channel: Channel, headers: MetadataMap, timeout: Duration },
    Http { client: Client, url: Url },
}

impl Transport {
    /// One attempt: how many items the collector did not take.
    pub(crate) async fn send(&self, payload: &Payload) -> Result<u64, SendError> {
        match self {
            Self::Grpc { channel, headers, timeout } => {
                let sending = send_grpc(channel.clone(), headers, payload);
                match tokio::time::timeout(*timeout, sending).await {
                    Ok(result) => result.map_err(|status| grpc_error(&status)),
                    Err(_) => {
                        Err(SendError { class: Label::from("timeout"), retry: true, after: None })
                    }
                }
            }
            Self::Http { client, url } => send_http(client, url, payload).await,
        }
    }
}

async fn send_grpc(
    channel: Channel,
    headers: &MetadataMap,
    payload: &Payload,
) -> Result<u64, Status> {
    fn request<T>(headers: &MetadataMap, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = headers.clone();
        request
    }
    let rejected = match payload {
        Payload::Traces(message) => TraceServiceClient::new(channel)
            .export(request(headers, message.clone()))
            .await?
            .into_inner()
            .partial_success
            .map(|partial| partial.rejected_spans),
        Payload::Metrics(message) => MetricsServiceClient::new(channel)
            .export(request(headers, message.clone()))
            .await?
            .into_inner()
            .partial_success
            .map(|partial| partial.rejected_data_points),
        Payload::Logs(message) => LogsServiceClient::new(channel)
            .export(request(headers, message.clone()))
            .await?
            .into_inner()
            .partial_success
            .map(|partial| partial.rejected_log_records),
    };
    Ok(count(rejected))
}

fn count(rejected: Option<i64>) -> u64 {
    u64::try_from(rejected.unwrap_or(0)).unwrap_or(0)
}

/// Which gRPC failures may be tried again (OTLP, "OTLP/gRPC Response").
fn grpc_error(status: &Status) -> SendError {
    let transport = core::error::Error::source(status).is_some();
    let retry = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        // Only when the server says when to come back; that is the one detail it would send.
        Code::ResourceExhausted => !status.details().is_empty(),
        // No answer at all: the connection failed below gRPC.
        Code::Unknown => transport,
        _ => false,
    };
    let class = if transport {
        feedpulse_http::class(status)
    } else {
        Label::from(format!("grpc-{}", status.code() as i32).as_str())
    };
    SendError { class, retry, after: None }
}

async fn send_http(client: &Client, url: &Url, payload: &Payload) -> Result<u64, SendError> {
    let body = match payload {
        Payload::Traces(message) => message.encode_to_vec(),
        Payload::Metrics(message) => message.encode_to_vec(),
        Payload::Logs(message) => message.encode_to_vec(),
    };
    let kind = [(CONTENT_TYPE, "application/x-protobuf".to_owned())];
    let answer = client
        .send(Method::POST, url.clone(), &kind, body)
        .await
        .map_err(|class| SendError { class, retry: true, after: None })?;
    if !answer.status.is_success() {
        return Err(SendError {
            class: feedpulse_http::status_class(answer.status),
            retry: matches!(answer.status.as_u16(), 429 | 502 | 503 | 504),
            after: answer.retry_after,
        });
    }
    // Some collectors answer 200 with an empty or a JSON body: that is a full success.
    let body = answer.body.as_slice();
    Ok(count(match payload {
        Payload::Traces(_) => ExportTraceServiceResponse::decode(body)
            .ok()
            .and_then(|r| r.partial_success)
            .map(|partial| partial.rejected_spans),
        Payload::Metrics(_) => ExportMetricsServiceResponse::decode(body)
            .ok()
            .and_then(|r| r.partial_success)
            .map(|partial| partial.rejected_data_points),
        Payload::Logs(_) => ExportLogsServiceResponse::decode(body)
            .ok()
            .and_then(|r| r.partial_success)
            .map(|partial| partial.rejected_log_records),
    }))
}
