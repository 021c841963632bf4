//! What a record costs through `KinesisSource`, polled and pushed, beside the plain loop over the SDK; and through a whole
//! pipeline whose sink does nothing.
//!
//! The server is this program again, started with an argument, so that its work is not on our processor account. Its answers
//! are encoded before the first round. Rounds alternate, and medians are compared, because a machine drifts.

mod clients;
mod encode;
mod server;

use kinesis_aws::WireFormat;
use kinesis_tests::measure::{Rounds, goal_at_most, round};

use clients::{Clients, Way};

const ROUNDS: usize = 7;

/// A stream of the server: what its records have, and how many come how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Its name.
    pub(crate) stream: &'static str,
    /// Bytes of a payload.
    pub(crate) bytes: usize,
    /// Records of an answer, and of an event.
    pub(crate) per_call: usize,
    pub(crate) per_event: usize,
    /// Answers until the shard ends.
    pub(crate) calls: usize,
}

impl Load {
    /// Records of a round.
    pub(crate) const fn records(&self) -> usize {
        self.per_call * self.calls
    }
}

/// Answers of about 10 MiB or 10,000 records, the service's limits; events of about 1 MB.
pub(crate) const LOADS: [Load; 3] = [
    Load { stream: "b200", bytes: 200, per_call: 10_000, per_event: 2_500, calls: 30 },
    Load { stream: "b1024", bytes: 1024, per_call: 8_000, per_event: 800, calls: 12 },
    Load { stream: "b10240", bytes: 10 * 1024, per_call: 900, per_event: 90, calls: 12 },
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::args().any(|argument| argument == server::SERVE) {
        return server::serve().await;
    }
    let (endpoint, _server) = server::start().await;
    let clients = Clients::new(&endpoint);
    for load in LOADS {
        measure(&clients, load).await;
    }
}

/// Every way in turn, again and again.
async fn measure(clients: &Clients, load: Load) {
    use WireFormat::{Cbor, Json};
    let ways = [
        ("plain loop over the SDK", Way::PlainLoop),
        ("KinesisSource, JSON", Way::Source(Json, true)),
        ("KinesisSource, CBOR", Way::Source(Cbor, true)),
        ("KinesisSource, fast read off", Way::Source(Json, false)),
        ("a pipeline that does nothing", Way::Pipeline),
        ("plain loop over the SDK's events", Way::PlainEvents),
        ("KinesisSource, fan-out", Way::Pushed),
    ];
    let mut rounds: Vec<Rounds> = ways.iter().map(|_| Rounds::of(load.records())).collect();
    for nth in 0..=ROUNDS {
        for ((_, way), rounds) in ways.iter().zip(&mut rounds) {
            let measured = round(clients.read(load, *way)).await;
            // The first round warms up, and has the server encode.
            if nth > 0 {
                rounds.push(measured);
            }
        }
    }
    println!("{} bytes, {} records a call, {} a round, {ROUNDS} rounds", load.bytes, load.per_call, load.records());
    for ((name, _), rounds) in ways.iter().zip(&rounds) {
        println!("{name:<33}{rounds}");
    }
    let goal = |name: &str, way: usize, beside: usize, most: f64| {
        goal_at_most(&format!("{name}-{}", load.bytes), rounds[way].cpu_micros() / rounds[beside].cpu_micros(), most);
    };
    goal("aws-json", 1, 0, 0.55);
    goal("aws-cbor", 2, 0, 0.45);
    goal("aws-plain", 3, 0, 1.05);
    goal("aws-pipeline", 4, 0, 0.75);
    goal("aws-fan-out", 6, 5, 0.6);
}
