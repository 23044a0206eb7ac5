// The replays of the client matrix: it plays a conversation, as package replay reads them, with the server that the environment
// names, and prints TAP. The texts of several files are one conversation.
//
//	go run . lettuce.txt resp3.txt
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"time"

	"sessiongate/doctor/replay"
)

// longest is how long a conversation may take.
const longest = 50 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	failed, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if failed > 0 || err != nil {
		os.Exit(1)
	}
}

func run(ctx context.Context, files []string) (failed int, err error) {
	var text strings.Builder
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		text.Write(raw)
		text.WriteByte('\n')
	}
	all, err := replay.Parse(text.String())
	if err != nil {
		return 0, fmt.Errorf("%s: %w", strings.Join(files, "+"), err)
	}
	if len(all) != 1 {
		return 0, fmt.Errorf("%s: %d conversations, want one", strings.Join(files, "+"), len(all))
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	address := net.JoinHostPort(os.Getenv("REDIS_HOST"), os.Getenv("REDIS_PORT"))
	p := &replay.Player{
		Password: os.Getenv("REDIS_PASSWORD"),
		Rules:    os.Getenv("MODE") == "rules",
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
	}
	fmt.Printf("# version %s, replayed\n", all[0].Version)
	results := p.Play(ctx, all[0])
	for _, r := range results {
		if r.Err != nil {
			failed++
			fmt.Printf("not ok - %s: %s\n", r.Check, strings.ReplaceAll(r.Err.Error(), "\n", " "))
			continue
		}
		fmt.Printf("ok - %s\n", r.Check)
	}
	fmt.Printf("1..%d\n", len(results))
	return failed, nil
}
