package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	libp2pwebrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	libp2pwebtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"
)

// newHost makes a host with the roads of the tests, restricted as the command line says. The order
// of the security layers is go-libp2p's own: TLS first.
func newHost(a args) (host.Host, error) {
	key, err := newKey(a.keyType)
	if err != nil {
		return nil, err
	}
	web, err := webOptions(a)
	if err != nil {
		return nil, err
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(a.listen...),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(websocket.New, web...),
		libp2p.ProtocolVersion("ipfs/0.1.0"),
		libp2p.UserAgent("go-libp2p"),
		libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
	}
	switch {
	case a.relayService: // it serves when it believes to be public
		options = append(options, libp2p.EnableRelay(), libp2p.EnableRelayService(relayLimits(a)...),
			libp2p.ForceReachabilityPublic())
	case a.holepunch:
		options = append(options, libp2p.EnableRelay(), libp2p.EnableHolePunching(), libp2p.ForceReachabilityPrivate())
	case a.relay != "" || strings.Contains(a.addr, "/p2p-circuit"):
		options = append(options, libp2p.EnableRelay())
	default:
		options = append(options, libp2p.DisableRelay())
	}
	switch a.autonat {
	case "1":
		options = append(options, libp2p.EnableNATService())
	case "2":
		options = append(options, libp2p.EnableAutoNATv2())
	}
	if len(a.listen) == 0 {
		options = append(options, libp2p.NoListenAddrs)
	}
	if a.psk == "" { // QUIC, WebTransport and WebRTC cannot carry a private network
		options = append(options, libp2p.Transport(libp2pquic.NewTransport),
			libp2p.Transport(libp2pwebtransport.New),
			libp2p.Transport(libp2pwebrtc.New, libp2pwebrtc.WithDialerVersion(a.webrtcDialler)))
	} else {
		psk, err := readPSK(a.psk)
		if err != nil {
			return nil, err
		}
		options = append(options, libp2p.PrivateNetwork(psk))
	}
	switch a.security {
	case "noise":
		options = append(options, libp2p.Security(noise.ID, noise.New))
	case "tls":
		options = append(options, libp2p.Security(libp2ptls.ID, libp2ptls.New))
	case "":
		options = append(options, libp2p.DefaultSecurity)
	default:
		return nil, fmt.Errorf("go-libp2p has no security layer %q", a.security)
	}
	switch a.muxer {
	case "yamux", "":
		options = append(options, libp2p.Muxer(yamux.ID, yamux.DefaultTransport))
	default:
		return nil, fmt.Errorf("go-libp2p has no muxer %q", a.muxer)
	}
	return libp2p.New(options...)
}

// relayLimits is what the relay service allows, go-libp2p's own choice unless told otherwise.
func relayLimits(a args) []relay.Option {
	const noEnd = 1 << 40
	all := relay.DefaultResources()
	if a.relayTTL > 0 {
		all.ReservationTTL = time.Duration(a.relayTTL) * time.Second
	}
	switch {
	case a.relayData > 0:
		all.Limit.Data = a.relayData
	case a.relayData == 0:
		all.Limit.Data = noEnd
	}
	switch {
	case a.relayDuration > 0:
		all.Limit.Duration = time.Duration(a.relayDuration) * time.Second
	case a.relayDuration == 0:
		all.Limit.Duration = 24 * time.Hour
	}
	if a.relayUnlimited {
		all.Limit = nil
		all.MaxReservations, all.MaxReservationsPerIP, all.MaxReservationsPerASN = 1<<20, 1<<20, 1<<20
		all.MaxCircuits = 1 << 20
	}
	if a.relayBuffer > 0 {
		all.BufferSize = a.relayBuffer
	}
	return []relay.Option{relay.WithResources(all)}
}

// webOptions is what Secure WebSocket listens with and trusts.
func webOptions(a args) ([]any, error) {
	var options []any
	if a.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(a.tlsCert, a.tlsKey)
		if err != nil {
			return nil, err
		}
		options = append(options, websocket.WithTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}}))
	}
	if a.tlsCA != "" {
		text, err := os.ReadFile(a.tlsCA)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		options = append(options, websocket.WithTLSClientConfig(&tls.Config{RootCAs: roots}))
	}
	return options, nil
}

func readPSK(path string) (pnet.PSK, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return pnet.DecodeV1PSK(file)
}

func newKey(kind string) (crypto.PrivKey, error) {
	kinds := map[string]int{"ed25519": crypto.Ed25519, "secp256k1": crypto.Secp256k1,
		"ecdsa": crypto.ECDSA, "rsa": crypto.RSA}
	number, known := kinds[kind]
	if !known {
		return nil, fmt.Errorf("no key type %q", kind)
	}
	key, _, err := crypto.GenerateKeyPairWithReader(number, 2048, rand.Reader)
	return key, err
}
