//! A stand-in of the server that hands out Lambda's calls to a function, and takes its answers: the runtime API, version
//! 2018-06-01 (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

use crate::support::{Done, Program};

/// How a call ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Response(Value),
    Error(Value),
}

impl Answer {
    /// The sequence numbers of a response.
    pub(crate) fn failures(&self) -> Vec<String> {
        let Self::Response(value) = self else { panic!("{self:?}") };
        assert_eq!(value.as_object().unwrap().len(), 1, "{value}");
        let failures = value["batchItemFailures"].as_array().unwrap().iter();
        failures.map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
    }
}

struct Call {
    id: String,
    event: String,
    deadline: SystemTime,
}

struct Shared {
    calls: Mutex<mpsc::UnboundedReceiver<Call>>,
    answers: mpsc::UnboundedSender<(String, Answer)>,
}

/// A function that runs: the program, called by the stand-in.
pub(crate) struct Function {
    program: Program,
    calls: mpsc::UnboundedSender<Call>,
    answers: mpsc::UnboundedReceiver<(String, Answer)>,
    count: usize,
}

impl Function {
    /// Starts `kinesis-forwarder lambda` with these arguments and variables.
    pub(crate) async fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_as([&["lambda"], args].concat(), variables).await
    }

    /// Starts the program as Lambda does: without arguments.
    pub(crate) async fn start_bare(variables: &[(&str, &str)]) -> Self {
        Self::start_as(Vec::new(), variables).await
    }

    async fn start_as(args: Vec<&str>, variables: &[(&str, &str)]) -> Self {
        let (calls, waiting) = mpsc::unbounded_channel();
        let (send, answers) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { calls: Mutex::new(waiting), answers: send });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(cannot_start))
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let own = [
            ("AWS_LAMBDA_RUNTIME_API", &*address),
            ("AWS_LAMBDA_FUNCTION_NAME", "forwarder"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ];
        let program = Program::start_with(args, own.into_iter().chain(variables.iter().copied()));
        Self { program, calls, answers, count: 0 }
    }

    /// Calls it with an event; it has `time` to answer, and must have done so by then.
    pub(crate) async fn call(&mut self, event: impl Into<String>, time: Duration) -> Answer {
        self.count += 1;
        let id = format!("call-{}", self.count);
        let deadline = kinesis_core::wall_clock::now() + time;
        self.calls.send(Call { id: id.clone(), event: event.into(), deadline }).unwrap();
        let answer = tokio::time::timeout(time, self.answers.recv()).await;
        let (answered, answer) = answer.expect("it answers before its time is up").unwrap();
        assert_eq!(answered, id);
        answer
    }

    /// Waits for the end of one that cannot start: what it said, the kind of error that it reported, and the report.
    pub(crate) async fn cannot_start(mut self) -> (Done, String, Value) {
        let done = self.program.end().await;
        let (kind, answer) = self.answers.try_recv().expect("it reports before it ends");
        let Answer::Error(report) = answer else { panic!("{answer:?}") };
        assert!(self.answers.try_recv().is_err(), "it reports once");
        (done, kind, report)
    }

    /// Ends it; returns what it said.
    pub(crate) async fn end(self) -> Done {
        self.program.kill().await
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let Some(Call { id, event, deadline }) = shared.calls.lock().await.recv().await else {
        return std::future::pending().await;
    };
    let millis = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().to_string();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", millis),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:forwarder".to_owned()),
    ];
    (headers, event)
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    take(&shared, id, Answer::Response(serde_json::from_slice(&body).unwrap()))
}

async fn error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    take(&shared, id, Answer::Error(serde_json::from_slice(&body).unwrap()))
}

async fn cannot_start(State(shared): State<Arc<Shared>>, head: HeaderMap, body: Bytes) -> StatusCode {
    let kind = head["lambda-runtime-function-error-type"].to_str().unwrap().to_owned();
    take(&shared, kind, Answer::Error(serde_json::from_slice(&body).unwrap()))
}

fn take(shared: &Shared, id: String, answer: Answer) -> StatusCode {
    let _ = shared.answers.send((id, answer));
    StatusCode::ACCEPTED
}
