#!lua flags=allow-oom
-- Takes back sends whose lease ran out: to the front of their lanes, one more redelivery.
-- KEYS   the shard's tag
-- ARGV   limit: claims are taken whole until it is reached; redeliveries at most
-- reply  time, sends taken back, then those that reached the bound, still leased, as fence, place, lane, core, each with its user's profile: to be
--        settled as abandoned by the caller, who alone can write their log rows
-- bound  the limit and a claim, about 3 us each
local limit, redeliveries_max = num(), num()

-- Revision and instant of the first claim, as the claim fixed them: a redelivery renders the same.
local function pinned(core, claimed_at, revision)
  local flags = byte(core, 2)
  if flags % 2 == 1 then
    return core
  end
  local newer = number('>I3', core, 23) < number('>I3', revision) and revision or sub(core, 23, 25)
  local after = math.min(math.max(claimed_at - number('>I6', core, 17), 0), 4294967295)
  return char(1, flags + 1) .. sub(core, 3, 22) .. newer .. sub(core, 26, 27) .. pack('>I4', after)
end

local out = call('ZRANGEBYSCORE', 'lease', '-inf', t, 'LIMIT', 0, limit)
local back, reply, found = {}, { t, 0 }, 0
for i = 1, #out do
  local fence = out[i]
  local bytes, states = call('GET', 'l:' .. fence), states_of(fence)
  local claimed_at = states and number('>I6', bytes, 2)
  local readable = states and each_lease(bytes, function(place, lane, revision, core)
    core = pinned(core, claimed_at, revision)
    found = found + 1
    if byte(core, 27) + 1 >= redeliveries_max then
      reply[#reply + 1] = fence .. char(place - 1) .. lane .. core
      reply[#reply + 1] = call('GET', 'u:' .. sub(core, 3, 7))
    else
      back[#back + 1] = { lane, sub(core, 1, 26) .. char(byte(core, 27) + 1) .. sub(core, 28) }
      states[place] = 0
    end
  end)
  if readable then
    write_states(fence, states)
  else
    call('ZREM', 'lease', fence)
    bad('lease', fence .. (bytes or ''))
    call('DEL', 'l:' .. fence)
  end
  if found >= limit then
    break
  end
end
-- From the last to the first, so that the front of a lane keeps its order.
local let_go = false
for i = #back, 1, -1 do
  local lane, core = back[i][1], back[i][2]
  if call('LPUSH', 'q:' .. lane, core) == 1 then
    to_ring(lane)
    let_go = true
  end
end
if let_go then
  wake('q')
end
reply[2] = #back
return reply
