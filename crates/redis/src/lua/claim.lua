#!lua flags=allow-oom
-- Leases queued sends, fair over lanes, with what is needed to decide and render them. Allowed without memory: the way out.
-- KEYS   the shard's tag
-- ARGV   want, quantum, bytes of facts at most, sends a destination may have that is not listed, those listed (4 bytes destination,
--        2 of sends, 1 of seconds a lease lasts at least)
-- reply  time, 1 if lanes were left with work, 1 if some were passed over for want of room, ms of the first parked lane or -1, then for each job: lease member, control word, profile, data, kept request
--        (nil: there is none; 0: did not fit, ask `facts`), delivery record
-- bound  128 jobs of 64 lanes, about 7 us a job with its settle; facts of about 1 MiB
local want, quantum, facts_max, each, listed = num(), num(), num(), num(), arg()
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

local members, member_words, leases, fence = {}, {}, {}, false

-- Revision and instant of the first claim are fixed here: a redelivery renders the same.
local function pinned(core, word)
  local flags = byte(core, 2)
  if flags % 2 == 1 then
    return core
  end
  local revision = math.max(number('>I3', core, 23), number('>I3', word, 3))
  local after = math.min(math.max(t - number('>I6', core, 17), 0), 4294967295)
  return sub(core, 1, 1) .. char(flags + 1) .. sub(core, 3, 22) .. pack('>I3', revision)
    .. sub(core, 26, 27) .. pack('>I4', after)
end

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
  -- As text: a number would be written with 17 digits, each time.
  local ends = string.format('%.0f', t + math.max(1, byte(from.word, 6), lease_secs[to] or 0) * 1000)
  for i = 1, #cores do
    local core = cores[i]
    if #core ~= 31 or byte(core) ~= 1 then
      bad('q:' .. from.lane, core)
    else
      fence = fence or call('INCR', 'fence')
      local member = pack('>I7B', fence, #members) .. from.lane .. pinned(core, from.word)
      members[#members + 1] = member
      member_words[#member_words + 1] = from.word
      leases[#leases + 1] = ends
      leases[#leases + 1] = member
    end
  end
  rooms[to] = room - #cores
  from.taken = from.taken + #cores
  from.empty = #cores < n or call('LLEN', 'q:' .. from.lane) == 0
end

-- A lane's share first, then what others left.
for round = 1, 2 do
  for i = 1, #served do
    local from = served[i]
    if #members < want and not from.empty and not from.blocked and not from.full then
      local share = math.max(quantum, math.ceil(want * from.weight / weights))
      take(from, round == 1 and math.min(share, want - #members) or want - #members)
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
if #leases > 0 then
  call('ZADD', 'lease', unpack(leases))
end

local first = call('ZRANGE', 'park', 0, 0, 'WITHSCORES')
local reply, bytes = { t, more, passed_over, tonumber(first[2]) or -1 }, 0

local function note(value)
  reply[#reply + 1] = value
  bytes = bytes + (value and #value or 0)
end

local function field_of(there, key, field)
  if there and bytes >= facts_max then
    reply[#reply + 1] = 0
  else
    note(there and call('HGET', key, field))
  end
end

-- Whether a delivery record lists the entry of a lease; inside a campaign of several messages (status 128) only as long as no event has overtaken the
-- send: it is due when the record says, or comes out of the wheel then.
local function lists(record, m)
  for i = 0, (byte(record, 2) or 0) - 1 do
    local at = 13 + i * 45
    if sub(record, at, at + 7) == sub(m, 25, 32) then
      local due = sub(m, 34, 39)
      return (byte(record, at + 40) or 0) < 128 or due == sub(record, at + 16, at + 21) or due == sub(record, at + 22, at + 27)
    end
  end
  return false
end

local profiles
for i = 1, #members do
  local m = members[i]
  local flags, user, field = byte(m, 19), sub(m, 20, 24), sub(m, 9, 12) .. sub(m, 25, 32)
  reply[#reply + 1] = m
  reply[#reply + 1] = member_words[i]
  -- In slices: a profile may be of some MiB.
  if i % 16 == 1 then
    local keys = {}
    for j = i, math.min(i + 15, #members) do
      keys[#keys + 1] = P .. 'u:' .. sub(members[j], 20, 24)
    end
    profiles = bytes < facts_max and redis.call('MGET', unpack(keys))
  end
  if profiles then
    note(profiles[(i - 1) % 16 + 1])
  else
    reply[#reply + 1] = 0
  end
  field_of(bit.band(flags, 2) ~= 0, 'x:' .. user, field)
  field_of(bit.band(flags, 4) ~= 0, 'r:' .. user, field .. sub(m, 33, 33))
  local record = bit.band(byte(member_words[i], 2), 8) ~= 0 and call('HGET', 'n:' .. user, sub(field, 1, 4))
  if record and lists(record, m) then
    call('HSET', 'n:' .. user, field, '\1')
  end
  reply[#reply + 1] = record
end
return reply
