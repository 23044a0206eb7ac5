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

// Scripts are changed on their way. Under rules on expiry or size a script is confined: what it does to Redis goes through a check that runs within it. A write to
// a key that is not declared is followed by the expiry that every key of the tenant gets, or is an error where rules differ from
// key to key. A write to another database is an error; so is one that leaves a string above the limit, which is undone. Reads are
// free, as are deletions.
//
// Both are preludes in front of the script's first line. It hides the real redis.call behind a local of the same name, and
// everything by which a script could get at the real one. What the check needs to know comes as one more ARGV, which it takes away.
//
// Under a namespace a script asks first whether it really runs as the user of wall.go: what it may not do must be denied to it.
//
// Where rules have lifetimes, the births of the keys that a write is about are read before it and kept after it, by the parts of
// lifetime.go: those of declared keys too, whose expiry the script may lose.
//
// The changed script has another SHA1 than the one that clients know. The proxy translates, for scripts that it has seen; for
// others EVALSHA says NOSCRIPT, as after a restart of Redis, and the client sends the script.

// Preludes must be one line, so that line numbers in errors stay right, and end with a space.
const walledPrelude = `if redis.acl_check_cmd('KEYS', '*') then return redis.error_reply('` + errWall + `') end `

var (
	confinedPrelude = confinement("", "", "")
	agedPrelude     = confinement(bornParts+agedSetup, agedBefore, agedAfter)
)

// Parts of the prelude that keep births. figures(key) makes those of the key what the parts of lifetime.go work with.
const (
	agedSetup = `
  local lives, carries, min, unpack = {}, {RENAME=true, RENAMENX=true, COPY=true, RESTORE=true}, math.min, unpack
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
`
	agedBefore = `
    local had, birth = {}, {}
    for i, key in pairs(keys) do
      if figures(key) then
        had[i] = C('PEXPIRETIME', key)
        birth[i] = had[i] > -2 and born(had[i])
      end
    end
`
	agedAfter = `
        if figures(key) then
          local e, b = C('PEXPIRETIME', key), birth[i]
          local o = e == had[i] and b
          if carries[name] then
            o = born(e)
            b = b and o and min(b, o) or b or o
          end
          settle(key, b or t - t % q, e, o)
        end
`
)

// confinement is the prelude with parts of its own where it begins, and before and after each write.
func confinement(setup, before, after string) string {
	parts := strings.NewReplacer("SETUP", setup, "BEFORE", before, "AFTER", after).Replace(confinementParts)
	return strings.Join(strings.Fields(parts), " ") + " "
}

const confinementParts = `
local redis,server,_G,getfenv,setfenv,load,loadstring = (function()
  local real, upper, str, type, pairs, select, fail = redis, string.upper, tostring, type, pairs, select, error
  local declared = {}
  for i = 1, #KEYS do declared[KEYS[i]] = true end
  SETUP
  local limit, initial, max = string.match(table.remove(ARGV), '(.*) (.*) (.*)')
  limit, initial, max = tonumber(limit), tonumber(initial), tonumber(max)
  local away = {SELECT=true, MOVE=true, SWAPDB=true}
  local function refused(text) return {err = 'DENIED ' .. text} end
  local function length(key)
    local n = real.pcall('STRLEN', key)
    return type(n) == 'number' and n or 0
  end
  local function written(...)
    local keys, found = real.pcall('COMMAND', 'GETKEYSANDFLAGS', ...), nil
    for _, pair in pairs(keys.err and {} or keys) do
      for name, flag in pairs(pair[2].set or pair[2]) do
        if flag == true then flag = name end
        if type(flag) == 'table' then flag = flag.ok end
        if flag == 'insert' or flag == 'update' then
          found = found or {}
          found[#found+1] = pair[1]
          break
        end
      end
    end
    return found
  end
  local function checked(...)
    local n, args = select('#', ...), {...}
    local name = upper(str(args[1]))
    if away[name] then return refused('script: ' .. name .. ' would leave the database') end
    if name == 'COPY' then
      for i = 4, n do
        if upper(str(args[i])) == 'DB' then return refused('script: COPY would leave the database') end
      end
    end
    local keys = written(...)
    if not keys then return real.pcall(...) end
    BEFORE
    local function followed(reply)
      for i, key in pairs(keys) do
        AFTER
        if not declared[key] and initial > 0 then real.call('PEXPIRE', key, initial, 'NX') end
        if not declared[key] and max > 0 then real.call('PEXPIRE', key, max, 'LT') end
      end
      return reply
    end
    for _, key in pairs(keys) do
      if not declared[key] and initial < 0 then return refused('script: it writes "' .. key .. '", which is not among its KEYS') end
    end
    if limit == 0 then return followed(real.pcall(...)) end
    for i = 2, n do
      local size = #str(args[i])
      if size > limit then return refused('size: value of ' .. size .. ' bytes is above the limit of ' .. limit .. ' (script)') end
    end
    local old, was = {}, {}
    for i, key in pairs(keys) do
      old[i], was[i] = real.pcall('GET', key), length(key)
    end
    local reply = real.pcall(...)
    for i, key in pairs(keys) do
      local size = length(key)
      if size > limit and size > was[i] then
        if type(old[i]) == 'string' then real.call('SET', key, old[i], 'KEEPTTL') else real.call('DEL', key) end
        reply = refused('size: value of ' .. size .. ' bytes is above the limit of ' .. limit .. ' (script)')
      end
    end
    return followed(reply)
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
end)()`

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
	walled, confined, ages := len(s.policy.Prefix()) > 0, s.policy.ConfinesScripts(), s.policy.KeepsLifetimes()
	switch all := s.srv.scripts; {
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
		p.Args[1] = m.changed(p.Args[1])
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
		return s.appendError(dst, s.scripts().toClient(raw)), nil
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
