# frozen_string_literal: true

# redis-rb: ruby redis_rb.rb ruby|hiredis
require_relative 'tap'
require 'redis'

DRIVER = ARGV.fetch(0).to_sym
puts "# version #{Redis::VERSION}"

def connect(**options)
  Redis.new(host: HOST, port: PORT, password: PASSWORD, driver: DRIVER, timeout: 5, **options)
end

redis = connect(db: 0, id: 'redis-rb')

check 'connect' do
  same 'PONG', redis.ping
  same 'redis-rb', redis.call(%w[CLIENT GETNAME])
  same 'PONG', Redis.new(url: URL, driver: DRIVER).ping
  yes redis.info.key?('redis_version'), 'INFO lacks redis_version'
  if PASSWORD
    same 'PONG', connect(username: 'default').ping
    begin
      connect(password: 'not the password').ping
      text = 'let in'
    rescue Redis::BaseError => e
      text = e.message
    end
    yes text.include?('WRONGPASS'), text
  end
end

check 'set-get' do
  same 'OK', redis.set('s', 'v')
  same 'v', redis.get('s')
  same nil, redis.get('absent')
  same 'v', redis.getset('s', 'w')
  same true, redis.set('s2', 'x', nx: true)
  same false, redis.set('s2', 'y', nx: true)
  same false, redis.setnx('s2', 'y')
  same 4, redis.append('s', '123')
  same 'w123', redis.get('s')
  same 'string', redis.type('s')
  same true, redis.exists?('s')
  same 'OK', redis.rename('s2', 's3')
  same 'x', redis.getdel('s3')
end

check 'binary' do
  redis.set(EVERY_BYTE, EVERY_BYTE)
  same EVERY_BYTE, redis.get(EVERY_BYTE).b
  redis.set('empty', '')
  same '', redis.get('empty')
end

check 'expiry' do
  redis.set('e', 'v', ex: 100)
  ttl 100, redis.ttl('e')
  redis.setex('e', 200, 'v')
  ttl 200, redis.ttl('e')
  same true, redis.expire('e', 300)
  ttl 300, redis.ttl('e')
  same true, redis.pexpireat('e', (Time.now.to_i + 400) * 1000)
  ttl 400, redis.ttl('e')
  redis.set('e', 'w', keepttl: true)
  ttl 400, redis.ttl('e')
  same true, redis.persist('e')
  ttl(-1, redis.ttl('e'))
  same 'w', redis.getex('e', ex: 60)
  ttl 60, redis.ttl('e')
  same 'w', redis.getex('e', persist: true)
  ttl(-1, redis.ttl('e'))
  same(-2, redis.ttl('absent'))
  same true, redis.expire('e', -1)
  same nil, redis.get('e')
end

check 'hash' do
  same 2, redis.hset('h', 'a' => '1', 'b' => EVERY_BYTE)
  same ['1', nil], redis.hmget('h', 'a', 'no')
  same EVERY_BYTE, redis.hget('h', 'b').b
  same 5, redis.hincrby('h', 'a', 4)
  same 1, redis.hdel('h', 'b')
  same({ 'a' => '5' }, redis.hgetall('h'))
end

check 'counter' do
  same 1, redis.incr('n')
  same 11, redis.incrby('n', 10)
  same 11.5, redis.incrbyfloat('n', 0.5)
end

check 'multi-key' do
  same 'OK', redis.mset('m1', 'a', 'm2', 'b')
  same ['a', 'b', nil], redis.mget('m1', 'm2', 'm3')
  same({ 'm1' => 'a' }, redis.mapped_mget('m1'))
  same 2, redis.exists('m1', 'm2', 'm3')
  same 2, redis.del('m1', 'm2', 'm3')
end

check 'list-set' do
  same 3, redis.rpush('l', %w[a b c])
  same %w[a b c], redis.lrange('l', 0, -1)
  same 'c', redis.lmove('l', 'l2', 'RIGHT', 'LEFT')
  same 2, redis.sadd('t', %w[x y])
  same true, redis.sismember('t', 'x')
  same 2, redis.zadd('z', [[1, 'one'], [2, 'two']])
  same [['one', 1.0], ['two', 2.0]], redis.zrange('z', 0, -1, with_scores: true)
  id = redis.xadd('x', { 'f' => 'v' })
  same [[id, { 'f' => 'v' }]], redis.xrange('x')
end

check 'pipeline' do
  replies = redis.pipelined { |pipe| 500.times { |i| pipe.set("p#{i}", "v#{i}"); pipe.get("p#{i}") } }
  same((0...500).flat_map { |i| ['OK', "v#{i}"] }, replies)
end

check 'transaction' do
  same ['OK', 'v', 2], redis.multi { |tx| tx.set('x1', 'v'); tx.get('x1'); tx.rpush('x2', %w[a b]) }
  begin
    redis.multi { |tx| tx.set('x1', 'other'); raise Skip, 'changed its mind' } # nothing is sent
  rescue Skip
    same 'v', redis.get('x1')
  end
end

check 'watch' do
  redis.set('w', '1')
  other = connect
  result = redis.watch('w') do
    other.set('w', '2')
    redis.multi { |tx| tx.set('w', '3') }
  end
  same nil, result
  same '2', redis.get('w')
  same(['OK'], redis.watch('w') { redis.multi { |tx| tx.set('w', '4') } })
  redis.watch('w')
  same 'OK', redis.unwatch
end

check 'script' do
  body = "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1]) .. '!'"
  sha = Digest::SHA1.hexdigest(body)
  begin
    redis.evalsha(sha, keys: ['k'], argv: ['v'])
    text = 'it was there'
  rescue Redis::CommandError => e
    text = e.message
  end
  same 'NOSCRIPT', text.split.first
  same 'v!', redis.eval(body, keys: ['k'], argv: ['v'])
  same 'w!', redis.evalsha(sha, keys: ['k'], argv: ['w'])
  same sha, redis.script(:load, body)
  same true, redis.script(:exists, sha)
end

check 'scan' do
  200.times { |i| redis.set("scan:#{i}", 'v') }
  same 200, redis.scan_each(match: 'scan:*', count: 50).to_a.uniq.size
  same 200, redis.keys('scan:*').size
  same [%w[a 5]], redis.hscan_each('h').to_a
end

check 'pubsub' do
  got = nil
  publisher = Thread.new do
    other = connect
    eventually('somebody subscribes') { other.publish('news', EVERY_BYTE) == 1 }
  end
  listener = connect
  listener.subscribe('news') do |on|
    on.message do |channel, message|
      got = [channel, message.b]
      listener.unsubscribe
    end
  end
  publisher.join
  same ['news', EVERY_BYTE], got
  same 'PONG', listener.ping
end

check 'blocking' do
  other = Thread.new { sleep 0.1; connect.rpush('queue', 'job') }
  same %w[queue job], redis.blpop('queue', timeout: 5)
  other.join
  start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  same nil, redis.blpop('queue', timeout: 1)
  took = Process.clock_gettime(Process::CLOCK_MONOTONIC) - start
  yes (0.9..3).cover?(took), "a timeout of 1 s took #{took} s"
end

check 'large' do
  value = Random.bytes(1 << 20)
  redis.set('large', value)
  yes redis.get('large').b == value, 'another value came back'
end

check 'error' do
  begin
    redis.lpush('s', 'a')
    text = 'no error'
  rescue Redis::CommandError => e
    text = e.message
  end
  same 'WRONGTYPE Operation against a key holding the wrong kind of value', text
  begin
    redis.call(%w[NOSUCHCOMMAND a])
  rescue Redis::CommandError => e
    text = e.message
  end
  yes text.start_with?("ERR unknown command 'NOSUCHCOMMAND'"), text
  begin
    redis.pipelined { |pipe| pipe.get('s'); pipe.lpush('s', 'a'); pipe.set('s', 'w124') }
  rescue Redis::CommandError => e
    text = e.message
  end
  yes text.start_with?('WRONGTYPE'), text
  same 'w124', redis.get('s')
end

check 'resp3' do
  raise Skip, 'redis-rb 4 speaks RESP2 only'
end

check 'concurrent' do
  threads = Array.new(50) do |i|
    Thread.new do
      own = i.even? ? connect : redis # half of them share one connection
      20.times do |j|
        own.set("c#{i}", "#{i}-#{j}")
        same "#{i}-#{j}", own.get("c#{i}")
        own.incr('all')
      end
    end
  end
  threads.each(&:join)
  same '1000', redis.get('all')
end

check 'reconnect' do
  id = redis.call(%w[CLIENT ID])
  same 1, connect.call(['CLIENT', 'KILL', 'ID', id])
  # redis-rb connects again by itself, logs in, names itself, and sends the command again.
  same 'w124', redis.get('s')
  same 'redis-rb', redis.call(%w[CLIENT GETNAME])
  yes redis.call(%w[CLIENT ID]) != id, 'the connection was not killed'
end

done
