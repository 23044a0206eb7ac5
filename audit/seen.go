package audit

// This file has what can be wrong with how long a key lives.

// born takes note of when the key, which is under a lifetime, expires, and of the birth that this tells.
func (k *seen) born(expiry int64) {
	k.expiry = expiry
	k.birth, k.grain = k.limits.Life.Born(expiry, k.now)
}

// expires takes note of another expiry.
func (k *seen) expires(expiry int64) {
	k.ttl = expiry - k.now
	if k.limits.Life.Span > 0 {
		k.born(expiry)
	}
}

// unborn returns the latest expiry up to that one that tells no birth, so that nothing invents one.
func (k *seen) unborn(expiry int64) int64 {
	for {
		if _, grain := k.limits.Life.Born(expiry, k.now); grain == 0 {
			return expiry
		}
		expiry--
	}
}

func (k *seen) noExpiry() bool { return k.ttl < 0 && k.limits.Initial > 0 }
func (k *seen) aboveMax() bool { return k.limits.Max > 0 && k.ttl > k.limits.Max }
func (k *seen) noBirth() bool  { return k.limits.Life.Span > 0 && k.grain == 0 }

// pastLifetime reports whether the key would live beyond its birth and lifetime, or already does.
func (k *seen) pastLifetime() bool { return k.grain > 0 && k.expiry > k.birth+k.limits.Life.Span }
