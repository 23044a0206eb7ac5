package main

import (
	"context"
	"fmt"
)

// maxClients is how many clients each server has to take.
const maxClients = 8000

// startHAProxy starts Debian's HAProxy, in TCP mode and with one thread, as twemproxy has. It makes a connection to Redis for each client, and
// looks at no command.
func startHAProxy(ctx context.Context, p proxies) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	secure, err := p.securePort()
	if err != nil {
		return nil, err
	}
	addr, bind := "127.0.0.1:"+port, ""
	if secure != "" {
		bind = fmt.Sprintf("    bind %s ssl crt %s\n", secure, p.cert.both)
	}
	file, err := p.write("haproxy-"+port+".cfg", fmt.Sprintf(`global
    nbthread 1
    maxconn %d
defaults
    mode tcp
    maxconn %d
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen bench
    bind %s
%s    server redis %s
`, maxClients, maxClients, addr, bind, p.redis.addr))
	if err != nil {
		return nil, err
	}
	proxy, err := start(ctx, p.dir, "haproxy-"+port, addr, "haproxy", "-db", "-f", file)
	return proxy.with(secure), err
}
