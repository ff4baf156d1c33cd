//! The roads of the rust peer: TCP, WebSocket and circuits with Noise or TLS and yamux or mplex, and
//! QUIC.
//!
//! rust-libp2p fixes the offered security layers and muxers by type; the two upgrades below hold
//! both of each and leave out what `--security` and `--muxer` exclude.

use std::{error::Error, io, path::PathBuf, pin::Pin};

use futures::{
    future::{BoxFuture, Either},
    AsyncRead, AsyncWrite, Future, FutureExt, TryFutureExt,
};
use libp2p::{
    core::{
        muxing::StreamMuxerBox,
        transport::Boxed,
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version},
    },
    identity::Keypair,
    noise, pnet, quic, relay, tcp, tls, yamux, PeerId, Transport,
};
use libp2p_websocket::tls as web;

/// What the command line restricts; `None` offers everything, best first.
#[derive(Default)]
pub struct Offer {
    pub security: Option<String>,
    pub muxer: Option<String>,
    /// The key of a private network.
    pub psk: Option<pnet::PreSharedKey>,
    /// What Secure WebSocket listens with and trusts: PEM files, with DER beside them.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub tls_ca: Option<PathBuf>,
}

pub fn transport(
    key: &Keypair,
    offer: &Offer,
    circuits: relay::client::Transport,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Box<dyn Error>> {
    let security = Security {
        noise: noise::Config::new(key)?,
        tls: tls::Config::new(key)?,
        ids: offered(&["/noise", "/tls/1.0.0"], &offer.security)?,
    };
    let muxer = Muxer {
        yamux: yamux::Config::default(),
        mplex: libp2p_mplex::Config::new(),
        ids: offered(&["/yamux/1.0.0", "/mplex/6.7.0"], &offer.muxer)?,
    };
    let socket = || tcp::tokio::Transport::new(tcp::Config::default());
    let mut web = libp2p_websocket::Config::new(socket());
    web.set_tls_config(web_tls(offer)?);
    let psk = offer.psk;
    let circuits =
        circuits.upgrade(Version::V1Lazy).authenticate(security.clone()).multiplex(muxer.clone());
    let streams = web
        .or_transport(socket())
        .and_then(move |socket, _| fence(psk, socket))
        .upgrade(Version::V1Lazy)
        .authenticate(security)
        .multiplex(muxer);
    let datagrams = quic::tokio::Transport::new(quic::Config::new(key));
    Ok(circuits
        .or_transport(streams)
        .or_transport(datagrams)
        .map(|either, _| match either {
            Either::Left(Either::Left((peer, muxer))) => (peer, StreamMuxerBox::new(muxer)),
            Either::Left(Either::Right((peer, muxer))) => (peer, StreamMuxerBox::new(muxer)),
            Either::Right((peer, conn)) => (peer, StreamMuxerBox::new(conn)),
        })
        .boxed())
}

/// The layer of a private network, where there is one.
async fn fence<S>(
    psk: Option<pnet::PreSharedKey>,
    socket: S,
) -> Result<Either<pnet::PnetOutput<S>, S>, pnet::PnetError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match psk {
        Some(psk) => pnet::PnetConfig::new(psk).handshake(socket).await.map(Either::Left),
        None => Ok(Either::Right(socket)),
    }
}

fn web_tls(offer: &Offer) -> Result<web::Config, Box<dyn Error>> {
    let der = |path: &PathBuf| std::fs::read(path.with_extension("der"));
    let mut builder = web::Config::builder();
    if let (Some(cert), Some(key)) = (&offer.tls_cert, &offer.tls_key) {
        builder.server(web::PrivateKey::new(der(key)?), [web::Certificate::new(der(cert)?)])?;
    }
    if let Some(ca) = &offer.tls_ca {
        builder.add_trust(&web::Certificate::new(der(ca)?))?;
    }
    Ok(builder.finish())
}

/// The ids whose first path element is `only`, or all of them.
fn offered(ids: &[&'static str], only: &Option<String>) -> Result<Vec<&'static str>, String> {
    let wanted =
        |id: &&&str| only.as_deref().map_or(true, |name| id.split('/').nth(1) == Some(name));
    let ids: Vec<_> = ids.iter().filter(wanted).copied().collect();
    if ids.is_empty() {
        return Err(format!("rust-libp2p has no {}", only.as_deref().unwrap_or("")));
    }
    Ok(ids)
}

#[derive(Clone)]
struct Security {
    noise: noise::Config,
    tls: tls::Config,
    ids: Vec<&'static str>,
}

type Secured<C> = (PeerId, Either<noise::Output<C>, tls::TlsStream<C>>);

impl UpgradeInfo for Security {
    type Info = &'static str;
    type InfoIter = Vec<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.ids.clone()
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<C> for Security {
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<C>>>;

    fn upgrade_inbound(self, socket: C, id: &'static str) -> Self::Future {
        match id {
            "/noise" => secured(self.noise.upgrade_inbound(socket, id), Either::Left),
            _ => secured(self.tls.upgrade_inbound(socket, id), Either::Right),
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<C> for Security {
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<C>>>;

    fn upgrade_outbound(self, socket: C, id: &'static str) -> Self::Future {
        match id {
            "/noise" => secured(self.noise.upgrade_outbound(socket, id), Either::Left),
            _ => secured(self.tls.upgrade_outbound(socket, id), Either::Right),
        }
    }
}

/// Brings the results of both handshakes to one type.
fn secured<S, E, C>(
    handshake: impl Future<Output = Result<(PeerId, S), E>> + Send + 'static,
    side: fn(S) -> Either<noise::Output<C>, tls::TlsStream<C>>,
) -> BoxFuture<'static, io::Result<Secured<C>>>
where
    S: 'static,
    C: 'static,
    E: Error + Send + Sync + 'static,
{
    handshake.map_ok(move |(peer, stream)| (peer, side(stream))).map_err(io::Error::other).boxed()
}

#[derive(Clone)]
struct Muxer {
    yamux: yamux::Config,
    mplex: libp2p_mplex::Config,
    ids: Vec<&'static str>,
}

type Muxed<C> = Either<yamux::Muxer<C>, libp2p_mplex::Multiplex<C>>;

impl UpgradeInfo for Muxer {
    type Info = &'static str;
    type InfoIter = Vec<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.ids.clone()
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<C> for Muxer {
    type Output = Muxed<C>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Muxed<C>>> + Send>>;

    fn upgrade_inbound(self, socket: C, id: &'static str) -> Self::Future {
        match id {
            "/yamux/1.0.0" => self.yamux.upgrade_inbound(socket, id).map_ok(Either::Left).boxed(),
            _ => self.mplex.upgrade_inbound(socket, id).map_ok(Either::Right).boxed(),
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<C> for Muxer {
    type Output = Muxed<C>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Muxed<C>>> + Send>>;

    fn upgrade_outbound(self, socket: C, id: &'static str) -> Self::Future {
        match id {
            "/yamux/1.0.0" => self.yamux.upgrade_outbound(socket, id).map_ok(Either::Left).boxed(),
            _ => self.mplex.upgrade_outbound(socket, id).map_ok(Either::Right).boxed(),
        }
    }
}
