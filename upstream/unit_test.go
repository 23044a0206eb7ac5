package upstream

import "testing"

// The slots are what CLUSTER KEYSLOT of redis-server 7.0.15 says.
func TestSlot(t *testing.T) {
	for _, c := range []struct {
		prefix, key string
		slot        int
	}{
		{"", "", 0}, {"", "123456789", 12739}, {"", "foo", 12182}, {"", "{foo}bar", 12182}, {"app:", "{foo}:sess", 12182},
		{"{foo}", "bar", 12182}, {"", "a{}{foo}", 700}, {"", "{}", 15257}, {"x{fo", "o}y", 12182},
	} {
		if got := Slot([]byte(c.prefix), []byte(c.key)); got != c.slot {
			t.Errorf("slot of %q + %q: %d, want %d", c.prefix, c.key, got, c.slot)
		}
	}
}
