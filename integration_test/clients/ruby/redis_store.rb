# frozen_string_literal: true

# redis-store: objects marshalled, names in a namespace of its own, expiries as options.
require_relative 'tap'
require 'redis-store'

puts "# version #{Redis::Store::VERSION}"
Redis.silence_deprecations = true # its own
store = Redis::Store::Factory.create("#{URL}/shop")
plain = Redis.new(url: URL)

check 'connect' do
  same 'PONG', store.ping
end

check 'set-get' do
  same 'OK', store.set('s', { user: 'ann', bytes: EVERY_BYTE })
  same({ user: 'ann', bytes: EVERY_BYTE }, store.get('s'))
  same nil, store.get('absent')
  same Marshal.dump({ user: 'ann', bytes: EVERY_BYTE }), plain.get('shop:s').b
end

check 'expiry' do
  store.set('e', 'v', expire_after: 100)
  ttl 100, store.ttl('e')
  store.setex('e', 200, 'v')
  ttl 200, store.ttl('e')
  store.set('none', 'v')
  ttl(-1, store.ttl('none'))
  same [true, false], [store.setnx('once', 'v'), store.setnx('once', 'w')]
  store.setnx('born', 'v', expire_after: 300) # MULTI, SETNX, EXPIRE, EXEC
  ttl 300, store.ttl('born')
end

check 'multi-key' do
  same [{ user: 'ann', bytes: EVERY_BYTE }, 'v'], store.mget('s', 'e')
  same 2, store.del('e', 'once')
end

check 'scan' do
  same %w[born none s], store.keys('*').sort
end

check 'transaction' do
  same ['OK', 1], store.multi { |tx| tx.set('t', 'v'); tx.incr('n') }
end

check 'binary' do
  store.set(EVERY_BYTE, 'v')
  same 'v', store.get(EVERY_BYTE)
  same 1, store.del(EVERY_BYTE) # its own flushdb takes no names but UTF-8
end

check 'flush' do
  plain.set('other', 'v')
  store.flushdb # only what is in its namespace
  same [0, 'v'], [store.keys('*').size, plain.get('other')]
end

check 'reconnect' do
  store.set('s', 'v')
  same 1, plain.call(['CLIENT', 'KILL', 'ID', store.call(%w[CLIENT ID])])
  same 'v', store.get('s')
end

done
