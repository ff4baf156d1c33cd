/* tern: libp2p's universal connectivity in C. Include this; link with -ltern (pkg-config libtern).
 */
#ifndef TERN_TERN_H
#define TERN_TERN_H

#include <tern/conn.h>
#include <tern/error.h>
#include <tern/key.h>
#include <tern/log.h>
#include <tern/multiaddr.h>
#include <tern/node.h>
#include <tern/peer_id.h>
#include <tern/perf.h>
#include <tern/psk.h>
#include <tern/stream.h>
#include <tern/sync.h>

#endif
