package integration_test

// dumpTen is what DUMP gives for the string "10".
const dumpTen = `"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb"`

var governedCases = []governed{
	{"SET", `
		SET a v
		GET a
		? TTL a`, "a 1800"},
	{"SET on an expiring key begins anew", `
		SET a v EX 100
		SET a w`, "a 1800"},
	{"SET EX", `
		SET a v EX 100
		TTL a
		PTTL a
		EXPIRETIME a
		PEXPIRETIME a`, "a 100"},
	{"SET EX above the maximum", `
		SET a v EX 999999
		? TTL a`, "a 43200"},
	{"SET PX", `
		SET a v PX 100000
		set b v px 999999000 nx`, "a 100, b 43200"},
	{"SET EXAT", `
		SET a v EXAT now+100
		SET b v EXAT now+999999`, "a 100, b 43200"},
	{"SET PXAT", `
		SET a v PXAT nowms+100000
		SET b v GET PXAT nowms+999999000`, "a 100, b 43200"},
	{"SET EXAT in the past", `
		SET a v EXAT 1
		GET a
		EXISTS a`, ""},
	{"SET KEEPTTL", `
		SET a v KEEPTTL
		SET b v EX 77
		SET b w KEEPTTL
		@ SET ~c old
		SET c new KEEPTTL
		@ SET ~d old EX 999999
		SET d new KEEPTTL XX`, "a 1800, b 77, c 1800, d 43200"},
	{"SET NX XX GET", `
		SET a v NX
		SET a w NX
		SET a w XX
		SET b w XX
		SET a x GET
		SET b y GET
		SET b y2 NX GET
		SET c z NX GET
		GET a
		GET b`, "a 1800, b 1800, c 1800"},
	{"SET that doesn't happen leaves the expiry", `
		SET a v EX 77
		SET a w NX
		SET a w NX EX 500
		SET a w NX GET`, "a 77"},
	{"SET errors", `
		SET a v EX 77
		SET a
		SET a v EX
		SET a v EX 0
		SET a v EX -1
		SET a v EX 1.5
		SET a v EX abc
		SET a v EX ""
		SET a v EX " 5"
		SET a v EX 9223372036854775807
		SET a v EX 9223372036854775
		SET a v PX 9223372036854775807
		SET a v PX 0
		SET a v PX -9223372036854775808
		SET a v EX 99999999999999999999
		SET a v EXAT 0
		SET a v EXAT -5
		SET a v PXAT 9223372036854775808
		SET a v EX 10 PX 10
		SET a v EX 10 KEEPTTL
		SET a v KEEPTTL EXAT 5
		SET a v NX XX
		SET a v FOO
		SET a v EX 10 FOO
		SET a v PERSIST
		GET a`, "a 77"},
	{"SET over another type", `
		@ RPUSH ~l 1
		SET l v GET
		TYPE l
		SET l v
		TYPE l`, "l 1800"},
	{"SETEX", `
		SETEX a 100 v
		SETEX b 999999 v
		PSETEX c 100000 v
		PSETEX d 999999000 v`, "a 100, b 43200, c 100, d 43200"},
	{"SETEX errors", `
		SET a v EX 77
		SETEX a 0 v
		SETEX a -1 v
		SETEX a abc v
		SETEX a 1.5 v
		SETEX a 9223372036854775807 v
		SETEX a 100
		SETEX a 100 v x
		PSETEX a 0 v
		PSETEX a -5 v
		PSETEX a 9223372036854775807 v
		PSETEX a v`, "a 77"},
	{"SETNX", `
		SETNX a v
		SETNX a w
		GET a
		@ RPUSH ~l 1
		SETNX l v
		TYPE l
		SETNX a
		SETNX a b c`, "a 1800"},
	{"SETNX on an expiring key leaves it", `
		SET a v EX 77
		SETNX a w`, "a 77"},
	{"GETSET", `
		GETSET a v
		GETSET a w
		SET b v EX 77
		GETSET b w
		@ RPUSH ~l 1
		GETSET l v
		GETSET a
		GET a`, "a 1800, b 1800"},
	{"GETDEL", `
		SET a v
		GETDEL a
		GETDEL a
		@ RPUSH ~l 1
		GETDEL l
		GETDEL`, ""},
	{"GETEX", `
		SET a v EX 77
		GETEX a
		SET b v
		GETEX b EX 100
		SET c v
		GETEX c PX 999999000
		SET d v EX 77
		GETEX d PERSIST
		SET e v
		GETEX e EXAT now+999999
		SET f v
		GETEX f PXAT nowms+100000
		SET g v
		GETEX g EXAT 1
		GET g
		GETEX none EX 100
		GETEX none PERSIST
		@ RPUSH ~l 1
		GETEX l EX 100`, "a 77, b 100, c 43200, d 43200, e 43200, f 100"},
	{"GETEX errors", `
		SET a v EX 77
		GETEX a EX 0
		GETEX a EX -1
		GETEX a EX abc
		GETEX a EX
		GETEX a PX 9223372036854775807
		GETEX a EX 10 PX 10
		GETEX a EX 10 PERSIST
		GETEX a KEEPTTL
		GETEX a FOO
		GETEX`, "a 77"},
	{"MSET", `
		MSET a 1 b 2
		MGET a b c
		SET c v EX 77
		MSET c 1 c 2
		MSET a
		MSET a 1 b
		MSET
		@ RPUSH ~l 1
		MSET l v d 4
		MGET a b c l d`, "a 1800, b 1800, c 1800, d 1800, l 1800"},
	{"MSETNX", `
		MSETNX a 1 b 2
		MSETNX b 3 c 4
		SET d v EX 77
		MSETNX e 1 d 2
		MSETNX a
		MSETNX a 1 b
		MGET a b c d e`, "a 1800, b 1800, d 77"},
	{"APPEND", `
		APPEND a v
		APPEND a w
		SET b v EX 77
		APPEND b w
		APPEND c ""
		@ SET ~d v
		APPEND d w
		@ SET ~e v EX 999999
		APPEND e w
		@ RPUSH ~l 1
		APPEND l v
		APPEND a
		MGET a b c d e`, "a 1800, b 77, c 1800, d 1800, e 43200"},
	{"SETRANGE", `
		SETRANGE a 5 hello
		SET b hello EX 77
		SETRANGE b 1 u
		SETRANGE c 0 ""
		SETRANGE b 2 ""
		SETRANGE b -1 x
		SETRANGE b x x
		SETRANGE b 536870912 x
		SETRANGE b 9223372036854775807 x
		@ RPUSH ~l 1
		SETRANGE l 0 x
		SETRANGE a 0
		MGET a b c`, "a 1800, b 77"},
	{"SETBIT", `
		SETBIT a 7 1
		SETBIT a 7 0
		SET b v EX 77
		SETBIT b 100 1
		SETBIT b -1 1
		SETBIT b 4294967296 1
		SETBIT b 0 2
		SETBIT b x 1
		@ RPUSH ~l 1
		SETBIT l 0 1
		GETBIT a 7
		GETBIT b 100
		GETBIT l 0`, "a 1800, b 77"},
	{"BITFIELD", `
		BITFIELD a SET u8 0 200 GET u8 0 INCRBY i8 #1 -3
		BITFIELD none GET u8 0
		BITFIELD none
		SET b v EX 77
		BITFIELD b OVERFLOW FAIL INCRBY u2 0 3 OVERFLOW SAT INCRBY u2 2 9
		BITFIELD b SET u64 0 1
		BITFIELD b SET u8 x 1
		BITFIELD b FOO
		BITFIELD b GET u8
		BITFIELD_RO b GET u8 0 GET i4 4
		BITFIELD_RO b SET u8 0 1
		@ RPUSH ~l 1
		BITFIELD l GET u8 0
		MGET a b`, "a 1800, b 77"},
	{"BITOP", `
		MSET a abc b abd
		BITOP AND c a b
		BITOP OR d a b
		BITOP XOR e a b
		BITOP NOT f a
		BITOP AND g none none2
		SET h v EX 77
		BITOP AND h a b
		SET i v EX 77
		BITOP OR i none
		BITOP NOT c a b
		BITOP FOO c a
		BITOP AND c
		@ RPUSH ~l 1
		BITOP AND c a l
		MGET c d e f g h i`, "a 1800, b 1800, c 1800, d 1800, e 1800, f 1800, h 1800"},
	{"INCR", `
		INCR a
		INCRBY a 5
		DECR b
		DECRBY b 7
		INCRBYFLOAT c 1.5
		INCRBYFLOAT c -0.25
		SET d 10 EX 77
		INCR d
		INCRBYFLOAT d 0.5
		INCR d
		SET e text EX 77
		INCR e
		INCRBY e 1
		INCRBYFLOAT e 1
		SET f 9223372036854775807 EX 77
		INCR f
		INCRBY a x
		INCRBY a
		DECRBY a -9223372036854775808
		INCRBYFLOAT a nan
		INCRBYFLOAT a 1e4000
		@ RPUSH ~l 1
		INCR l
		@ SET ~g 5
		INCR g
		MGET a b c d e f g`, "a 1800, b 1800, c 1800, d 77, e 77, f 77, g 1800"},
	{"LCS", `
		MSET a ohmytext b mynewtext
		LCS a b
		LCS a b LEN
		LCS a b IDX MINMATCHLEN 3 WITHMATCHLEN
		LCS a none
		LCS a b FOO
		LCS a
		@ RPUSH ~l 1
		LCS a l`, "a 1800, b 1800"},
	{"reads", `
		SET a "hello \x00\r\n world" EX 77
		GET a
		GETRANGE a 2 -3
		SUBSTR a 0 3
		GETRANGE a x 3
		STRLEN a
		GETBIT a 3
		BITCOUNT a
		BITCOUNT a 0 2 BIT
		BITCOUNT a 0
		BITPOS a 1
		BITPOS a 0 1 2 BYTE
		BITPOS a 2
		MGET a none a
		GET none
		STRLEN none
		GETRANGE none 0 1
		@ RPUSH ~l 1
		GET l
		MGET a l
		STRLEN l
		GET
		GET a b`, "a 77"},
	{"EXPIRE", `
		SET a v
		EXPIRE a 100
		SET b v
		EXPIRE b 999999
		SET c v
		EXPIRE c 0
		SET d v
		EXPIRE d -5
		EXPIRE none 100
		EXISTS c d none
		@ RPUSH ~l 1
		EXPIRE l 999999`, "a 100, b 43200, l 43200"},
	{"EXPIRE with conditions", `
		SET a v EX 77
		EXPIRE a 100 NX
		EXPIRE a 100 GT
		EXPIRE a 50 GT
		SET b v EX 77
		EXPIRE b 100 LT
		EXPIRE b 50 lt
		SET c v EX 77
		EXPIRE c 999999 GT
		SET d v EX 77
		EXPIRE d 999999 XX
		@ SET ~e v
		EXPIRE e 999999 NX
		SET f v EX 77
		EXPIRE f -1 LT
		EXPIRE none 100 XX`, "a 100, b 50, c 43200, d 43200, e 43200"},
	{"EXPIRE errors", `
		SET a v EX 77
		EXPIRE a abc
		EXPIRE a 1.5
		EXPIRE a ""
		EXPIRE a 9223372036854775807
		EXPIRE a -9223372036854775808
		EXPIRE a 9223372036854775
		EXPIRE a 100 NX XX
		EXPIRE a 100 GT LT
		EXPIRE a 100 NX GT
		EXPIRE a 100 FOO
		EXPIRE a
		PEXPIRE a 9223372036854775807
		PEXPIRE a x
		EXPIREAT a x
		PEXPIREAT a x
		PEXPIREAT a`, "a 77"},
	{"PEXPIRE", `
		SET a v
		PEXPIRE a 100000
		SET b v
		PEXPIRE b 999999000
		SET c v
		PEXPIRE c -1`, "a 100, b 43200"},
	{"EXPIREAT", `
		SET a v
		EXPIREAT a now+100
		SET b v
		EXPIREAT b now+999999
		SET c v
		EXPIREAT c 1
		SET d v
		PEXPIREAT d nowms+100000
		SET e v
		PEXPIREAT e nowms+999999000
		SET f v
		PEXPIREAT f 1000
		SET g v EX 77
		EXPIREAT g now+999999 GT
		EXISTS c f`, "a 100, b 43200, d 100, e 43200, g 43200"},
	{"PERSIST", `
		SET a v EX 77
		PERSIST a
		? PERSIST a
		PERSIST none
		PERSIST
		@ RPUSH ~l 1
		? PERSIST l`, "a 43200"},
	{"TTL of nothing", `
		TTL none
		PTTL none
		EXPIRETIME none
		PEXPIRETIME none
		TTL
		TTL a b`, ""},
	{"RENAME", `
		SET a v EX 77
		RENAME a b
		@ SET ~c v
		RENAME c d
		@ SET ~e v EX 999999
		RENAME e f
		SET g v
		SET h w EX 50
		RENAME g h
		RENAME none x
		RENAME b b
		RENAME b
		@ RPUSH ~l 1 2
		RENAME l m
		MGET a b c d e f g h`, "b 77, d 1800, f 43200, h 1800, m 1800"},
	{"RENAMENX", `
		SET a v EX 77
		RENAMENX a b
		SET c v EX 50
		RENAMENX c b
		RENAMENX none x
		@ SET ~d v
		RENAMENX d e`, "b 77, c 50, e 1800"},
	{"COPY", `
		SET a v EX 77
		COPY a b
		COPY a b
		COPY a c REPLACE
		COPY a d DB 1
		COPY a d DB 1
		@ SET ~e v
		COPY e f
		COPY e g DB 1 REPLACE
		@ SET ~h v EX 999999
		COPY h i
		@ RPUSH ~l 1 2
		COPY l m
		COPY a a
		COPY a x DB 99
		COPY a x DB abc
		COPY a x FOO
		COPY none x
		COPY a`, "a 77, b 77, c 77, 1/d 77, f 1800, 1/g 1800, i 43200, m 1800"},
	{"MOVE", `
		SET a v EX 77
		MOVE a 1
		MOVE a 1
		@ SET ~b v
		MOVE b 1
		@ SET ~c v EX 999999
		MOVE c 1
		SET d v EX 77
		MOVE d 0
		MOVE d 99
		MOVE d abc
		MOVE d
		MOVE none 1
		SELECT 1
		GET a
		SELECT 0`, "1/a 77, 1/b 1800, 1/c 43200, d 77"},
	{"SELECT", `
		SET a zero
		SELECT 1
		GET a
		SET a one
		GET a
		SELECT 0
		GET a
		SELECT 99
		SELECT abc
		GET a`, "a 1800, 1/a 1800"},
	{"DUMP and RESTORE", `
		SET a 10
		DUMP a
		DUMP none
		RESTORE b 0 ` + dumpTen + `
		RESTORE c 100000 ` + dumpTen + `
		RESTORE d 999999000 ` + dumpTen + `
		RESTORE e nowms+100000 ` + dumpTen + ` ABSTTL
		RESTORE f nowms+999999000 ` + dumpTen + ` ABSTTL
		RESTORE b 0 ` + dumpTen + `
		RESTORE b 77000 ` + dumpTen + ` REPLACE
		RESTORE g 0 ` + dumpTen + ` IDLETIME 5
		RESTORE h 1000 ` + dumpTen + ` ABSTTL
		RESTORE x -1 ` + dumpTen + `
		RESTORE x abc ` + dumpTen + `
		RESTORE x 0 garbage
		RESTORE x 0 ` + dumpTen + ` FOO
		RESTORE x 0 ` + dumpTen + ` IDLETIME -1
		RESTORE x 0
		EXISTS h x
		MGET a b c d e f g`, "a 1800, b 77, c 100, d 43200, e 100, f 43200, g 1800"},
	{"DEL, EXISTS, TOUCH, TYPE", `
		MSET a 1 b 2 c 3 d 4
		EXISTS a a b none
		TOUCH a b none
		DEL a none a
		UNLINK b c none
		TYPE d
		TYPE none
		@ RPUSH ~l 1
		TYPE l
		EXISTS l
		DEL l
		DEL
		UNLINK
		EXISTS a b c d`, "d 1800"},
	{"OBJECT", `
		SET a 10
		SET b "some text that is longer than forty-four bytes, certainly"
		OBJECT ENCODING a
		OBJECT ENCODING b
		OBJECT ENCODING none
		OBJECT REFCOUNT a
		OBJECT REFCOUNT b
		OBJECT IDLETIME a
		OBJECT FREQ a
		OBJECT NOSUCH a
		OBJECT
		OBJECT ENCODING`, "a 1800, b 1800"},
	{"KEYS", `
		MSET a 1 b 2 ab 3 "sp ace" 4 "br[ck" 5 "st*r" 6 "app:x" 7
		KEYS *
		KEYS a*
		KEYS ?
		KEYS [ab]
		KEYS [^a]
		KEYS "st\\*r"
		KEYS "br\\[*"
		KEYS app:*
		KEYS *b
		KEYS none
		KEYS ""
		KEYS "[a"
		KEYS "\\"
		KEYS
		KEYS a b`, `a 1800, b 1800, ab 1800, sp ace 1800, br[ck 1800, st*r 1800, app:x 1800`},
	{"SCAN", `
		MSET a 1 b 2 ab 3 app:x 7
		@ RPUSH ~l 1
		SCAN 0 COUNT 1000
		SCAN 0 MATCH * COUNT 1000
		SCAN 0 MATCH a* COUNT 1000
		SCAN 0 match ?b count 1000
		SCAN 0 COUNT 1000 TYPE list
		SCAN 0 COUNT 1000 TYPE string MATCH app:*
		SCAN 0 COUNT 1000 MATCH a MATCH b
		SCAN 0 COUNT 1000 TYPE nosuch
		SCAN 0 COUNT 0
		SCAN 0 COUNT x
		SCAN 0 MATCH
		SCAN 0 FOO
		SCAN x
		SCAN`, "a 1800, b 1800, ab 1800, app:x 1800"},
	{"RANDOMKEY", `
		RANDOMKEY
		SET a v
		RANDOMKEY
		RANDOMKEY x`, "a 1800"},
	{"DBSIZE", `
		DBSIZE
		MSET a 1 b 2
		DBSIZE
		SELECT 1
		DBSIZE
		DBSIZE x`, "a 1800, b 1800"},
	{"FLUSHDB", `
		MSET a 1 b 2
		SELECT 1
		MSET c 1 d 2
		FLUSHDB
		DBSIZE
		SELECT 0
		DBSIZE
		FLUSHDB FOO
		FLUSHDB ASYNC FOO
		MGET a b`, "a 1800, b 1800"},
	{"FLUSHDB ASYNC and SYNC", `
		SET a 1
		FLUSHDB ASYNC
		DBSIZE
		SET a 1
		FLUSHDB sync
		DBSIZE`, ""},
	{"FLUSHALL", `
		MSET a 1 b 2
		SELECT 1
		MSET c 1 d 2
		FLUSHALL
		DBSIZE
		SELECT 0
		DBSIZE
		SET a 1
		FLUSHALL ASYNC
		FLUSHALL FOO
		DBSIZE`, ""},
	{"SORT", `
		@ RPUSH ~l 3 1 2
		@ MSET ~w1 30 ~w2 20 ~w3 10 ~o1 one ~o2 two
		@ HSET ~h1 f 5
		@ HSET ~h2 f 4
		SORT l
		SORT l DESC
		SORT l LIMIT 0 2
		SORT l ALPHA
		SORT l BY w*
		SORT l BY w* GET # GET o* GET w*
		SORT l BY nosort
		SORT l BY nosort GET o*
		SORT l BY h*->f GET h*->f
		SORT l GET none*
		SORT l BY w1
		SORT_RO l BY w* DESC GET o*
		SORT none
		SORT l FOO
		SORT l LIMIT 0
		SORT l LIMIT a b
		SORT_RO l STORE x
		SORT
		SET a v
		SORT a
		SORT l GET *
		SORT l BY *`, "a 1800"},
	{"SORT STORE", `
		@ RPUSH ~l 3 1 2
		@ MSET ~w1 30 ~w2 20 ~w3 10
		SORT l STORE x
		SORT l BY w* GET w* store y
		SET z v EX 77
		SORT l STORE z
		SET b v EX 77
		SORT none STORE b
		SORT l STORE l
		TYPE x
		EXISTS b`, "x 1800, y 1800, z 1800, l 1800"},
	{"local answers", `
		PING
		PING "hello\x00"
		PING a b
		ECHO hi
		ECHO
		QUITX
		FOO bar "baz\r\n"
		foo`, ""},
	{"nothing in the key", `
		SET "" v
		GET ""
		EXPIRE "" 999999
		RENAME "" a
		KEYS *
		SET "" w
		DEL ""`, "a 43200"},
	{"binary names", `
		SET "\x00\xff\r\n" "\x00\r\n"
		GET "\x00\xff\r\n"
		KEYS "\x00*"
		APPEND "\x00\xff\r\n" "$5\r\n"
		DEL "\x00\xff\r\n"`, ""},
}
