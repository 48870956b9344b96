-- Keeps an answer, or forgets one, and keeps account of how many bytes there are.
-- KEYS[1]: what all keys begin with. ARGV: the key, and to keep an answer also the answer, for how many milliseconds, and most bytes.
local prefix = KEYS[1] .. ':cache:'
local index, sizes, bytes = prefix .. 'ends', prefix .. 'sizes', prefix .. 'bytes'
local key, answer, kept, bytes_max = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function remove(name)
  local size = redis.call('HGET', sizes, name)
  if size then
    redis.call('DEL', prefix .. 'answer:' .. name)
    redis.call('HDEL', sizes, name)
    redis.call('ZREM', index, name)
    redis.call('DECRBY', bytes, size)
  end
end

remove(key)
if not answer then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Redis itself removes answers whose time is over; here they leave the account. Some at a time: a script holds everybody up.
for _, name in ipairs(redis.call('ZRANGE', index, '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)) do
  remove(name)
end
while tonumber(redis.call('GET', bytes) or '0') + #answer > bytes_max do
  local first = redis.call('ZRANGE', index, 0, 0)[1]
  if not first then
    return 0
  end
  remove(first)
end
redis.call('SET', prefix .. 'answer:' .. key, answer, 'PX', kept)
redis.call('ZADD', index, now + kept, key)
redis.call('HSET', sizes, key, #answer)
redis.call('INCRBY', bytes, #answer)
return 1
