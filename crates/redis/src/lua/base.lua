-- In front of every script: its time, its arguments, and calls that foreign bytes cannot stop.
-- P is the shard's tag; every other key is P and a suffix, so the script stays in one slot.
local P, arg_at = KEYS[1], 0
local clock = redis.call('TIME')
local t = clock[1] * 1000 + math.floor(clock[2] / 1000)
local sub, byte, char, pack = string.sub, string.byte, string.char, struct.pack

-- The number at a place of some bytes, and nothing behind it.
local function number(format, bytes, at)
  return (struct.unpack(format, bytes, at))
end

local function arg()
  arg_at = arg_at + 1
  return ARGV[arg_at]
end

local function num()
  return tonumber(arg())
end

-- Calls; a key of a foreign type is first put aside as P bad:<suffix>.
local function call(cmd, key, ...)
  local r = redis.pcall(cmd, P .. key, ...)
  if type(r) == 'table' and r.err then
    if not string.find(r.err, 'WRONGTYPE', 1, true) then
      error(r)
    end
    redis.call('RENAME', P .. key, P .. 'bad:' .. key)
    return redis.call(cmd, P .. key, ...)
  end
  return r
end

-- Reads, where nothing may be written; a key of a foreign type reads as false.
local function peek(cmd, key, ...)
  local r = redis.pcall(cmd, P .. key, ...)
  if type(r) == 'table' and r.err then
    if not string.find(r.err, 'WRONGTYPE', 1, true) then
      error(r)
    end
    return false
  end
  return r
end

-- Keeps foreign bytes where a person can look at them; the newest 200.
local function bad(place, bytes)
  call('LPUSH', 'bad', place .. '\0' .. bytes)
  call('LTRIM', 'bad', 0, 199)
end

-- e: events were accepted, d: something is due earlier than before, q: a lane got its first send.
local function wake(letters)
  if letters ~= '' then
    redis.call('SPUBLISH', P .. 'wake', letters)
  end
end

local function count(campaign, field, by)
  local r = redis.pcall('HINCRBY', P .. 'c:' .. campaign, field, by)
  if type(r) == 'table' and r.err then
    if string.find(r.err, 'WRONGTYPE', 1, true) then
      call('HINCRBY', 'c:' .. campaign, field, by)
    else
      bad('c:' .. campaign, field)
      call('HSET', 'c:' .. campaign, field, by)
    end
  end
end
