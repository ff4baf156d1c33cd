package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// perfProtocol: u64 BE "bytes you owe me", the upload, end; then the other side pays and ends.
// go-libp2p has no package for it, so both halves are here.
const perfProtocol = "/perf/1.0.0"

const perfBlock = 64 << 10

func perf(h host.Host, a args) error {
	ctx := context.Background()
	target, err := connect(ctx, h, a)
	if err != nil {
		return err
	}
	directions := []struct {
		name             string
		upload, download uint64
	}{{"up", a.upload, 0}, {"down", 0, a.download}}
	for _, d := range directions {
		if d.upload+d.download == 0 {
			continue
		}
		start := time.Now()
		bytes, err := runPerf(ctx, h, target, d.upload, d.download)
		if err != nil {
			return err
		}
		say("perf", fields{"local": h.ID(), "direction": d.name, "bytes": bytes,
			"seconds": time.Since(start).Seconds()})
	}
	return nil
}

// streams asks so many questions of nothing at once, each on a stream of its own.
func streams(h host.Host, a args) error {
	ctx := context.Background()
	target, err := connect(ctx, h, a)
	if err != nil {
		return err
	}
	results := make(chan error)
	for range a.count {
		go func() {
			_, err := runPerf(ctx, h, target, 1, 1)
			results <- err
		}()
	}
	failed := 0
	for range a.count {
		if err := <-results; err != nil {
			failed++
			fmt.Fprintln(os.Stderr, "a stream:", err)
		}
	}
	say("streams", fields{"local": h.ID(), "count": a.count, "failed": failed})
	return nil
}

// runPerf moves the bytes of one direction on a stream of its own; returns how many were counted.
func runPerf(ctx context.Context, h host.Host, to peer.ID, upload, download uint64) (
	uint64, error) {
	s, err := h.NewStream(ctx, to, perfProtocol)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if _, err := s.Write(binary.BigEndian.AppendUint64(nil, download)); err != nil {
		return 0, err
	}
	if err := writeZeros(s, upload); err != nil {
		return 0, err
	}
	if err := s.CloseWrite(); err != nil {
		return 0, err
	}
	received, err := readToEnd(s)
	if err == nil && received != download {
		err = fmt.Errorf("asked for %d bytes, received %d", download, received)
	}
	return upload + received, err
}

func servePerf(s network.Stream) {
	received, sent, err := answerPerf(s)
	if err != nil {
		s.Reset()
		fmt.Fprintln(os.Stderr, "perf with", s.Conn().RemotePeer(), err)
		return
	}
	say("served", fields{"protocol": perfProtocol, "peer": s.Conn().RemotePeer(),
		"received": received, "sent": sent})
}

func answerPerf(s network.Stream) (received, owed uint64, err error) {
	var header [8]byte
	if _, err = io.ReadFull(s, header[:]); err != nil {
		return
	}
	owed = binary.BigEndian.Uint64(header[:])
	if received, err = readToEnd(s); err != nil {
		return
	}
	if err = writeZeros(s, owed); err != nil {
		return
	}
	return received, owed, s.Close()
}

func readToEnd(r io.Reader) (uint64, error) {
	buf := make([]byte, perfBlock)
	var total uint64
	for {
		n, err := r.Read(buf)
		total += uint64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func writeZeros(w io.Writer, left uint64) error {
	block := make([]byte, perfBlock)
	for left > 0 {
		n := min(left, perfBlock)
		if _, err := w.Write(block[:n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}
