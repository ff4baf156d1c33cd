//! What nodes that nobody can dial need: AutoNAT, circuit relay and hole punching, each as the
//! command line asks for it; and what they find out, as events.

use std::time::Duration;

use libp2p::{
    autonat::{v1, v2},
    dcutr, relay,
    swarm::{behaviour::toggle::Toggle, NetworkBehaviour},
    Multiaddr, PeerId,
};
use serde_json::json;

/// What is asked for.
#[derive(Default)]
pub struct Wanted {
    /// The version of AutoNAT that is served and asked with, 0 = none.
    pub autonat: u8,
    pub hole_punch: bool,
    pub relay_service: bool,
    /// Of the relay service; `None` is the stack's own, 0 is none.
    pub relay_data: Option<u64>,
    pub relay_duration: Option<u64>,
    /// Seconds for which a place is kept.
    pub relay_ttl: Option<u64>,
}

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    circuits: relay::client::Behaviour,
    relay: Toggle<relay::Behaviour>,
    punch: Toggle<dcutr::Behaviour>,
    autonat_1: Toggle<v1::Behaviour>,
    autonat_2: Toggle<v2::client::Behaviour>,
    autonat_2_server: Toggle<v2::server::Behaviour>,
}

impl Behaviour {
    pub fn new(local: PeerId, circuits: relay::client::Behaviour, wanted: &Wanted) -> Self {
        Self {
            circuits,
            relay: wanted.relay_service.then(|| relay_service(local, wanted)).into(),
            punch: wanted.hole_punch.then(|| dcutr::Behaviour::new(local)).into(),
            autonat_1: (wanted.autonat == 1).then(|| v1::Behaviour::new(local, quick())).into(),
            autonat_2: (wanted.autonat == 2).then(v2::client::Behaviour::default).into(),
            autonat_2_server: (wanted.autonat == 2).then(v2::server::Behaviour::default).into(),
        }
    }
}

/// AutoNAT 1 that asks at once, and soon again.
fn quick() -> v1::Config {
    v1::Config {
        boot_delay: Duration::from_secs(1),
        retry_interval: Duration::from_secs(2),
        throttle_server_period: Duration::from_secs(1),
        ..v1::Config::default()
    }
}

/// It serves whether it believes to be public or not. Its limits of rate would refuse tests that all
/// come from one address.
fn relay_service(local: PeerId, wanted: &Wanted) -> relay::Behaviour {
    let default = relay::Config::default();
    let duration = match wanted.relay_duration {
        None => default.max_circuit_duration,
        Some(0) => Duration::from_secs(u32::MAX.into()),
        Some(seconds) => Duration::from_secs(seconds),
    };
    let ttl = wanted.relay_ttl.map(Duration::from_secs);
    let config = relay::Config {
        reservation_duration: ttl.unwrap_or(default.reservation_duration),
        max_circuit_duration: duration,
        max_circuit_bytes: wanted.relay_data.unwrap_or(default.max_circuit_bytes),
        reservation_rate_limiters: Vec::new(),
        circuit_src_rate_limiters: Vec::new(),
        ..default
    };
    let mut service = relay::Behaviour::new(local, config);
    service.set_status(Some(relay::Status::Enable));
    service
}

pub fn tell(event: &BehaviourEvent) {
    match event {
        BehaviourEvent::Circuits(relay::client::Event::ReservationReqAccepted {
            relay_peer_id,
            renewal,
            limit,
        }) => println!(
            "{}",
            json!({"event": "reservation", "relay": relay_peer_id.to_string(), "renewal": renewal,
                   "data": limit.and_then(|limit| limit.data_in_bytes()),
                   "duration": limit.and_then(|limit| limit.duration()).map(|d| d.as_secs())})
        ),
        BehaviourEvent::Relay(relay::Event::ReservationReqAccepted { src_peer_id, renewed }) => {
            println!(
                "{}",
                json!({"event": "reserved", "peer": src_peer_id.to_string(), "renewal": renewed})
            )
        }
        BehaviourEvent::Relay(relay::Event::CircuitClosed { src_peer_id, dst_peer_id, error }) => {
            println!(
                "{}",
                json!({"event": "circuit", "from": src_peer_id.to_string(),
                       "to": dst_peer_id.to_string(),
                       "error": error.as_ref().map(|error| error.to_string())})
            )
        }
        BehaviourEvent::Punch(dcutr::Event { remote_peer_id, result }) => println!(
            "{}",
            json!({"event": "holepunch", "peer": remote_peer_id.to_string(),
                   "result": if result.is_ok() { "success" } else { "failure" },
                   "error": result.as_ref().err().map(|error| error.to_string())})
        ),
        BehaviourEvent::Autonat1(v1::Event::StatusChanged { new, .. }) => match new {
            v1::NatStatus::Public(addr) => tell_reachability(Some(addr), "public"),
            v1::NatStatus::Private => tell_reachability(None, "private"),
            v1::NatStatus::Unknown => tell_reachability(None, "unknown"),
        },
        BehaviourEvent::Autonat2(v2::client::Event { tested_addr, result, .. }) => {
            tell_reachability(Some(tested_addr), if result.is_ok() { "public" } else { "private" })
        }
        _ => {}
    }
}

fn tell_reachability(addr: Option<&Multiaddr>, status: &str) {
    println!(
        "{}",
        json!({"event": "reachability", "addr": addr.map(Multiaddr::to_string), "status": status})
    );
}
