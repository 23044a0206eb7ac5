# frozen_string_literal: true

# TAP for the programs of this directory: checks and what they compare.
$stdout.sync = true

HOST = ENV.fetch('REDIS_HOST')
PORT = ENV.fetch('REDIS_PORT').to_i
PASSWORD = ENV['REDIS_PASSWORD'].to_s.empty? ? nil : ENV['REDIS_PASSWORD']
URL = ENV.fetch('REDIS_URL')
RULES = ENV['MODE'] == 'rules'
EVERY_BYTE = (0..255).map(&:chr).join.b.freeze

class Skip < StandardError
end

$checks = 0
$failed = 0

def check(name)
  $checks += 1
  yield
  puts "ok - #{name}"
rescue Skip => e
  puts "ok - #{name} # SKIP #{e.message}"
rescue StandardError => e
  $failed += 1
  line = e.backtrace.find { |l| !l.start_with?(__FILE__) }
  puts "not ok - #{name}: #{"#{e.class}: #{e.message} at #{line}".b.gsub(/[^ -~]/n, '?')[0, 500]}"
end

def done
  puts "1..#{$checks}"
  exit!($failed.zero? ? 0 : 1)
end

def same(want, got)
  raise "want #{want.inspect[0, 200]}, got #{got.inspect[0, 200]}" unless want == got
end

def yes(holds, what)
  raise what unless holds
end

# A TTL in seconds is what Redis would say, a few seconds later; under rules it is only known to be within them.
def ttl(want, got)
  range = if RULES then 1..43_200 elsif want.negative? then want..want else want - 10..want end
  yes(range.cover?(got), "a TTL of #{got}, want #{range}")
end

# Waits until the block says something true, at most 5 seconds, and returns it.
def eventually(what)
  give_up = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 5
  until (value = yield)
    yes(Process.clock_gettime(Process::CLOCK_MONOTONIC) < give_up, "not within 5 s: #{what}")
    sleep 0.005
  end
  value
end
