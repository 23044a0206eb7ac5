package proxy

import (
	"testing"

	"sessiongate/command"
)

func TestHidden(t *testing.T) {
	get, eval := command.ByName("GET"), command.ByName("EVAL")
	for _, c := range []struct {
		raw  string
		spec *command.Spec
		want string
	}{
		{"-MOVED 100 10.0.0.1:6379\r\n", get, errMoving},
		{"-ASK 100 10.0.0.1:6379\r\n", nil, errMoving},
		{"-MOVED 100 10.0.0.1:6379\r\n", eval, errUnsure},
		{"-MOVED here\r\n", eval, "-MOVED here\r\n"},
		{"-TRYAGAIN x\r\n", get, "-TRYAGAIN x\r\n"},
		{"$1\r\na\r\n", get, "$1\r\na\r\n"},
	} {
		if got := string((&Session{}).hiddenOf(c.spec, []byte(c.raw))); got != c.want {
			t.Errorf("%q is shown as %q, want %q", c.raw, got, c.want)
		}
	}
}
