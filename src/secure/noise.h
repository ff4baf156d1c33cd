/* Noise XX (libp2p specs, noise): /noise, Noise_XX_25519_ChaChaPoly_SHA256. */
#ifndef TERN_SECURE_NOISE_H
#define TERN_SECURE_NOISE_H

#include "core/secure.h"

extern const tern_secure tern_noise;

#endif
