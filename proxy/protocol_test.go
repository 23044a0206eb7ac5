package proxy

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/redcon"

	"sessiongate/resp"
)

// startPlainRedis starts a redis-server that listens on a UNIX socket alone, whose path it returns.
func startPlainRedis(t *testing.T, args ...string) (socket string) {
	t.Helper()
	dir := t.TempDir()
	socket = filepath.Join(dir, "redis.sock")
	cmd := exec.Command("redis-server", append([]string{"--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no",
		"--daemonize", "no", "--dir", dir}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_ = c.Close()
			return socket
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// startReader starts a server that is nothing but a reader and the answers to PING, ECHO and AUTH, in Redis's words.
func startReader(t *testing.T, password string) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "reader.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answer(conn, password)
		}
	}()
	return socket
}

func answer(conn net.Conn, password string) {
	defer func() { _ = conn.Close() }()
	r := newReader(conn, testLimits)
	authed := password == ""
	r.authed(authed)
	for {
		var out []byte
		err := r.fill()
		var broken protocolError
		if errors.As(err, &broken) {
			out = redcon.AppendError(out, "ERR Protocol error: "+string(broken))
		}
		for args, _, ok := r.next(); ok; args, _, ok = r.next() {
			name := strings.ToUpper(string(args[0]))
			switch {
			case name == "AUTH" && string(args[1]) == password:
				authed = true
				r.authed(true)
				out = redcon.AppendOK(out)
			case name == "PING" && len(args) == 1 && authed:
				out = redcon.AppendString(out, "PONG")
			case (name == "PING" || name == "ECHO") && len(args) == 2 && authed:
				out = redcon.AppendBulk(out, args[1])
			case name == "PING" || name == "ECHO":
				out = redcon.AppendError(out, errNoAuth)
			default:
				out = appendUnknown(out, args)
			}
		}
		if _, failed := conn.Write(out); err != nil || failed != nil {
			return
		}
	}
}

// exchange sends in and returns all that comes back until the server closes the connection. With half, it first says
// that nothing more will come, so that a server that waits for more closes it.
func exchange(t *testing.T, socket, in string, half bool) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, in) // the server may close before it has everything
	if half {
		_ = conn.(*net.UnixConn).CloseWrite()
	}
	out, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("%.60q: the connection stays open: %v, behind %.200q", in, err, out)
	}
	return string(out)
}

// alike fails unless both servers answer in with the same bytes, and close the connection by themselves or not.
func alike(t *testing.T, redis, reader, in string) {
	t.Helper()
	want, got := exchange(t, redis, in, true), exchange(t, reader, in, true)
	if got != want {
		t.Errorf("%.60q (%d bytes): got %q, Redis says %q", in, len(in), got, want)
		return
	}
	if strings.Contains(want, "Protocol error") {
		if got := exchange(t, reader, in, false); got != want {
			t.Errorf("%.60q (%d bytes), open: got %q, want %q", in, len(in), got, want)
		}
	}
}

const pong = "*1\r\n$4\r\nPING\r\n"

// nasty are inputs to which Redis and the reader say the same.
var nasty = []string{
	"", pong, pong + pong, pong + "*x\r\n" + pong, "*2\r\n$4\r\nPING\r\n$0\r\n\r\n", "*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\x00\xff\r\n",
	"*1\r\n$0\r\n\r\n", "*1\r\n$04\r\nPING\r\n",

	"*+1\r\n", "*01\r\n", "*1 \r\n", "* 1\r\n", "*\r\n", "*-\r\n", "*-0\r\n", "*00\r\n", "*1a\r\n", "*0x1\r\n", "*1.0\r\n", "**\r\n",
	"*-1\r\n" + pong, "*-5\r\n" + pong, "*0\r\n" + pong, "*-9223372036854775808\r\n" + pong,
	"*2147483648\r\n", "*9223372036854775807\r\n", "*9223372036854775808\r\n", "*-9223372036854775809\r\n", "*99999999999999999999999\r\n",
	"*1\n$4\r\nPING\r\n", "*1\n$4\nPING\n", "*1\r", "*1\r\n", "*1\x00\r\n$4\r\nPING\r\n", "*\x001\r\n",

	"*1\r\n$ 4\r\nPING\r\n", "*1\r\n$+4\r\nPING\r\n", "*1\r\n$4 \r\nPING\r\n", "*1\r\n$\r\n", "*1\r\n$-1\r\n", "*1\r\n$-0\r\n", "*1\r\n$-2\r\nPING\r\n",
	"*1\r\n$536870913\r\n", "*1\r\n$9223372036854775807\r\nx", "*1\r\n$9223372036854775808\r\nx", "*1\r\n$4\nPING\r\n", "*1\r\n$4\x00\r\nPING\r\n",
	"*2\r\n$4\r\nECHO\r\n$-1\r\n", "*2\r\n$4\r\nECHO\r\n*1\r\n$1\r\na\r\n",

	"*1\r\n:4\r\n", "*1\r\n+PING\r\n", "*1\r\nPING\r\n", "*1\r\n\r\n", "*1\r\n\n\r\n", "*1\r\n\x00\r\n", "*1\r\n\xff\r\n", "*1\r\n'\r\n", "*1\r\n%d\r\n",
	"*1\r\n*1\r\n$4\r\nPING\r\n", "*1\r\nP",

	"PING\r\n", "PING\n", "PING\r", "PING", "ping hello\r\n", "PING\r\n" + pong + "PING\n", "\r\n\r\n\n" + pong, "\n", "   \t\v\f\r\nPING\r\n",
	"$4\r\nPING\r\n", "$3 GET\r\n", "$-1\r\n", "+PING\r\n", ":1\r\n", "-\r\n", "%1\r\n", "{}\n", "\xff\xfe\r\n",
	"PI\rNG\n", "PING a\r\r\n", "PING\x00foo\r\n" + pong, "\x00\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
	`"PING"` + "\r\n", `"PING` + "\r\n", `PING "\x41\n\q\xzz"` + "\r\n", `PING 'a\'b\n'` + "\r\n", `P"ING"` + "\r\n", `"P"ING` + "\r\n", `PING ''` + "\r\n",
	"PING '\r\n", "PING \"\\\r\n", "ECHO a\vb\r\n", "ECHO \va\f\r\n",

	"*" + strings.Repeat("1", 65535), "*" + strings.Repeat("1", 65536), "*" + strings.Repeat("1", 65534) + "\r\n",
	"*1\r\n$" + strings.Repeat("1", 65535), "*1\r\n$" + strings.Repeat("1", 65536),
	strings.Repeat("a", 65536), strings.Repeat("a", 65537), strings.Repeat("a", 65535) + "\n", strings.Repeat("a ", 30000) + "\r\n",
	"PING\x00" + strings.Repeat("a\r\n", 30000), strings.Repeat("\r\n", 40000) + pong, strings.Repeat("*0\r\n", 20000) + pong,
	strings.Repeat(pong, 5000) + "*-1\r\n*1\r\n$x\r\n",
	"*2\r\n$4\r\nECHO\r\n$100000\r\n" + strings.Repeat("v", 100000) + "\r\n" + pong,
}

func TestProtocol_AsRedis(t *testing.T) {
	redis, reader := startPlainRedis(t), startReader(t, "")
	for _, in := range nasty {
		alike(t, redis, reader, in)
	}
	for _, whole := range []string{
		"*2\r\n$4\r\nPING\r\n$10\r\n0123456789\r\n" + pong + "PING x\r\n",
		"*-1\r\n\r\nPING 'a b'\n*1\r\n$4\r\nPING\r\n*1\r\n$-3\r\n",
		"*3\r\n$1\r\na\r\n$1\r\nb\r\n:1\r\n$1\r\nc\r\n",
	} {
		for i := range whole {
			alike(t, redis, reader, whole[:i])
		}
	}
}

// Before AUTH the limits are narrow; they end with it.
func TestProtocol_BeforeAuth(t *testing.T) {
	redis, reader := startPlainRedis(t, "--requirepass", "x"), startReader(t, "x")
	auth, long := wire("AUTH", "x"), wire("ECHO", strings.Repeat("v", 16385))
	eleven := wire(strings.Fields("NOSUCH 1 2 3 4 5 6 7 8 9 10")...)
	for _, in := range []string{
		pong, "PING\r\n", auth + pong, "AUTH x\r\n" + pong,
		"*10\r\n", "*11\r\n", "*2147483648\r\n", "*1\r\n$16384\r\n", "*1\r\n$16385\r\n", "*1\r\n$536870913\r\n",
		eleven, auth + eleven, auth + long, long, "AUTH x\r\n" + long, wire("ECHO", strings.Repeat("v", 16384)), pong + long,
		"*11\r\n$4\r\nPING", "*1048577\r\n",
	} {
		alike(t, redis, reader, in)
	}
}

// Redis doesn't look at the bytes where LF, or CR LF behind an argument, should be. The reader does: what it forwards must
// mean the same to everyone. And its limits don't depend on how the bytes were cut into packets.
func TestProtocol_Stricter(t *testing.T) {
	reader := startReader(t, "")
	for in, want := range map[string]protocolError{
		"*1\rX$4\r\nPING\r\n":                     errMbulkLength,
		"*1\r\n$4\rXPING\r\n":                     errBulkLength,
		"*1\r\n$4\r\nPINGXX":                      errBulkLength,
		"*1\r\n$4\r\nPING\n\r":                    errBulkLength,
		"*1048577\r\n":                            errMbulkLength, // a setting
		strings.Repeat("a", 65537) + "\r\n":       errInlineRequest,
		"*" + strings.Repeat("1", 66000) + "\r\n": errMbulkString,
	} {
		if got, want := exchange(t, reader, in, false), "-ERR Protocol error: "+string(want)+"\r\n"; got != want {
			t.Errorf("%.60q: got %q, want %q", in, got, want)
		}
	}
}

// Inline commands are split as Redis does, whatever is in the line.
func TestProtocol_Inline(t *testing.T) {
	socket := startPlainRedis(t)
	const prefix = `eval "return ARGV" 0 ` // answers with the arguments that follow
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var conn net.Conn
	for range 20_000 {
		line := make([]byte, rnd.IntN(12))
		for i := range line {
			line[i] = `ab 4x""''\\n`[rnd.IntN(12)]
			if rnd.IntN(10) == 0 {
				line[i] = "\t\v\f\r\b\xff\x80{$*"[rnd.IntN(10)]
			}
		}
		want := "-ERR Protocol error: " + string(errQuotes) + "\r\n"
		args, ok := splitInline(line)
		if ok {
			want = fmt.Sprintf("*%d\r\n", len(args))
			for _, a := range args {
				want += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
			}
		}
		if conn == nil {
			var err error
			if conn, err = net.Dial("unix", socket); err != nil {
				t.Fatal(err)
			}
		}
		if got := ask(t, conn, prefix+string(line)+"\n"); got != want {
			t.Fatalf("%q: got %q, Redis says %q", line, want, got)
		}
		if !ok {
			_ = conn.Close()
			conn = nil
		}
	}
	if conn != nil {
		_ = conn.Close()
	}
}

// ask sends a command and returns the reply to it.
func ask(t *testing.T, conn net.Conn, in string) string {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, in); err != nil {
		t.Fatal(err)
	}
	var out []byte
	buf := make([]byte, 1024)
	for {
		n, err := conn.Read(buf)
		out = append(out, buf[:n]...)
		if size, broken := resp.Len(out); size > 0 || broken != nil || err != nil {
			if size != len(out) {
				t.Fatalf("%q: reply %q, %v, %v", in, out, broken, err)
			}
			return string(out)
		}
	}
}
