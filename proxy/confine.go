package proxy

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/resp"
)

// Scripts are changed on their way. Under rules on expiry or size a script is confined: what it does to Redis goes through a check
// that runs within it. A write to a key that is not declared is followed by the expiry that every key of the tenant gets, or is an
// error where rules differ from key to key. A write to another database is an error, and so is one that would leave a string above
// the limit. Reads are free, as are deletions.
//
// Both are preludes in front of the script's first line. That of rules hides the real redis.call behind a local of the same name,
// and everything by which a script could get at the real one. What the check needs to know comes as one more ARGV, which it takes
// away.
//
// Under a namespace a script asks first whether it really runs as the user of wall.go: what it may not do must be denied to it.
//
// Where rules have lifetimes, the births of the keys that a write is about are read before it and kept after it, by the parts of
// lifetime.go: those of declared keys too, whose expiry the script may lose.
//
// The changed script has another SHA1 than the one that clients know. The proxy translates, for scripts that it has seen; for
// others EVALSHA says NOSCRIPT, as after a restart of Redis, and the client sends the script.

// Preludes must be one line, so that line numbers in errors stay right. They are statements that end with a semicolon and a space:
// without it the script's first word could go on with the prelude's last.
const walledPrelude = `if redis.acl_check_cmd('KEYS', '*') or redis.acl_check_cmd('GET', '\1') then return redis.error_reply('` + errWall + `') end; `

var (
	confinedPrelude = confinement("", "", "")
	agedPrelude     = confinement(bornParts+agedSetup, "had, birth = before(key)", "if after(key, had, birth, name) then return end")
)

// agedSetup keeps births: figures(key) makes those of the key what the parts of lifetime.go work with, if it has a lifetime; before(key)
// returns its expiry (of a key that the script may not see, as if there were none) and its birth; after(...) settles it by them after
// the command of that name, and returns nothing if it has no lifetime.
const agedSetup = `
  local lives, carries, least, unpack = {}, {RENAME=true, RENAMENX=true, COPY=true, RESTORE=true}, math.min, unpack
  for text in string.gmatch(string.match(ARGV[#ARGV], '|(.*)'), '[^|]+') do
    local f = {}
    for each in string.gmatch(text, '%d+') do f[#f+1] = tonumber(each) end
    lives[#f == 9 and KEYS[table.remove(f, 1)] or 0] = f[1] and f
  end
  ARGV[#ARGV] = string.match(ARGV[#ARGV], '[^|]*')
  local function figures(key)
    local f = lives[key] or not declared[key] and lives[0]
    if f then L, G, n, q, d, x, m, s = unpack(f) end
    return f
  end
  local function expiry(key)
    local e = real.pcall('PEXPIRETIME', key)
    return type(e) == 'number' and e or -2
  end
  local function before(key)
    if not figures(key) then return end
    local e = expiry(key)
    return e, e > -2 and born(e)
  end
  local function after(key, had, b, name)
    if not figures(key) then return end
    local e = expiry(key)
    local o = e == had and b
    if carries[name] then
      o = born(e)
      b = b and o and least(b, o) or b or o
    end
    return settle(key, b or t - t % q, e, o)
  end
`

// confinement is the prelude with parts of its own where it begins, and before and after each write of a key.
func confinement(setup, before, after string) string {
	parts := strings.NewReplacer("SETUP", setup, "BEFORE", before, "AFTER", after).Replace(confinementParts)
	return strings.Join(strings.Fields(parts), " ") + " "
}

// confinementParts are written for Redis, which keeps its libraries read-only from scripts. "+" stands around each name in the two
// lists of commands, so that looking one up takes no table: that would be made anew for each run.
var confinementParts = `
local redis,server,_G,getfenv,setfenv,load,loadstring = (function()
  local real, upper, find, str, type, pairs, select, fail = redis, string.upper, string.find, tostring, type, pairs, select, error
  local declared = {}
  for i = 1, #KEYS do declared[KEYS[i]] = true end
  SETUP
  local limit, initial, max = string.match(table.remove(ARGV), '(.*) (.*) (.*)')
  limit, initial, max = tonumber(limit), tonumber(initial), tonumber(max)
  local function refused(text) return {err = 'DENIED ' .. text} end
  local function large(size) return refused('size: value of ' .. size .. ' bytes is above the limit of ' .. limit .. ' (script)') end
  local function follow(key, had, birth, name)
    AFTER
    if declared[key] then return end
    if initial > 0 then real.call('PEXPIRE', key, initial, 'NX') end
    if max > 0 then real.call('PEXPIRE', key, max, 'LT') end
  end
  local function forbidden(key)
    if initial < 0 and not declared[key] then return refused('script: it writes "' .. key .. '", which is not among its KEYS') end
  end
  local function longest(first, n, args)
    if limit == 0 then return end
    for i = first, n do
      local size = #str(args[i])
      if size > limit then return large(size) end
    end
  end
  local function length(key)
    local n = real.pcall('STRLEN', key)
    return type(n) == 'number' and n or 0
  end
  local function stored(word, key, ...)
    local no = forbidden(key) or longest(1, select('#', ...), {...})
    if no then return no end
    local had, birth
    BEFORE
    local reply = real.pcall(word, key, ...)
    follow(key, had, birth)
    return reply
  end
  local function named(...)
    if select('#', ...) < 2 then return end
    local keys, list = real.pcall('COMMAND', 'GETKEYSANDFLAGS', ...), {}
    if keys.err then return not (find(keys.err, 'no key arg') or find(keys.err, 'Invalid ')) and keys end
    for i, pair in pairs(keys) do
      local has = {}
      for name, flag in pairs(pair[2].set or pair[2]) do
        if flag == true then flag = name end
        has[type(flag) == 'table' and flag.ok or flag] = true
      end
      list[i] = {key = pair[1], written = has.insert or has.update, over = has.OW}
    end
    return nil, list
  end
  local function leaves(name, n, args)
    if name == 'SELECT' or name == 'MOVE' or name == 'SWAPDB' then return refused('script: ' .. name .. ' would leave the database') end
    if name == 'RESTORE' and limit > 0 then return refused('script: RESTORE is not possible where sizes are limited') end
    for i = 4, name == 'COPY' and n or 0 do
      if upper(str(args[i])) ~= 'REPLACE' then return refused('script: COPY would leave the database') end
    end
  end
  local function measured(name, list, args, ...)
    local old = {}
    for i, it in pairs(list) do
      local size = it.over and 0 or length(it.key)
      if name == 'APPEND' then size = size + #str(args[3]) end
      if size > limit then return nil, large(size) end
      if it.written and not it.over then
        local was = real.pcall('GET', it.key)
        old[i] = type(was) == 'string' and was
      end
    end
    local reply = real.pcall(...)
    for i, was in pairs(old) do
      local key = list[i].key
      local size = length(key)
      if size > limit then
        if was then real.call('SET', key, was, 'KEEPTTL') else real.call('DEL', key) end
        reply = large(size)
      end
    end
    return reply
  end
  local function unsure(...)
    local n, args = select('#', ...), {...}
    local name = upper(str(args[1]))
    local no = leaves(name, n, args)
    if no then return no end
    local no, list = named(...)
    if no then return no end
    local writes = false
    for _, it in pairs(list or {}) do
      local key = it.key
      writes = writes or it.written
      no = no or it.written and forbidden(key)
      if it.written then
        local had, birth
        BEFORE
        it.had, it.birth = had, birth
      end
    end
    if not writes then return real.pcall(...) end
    no = no or longest(2, n, args)
    if no then return no end
    local reply
    if limit > 0 then reply, no = measured(name, list, args, ...) else reply = real.pcall(...) end
    if no then return no end
    for _, it in pairs(list) do
      if it.written then follow(it.key, it.had, it.birth, name) end
    end
    return reply
  end
  local function checked(...)
    local word, key = ...
    local mark = '+' .. upper(str(word)) .. '+'
    if type(key) == 'string' and find('` + scriptStores + `', mark, 1, true) then return stored(...) end
    if find('` + scriptFree + `', mark, 1, true) then return real.pcall(...) end
    return unsure(...)
  end
  local shown = setmetatable({
    pcall = checked,
    call = function(...)
      local reply = checked(...)
      if type(reply) == 'table' and reply.err then fail(reply, 0) end
      return reply
    end
  }, {__index = real, __metatable = false})
  return shown, shown
end)();`

// scriptStores are the usual commands that write one key, their first argument, and store nothing but what else they are given;
// scriptFree those that only read or remove.
var scriptStores, scriptFree = scriptLists()

func scriptLists() (stores, free string) {
	const usual = command.String | command.Hash | command.List | command.Set | command.SortedSet | command.Keyspace
	stores, free = "+", "+"
	for _, s := range command.All() {
		if s.State != command.Plain || s.Cats&usual == 0 || s.Cats&command.Uncertain != 0 || strings.Contains(s.Name, " ") ||
			s.Flags&(command.Read|command.Write) == 0 || s.Flags&(command.Script|command.Container|command.Whole|command.Server|command.Admin) != 0 {
			continue
		}
		switch {
		case s.Expiry.Effect == command.Keeps && s.Values.Grow == command.NoValue:
			free += s.Name + "+"
		case s.Expiry.Effect != command.Keeps && s.Expiry.DB == command.SameDB && storesOneKey(s):
			stores += s.Name + "+"
		}
	}
	return stores, free
}

// storesOneKey reports whether the command's only key is its first argument, however many follow, and no value grows in place.
func storesOneKey(s *command.Spec) bool {
	if s.Values.Grow != command.NoValue && s.Values.Grow != command.Stored {
		return false
	}
	least := max(s.Arity, -s.Arity)
	for n := least; n < least+3; n++ {
		args := make([][]byte, n)
		for i := range args {
			args[i] = []byte("1")
		}
		if names, _ := s.Names(args, nil); len(names) != 1 || names[0] != (command.Ref{Arg: 1, Kind: command.Out}) {
			return false
		}
	}
	return true
}

// form says where a command holds a script, or the SHA1 of one.
type form uint8

const (
	noScript form = iota
	textAtOne
	sumAtOne
	textAtTwo
	sumsFromTwo
)

// forms has the form of each command, by row of the table. Functions are what the operator has loaded, and stay what they are.
var forms = func() []form {
	list := make([]form, command.Len())
	for name, f := range map[string]form{
		"EVAL": textAtOne, "EVAL_RO": textAtOne, "EVALSHA": sumAtOne, "EVALSHA_RO": sumAtOne,
		"SCRIPT EXISTS": sumsFromTwo, "SCRIPT LOAD": textAtTwo,
	} {
		list[command.ByName(name).ID] = f
	}
	return list
}()

// maxSums is how many scripts are remembered. Beyond that all are forgotten, and clients send them again.
const maxSums = 1 << 16

// scripts puts one prelude before scripts, and remembers which SHA1 a script has for clients and which for Redis.
type scripts struct {
	prelude         string
	mu              sync.RWMutex
	inside, outside map[string]string // by the client's, by Redis's
}

// sumOf returns the SHA1 that Redis knows the script by, if it has been sent before.
func (m *scripts) sumOf(text []byte) (inside string, known bool) {
	outside := sum(text)
	m.mu.RLock()
	defer m.mu.RUnlock()
	inside, known = m.inside[outside]
	return inside, known
}

// bySum has the commands that run a script by its SHA1, by row of those that run its text.
var bySum = func() map[uint16][]byte {
	twins := map[uint16][]byte{}
	for name, twin := range map[string]string{"EVAL": "EVALSHA", "EVAL_RO": "EVALSHA_RO"} {
		twins[command.ByName(name).ID] = []byte(twin)
	}
	return twins
}()

// allScripts has one for scripts that are only walled, only confined, or both.
type allScripts struct{ walled, confined, both, aged, bothAged scripts }

func newAllScripts() *allScripts {
	return &allScripts{
		walled:   scripts{prelude: walledPrelude},
		confined: scripts{prelude: confinedPrelude},
		both:     scripts{prelude: walledPrelude + confinedPrelude},
		aged:     scripts{prelude: agedPrelude},
		bothAged: scripts{prelude: walledPrelude + agedPrelude},
	}
}

// scripts returns what changes the tenant's scripts; nil: they stay what they are.
func (s *Session) scripts() *scripts {
	walled, confined := len(s.policy.Prefix()) > 0, s.policy.ConfinesScripts()
	if s.tenant == nil {
		return nil
	}
	ages := s.policy.KeepsLifetimes()
	switch all := s.tenant.live.scripts; {
	case walled && ages:
		return &all.bothAged
	case ages:
		return &all.aged
	case walled && confined:
		return &all.both
	case walled:
		return &all.walled
	case confined:
		return &all.confined
	}
	return nil
}

// changed returns the script as Redis gets it, and remembers it.
func (m *scripts) changed(text []byte) []byte {
	head := 0
	if bytes.HasPrefix(text, []byte("#!")) { // this line has to be the first
		if head = bytes.IndexByte(text, '\n') + 1; head == 0 {
			return text
		}
	}
	script := make([]byte, 0, len(m.prelude)+len(text))
	script = append(append(append(script, text[:head]...), m.prelude...), text[head:]...)
	outside := sum(text)
	m.mu.RLock()
	_, known := m.inside[outside]
	m.mu.RUnlock()
	if !known {
		m.remember(outside, sum(script))
	}
	return script
}

func (m *scripts) remember(outside, inside string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.inside) >= maxSums || m.inside == nil {
		m.inside, m.outside = map[string]string{}, map[string]string{}
	}
	m.inside[outside], m.outside[inside] = inside, outside
}

func sum(text []byte) string {
	digest := sha1.Sum(text)
	return hex.EncodeToString(digest[:])
}

// unknown is a SHA1 that no script has.
const unknown = "0000000000000000000000000000000000000000"

// toRedis translates a client's SHA1, in whatever case.
func (m *scripts) toRedis(sum []byte) []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if inside, ok := m.inside[strings.ToLower(string(sum))]; ok {
		return []byte(inside)
	}
	return []byte(unknown)
}

// toClient translates every SHA1 of Redis's in a text.
func (m *scripts) toClient(text []byte) []byte {
	if m == nil {
		return text
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for at := 0; at+len(unknown) <= len(text); {
		n := 0
		for at+n < len(text) && isHex(text[at+n]) {
			n++
		}
		if n == len(unknown) {
			if outside, ok := m.outside[string(text[at:at+n])]; ok {
				text = bytes.Replace(text, text[at:at+n:at+n], []byte(outside), 1)
			}
		}
		at += n + 1
	}
	return text
}

// firstDeclared is the argument at which the keys that a script declares begin.
const firstDeclared = 3

// change makes the plan send the script changed.
func (s *Session) change(c cmd) {
	f := forms[c.spec.ID]
	if f == noScript || s.srv == nil {
		return
	}
	m := s.scripts()
	if m == nil {
		return
	}
	if c.spec.Names != nil {
		if _, ok := c.spec.Names(c.args, nil); !ok { // too few keys: Redis says so, and must not take what we add for one
			return
		}
	}
	p := &s.plan
	if p.Args == nil {
		p.Names = s.req.Names
	} else {
		c.args = p.Args
	}
	p.Args = append([][]byte(nil), c.args...)
	switch f {
	case textAtOne:
		if inside, known := m.sumOf(p.Args[1]); known && s.bySum { // the text is some fifty times as long, and Redis would hash it
			p.Args[0], p.Args[1] = bySum[c.spec.ID], []byte(inside)
		} else {
			p.Args[1] = m.changed(p.Args[1])
		}
	case sumAtOne:
		p.Args[1] = m.toRedis(p.Args[1])
	case textAtTwo:
		p.Args[2] = m.changed(p.Args[2])
	case sumsFromTwo:
		for i := 2; i < len(p.Args); i++ {
			p.Args[i] = m.toRedis(p.Args[i])
		}
	}
	if c.spec.Flags&command.Script != 0 && s.policy.ConfinesScripts() {
		text := s.policy.AppendConfinement(nil, p.Limit)
		if s.policy.KeepsLifetimes() {
			text = s.policy.AppendLives(text, p.Bounds, firstDeclared)
		}
		p.Args = append(p.Args, text)
	}
}

// ownError is how many bytes of error pass whatever the limit on values: Redis's own errors, NOSCRIPT and those that say why a script
// has failed, are as long.
const ownError = 256

// overError returns the length of the longest error that a script replies with, as a whole or somewhere in it, if that is above the
// limit on values: a script can put a value there.
func overError(raw []byte, sl *slot) int64 {
	if sl.limit == 0 || sl.spec.Flags&command.Script == 0 || bytes.IndexByte(raw, '-') < 0 && bytes.IndexByte(raw, '!') < 0 {
		return 0
	}
	if n := longestError(raw); n > max(sl.limit, ownError) {
		return n
	}
	return 0
}

func longestError(raw []byte) (longest int64) {
	if isError(raw) {
		return int64(len(errorText(raw)))
	}
	if _, ok := header(raw); ok {
		for elem := range elems(raw) {
			longest = max(longest, longestError(elem))
		}
	}
	return longest
}

// editScriptSum turns the reply of SCRIPT LOAD back.
func editScriptSum(s *Session, dst, raw []byte, _ *slot) ([]byte, error) {
	if _, ok := resp.Bulk(raw); !ok {
		return dst, errShape
	}
	return append(dst, s.scripts().toClient(raw)...), nil
}

// editScriptNames takes the namespace from names that a script returns, which are the texts that begin with it, however deep, and
// from errors.
func editScriptNames(s *Session, dst, raw []byte, sl *slot) ([]byte, error) {
	prefix := s.policy.Prefix()
	if !bytes.Contains(raw, prefix) && !bytes.ContainsRune(raw, '-') {
		return append(dst, raw...), nil
	}
	if isError(raw) {
		return s.appendError(dst, s.scripts().toClient(raw), sl.spec), nil
	}
	if _, ok := header(raw); ok {
		return editElems(dst, raw, func(dst, elem []byte, _ int) ([]byte, error) { return editScriptNames(s, dst, elem, sl) })
	}
	if len(raw) > 0 && raw[0] == resp.Simple && bytes.HasPrefix(raw[1:], prefix) {
		return append(append(dst, resp.Simple), raw[1+len(prefix):]...), nil
	}
	if text, ok := resp.Bulk(raw); ok && bytes.HasPrefix(text, prefix) {
		return redcon.AppendBulk(dst, text[len(prefix):]), nil
	}
	return append(dst, raw...), nil
}
