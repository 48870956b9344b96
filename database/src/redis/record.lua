-- Takes a batch of calls down, whole or not at all, and never twice.
-- KEYS[1]: what all keys begin with. ARGV[1]: the batch, as `history.rs` writes it.
local prefix = KEYS[1]
local batch = cjson.decode(ARGV[1])

local sender = prefix .. ':sender:' .. batch.sender
if tonumber(redis.call('GET', sender) or '0') >= batch.number then
  return 0
end
redis.call('SET', sender, batch.number, 'EX', batch.sender_seconds)

for _, call in ipairs(batch.log) do
  redis.call('XADD', prefix .. ':log', 'MAXLEN', batch.log_max, '*', 'call', call)
end

local function add(key, field, counts, seconds)
  for measure, count in pairs(counts) do
    redis.call('HINCRBY', key, field .. measure, count)
  end
  if seconds then
    redis.call('EXPIRE', key, seconds)
  end
end

-- The endpoint itself when it is known or there is room for it, else the one for all others.
local function place(key, endpoint)
  if redis.call('HEXISTS', key, endpoint .. '\nc') == 1 then
    return endpoint
  end
  if tonumber(redis.call('HGET', key, '#') or '0') >= batch.endpoints_max then
    return batch.other
  end
  redis.call('HINCRBY', key, '#', 1)
  return endpoint
end

local total = prefix .. ':stats:total'
redis.call('HSETNX', total, 'since', batch.now)
for _, sum in ipairs(batch.sums) do
  local field = '\n\n'
  if sum.service then
    local key = prefix .. ':stats:service:' .. sum.service
    local endpoint = place(key, sum.endpoint)
    add(key, endpoint .. '\n', sum.counts, batch.service_seconds)
    field = sum.service .. '\n' .. endpoint .. '\n'
  else
    add(total, '', sum.counts)
  end
  for _, slot in ipairs(sum.slots) do
    add(prefix .. ':stats:' .. slot.name, field, sum.counts, slot.seconds)
  end
end
return 1
