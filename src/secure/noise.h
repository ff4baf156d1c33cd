/* Noise XX (libp2p specs, noise): /noise, Noise_XX_25519_ChaChaPoly_SHA256, over any stream. */
#ifndef TERN_SECURE_NOISE_H
#define TERN_SECURE_NOISE_H

#include "core/secure.h"

/* begin and attach as core/secure.h says. An initiator's begin writes the first message; a
 * responder's writes nothing. Until attach the lower stream's events are whoever's took them: a
 * failure then resets the lower and leaves it to him; after attach it is reset and dropped. If the
 * lower closes before attach, cancel the op inside on_closed. op->stream holds the lower stream
 * from success on. */
extern const tern_secure tern_noise;

/* Our static X25519 key with the identity key's signature over it. One serves all handshakes of a
 * net for an hour, so that a handshake costs no signature; begin makes and renews the one in
 * net->noise. */
typedef struct tern_noise_identity tern_noise_identity;

/* TERN_E_NOMEM, TERN_E_STATE (key has no private part), TERN_E_CRYPTO. Takes a reference to key. */
int tern_noise_identity_new(tern_loop *loop, const tern_key *key, tern_noise_identity **ret);
/* Wipes the secret. Handshakes under way have copies. NULL is nothing. */
void tern_noise_identity_free(tern_noise_identity *identity);

#endif
