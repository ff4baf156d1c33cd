/* What happened, counted: one plain struct per node. /metrics walks the list, tests read the
 * fields. Every way in which a peer's bytes can be refused has a counter of its own. Append freely.
 */
#ifndef TERN_CORE_COUNTERS_H
#define TERN_CORE_COUNTERS_H

#include <stdint.h>

#define TERN_COUNTERS(X)                                                                           \
    X(bytes_in, "Bytes read from sockets")                                                         \
    X(bytes_out, "Bytes written to sockets")                                                       \
    X(accepts, "Sockets accepted")                                                                 \
    X(accept_no_descriptors, "Sockets closed at accept because descriptors ran out")               \
    X(accept_limit, "Connections refused or ended because of any limit on connections")            \
    X(refused_conns, "... because there were as many as allowed")                                  \
    X(refused_per_peer, "... because there were as many as allowed with one peer")                 \
    X(refused_per_ip, "... because there were as many as allowed from one address")                \
    X(evicted_pending, "... not secured yet, to make place for a newer one")                       \
    X(evicted_pending_per_ip, "... not secured yet, to make place for one of the same address")    \
    X(evicted_answers, "... that read an HTTP answer, to make place for a newer one")              \
    X(evicted_sockets, "... not secured yet, because descriptors ran low")                         \
    X(accept_gated, "Sockets closed at accept because of a deny or allow list")                    \
    X(conns_gated, "Connections closed because of a deny or allow list")                           \
    X(dials_gated, "Addresses not dialled because of a deny or allow list")                        \
    X(conns_trimmed, "Idle connections closed because there were more than the high water")        \
    X(memory_conns, "Connections closed because memory was nearly used up")                        \
    X(memory_refusals, "Connections refused because memory was nearly used up")                    \
    X(memory_streams, "Streams refused or reset because memory was nearly used up")                \
    X(first_bytes_unknown, "Connections whose first bytes are no protocol of the port")            \
    X(first_bytes_timeout, "Connections that sent no first bytes in time")                         \
    X(dials, "Addresses dialled")                                                                  \
    X(dial_failures, "Addresses dialled without success")                                          \
    X(dials_udp_lost, "Dials that TCP won although UDP to a public address began earlier")         \
    X(upgrades, "Connections secured and multiplexed")                                             \
    X(upgrade_failures, "Connections that failed between transport and muxer")                     \
    X(upgrade_timeouts, "Connections not secured in time")                                         \
    X(conns_address_gone, "Connections cut because our own address went away")                     \
    X(conns_dead_after_standstill, "Connections that did not answer after we stood still")         \
    X(conns_opened, "Connections registered")                                                      \
    X(conns_closed, "Connections ended")                                                           \
    X(streams_in, "Streams opened by peers")                                                       \
    X(streams_out, "Streams opened by us")                                                         \
    X(streams_limit, "Streams refused because of any limit on streams")                            \
    X(streams_queued, "Incoming streams that waited for others of theirs to agree on a protocol")  \
    X(refused_per_protocol, "... because the peer had too many of the protocol")                   \
    X(multistream_malformed, "Negotiations ended by malformed messages")                           \
    X(multistream_too_large, "Negotiations ended by an oversize message")                          \
    X(multistream_refused, "Negotiations without a protocol in common")                            \
    X(multistream_timeout, "Negotiations not finished in time")                                    \
    X(noise_malformed, "Noise handshake messages that do not parse")                               \
    X(noise_decrypt, "Noise messages that do not decrypt")                                         \
    X(noise_bad_key, "Noise exchanges with a small-order or malformed key")                        \
    X(noise_bad_identity, "Noise payloads whose identity key is malformed or unsupported")         \
    X(noise_bad_signature, "Noise payloads whose signature does not verify")                       \
    X(noise_wrong_peer, "Noise handshakes with another peer than expected")                        \
    X(noise_too_large, "Noise handshake messages beyond their limit")                              \
    X(noise_truncated, "Noise connections that ended inside a message")                            \
    X(noise_recognised, "Noise handshakes with a proof of identity that was verified before")      \
    X(psk_truncated, "Connections that ended before the nonce of a private network was complete")  \
    X(certificate_reloads, "Times that a changed certificate for the web was taken over")          \
    X(certificate_failures, "Times that a changed certificate for the web was of no use")          \
    X(tls_timeout, "TLS handshakes of the web not finished in time")                               \
    X(tls_malformed, "TLS handshakes and records that break the rules")                            \
    X(tls_nothing_common, "TLS handshakes without a version, cipher or protocol in common")        \
    X(tls_untrusted, "TLS servers of the web whose certificate was not trusted")                   \
    X(tls_decrypt, "TLS records and Finished messages that do not decrypt or verify")              \
    X(tls_bad_certificate, "TLS certificates that are malformed, not valid now, or no libp2p's")   \
    X(tls_bad_signature, "TLS certificates or handshakes whose signature does not verify")         \
    X(tls_wrong_peer, "TLS handshakes with another peer than expected")                            \
    X(tls_refused, "TLS connections that the peer ended with an alert")                            \
    X(tls_truncated, "TLS connections that ended inside a record or the handshake")                \
    X(tls_recognised, "TLS certificates whose signatures were verified before")                    \
    X(yamux_bad_version, "yamux frames of an unknown version")                                     \
    X(yamux_bad_type, "yamux frames of an unknown type")                                           \
    X(yamux_bad_flags, "yamux frames with flags that the state forbids")                           \
    X(yamux_bad_stream, "yamux opens with a wrong or used stream id")                              \
    X(yamux_window, "yamux frames beyond the window, or window updates that overflow")             \
    X(yamux_flood, "yamux sessions ended by floods of pings, resets or opens")                     \
    X(yamux_goaway_in, "yamux sessions that the peer ended with an error code")                    \
    X(book_loaded, "Rows of the address book read at the start")                                   \
    X(book_malformed, "Rows of the address book that do not parse")                                \
    X(book_written, "Changes written to the address book")                                         \
    X(book_purged, "Rows of the address book that expired or were too many")                       \
    X(book_dropped, "Changes of the address book that were never written")                         \
    X(book_failures, "Failures to open or to write the address book")                              \
    X(record_stale, "Signed peer records older than the one that is known")                        \
    X(mplex_malformed, "mplex frames that do not parse")                                           \
    X(mplex_too_large, "mplex frames of more than 1 MiB")                                          \
    X(mplex_bad_stream, "mplex opens of a stream that is open")                                    \
    X(mplex_flood, "mplex sessions ended by floods of resets, opens or empty frames")              \
    X(mplex_overflow, "mplex streams reset because they were not read")                            \
    X(stun_malformed, "Datagrams that begin as STUN and are no message of ICE's")                  \
    X(stun_bad_user, "STUN requests with a user name that is not WebRTC Direct's")                 \
    X(stun_forged, "STUN requests whose integrity or fingerprint is missing or wrong")             \
    X(stun_unexpected, "STUN messages that nobody here asked for")                                 \
    X(stun_paths, "STUN requests of a peer from too many addresses")                               \
    X(stun_taken, "STUN requests of one peer from the address of another")                         \
    X(dtls_unexpected, "DTLS datagrams from addresses that were not checked by ICE")               \
    X(dtls_failed, "DTLS handshakes that failed")                                                  \
    X(dtls_withheld, "DTLS datagrams not sent yet to addresses that nothing has proven")           \
    X(dtls_dropped, "DTLS records that do not decrypt, are repeated, or of epoch 0")               \
    X(dtls_wrong_certificate, "DTLS handshakes with another certificate than the address names")   \
    X(sctp_bad_packet, "SCTP packets with a wrong checksum, tag or length")                        \
    X(sctp_bad_chunk, "SCTP chunks that do not parse or that the state forbids")                   \
    X(sctp_beyond, "SCTP data beyond the window")                                                  \
    X(channel_bad_open, "Data channels opened with a malformed message, a wrong or a used id")     \
    X(channel_flood, "WebRTC connections ended because channels were opened and not closed")       \
    X(channel_malformed, "Data channel frames that do not parse or are too large")                 \
    X(channel_unknown, "Messages on data channels that are not open")                              \
    X(channel_unread, "Streams reset because unread they held up others")                          \
    X(quic_malformed, "Datagrams that are no QUIC packets")                                        \
    X(quic_unknown, "QUIC packets of no connection")                                               \
    X(quic_versions, "QUIC packets of another version")                                            \
    X(quic_moved, "QUIC connections whose peer went on from another address")                      \
    X(quic_retries, "QUIC clients asked to prove their address")                                   \
    X(quic_violations, "QUIC connections whose peer broke the rules")                              \
    X(quic_resumed, "QUIC connections resumed with a ticket, of either side")                      \
    X(quic_tickets_given, "QUIC tickets given to clients")                                         \
    X(quic_tickets_refused, "QUIC tickets refused: unknown, used, expired, or not for us")         \
    X(quic_early, "QUIC connections with 0-RTT data, of either side")                              \
    X(quic_early_refused, "QUIC connections whose 0-RTT data was refused and sent again")          \
    X(quic_held, "Streams that waited for the end of the handshake: no 0-RTT for their protocol")  \
    X(h3_malformed, "HTTP/3 frames, SETTINGS, fields and streams that break the rules")            \
    X(h3_too_large, "HTTP/3 frames and fields beyond their limit")                                 \
    X(wt_refused, "HTTP/3 requests that are no WebTransport session of ours, refused")             \
    X(wt_bad_stream, "WebTransport streams of unknown sessions, or of a kind that is not used")    \
    X(wt_bad_capsule, "WebTransport capsules that do not parse or are too large")                  \
    X(wt_wrong_certificate, "WebTransport servers with a certificate that the address names not")  \
    X(wt_wrong_certhash, "WebTransport servers whose Noise does not vouch for the certificate")    \
    X(http_malformed, "HTTP requests that do not parse")                                           \
    X(http_too_large, "HTTP requests with a head beyond its limit")                                \
    X(http_timeout, "HTTP requests not finished in time")                                          \
    X(http_requests, "HTTP requests answered")                                                     \
    X(ws_bad_handshake, "WebSocket handshakes refused")                                            \
    X(ws_malformed, "WebSocket frames that break the rules")                                       \
    X(ws_too_large, "WebSocket control frames beyond their limit")                                 \
    X(identify_malformed, "Identify messages that do not parse")                                   \
    X(identify_too_large, "Identify messages beyond their limit")                                  \
    X(identify_wrong_key, "Identify messages with a key that is not the peer's")                   \
    X(identify_bad_record, "Identify messages with a peer record that does not verify")            \
    X(identify_timeout, "Identify exchanges not finished in time")                                 \
    X(ping_wrong, "Ping answers that differ from what was sent")                                   \
    X(ping_timeout, "Pings without an answer in time")                                             \
    X(perf_malformed, "Perf requests that end within their head")                                  \
    X(relay_reservations, "Places granted or renewed to peers that are reached through us")        \
    X(relay_reservations_refused, "Places refused")                                                \
    X(relay_displaced, "Places taken from strangers for peers that we know")                       \
    X(relay_circuits, "Circuits that we relayed")                                                  \
    X(relay_refused, "Requests of the relay protocols refused")                                    \
    X(relay_bytes, "Bytes that we relayed, both ways, counted when a circuit ends")                \
    X(relay_out_of_data, "Circuits ended because they had carried what is allowed")                \
    X(relay_out_of_time, "Circuits ended because they had lasted as long as is allowed")           \
    X(relay_malformed, "Messages of the relay protocols that do not parse or do not belong")       \
    X(relay_timeouts, "Requests of the relay protocols not finished in time")                      \
    X(relay_reserved, "Places granted or renewed to us")                                           \
    X(relay_reserve_failures, "Tries to get or renew a place at a relay that failed")              \
    X(relay_bad_voucher, "Places whose voucher is not for us, not the relay's, or has expired")    \
    X(relay_bad_addresses, "Addresses of relays that were not announced")                          \
    X(punches_tried, "Attempts to punch a hole to a peer")                                         \
    X(punches_won, "Direct connections made to peers that were connected through a relay")         \
    X(punches_reversed, "... by dialling them at their own addresses")                             \
    X(punches_lost, "Peers through a relay to whom no direct connection could be made")            \
    X(punches_refused, "Hole punches refused: out of place, or too many")                          \
    X(punches_rate, "Dials for hole punches refused: too many in a minute")                        \
    X(punch_malformed, "Messages of DCUtR that do not parse or do not belong")                     \
    X(punch_timeouts, "Exchanges of DCUtR not finished in time")                                   \
    X(portmap_asked, "Messages to the gateway about ports, over PCP and NAT-PMP")                  \
    X(portmap_mapped, "Times that the gateway began to lead others to a port of ours")             \
    X(portmap_refused, "Times that the gateway said why it maps no port")                          \
    X(portmap_bad_answers,                                                                         \
      "Datagrams about ports that are no answer of the gateway to a question")                     \
    X(portmap_restarts, "Times that the gateway had forgotten what it mapped")                     \
    X(autonat_asked, "Times that a server was asked whether it can reach us")                      \
    X(autonat_paid, "Bytes paid to servers for that")                                              \
    X(autonat_unproven, "Servers that said yes although nothing came")                             \
    X(autonat_bad_answers, "Answers of servers that break the rules")                              \
    X(autonat_wrong_nonces, "Dial-backs with a nonce that is not ours, or by another address")     \
    X(autonat_dials, "Dials to find out for peers whether they can be reached")                    \
    X(autonat_reached, "... that reached the peer")                                                \
    X(autonat_charged, "Peers that had to pay because another IP than theirs was to be dialled")   \
    X(autonat_refused, "Requests for such dials refused")                                          \
    X(autonat_rate, "... because there had been as many as allowed in a minute")                   \
    X(autonat_malformed, "Requests for such dials that do not parse or break the rules")           \
    X(autonat_timeouts, "AutoNAT exchanges not finished in time")                                  \
    X(perf_timeout, "Perf streams on which no byte moved for 30 seconds")                          \
    X(allocation_failures, "Connections or streams lost to a failed allocation")

typedef struct tern_counters {
#define TERN_COUNTER_FIELD(name, help) uint64_t name;
    TERN_COUNTERS(TERN_COUNTER_FIELD)
#undef TERN_COUNTER_FIELD
} tern_counters;

#endif
