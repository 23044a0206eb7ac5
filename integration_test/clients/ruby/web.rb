# frozen_string_literal: true

# A web server in this process (Puma) for a Rack application, clients of it with their cookies, and the flow of a session library.
require_relative 'tap'
require 'net/http'
require 'puma'
require 'puma/events'
require 'puma/server'
require 'stringio'
require 'redis'

# Serves app at a port that the system chooses, and returns it.
def serve(app)
  log = Puma::Events.new(StringIO.new, $stderr)
  server = Puma::Server.new(app, log, min_threads: 20, max_threads: 20)
  server.add_tcp_listener('127.0.0.1', 0)
  server.run
  server.connected_ports.first
end

# What a browser keeps: where it goes, and its cookies.
class Browser
  attr_reader :cookies

  def initialize(port)
    @port = port
    @cookies = {}
  end

  def get(path)
    request = Net::HTTP::Get.new(path)
    request['Cookie'] = @cookies.map { |name, value| "#{name}=#{value}" }.join('; ') unless @cookies.empty?
    answer = Net::HTTP.start('127.0.0.1', @port, read_timeout: 20) { |http| http.request(request) }
    raise "HTTP #{answer.code}: #{answer.body}" unless answer.code == '200'

    answer.get_fields('Set-Cookie').to_a.each do |cookie|
      name, value = cookie[/\A[^;]*/].split('=', 2)
      @cookies[name] = value
    end
    answer.body
  end

  def together(paths)
    paths.map { |path| Thread.new { dup.get(path) } }.map(&:value)
  end
end

# A connection of the program's own, to look at what the application has stored.
LOOK = Redis.new(url: URL)

# The flow of an application that answers /login and /rotate with its session's key without prefix, /touch with nothing, having changed
# nothing, and /read with the user. slides: whether a request that changes nothing puts the expiry back.
def flow(port, prefix, lifetime, slides: true)
  ann = Browser.new(port)
  key = nil
  check 'create' do
    key = prefix + ann.get('/login')
    same true, LOOK.exists?(key)
  end
  check 'read' do
    same 'ann 256', ann.get('/read')
    same 'nobody 0', Browser.new(port).get('/read')
  end
  check('expiry') { ttl lifetime, LOOK.ttl(key) }
  check 'refresh' do
    raise Skip, 'it has no expiry' if lifetime.negative?

    LOOK.expire(key, 100)
    same 'ann 256', ann.get('/read')
    ttl (slides ? lifetime : 100), LOOK.ttl(key)
    yes LOOK.ttl(key) > 100, 'the expiry was not put back' if slides
  end
  check('parallel') { same ['ann 256'] * 20, ann.together(['/read'] * 20) }
  yield ann, key if block_given?
  check 'rotate' do
    old = key
    key = prefix + ann.get('/rotate')
    yes key != old, 'the id is still the old one'
    same [false, true], [LOOK.exists?(old), LOOK.exists?(key)]
    same 'ann 256', ann.get('/read')
  end
  check 'logout' do
    ann.get('/logout')
    same false, LOOK.exists?(key)
    same 'nobody 0', ann.get('/read')
    Browser.new(port).get('/login')
  end
end
