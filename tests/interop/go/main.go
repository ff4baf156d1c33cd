// The go-libp2p peer of the interop tests; its command line is in tests/interop/README.md.
//
// stdout carries one JSON object a line, stderr one line of text on failure.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

// dialLimit bounds connecting and everything up to the first answer.
const dialLimit = 30 * time.Second

type args struct {
	command          string
	addr             string
	listen           []string
	security         string
	muxer            string
	keyType          string
	webrtcDialler    int    // scheme of WebRTC Direct's credentials
	psk              string // file of a private network's key
	tlsCert, tlsKey  string // of Secure WebSocket
	tlsCA            string // trusted by it
	relayService     bool   // relays for others
	relayUnlimited   bool   // ... without limits
	relayBuffer      int    // ... with buffers of so many bytes; 0 = its own
	relayData        int64  // its limits: bytes and seconds of a circuit, 0 = none ...
	relayDuration    int64
	relayTTL         int64  // ... and seconds of a place
	relay            string // where a place is reserved
	autonat          string // version that is served and asked with: 1, 2, or none
	connect          []string
	holepunch        bool // makes direct connections to peers that come through a relay
	count            int
	upload, download uint64
	codes            []uint64 // of resets
}

type fields map[string]any

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer (go):", err)
		os.Exit(1)
	}
}

func run(words []string) error {
	a, err := parse(words)
	if err != nil {
		return err
	}
	commands := map[string]func(host.Host, args) error{
		"listen": listen, "ping": pingPeer, "identify": identify, "perf": perf, "streams": streams,
		"resets": resets,
	}
	command := commands[a.command]
	if command == nil {
		return fmt.Errorf("no command %q: listen, ping, identify, perf, streams, resets", a.command)
	}
	h, err := newHost(a)
	if err != nil {
		return err
	}
	defer h.Close()
	return command(h, a)
}

// listen says where it listens and serves ping, identify, perf and resets until stdin ends.
func listen(h host.Host, a args) error {
	h.SetStreamHandler(perfProtocol, servePerf)
	h.SetStreamHandler(resetsProtocol, serveResets)
	if err := tellReachability(h); err != nil {
		return err
	}
	circuits, err := reserve(h, a.relay)
	if err != nil {
		return err
	}
	h.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		state := c.ConnState()
		say("connected", fields{"peer": c.RemotePeer(), "transport": state.Transport,
			"security": state.Security, "muxer": state.StreamMultiplexer})
	}})
	addrs := circuits
	for _, addr := range h.Addrs() {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", addr, h.ID()))
	}
	say("listening", fields{"peer": h.ID(), "addrs": addrs})
	for _, addr := range a.connect {
		if err := connectTo(h, addr); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// tellReachability says what AutoNAT finds out: of an address (version 2), of the host (version 1); and
// which addresses there are, when they change.
func tellReachability(h host.Host) error {
	changes, err := h.EventBus().Subscribe([]any{
		new(event.EvtLocalReachabilityChanged), new(event.EvtHostReachableAddrsChanged),
		new(event.EvtLocalAddressesUpdated)})
	if err != nil {
		return err
	}
	go func() {
		for e := range changes.Out() {
			switch e := e.(type) {
			case event.EvtLocalReachabilityChanged:
				say("reachability", fields{"status": strings.ToLower(e.Reachability.String())})
			case event.EvtLocalAddressesUpdated:
				all := []string{}
				for _, addr := range e.Current {
					all = append(all, addr.Address.String())
				}
				say("addresses", fields{"addrs": all})
			case event.EvtHostReachableAddrsChanged:
				for _, addr := range e.Reachable {
					say("reachability", fields{"addr": addr.String(), "status": "public"})
				}
				for _, addr := range e.Unreachable {
					say("reachability", fields{"addr": addr.String(), "status": "private"})
				}
			}
		}
	}()
	return nil
}

func connectTo(h host.Host, addr string) error {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(context.Background(), "test"), dialLimit)
	defer cancel()
	return h.Connect(ctx, *info)
}

// reserve asks a relay for a place, which it keeps, and returns the addresses that this gives.
func reserve(h host.Host, relay string) ([]string, error) {
	if relay == "" {
		return nil, nil
	}
	info, err := peer.AddrInfoFromString(relay)
	if err != nil {
		return nil, err
	}
	place, err := reserveOnce(h, *info)
	if err != nil {
		return nil, err
	}
	go func() { // as long as there is one
		for place != nil {
			time.Sleep(time.Until(place.Expiration) * 3 / 4)
			if place, err = reserveOnce(h, *info); err != nil {
				fmt.Fprintln(os.Stderr, "renewing:", err)
			}
		}
	}()
	return []string{fmt.Sprintf("%s/p2p-circuit/p2p/%s", relay, h.ID())}, nil
}

func reserveOnce(h host.Host, relay peer.AddrInfo) (*client.Reservation, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	if err := h.Connect(ctx, relay); err != nil {
		return nil, err
	}
	place, err := client.Reserve(ctx, h, relay)
	if err != nil {
		return nil, err
	}
	say("reservation", fields{"relay": relay.ID, "expires": place.Expiration.Unix(), "addrs": texts(place.Addrs),
		"data": place.LimitData, "duration": place.LimitDuration.Seconds(), "voucher": place.Voucher != nil})
	return place, nil
}

func pingPeer(h host.Host, a args) error {
	ctx, cancel := context.WithCancel(network.WithAllowLimitedConn(context.Background(), "test"))
	defer cancel()
	start := time.Now()
	target, err := connect(ctx, h, a)
	if err != nil {
		return err
	}
	answers := ping.Ping(ctx, h, target)
	var first time.Duration
	for received := 0; received < a.count; received++ {
		answer := <-answers
		if answer.Error != nil {
			return answer.Error
		}
		if received == 0 {
			first = time.Since(start)
		}
	}
	say("summary", fields{"local": h.ID(), "received": a.count, "peer": target,
		"first_answer_ms": float64(first.Microseconds()) / 1000})
	return nil
}

func identify(h host.Host, a args) error {
	completed, err := h.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerIdentificationFailed)})
	if err != nil {
		return err
	}
	defer completed.Close()
	if _, err := connect(context.Background(), h, a); err != nil {
		return err
	}
	select {
	case e := <-completed.Out():
		switch e := e.(type) {
		case event.EvtPeerIdentificationFailed:
			return e.Reason
		case event.EvtPeerIdentificationCompleted:
			observed := ""
			if e.ObservedAddr != nil {
				observed = e.ObservedAddr.String()
			}
			say("identify", fields{"local": h.ID(), "peer": e.Peer, "agent": e.AgentVersion,
				"protocol_version": e.ProtocolVersion, "protocols": e.Protocols,
				"listen_addrs": texts(e.ListenAddrs), "observed_addr": observed})
		}
		return nil
	case <-time.After(dialLimit):
		return errors.New("the peer did not identify itself")
	}
}

func connect(ctx context.Context, h host.Host, a args) (peer.ID, error) {
	info, err := peer.AddrInfoFromString(a.addr)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "test"), dialLimit)
	defer cancel()
	return info.ID, h.Connect(ctx, *info)
}

func texts(addrs []ma.Multiaddr) []string {
	all := []string{}
	for _, addr := range addrs {
		all = append(all, addr.String())
	}
	return all
}

func say(name string, more fields) {
	more["event"] = name
	line, err := json.Marshal(more)
	if err != nil {
		panic(err) // every value above is text, a number or a list of text
	}
	fmt.Println(string(line))
}

func parse(words []string) (args, error) {
	a := args{keyType: "ed25519", count: 1, webrtcDialler: 1, relayData: -1, relayDuration: -1}
	if len(words) == 0 {
		return a, errors.New("usage: peer listen|ping|identify|perf|streams|resets ...")
	}
	a.command = words[0]
	for i := 1; i < len(words); i++ {
		word := words[i]
		if word[0] != '-' {
			a.addr = word
			continue
		}
		i++
		if i == len(words) {
			return a, fmt.Errorf("%s needs a value", word)
		}
		var err error
		switch value := words[i]; word {
		case "--listen":
			a.listen = append(a.listen, value)
		case "--security":
			a.security = value
		case "--muxer":
			a.muxer = value
		case "--key-type":
			a.keyType = value
		case "--psk":
			a.psk = value
		case "--webrtc-credentials":
			a.webrtcDialler, err = strconv.Atoi(value[1:])
		case "--tls-cert":
			a.tlsCert = value
		case "--tls-key":
			a.tlsKey = value
		case "--tls-ca":
			a.tlsCA = value
		case "--relay-service":
			a.relayService = value == "on"
		case "--relay-limits":
			a.relayUnlimited = value == "off"
		case "--relay-buffer":
			a.relayBuffer, err = strconv.Atoi(value)
		case "--relay-data":
			a.relayData, err = strconv.ParseInt(value, 10, 64)
		case "--relay-duration":
			a.relayDuration, err = strconv.ParseInt(value, 10, 64)
		case "--relay-ttl":
			a.relayTTL, err = strconv.ParseInt(value, 10, 64)
		case "--relay":
			a.relay = value
		case "--code":
			var code uint64
			code, err = strconv.ParseUint(value, 0, 64)
			a.codes = append(a.codes, code)
		case "--autonat":
			a.autonat = value
		case "--holepunch":
			a.holepunch = value == "on"
		case "--connect":
			a.connect = append(a.connect, value)
		case "-c":
			a.count, err = strconv.Atoi(value)
		case "--upload":
			a.upload, err = strconv.ParseUint(value, 10, 64)
		case "--download":
			a.download, err = strconv.ParseUint(value, 10, 64)
		default:
			err = fmt.Errorf("unknown option %s", word)
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}
