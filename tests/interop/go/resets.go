package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// resetsProtocol: a byte and a code, u64 BE. 'r': the listener resets the stream with the code. 's':
// it says '!', and the dialler resets. Either tells the code that it heard. As tests/interop/resets.c.
const resetsProtocol = "/resets/1.0.0"

// resets lets itself be reset with each code, and resets with each.
func resets(h host.Host, a args) error {
	target, err := connect(context.Background(), h, a)
	if err != nil {
		return err
	}
	heard := []uint64{}
	for _, code := range a.codes {
		told, err := askForReset(h, target, code)
		if err != nil {
			return err
		}
		heard = append(heard, told)
	}
	for _, code := range a.codes {
		s, err := ask(h, target, 's', code)
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			return err
		}
		s.ResetWithError(network.StreamErrorCode(code))
	}
	if _, err := askForReset(h, target, 0); err != nil { // when it answers, it has heard of the others
		return err
	}
	say("resets", fields{"local": h.ID(), "heard": heard})
	return nil
}

func askForReset(h host.Host, to peer.ID, code uint64) (uint64, error) {
	s, err := ask(h, to, 'r', code)
	if err != nil {
		return 0, err
	}
	return codeOf(s)
}

func ask(h host.Host, to peer.ID, what byte, code uint64) (network.Stream, error) {
	s, err := h.NewStream(context.Background(), to, resetsProtocol)
	if err != nil {
		return nil, err
	}
	_, err = s.Write(binary.BigEndian.AppendUint64([]byte{what}, code))
	return s, err
}

// codeOf reads until the stream is reset by the other side, and says with what.
func codeOf(s network.Stream) (uint64, error) {
	_, err := io.Copy(io.Discard, s)
	var reset *network.StreamError
	if !errors.As(err, &reset) || !reset.Remote {
		return 0, fmt.Errorf("not reset by the peer: %v", err)
	}
	return uint64(reset.ErrorCode), nil
}

func serveResets(s network.Stream) {
	var words [9]byte
	if _, err := io.ReadFull(s, words[:]); err != nil {
		s.Reset()
		return
	}
	code := binary.BigEndian.Uint64(words[1:])
	if words[0] == 'r' {
		s.ResetWithError(network.StreamErrorCode(code))
		return
	}
	s.Write([]byte{'!'})
	told, err := codeOf(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "resets:", err)
		return
	}
	say("reset", fields{"peer": s.Conn().RemotePeer(), "code": told})
}
