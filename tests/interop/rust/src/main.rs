//! The rust-libp2p peer of the interop tests; its command line is in `tests/interop/README.md`.
//!
//! stdout carries one JSON object a line, stderr one line of text on failure.

mod args;
mod listen;
mod nat;
mod perf;
mod roads;

use std::{
    error::Error,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    identify,
    identity::Keypair,
    ping, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    Multiaddr, PeerId, Swarm, SwarmBuilder,
};
use serde_json::json;

use args::Args;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// rust-libp2p has no ping on demand: it pings every connection at this interval.
const PING_INTERVAL: Duration = Duration::from_millis(50);
/// An AutoNAT 2 server forgets a question after ten seconds: its dial has to end before.
const DIAL_BACK_LIMIT: Duration = Duration::from_secs(5);

#[derive(NetworkBehaviour)]
struct Node {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: libp2p_stream::Behaviour,
    nat: nat::Behaviour,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("peer (rust): {error}");
        std::process::exit(1);
    }
}

async fn run() -> Result<()> {
    let args = Args::parse(std::env::args().skip(1))?;
    let swarm = node(&args)?;
    match args.command.as_str() {
        "listen" => listen::listen(swarm, args).await,
        "ping" => ping(swarm, args).await,
        "identify" => identify(swarm, args).await,
        "perf" => perf(swarm, args).await,
        "streams" => streams(swarm, args).await,
        other => Err(format!("no command {other:?}: listen, ping, identify, perf, streams").into()),
    }
}

fn node(args: &Args) -> Result<Swarm<Node>> {
    let key = new_key(&args.key_type)?;
    let interval = match args.command.as_str() {
        "ping" => PING_INTERVAL,
        _ => Duration::from_secs(15),
    };
    let dial_limit = match args.nat.autonat {
        2 => DIAL_BACK_LIMIT,
        _ => Duration::from_secs(10),
    };
    let (circuits, relays) = relay::client::new(key.public().to_peer_id());
    Ok(SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_other_transport(|key| {
            roads::transport(key, &args.offer, circuits)
                .map_err(|e| -> Box<dyn Error + Send + Sync> { e.to_string().into() })
        })?
        .with_behaviour(|key| Node {
            identify: identify::Behaviour::new(identify::Config::new_with_signed_peer_record(
                "ipfs/0.1.0".into(),
                key,
            )),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(interval)),
            streams: libp2p_stream::Behaviour::new(),
            nat: nat::Behaviour::new(key.public().to_peer_id(), relays, &args.nat),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .with_connection_timeout(dial_limit)
        .build())
}

fn new_key(kind: &str) -> Result<Keypair> {
    Ok(match kind {
        "ed25519" => Keypair::generate_ed25519(),
        "secp256k1" => Keypair::generate_secp256k1(),
        "ecdsa" => Keypair::generate_ecdsa(),
        "rsa" => {
            use rsa::{pkcs8::EncodePrivateKey, rand_core::OsRng, RsaPrivateKey};
            let der = RsaPrivateKey::new(&mut OsRng, 2048)?.to_pkcs8_der()?;
            Keypair::rsa_from_pkcs8(&mut der.as_bytes().to_vec())?
        }
        other => return Err(format!("no key type {other:?}").into()),
    })
}

async fn ping(mut swarm: Swarm<Node>, args: Args) -> Result<()> {
    let start = Instant::now();
    let mut received = 0;
    let mut first_answer_ms = 0.0;
    let (addr, peer) = args.target()?;
    swarm.dial(addr)?;
    while received < args.count {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(NodeEvent::Ping(event)) => {
                if event.peer != peer {
                    continue; // the relay on the way there
                }
                event.result?;
                if received == 0 {
                    first_answer_ms = start.elapsed().as_secs_f64() * 1000.0;
                }
                received += 1;
            }
            event => fail_on_loss(event)?,
        }
    }
    println!(
        "{}",
        json!({"event": "summary", "local": swarm.local_peer_id().to_string(),
               "peer": peer.to_string(), "received": received, "first_answer_ms": first_answer_ms})
    );
    Ok(())
}

async fn identify(mut swarm: Swarm<Node>, args: Args) -> Result<()> {
    let (addr, peer) = args.target()?;
    swarm.dial(addr)?;
    let info = loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) if peer_id == peer => break info,
            SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Error {
                peer_id,
                error,
                ..
            })) if peer_id == peer => return Err(error.into()),
            event => fail_on_loss(event)?,
        }
    };
    let texts = |addrs: &[Multiaddr]| addrs.iter().map(Multiaddr::to_string).collect::<Vec<_>>();
    println!(
        "{}",
        json!({"event": "identify", "local": swarm.local_peer_id().to_string(),
               "peer": peer.to_string(), "agent": info.agent_version,
               "protocol_version": info.protocol_version,
               "protocols": info.protocols.iter().map(|p| p.to_string()).collect::<Vec<_>>(),
               "listen_addrs": texts(&info.listen_addrs),
               "observed_addr": info.observed_addr.to_string()})
    );
    Ok(())
}

/// Dials, and lets the swarm run by itself: for streams to that peer.
async fn connect(mut swarm: Swarm<Node>, args: &Args) -> Result<(PeerId, libp2p_stream::Control)> {
    let (addr, peer) = args.target()?;
    swarm.dial(addr)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == peer => break,
            event => fail_on_loss(event)?,
        }
    }
    let control = swarm.behaviour().streams.new_control();
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
    Ok((peer, control))
}

/// Asks so many questions of a byte at once, each on a stream of its own.
async fn streams(swarm: Swarm<Node>, args: Args) -> Result<()> {
    let local = *swarm.local_peer_id();
    let (peer, control) = connect(swarm, &args).await?;
    let asked = (0..args.count).map(|_| {
        let mut control = control.clone();
        async move { perf::run(&mut control, peer, 1, 1).await.map_err(|e| e.to_string()) }
    });
    let mut failed = 0;
    for result in futures::future::join_all(asked).await {
        if let Err(error) = result {
            failed += 1;
            eprintln!("a stream: {error}");
        }
    }
    println!(
        "{}",
        json!({"event": "streams", "local": local.to_string(), "count": args.count,
               "failed": failed})
    );
    Ok(())
}

async fn perf(swarm: Swarm<Node>, args: Args) -> Result<()> {
    let local = *swarm.local_peer_id();
    let (peer, mut control) = connect(swarm, &args).await?;
    for (direction, upload, download) in [("up", args.upload, 0), ("down", 0, args.download)] {
        if upload + download > 0 {
            let (bytes, seconds) = perf::run(&mut control, peer, upload, download).await?;
            println!(
                "{}",
                json!({"event": "perf", "local": local.to_string(), "direction": direction,
                       "bytes": bytes, "seconds": seconds})
            );
        }
    }
    Ok(())
}

/// The events that end a command which needs its one connection.
fn fail_on_loss(event: SwarmEvent<NodeEvent>) -> Result<()> {
    match event {
        SwarmEvent::OutgoingConnectionError { error, .. } => Err(error.into()),
        SwarmEvent::ConnectionClosed { cause, .. } => {
            Err(format!("connection closed: {cause:?}").into())
        }
        _ => Ok(()),
    }
}
