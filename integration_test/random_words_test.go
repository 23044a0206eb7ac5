package integration_test

import (
	"strconv"
	"strings"
)

// keyFor names a key of the type that the command works on, or, one time in fifteen, of another.
func (s *speaker) keyFor(d *documented) string {
	kinds := map[string]string{
		"string": "s", "bitmap": "b", "hash": "h", "list": "l", "set": "t", "sorted-set": "z", "stream": "x", "hyperloglog": "p", "geo": "g",
	}
	kind, found := kinds[d.group]
	switch {
	case strings.HasPrefix(d.name, "sort") && s.IntN(10) > 0:
		kind = pick(s.corpus, []string{"l", "l", "t", "z"})
	case !found:
		kind = pick(s.corpus, []string{"s", "s", "s", "b", "h", "l", "t", "z", "x", "p", "g"})
	}
	return s.key(kind)
}

// key names one of some sixty keys. There are odd names among them: of bytes, of characters that mean something in
// patterns, of names that others have in front of theirs.
func (s *speaker) key(kind string) string {
	if s.IntN(15) == 0 {
		kind = pick(s.corpus, []string{"s", "b", "h", "l", "t", "z", "x", "p", "g"})
	}
	switch s.IntN(40) {
	case 0:
		return pick(s.corpus, []string{kind + ":*", kind + ":[a-z]?", "*", "\x00bin\r\n", "", kind, "ünï:" + kind, "\\"})
	case 1:
		if s.secret {
			return "theirs:" + kind + ":1"
		}
		return pick(s.corpus, []string{"app:" + kind + ":1", "app:", "app:app:x", "ap"})
	case 2:
		if s.limit > 0 {
			return kind + strings.Repeat("k", pick(s.corpus, []int{511, 512, 510}))
		}
	}
	return kind + ":" + strconv.Itoa(1+s.IntN(4))
}

// word makes an argument, by its name or else by its type.
func (s *speaker) word(d *documented, g grammar) string {
	if g.name != "timeout" && g.token != "BLOCK" && s.IntN(50) == 0 {
		return pick(s.corpus, nonsense)
	}
	num := func(from, n int) string { return strconv.Itoa(from + s.IntN(n)) }
	switch g.name {
	case "seconds":
		if g.token == "IDLETIME" {
			return num(0, 100)
		}
		return s.time(1, false)
	case "milliseconds":
		if g.token == "BLOCK" {
			return pick(s.corpus, []string{"1", "3", "-1", "x"})
		}
		return s.time(1000, false)
	case "ttl":
		return pick(s.corpus, []string{"0", "0", "0", s.time(1000, false), s.time(1000, true)})
	case "unix-time-seconds", "unix-time":
		return s.time(1, true)
	case "unix-time-milliseconds":
		return s.time(1000, true)
	case "timeout":
		if d.name == "wait" {
			return pick(s.corpus, []string{"1", "5"})
		}
		return pick(s.corpus, []string{"0.01", "0.001", "0.0001", "1e-3", "-1", "x", ""})
	case "numreplicas":
		return pick(s.corpus, []string{"0", "1", "-1", "x"})
	case "value", "message", "pivot":
		if d.group == "bitmap" {
			return num(0, 2)
		}
		if d.group == "server" {
			return num(0, 2)
		}
		return s.val()
	case "element":
		if s.IntN(2) == 0 {
			return num(1, 4) // SORT can take it for the end of a name
		}
		return s.val()
	case "member", "member1", "member2", "field":
		if s.IntN(30) == 0 {
			return s.val()
		}
		return pick(s.corpus, []string{"m1", "m2", "m3", "f1", "f2", "1", "2", "3", "-7", "\x00\xff"})
	case "offset":
		switch {
		case d.name == "setrange":
			return pick(s.corpus, []string{num(0, 300), strconv.Itoa(s.limit - 1), strconv.Itoa(s.limit), "-1", "536870912"})
		case d.group == "bitmap":
			return pick(s.corpus, []string{num(0, 3000), strconv.Itoa(s.limit*8 - 1), strconv.Itoa(s.limit * 8), "-1", "4294967296", "#" + num(0, 9), "#" + strconv.Itoa(s.limit)})
		}
		return num(-1, 4)
	case "bit":
		return num(0, 2)
	case "encoding":
		return pick(s.corpus, []string{"u8", "i5", "u1", "i64", "u63", "i16", "u64", "q"})
	case "operation":
		return pick(s.corpus, []string{"AND", "or", "XOR", "NOT"})
	case "longitude", "latitude":
		return pick(s.corpus, []string{"13.361389", "15.087269", "38.115556", "37.5", "0", "-90", "181"})
	case "radius", "width", "height":
		return pick(s.corpus, []string{"200", "100000", "0", "-1", "0.5"})
	case "group", "groupname":
		return pick(s.corpus, []string{"grp", "grp", "grp", "grp2", "none"})
	case "consumer", "consumername":
		return pick(s.corpus, []string{"alice", "bob"})
	case "id", "last-id", "max_deleted_entry_id", "start", "end", "threshold", "stop":
		if d.group == "stream" {
			return s.streamID(d, g)
		}
		if d.group == "sorted-set" {
			return s.bound(d)
		}
	case "min-idle-time":
		return pick(s.corpus, []string{"0", "0", "0", "1", "3600000"})
	case "min", "max":
		return s.bound(d)
	case "numkeys":
		return "1"
	case "index", "db", "destination-db", "index1", "index2":
		if d.group == "list" {
			return num(-4, 9)
		}
		return pick(s.corpus, []string{"0", "1", "1", "0", "16", "-1", "x"})
	case "cursor":
		return pick(s.corpus, []string{"0", "0", "0", num(0, 100), "18446744073709551615", "x"})
	case "type":
		return pick(s.corpus, []string{"string", "hash", "list", "zset", "nosuch"})
	case "pattern":
		return s.pattern(d, g)
	case "serialized-value":
		return pick(s.corpus, s.payloads)
	case "channel", "shardchannel":
		return s.topic()
	case "sha1":
		return s.sha()
	case "script":
		text, _ := s.text()
		s.scripts = append(s.scripts, text)
		return text
	case "function":
		return pick(s.corpus, []string{"echo", "nofunc"})
	case "function-code":
		return pick(s.corpus, []string{"#!lua name=lib\nredis.register_function('echo', function(keys, args) return {args[1]} end)", "not lua", "#!lua name=lib\n"})
	case "library-name", "library-name-pattern":
		return pick(s.corpus, []string{"lib", "nolib", "l*"})
	case "command", "command-name":
		return pick(s.corpus, []string{"get", "set", "xgroup|create", "nosuch", "eval", "client"})
	case "protover":
		return pick(s.corpus, []string{"2", "3", "3", "4", "x"})
	case "section":
		return pick(s.corpus, []string{"keyspace", "server", "clients", "all", "commandstats"})
	case "parameter":
		return pick(s.corpus, []string{"maxmemory", "save", "*", "requirepass", "notify-keyspace-events"})
	case "username", "password", "clientname", "connection-name":
		return pick(s.corpus, []string{"default", "nobody", "me", "a b", ""})
	case "prefix":
		return pick(s.corpus, []string{"", "s:", "h", s.key("s")})
	case "ip:port":
		return "1.2.3.4:5"
	case "host", "ip":
		return "127.0.0.1"
	case "path":
		return "/nonexistent"
	}
	switch g.kind {
	case "integer":
		if s.IntN(12) == 0 {
			return pick(s.corpus, []string{"0", "9223372036854775807", "-9223372036854775808", "1.5", "100000"})
		}
		return num(-3, 12)
	case "double":
		return pick(s.corpus, []string{"1", "-2.5", "3e2", "0.1", "inf", "-inf", "17", "1e300", "nan"})
	case "pattern":
		return s.pattern(d, g)
	}
	return pick(s.corpus, words)
}

// val makes a value: mostly a short one, now and then one whose length is about the limit.
func (s *speaker) val() string {
	switch p := s.IntN(200); {
	case p < 3 && s.limit > 0:
		return strings.Repeat("v", s.limit+pick(s.corpus, []int{-1, 0, 1}))
	case p < 4:
		return s.value()
	case p < 60:
		return strconv.Itoa(s.IntN(2000) - 300)
	case p < 80:
		return pick(s.corpus, nonsense)
	case p < 120:
		b := make([]byte, s.IntN(40))
		for i := range b {
			b[i] = byte(s.IntN(256))
		}
		return string(b)
	case p < 124 && !s.secret:
		return "app:" + pick(s.corpus, words)
	}
	return pick(s.corpus, words)
}

// time makes an expiry, after now or since 1970, in units of which so many make a second. Two servers don't run a command
// at the same millisecond, so where they are compared no expiry comes true while the test runs.
func (s *speaker) time(unit int, absolute bool) string {
	start := 0
	if absolute {
		start = int(s.base.UnixMilli()) * unit / 1000
	}
	switch s.IntN(12) {
	case 0:
		return strconv.Itoa(start)
	case 1:
		return strconv.Itoa(start - 1000*unit)
	case 2:
		return pick(s.corpus, []string{"0", "-1", "1.5", "x", "", "9223372036854775807", "-9223372036854775808", "9223372036854775", "99999999999"})
	case 3:
		if !s.alike {
			return strconv.Itoa(start + 1 + s.IntN(3*unit))
		}
	case 4:
		return strconv.Itoa(start + 43200*unit + s.IntN(3) - 1)
	case 5, 6:
		return strconv.Itoa(start + (50_000+s.IntN(10_000_000))*unit)
	}
	return strconv.Itoa(start + (4000+s.IntN(40_000))*unit + s.IntN(unit))
}

func (s *speaker) streamID(d *documented, g grammar) string {
	switch {
	case d.name == "xadd" && g.name == "id" && s.IntN(8) > 0:
		return s.token("id")
	case g.name == "threshold":
		return pick(s.corpus, []string{strconv.Itoa(s.IntN(20)), s.token("oldid")})
	case s.IntN(3) == 0:
		return pick(s.corpus, []string{"-", "+", "0", "0-0", "5", "(3", "x", "99999999-0"})
	case (d.name == "xread" || d.name == "xreadgroup") && s.IntN(2) == 0:
		return pick(s.corpus, []string{">", "$", "0"})
	}
	return s.token("oldid")
}

func (s *speaker) bound(d *documented) string {
	switch {
	case strings.Contains(d.name, "lex"):
		return pick(s.corpus, []string{"-", "+", "[a", "(m2", "[m3", "a"})
	case strings.Contains(d.name, "score") || d.name == "zcount":
		return pick(s.corpus, []string{"-inf", "+inf", "(1", "5", "(300", "x"})
	}
	return pick(s.corpus, []string{"0", "-1", "2", "-inf", "+inf", "[a", "[m3", "-", "+", "(1"})
}

// pattern is for names of keys, or for what SORT looks up.
func (s *speaker) pattern(d *documented, g grammar) string {
	switch {
	case d.group == "pubsub" || strings.HasPrefix(d.name, "pubsub"):
		return s.topic()
	case strings.HasPrefix(d.name, "sort") && g.token == "GET":
		return pick(s.corpus, []string{"#", "s:*", "h:*->f1", "h:1->*", "s:1", "z:*", "*", "none:*"})
	case strings.HasPrefix(d.name, "sort"):
		list := []string{"s:*", "h:*->f1", "w:*", "s:*->x", "nosort"}
		if s.alike {
			list = list[:3]
		}
		return pick(s.corpus, list)
	case strings.HasSuffix(d.name, "scan") && d.group != "generic" || d.name == "command|list":
		return pick(s.corpus, []string{"*", "m?", "[a-z]*", "f1", ""})
	}
	return pick(s.corpus, []string{"*", "s:*", "[sl]:?", "*1", "\\*", "?:[12]", "", "h:1", "*[^a]", "[", s.key("s")})
}

func (s *speaker) topic() string {
	list := []string{"ch:1", "ch:*", "*", "\x00c", "ch:[12]"}
	if !s.alike {
		list = append(list, "__keyspace@0__:*", "__keyevent@0__:*", "__key*__:*", "__keyspace@0__:s:1", "__redis__:invalidate")
	}
	return pick(s.corpus, list)
}
