package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/tidwall/redcon"
)

// fillBatch is how many commands fill sends before it reads the replies, if they have no more than fillBytes.
const fillBatch, fillBytes = 500, 4 << 20

// fill makes the workload's keys through a target, so that it has them by the names that it uses and every
// measured command finds its key. The command's reply must be one line.
func fill(ctx context.Context, t target, w workload, keys int) error {
	conn, err := net.Dial("tcp", t.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(runTimeout)); err != nil {
		return err
	}

	in := bufio.NewReader(conn)
	var out []byte
	if t.auth != nil {
		if err := send(conn, in, appendCommand(nil, t.auth, 0), 1); err != nil {
			return fmt.Errorf("%s: %w", t.auth[0], err)
		}
	}
	batch := max(1, min(fillBatch, fillBytes/len(appendCommand(nil, w.fill, 0))))
	for first := 0; first < keys; first += batch {
		n := min(batch, keys-first)
		out = out[:0]
		for i := range n {
			out = appendCommand(out, w.fill, first+i)
		}
		if err := send(conn, in, out, n); err != nil {
			return fmt.Errorf("%s: %w", w.fill[0], err)
		}
	}
	return nil
}

// send sends commands and reads as many replies of one line, none of which may be an error.
func send(conn net.Conn, in *bufio.Reader, commands []byte, replies int) error {
	if _, err := conn.Write(commands); err != nil {
		return err
	}
	for range replies {
		reply, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(reply, "-") {
			return errors.New(strings.TrimSpace(reply))
		}
	}
	return nil
}

// appendCommand appends a command with the key's number in place, written as redis-benchmark writes it.
func appendCommand(dst []byte, args []string, key int) []byte {
	number := fmt.Sprintf("%012d", key)
	dst = redcon.AppendArray(dst, len(args))
	for _, arg := range args {
		dst = redcon.AppendBulkString(dst, strings.ReplaceAll(arg, keyNumber, number))
	}
	return dst
}

// flush empties Redis.
func flush(ctx context.Context, redis *process) error {
	return fill(ctx, target{addr: redis.addr}, workload{fill: []string{"FLUSHALL"}}, 1)
}
