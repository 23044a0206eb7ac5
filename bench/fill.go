package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/tidwall/redcon"
)

// fillBatch is how many commands fill sends before it reads the replies.
const fillBatch = 500

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
	for first := 0; first < keys; first += fillBatch {
		n := min(fillBatch, keys-first)
		out = out[:0]
		for i := range n {
			out = appendCommand(out, w.fill, first+i)
		}
		if _, err := conn.Write(out); err != nil {
			return err
		}
		for range n {
			reply, err := in.ReadString('\n')
			if err != nil {
				return err
			}
			if strings.HasPrefix(reply, "-") {
				return fmt.Errorf("%s: %s", w.fill[0], strings.TrimSpace(reply))
			}
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
