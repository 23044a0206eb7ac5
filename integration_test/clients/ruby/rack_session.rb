# frozen_string_literal: true

# redis-rack behind Puma, with an expiry and without: ruby rack_session.rb expire_after|forever
require_relative 'web'
require 'rack'
require 'redis-rack'
require 'redis/rack/version'

puts "# version #{Redis::Rack::VERSION}"

APPLICATION = lambda do |env|
  session = env['rack.session']
  text = case env['PATH_INFO']
         when '/login'
           session['user'] = 'ann'
           session['bytes'] = EVERY_BYTE
           session.id.private_id
         when '/rotate'
           session.options[:renew] = true
           session['rotated'] = true
           ''
         when '/id'
           session['seen'] = true
           session.id.private_id
         when '/logout'
           session.destroy
           ''
         else "#{session['user'] || 'nobody'} #{session['bytes'].to_s.bytesize}"
         end
  [200, { 'Content-Type' => 'text/plain' }, [text]]
end

# The new id is known only when the response goes out, so it is asked for by a second request.
class Browser
  prepend(Module.new { def get(path) = path == '/rotate' ? (super; super('/id')) : super })
end

lifetime = ARGV.fetch(0) == 'expire_after' ? 1440 : nil
options = { redis_server: "#{URL}/rack:session", key: 'sid' }
options[:expire_after] = lifetime if lifetime
flow serve(Rack::Session::Redis.new(APPLICATION, options)), 'rack:session:', lifetime || -1
done
