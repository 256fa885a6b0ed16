#!lua flags=allow-oom
-- Leases queued sends, fair over lanes, with what is needed to decide and render them. Allowed without memory: the way out.
-- KEYS   the shard's tag
-- ARGV   want, quantum, sends a destination may have that is not listed, those listed (4 bytes destination, 2 of sends, 1 of seconds a lease
--        lasts at least)
-- reply  time, 1 if lanes were left with work, 1 if some were passed over for want of room, ms of the first parked lane or -1, fence (7 bytes),
--        then for each lane that was served: lane and control word, cores as they lay there, delivery records (one for each if the word
--        says so, else none). Places count on from lane to lane. Profiles and the like are read apart, by plain commands.
-- bound  128 sends of 64 lanes, about 1 us a send
local want, quantum, each, listed = num(), num(), num(), arg()
local rooms, lease_secs = { ['\0\0\0\0'] = math.huge }, {}
for i = 1, #listed, 7 do
  rooms[sub(listed, i, i + 3)] = number('>I2', listed, i + 4)
  lease_secs[sub(listed, i, i + 3)] = byte(listed, i + 6)
end
local passed_over = 0

-- Where a lane's sends go, as far as it is known.
local function room_of(lane)
  local to = sub(lane, 5, 8)
  if not rooms[to] then
    rooms[to] = each
  end
  return rooms[to], to
end
local parked = call('ZRANGEBYSCORE', 'park', '-inf', t, 'LIMIT', 0, 64)
for i = 1, #parked do
  call('ZREM', 'park', parked[i])
  if call('LLEN', 'q:' .. parked[i]) > 0 then
    to_ring(parked[i])
  end
end
local ring = call('ZRANGE', 'ring', 0, 63, 'WITHSCORES')
local words, served, weights = {}, {}, 0

local function word_of(campaign)
  local word = words[campaign]
  if word == nil then
    word = call('HGET', 'ctl', campaign)
    if word and (#word ~= 12 or byte(word) < 1 or byte(word) > 3) then
      bad('ctl', word)
      word = false
    end
    words[campaign] = word
  end
  return word
end

for i = 1, #ring, 2 do
  local lane = ring[i]
  if #lane ~= 9 or byte(lane, 9) > 2 then
    call('ZREM', 'ring', lane)
    bad('ring', lane)
  else
    local word = word_of(sub(lane, 1, 4))
    if not word or byte(word) == 2 then
      call('ZREM', 'ring', lane)
      call('ZADD', 'held', 0, lane)
    elseif room_of(lane) < 1 then
      -- Moved on as if it had been served, so that a ring full of such lanes hides no other.
      passed_over = 1
      local next = math.min(tonumber(ring[i + 1]) + quantum, tonumber(virtual_time()) + 64 * quantum)
      call('ZADD', 'ring', 'XX', string.format('%.17g', math.max(next, tonumber(ring[i + 1]))), lane)
    else
      local weight = math.max(1, byte(word, 7))
      served[#served + 1] = { lane = lane, score = tonumber(ring[i + 1]), word = word, weight = weight, taken = 0 }
      weights = weights + weight
    end
  end
end

local groups, taken, lease_for = {}, 0, 1

local first_event = false

-- When the first event that waits was accepted.
local function log_head()
  if not first_event then
    local e = call('LINDEX', 'ev', 0)
    first_event = e and #e >= 6 and number('>I6', e) or math.huge
  end
  return first_event
end

-- How many of n sends no waiting event can cancel: those due before it was accepted.
local function unhindered(lane, n)
  local cores = call('LRANGE', 'q:' .. lane, 0, n - 1)
  for i = 1, #cores do
    if #cores[i] == 31 and number('>I6', cores[i], 17) > log_head() then
      return i - 1, true
    end
  end
  return n, false
end

local function take(from, n)
  local room, to = room_of(from.lane)
  if n > room then
    n, passed_over = room, 1
    if n < 1 then
      from.full = true
      return
    end
  end
  if bit.band(byte(from.word, 2), 2) ~= 0 and log_head() < math.huge then
    n, from.blocked = unhindered(from.lane, n)
    if n == 0 then
      return
    end
  end
  local cores = call('LPOP', 'q:' .. from.lane, n) or {}
  local found = #cores
  for i = found, 1, -1 do
    if #cores[i] ~= 31 or byte(cores[i]) ~= 1 then
      bad('q:' .. from.lane, cores[i])
      table.remove(cores, i)
    end
  end
  if #cores > 0 then
    groups[#groups + 1] = { lane = from.lane, word = from.word, cores = cores }
    taken = taken + #cores
    lease_for = math.max(lease_for, byte(from.word, 6), lease_secs[to] or 0)
  end
  rooms[to] = room - found
  from.taken = from.taken + found
  from.empty = found < n or call('LLEN', 'q:' .. from.lane) == 0
end

-- A lane's share first, then what others left.
for round = 1, 2 do
  for i = 1, #served do
    local from = served[i]
    if taken < want and not from.empty and not from.blocked and not from.full then
      local share = math.max(quantum, math.ceil(want * from.weight / weights))
      take(from, round == 1 and math.min(share, want - taken) or want - taken)
    end
  end
end

local more = 0
for i = 1, #served do
  local from = served[i]
  if from.empty then
    call('ZREM', 'ring', from.lane)
  else
    more = (from.blocked or room_of(from.lane) < 1) and more or 1
    if from.taken > 0 then
      call('ZADD', 'ring', 'XX', string.format('%.17g', from.score + from.taken / from.weight), from.lane)
    end
  end
end
-- Beyond those looked at; unless all of them only lacked room: then it is worth coming again when there is some.
if #ring == 128 and (passed_over == 0 or #served > 0) and call('ZCARD', 'ring') > 0 then
  more = 1
end
if served[1] then
  call('SET', 'vt', string.format('%.17g', math.max(served[1].score, tonumber(virtual_time()))))
end
local fence = ''
if taken > 0 then
  -- No less than the time, so that none comes again after a server went back to an older state.
  local number = math.max((tonumber(call('GET', 'fence') or 0) or 0) + 1, t)
  call('SET', 'fence', string.format('%.0f', number))
  fence = pack('>I7', number)
  local parts = { '\1', pack('>I6', t), char(taken), string.rep('\1', taken) }
  for i = 1, #groups do
    local group = groups[i]
    group.bytes = table.concat(group.cores)
    parts[#parts + 1] = group.lane .. sub(group.word, 3, 5) .. char(#group.cores)
    parts[#parts + 1] = group.bytes
  end
  call('SET', 'l:' .. fence, table.concat(parts))
  call('ZADD', 'lease', string.format('%.0f', t + lease_for * 1000), fence)
end

-- Whether a delivery record lists the entry of a send; inside a campaign of several messages (status 128) only as long as no event has overtaken
-- the send: it is due when the record says, or comes out of the wheel then.
local function lists(record, core)
  for i = 0, (byte(record, 2) or 0) - 1 do
    local at = 13 + i * 45
    if sub(record, at, at + 7) == sub(core, 8, 15) then
      local due = sub(core, 17, 22)
      return (byte(record, at + 40) or 0) < 128 or due == sub(record, at + 16, at + 21) or due == sub(record, at + 22, at + 27)
    end
  end
  return false
end

local first = call('ZRANGE', 'park', 0, 0, 'WITHSCORES')
local reply = { t, more, passed_over, tonumber(first[2]) or -1, fence }
for i = 1, #groups do
  local group, records = groups[i], {}
  if bit.band(byte(group.word, 2), 8) ~= 0 then
    local campaign = sub(group.lane, 1, 4)
    for k = 1, #group.cores do
      local core = group.cores[k]
      local user = 'n:' .. sub(core, 3, 7)
      local record = call('HGET', user, campaign)
      if record and lists(record, core) then
        call('HSET', user, campaign .. sub(core, 8, 15), '\1')
      end
      records[k] = record
    end
  end
  reply[#reply + 1] = group.lane .. group.word
  reply[#reply + 1] = group.bytes
  reply[#reply + 1] = records
end
return reply
