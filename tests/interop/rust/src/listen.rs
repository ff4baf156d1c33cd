//! `peer listen`: listens, keeps a place at a relay, connects where it is told to, and serves until
//! stdin ends.

use std::{collections::BTreeSet, io::Read};

use futures::StreamExt;
use libp2p::{
    core::ConnectedPoint,
    identify,
    multiaddr::Protocol,
    swarm::{
        dial_opts::{DialOpts, PeerCondition},
        SwarmEvent,
    },
    Multiaddr, Swarm,
};
use serde_json::json;

use crate::{args, nat, perf, Args, Node, NodeEvent, Result};

/// A node that says what happens to it.
struct Server {
    swarm: Swarm<Node>,
    args: Args,
    /// Where it is, or may be.
    seen: BTreeSet<Multiaddr>,
}

pub async fn listen(swarm: Swarm<Node>, args: Args) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    tokio::spawn(perf::serve(swarm.behaviour().streams.new_control()));
    let mut server = Server { swarm, args, seen: BTreeSet::new() };
    let local = *server.swarm.local_peer_id();
    let listen = std::mem::take(&mut server.args.listen);
    let mut addrs = server.listen_on(&listen).await?;
    if let Some(relay) = server.args.relay.clone() {
        let circuit = relay.with(Protocol::P2pCircuit);
        server.listen_on(std::slice::from_ref(&circuit)).await?;
        addrs.insert(0, circuit.with(Protocol::P2p(local)).to_string());
    }
    println!("{}", json!({"event": "listening", "peer": local.to_string(), "addrs": addrs}));
    for addr in std::mem::take(&mut server.args.connect) {
        server.connect(addr).await?;
    }
    server.until(|_| None::<()>).await
}

impl Server {
    /// Listens there; the first address of each listener.
    async fn listen_on(&mut self, wanted: &[Multiaddr]) -> Result<Vec<String>> {
        let local = *self.swarm.local_peer_id();
        let mut listeners = Vec::new();
        for addr in wanted {
            listeners.push((self.swarm.listen_on(addr.clone())?, None));
        }
        if listeners.is_empty() {
            return Ok(Vec::new());
        }
        self.until(|event| {
            let SwarmEvent::NewListenAddr { listener_id, address } = event else { return None };
            for (id, known) in &mut listeners {
                if id == listener_id && known.is_none() {
                    *known = address.clone().with_p2p(local).ok().map(|full| full.to_string());
                }
            }
            listeners.iter().map(|(_, addr)| addr.clone()).collect()
        })
        .await
    }

    /// Connects, and waits for the peer to say who it is: how it sees us is known then.
    async fn connect(&mut self, addr: Multiaddr) -> Result<()> {
        let peer = args::peer_of(&addr)?;
        if self.swarm.is_connected(&peer) {
            return Ok(());
        }
        let opts = DialOpts::peer_id(peer)
            .addresses(vec![addr])
            .condition(PeerCondition::Disconnected)
            .build();
        let dial = opts.connection_id();
        self.swarm.dial(opts)?;
        self.until(|event| match event {
            SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Received {
                peer_id,
                ..
            })) if *peer_id == peer => Some(Ok(())),
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. }
                if *connection_id == dial =>
            {
                Some(Err(error.to_string()))
            }
            _ => None,
        })
        .await?
        .map_err(Into::into)
    }

    /// Runs until an event is the one that is waited for.
    async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(&SwarmEvent<NodeEvent>) -> Option<T>,
    ) -> Result<T> {
        loop {
            let event = self.swarm.select_next_some().await;
            self.tell(&event);
            if let SwarmEvent::ListenerClosed { reason: Err(error), .. } = &event {
                return Err(error.to_string().into());
            }
            if let Some(found) = wanted(&event) {
                return Ok(found);
            }
        }
    }

    fn tell(&mut self, event: &SwarmEvent<NodeEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => println!(
                "{}",
                json!({"event": "connected", "peer": peer_id.to_string(),
                       "transport": road(endpoint)})
            ),
            SwarmEvent::IncomingConnectionError { error, .. } => eprintln!("incoming: {error}"),
            SwarmEvent::OutgoingConnectionError { error, .. } => eprintln!("outgoing: {error}"),
            // A relay tells others where it is only once it is sure of it.
            SwarmEvent::NewListenAddr { address, .. } if self.args.nat.relay_service => {
                self.swarm.add_external_address(address.clone())
            }
            SwarmEvent::NewExternalAddrCandidate { address }
            | SwarmEvent::ExternalAddrConfirmed { address } => {
                if self.seen.insert(address.clone()) {
                    let addrs: Vec<_> = self.seen.iter().map(Multiaddr::to_string).collect();
                    println!("{}", json!({"event": "addresses", "addrs": addrs}));
                }
            }
            SwarmEvent::Behaviour(NodeEvent::Nat(event)) => nat::tell(event),
            _ => {}
        }
    }
}

/// The name of the transport that a connection runs over.
fn road(endpoint: &ConnectedPoint) -> &'static str {
    let addr = match endpoint {
        ConnectedPoint::Dialer { address, .. } => address,
        ConnectedPoint::Listener { local_addr, .. } => local_addr,
    };
    addr.iter().fold("tcp", |name, part| match part {
        Protocol::P2pCircuit => "circuit",
        Protocol::QuicV1 => "quic-v1",
        Protocol::Ws(_) | Protocol::Wss(_) => "ws",
        _ => name,
    })
}
