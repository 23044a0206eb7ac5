package proxy

import "testing"

func TestWithoutAddresses(t *testing.T) {
	const info = "# Server\r\nredis_version:7.0.15\r\ntcp_port:6379\r\nexecutable:/usr/bin/redis-server\r\nconfig_file:/etc/r.conf\r\n" +
		"listener0:name=tcp,bind=127.0.0.1,port=6379\r\n\r\n# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n" +
		"master_link_status:up\r\nslave_read_only:1\r\nconnected_slaves:1\r\nslave0:ip=10.0.0.2,port=6379,state=online\r\n"
	const want = "# Server\r\nredis_version:7.0.15\r\ntcp_port:0\r\nexecutable:\r\nconfig_file:\r\n" +
		"\r\n# Replication\r\nrole:slave\r\nmaster_host:\r\nmaster_port:0\r\n" +
		"master_link_status:up\r\nslave_read_only:1\r\nconnected_slaves:1\r\n"
	if got := string(withoutAddresses([]byte(info))); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
