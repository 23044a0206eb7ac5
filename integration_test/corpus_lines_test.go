package integration_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// commandLines are the single commands of the corpus. The generator picks among them with equal chance; what stands
// behind $ is described at corpus.token.
var commandLines = lines(`
SET $s $v
SET $s $v
SET $s $v EX $ex
SET $s $v PX $px NX
SET $s $v XX GET
SET $s $v EXAT $at
SET $s $v PXAT $patt KEEPTTL
SET $s $v KEEPTTL
SET $s $v NX GET
SET $s $v EX 0
SET $s $v NX XX
GET $s
GET $any
GETSET $s $v
GETDEL $s
GETEX $s
GETEX $s EX $ex
GETEX $s PXAT $patt
GETEX $s PERSIST
GETRANGE $s $n $n
SUBSTR $s 0 $n
SETRANGE $s $u $v
SETRANGE $s -1 x
SETRANGE $s 536870912 x
SETEX $s $ex $v
SETEX $s 0 $v
PSETEX $s $px $v
PSETEX $s -5 $v
SETNX $s $v
MSET $s $v $s $v
MSET $s $v $s
MSETNX $s $v $s $v
MGET $s $any $s none:1
APPEND $s $v
STRLEN $s
INCR $s
DECR $s
INCRBY $s $n
DECRBY $s $n
INCRBYFLOAT $s 0.5
INCRBYFLOAT $s 1e400
LCS $s $s
LCS $s $s LEN
LCS $s $s IDX MINMATCHLEN 1 WITHMATCHLEN
SETBIT $b $u $bit
SETBIT $b 4294967296 1
GETBIT $b $u
BITCOUNT $b
BITCOUNT $b 0 $n BIT
BITPOS $b $bit
BITPOS $b $bit $n $n BYTE
BITOP AND b:dst $b $b
BITOP XOR b:dst $b $b $b
BITOP NOT b:dst $b
BITOP NOT b:dst $b $b
BITFIELD $b SET u8 #0 $u GET u8 #0 INCRBY i5 100 $n
BITFIELD $b OVERFLOW FAIL INCRBY u2 10 3
BITFIELD $b GET u64 0
BITFIELD_RO $b GET u8 0 GET i4 2
HSET $h $f $v
HSET $h $f $v $f $v $f
HSET $h f1 $v f2 $v f3 $v
HMSET $h $f $v $f $v
HSETNX $h $f $v
HGET $h $f
HMGET $h $f $f nofield
HGETALL $h
HKEYS $h
HVALS $h
HLEN $h
HSTRLEN $h $f
HEXISTS $h $f
HDEL $h $f $f
HINCRBY $h n $n
HINCRBYFLOAT $h n 1.25
HSCAN $h 0 COUNT 1000
HSCAN $h 0 MATCH f[1-3] COUNT 1000
HRANDFIELD $h 0
LPUSH $l $v $v
RPUSH $l $v
LPUSHX $l $v
RPUSHX $l $v
LPOP $l
RPOP $l $u
LPOP $l -1
LLEN $l
LRANGE $l 0 -1
LRANGE $l $n $n
LINDEX $l $n
LINSERT $l BEFORE a $v
LSET $l $n $v
LREM $l $n a
LTRIM $l 0 20
LPOS $l a
LPOS $l a COUNT 0 MAXLEN 10
LPOS $l a RANK 0
LMOVE $l $l LEFT RIGHT
RPOPLPUSH $l $l
LMPOP 2 $l $l LEFT COUNT 2
LMPOP 0 $l LEFT
SADD $t $m $m $m
SADD $t 1 2 3
SREM $t $m
SCARD $t
SISMEMBER $t $m
SMISMEMBER $t $m $m zz
SMEMBERS $t
SMOVE $t $t $m
SINTER $t $t
SUNION $t $t
SDIFF $t $t
SINTERCARD 2 $t $t LIMIT 2
SINTERSTORE t:dst $t $t
SUNIONSTORE t:dst $t $t
SDIFFSTORE t:dst $t $t
SSCAN $t 0 COUNT 1000
SPOP $t 1000
SRANDMEMBER $t 1000
ZADD $z $w $m $w $m
ZADD $z NX $w $m
ZADD $z GT CH $w $m
ZADD $z XX INCR 1 $m
ZADD $z NX GT 1 a
ZADD $z nan a
ZINCRBY $z $w $m
ZSCORE $z $m
ZMSCORE $z $m $m none
ZCARD $z
ZCOUNT $z -inf +inf
ZCOUNT $z (1 5
ZLEXCOUNT $z [a (z
ZRANK $z $m
ZREVRANK $z $m
ZRANGE $z 0 -1
ZRANGE $z 0 -1 WITHSCORES
ZRANGE $z -inf +inf BYSCORE LIMIT 0 3
ZRANGE $z [a [z BYLEX
ZREVRANGE $z 0 $u WITHSCORES
ZRANGEBYSCORE $z -inf (10 WITHSCORES LIMIT 1 2
ZREVRANGEBYSCORE $z +inf -inf
ZRANGEBYLEX $z - +
ZRANGESTORE z:dst $z 0 3
ZREM $z $m
ZREMRANGEBYRANK $z 0 0
ZREMRANGEBYSCORE $z 100 200
ZREMRANGEBYLEX $z [a [b
ZPOPMIN $z
ZPOPMAX $z 2
ZMPOP 1 $z MIN COUNT 2
ZUNION 2 $z $z WITHSCORES
ZINTER 2 $z $z WEIGHTS 1 2 AGGREGATE MAX
ZDIFF 2 $z $z WITHSCORES
ZINTERCARD 2 $z $z
ZUNIONSTORE z:dst 2 $z $z WEIGHTS 2 3
ZINTERSTORE z:dst 2 $z $t
ZDIFFSTORE z:dst 2 $z $z
ZSCAN $z 0 COUNT 1000
ZRANDMEMBER $z 0
XADD $x $id $f $v $f $v
XADD $x $id $f $v
XADD $x $oldid a b
XADD $x NOMKSTREAM $id a b
XADD $x MAXLEN 10 $id a b
XADD $x 5-5 odd
XLEN $x
XRANGE $x - +
XRANGE $x $oldid + COUNT 2
XREVRANGE $x + - COUNT 3
XREAD COUNT 2 STREAMS $x $x 0 0
XREAD STREAMS $x 999999
XREAD STREAMS $x $x 0
XDEL $x $oldid
XTRIM $x MAXLEN 20
XTRIM $x MINID $oldid
XSETID $x 999999-0
XGROUP CREATE $x grp 0
XGROUP CREATE $x grp $ MKSTREAM
XGROUP CREATECONSUMER $x grp alice
XGROUP DELCONSUMER $x grp bob
XGROUP SETID $x grp 0
XGROUP DESTROY $x grp2
XGROUP NOSUCH $x
XREADGROUP GROUP grp alice COUNT 2 STREAMS $x >
XREADGROUP GROUP grp bob STREAMS $x 0
XREADGROUP GROUP nogrp bob STREAMS $x >
XACK $x grp $oldid
XPENDING $x grp
XCLAIM $x grp bob 0 $oldid JUSTID
XAUTOCLAIM $x grp bob 0 0 COUNT 2 JUSTID
XINFO STREAM $x
XINFO GROUPS $x
PFADD $p $v $v $m
PFCOUNT $p $p
PFMERGE p:dst $p $p
GEOADD $g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
GEOADD $g 200 100 nowhere
GEODIST $g Palermo Catania km
GEOPOS $g Palermo none
GEOHASH $g Palermo Catania
GEOSEARCH $g FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH
GEOSEARCHSTORE g:dst $g FROMMEMBER Palermo BYBOX 400 400 km
GEORADIUS $g 15 37 200 km WITHDIST DESC
GEORADIUSBYMEMBER_RO $g Palermo 100 km
DEL $any
DEL $any $any none:1
UNLINK $any
EXISTS $any $any $any
TOUCH $any $any
TYPE $any
OBJECT ENCODING $any
OBJECT REFCOUNT $any
OBJECT FREQ $any
OBJECT HELP
OBJECT NOSUCH $any
EXPIRE $any $ex
EXPIRE $any $ex NX
EXPIRE $any $ex GT
EXPIRE $any $ex NX XX
EXPIRE $any -1
EXPIRE $any 9223372036854775807
PEXPIRE $any $px XX
EXPIREAT $any $at LT
PEXPIREAT $any $patt
PEXPIREAT $any 1
PERSIST $any
TTL $any
PTTL $any
EXPIRETIME $any
PEXPIRETIME $any
RENAME $any $any
RENAMENX $any $any
COPY $any $any
COPY $any $any REPLACE
COPY $s s:9 DB 3 REPLACE
COPY $s $s DB 99
MOVE $s 2
MOVE $s 99
DUMP $s
DUMP none:1
RESTORE $s 0 "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb"
RESTORE $s $px "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb" REPLACE
RESTORE $s -1 "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb"
RESTORE $s 0 garbage
KEYS *
KEYS [hs]:[12]
KEYS "\x00*"
SCAN 0 COUNT 100000
SCAN 0 MATCH l:* COUNT 100000 TYPE list
SCAN 0 TYPE list COUNT
SCAN notacursor
DBSIZE
SORT $l ALPHA
SORT $l
SORT $t ALPHA LIMIT 0 3 DESC
SORT $l BY nosort GET s:* GET #
SORT $l ALPHA STORE l:dst
SORT_RO $l ALPHA
FLUSHDB
SWAPDB 0 1
SELECT 16
SELECT x
PING
PING $v
ECHO $v
ECHO
PUBLISH ch:9 $v
SPUBLISH ch:9 $v
PUBSUB CHANNELS
PUBSUB NUMSUB ch:1 ch:2
PUBSUB NUMPAT
PUBSUB SHARDCHANNELS
PUBSUB SHARDNUMSUB ch:1
PUBSUB NOSUCH
EVAL "return {KEYS[1],ARGV[1],ARGV[2]}" 1 $s $v $v
EVAL "return redis.call('SET',KEYS[1],ARGV[1])" 1 $s $v
EVAL "return redis.call('INCR',KEYS[1])" 1 $s
EVAL "return redis.call('LRANGE',KEYS[1],0,-1)" 1 $l
EVAL "redis.setresp(3) return redis.call('HGETALL',KEYS[1])" 1 $h
EVAL "return redis.pcall('LPUSH',KEYS[1],'x')" 1 $s
EVAL "return redis.call('NOSUCH')" 0
EVAL "return {1,2,{3,'a',{4}},nil,5}" 0
EVAL "return {err='MY own error'}" 0
EVAL "return redis.error_reply('ERR x')" 0
EVAL "return redis.status_reply('fine')" 0
EVAL "return 3.7" 0
EVAL "return {double=3.5}" 0
EVAL "return {map={a=1}}" 0
EVAL "return {big_number='12345678901234567890'}" 0
EVAL "return {verbatim_string={format='txt',string='x'}}" 0
EVAL "return true" 0
EVAL "return false" 0
EVAL "not lua" 0
EVAL "return 1" 5 a
EVAL "return 1" -1
EVAL "return 1" x
EVAL_RO "return redis.call('GET',KEYS[1])" 1 $s
EVAL_RO "return redis.call('SET',KEYS[1],'x')" 1 $s
EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 $s
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
SCRIPT LOAD "return 1"
SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db ffffffffffffffffffffffffffffffffffffffff
SCRIPT FLUSH
SCRIPT KILL
SCRIPT NOSUCH
FUNCTION LOAD REPLACE "#!lua name=lib\nredis.register_function('echo', function(keys, args) return {keys[1], args[1]} end)"
FUNCTION LIST
FUNCTION DELETE nolib
FUNCTION FLUSH
FCALL echo 1 $s $v
FCALL_RO echo 0
FCALL nofunc 0
CLIENT GETNAME
CLIENT SETNAME "no spaces"
CLIENT GETREDIR
CLIENT TRACKINGINFO
CLIENT CACHING YES
CLIENT NO-EVICT off
CLIENT UNBLOCK 999999
CLIENT UNPAUSE
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID 999999
CLIENT NOSUCH
CLIENT REPLY maybe
CONFIG GET maxmemory
CONFIG GET no-such-setting
CONFIG SET no-such-setting 1
CONFIG SET maxmemory-samples 7
CONFIG RESETSTAT
CONFIG NOSUCH
COMMAND COUNT
COMMAND COUNT extra
COMMAND INFO get nosuch
COMMAND DOCS get nosuch
COMMAND LIST
COMMAND LIST FILTERBY PATTERN x*
COMMAND GETKEYS SET a b
COMMAND GETKEYS EVAL x 2 a b c
COMMAND GETKEYS PING
COMMAND GETKEYSANDFLAGS LMOVE a b LEFT RIGHT
COMMAND NOSUCH
ACL WHOAMI
ACL CAT
ACL CAT geo
ACL USERS
ACL LIST
ACL GETUSER nouser
ACL DRYRUN default GET a
ACL LOG RESET
ACL NOSUCH
CLUSTER INFO
CLUSTER SLOTS
CLUSTER KEYSLOT a
READONLY
READWRITE
ASKING
SLOWLOG LEN
SLOWLOG RESET
LATENCY RESET
MEMORY USAGE none:1
MEMORY NOSUCH
MODULE LIST
REPLICAOF NO ONE
FAILOVER
RESTORE-ASKING a 0 x
OBJECT
XGROUP
EXEC
DISCARD
UNWATCH
`)

func lines(text string) []string {
	return strings.Split(strings.TrimSpace(text), "\n")
}

// alikeFor returns how to compare the replies to these arguments, or nil when the bytes must be equal.
func alikeFor(args []string) func(got, want string) bool {
	name := strings.ToUpper(args[0])
	if len(args) > 1 && (name == "ACL" || name == "COMMAND" || name == "PUBSUB") {
		name += " " + strings.ToUpper(args[1])
	}
	if name == "SORT" && slices.Contains(args, "nosort") { // of a set
		return sameElements
	}
	if name == "OBJECT" && len(args) > 1 && strings.EqualFold(args[1], "IDLETIME") { // counts whole seconds of the server's clock
		return func(got, want string) bool { return got[0] == want[0] }
	}
	switch name {
	case "SMEMBERS", "SINTER", "SUNION", "SDIFF", "SPOP", "SRANDMEMBER", "KEYS", "SCAN", "SSCAN",
		"ACL CAT", "COMMAND", "COMMAND INFO", "COMMAND LIST", "COMMAND DOCS", "PUBSUB CHANNELS", "PUBSUB SHARDCHANNELS":
		return sameElements
	case "TTL", "EXPIRETIME":
		return within(60)
	case "PTTL", "PEXPIRETIME":
		return within(60_000)
	case "DUMP": // the members of a set stand in the order of the hash function
		return func(got, want string) bool { return len(got) == len(want) }
	}
	return nil
}

func sameElements(got, want string) bool { return sortReply(got) == sortReply(want) }

// within compares integers that depend on when a command ran.
func within(most int) func(got, want string) bool {
	return func(got, want string) bool {
		g, gotErr := strconv.Atoi(strings.Trim(got, ":\r\n"))
		w, wantErr := strconv.Atoi(strings.Trim(want, ":\r\n"))
		if gotErr != nil || wantErr != nil || g <= 0 || w <= 0 {
			return got == want
		}
		return max(g-w, w-g) <= most
	}
}

// sortReply puts the elements of every array and set of a reply in order, and the pairs of every map.
func sortReply(raw string) string {
	v, err := parse(raw)
	if err != nil || v.elems == nil {
		return raw
	}
	return v.sorted()
}

func (v value) sorted() string {
	switch {
	case v.null:
		return string(v.kind) + "null"
	case v.elems == nil:
		return string(v.kind) + v.text
	}
	step := 1
	if v.kind == '%' {
		step = 2
	}
	var parts []string
	for i := 0; i+step <= len(v.elems); i += step {
		part := ""
		for _, e := range v.elems[i : i+step] {
			part += e.sorted() + "\n"
		}
		parts = append(parts, part)
	}
	slices.Sort(parts)
	return fmt.Sprintf("%c%d[%s]", v.kind, len(v.elems), strings.Join(parts, ","))
}
