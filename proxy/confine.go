package proxy

import (
	"strings"

	"sessiongate/command"
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
  local lives, carries, least, unpack = {}, {RENAME=true, RENAMENX=true, COPY=true}, math.min, unpack
  for text in string.gmatch(string.match(ARGV[#ARGV], '|(.*)'), '[^|]+') do
    local f = {}
    for each in string.gmatch(text, '%d+') do f[#f+1] = tonumber(each) end
    lives[#f == 9 and KEYS[table.remove(f, 1)] or 0] = f[1] and f
  end
  ARGV[#ARGV] = string.match(ARGV[#ARGV], '[^|]*')
  local function figures(key)
    local f = lives[key] or not declared[key] and lives[0]
    if f then L, G, n, q, d, x, m, s = unpack(f) end
    if f and not lives[key] then d = spread(d, key) end
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
// lists of commands, so that looking one up takes no table: that would be made anew for each run. deep fails where the stack has no room
// for what follows a write.
var confinementParts = `
local redis,server,_G,getfenv,setfenv,load,loadstring = (function()
  local real, upper, find, format, str, type, pairs, select, fail = redis, string.upper, string.find, string.format, tostring, type, pairs, select, error
  local declared = {}
  for i = 1, #KEYS do declared[KEYS[i]] = true end
  local share, skip = string.match(ARGV[#ARGV], '^%d+ %-?%d+ %d+ (%d+) (%d+)')
  local floor, sub, number = math.floor, string.sub, tonumber
  local function spread(ms, key)
    if not share or ms <= 0 then return ms end
    local sum = number(sub(real.sha1hex(sub(key, skip + 1)), 1, 8), 16)
    return ms - floor(floor(ms * share / 100) * sum / 4294967296)
  end
  SETUP
  local limit, initial, max = string.match(table.remove(ARGV), '^(%S+) (%S+) (%S+)')
  limit, initial, max = tonumber(limit), tonumber(initial), tonumber(max)
  local function refused(text) return {err = 'DENIED ' .. text} end
  local function large(size) return refused('size: value of ' .. size .. ' bytes is above the limit of ' .. limit .. ' (script)') end
  local function follow(key, had, birth, name)
    AFTER
    if declared[key] then return end
    if initial > 0 then real.call('PEXPIRE', key, spread(initial, key), 'NX') end
    if max > 0 then real.call('PEXPIRE', key, max, 'LT') end
  end
  local function forbidden(key)
    if initial < 0 and not declared[key] then return refused('script: it writes "' .. key .. '", which is not among its KEYS') end
  end
  local function width(arg) return #(type(arg) == 'number' and format('%.17g', arg) or str(arg)) end
  local function longest(first, n, args)
    if limit == 0 then return end
    for i = first, n do
      local size = width(args[i])
      if size > limit then return large(size) end
    end
  end
  local function length(key)
    local n = real.pcall('STRLEN', key)
    return type(n) == 'number' and n or 0
  end
  local function deep(n) if n > 0 then return 1 + deep(n - 1) end return 0 end
  local function stored(word, key, ...)
    local no = forbidden(key) or longest(1, select('#', ...), {...})
    if no then return no end
    local had, birth
    BEFORE
    deep(8)
    local reply = real.pcall(word, key, ...)
    if type(reply) == 'table' and reply.err then return reply end
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
  local unsized = {RESTORE=true, ['RESTORE-ASKING']=true, HINCRBYFLOAT=true, PFDEBUG=true}
  local function leaves(name, n, args)
    if name == 'SELECT' or name == 'MOVE' or name == 'SWAPDB' then return refused('script: ' .. name .. ' would leave the database') end
    if limit > 0 and unsized[name] then return refused('script: ' .. name .. ' is not possible where sizes are limited') end
    local stores = 0
    for i = 5, (name == 'GEORADIUS' or name == 'GEORADIUSBYMEMBER') and n or 0 do
      if find(upper(str(args[i])), '^STORE') then stores = stores + 1 end
    end
    if stores > 1 then return refused('script: ' .. name .. ' may have one STORE') end
    for i = 4, name == 'COPY' and n or 0 do
      if upper(str(args[i])) ~= 'REPLACE' then return refused('script: COPY would leave the database') end
    end
  end
  local function measured(name, list, args, ...)
    local old = {}
    for i, it in pairs(list) do
      local size = it.over and 0 or length(it.key)
      if name == 'APPEND' then size = size + width(args[3]) end
      if size > limit then return large(size) end
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
    deep(8)
    local reply
    if limit > 0 then reply = measured(name, list, args, ...) else reply = real.pcall(...) end
    if type(reply) == 'table' and reply.err then return reply end
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
			s.Flags&(command.Read|command.Write) == 0 || s.Cats&command.Dangerous != 0 || s.Flags&(command.Script|command.Container|command.Whole|command.Server|command.Admin) != 0 {
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
