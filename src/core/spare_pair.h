/* The key pair of the next key exchange (X25519), made while the node waits for its peers anyway:
 * neither side of a handshake then waits for one of its three multiplications. On a home router
 * that is a millisecond or two. */
#ifndef TERN_CORE_SPARE_PAIR_H
#define TERN_CORE_SPARE_PAIR_H

#include "core/net.h"
#include "crypto/symmetric.h"

typedef struct tern_spare_pair tern_spare_pair;

/* For net->spare. NULL when memory is short, which a net can do without. */
tern_spare_pair *tern_spare_pair_new(void);
/* Wipes it; NULL is nothing. */
void tern_spare_pair_free(tern_spare_pair *spare);

/* A pair that nobody has had: the net's spare one, where it has one, or one made now. The next
 * spare one is made after this turn of the loop, when what it says has left. 0 or TERN_E_CRYPTO;
 * wipe it when it has served. */
int tern_spare_pair_take(tern_net *net, tern_x25519_pair *ret);

#endif
