//! The command line: see `tests/interop/README.md`.

use libp2p::{multiaddr::Protocol, Multiaddr, PeerId};

use crate::{nat, roads, Result};

pub struct Args {
    pub command: String,
    pub addr: Option<Multiaddr>,
    pub listen: Vec<Multiaddr>,
    /// Where a place is reserved.
    pub relay: Option<Multiaddr>,
    pub connect: Vec<Multiaddr>,
    pub nat: nat::Wanted,
    pub offer: roads::Offer,
    pub key_type: String,
    pub count: u64,
    pub upload: u64,
    pub download: u64,
}

impl Args {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Args> {
        let mut args = Args {
            command: words.next().ok_or("usage: peer listen|ping|identify|perf|streams ...")?,
            addr: None,
            listen: Vec::new(),
            relay: None,
            connect: Vec::new(),
            nat: nat::Wanted::default(),
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
                "--relay" => args.relay = Some(value.parse()?),
                "--connect" => args.connect.push(value.parse()?),
                "--relay-service" => args.nat.relay_service = value == "on",
                "--relay-data" => args.nat.relay_data = Some(value.parse()?),
                "--relay-duration" => args.nat.relay_duration = Some(value.parse()?),
                "--relay-ttl" => args.nat.relay_ttl = Some(value.parse()?),
                "--autonat" => args.nat.autonat = value.parse()?,
                "--holepunch" => args.nat.hole_punch = value == "on",
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

    /// The address that is dialled, and who is there.
    pub fn target(&self) -> Result<(Multiaddr, PeerId)> {
        let addr = self.addr.clone().ok_or("an address is needed")?;
        let peer = peer_of(&addr)?;
        Ok((addr, peer))
    }
}

/// Whom an address leads to: its last id, behind that of a relay.
pub fn peer_of(addr: &Multiaddr) -> Result<PeerId> {
    match addr.iter().last() {
        Some(Protocol::P2p(peer)) => Ok(peer),
        _ => Err(format!("{addr} has no /p2p/ part at its end").into()),
    }
}
