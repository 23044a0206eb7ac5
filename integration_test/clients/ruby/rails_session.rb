# frozen_string_literal: true

# Rails in one file behind Puma: ruby rails_session.rb redis_store|cache_store
# redis_store is redis-actionpack's session store; cache_store keeps sessions in Rails' own cache, which is in Redis.
require_relative 'web'
require 'rails'
require 'action_controller/railtie'
require 'redis-actionpack'

puts "# version #{Rails.version}"
STORE = ARGV.fetch(0)
LIFETIME = 1440

class Shop < Rails::Application
  config.root = ENV.fetch('SCRATCH')
  config.eager_load = false
  config.consider_all_requests_local = true
  config.logger = Logger.new(File::NULL)
  config.secret_key_base = 'k' * 64
  config.hosts.clear
  if STORE == 'redis_store'
    config.session_store :redis_store, servers: ["#{URL}/sess"], key: '_shop_session', expire_after: LIFETIME, threadsafe: true
  else
    config.cache_store = :redis_cache_store, { url: URL, namespace: 'cache' }
    config.session_store :cache_store, key: '_shop_session', expire_after: LIFETIME
  end
end

class PagesController < ActionController::Base
  def login
    reset_session # a new id at login
    session[:user] = 'ann'
    session[:bytes] = EVERY_BYTE
    flash[:notice] = 'welcome'
    render plain: session.id.private_id
  end

  def read
    render plain: "#{session[:user] || 'nobody'} #{session[:bytes].to_s.bytesize}"
  end

  def notice
    render plain: flash[:notice].to_s
  end

  def rotate
    kept = session.to_hash.except('session_id')
    reset_session
    session.update(kept)
    render plain: session.id.private_id
  end

  def logout
    reset_session
    render plain: ''
  end

  def cache
    store = Rails.cache
    seen = [store.write('k', { 'a' => 1 }, expires_in: 60), store.read('k'), store.exist?('k'), store.increment('n'), store.increment('n')]
    seen << store.fetch('made', expires_in: 60) { 'made' } << store.fetch('made') { 'again' } << store.write('k', 'w', unless_exist: true)
    seen << store.read_multi('k', 'made', 'absent') << store.delete_matched('mad*') << store.exist?('made') << store.delete('k')
    render json: seen
  end
end

Shop.initialize!
Shop.routes.draw { %w[login read notice rotate logout cache].each { |page| get page, to: "pages##{page}" } }

prefix = STORE == 'redis_store' ? 'sess:' : 'cache:_session_id:'
flow(serve(Shop), prefix, LIFETIME) do |ann, _key|
  check 'flash' do
    # kept over the requests that don't look at the flash, gone after the one that shows it
    same 'welcome', ann.get('/notice')
    same '', ann.get('/notice')
  end
  check 'cache' do
    raise Skip, 'its cache is not in Redis' if STORE == 'redis_store'

    want = ['OK', { 'a' => 1 }, true, 1, 2, 'made', 'made', false, { 'k' => { 'a' => 1 }, 'made' => 'made' }]
    got = JSON.parse(ann.get('/cache'))
    same want, got[0, 9]
    same [false, true], [got[10], got[11] ? true : false]
  end
end
done
