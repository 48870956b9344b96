-- The queue of jobs that catalogs share. Each call does one thing, whole and alone.
-- KEYS[1]: what all keys begin with. ARGV[1]: what to do; what the rest of ARGV is stands at each below.
--
-- jobs:job:ID is a hash: label, work, repeatable, runs, holds, and when it is finished, outcome. jobs:waiting and jobs:held have the ids by
-- since when and until when; jobs:ends those that are finished. jobs:sizes and jobs:bytes are the account. Unfinished jobs have no time
-- to live, so that a Redis whose memory is full does not choose them to make room; they are few, and end by being swept.
local prefix = KEYS[1] .. ':jobs:'
local waiting, held, ends = prefix .. 'waiting', prefix .. 'held', prefix .. 'ends'
local sizes, bytes = prefix .. 'sizes', prefix .. 'bytes'
local call = redis.call

-- Microseconds, so that jobs that come one after the other stay in their order.
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

local function job(id)
  return prefix .. 'job:' .. id
end

-- A size of 0 takes it out of the account.
local function charge(id, size)
  local before = tonumber(call('HGET', sizes, id) or '0')
  call('INCRBY', bytes, size - before)
  if size > 0 then
    call('HSET', sizes, id, size)
  else
    call('HDEL', sizes, id)
  end
end

-- Forgets outcomes whose time is over. Some at a time: a script holds everybody up.
local function clear()
  for _, id in ipairs(call('ZRANGE', ends, '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)) do
    call('DEL', job(id))
    call('ZREM', ends, id)
    charge(id, 0)
  end
end

-- Gives a job to somebody, and tells him what it is. Nil when it is lost: then it leaves the lists, too.
local function hold(id, time_held, adds)
  local key = job(id)
  if call('EXISTS', key) == 0 then
    call('ZREM', held, id)
    charge(id, 0)
    return nil
  end
  local runs = call('HINCRBY', key, 'runs', adds)
  local holds = call('HINCRBY', key, 'holds', 1)
  call('ZADD', held, now + time_held, id)
  local fields = call('HMGET', key, 'label', 'work')
  return { id, holds, runs, fields[1], fields[2] }
end

local actions = {}

-- id, label, work, repeatable (1 or 0), size, most unfinished jobs, most bytes. 1, or 0 when there is no room.
function actions.put(id, label, work, repeatable, size, unfinished_max, bytes_max)
  local key = job(id)
  clear()
  local unfinished = call('ZCARD', waiting) + call('ZCARD', held)
  local charged = tonumber(call('GET', bytes) or '0')
  if unfinished >= tonumber(unfinished_max) or charged + tonumber(size) > tonumber(bytes_max) then
    return 0
  end
  call('HSET', key, 'label', label, 'work', work, 'repeatable', repeatable, 'runs', 0, 'holds', 0)
  charge(id, tonumber(size))
  call('ZADD', waiting, now, id)
  return 1
end

-- how long it is held. The job, or nil.
function actions.take(time_held)
  while true do
    local first = call('ZPOPMIN', waiting)[1]
    if not first then
      return false
    end
    local taken = hold(first, time_held, 1)
    if taken then
      return taken
    end
  end
end

-- how long, and ids and numbers of holds.
function actions.renew(time_held, ...)
  local holds = { ... }
  for index = 1, #holds, 2 do
    local id, number = holds[index], holds[index + 1]
    if call('ZSCORE', held, id) and call('HGET', job(id), 'holds') == number then
      call('ZADD', held, now + time_held, id)
    end
  end
  return 1
end

-- id, outcome, for how long it is kept, what is charged besides its bytes. 1, or 0 when it is finished or unknown.
function actions.finish(id, outcome, time_kept, overhead)
  local key = job(id)
  if call('EXISTS', key) == 0 or call('HEXISTS', key, 'outcome') == 1 then
    return 0
  end
  call('ZREM', waiting, id)
  call('ZREM', held, id)
  call('HDEL', key, 'work')
  call('HSET', key, 'outcome', outcome)
  call('PEXPIRE', key, math.ceil(time_kept / 1000))
  call('ZADD', ends, now + time_kept, id)
  charge(id, #outcome + call('HSTRLEN', key, 'label') + overhead)
  return 1
end

-- id and number of a hold. 1, or 0.
function actions.give_back(id, number)
  local key = job(id)
  if not call('ZSCORE', held, id) or call('HGET', key, 'holds') ~= number or call('HGET', key, 'repeatable') ~= '1' then
    return 0
  end
  call('ZREM', held, id)
  call('HINCRBY', key, 'holds', 1)
  call('ZADD', waiting, now, id)
  return 1
end

-- id. Label and outcome.
function actions.look(id)
  return call('HMGET', job(id), 'label', 'outcome')
end

-- whether to look at what is held (1 or 0), how long a job is held, how long one may wait, most runs, most jobs. How many wait, and jobs
-- to which something happened, each with its fate: 0 waits again, 1 abandoned, 2 overdue.
function actions.sweep(holds, time_held, time_waiting, runs_max, most)
  clear()
  local swept = {}
  local silent = holds == '1' and call('ZRANGE', held, '-inf', now, 'BYSCORE', 'LIMIT', 0, most) or {}
  for _, id in ipairs(silent) do
    local found = hold(id, time_held, 0)
    if found then
      local fate = 1
      if call('HGET', job(id), 'repeatable') == '1' and found[3] < tonumber(runs_max) then
        call('ZREM', held, id)
        call('ZADD', waiting, now, id)
        fate = 0
      end
      table.insert(swept, { fate, unpack(found) })
    end
  end
  local overdue = call('ZRANGE', waiting, '-inf', now - time_waiting, 'BYSCORE', 'LIMIT', 0, most)
  for _, id in ipairs(overdue) do
    call('ZREM', waiting, id)
    local found = hold(id, time_held, 0)
    if found then
      table.insert(swept, { 2, unpack(found) })
    end
  end
  return { call('ZCARD', waiting), swept }
end

return actions[ARGV[1]](unpack(ARGV, 2))
