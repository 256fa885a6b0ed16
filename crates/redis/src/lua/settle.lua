#!lua flags=allow-oom
-- Ends leases, and writes what follows from it as the caller worked it out; one log entry for all. Allowed without memory: the way out.
-- KEYS   the shard's tag
-- ARGV   log rows at most, log kept ms, failed sends at most, failed kept ms, histories at most, forgotten at once; then lists, each behind its
--        length: claims (fence, places), campaigns (number, control word bits reckoned with), counts (campaign, field, by), notes (user 5,
--        campaign 4, key and action 9, happened D F B P, first 1|0, variant), marks (user 5, campaign and key 12, 2|3|-), dropped (key, field),
--        kept (key, field, value), moved (due entries), back (lane 9, core 31, instant to park the lane until 6 or none), failed (lane, core),
--        outcomes (user 5, bytes); at last the number of log rows, and these
-- reply  time, then 0: done; 1: some are not leased, one character each, claim by claim, 1 leased, 0 not; 2: bits differ, the control word or
--        nothing of each campaign. With 1 and 2 nothing was written.
-- bound  64 sends, about 2 us each; kept requests of at most 4 MiB
local rows_max, rows_ms, failed_max, failed_ms, histories_max, forgotten = num(), num(), num(), num(), num(), num()
local claims, answers, stale = {}, {}, false
for i = 1, num() do
  local fence, places = arg(), { byte(arg(), 1, -1) }
  local states = states_of(fence) or {}
  for k = 1, #places do
    local at = places[k] + 1
    answers[#answers + 1] = states[at] == 1 and '1' or '0'
    stale = stale or states[at] ~= 1
    states[at] = 0
  end
  claims[i] = { fence = fence, states = states }
end
if stale then
  return { t, 1, table.concat(answers) }
end

local campaigns, bits = {}, {}
for i = 1, num() do
  campaigns[i], bits[i] = arg(), byte(arg())
end
local words = #campaigns > 0 and call('HMGET', 'ctl', unpack(campaigns)) or {}
for i = 1, #campaigns do
  if (words[i] and #words[i] == 12 and byte(words[i], 2) or 0) ~= bits[i] then
    return { t, 2, unpack(words) }
  end
end

for i = 1, #claims do
  write_states(claims[i].fence, claims[i].states)
end
for _ = 1, num() do
  count(arg(), arg(), arg())
end
local new = {}
for _ = 1, num() do
  local n = arg()
  local campaign = sub(n, 6, 9)
  local user, entry = note(sub(n, 1, 5), campaign, sub(n, 10, 18), byte(n, 19), byte(n, 20) == 49, sub(n, 21), histories_max, forgotten)
  if user + entry > 0 then
    local of = new[campaign] or { 0, 0 }
    of[1], of[2] = of[1] + user, of[2] + entry
    new[campaign] = of
  end
end
for campaign, of in pairs(new) do
  count(campaign, 'users', of[1])
  count(campaign, 'reached', of[2])
end
for _ = 1, num() do
  local m = arg()
  local key, field, change = 'n:' .. sub(m, 1, 5), sub(m, 6, 17), sub(m, 18)
  if call('HEXISTS', key, field) == 1 then
    if change == '-' then
      call('HDEL', key, field)
    else
      call('HSET', key, field, char(change))
    end
  end
end
for _ = 1, num() do
  call('HDEL', arg(), arg())
end
for _ = 1, num() do
  call('HSET', arg(), arg(), arg())
end
for _ = 1, num() do
  place(arg())
end

local backs = {}
for i = 1, num() do
  local b = arg()
  backs[i] = { lane = sub(b, 1, 9), core = sub(b, 10, 40), parked = #b == 46 and number('>I6', b, 41) }
end
-- From the last to the first, so that the front of a lane keeps its order.
local let_go = false
for i = #backs, 1, -1 do
  if call('LPUSH', 'q:' .. backs[i].lane, backs[i].core) == 1 then
    to_ring(backs[i].lane)
    let_go = true
  end
end
-- Nothing of a parked lane is claimed until its instant; one that is held stays held.
for i = 1, #backs do
  local back = backs[i]
  if back.parked and not call('ZSCORE', 'held', back.lane) then
    call('ZREM', 'ring', back.lane)
    call('ZADD', 'park', back.parked, back.lane)
  end
end
flush()
if let_go then
  wake('q')
end

local failed = {}
for _ = 1, num() do
  failed[#failed + 1] = t
  failed[#failed + 1] = arg()
end
if #failed > 0 then
  call('ZADD', 'failed', unpack(failed))
  local over = math.min(call('ZCARD', 'failed') - failed_max, 128)
  local old = over > 0 and call('ZRANGE', 'failed', 0, over - 1)
    or call('ZRANGEBYSCORE', 'failed', '-inf', t - failed_ms, 'LIMIT', 0, 128)
  for i = 1, #old do
    local m = old[i]
    call('ZREM', 'failed', m)
    if #m == 40 then
      local user, entry = sub(m, 12, 16), sub(m, 1, 4) .. sub(m, 17, 24)
      call('HDEL', 'x:' .. user, entry)
      call('HDEL', 'r:' .. user, entry .. sub(m, 25, 25))
    end
  end
end

local outcomes, now = {}, pack('>I6', t)
for i = 1, num() do
  outcomes[i] = now .. arg()
end
append_events(outcomes)
write_log(num(), arg(), rows_max, rows_ms)
return { t, 0 }
