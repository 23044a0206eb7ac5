-- TAP for the programs of this directory: checks, and what they compare.
local tap = {checks = 0, failed = 0, say = print}

function tap.check(name, body)
    tap.checks = tap.checks + 1
    local good, why = pcall(body)
    if good then
        tap.say('ok - ' .. name)
    elseif type(why) == 'table' then
        tap.say('ok - ' .. name .. ' # SKIP ' .. why.skip)
    else
        tap.failed = tap.failed + 1
        tap.say('not ok - ' .. name .. ': ' .. tostring(why):gsub('[^ -~]', ' '):sub(1, 300))
    end
    io.stdout:flush()
end

function tap.skip(why)
    error({skip = why})
end

function tap.done()
    tap.say('1..' .. tap.checks)
    if not ngx then
        os.exit(tap.failed == 0 and 0 or 1)
    end
end

local function text(value)
    if type(value) ~= 'table' then
        return tostring(value)
    end
    local parts = {}
    for _, each in ipairs(value) do
        parts[#parts + 1] = text(each)
    end
    return '{' .. table.concat(parts, ', ') .. '}'
end

function tap.same(want, got)
    want, got = text(want), text(got)
    if want ~= got then
        error('want ' .. want:sub(1, 100) .. ', got ' .. got:sub(1, 100), 2)
    end
end

tap.rules = os.getenv('MODE') == 'rules'
tap.host, tap.port = os.getenv('REDIS_HOST'), tonumber(os.getenv('REDIS_PORT'))
tap.password = os.getenv('REDIS_PASSWORD')
if tap.password == '' then
    tap.password = nil
end

-- A TTL in seconds is what Redis would say, a few seconds later; under rules it is only known to be within them.
function tap.ttl(want, got)
    local low, high = want < 0 and want or want - 10, want
    if tap.rules then
        low, high = 1, 43200
    end
    if got < low or got > high then
        error('a TTL of ' .. got .. ', want ' .. low .. ' to ' .. high, 2)
    end
end

local bytes = {}
for i = 0, 255 do
    bytes[#bytes + 1] = string.char(i)
end
tap.every_byte = table.concat(bytes)

return tap
