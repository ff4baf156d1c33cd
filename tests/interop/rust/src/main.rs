//! The rust-libp2p peer of the interop tests; its command line is in `tests/interop/README.md`.
//!
//! stdout carries one JSON object a line, stderr one line of text on failure.

mod perf;
mod roads;

use std::{
    error::Error,
    io::Read,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    Multiaddr, PeerId, Swarm, SwarmBuilder,
};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// rust-libp2p has no ping on demand: it pings every connection at this interval.
const PING_INTERVAL: Duration = Duration::from_millis(50);

#[derive(NetworkBehaviour)]
struct Node {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: libp2p_stream::Behaviour,
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
        "listen" => listen(swarm, args).await,
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
    Ok(SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_other_transport(|key| {
            roads::transport(key, &args.offer)
                .map_err(|e| -> Box<dyn Error + Send + Sync> { e.to_string().into() })
        })?
        .with_behaviour(|key| Node {
            identify: identify::Behaviour::new(identify::Config::new_with_signed_peer_record(
                "ipfs/0.1.0".into(),
                key,
            )),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(interval)),
            streams: libp2p_stream::Behaviour::new(),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
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

/// Listens, says so once every listener has its address, and serves until stdin ends.
async fn listen(mut swarm: Swarm<Node>, args: Args) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    tokio::spawn(perf::serve(swarm.behaviour().streams.new_control()));
    let mut listeners = Vec::new();
    for addr in &args.listen {
        listeners.push((swarm.listen_on(addr.clone())?, None));
    }
    let local = *swarm.local_peer_id();
    let mut announced = false;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                let full =
                    address.with_p2p(local).map_err(|a| format!("{a} has another peer id"))?;
                for (id, known) in &mut listeners {
                    if *id == listener_id && known.is_none() {
                        *known = Some(full.to_string());
                    }
                }
                let addrs: Vec<_> = listeners.iter().filter_map(|(_, addr)| addr.clone()).collect();
                if addrs.len() == listeners.len() && !announced {
                    announced = true;
                    println!(
                        "{}",
                        json!({"event": "listening", "peer": local.to_string(), "addrs": addrs})
                    );
                }
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => return Err(error.into()),
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                println!("{}", json!({"event": "connected", "peer": peer_id.to_string()}))
            }
            SwarmEvent::IncomingConnectionError { error, .. } => eprintln!("incoming: {error}"),
            _ => {}
        }
    }
}

async fn ping(mut swarm: Swarm<Node>, args: Args) -> Result<()> {
    let start = Instant::now();
    let mut received = 0;
    let mut first_answer_ms = 0.0;
    swarm.dial(args.target()?)?;
    while received < args.count {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(NodeEvent::Ping(event)) => {
                event.result?;
                if received == 0 {
                    first_answer_ms = start.elapsed().as_secs_f64() * 1000.0;
                }
                received += 1;
            }
            event => fail_on_loss(event)?,
        }
    }
    let peer = connected_peer(&swarm)?;
    println!(
        "{}",
        json!({"event": "summary", "local": swarm.local_peer_id().to_string(),
               "peer": peer.to_string(), "received": received, "first_answer_ms": first_answer_ms})
    );
    Ok(())
}

async fn identify(mut swarm: Swarm<Node>, args: Args) -> Result<()> {
    swarm.dial(args.target()?)?;
    let (peer, info) = loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => break (peer_id, info),
            SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Error {
                error, ..
            })) => return Err(error.into()),
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
async fn connect(
    mut swarm: Swarm<Node>,
    args: &Args,
) -> Result<(PeerId, libp2p_stream::Control)> {
    swarm.dial(args.target()?)?;
    let peer = loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => break peer_id,
            event => fail_on_loss(event)?,
        }
    };
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

fn connected_peer(swarm: &Swarm<Node>) -> Result<PeerId> {
    Ok(*swarm.connected_peers().next().ok_or("the connection was lost")?)
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

struct Args {
    command: String,
    addr: Option<Multiaddr>,
    listen: Vec<Multiaddr>,
    offer: roads::Offer,
    key_type: String,
    count: u64,
    upload: u64,
    download: u64,
}

impl Args {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Args> {
        let mut args = Args {
            command: words.next().ok_or("usage: peer listen|ping|identify|perf|streams ...")?,
            addr: None,
            listen: Vec::new(),
            offer: roads::Offer::default(),
            key_type: "ed25519".into(),
            count: 1,
            upload: 0,
            download: 0,
        };
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                args.addr = Some(word.parse()?);
                continue;
            }
            let value = words.next().ok_or(format!("{word} needs a value"))?;
            match word.as_str() {
                "--listen" => args.listen.push(value.parse()?),
                "--security" => args.offer.security = Some(value),
                "--muxer" => args.offer.muxer = Some(value),
                "--key-type" => args.key_type = value,
                "--psk" => args.offer.psk = Some(std::fs::read_to_string(value)?.parse()?),
                "--tls-cert" => args.offer.tls_cert = Some(value.into()),
                "--tls-key" => args.offer.tls_key = Some(value.into()),
                "--tls-ca" => args.offer.tls_ca = Some(value.into()),
                "-c" => args.count = value.parse()?,
                "--upload" => args.upload = value.parse()?,
                "--download" => args.download = value.parse()?,
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        Ok(args)
    }

    fn target(&self) -> Result<Multiaddr> {
        let addr = self.addr.clone().ok_or("an address is needed")?;
        if !addr.iter().any(|part| matches!(part, Protocol::P2p(_))) {
            return Err(format!("{addr} has no /p2p/ part").into());
        }
        Ok(addr)
    }
}
